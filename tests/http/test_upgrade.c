#include "hub_test.h"
#include "wire.h"

#include <cress/event.h>
#include <cress/upgrade.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST(more) \
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n" more "\r\n"
#define SWITCHED                                                  \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" \
    "Upgrade: echo/1\r\n\r\n"

static cress_stream *switch_over(cress_response *res)
{
    cress_stream *stream;

    assert_ok(cress_upgrade(res, "echo/1", NULL, &stream));
    return stream;
}

static void begin(struct wire *w, cress_app *app, void *self)
{
    wire_init(w, app, self);
    wire_start(w);
}

/* ---- what comes and goes ---------------------------------------------------------------------- */

/* Until the client ends. */
static int echo(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    char buf[10];
    ssize_t got;

    (void)env, (void)self;
    while ((got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0) {
        trace("%zd", got);
        assert_ok(cress_stream_write_all(stream, buf, (size_t)got));
    }
    assert_int_equal(got, 0);
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 0);
    return 0;
}

static void test_what_was_read_ahead_comes_first(void)
{
    struct wire w;

    begin(&w, echo, NULL);
    wire_send(&w, REQUEST("") "hello, world\r\n");
    assert_trace("10\n4\n");
    wire_check_output(&w, SWITCHED "hello, world\r\n");
    wire_send(&w, "more");
    assert_trace("4\n");
    assert_false(w.is_closed);
    memory_stream_end(&w.stream);
    wire_settle();
    assert_true(w.is_closed);
    assert_false(w.lingers);
    assert_null(w.wrong);
    assert_int_equal(w.log.status, 101);
    assert_int_equal(w.log.body_bytes, 18);
    wire_finish(&w);
}

static bool comes_behind;

/* What comes while the handler waits for something else is taken in, up to a bound. */
static int wait_first(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    char buf[20000];
    size_t total = 0;
    ssize_t got;

    (void)env;
    assert_int_equal(cress_stream_pending(stream), comes_behind);
    assert_ok(cress_event_wait(self, CRESS_FOREVER));
    assert_true(cress_stream_pending(stream));
    while (total < 20000 && (got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            assert_int_equal(buf[i], 'a' + (char)((total + (size_t)i) % 26));
        total += (size_t)got;
    }
    trace("%zu", total);
    return 0;
}

static void check_reading_ahead(size_t behind)
{
    cress_event go = CRESS_EVENT_INIT;
    static char bytes[20000];
    struct wire w;
    int more = 1;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i % 26);
    begin(&w, wait_first, &go);
    comes_behind = behind > 0;
    memory_stream_send_text(&w.stream, REQUEST(""));
    wire_send_bytes(&w, bytes, behind);
    wire_send_bytes(&w, bytes + behind, sizeof bytes - behind);
    for (int i = 0; more > 0 && i < 100; i++)
        more = wire_pull(&w);
    assert_int_equal(more, 0); /* full */
    assert_true(w.stream.in_pos < w.stream.in_len);
    cress_event_set(&go);
    wire_settle();
    assert_trace("20000\n");
    assert_true(w.is_closed);
    assert_true(w.lingers); /* the client may have sent more */
    wire_finish(&w);
}

/* Behind a head that came alone, and behind such as came with some of it. */
static void test_reading_ahead(void)
{
    static const size_t behind[] = { 0, 20, 230, 800, 7000, 9000 };

    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++)
        check_reading_ahead(behind[i]);
}

static int write_many(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    struct iovec iov[20];

    (void)env, (void)self;
    for (int i = 0; i < 20; i++)
        iov[i] = (struct iovec){ &"0123456789abcdefghij"[i], 1 };
    assert_int_equal(cress_stream_writev(stream, iov, 20, 0), 20);
    assert_int_equal(cress_stream_writev(stream, NULL, 0, 0), 0);
    return 0;
}

static void test_many_pieces(void)
{
    struct wire w;

    begin(&w, write_many, NULL);
    memory_stream_set_room(&w.stream, sizeof SWITCHED - 1 + 10); /* in the middle of a batch */
    wire_send(&w, REQUEST(""));
    assert_false(w.is_closed);
    memory_stream_set_room(&w.stream, 1000);
    wire_settle();
    wire_check_output(&w, SWITCHED "0123456789abcdefghij");
    wire_finish(&w);
}

