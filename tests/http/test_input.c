#include "hub_test.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POST(fields, body) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define NEXT "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

static int answer(cress_response *res)
{
    return cress_respond(res, 200, NULL, NULL, 0);
}

static bool is_next(const cress_environ *env)
{
    return strcmp(cress_path(env).data, "/next") == 0;
}

static void assert_output_begins(const struct wire *w, const char *with)
{
    char *output = wire_output(w);

    if (strncmp(output, with, strlen(with)) != 0)
        fail_msg("expected %s...\ngot %s", with, output);
    free(output);
}

/* ---- pieces -------------------------------------------------------------------------------- */

static int trace_pieces(cress_environ *env, cress_response *res, void *self)
{
    size_t size = *(size_t *)self;
    char *buf = malloc(size + 1);
    ssize_t got;

    while ((got = cress_input_read(env, buf, size)) > 0) {
        buf[got] = '\0';
        trace("[%s]", buf);
    }
    trace("%s: %zd", cress_path(env).data, got);
    if (got == 0) /* it stays the end */
        assert_int_equal(cress_input_read(env, buf, size), 0);
    free(buf);
    return got < 0 ? -1 : answer(res);
}

static void test_reads_give_what_is_there(void)
{
    size_t size = 100;
    struct wire w;

    wire_init(&w, trace_pieces, &size);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 10\r\n", "abc"));
    wire_send(&w, "defg");
    assert_trace("[abc]\n[defg]\n");
    wire_send(&w, "hij" NEXT);
    assert_trace("[hij]\n/: 0\n/next: 0\n");
    wire_finish(&w);
}

static void test_small_reads(void)
{
    size_t size = 2;
    struct wire w;

    wire_init(&w, trace_pieces, &size);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 5\r\n", "abc"));
    wire_send(&w, "de" NEXT);
    assert_trace("[ab]\n[c]\n[de]\n/: 0\n/next: 0\n");
    wire_send(&w, POST(CHUNKED, "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n" NEXT));
    assert_trace("[ab]\n[c]\n[d]\n/: 0\n/next: 0\n");
    wire_finish(&w);
}

static void test_a_read_of_nothing(void)
{
    size_t size = 0;
    struct wire w;

    wire_init(&w, trace_pieces, &size);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 5\r\n", "abcde" NEXT));
    assert_trace("/: 0\n/next: 0\n");
    wire_finish(&w);
}

/* ---- large bodies, in constant memory ---------------------------------------------------------- */

struct sum {
    size_t size, bytes, reads;
    unsigned sum;
};

static int sum_up(cress_environ *env, cress_response *res, void *self)
{
    struct sum *sum = self;
    unsigned char *buf = malloc(sum->size);
    ssize_t got;

    while ((got = cress_input_read(env, buf, sum->size)) > 0) {
        sum->bytes += (size_t)got;
        sum->reads++;
        for (ssize_t i = 0; i < got; i++)
            sum->sum = sum->sum * 31 + buf[i];
    }
    free(buf);
    return got < 0 ? -1 : answer(res);
}

static unsigned send_counted(struct wire *w, size_t len)
{
    char *body = malloc(len);
    unsigned sum = 0;

    for (size_t i = 0; i < len; i++) {
        body[i] = (char)(i * 7 + i / 251);
        sum = sum * 31 + (unsigned char)body[i];
    }
    memory_stream_send(&w->stream, body, len);
    free(body);
    return sum;
}

static void test_a_large_counted_body_goes_straight(void)
{
    struct sum sum = { .size = 1 << 16 };
    struct wire w;

    wire_init(&w, sum_up, &sum);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 1000000\r\n", ""));
    unsigned expected = send_counted(&w, 1000000);
    wire_send(&w, NEXT);
    assert_int_equal(sum.bytes, 1000000);
    assert_int_equal(sum.sum, expected);
    assert_true(sum.reads <= 1000000 / sum.size + 2);
    assert_int_equal(w.http.requests, 2);
    wire_finish(&w);
}

