/* The access log of server/access_log.c, in a hub whose clock is virtual, at a wall
 * clock time that the test sets. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */

#include "../../server/access_log.h"
#include "../../server/log.h"

#include "capture.h"

#include <cress/greenlet.h>

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

static time_t wall = 1795363200; /* 2026-11-22 16:00:00 UTC */
static unsigned writes;
static char path[] = "/tmp/cress-access-XXXXXX";

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (clock != CLOCK_REALTIME_COARSE)
        return __real_clock_gettime(clock, ts);
    *ts = (struct timespec){ .tv_sec = wall };
    return 0;
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
    writes++;
    return __real_write(fd, buf, len);
}

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

static int empty_file(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return truncate(path, 0);
}

static void in_hub(cress_fn *fn)
{
    cress_hub_options options = { .virtual_clock = true };

    assert_int_equal(cress_run_with(&options, fn, NULL), 0);
}

static char *contents(const char *name)
{
    int fd = open(name, O_RDONLY);
    struct stat st;
    char *text;

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    text = calloc(1, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    close(fd);
    return text;
}

static void holds(const char *name, const char *expected)
{
    char *text = contents(name);

    assert_string_equal(text, expected);
    free(text);
}

static cress_http1_log get_root(void)
{
    return (cress_http1_log){ .method = CRESS_STR("GET"),
                              .target = CRESS_STR("/"),
                              .user_agent = CRESS_STR("curl/7"),
                              .minor = 1,
                              .status = 200,
                              .body_bytes = 13 };
}

static void log_one(access_log *log, const cress_http1_log *entry)
{
    access_log_write(log, CRESS_STR("127.0.0.1"), entry);
}

/* ---- formats -------------------------------------------------------------------------- */

static void *write_combined(void *arg)
{
    access_log *log = access_log_open(path, "combined");
    cress_http1_log entry = get_root();

    assert_non_null(log);
    log_one(log, &entry);
    entry.method = CRESS_STR("POST");
    entry.target = CRESS_STR("/a?b=c");
    entry.referer = CRESS_STR("http://x/");
    entry.minor = 0;
    entry.status = 204;
    entry.body_bytes = 0;
    log_one(log, &entry);
    access_log_close(log);
    return arg;
}

static void combined_format(void **state)
{
    (void)state;
    in_hub(write_combined);
    holds(path, "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET / HTTP/1.1\" 200 13 \"-\" "
                "\"curl/7\"\n"
                "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"POST /a?b=c HTTP/1.0\" 204 - "
                "\"http://x/\" \"curl/7\"\n");
}

static void *write_common(void *arg)
{
    access_log *log = access_log_open(path, "common");
    cress_http1_log entry = get_root();

    entry.body_bytes = UINT64_MAX;
    log_one(log, &entry);
    access_log_write(log, CRESS_STR(""), &(cress_http1_log){ .status = 400, .body_bytes = 1 });
    access_log_close(log);
    return arg;
}

static void common_format(void **state)
{
    (void)state;
    in_hub(write_common);
    holds(path, "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET / HTTP/1.1\" 200 "
                "18446744073709551615\n"
                "- - - [22/Nov/2026:16:00:00 +0000] \"-\" 400 1\n");
}

static void *write_unanswered(void *arg)
{
    access_log *log = access_log_open(path, "common");
    cress_http1_log entry = get_root();

    entry.status = 0;
    entry.body_bytes = 0;
    log_one(log, &entry);
    access_log_close(log);
    return arg;
}

static void a_client_that_left_unanswered_is_499(void **state)
{
    (void)state;
    in_hub(write_unanswered);
    holds(path, "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET / HTTP/1.1\" 499 -\n");
}

static void *write_hostile(void *arg)
{
    access_log *log = access_log_open(path, "combined");
    cress_http1_log entry = get_root();

    entry.target = CRESS_STR("/\"\\\xc3\xa9");
    entry.referer = CRESS_STR("\n\t\x7f");
    entry.user_agent = CRESS_STR("x\" 200 \"y");
    log_one(log, &entry);
    access_log_close(log);
    return arg;
}

static void what_the_client_sent_is_escaped(void **state)
{
    (void)state;
    in_hub(write_hostile);
    holds(path,
          "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET /\\\"\\\\\\xc3\\xa9 HTTP/1.1\" 200 13 "
          "\"\\x0a\\x09\\x7f\" \"x\\\" 200 \\\"y\"\n");
}

static void *write_over_midnight(void *arg)
{
    access_log *log = access_log_open(path, "common");
    cress_http1_log entry = get_root();

    log_one(log, &entry);
    wall += 8 * 3600 - 1;
    log_one(log, &entry);
    wall++;
    log_one(log, &entry);
    wall -= 8 * 3600;
    access_log_close(log);
    return arg;
}

static void time_follows_the_clock(void **state)
{
    (void)state;
    in_hub(write_over_midnight);
    holds(path, "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET / HTTP/1.1\" 200 13\n"
                "127.0.0.1 - - [22/Nov/2026:23:59:59 +0000] \"GET / HTTP/1.1\" 200 13\n"
                "127.0.0.1 - - [23/Nov/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 13\n");
}

static void *write_one(void *arg)
{
    access_log *log = access_log_open(path, "common");
    cress_http1_log entry = get_root();

    log_one(log, &entry);
    access_log_close(log);
    return arg;
}

static void zone_has_its_offset(void **state)
{
    (void)state;
    setenv("TZ", "XST-5:30", 1);
    tzset();
    in_hub(write_one);
    setenv("TZ", "XST3:30", 1);
    tzset();
    in_hub(write_one);
    holds(path, "127.0.0.1 - - [22/Nov/2026:21:30:00 +0530] \"GET / HTTP/1.1\" 200 13\n"
                "127.0.0.1 - - [22/Nov/2026:12:30:00 -0330] \"GET / HTTP/1.1\" 200 13\n");
}

/* ---- writing -------------------------------------------------------------------------- */

static void *write_many(void *arg)
{
    access_log *log = access_log_open(path, "common");
    cress_http1_log entry = get_root();
    struct stat st;

    writes = 0;
    for (int i = 0; i < 100; i++)
        log_one(log, &entry);
    assert_int_equal(writes, 0);
    cress_sleep(0);
    assert_int_equal(writes, 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 100 * strlen("127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET / "
                                              "HTTP/1.1\" 200 13\n"));
    access_log_close(log);
    return arg;
}

static void a_turns_lines_leave_in_one_write(void **state)
{
    (void)state;
    in_hub(write_many);
}

static void *write_and_rotate(void *arg)
{
    char moved[64], *text;
    access_log *log = access_log_open(path, "common");
    cress_http1_log entry = get_root();

    snprintf(moved, sizeof moved, "%s.1", path);
    log_one(log, &entry);
    cress_sleep(0);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(access_log_reopen(log), 0);
    assert_int_equal(access_log_reopen(log), 0);
    entry.status = 404;
    log_one(log, &entry);
    access_log_close(log);
    text = contents(moved);
    assert_non_null(strstr(text, " 200 13\n"));
    assert_null(strstr(text, " 404 "));
    free(text);
    unlink(moved);
    return arg;
}

static void it_is_opened_again_after_rotation(void **state)
{
    (void)state;
    in_hub(write_and_rotate);
    holds(path, "127.0.0.1 - - [22/Nov/2026:16:00:00 +0000] \"GET / HTTP/1.1\" 404 13\n");
}

static void *reopen_in_missing_folder(void *arg)
{
    char folder[] = "/tmp/cress-access-folder-XXXXXX", file[128], moved[64], *text;
    cress_http1_log entry = get_root();
    access_log *log;

    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/log", folder);
    snprintf(moved, sizeof moved, "%s.moved", folder);
    log = access_log_open(file, "common");
    assert_non_null(log);
    assert_int_equal(rename(folder, moved), 0);
    assert_int_equal(access_log_reopen(log), -1);
    assert_int_equal(errno, ENOENT);
    log_one(log, &entry);
    access_log_close(log);
    snprintf(file, sizeof file, "%s/log", moved);
    text = contents(file);
    assert_non_null(strstr(text, " 200 13\n"));
    free(text);
    unlink(file);
    rmdir(moved);
    return arg;
}

static void the_old_file_stays_when_reopening_fails(void **state)
{
    (void)state;
    in_hub(reopen_in_missing_folder);
}

static void *open_wrongly(void *arg)
{
    assert_null(access_log_open("/nowhere/access.log", "combined"));
    assert_int_equal(errno, ENOENT);
    assert_null(access_log_open(path, "fancy"));
    assert_int_equal(errno, EINVAL);
    access_log_close(NULL);
    return arg;
}

static void what_cannot_be_opened_is_an_error(void **state)
{
    (void)state;
    in_hub(open_wrongly);
}

/* ---- a reader that does not read ----------------------------------------------------- */

struct stuck {
    int pipes[2], saved;
};

static struct stuck start_stuck_pipe(void)
{
    struct stuck s = { .saved = dup(1) };

    assert_int_equal(pipe(s.pipes), 0);
    assert_true(fcntl(s.pipes[1], F_SETPIPE_SZ, 4096) > 0);
    fflush(stdout);
    dup2(s.pipes[1], 1);
    return s;
}

static void end_stuck_pipe(const struct stuck *s)
{
    dup2(s->saved, 1);
    close(s->saved);
    close(s->pipes[0]);
    close(s->pipes[1]);
}

static unsigned line_count(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* Reads until a limit passes during which nothing came. */
static char *read_all(int fd)
{
    size_t used = 0, size = 1 << 22;
    char *text = calloc(1, size);
    ssize_t count;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int idle = 0; idle < 10; idle++) {
        while ((count = read(fd, text + used, size - 1 - used)) > 0) {
            used += (size_t)count;
            idle = 0;
        }
        cress_sleep(0.01);
    }
    return text;
}

enum { MANY = 20000 };

static void *overflow_and_read(void *arg)
{
    struct stuck s = start_stuck_pipe();
    access_log *log = access_log_open("-", "common");
    cress_http1_log entry = get_root();
    unsigned lost;
    char *text, *said, *count;

    for (int i = 0; i < MANY; i++) {
        log_one(log, &entry);
        if (i % 100 == 0)
            cress_sleep(0);
    }
    capture_start(2);
    log_open(NULL, CRESS_LOG_INFO);
    text = read_all(s.pipes[0]);
    said = capture_end();
    end_stuck_pipe(&s);
    count = strstr(said, "[WARNING] access log: ");
    assert_non_null(count);
    lost = (unsigned)strtoul(count + strlen("[WARNING] access log: "), NULL, 10);
    assert_true(lost > 0 && lost < MANY);
    assert_int_equal(line_count(text) + lost, MANY);
    access_log_close(log);
    log_close();
    free(text);
    free(said);
    return arg;
}

static void lines_beyond_the_room_are_dropped_and_counted(void **state)
{
    (void)state;
    in_hub(overflow_and_read);
}

static void *close_while_stuck(void *arg)
{
    struct stuck s = start_stuck_pipe();
    access_log *log = access_log_open("-", "common");
    cress_http1_log entry = get_root();
    cress_seconds begin = cress_now();

    for (int i = 0; i < 1000; i++)
        log_one(log, &entry);
    cress_sleep(0);
    access_log_close(log);
    end_stuck_pipe(&s);
    assert_true(cress_now() - begin >= 1);
    assert_true(cress_now() - begin <= 10);
    return arg;
}

/* On the hub's own, virtual clock. */
static void closing_does_not_wait_for_ever(void **state)
{
    (void)state;
    in_hub(close_while_stuck);
}

static void *write_to_full_device(void *arg)
{
    access_log *log = access_log_open("/dev/full", "common");
    cress_http1_log entry = get_root();
    char *said;

    capture_start(2);
    log_open(NULL, CRESS_LOG_INFO);
    for (int i = 0; i < 3; i++) {
        log_one(log, &entry);
        cress_sleep(0);
    }
    said = capture_end();
    assert_int_equal(line_count(said), 1);
    assert_non_null(strstr(said, "[ERROR] access log: No space left on device\n"));
    free(said);
    access_log_close(log);
    log_close();
    return arg;
}

static void a_full_disk_is_told_once(void **state)
{
    (void)state;
    in_hub(write_to_full_device);
}

#define FILE_TEST(function) cmocka_unit_test_setup(function, empty_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(combined_format),
        FILE_TEST(common_format),
        FILE_TEST(a_client_that_left_unanswered_is_499),
        FILE_TEST(what_the_client_sent_is_escaped),
        FILE_TEST(time_follows_the_clock),
        FILE_TEST(zone_has_its_offset),
        FILE_TEST(a_turns_lines_leave_in_one_write),
        FILE_TEST(it_is_opened_again_after_rotation),
        FILE_TEST(the_old_file_stays_when_reopening_fails),
        FILE_TEST(what_cannot_be_opened_is_an_error),
        FILE_TEST(lines_beyond_the_room_are_dropped_and_counted),
        FILE_TEST(closing_does_not_wait_for_ever),
        FILE_TEST(a_full_disk_is_told_once),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