static int try_without_waiting(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    struct memory_stream *below = self;
    struct iovec iov = { "hello", 5 };
    char buf[10];

    (void)env;
    assert_errno(EAGAIN, cress_stream_read(stream, buf, sizeof buf, CRESS_STREAM_DONTWAIT));
    memory_stream_send_text(below, "hey");
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, CRESS_STREAM_DONTWAIT), 3);
    memory_stream_set_room(below, 3);
    assert_int_equal(cress_stream_writev(stream, &iov, 1, CRESS_STREAM_DONTWAIT), 3);
    assert_errno(EAGAIN, cress_stream_writev(stream, &iov, 1, CRESS_STREAM_DONTWAIT));
    return 0;
}

static void test_without_waiting(void)
{
    struct wire w;

    wire_init(&w, try_without_waiting, &w.stream);
    wire_start(&w);
    wire_send(&w, REQUEST(""));
    assert_true(w.is_closed);
    wire_check_output(&w, SWITCHED "hel");
    wire_finish(&w);
}

static int shut(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    char buf[10];

    (void)env, (void)self;
    assert_ok(cress_stream_shutdown(stream));
    assert_errno(EPIPE, cress_stream_write_all(stream, "x", 1));
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 3);
    cress_stream_close(stream);
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 0);
    return 0;
}

static void test_shutting_and_closing(void)
{
    struct wire w;

    begin(&w, shut, NULL);
    wire_send(&w, REQUEST("") "abc");
    assert_true(w.stream.is_shut);
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- two greenlets ------------------------------------------------------------------------------ */

static void *read_too(void *arg)
{
    char c;

    assert_errno(EBUSY, cress_stream_read(arg, &c, 1, 0));
    assert_ok(cress_stream_write_all(arg, "second", 6));
    return NULL;
}

static int read_twice(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    cress_greenlet *second = cress_spawn(read_too, stream);
    char buf[10];

    (void)env, (void)self;
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 5);
    cress_join(second, CRESS_FOREVER);
    cress_release(second);
    return 0;
}

static void test_one_reads_while_the_other_writes(void)
{
    struct wire w;

    begin(&w, read_twice, NULL);
    wire_send(&w, REQUEST(""));
    wire_check_output(&w, SWITCHED "second");
    wire_send(&w, "first");
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- limits --------------------------------------------------------------------------------------- */

static int sleep_long(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    switch_over(res);
    trace("%d", cress_sleep(1000));
    return 0;
}

static void test_the_limit_on_requests_does_not_count(void)
{
    struct wire w;

    wire_init(&w, sleep_long, NULL);
    w.request_timeout = 5;
    wire_start(&w);
    wire_send(&w, REQUEST(""));
    cress_sleep(2000);
    assert_trace("0\n");
    wire_finish(&w);
}

static int write_to_nobody(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    cress_seconds before = cress_now();

    (void)env, (void)self;
    assert_int_equal(cress_stream_write_all(stream, "x", 1), -1);
    trace("after %g s: %s", cress_now() - before, strerror(errno));
    errno = ETIMEDOUT;
    return -1;
}

static void test_a_client_that_does_not_read(void)
{
    struct wire w;

    wire_init(&w, write_to_nobody, NULL);
    w.config.write_timeout = 7;
    wire_start(&w);
    memory_stream_set_room(&w.stream, sizeof SWITCHED - 1);
    wire_send(&w, REQUEST(""));
    cress_sleep(20);
    assert_trace("after 7 s: Connection timed out\n");
    assert_null(w.wrong);
    wire_finish(&w);
}

/* ---- the client leaves ---------------------------------------------------------------------------- */

static int park(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);

    (void)env;
    if (self)
        cress_response_ignore_gone(res);
    trace("%s", cress_sleep(100) < 0 ? strerror(errno) : "slept");
    trace("%s", cress_stream_write_all(stream, "bye", 3) < 0 ? strerror(errno) : "written");
    return 0;
}

static void check_leaving(void *goes_on, int error, const char *expected, const char *output)
{
    struct wire w;

    begin(&w, park, goes_on);
    wire_send(&w, REQUEST(""));
    assert_int_equal(wire_pull(&w), 1);
    if (error)
        memory_stream_fail(&w.stream, error);
    else
        memory_stream_end(&w.stream);
    wire_pull(&w);
    assert_int_equal(cress_http1_leave(&w.http), !goes_on || error);
    cress_sleep(200);
    check_trace(expected, __FILE__, __LINE__);
    wire_check_output(&w, output);
    assert_false(w.lingers);
    wire_finish(&w);
}

static void test_a_client_that_leaves(void)
{
    check_leaving(NULL, 0, "Operation canceled\nOperation canceled\n", SWITCHED);
    check_leaving(NULL, ECONNRESET, "Operation canceled\nOperation canceled\n", SWITCHED);
}