static void test_a_large_chunked_body(void)
{
    struct sum sum = { .size = 1 << 16 };
    unsigned expected = 0;
    struct wire w;

    wire_init(&w, sum_up, &sum);
    wire_start(&w);
    wire_send(&w, POST(CHUNKED, ""));
    for (int i = 0; i < 500; i++) {
        char chunk[2020];
        int len = snprintf(chunk, sizeof chunk, "7d0\r\n");
        for (int k = 0; k < 2000; k++, len++) {
            chunk[len] = (char)(i + k);
            expected = expected * 31 + (unsigned char)chunk[len];
        }
        memcpy(chunk + len, "\r\n", 2);
        memory_stream_send(&w.stream, chunk, (size_t)len + 2);
        if (i % 7 == 0)
            wire_settle();
    }
    wire_send(&w, "0\r\n\r\n" NEXT);
    assert_int_equal(sum.bytes, 1000000);
    assert_int_equal(sum.sum, expected);
    assert_int_equal(w.http.requests, 2);
    wire_finish(&w);
}

/* Wherever the head ends in the exchange's own buffer, there is room for what follows. */
static void test_a_body_behind_a_head_that_fills_the_buffer(void)
{
    for (size_t pad = 6500; pad < 6900; pad++) {
        struct sum sum = { .size = 50 };
        char head[8192];
        struct wire w;

        wire_init(&w, sum_up, &sum);
        wire_start(&w);
        snprintf(head, sizeof head, POST(CHUNKED "X: %0*d\r\n", ""), (int)pad, 1);
        wire_send(&w, head);
        for (int i = 0; i < 30; i++)
            wire_send(&w,
                      "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789"
                      "012345678901234567890123456789\r\n");
        wire_send(&w, "0\r\n\r\n" NEXT);
        assert_int_equal(sum.bytes, 3000);
        assert_int_equal(w.http.requests, 2);
        wire_finish(&w);
    }
}

/* ---- lines --------------------------------------------------------------------------------------- */

static int trace_lines(cress_environ *env, cress_response *res, void *self)
{
    size_t size = *(size_t *)self;
    char *line = malloc(size);
    ssize_t len;

    while ((len = cress_input_readline(env, line, size)) > 0) {
        assert_int_equal(strlen(line), len);
        trace("[%.*s]", (int)strcspn(line, "\n"), line);
    }
    trace("%zd", len);
    free(line);
    return len < 0 ? -1 : answer(res);
}

static void test_lines(void)
{
    size_t size = 100;
    struct wire w;

    wire_init(&w, trace_lines, &size);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 12\r\n", "one\n\ntw"));
    assert_trace("[one]\n[]\n");
    wire_send(&w, "o\nend" NEXT);
    assert_trace("[two]\n[end]\n0\n0\n");
    wire_send(&w, POST(CHUNKED, "2\r\non\r\n4\r\ne\ntw\r\n2\r\no\n\r\n0\r\n\r\n"));
    assert_trace("[one]\n[two]\n0\n");
    wire_finish(&w);
}

static void test_long_lines_come_in_pieces(void)
{
    size_t size = 4;
    struct wire w;

    wire_init(&w, trace_lines, &size);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 9\r\n", "abc\nabcd\n"));
    assert_trace("[abc]\n[]\n[abc]\n[d]\n0\n");
    size = 1; /* no byte would fit */
    wire_send(&w, POST("Content-Length: 1\r\n", "a"));
    assert_trace("-1\n");
    assert_int_equal(w.log.status, 500);
    wire_finish(&w);
}

static void *note_run(void *arg)
{
    *(bool *)arg = true;
    return NULL;
}

static int count_lines(cress_environ *env, cress_response *res, void *self)
{
    unsigned *count = self;
    bool has_run = false;
    char line[8];

    spawn(note_run, &has_run);
    while (!has_run && cress_input_readline(env, line, sizeof line) > 0)
        ++*count;
    return answer(res);
}

