#include "../../http/block.h"
#include "count_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <cress/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
#define HELLO                                                                                     \
    "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nhello, " \
    "world\n"

/* ---- what asks for memory -------------------------------------------------------------- */

void __real_free(void *old);
void __wrap_free(void *old);

/* Giving back counts, too. */
void __wrap_free(void *old)
{
    allocations++;
    __real_free(old);
}

/* ---- apps ------------------------------------------------------------------------------ */

static int hello(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

/* Uses all the rest as well: fields, parameters, request memory, a body both ways. */
static int busy(cress_environ *env, cress_response *res, void *self)
{
    cress_str body;

    (void)self;
    if (cress_input_read_all(env, 1000, &body) < 0 || !cress_query_get(env, "q").data ||
        !cress_header_get(env, "Cookie").data || !cress_environ_alloc(env, 2000) ||
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })) < 0)
        return -1;
    for (int i = 0; i < 10; i++)
        if (cress_response_printf(res, "%d %s\n", i, cress_path(env).data) < 0)
            return -1;
    return 0;
}

static char *outputs_of(size_t count)
{
    char *text = calloc(count + 1, sizeof HELLO);

    for (size_t i = 0; i < count; i++)
        strcat(text, HELLO);
    return text;
}

/* ---- the warm path ------------------------------------------------------------------------ */

static void check_warm(struct wire *w, const char *request, cress_app *app)
{
    wire_init(w, app, NULL);
    w->mode = WIRE_RESTING;
    wire_start(w);
    for (int i = 0; i < 20; i++)
        wire_send(w, request);
    memory_stream_clear(&w->stream);
    w->stream.reads = w->stream.writes = w->stream.refused = 0;

    allocations = 0;
    for (int i = 0; i < 20; i++) {
        w->stream.in_pos = 0; /* the same bytes once more */
        w->stream.in_len = strlen(request);
        cress_event_set(&w->stream.readable);
        wire_settle();
        memory_stream_clear(&w->stream);
    }
    assert_int_equal(allocations, 0);
    assert_int_equal(w->http.requests, 40);
    assert_int_equal(w->stream.reads, 20);
    assert_int_equal(w->stream.writes, 20);
    assert_int_equal(w->stream.refused, 0);
    wire_finish(w);
}

static void test_a_warm_request_allocates_nothing(void)
{
    static const char browser[] =
        "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\n"
        "Cache-Control: max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"126\", \"Not A Brand\";v=\"8\"\r\n"
        "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n"
        "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n"
        "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n"
        "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
        "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";
    struct wire w;

    check_warm(&w, GET, hello);
    check_warm(&w, browser, busy);
    check_warm(&w,
               "POST /path?q=1 HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\n"
               "Content-Length: 5\r\n\r\nhello",
               busy);
}

/* ---- between requests ----------------------------------------------------------------------- */

static void test_an_idle_connection_holds_nothing(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    w.mode = WIRE_RESTING;
    wire_start(&w);
    assert_true(cress_http1_idle(&w.http));
    wire_send(&w, "GET / HT");
    assert_false(cress_http1_idle(&w.http));
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 1);
    assert_int_equal(block_count_out(BLOCK_OUTPUT), 0);
    wire_send(&w, "TP/1.1\r\nHost: a\r\n\r\n");
    assert_true(cress_http1_idle(&w.http));
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 0);
    assert_int_equal(block_count_out(BLOCK_OUTPUT), 0);
    assert_int_equal(w.http.requests, 1);
    wire_finish(&w);
}

static int park(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_sleep(10) < 0 ? -1 : cress_respond(res, 204, NULL, NULL, 0);
}

static void test_a_parked_handler_holds_no_output(void)
{
    struct wire w;

    wire_init(&w, park, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 1);
    assert_int_equal(block_count_out(BLOCK_OUTPUT), 0);
    wire_finish(&w);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 0);
}

static void test_an_end_between_requests(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    w.mode = WIRE_RESTING;
    wire_start(&w);
    wire_send(&w, GET);
    memory_stream_end(&w.stream);
    wire_settle();
    assert_true(w.is_closed);
    assert_false(w.lingers);
    wire_finish(&w);
}

static void test_an_end_within_a_head(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    wire_start(&w);
    wire_send(&w, "GET / HTTP/1.1\r\nHost: a\r\n");
    memory_stream_end(&w.stream);
    wire_settle();
    assert_true(w.is_closed);
    assert_int_equal(w.stream.out_len, 0);
    wire_finish(&w);
}