static void test_a_half_closed_client(void)
{
    check_leaving("", 0, "slept\nwritten\n", SWITCHED "bye");
}

/* ---- what goes wrong -------------------------------------------------------------------------------- */

static int try_in_vain(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = NULL;

    (void)self;
    assert_true(cress_upgrade_offered(env, "ECHO/1"));
    assert_false(cress_upgrade_offered(env, "echo"));
    assert_false(cress_upgrade_offered(env, ""));
    assert_errno(EPROTONOSUPPORT, cress_upgrade(res, "other", NULL, &stream));
    assert_errno(EINVAL,
                 cress_upgrade(res, "echo/1", CRESS_HEADERS({ "Connection", "x" }), &stream));
    assert_errno(EINVAL, cress_upgrade(res, "echo/1", CRESS_HEADERS({ "Upgrade", "x" }), &stream));
    assert_errno(EINVAL,
                 cress_upgrade(res, "echo/1", CRESS_HEADERS({ "Content-Length", "1" }), &stream));
    assert_errno(EINVAL, cress_upgrade(res, "echo/1", CRESS_HEADERS({ "X", "a\nb" }), &stream));
    assert_null(stream);
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "no", 2));
    assert_errno(EALREADY, cress_upgrade(res, "echo/1", NULL, &stream));
    return 0;
}

static void test_what_cannot_be(void)
{
    struct wire w;

    begin(&w, try_in_vain, NULL);
    wire_send(&w, REQUEST(""));
    wire_check_output(&w,
                      "HTTP/1.1 200 OK\r\nDate: *\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n"
                      "0\r\n\r\n");
    assert_false(w.is_closed);
    wire_finish(&w);
}

static int try_before_the_body(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream;

    (void)env, (void)self;
    return cress_upgrade(res, "echo/1", NULL, &stream);
}

static void test_too_large_a_body(void)
{
    static char body[100000];
    struct wire w;

    begin(&w, try_before_the_body, NULL);
    wire_send(&w, REQUEST("Content-Length: 1000000\r\n"));
    wire_send_bytes(&w, body, sizeof body);
    char *output = wire_output(&w);
    assert_int_equal(strncmp(output, "HTTP/1.1 413 ", 13), 0);
    free(output);
    assert_true(w.is_closed);
    assert_true(w.lingers);
    wire_finish(&w);
}

/* ---- a server that stops --------------------------------------------------------------------- */

static int take_leave(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream = switch_over(res);
    char buf[10];
    ssize_t got;

    (void)env;
    while ((got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0) {
        trace("%zd", got);
        assert_ok(cress_event_wait(self, CRESS_FOREVER));
    }
    trace("%zd", got);
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 0);
    return cress_stream_write_all(stream, "bye", 3);
}

static void test_a_server_that_stops(void)
{
    cress_event go = CRESS_EVENT_INIT;
    struct wire w;

    begin(&w, take_leave, &go);
    wire_send(&w, REQUEST(""));
    assert_false(cress_http1_awaits_client(&w.http)); /* it may be silent for as long as it likes */
    wire_send(&w, "one");
    assert_trace("3\n");
    wire_send(&w, "two");
    assert_false(cress_http1_stop(&w.http)); /* it does not read just now */
    cress_event_set(&go);
    wire_settle();
    assert_trace("3\n0\n"); /* what has come, and no more */
    wire_check_output(&w, SWITCHED "bye");
    assert_true(w.is_closed);
    assert_true(w.lingers); /* the client may have sent more */
    wire_finish(&w);
}

static int fail_later(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    switch_over(res);
    errno = EIO;
    return -1;
}

static void test_failing_later(void)
{
    struct wire w;

    begin(&w, fail_later, NULL);
    wire_send(&w, REQUEST(""));
    wire_check_output(&w, SWITCHED);
    assert_string_equal(w.wrong, "failed after its response had begun: Input/output error");
    assert_true(w.is_closed);
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_what_was_read_ahead_comes_first),
        HUB_TEST(test_reading_ahead),
        HUB_TEST(test_many_pieces),
        HUB_TEST(test_without_waiting),
        HUB_TEST(test_shutting_and_closing),
        HUB_TEST(test_one_reads_while_the_other_writes),
        HUB_TEST(test_the_limit_on_requests_does_not_count),
        HUB_TEST(test_a_client_that_does_not_read),
        HUB_TEST(test_a_client_that_leaves),
        HUB_TEST(test_a_half_closed_client),
        HUB_TEST(test_what_cannot_be),
        HUB_TEST(test_too_large_a_body),
        HUB_TEST(test_a_server_that_stops),
        HUB_TEST(test_failing_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