/* They are all there: no read waits. */
static void test_many_lines_starve_nobody(void)
{
    unsigned count = 0;
    struct wire w;

    wire_init(&w, count_lines, &count);
    memory_stream_send_text(&w.stream, POST("Content-Length: 20000\r\n", ""));
    for (int i = 0; i < 10000; i++)
        memory_stream_send_text(&w.stream, "x\n");
    wire_start(&w);
    assert_true(count > 0 && count < 10000);
    wire_finish(&w);
}

/* ---- all at once ----------------------------------------------------------------------------------- */

static int trace_all(cress_environ *env, cress_response *res, void *self)
{
    cress_str body = CRESS_STR("unchanged");

    if (cress_input_read_all(env, *(size_t *)self, &body) < 0) {
        int error = errno;
        trace("%s %s", strerror(error), body.data);
        errno = error;
        return -1;
    }
    assert_int_equal(strlen(body.data), body.len);
    if (body.len < 100)
        trace("[%s]", body.data);
    else
        trace("%zu bytes", body.len);
    assert_ok(cress_input_read_all(env, 0, &body));
    assert_int_equal(body.len, 0);
    return answer(res);
}

static void test_read_all(void)
{
    size_t limit = 10;
    struct wire w;

    wire_init(&w, trace_all, &limit);
    wire_start(&w);
    wire_send(&w, NEXT);
    wire_send(&w, POST("Content-Length: 10\r\n", "0123456789"));
    wire_send(&w, POST(CHUNKED, "a\r\n0123456789\r\n0\r\n\r\n"));
    assert_trace("[]\n[0123456789]\n[0123456789]\n");
    limit = SIZE_MAX;
    wire_send(&w, POST("Content-Length: 3\r\n", "abc"));
    wire_send(&w, POST(CHUNKED, "3\r\nabc\r\n0\r\n\r\n"));
    assert_trace("[abc]\n[abc]\n");
    wire_finish(&w);
}

static void check_too_much(const char *request, bool stays_open)
{
    size_t limit = 10;
    struct wire w;

    wire_init(&w, trace_all, &limit);
    wire_start(&w);
    wire_send(&w, request);
    assert_trace("Message too long unchanged\n");
    assert_output_begins(&w, "HTTP/1.1 413 Content Too Large\r\n");
    assert_int_equal(w.is_closed, !stays_open);
    wire_finish(&w);
}

static void test_read_all_beyond_its_limit(void)
{
    check_too_much(POST("Content-Length: 11\r\n", "0123456789a"), true);
    check_too_much(POST(CHUNKED, "b\r\n0123456789a\r\n0\r\n\r\n"), true);
    check_too_much(POST(CHUNKED, "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n"), true);
}

/* A length that no memory has is not where sizes overflow. */
static void test_read_all_of_more_than_memory(void)
{
    static const char *const lengths[] = { "18446744073709551615", "9223372036854775807" };
    size_t limit = SIZE_MAX;

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct wire w;
        char request[128];
        snprintf(request, sizeof request, POST("Content-Length: %s\r\n", "abc"), lengths[i]);
        wire_init(&w, trace_all, &limit);
        w.config.limit_request_body = UINT64_MAX;
        wire_start(&w);
        wire_send(&w, request);
        assert_trace("Message too long unchanged\n");
        assert_output_begins(&w, "HTTP/1.1 413 Content Too Large\r\n");
        assert_true(w.is_closed);
        wire_finish(&w);
    }
}

/* Who announces much gets memory for it once much of it has come. */
static void test_read_all_of_what_is_only_announced(void)
{
    size_t limit = SIZE_MAX;
    struct wire w;

    wire_init(&w, trace_all, &limit);
    w.config.limit_request_body = UINT64_MAX;
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 4611686018427387904\r\n", "abc"));
    assert_trace("");
    memory_stream_end(&w.stream);
    wire_settle();
    assert_trace("Broken pipe unchanged\n");
    wire_finish(&w);
}