static void test_a_reset_between_requests(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    wire_start(&w);
    memory_stream_fail(&w.stream, ECONNRESET);
    wire_settle();
    assert_true(w.is_closed);
    assert_true(w.http.gone);
    wire_finish(&w);
}

static void test_closing_on_request(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    w.mode = WIRE_RESTING;
    wire_start(&w);
    wire_send(&w, "GET / HTTP");
    w.http.closing = true; /* as a draining server does */
    wire_send(&w, "/1.1\r\n");
    assert_true(w.is_closed);
    wire_finish(&w);
}

static int drain(cress_environ *env, cress_response *res, void *self)
{
    struct wire *w = self;

    (void)env;
    w->http.closing = true;
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void test_closing_during_a_request(void)
{
    struct wire w;

    wire_init(&w, drain, &w);
    wire_start(&w);
    wire_send(&w, GET GET);
    wire_check_output(
        &w, "HTTP/1.1 200 OK\r\nDate: *\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- pipelining: RFC 9112 9.3.2 ---------------------------------------------------------------- */

static void check_batch(size_t count, size_t max_writes)
{
    struct wire w;
    char *expected = outputs_of(count);

    wire_init(&w, hello, NULL);
    w.mode = WIRE_RESTING;
    for (size_t i = 0; i < count; i++)
        memory_stream_send_text(&w.stream, GET);
    wire_start(&w);
    wire_check_output(&w, expected);
    assert_true(w.stream.writes <= max_writes);
    free(expected);
    wire_finish(&w);
}

static void test_a_batch_is_answered_in_one_send(void)
{
    check_batch(1, 1);
    check_batch(2, 1);
    check_batch(16, 1);
    check_batch(1000, 20);
}

/* The half request behind them does not hold the answers back. */
static void test_a_batch_with_half_a_request(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    wire_start(&w);
    wire_send(&w, GET GET "GET / HT");
    assert_int_equal(w.stream.writes, 1);
    assert_int_equal(w.http.requests, 2);
    wire_send(&w, "TP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(w.stream.writes, 2);
    wire_finish(&w);
}

static int second_sleeps(cress_environ *env, cress_response *res, void *self)
{
    if (strcmp(cress_path(env).data, "/") != 0 && cress_sleep(5) < 0)
        return -1;
    return hello(env, res, self);
}

/* Nor does a handler that waits. */
static void test_a_batch_with_a_slow_request(void)
{
    struct wire w;

    wire_init(&w, second_sleeps, NULL);
    wire_start(&w);
    wire_send(&w, GET "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    assert_int_equal(w.stream.writes, 1);
    assert_int_equal(w.http.requests, 2);
    cress_sleep(6);
    assert_int_equal(w.stream.writes, 2);
    assert_int_equal(w.http.requests, 3);
    wire_finish(&w);
}

/* ---- refusals ------------------------------------------------------------------------------------- */

static void check_refusal(struct wire *w, const char *expected)
{
    char *output = wire_output(w);

    assert_string_equal(output, expected);
    free(output);
    assert_true(w->http.linger);
    assert_int_equal(cress_http1_next(&w->http, false), CRESS_HTTP1_CLOSE);
    cress_http1_destroy(&w->http);
    wire_finish(w);
}

static void test_a_slow_head_is_refused(void)
{
    struct wire w;
    cress_http1_log log;

    wire_init(&w, hello, NULL);
    memory_stream_send_text(&w.stream, "GET / HTTP/1.1\r\nHos");
    assert_int_equal(cress_http1_next(&w.http, false), CRESS_HTTP1_WAIT);
    assert_false(cress_http1_idle(&w.http));
    cress_http1_refuse(&w.http, 408, -1);
    cress_http1_get_log(&w.http, &log);
    assert_int_equal(log.status, 408);
    assert_string_equal(cress_http1_refusal(&w.http), "a head too slow");
    assert_null(log.method.data);
    check_refusal(&w,
                  "HTTP/1.1 408 Request Timeout\r\nDate: *\r\nConnection: close\r\n"
                  "Content-Type: text/plain\r\nContent-Length: 20\r\n\r\n408 Request Timeout\n");
}

static void test_an_overloaded_server(void)
{
    struct wire w;
    cress_http1_log log;

    wire_init(&w, hello, NULL);
    memory_stream_send_text(&w.stream, GET);
    assert_int_equal(cress_http1_next(&w.http, false), CRESS_HTTP1_REQUEST);
    cress_http1_refuse(&w.http, 503, 5);
    cress_http1_get_log(&w.http, &log);
    assert_int_equal(log.status, 503);
    assert_string_equal(log.target.data, "/");
    check_refusal(&w, "HTTP/1.1 503 Service Unavailable\r\nDate: *\r\nConnection: close\r\n"
                      "Content-Type: text/plain\r\nContent-Length: 24\r\nRetry-After: 5\r\n\r\n"
                      "503 Service Unavailable\n");
}

static void test_refusing_before_a_byte(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    cress_http1_refuse(&w.http, 503, -1);
    check_refusal(&w, "HTTP/1.1 503 Service Unavailable\r\nDate: *\r\nConnection: close\r\n"
                      "Content-Type: text/plain\r\nContent-Length: 24\r\n\r\n"
                      "503 Service Unavailable\n");
}

/* next says CLOSE when its wait was ended; what has arrived can still be refused. */
/* Some clients send one behind a body. It begins no request that could be late. */
static void test_an_empty_line_is_no_request(void)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    w.mode = WIRE_RESTING;
    wire_start(&w);
    wire_send(&w, GET "\r\n");
    assert_true(cress_http1_idle(&w.http));
    wire_send(&w, "G");
    assert_false(cress_http1_idle(&w.http));
    wire_send(&w, &GET[1]);
    assert_true(cress_http1_idle(&w.http));
    wire_send(&w, "\r");
    assert_false(cress_http1_idle(&w.http));
    wire_finish(&w);
}

static void test_a_limit_over_next(void)
{
    struct wire w;
    cress_timeout limit;

    wire_init(&w, hello, NULL);
    memory_stream_send_text(&w.stream, "GET /");
    cress_timeout_start(&limit, 5);
    assert_int_equal(cress_http1_next(&w.http, true), CRESS_HTTP1_CLOSE);
    assert_int_equal(errno, ETIMEDOUT);
    cress_timeout_close(&limit);
    assert_false(cress_http1_idle(&w.http));
    cress_http1_refuse(&w.http, 408, -1);
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 408 ", 13), 0);
    cress_http1_destroy(&w.http);
    wire_finish(&w);

    /* Without a byte there is nobody to answer. */
    wire_init(&w, hello, NULL);
    cress_timeout_start(&limit, 5);
    assert_int_equal(cress_http1_next(&w.http, true), CRESS_HTTP1_CLOSE);
    cress_timeout_close(&limit);
    assert_true(cress_http1_idle(&w.http));
    cress_http1_destroy(&w.http);
    wire_finish(&w);
}

/* ---- the client leaves --------------------------------------------------------------------------------- */

static int wait_long(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    if (strcmp(cress_path(env).data, "/keep") == 0)
        cress_response_ignore_gone(res);
    int result = cress_sleep(100);
    trace("%s", result < 0 ? strerror(errno) : "slept");
    return result < 0 ? -1 : cress_respond(res, 200, NULL, NULL, 0);
}

static void check_leaving(const char *request, int error, bool allow_half_close, const char *seen)
{
    struct wire w;

    wire_init(&w, wait_long, NULL);
    w.config.allow_half_close = allow_half_close;
    wire_start(&w);
    wire_send(&w, request);
    assert_int_equal(wire_pull(&w), 1);
    if (error)
        memory_stream_fail(&w.stream, error);
    else
        memory_stream_end(&w.stream);
    wire_pull(&w);
    cress_sleep(200);
    check_trace(seen, __FILE__, __LINE__);
    assert_true(w.is_closed);
    assert_int_equal(w.stream.out_len > 0, allow_half_close && !error);
    wire_finish(&w);
}

static void test_a_client_that_leaves_cancels_the_handler(void)
{
    check_leaving(GET, 0, false, "Operation canceled\n");
    check_leaving(GET, ECONNRESET, false, "Operation canceled\n");
    check_leaving(GET, ECONNRESET, true, "Operation canceled\n");
}

static void test_a_handler_that_goes_on(void)
{
    check_leaving("GET /keep HTTP/1.1\r\nHost: a\r\n\r\n", 0, false, "slept\n");
}

static void test_a_half_closed_client(void)
{
    check_leaving(GET, 0, true, "slept\n");
}

/* What a server does at each turn of its loop. */
static void *look_at_the_client(void *arg)
{
    for (int i = 0; i < 20 && cress_sleep(0) == 0; i++)
        wire_pull(arg);
    return NULL;
}

static int read_and_write_for_long(cress_environ *env, cress_response *res, void *self)
{
    cress_greenlet *looker = cress_spawn(look_at_the_client, self);
    char byte;
    int count = 0;

    cress_release(looker);
    while (cress_input_read(env, &byte, 1) > 0)
        count++;
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (cress_response_printf(res, "%d\n", i) < 0 || cress_response_flush(res) < 0)
            return -1;
    return 0;
}

/* Letting others run is no waiting. */
static void test_a_half_closed_client_of_a_busy_handler(void)
{
    static char head[] = "POST / HTTP/1.0\r\nContent-Length: 200\r\n\r\n", body[200];
    struct wire w;

    wire_init(&w, read_and_write_for_long, &w);
    wire_start(&w);
    memory_stream_send(&w.stream, head, sizeof head - 1);
    memory_stream_send(&w.stream, body, sizeof body);
    memory_stream_end(&w.stream);
    wire_settle();
    char *output = wire_output(&w);
    assert_true(output[0]);
    assert_string_equal(output + strlen(output) - 4, "199\n");
    free(output);
    wire_finish(&w);
}

static int wait_for_gone(cress_environ *env, cress_response *res, void *self)
{
    cress_waitable *objects[] = { self, cress_response_gone(res) };

    (void)env;
    trace("%zd", cress_wait_any(objects, 2, CRESS_FOREVER));
    assert_errno(EPIPE, cress_respond(res, 200, NULL, NULL, 0));
    return -1;
}

static void test_waiting_for_the_clients_leaving(void)
{
    cress_event never = CRESS_EVENT_INIT;
    struct wire w;

    wire_init(&w, wait_for_gone, &never.waitable);
    wire_start(&w);
    wire_send(&w, GET);
    memory_stream_end(&w.stream);
    assert_int_equal(cress_http1_pull(&w.http), -1);
    wire_settle();
    assert_trace("1\n");
    assert_null(w.wrong);
    assert_true(w.is_closed);
    wire_finish(&w);
}

static int write_then_wait(cress_environ *env, cress_response *res, void *self)
{
    struct wire *w = self;

    (void)env;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "x", 1));
    memory_stream_fail(&w->stream, EPIPE);
    trace("%zd", cress_wait_any((cress_waitable *[]){ cress_response_gone(res) }, 1, 50));
    return -1;
}

/* The reset shows when collected output is pushed, while the handler parks; the next look
 * at the connection wakes it. */
static void test_leaving_is_seen_by_a_push(void)
{
    struct wire w;

    wire_init(&w, write_then_wait, &w);
    wire_start(&w);
    wire_send(&w, GET);
    assert_true(w.http.gone);
    assert_trace("");
    assert_int_equal(cress_http1_pull(&w.http), -1);
    wire_settle();
    assert_trace("0\n");
    assert_true(w.is_closed);
    assert_int_equal(w.stream.out_len, 0);
    wire_finish(&w);
}

static int answer_much(cress_environ *env, cress_response *res, void *self)
{
    static const char body[100000];

    (void)env, (void)self;
    return cress_respond(res, 200, NULL, body, sizeof body);
}

/* It may have half-closed: a write finds out by itself whether anybody reads it. */
static void test_an_end_while_a_write_waits(void)
{
    struct wire w;

    wire_init(&w, answer_much, NULL);
    memory_stream_set_room(&w.stream, 1000);
    wire_start(&w);
    wire_send(&w, GET);
    memory_stream_end(&w.stream);
    assert_int_equal(wire_pull(&w), 0);
    wire_settle();
    assert_false(w.http.gone);
    memory_stream_set_room(&w.stream, SIZE_MAX);
    wire_settle();
    assert_true(w.stream.out_len > 100000);
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- reading ahead ----------------------------------------------------------------------------------------- */

static int short_wait(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    if (cress_sleep(1) < 0)
        return -1;
    return hello(env, res, NULL);
}

static void test_pipelined_requests_are_taken_in_meanwhile(void)
{
    struct wire w;
    int pulls = 0;
    size_t sent = 0;

    wire_init(&w, short_wait, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    do {
        memory_stream_send_text(&w.stream, GET);
        sent++;
        pulls++;
    } while (wire_pull(&w) > 0 && pulls < 10000);
    assert_true(pulls > 100 && pulls < 300); /* as much as the buffer holds, no more */
    assert_int_equal(wire_pull(&w), 0);
    while (w.http.requests < sent + 1)
        cress_sleep(1);
    cress_sleep(2);
    char *expected = outputs_of(sent + 1);
    wire_check_output(&w, expected);
    free(expected);
    wire_finish(&w);
}

static int read_later(cress_environ *env, cress_response *res, void *self)
{
    cress_str body;

    (void)self;
    if (cress_sleep(1) < 0 || cress_input_read_all(env, 100, &body) < 0)
        return -1;
    return cress_respond(res, 200, NULL, body.data, body.len);
}

static void test_a_body_is_taken_in_meanwhile(void)
{
    struct wire w;

    wire_init(&w, read_later, NULL);
    wire_start(&w);
    wire_send(&w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    memory_stream_send_text(&w.stream, "def" GET);
    assert_int_equal(wire_pull(&w), 1);
    cress_sleep(3);
    assert_non_null(strstr(w.stream.out, "\r\n\r\nabcdefHTTP/1.1 200 OK\r\n"));
    wire_finish(&w);
}

/* ---- the end of a request that was stopped --------------------------------------------------------------------- */

static void test_a_late_handler_is_answered_for(void)
{
    struct wire w;

    wire_init(&w, wait_long, NULL);
    w.request_timeout = 10;
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(11);
    assert_trace("Connection timed out\n");
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 503 ", 13), 0);
    assert_false(w.is_closed);
    wire_finish(&w);
}

static int ignore_limit(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    cress_sleep(100);
    cress_respond(res, 200, NULL, NULL, 0);
    return 0;
}

static void test_a_late_handler_that_says_all_is_well(void)
{
    struct wire w;

    wire_init(&w, ignore_limit, NULL);
    w.request_timeout = 10;
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(11);
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 503 ", 13), 0);
    assert_null(w.wrong);
    wire_finish(&w);
}

/* A server that shuts down kills its connections: the client is told. */
static void test_a_killed_handler_is_answered_for(void)
{
    struct wire w;

    wire_init(&w, wait_long, NULL);
    w.config.write_timeout = 5;
    memory_stream_set_room(&w.stream, 10);
    wire_start(&w);
    wire_send(&w, GET);
    cress_cancel(w.greenlet);
    wire_settle();
    assert_trace("Operation canceled\n");
    assert_int_equal(w.stream.out_len, 10);
    assert_false(w.is_closed);
    memory_stream_set_room(&w.stream, 1000); /* also one that reads slowly */
    wire_settle();
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 503 ", 13), 0);
    assert_true(w.is_closed);
    wire_finish(&w);
}

static int read_body(cress_environ *env, cress_response *res, void *self)
{
    cress_str body;

    (void)self;
    if (cress_input_read_all(env, SIZE_MAX, &body) < 0)
        return -1;
    return cress_respond(res, 204, NULL, NULL, 0);
}

/* Nobody waits for the rest of its body. */
static void test_a_handler_killed_in_its_body(void)
{
    struct wire w;

    wire_init(&w, read_body, NULL);
    wire_start(&w);
    wire_send(&w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nabc");
    cress_cancel(w.greenlet);
    wire_settle();
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 503 ", 13), 0);
    assert_true(w.is_closed);
    wire_finish(&w);
}

static int write_without_end(cress_environ *env, cress_response *res, void *self)
{
    char line[100] = "";

    (void)env, (void)self;
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    while (cress_response_write(res, line, sizeof line) == 0)
        continue;
    trace("%s", strerror(errno));
    return -1;
}

/* Nor for a client that does not read, once its time is over. */
static void test_a_late_handler_whose_client_does_not_read(void)
{
    struct wire w;

    wire_init(&w, write_without_end, NULL);
    w.request_timeout = 10;
    w.config.write_timeout = 600;
    memory_stream_set_room(&w.stream, 1000);
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(9);
    assert_false(w.is_closed);
    cress_sleep(2);
    assert_trace("Connection timed out\n");
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- for logs and reports ----------------------------------------------------------------------------------------- */

static int describe_self(cress_environ *env, cress_response *res, void *self)
{
    struct wire *w = self;
    char buf[64], small[8] = "1234567", name[64];

    (void)env;
    cress_http1_describe(&w->http, buf, sizeof buf);
    cress_http1_describe(&w->http, small, sizeof small);
    cress_http1_describe(&w->http, small, 0);
    trace("%s|%s|%s", buf, small, cress_name(cress_self(), name, sizeof name));
    return hello(env, res, NULL);
}

static void test_names(void)
{
    struct wire w;
    char buf[64];

    wire_init(&w, describe_self, &w);
    wire_start(&w);
    cress_http1_describe(&w.http, buf, sizeof buf);
    assert_string_equal(buf, "HTTP connection");
    wire_send(&w, "GET /some/where?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_trace("GET /some/where|GET /so|GET /some/where\n");
    wire_send(&w, "GET /%0d%0aa%1b[1m%7f%c2%9b1m%9b2m%9b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_trace("GET /??a?[1m?\xc2?1m?2m?|GET /??|GET /??a?[1m?\xc2?1m?2m?\n");
    wire_send(&w, "GET /%c3%a4%c3%9b%e2%9b%b5 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_trace("GET /\xc3\xa4\xc3\x9b\xe2\x9b\xb5|GET /\xc3\xa4|"
                 "GET /\xc3\xa4\xc3\x9b\xe2\x9b\xb5\n");
    wire_finish(&w);
}

static void test_log(void)
{
    struct wire w;
    cress_http1_log log;

    wire_init(&w, hello, NULL);
    cress_http1_get_log(&w.http, &log);
    assert_int_equal(log.status, 0);
    memory_stream_send_text(&w.stream, "GET /a?b HTTP/1.0\r\nReferer: r\r\nUser-Agent: u\r\n\r\n");
    assert_int_equal(cress_http1_next(&w.http, false), CRESS_HTTP1_REQUEST);
    assert_ok(hello(cress_http1_environ(&w.http), cress_http1_response(&w.http), NULL));
    assert_null(cress_http1_finish(&w.http, 0, 0));
    cress_http1_get_log(&w.http, &log);
    assert_string_equal(log.method.data, "GET");
    assert_string_equal(log.target.data, "/a?b");
    assert_string_equal(log.referer.data, "r");
    assert_string_equal(log.user_agent.data, "u");
    assert_int_equal(log.minor, 0);
    assert_int_equal(log.status, 200);
    assert_int_equal(log.body_bytes, 13);
    assert_null(cress_http1_refusal(&w.http));
    assert_int_equal(cress_http1_next(&w.http, false), CRESS_HTTP1_CLOSE);
    cress_http1_destroy(&w.http);
    wire_finish(&w);
}

static void check_reason(const char *request, int status, const char *expected)
{
    struct wire w;
    cress_http1_log log;

    wire_init(&w, hello, NULL);
    assert_null(cress_http1_refusal(&w.http));
    memory_stream_send_text(&w.stream, request);
    assert_int_equal(cress_http1_next(&w.http, false), CRESS_HTTP1_CLOSE);
    cress_http1_get_log(&w.http, &log);
    assert_int_equal(log.status, status);
    assert_true(w.http.refused);
    assert_string_equal(cress_http1_refusal(&w.http), expected);
    cress_http1_destroy(&w.http);
    wire_finish(&w);
}

/* Nothing of the request is in it. */
static void test_reasons(void)
{
    check_reason("GET / HTTP/1.1\n", 400, "a bare line feed");
    check_reason("GET / HTTP/1.1\r\n\r\n", 400, "no Host");
    check_reason("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "a second Host");
    check_reason("GET / HTTP/1.1\r\nHost: a\r\n b\r\n", 400, "a folded line");
    check_reason("BREW / HTTP/1.1\r\n", 501, "a method that is not served");
    check_reason("GET / HTTP/3.0\r\n", 505, "another version");
    check_reason("GET / HTTP/1.1\r\nHost: a\r\nX: \001\r\n", 400, "a control byte in a field");
}

/* ---- what was not read: RFC 9112 9.6 ------------------------------------------------------------------------------ */

static bool lingers(const char *request, bool ends)
{
    struct wire w;

    wire_init(&w, hello, NULL);
    w.mode = WIRE_RESTING;
    memory_stream_send_text(&w.stream, request);
    if (ends)
        memory_stream_end(&w.stream);
    wire_start(&w);
    assert_true(w.is_closed);
    bool result = w.lingers;
    wire_finish(&w);
    return result;
}

/* To close on it would reset the connection, and the answer could be lost. */
static void test_lingering_over_what_was_not_read(void)
{
    assert_false(lingers("GET / HTTP/1.0\r\n\r\n", false));
    assert_true(lingers("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", false));
    assert_true(lingers("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nx", false));
    assert_false(lingers("GET / HTTP/1.1\r\nHost: a\r\n", true)); /* nobody was answered */
}

/* ---- all of it at once ---------------------------------------------------------------------------------------------- */

static void test_serve(void)
{
    struct memory_stream stream;
    cress_http1_config config = { .keep_alive = 5, .server_software = "" };

    memory_stream_init(&stream);
    memory_stream_send_text(&stream, GET GET);
    memory_stream_end(&stream);
    cress_http1_serve(&stream.stream, &config, NULL, hello, NULL);
    const char *second = strstr(stream.out + 1, "HTTP/1.1 200 OK\r\n");
    assert_non_null(second);
    assert_string_equal(strstr(second, "\r\n\r\n"), "\r\n\r\nhello, world\n");
    assert_false(stream.is_closed);
    memory_stream_finish(&stream);
}

static void *get_local(void *arg, const struct cress_local *key)
{
    return cress_http1_local(arg, key);
}

static void test_destroying_in_the_middle(void)
{
    static const cress_greenlet_hooks hooks = { .local = get_local };
    struct wire w;

    wire_init(&w, hello, NULL);
    memory_stream_send_text(&w.stream, GET);
    cress_set_hooks(cress_self(), &hooks, &w.http);
    assert_int_equal(cress_http1_next(&w.http, false), CRESS_HTTP1_REQUEST);
    assert_ptr_equal(cress_environ_current(), cress_http1_environ(&w.http));
    errno = EXDEV;
    cress_http1_destroy(&w.http);
    cress_http1_destroy(NULL);
    assert_int_equal(errno, EXDEV);
    assert_null(cress_environ_current());
    cress_set_hooks(cress_self(), NULL, NULL);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 0);
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_a_warm_request_allocates_nothing),
        HUB_TEST(test_an_idle_connection_holds_nothing),
        HUB_TEST(test_a_parked_handler_holds_no_output),
        HUB_TEST(test_an_end_between_requests),
        HUB_TEST(test_an_end_within_a_head),
        HUB_TEST(test_a_reset_between_requests),
        HUB_TEST(test_closing_on_request),
        HUB_TEST(test_closing_during_a_request),
        HUB_TEST(test_a_batch_is_answered_in_one_send),
        HUB_TEST(test_a_batch_with_half_a_request),
        HUB_TEST(test_a_batch_with_a_slow_request),
        HUB_TEST(test_a_slow_head_is_refused),
        HUB_TEST(test_an_overloaded_server),
        HUB_TEST(test_refusing_before_a_byte),
        HUB_TEST(test_an_empty_line_is_no_request),
        HUB_TEST(test_a_limit_over_next),
        HUB_TEST(test_a_client_that_leaves_cancels_the_handler),
        HUB_TEST(test_a_handler_that_goes_on),
        HUB_TEST(test_a_half_closed_client),
        HUB_TEST(test_a_half_closed_client_of_a_busy_handler),
        HUB_TEST(test_waiting_for_the_clients_leaving),
        HUB_TEST(test_leaving_is_seen_by_a_push),
        HUB_TEST(test_an_end_while_a_write_waits),
        HUB_TEST(test_pipelined_requests_are_taken_in_meanwhile),
        HUB_TEST(test_a_body_is_taken_in_meanwhile),
        HUB_TEST(test_a_late_handler_is_answered_for),
        HUB_TEST(test_a_late_handler_that_says_all_is_well),
        HUB_TEST(test_a_killed_handler_is_answered_for),
        HUB_TEST(test_a_handler_killed_in_its_body),
        HUB_TEST(test_a_late_handler_whose_client_does_not_read),
        HUB_TEST(test_names),
        HUB_TEST(test_log),
        HUB_TEST(test_reasons),
        HUB_TEST(test_lingering_over_what_was_not_read),
        HUB_TEST(test_serve),
        HUB_TEST(test_destroying_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
