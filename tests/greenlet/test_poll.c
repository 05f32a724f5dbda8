#define _GNU_SOURCE
#include "hub_test.h"

#include <cress/io.h>
#include <cress/timeout.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int ends[2];

static void open_pair(void)
{
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

static void close_pair(void)
{
    assert_ok(cress_close(ends[0]));
    assert_ok(cress_close(ends[1]));
}

static void *write_after_1(void *arg)
{
    assert_ok(cress_sleep(1));
    assert_int_equal(cress_write(ends[1], "x", 1), 1);
    return arg;
}

static void *close_after_1(void *arg)
{
    assert_ok(cress_sleep(1));
    assert_ok(cress_close(*(int *)arg));
    return NULL;
}

/* ---- cress_wait_fd ------------------------------------------------------------------- */

static void test_wait_fd(void)
{
    char byte;

    open_pair();
    assert_int_equal(cress_wait_fd(ends[0], POLLOUT, 0), POLLOUT);
    assert_int_equal(cress_wait_fd(ends[0], POLLIN | POLLOUT, 0), POLLOUT);
    assert_errno(ETIMEDOUT, cress_wait_fd(ends[0], POLLIN, 0));
    assert_errno(ETIMEDOUT, cress_wait_fd(ends[0], POLLIN, 2));
    assert_time(2);
    spawn(write_after_1, NULL);
    assert_int_equal(cress_wait_fd(ends[0], POLLIN, 5), POLLIN);
    assert_time(3);
    assert_int_equal(cress_wait_fd(ends[0], POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
    assert_int_equal(cress_read(ends[0], &byte, 1), 1);
    assert_errno(EINVAL, cress_wait_fd(ends[0], 0, 0));
    assert_errno(EINVAL, cress_wait_fd(ends[0], POLLIN | POLLPRI, 0));
    close_pair();
}

static void test_hang_up_shows_as_what_was_asked(void)
{
    assert_ok(pipe(ends));
    spawn(close_after_1, &ends[1]);
    assert_int_equal(cress_wait_fd(ends[0], POLLIN, 2), POLLIN);
    assert_int_equal(cress_wait_fd(ends[0], POLLIN, 2), POLLIN); /* there already */
    assert_ok(cress_close(ends[0]));
    assert_ok(pipe(ends));
    assert_ok(cress_close(ends[0]));
    assert_int_equal(cress_wait_fd(ends[1], POLLOUT, 2), POLLOUT);
    assert_ok(cress_close(ends[1]));
}

static void test_wait_fd_until_closed(void)
{
    open_pair();
    spawn(close_after_1, &ends[0]);
    assert_errno(EBADF, cress_wait_fd(ends[0], POLLIN, CRESS_FOREVER));
    assert_time(1);
    assert_ok(cress_close(ends[1]));
}

/* ---- cress_poll ------------------------------------------------------------------------ */

static void test_poll_looks_first(void)
{
    open_pair();

    struct pollfd fds[] = { { .fd = ends[0], .events = POLLIN, .revents = 77 },
                            { .fd = -1, .events = POLLIN, .revents = 77 },
                            { .fd = ends[1], .events = POLLOUT, .revents = 77 } };

    assert_int_equal(cress_poll(fds, 3, CRESS_FOREVER), 1);
    assert_int_equal(fds[0].revents, 0);
    assert_int_equal(fds[1].revents, 0);
    assert_int_equal(fds[2].revents, POLLOUT);
    assert_int_equal(cress_poll(fds, 2, 0), 0);
    close_pair();
}

static void test_poll_waits(void)
{
    open_pair();

    struct pollfd fds[] = { { .fd = -5, .events = POLLIN },
                            { .fd = ends[0], .events = POLLIN },
                            { .fd = ends[0], .events = POLLIN } };

    assert_int_equal(cress_poll(fds, 3, 2), 0); /* the call's own limit is no error */
    assert_time(2);
    spawn(write_after_1, NULL);
    assert_int_equal(cress_poll(fds, 3, CRESS_FOREVER), 2);
    assert_time(3);
    assert_int_equal(fds[1].revents, POLLIN);
    assert_int_equal(fds[2].revents, POLLIN);
    close_pair();
}

static void test_poll_of_a_bad_descriptor(void)
{
    struct pollfd fd = { .fd = 1000000, .events = POLLIN };

    assert_int_equal(cress_poll(&fd, 1, CRESS_FOREVER), 1);
    assert_int_equal(fd.revents, POLLNVAL);
}

static void test_poll_until_closed(void)
{
    open_pair();

    int closed = ends[0];
    struct pollfd fds[] = { { .fd = ends[1], .events = POLLIN },
                            { .fd = closed, .events = POLLIN } };

    spawn(close_after_1, &closed);
    assert_int_equal(cress_poll(fds, 2, CRESS_FOREVER), 2);
    assert_int_equal(fds[0].revents, POLLIN | POLLHUP);
    assert_int_equal(fds[1].revents, POLLNVAL);
    assert_ok(cress_close(ends[1]));
}

static void *close_and_use_again(void *arg)
{
    int fresh[2], number = ends[0];

    assert_ok(cress_sleep(1));
    assert_ok(cress_close(number));
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fresh));
    assert_int_equal(fresh[0], number);
    assert_int_equal(write(fresh[1], "x", 1), 1);
    *(int *)arg = fresh[1];
    return NULL;
}

static void test_poll_does_not_mistake_a_new_descriptor(void)
{
    int other;

    open_pair();

    struct pollfd fd = { .fd = ends[0], .events = POLLIN };

    spawn(close_and_use_again, &other);
    assert_int_equal(cress_poll(&fd, 1, CRESS_FOREVER), 1);
    assert_int_equal(fd.revents, POLLNVAL);
    close_pair();
    assert_ok(cress_close(other));
}

static void test_poll_under_an_outer_limit(void)
{
    cress_timeout limit;

    open_pair();

    struct pollfd fd = { .fd = ends[0], .events = POLLIN };

    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_poll(&fd, 1, 5));
    assert_errno(ETIMEDOUT, cress_poll(&fd, 1, 0));
    assert_errno(ETIMEDOUT, cress_poll(NULL, 0, 0));
    cress_timeout_close(&limit);
    assert_time(1);
    assert_int_equal(cress_poll(&fd, 1, 5), 0);
    close_pair();
}