static void test_read_all_of_three_million_bytes(void)
{
    enum { LEN = 3000000 };
    size_t limit = SIZE_MAX;
    char *body = malloc(LEN);
    struct wire w;

    memset(body, 'x', LEN);
    wire_init(&w, trace_all, &limit);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 3000000\r\n", ""));
    for (int sent = 0; sent < LEN; sent += LEN / 100)
        wire_send_bytes(&w, body + sent, LEN / 100);
    wire_send(&w, NEXT);
    assert_trace("3000000 bytes\n[]\n");
    wire_finish(&w);
    free(body);
}

static void test_read_all_of_many_chunks(void)
{
    size_t limit = SIZE_MAX;
    struct wire w;

    wire_init(&w, trace_all, &limit);
    wire_start(&w);
    wire_send(&w, POST(CHUNKED, ""));
    for (int i = 0; i < 3000; i++)
        memory_stream_send_text(&w.stream, "8\r\n01234567\r\n");
    wire_send(&w, "0\r\n\r\n");
    for (int i = 0; i < 10; i++)
        wire_settle(); /* it lets others run in between */
    assert_trace("24000 bytes\n");
    wire_finish(&w);
}

/* ---- 100 Continue: RFC 9110 10.1.1 -------------------------------------------------------------- */

#define EXPECTING "Expect: 100-continue\r\n"

static void test_continue_is_said_when_the_app_reads(void)
{
    size_t size = 100;
    struct wire w;

    wire_init(&w, trace_pieces, &size);
    wire_start(&w);
    wire_send(&w, POST(EXPECTING "Content-Length: 3\r\n", ""));
    assert_string_equal(w.stream.out, "HTTP/1.1 100 Continue\r\n\r\n");
    wire_send(&w, "abc" NEXT);
    assert_trace("[abc]\n/: 0\n/next: 0\n");
    assert_output_begins(&w, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nDate: *\r\n"
                             "Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n");
    wire_finish(&w);
}

static void test_continue_is_not_said_when_the_body_is_there(void)
{
    size_t size = 100;
    struct wire w;

    wire_init(&w, trace_pieces, &size);
    wire_start(&w);
    wire_send(&w, POST(EXPECTING "Content-Length: 6\r\n", "abc"));
    assert_string_equal(w.stream.out, "");
    wire_send(&w, "def");
    assert_trace("[abc]\n[def]\n/: 0\n");
    wire_finish(&w);
}

static int refuse(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 403, NULL, NULL, 0);
}

/* The client may send the body nevertheless: what follows could not be told apart. */
static void test_a_refusal_instead_of_continue_closes(void)
{
    struct wire w;

    wire_init(&w, refuse, NULL);
    wire_start(&w);
    wire_send(&w, POST(EXPECTING "Content-Length: 3\r\n", ""));
    assert_output_begins(&w, "HTTP/1.1 403 Forbidden\r\nDate: *\r\nConnection: close\r\n");
    assert_true(w.is_closed);
    assert_true(w.lingers);
    wire_finish(&w);
}

static void test_continue_for_no_body(void)
{
    size_t size = 100;
    struct wire w;

    wire_init(&w, trace_pieces, &size);
    wire_start(&w);
    wire_send(&w, POST(EXPECTING, ""));
    assert_trace("/: 0\n");
    assert_output_begins(&w, "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 0\r\n\r\n");
    assert_false(w.is_closed);
    wire_finish(&w);
}

/* ---- bodies that do not come ------------------------------------------------------------------------ */

static int read_and_report(cress_environ *env, cress_response *res, void *self)
{
    char buf[10];
    ssize_t got;

    (void)res, (void)self;
    while ((got = cress_input_read(env, buf, sizeof buf)) > 0)
        continue;
    trace("%s", got < 0 ? strerror(errno) : "end");
    if (got < 0) {
        int error = errno;
        assert_errno(error, cress_input_read(env, buf, sizeof buf)); /* it stays */
        errno = error;
        return -1;
    }
    return answer(res);
}

