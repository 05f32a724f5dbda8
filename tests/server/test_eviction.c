/* Servers that are full, under the virtual clock. */
#include "hub_server.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/io.h>
#include <cress/upgrade.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"

/* ---- an application that waits in every way --------------------------------------- */

static cress_event woken;
static unsigned broken; /* handlers whose read or write failed as if the client had left */

static int hello(cress_response *res)
{
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

static int read_body(cress_environ *env, cress_response *res)
{
    char buf[1000];
    ssize_t got;

    while ((got = cress_input_read(env, buf, sizeof buf)) > 0)
        continue;
    broken += got < 0 && errno == EPIPE;
    return got < 0 ? -1 : hello(res);
}

/* Between two reads it is busy with other things. */
static int read_now_and_then(cress_environ *env, cress_response *res)
{
    char buf[1000];
    ssize_t got;

    while ((got = cress_input_read(env, buf, sizeof buf)) > 0)
        if (cress_sleep(5) < 0)
            return -1;
    return got < 0 ? -1 : hello(res);
}

static void *read_once(void *env)
{
    char byte;

    assert_int_equal(cress_input_read(env, &byte, 1), 1);
    assert_ok(cress_event_wait(&woken, CRESS_FOREVER));
    return NULL;
}

/* Another greenlet reads; it waits for that one. */
static int read_beside(cress_environ *env, cress_response *res)
{
    cress_greenlet *reader = cress_spawn(read_once, env);

    cress_sleep(1);
    cress_join(reader, CRESS_FOREVER);
    cress_release(reader);
    return hello(res);
}

static unsigned written[2]; /* blocks, in answers over HTTP/1.0 and 1.1 */

static int write_much(cress_environ *env, cress_response *res)
{
    static const char block[65536];
    bool minor = cress_str_equal(cress_environ_get(env, "SERVER_PROTOCOL"), "HTTP/1.1");

    assert_ok(cress_start_response(res, 200, NULL));
    for (int i = 0; i < 1000; i++) {
        if (cress_response_write(res, block, sizeof block) < 0) {
            broken += errno == EPIPE || errno == ECANCELED;
            return -1;
        }
        written[minor]++;
    }
    return 0;
}

static int echo(cress_response *res)
{
    cress_stream *stream;
    char buf[10];
    ssize_t got;

    assert_ok(cress_upgrade(res, "echo", NULL, &stream));
    while ((got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0)
        assert_ok(cress_stream_write_all(stream, buf, (size_t)got));
    return (int)got;
}

static int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str path = cress_path(env);

    (void)self;
    if (cress_str_equal(path, "/wait") && cress_event_wait(&woken, CRESS_FOREVER) < 0)
        return -1;
    if (cress_str_equal(path, "/read"))
        return read_body(env, res);
    if (cress_str_equal(path, "/read-now-and-then"))
        return read_now_and_then(env, res);
    if (cress_str_equal(path, "/read-beside"))
        return read_beside(env, res);
    if (cress_str_equal(path, "/write"))
        return write_much(env, res);
    if (cress_str_equal(path, "/echo"))
        return echo(res);
    return hello(res);
}

/* No other limit than the one under test can pass while the kernel is slow. */
static void start(struct hub_server *s, int connections)
{
    *s = (struct hub_server){ .config = {
                                  .worker_connections = connections,
                                  .keep_alive = CRESS_FOREVER,
                                  .header_timeout = CRESS_FOREVER,
                                  .body_timeout = CRESS_FOREVER,
                                  .write_timeout = CRESS_FOREVER,
                                  .request_timeout = CRESS_FOREVER,
                              } };
    cress_event_clear(&woken);
    broken = 0;
    hub_server_start(s, application, NULL);
}

/* ---- clients ------------------------------------------------------------------------ */

static void send_text(int fd, const char *text)
{
    assert_int_equal(cress_write(fd, text, strlen(text)), strlen(text));
}

static int dial_and_send(const struct hub_server *s, const char *text)
{
    int fd = hub_server_dial(s);

    send_text(fd, text);
    settle();
    return fd;
}

/* [waits] The next bytes: do they begin so? */
static void assert_receives(int fd, const char *expected)
{
    char buf[1000];
    ssize_t got = cress_read(fd, buf, sizeof buf);

    assert_true(got >= (ssize_t)strlen(expected));
    assert_memory_equal(buf, expected, strlen(expected));
}

static void assert_answered(int fd)
{
    assert_receives(fd, "HTTP/1.1 200 OK\r\n");
}

static int dial_and_ask(const struct hub_server *s)
{
    int fd = dial_and_send(s, GET("/"));

    assert_answered(fd);
    return fd;
}

/* [waits] */
static bool is_closed(int fd)
{
    char buf[1000];
    ssize_t got = cress_read(fd, buf, sizeof buf);

    return got == 0 || (got < 0 && errno == ECONNRESET);
}

static bool is_silent(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void close_all(struct hub_server *s, const int fds[], int count)
{
    for (int i = 0; i < count; i++)
        cress_close(fds[i]);
    hub_server_stop(s);
}

/* `slow` holds the only place: a client is served all the same, a second later, and before
 * any other limit passes. */
static void assert_makes_room(struct hub_server *s, int slow)
{
    cress_seconds before = cress_now();
    int fd = dial_and_ask(s);

    /* What was on its way at first may count as progress once. */
    assert_true(cress_now() - before >= 0.9 && cress_now() - before < 2.5);
    close_all(s, (int[]){ slow, fd }, 2);
}

/* ---- who goes ------------------------------------------------------------------------ */

static void test_the_longest_idle_goes(void)
{
    struct hub_server s;
    int fds[3];

    start(&s, 2);
    for (int i = 0; i < 2; i++) {
        fds[i] = dial_and_ask(&s);
        cress_sleep(1);
    }
    fds[2] = dial_and_ask(&s);
    assert_true(is_closed(fds[0]));
    send_text(fds[1], GET("/"));
    assert_answered(fds[1]);
    close_all(&s, fds, 3);
}

static void test_nobody_goes_before_somebody_comes(void)
{
    struct hub_server s;

    start(&s, 1);
    int fd = dial_and_ask(&s);
    cress_sleep(900);
    send_text(fd, GET("/"));
    assert_answered(fd);
    close_all(&s, &fd, 1);
}

static void test_nobody_goes_at_once(void)
{
    struct hub_server s;
    int fds[2];

    start(&s, 1);
    fds[0] = dial_and_ask(&s);
    fds[1] = dial_and_send(&s, GET("/"));
    cress_sleep(0.9);
    assert_true(is_silent(fds[0]));
    assert_true(is_silent(fds[1]));
    cress_sleep(0.3);
    assert_true(is_closed(fds[0]));
    assert_answered(fds[1]);
    close_all(&s, fds, 2);
}

static void test_idle_ones_go_before_half_heads(void)
{
    struct hub_server s;
    int fds[3];

    start(&s, 2);
    fds[0] = dial_and_send(&s, "GET / HT");
    cress_sleep(1);
    fds[1] = dial_and_ask(&s);
    cress_sleep(1);
    fds[2] = dial_and_ask(&s);
    assert_true(is_closed(fds[1]));
    send_text(fds[0], "TP/1.1\r\nHost: a\r\n\r\n");
    assert_answered(fds[0]);
    close_all(&s, fds, 3);
}

static void test_a_silent_client_goes(void)
{
    struct hub_server s;

    start(&s, 1);
    int slow = hub_server_dial(&s);
    settle();
    assert_makes_room(&s, slow);
}

static void test_half_a_head_gets_408(void)
{
    struct hub_server s;
    int fds[2];

    start(&s, 1);
    fds[0] = dial_and_send(&s, "GET / HTTP/1.1\r\nHost: a\r\n");
    cress_seconds before = cress_now();
    fds[1] = dial_and_ask(&s);
    assert_true(cress_now() - before < 1.5); /* nor is it waited for any longer */
    assert_receives(fds[0], "HTTP/1.1 408 Request Timeout\r\n");
    assert_true(is_closed(fds[0]));
    close_all(&s, fds, 2);
}

static void test_a_body_that_does_not_come(void)
{
    struct hub_server s;

    start(&s, 1);
    int slow = dial_and_send(&s, POST("/read", "100") "abc");
    assert_makes_room(&s, slow);
    assert_int_equal(broken, 1);
}

static void test_a_body_that_nobody_reads(void)
{
    struct hub_server s;

    start(&s, 1);
    int slow = dial_and_send(&s, POST("/", "100") "abc");
    assert_answered(slow);
    assert_makes_room(&s, slow);
}

static void test_a_client_that_does_not_read(void)
{
    struct hub_server s;

    start(&s, 1);
    int slow = dial_and_send(&s, GET("/write"));
    assert_answered(slow);
    assert_makes_room(&s, slow);
    assert_int_equal(broken, 1);
}

static void test_one_that_was_refused_and_stays(void)
{
    struct hub_server s;

    start(&s, 1);
    int slow = dial_and_send(&s, "GET / HTTP/1.1\r\n\r\n");
    assert_receives(slow, "HTTP/1.1 400 Bad Request\r\n");
    assert_makes_room(&s, slow);
}

/* ---- who stays ------------------------------------------------------------------------ */

static void test_handlers_that_wait_for_others_stay(void)
{
    struct hub_server s;
    int fds[2];

    start(&s, 1);
    fds[0] = dial_and_send(&s, GET("/wait"));
    fds[1] = dial_and_send(&s, GET("/"));
    cress_sleep(900);
    assert_true(is_silent(fds[0]));
    assert_true(is_silent(fds[1]));
    cress_event_set(&woken);
    assert_answered(fds[0]);
    assert_answered(fds[1]); /* the first one is idle now */
    close_all(&s, fds, 2);
}

static void test_upgraded_ones_may_be_silent(void)
{
    struct hub_server s;
    int fds[2];

    start(&s, 1);
    fds[0] = dial_and_send(&s, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                               "Upgrade: echo\r\n\r\n");
    assert_receives(fds[0], "HTTP/1.1 101 Switching Protocols\r\n");
    fds[1] = dial_and_send(&s, GET("/"));
    cress_sleep(900);
    send_text(fds[0], "hello");
    assert_receives(fds[0], "hello");
    assert_true(is_silent(fds[1]));
    cress_close(fds[0]);
    assert_answered(fds[1]);
    close_all(&s, fds + 1, 1);
}

/* Drops keep nobody alive; whoever moves some kilobytes a second stays. */
static void test_trickling_does_not_help(void)
{
    static char piece[8192];
    struct hub_server s;
    int fds[3];

    memset(piece, 'x', sizeof piece - 1);
    start(&s, 2);
    fds[0] = dial_and_send(&s, POST("/read", "1000000"));
    fds[1] = dial_and_send(&s, POST("/read", "1000000"));
    for (int i = 0; i < 20; i++) {
        send_text(fds[0], piece);
        cress_sleep(0.1);
        send_text(fds[1], "x");
        cress_sleep(0.2);
    }
    cress_seconds before = cress_now();
    fds[2] = dial_and_ask(&s);
    assert_true(cress_now() - before < 0.5);
    assert_int_equal(broken, 1);
    assert_true(is_closed(fds[1]));
    assert_true(is_silent(fds[0]));
    close_all(&s, fds, 3);
}

static void test_each_stall_counts_by_itself(void)
{
    struct hub_server s;

    start(&s, 1);
    int slow = dial_and_send(&s, POST("/read-now-and-then", "100"));
    cress_sleep(5);
    send_text(slow, "abc");
    cress_sleep(5.01);
    assert_makes_room(&s, slow);
}

static void test_a_stall_that_is_over(void)
{
    struct hub_server s;
    int fds[2];

    start(&s, 1);
    fds[0] = dial_and_send(&s, POST("/read-beside", "1"));
    cress_sleep(5);
    send_text(fds[0], "x");
    cress_sleep(5);
    fds[1] = dial_and_send(&s, GET("/"));
    cress_sleep(5);
    assert_true(is_silent(fds[0]));
    assert_true(is_silent(fds[1]));
    cress_event_set(&woken);
    assert_answered(fds[0]);
    assert_answered(fds[1]);
    close_all(&s, fds, 2);
}

/* The kernel has its own time. */
static void await_stall(const unsigned *count)
{
    unsigned before;

    do {
        before = *count;
        usleep(150000);
        settle();
    } while (*count == 0 || *count != before);
}

static void test_slow_steady_readers_stay(void)
{
    static char buf[256 << 10];
    struct hub_server s;
    int fds[3], small = 32 << 10;

    start(&s, 2);
    assert_ok(
        setsockopt(cress_watch_fd(&s.listener.watch), SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    fds[0] = dial_and_send(&s, GET("/write"));
    fds[1] = dial_and_send(&s, "GET /write HTTP/1.0\r\nHost: a\r\n\r\n");
    await_stall(&written[0]);
    for (int i = 0; i < 60; i++) {
        for (unsigned before = written[1]; written[1] == before;)
            assert_true(cress_read(fds[0], buf, sizeof buf) > 0);
        cress_sleep(0.1);
    }
    fds[2] = dial_and_ask(&s);
    assert_int_equal(broken, 1);
    while (cress_read(fds[1], buf, sizeof buf) > 0)
        continue;
    assert_int_equal(errno, ECONNRESET); /* its answer does not look whole */
    for (int i = 0; i < 20; i++)
        assert_true(cress_read(fds[0], buf, sizeof buf) > 0);
    close_all(&s, fds, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_the_longest_idle_goes),
        HUB_TEST(test_nobody_goes_before_somebody_comes),
        HUB_TEST(test_nobody_goes_at_once),
        HUB_TEST(test_idle_ones_go_before_half_heads),
        HUB_TEST(test_a_silent_client_goes),
        HUB_TEST(test_half_a_head_gets_408),
        HUB_TEST(test_a_body_that_does_not_come),
        HUB_TEST(test_a_body_that_nobody_reads),
        HUB_TEST(test_a_client_that_does_not_read),
        HUB_TEST(test_one_that_was_refused_and_stays),
        HUB_TEST(test_handlers_that_wait_for_others_stay),
        HUB_TEST(test_upgraded_ones_may_be_silent),
        HUB_TEST(test_trickling_does_not_help),
        HUB_TEST(test_each_stall_counts_by_itself),
        HUB_TEST(test_a_stall_that_is_over),
        HUB_TEST(test_slow_steady_readers_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