static void *poll_killed(void *arg)
{
    struct pollfd fd = { .fd = ends[0], .events = POLLIN };

    (void)arg;
    assert_errno(ECANCELED, cress_poll(&fd, 1, 5));
    trace("killed");
    return NULL;
}

static void test_poll_is_killed(void)
{
    open_pair();

    cress_greenlet *g = cress_spawn(poll_killed, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("killed\n");
    close_pair();
}

static void *half_close_after_1(void *arg)
{
    assert_ok(cress_sleep(1));
    assert_ok(shutdown(ends[1], SHUT_WR));
    return arg;
}

/* Events that the event loop knows nothing of. */
static void test_poll_for_a_half_close_alone(void)
{
    open_pair();

    struct pollfd fds[] = { { .fd = ends[0], .events = POLLRDHUP },
                            { .fd = ends[0], .events = POLLRDHUP } };

    assert_int_equal(write(ends[1], "data", 4), 4); /* not what is asked for */
    assert_int_equal(cress_poll(fds, 2, 2), 0);
    assert_time(2);
    spawn(half_close_after_1, NULL);
    assert_int_equal(cress_poll(fds, 2, CRESS_FOREVER), 2);
    assert_int_equal(fds[0].revents, POLLRDHUP);
    assert_time(3);
    close_pair();
}

static void test_poll_for_a_hang_up_alone(void)
{
    open_pair();

    struct pollfd fd = { .fd = ends[0], .events = 0 };

    assert_int_equal(write(ends[1], "data", 4), 4);
    assert_int_equal(cress_poll(&fd, 1, 2), 0);
    spawn(close_after_1, &ends[1]);
    assert_int_equal(cress_poll(&fd, 1, CRESS_FOREVER), 1);
    assert_int_equal(fd.revents, POLLHUP);
    assert_ok(cress_close(ends[0]));
}

static void test_poll_of_a_disk_file(void)
{
    FILE *file = tmpfile();
    struct pollfd fd = { .fd = fileno(file), .events = POLLPRI };

    assert_int_equal(cress_poll(&fd, 1, 2), 0);
    assert_time(2);
    fd.events = POLLIN | POLLOUT;
    assert_int_equal(cress_poll(&fd, 1, 2), 1);
    assert_int_equal(fd.revents, POLLIN | POLLOUT);
    fclose(file);
}

enum { MANY = 50 };

static void test_poll_of_many(void)
{
    struct pollfd fds[MANY];

    open_pair();
    for (int i = 0; i < MANY; i++)
        fds[i] = (struct pollfd){ .fd = dup(ends[0]), .events = POLLIN };
    assert_int_equal(cress_poll(fds, MANY, 1), 0);
    spawn(write_after_1, NULL);
    assert_int_equal(cress_poll(fds, MANY, 5), MANY);
    assert_time(2);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(fds[i].revents, POLLIN);
        assert_ok(cress_close(fds[i].fd));
    }
    close_pair();
}

/* ---- cress_select ------------------------------------------------------------------------- */

static void *select_nothing(void *arg)
{
    trace("Started Polling: at %.1f seconds", cress_now());
    assert_int_equal(cress_select(0, NULL, NULL, NULL, 2), 0);
    trace("Ended Polling: at %.1f seconds", cress_now());
    return arg;
}