static void test_a_slow_body(void)
{
    cress_seconds started = cress_now();
    struct wire w;

    wire_init(&w, read_and_report, NULL);
    w.config.body_timeout = 10;
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 100\r\n", "abc"));
    for (int i = 0; i < 5; i++) {
        cress_sleep(9); /* slow, but each piece is in time */
        wire_send(&w, "d");
    }
    assert_trace("");
    while (!w.is_closed)
        cress_sleep(1);
    assert_trace("Connection timed out\n");
    assert_true(cress_now() - started >= 55 && cress_now() - started < 58);
    assert_output_begins(&w, "HTTP/1.1 408 Request Timeout\r\nDate: *\r\nConnection: close\r\n");
    assert_true(w.lingers);
    wire_finish(&w);
}

static void test_the_default_for_a_slow_body(void)
{
    struct wire w;

    wire_init(&w, read_and_report, NULL);
    wire_start(&w);
    wire_send(&w, POST(CHUNKED, "3\r\nabc\r\n"));
    cress_sleep(29);
    assert_false(w.is_closed);
    cress_sleep(2);
    assert_true(w.is_closed);
    assert_trace("Connection timed out\n");
    wire_finish(&w);
}

static void test_the_requests_own_limit(void)
{
    struct wire w;

    wire_init(&w, read_and_report, NULL);
    w.request_timeout = 5;
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 100\r\n", "abc"));
    for (int i = 0; i < 4; i++) {
        cress_sleep(1);
        wire_send(&w, "d"); /* each piece is in time */
    }
    assert_trace("");
    cress_sleep(2);
    assert_trace("Connection timed out\n");
    assert_output_begins(&w, "HTTP/1.1 408 Request Timeout\r\nDate: *\r\nConnection: close\r\n");
    assert_true(w.is_closed);
    wire_finish(&w);
}

static void check_leaving(const char *request, int error)
{
    struct wire w;

    wire_init(&w, read_and_report, NULL);
    wire_start(&w);
    wire_send(&w, request);
    if (error)
        memory_stream_fail(&w.stream, error);
    else
        memory_stream_end(&w.stream);
    wire_settle();
    assert_trace("Broken pipe\n");
    assert_true(w.is_closed);
    assert_true(w.http.gone);
    assert_string_equal(w.stream.out, "");
    wire_finish(&w);
}

static void test_the_client_leaves_in_the_middle(void)
{
    check_leaving(POST("Content-Length: 100\r\n", "abc"), 0);
    check_leaving(POST("Content-Length: 100\r\n", "abc"), ECONNRESET);
    check_leaving(POST(CHUNKED, "5\r\nab"), 0);
    check_leaving(POST(CHUNKED, "5\r\nabcde\r\n0\r\n"), ECONNRESET);
}

static void test_malformed_chunks(void)
{
    struct wire w;

    wire_init(&w, read_and_report, NULL);
    wire_start(&w);
    wire_send(&w, POST(CHUNKED, "5\r\nabcde0\r\n\r\n"));
    assert_trace("Bad message\n");
    assert_output_begins(&w, "HTTP/1.1 400 Bad Request\r\nDate: *\r\nConnection: close\r\n");
    assert_true(w.is_closed);
    wire_finish(&w);
}

