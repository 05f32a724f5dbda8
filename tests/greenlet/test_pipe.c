#include "hub_test.h"

#include <cress/io.h>
#include <cress/pipe.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void test_flags(void **state)
{
    int fds[2];

    (void)state;
    assert_ok(cress_pipe(fds));
    for (int i = 0; i < 2; i++) {
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        close(fds[i]);
    }
}

static void *read_words(void *arg)
{
    char word[6] = "";
    ssize_t count;

    while ((count = cress_read(*(int *)arg, word, 5)) == 5)
        trace("%s", word);
    assert_int_equal(count, 0);
    return NULL;
}

static void test_reading_waits(void)
{
    int fds[2];
    cress_greenlet *reader;

    assert_ok(cress_pipe(fds));
    reader = cress_spawn(read_words, &fds[0]);
    settle();
    assert_int_equal(cress_write(fds[1], "hello", 5), 5);
    assert_ok(cress_sleep(1));
    assert_trace("hello\n");
    assert_int_equal(cress_write(fds[1], "again", 5), 5);
    assert_ok(cress_close(fds[1]));
    assert_ok(cress_join(reader, CRESS_FOREVER));
    assert_trace("again\n");
    cress_release(reader);
    assert_ok(cress_close(fds[0]));
}

enum { MUCH = 1 << 20 }; /* more than a pipe holds */

static char sent[MUCH];

static void *write_much(void *arg)
{
    assert_int_equal(cress_write(*(int *)arg, sent, MUCH), MUCH);
    trace("written");
    return NULL;
}

static void test_writing_waits(void)
{
    int fds[2];
    size_t done = 0;
    char buf[5000];
    cress_greenlet *writer;

    for (int i = 0; i < MUCH; i++)
        sent[i] = (char)(i * 7 + i / 256);
    assert_ok(cress_pipe(fds));
    writer = cress_spawn(write_much, &fds[1]);
    settle();
    assert_trace("");
    while (done < MUCH) {
        ssize_t count = cress_read(fds[0], buf, sizeof buf);

        assert_true(count > 0);
        assert_memory_equal(buf, sent + done, (size_t)count);
        done += (size_t)count;
    }
    assert_ok(cress_join(writer, CRESS_FOREVER));
    assert_trace("written\n");
    cress_release(writer);
    cress_close(fds[0]);
    cress_close(fds[1]);
}

static void test_nobody_reads(void)
{
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    assert_ok(cress_pipe(fds));
    cress_close(fds[0]);
    assert_errno(EPIPE, cress_write(fds[1], "x", 1));
    cress_close(fds[1]);
    signal(SIGPIPE, SIG_DFL);
}

static void test_make_nonblocking(void **state)
{
    int fds[2];

    (void)state;
    assert_ok(pipe(fds));
    assert_int_equal(cress_make_nonblocking(fds[0]), 1);
    assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
    assert_int_equal(cress_make_nonblocking(fds[0]), 0);
    close(fds[0]);
    close(fds[1]);
    assert_errno(EBADF, cress_make_nonblocking(fds[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
        HUB_TEST(test_reading_waits),
        HUB_TEST(test_writing_waits),
        HUB_TEST(test_nobody_reads),
        cmocka_unit_test(test_make_nonblocking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