static void *do_stuff(void *arg)
{
    trace("Hey lets do some stuff while the greenlets poll, at %.1f seconds", cress_now());
    assert_ok(cress_sleep(1));
    return arg;
}

static void test_select_tutorial(void)
{
    spawn(select_nothing, NULL);
    spawn(select_nothing, NULL);
    spawn(do_stuff, NULL);
    assert_ok(cress_sleep(10));
    assert_trace("Started Polling: at 0.0 seconds\nStarted Polling: at 0.0 seconds\n"
                 "Hey lets do some stuff while the greenlets poll, at 0.0 seconds\n"
                 "Ended Polling: at 2.0 seconds\nEnded Polling: at 2.0 seconds\n");
}

static int urgent_pair(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_ok(bind(listener, (struct sockaddr *)&address, len));
    assert_ok(listen(listener, 1));
    assert_ok(getsockname(listener, (struct sockaddr *)&address, &len));
    ends[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(connect(ends[1], (struct sockaddr *)&address, len));
    ends[0] = accept(listener, NULL, NULL);
    assert_true(ends[0] >= 0);
    return close(listener);
}

static void *send_urgent_after_1(void *arg)
{
    assert_ok(cress_sleep(1));
    assert_int_equal(cress_send(ends[1], "!", 1, MSG_OOB), 1);
    return arg;
}

static void test_select_finds_each_kind(void)
{
    fd_set readable, writable, except;

    assert_ok(urgent_pair());
    FD_ZERO(&readable);
    FD_ZERO(&except);
    FD_SET(ends[0], &readable);
    FD_SET(ends[0], &except);
    spawn(send_urgent_after_1, NULL);
    assert_true(cress_select(ends[0] + 1, &readable, NULL, &except, 5) >= 1);
    assert_true(FD_ISSET(ends[0], &except));
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(ends[0], &readable);
    FD_SET(ends[0], &writable);
    FD_SET(ends[1], &writable);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(cress_wait_fd(ends[0], POLLIN, 5), POLLIN);
    assert_int_equal(cress_select(FD_SETSIZE, &readable, &writable, NULL, 5), 3);
    assert_true(FD_ISSET(ends[0], &readable));
    assert_true(FD_ISSET(ends[0], &writable));
    close_pair();
}

static void test_select_times_out_with_empty_sets(void)
{
    fd_set readable;

    open_pair();
    FD_ZERO(&readable);
    FD_SET(ends[0], &readable);
    assert_int_equal(cress_select(ends[0] + 1, &readable, NULL, NULL, 2), 0);
    assert_false(FD_ISSET(ends[0], &readable));
    assert_time(2);
    assert_int_equal(cress_select(ends[0] + 1, &readable, NULL, NULL, -1), 0);
    close_pair();
}

/* A hang-up is no exceptional condition: it must neither count nor spin. */
static void test_select_of_a_hung_up_one(void)
{
    fd_set except;

    open_pair();
    assert_ok(cress_close(ends[1]));
    FD_ZERO(&except);
    FD_SET(ends[0], &except);
    assert_int_equal(cress_select(ends[0] + 1, NULL, NULL, &except, 2), 0);
    assert_time(2);
    assert_ok(cress_close(ends[0]));
}

static void test_select_errors(void)
{
    fd_set readable;

    FD_ZERO(&readable);
    FD_SET(900, &readable);
    assert_errno(EBADF, cress_select(901, &readable, NULL, NULL, CRESS_FOREVER));
    assert_true(FD_ISSET(900, &readable));
    assert_errno(EINVAL, cress_select(-1, NULL, NULL, NULL, 0));
    assert_errno(EINVAL, cress_select(FD_SETSIZE + 1, NULL, NULL, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_wait_fd),
        HUB_TEST(test_hang_up_shows_as_what_was_asked),
        HUB_TEST(test_wait_fd_until_closed),
        HUB_TEST(test_poll_looks_first),
        HUB_TEST(test_poll_waits),
        HUB_TEST(test_poll_of_a_bad_descriptor),
        HUB_TEST(test_poll_until_closed),
        HUB_TEST(test_poll_does_not_mistake_a_new_descriptor),
        HUB_TEST(test_poll_under_an_outer_limit),
        HUB_TEST(test_poll_is_killed),
        HUB_TEST(test_poll_for_a_half_close_alone),
        HUB_TEST(test_poll_for_a_hang_up_alone),
        HUB_TEST(test_poll_of_a_disk_file),
        HUB_TEST(test_poll_of_many),
        HUB_TEST(test_select_tutorial),
        HUB_TEST(test_select_finds_each_kind),
        HUB_TEST(test_select_times_out_with_empty_sets),
        HUB_TEST(test_select_of_a_hung_up_one),
        HUB_TEST(test_select_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