static void test_more_than_the_servers_limit(void)
{
    struct wire w;

    wire_init(&w, read_and_report, NULL);
    w.config.limit_request_body = 10;
    wire_start(&w);
    wire_send(&w, POST(CHUNKED, "a\r\n0123456789\r\n"));
    assert_trace("");
    wire_send(&w, "1\r\na\r\n0\r\n\r\n");
    assert_trace("Message too long\n");
    assert_output_begins(&w, "HTTP/1.1 413 Content Too Large\r\nDate: *\r\nConnection: close\r\n");
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- bodies that the app leaves ---------------------------------------------------------------------- */

static int leave_body(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    return cress_respond(res, 200, NULL, is_next(env) ? "n" : "f", 1);
}

static void test_an_unread_body_is_waited_for_shortly(void)
{
    struct wire w;

    wire_init(&w, leave_body, NULL);
    w.config.body_timeout = 10;
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 6\r\n", "abc"));
    assert_int_equal(w.stream.writes, 1); /* the answer does not wait */
    cress_sleep(9);
    wire_send(&w, "def" NEXT);
    assert_int_equal(w.http.requests, 2);
    assert_false(w.is_closed);
    wire_send(&w, POST("Content-Length: 6\r\n", "abc"));
    cress_sleep(11);
    assert_true(w.is_closed);
    assert_true(w.lingers);
    wire_finish(&w);
}

static void test_an_unread_body_that_is_large(void)
{
    struct wire w;

    wire_init(&w, leave_body, NULL);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 65536\r\n", ""));
    send_counted(&w, 65536);
    wire_settle();
    assert_false(w.is_closed);
    wire_send(&w, POST("Content-Length: 65537\r\n", ""));
    assert_true(w.is_closed);
    assert_true(w.lingers);
    wire_finish(&w);
}

static void test_unread_chunks_without_end(void)
{
    struct wire w;

    wire_init(&w, leave_body, NULL);
    wire_start(&w);
    wire_send(&w, POST(CHUNKED, ""));
    for (int i = 0; i < 20; i++) {
        memory_stream_send_text(&w.stream, "2000\r\n");
        send_counted(&w, 0x2000);
        wire_send(&w, "\r\n");
    }
    assert_true(w.is_closed);
    assert_true(w.lingers);
    wire_finish(&w);
}

/* ---- output before input -------------------------------------------------------------------------------- */

static int converse(cress_environ *env, cress_response *res, void *self)
{
    char buf[100];
    ssize_t got;

    (void)self;
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    while ((got = cress_input_read(env, buf, sizeof buf)) > 0)
        if (cress_response_write(res, buf, (size_t)got) < 0)
            return -1;
    return got < 0 ? -1 : 0;
}

/* What was written is not held back while the handler waits for more. */
static void test_echo_as_it_comes(void)
{
    struct wire w;

    wire_init(&w, converse, NULL);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 4\r\n", "ab"));
    assert_output_begins(&w, "HTTP/1.1 200 OK\r\nDate: *\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "2\r\nab\r\n");
    wire_send(&w, "cd" NEXT);
    assert_output_begins(&w, "HTTP/1.1 200 OK\r\nDate: *\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n");
    wire_finish(&w);
}

struct answer_first {
    size_t piece;
    char body[10000];
    size_t len;
};

static int answer_first(cress_environ *env, cress_response *res, void *self)
{
    struct answer_first *a = self;
    ssize_t got;

    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "5" })) < 0 ||
        cress_response_write(res, "hello", 5) < 0)
        return -1;
    while ((got = cress_input_read(env, a->body + a->len, a->piece)) > 0)
        a->len += (size_t)got;
    return got < 0 ? -1 : 0;
}

/* Output waits for the client; meanwhile the server reads ahead; bytes keep their order. */
static void check_order(size_t piece)
{
    struct answer_first a = { .piece = piece };
    char body[4001];
    struct wire w;

    for (size_t i = 0; i < 4000; i++)
        body[i] = (char)('a' + i % 23);
    body[4000] = '\0';
    wire_init(&w, answer_first, &a);
    memory_stream_set_room(&w.stream, 10);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 4000\r\n", ""));
    memory_stream_send(&w.stream, body, 1500);
    assert_int_equal(wire_pull(&w), 1);
    wire_settle();
    memory_stream_send(&w.stream, body + 1500, 2500);
    memory_stream_set_room(&w.stream, SIZE_MAX);
    wire_settle();
    assert_int_equal(a.len, 4000);
    assert_string_equal(a.body, body);
    assert_non_null(strstr(w.stream.out, "\r\n\r\nhello"));
    wire_finish(&w);
}

static void test_reading_ahead_while_output_waits(void)
{
    check_order(100);
    check_order(5000);
}

/* ---- two greenlets --------------------------------------------------------------------------------------- */

