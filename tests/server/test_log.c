/* The error log of server/log.c. */
#define _GNU_SOURCE /* F_SETPIPE_SZ, strptime */

#include "../../server/log.h"

#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/cress-log-XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int close_log(void **state)
{
    (void)state;
    log_close();
    return truncate(path, 0);
}

static char *contents(const char *name)
{
    FILE *file = fopen(name, "r");
    char *text = calloc(1, 1 << 16);

    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) < (1 << 16) - 1);
    fclose(file);
    return text;
}

/* "[2026-11-22 16:00:00 +0000] [PID] " is 27 bytes, a space, the pid. */
static void is_line(const char *line, const char *rest)
{
    char pid[32];
    struct tm tm;
    const char *end = strptime(line, "[%Y-%m-%d %H:%M:%S ", &tm);

    assert_non_null(end);
    assert_memory_equal(end, "+0000] ", 7);
    snprintf(pid, sizeof pid, "[%d] ", (int)getpid());
    assert_memory_equal(end + 7, pid, strlen(pid));
    assert_string_equal(end + 7 + strlen(pid), rest);
}

static void a_line_has_time_pid_and_level(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(log_open(path, CRESS_LOG_INFO), 0);
    cress_log(CRESS_LOG_WARNING, "%s went wrong %d times", "it", 3);
    text = contents(path);
    is_line(text, "[WARNING] it went wrong 3 times\n");
    free(text);
}

static void stderr_is_the_default(void **state)
{
    char *text;

    (void)state;
    capture_start(2);
    assert_int_equal(log_open("-", CRESS_LOG_INFO), 0);
    cress_log(CRESS_LOG_INFO, "hello");
    text = capture_end();
    is_line(text, "[INFO] hello\n");
    free(text);
}

static void lesser_levels_are_left_out(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(log_open(path, CRESS_LOG_ERROR), 0);
    cress_log(CRESS_LOG_DEBUG, "no");
    cress_log(CRESS_LOG_WARNING, "no");
    cress_log(CRESS_LOG_CRITICAL, "yes");
    assert_true(log_enabled(CRESS_LOG_ERROR));
    assert_false(log_enabled(CRESS_LOG_WARNING));
    text = contents(path);
    is_line(text, "[CRITICAL] yes\n");
    free(text);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_by_name("debug"), CRESS_LOG_DEBUG);
    assert_int_equal(log_level_by_name("critical"), CRESS_LOG_CRITICAL);
    assert_int_equal(log_level_by_name("loud"), -1);
}

static void control_bytes_cannot_forge_a_line(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(log_open(path, CRESS_LOG_INFO), 0);
    cress_log(CRESS_LOG_INFO, "a\r\nb\033[31m\177 \xc3\xa9");
    text = contents(path);
    is_line(text, "[INFO] a\\x0d\\x0ab\\x1b[31m\\x7f \xc3\xa9\n");
    free(text);
    assert_int_equal(truncate(path, 0), 0);
    cress_log(CRESS_LOG_INFO, "\x9b"
                              "31m \xc2\x9b"
                              "32m \xc3\x9b \xe2\x9b\xb5 \xe2\x9b \xff\xc2");
    text = contents(path);
    is_line(text, "[INFO] \\x9b"
                  "31m \\xc2\\x9b"
                  "32m \xc3\x9b \xe2\x9b\xb5 \\xe2\\x9b \\xff\\xc2\n");
    free(text);
}

static void a_long_line_is_cut(void **state)
{
    char *text, *longest = malloc(100000);

    (void)state;
    assert_non_null(longest);
    memset(longest, 'x', 99999);
    longest[99999] = '\0';
    assert_int_equal(log_open(path, CRESS_LOG_INFO), 0);
    cress_log(CRESS_LOG_INFO, "%s", longest);
    memset(longest, '\n', 99999);
    cress_log(CRESS_LOG_INFO, "%s", longest);
    text = contents(path);
    assert_true(strlen(text) <= 2 * 4096);
    assert_non_null(strstr(text, "xxx...\n["));
    assert_true(strchr(strchr(text, '\n') + 1, '\n') == text + strlen(text) - 1);
    free(text);
    free(longest);
}