static void *read_too(void *arg)
{
    char buf[10];

    assert_errno(EBUSY, cress_input_read(arg, buf, sizeof buf));
    trace("busy");
    return NULL;
}

static int read_twice(cress_environ *env, cress_response *res, void *self)
{
    cress_greenlet *other = cress_spawn(read_too, env);
    char buf[10];

    (void)self;
    assert_int_equal(cress_input_read(env, buf, sizeof buf), 3);
    cress_join(other, CRESS_FOREVER);
    cress_release(other);
    return answer(res);
}

static void test_one_greenlet_at_a_time(void)
{
    struct wire w;

    wire_init(&w, read_twice, NULL);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 3\r\n", ""));
    assert_trace("busy\n");
    wire_send(&w, "abc");
    assert_output_begins(&w, "HTTP/1.1 200 OK\r\n");
    wire_finish(&w);
}

static void *read_meanwhile(void *arg)
{
    char buf[10];
    ssize_t got;

    while ((got = cress_input_read(arg, buf, sizeof buf)) > 0)
        trace("[%.*s]", (int)got, buf);
    trace("read: %s", got < 0 ? strerror(errno) : "all");
    return NULL;
}

static int write_and_read(cress_environ *env, cress_response *res, void *self)
{
    static const char body[50000];
    cress_greenlet *reader = cress_spawn(read_meanwhile, env);

    (void)self;
    assert_ok(cress_respond(res, 200, NULL, body, sizeof body));
    trace("written");
    assert_ok(cress_join(reader, CRESS_FOREVER));
    cress_release(reader);
    return 0;
}

static void test_one_reads_while_the_other_writes(void)
{
    struct wire w;

    wire_init(&w, write_and_read, NULL);
    memory_stream_set_room(&w.stream, 10);
    wire_start(&w);
    wire_send(&w, POST("Content-Length: 6\r\n", ""));
    assert_trace("");
    wire_send(&w, "abc");
    assert_trace("[abc]\n");
    memory_stream_set_room(&w.stream, SIZE_MAX);
    wire_settle();
    assert_trace("written\n");
    wire_send(&w, "def");
    assert_trace("[def]\nread: all\n");
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_reads_give_what_is_there),
        HUB_TEST(test_small_reads),
        HUB_TEST(test_a_read_of_nothing),
        HUB_TEST(test_a_large_counted_body_goes_straight),
        HUB_TEST(test_a_large_chunked_body),
        HUB_TEST(test_a_body_behind_a_head_that_fills_the_buffer),
        HUB_TEST(test_lines),
        HUB_TEST(test_long_lines_come_in_pieces),
        HUB_TEST(test_many_lines_starve_nobody),
        HUB_TEST(test_read_all),
        HUB_TEST(test_read_all_beyond_its_limit),
        HUB_TEST(test_read_all_of_more_than_memory),
        HUB_TEST(test_read_all_of_what_is_only_announced),
        HUB_TEST(test_read_all_of_three_million_bytes),
        HUB_TEST(test_read_all_of_many_chunks),
        HUB_TEST(test_continue_is_said_when_the_app_reads),
        HUB_TEST(test_continue_is_not_said_when_the_body_is_there),
        HUB_TEST(test_a_refusal_instead_of_continue_closes),
        HUB_TEST(test_continue_for_no_body),
        HUB_TEST(test_a_slow_body),
        HUB_TEST(test_the_default_for_a_slow_body),
        HUB_TEST(test_the_requests_own_limit),
        HUB_TEST(test_the_client_leaves_in_the_middle),
        HUB_TEST(test_malformed_chunks),
        HUB_TEST(test_more_than_the_servers_limit),
        HUB_TEST(test_an_unread_body_is_waited_for_shortly),
        HUB_TEST(test_an_unread_body_that_is_large),
        HUB_TEST(test_unread_chunks_without_end),
        HUB_TEST(test_echo_as_it_comes),
        HUB_TEST(test_reading_ahead_while_output_waits),
        HUB_TEST(test_one_greenlet_at_a_time),
        HUB_TEST(test_one_reads_while_the_other_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