static void errno_is_kept_and_shown(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(log_open(path, CRESS_LOG_INFO), 0);
    errno = ENOSPC;
    cress_log(CRESS_LOG_INFO, "%m");
    assert_int_equal(errno, ENOSPC);
    text = contents(path);
    is_line(text, "[INFO] No space left on device\n");
    free(text);
}

static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(log_open("/nowhere/x.log", CRESS_LOG_INFO), -1);
    assert_int_equal(errno, ENOENT);
}

static void it_is_opened_again_after_rotation(void **state)
{
    char moved[64], *text;

    (void)state;
    snprintf(moved, sizeof moved, "%s.1", path);
    assert_int_equal(log_open(path, CRESS_LOG_INFO), 0);
    cress_log(CRESS_LOG_INFO, "before");
    assert_int_equal(rename(path, moved), 0);
    cress_log(CRESS_LOG_INFO, "still the old one");
    assert_int_equal(log_reopen(), 0);
    cress_log(CRESS_LOG_INFO, "after");
    text = contents(path);
    is_line(text, "[INFO] after\n");
    free(text);
    text = contents(moved);
    assert_non_null(strstr(text, "still the old one"));
    assert_null(strstr(text, "after"));
    free(text);
    unlink(moved);
}

/* Nobody reads the pipe: no line waits, and the lost ones are counted. */
static void a_full_pipe_does_not_block(void **state)
{
    int pipes[2], saved = dup(2);
    size_t written = 0;
    ssize_t count;
    char *text = calloc(1, 1 << 16), expected[80];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_true(fcntl(pipes[1], F_SETPIPE_SZ, 16384) > 0);
    dup2(pipes[1], 2);
    assert_int_equal(log_open(NULL, CRESS_LOG_INFO), 0);
    for (int i = 0; i < 1000; i++)
        cress_log(CRESS_LOG_INFO, "line %d of a thousand of them, all alike", i);
    count = read(pipes[0], text, (1 << 16) - 1);
    assert_true(count > 0 && count <= 16384);
    for (char *at = text; (at = strchr(at, '\n')); at++)
        written++;
    cress_log(CRESS_LOG_INFO, "well again");
    memset(text, 0, 1 << 16);
    assert_true(read(pipes[0], text, (1 << 16) - 1) > 0);
    dup2(saved, 2);
    snprintf(expected, sizeof expected, "[WARNING] %zu log lines lost", 1000 - written);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "] well again\n"));
    close(pipes[0]);
    close(pipes[1]);
    close(saved);
    free(text);
}

static void a_fifo_without_a_reader_is_an_error(void **state)
{
    char fifo[64];

    (void)state;
    snprintf(fifo, sizeof fifo, "%s.fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(log_open(fifo, CRESS_LOG_INFO), -1);
    assert_int_equal(errno, ENXIO);
    unlink(fifo);
}

static void complaints_name_the_program(void **state)
{
    char *text;

    (void)state;
    log_set_program("/usr/local/bin/server");
    assert_string_equal(log_program(), "server");
    capture_start(2);
    log_complain("%d things\n are wrong", 3);
    text = capture_end();
    assert_string_equal(text, "server: 3 things\\x0a are wrong\n");
    log_set_program("cress");
    free(text);
}

#define LOG_TEST(function) cmocka_unit_test_teardown(function, close_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_time_pid_and_level),
        LOG_TEST(stderr_is_the_default),
        LOG_TEST(lesser_levels_are_left_out),
        LOG_TEST(levels_have_names),
        LOG_TEST(control_bytes_cannot_forge_a_line),
        LOG_TEST(a_long_line_is_cut),
        LOG_TEST(errno_is_kept_and_shown),
        LOG_TEST(a_file_that_cannot_be_opened_is_an_error),
        LOG_TEST(it_is_opened_again_after_rotation),
        LOG_TEST(a_full_pipe_does_not_block),
        LOG_TEST(a_fifo_without_a_reader_is_an_error),
        LOG_TEST(complaints_name_the_program),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
