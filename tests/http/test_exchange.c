/* Where received bytes are kept; and memory that runs out while a request is under way, at each
 * place in turn. */
#include "../../http/exchange.h"

#include "fail_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where received bytes are kept ------------------------------------------------------- */

#define HEAD "GET /path HTTP/1.1\r\nHost: a\r\nX-Filler: "

/* A request of so many bytes. */
static char *make_get(size_t len)
{
    size_t filler = len - strlen(HEAD) - 4;
    char *text = malloc(len + 1), *to = stpcpy(text, HEAD);

    for (size_t i = 0; i < filler; i++)
        *to++ = (char)('a' + (len + i) % 26);
    strcpy(to, "\r\n\r\n");
    return text;
}

static struct {
    size_t exchanges, inputs; /* blocks out */
} held;

static void note_blocks(void)
{
    held.exchanges = block_count_out(BLOCK_EXCHANGE);
    held.inputs = block_count_out(BLOCK_INPUT);
}

/* What the request said still stands there after a wait, whatever was taken in meanwhile. */
static int answer_later(cress_environ *env, cress_response *res, void *self)
{
    cress_str filler = cress_header_get(env, "X-Filler");
    char *before = strdup(filler.data);

    (void)self;
    note_blocks();
    if (cress_sleep(1) < 0)
        return -1;
    assert_string_equal(filler.data, before);
    assert_string_equal(cress_header_get(env, "X-Filler").data, before);
    assert_string_equal(cress_header_get(env, "Host").data, "a");
    assert_string_equal(cress_path(env).data, "/path");
    assert_string_equal(cress_method(env).data, "GET");
    free(before);
    return cress_respond(res, 200, NULL, filler.data, filler.len);
}

static void send_in_pieces(struct wire *w, const char *text, size_t piece)
{
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += piece)
        wire_send_bytes(w, text + at, len - at < piece ? len - at : piece);
}

/* The answer to a request of so many bytes is next. */
static const char *expect_answer(const char *out, size_t len)
{
    char *request = make_get(len), *filler = request + strlen(HEAD);
    size_t filler_len = len - strlen(HEAD) - 4;

    assert_memory_equal(out, "HTTP/1.1 200 OK\r\n", 17);
    out = strstr(out, "\r\n\r\n") + 4;
    assert_memory_equal(out, filler, filler_len);
    free(request);
    return out + filler_len;
}

static void check_place(size_t len, size_t piece, size_t exchanges, size_t inputs)
{
    char *request = make_get(len);
    struct wire w;
    int pulls = 0;

    wire_init(&w, answer_later, NULL);
    w.config.limit_request_field_size = 1 << 20;
    w.mode = WIRE_RESTING;
    wire_start(&w);
    send_in_pieces(&w, request, piece);
    assert_int_equal(w.http.requests, 1);
    assert_int_equal(held.exchanges, exchanges);
    assert_int_equal(held.inputs, inputs);
    do /* until the buffer is full */
        memory_stream_send_text(&w.stream, request);
    while (wire_pull(&w) > 0 && pulls++ < 1000);
    assert_in_range(pulls, 0, 200);
    memory_stream_send_text(&w.stream, request);
    cress_sleep(300);
    const char *out = w.stream.out;
    for (int i = 0; i < pulls + 3; i++)
        out = expect_answer(out, len);
    assert_int_equal(*out, '\0');
    assert_true(cress_http1_idle(&w.http));
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 0);
    assert_int_equal(block_count_out(BLOCK_INPUT), 0);
    wire_finish(&w);
    free(request);
}

/* Heads that just fit a place, and such as just do not. */
static void test_where_a_head_is_kept(void)
{
    static const size_t pieces[] = { SIZE_MAX, 7, 100, 1000 };

    for (size_t i = 0; i < 4; i++) {
        check_place(100, pieces[i], 1, 0);
        check_place(OWN_SIZE, pieces[i], 1, 0);
        check_place(OWN_SIZE + 1, pieces[i], 2, 0);
        check_place(BLOCK_EXCHANGE_SIZE, pieces[i], 2, 0);
        check_place(BLOCK_EXCHANGE_SIZE + 1, pieces[i], 1, 1);
        check_place(BLOCK_INPUT_SIZE, pieces[i], 1, 1);
        check_place(BLOCK_INPUT_SIZE + 1, pieces[i], 1, 0);
        check_place(3 * BLOCK_INPUT_SIZE, pieces[i], 1, 0);
    }
}

/* Of any length, in any pieces, each behind the one before. */
static void check_batch(enum wire_mode mode, size_t piece)
{
    enum { COUNT = 60 };
    struct wire w;
    unsigned seed = (unsigned)piece;
    size_t lens[COUNT];

    wire_init(&w, answer_later, NULL);
    w.config.limit_request_field_size = 1 << 20;
    w.mode = mode;
    w.stream.piece = piece;
    for (size_t i = 0; i < COUNT; i++) {
        seed = seed * 1103515245 + 12345;
        lens[i] = 60 + (seed >> 16) % (i % 10 ? 700 : 20000);
        char *request = make_get(lens[i]);
        memory_stream_send_text(&w.stream, request);
        free(request);
    }
    wire_start(&w);
    cress_sleep(2 * COUNT);
    const char *out = w.stream.out;
    for (size_t i = 0; i < COUNT; i++)
        out = expect_answer(out, lens[i]);
    assert_int_equal(*out, '\0');
    wire_finish(&w);
}

static void test_batches(void)
{
    static const size_t pieces[] = { 0, 1, 50, 330, 1000, 4000, 9000 };

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        check_batch(WIRE_RESTING, pieces[i]);
        check_batch(WIRE_BLOCKING, pieces[i]);
    }
}

/* Three bytes, what is taken in during a wait, and what comes after it. */
static int read_around_a_wait(cress_environ *env, cress_response *res, void *self)
{
    char buf[30];
    ssize_t got;

    (void)self;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cress_input_read(env, buf + i, 1), 1);
    cress_str agent = cress_header_get(env, "User-Agent");
    cress_sleep(1);
    if (cress_start_response(res, 200, NULL) < 0 || cress_response_write(res, buf, 3) < 0)
        return -1;
    while ((got = cress_input_read(env, buf, sizeof buf)) > 0)
        if (cress_response_write(res, buf, (size_t)got) < 0)
            return -1;
    note_blocks();
    assert_string_equal(agent.data, "agent");
    return (int)got;
}

static void check_body(const char *framing, const char *opening, size_t behind, const char *ending)
{
    enum { BODY = 3000, MEANWHILE = 700 };
    char text[BODY + 500] = "", *end = text;
    struct wire w;

    end += sprintf(end, "POST / HTTP/1.0\r\nUser-Agent: agent\r\n%s\r\n\r\n%s", framing, opening);
    if (*ending)
        text[strlen("POST / HTTP/1.")] = '1';
    size_t head = (size_t)(end - text);
    for (size_t i = 0; i < BODY; i++)
        *end++ = (char)('a' + i % 26);
    strcpy(end, ending);
    wire_init(&w, read_around_a_wait, NULL);
    w.mode = WIRE_RESTING;
    wire_start(&w);
    wire_send_bytes(&w, text, head + behind);
    memory_stream_send(&w.stream, text + head + behind, MEANWHILE);
    assert_int_equal(wire_pull(&w), 1);
    cress_sleep(2);
    wire_send(&w, text + head + behind + MEANWHILE);
    assert_true(w.is_closed || w.http.requests == 1);
    assert_int_equal(held.exchanges, 1);
    assert_int_equal(held.inputs, 0); /* all was read */
    size_t found = 0;
    for (const char *at = strstr(w.stream.out, "\r\n\r\n"); *at; at++)
        found += *at == 'a' + (char)(found % 26);
    assert_true(found >= BODY);
    wire_finish(&w);
}

static void test_a_body_behind_a_small_head(void)
{
    for (size_t behind = 3; behind < 200; behind += 28) {
        check_body("Content-Length: 3000", "", behind, "");
        check_body("Host: a\r\nTransfer-Encoding: chunked", "bb8\r\n", behind, "\r\n0\r\n\r\n");
    }
}

/* ---- memory that runs out ------------------------------------------------------------------ */

void *__real_block_get(enum block_kind kind);
void *__wrap_block_get(enum block_kind kind);

void *__wrap_block_get(enum block_kind kind)
{
    return fails() ? NULL : __real_block_get(kind);
}

static int deferred;

static void count_deferred(void *arg)
{
    (void)arg;
    deferred++;
}

static int count_variable(void *arg, cress_str key, cress_str value)
{
    size_t *count = arg;

    *count += key.len + value.len;
    return 0;
}

/* Takes request memory in every way that there is. */
static int use_memory(cress_environ *env, cress_response *res, void *self)
{
    static char large[20000];
    size_t count = 0;
    cress_str body;

    (void)self;
    if (cress_defer(env, count_deferred, NULL) < 0)
        return -1;
    deferred--;
    cress_environ_each(env, count_variable, &count);
    cress_header_get(env, "Cookie");
    cress_query_get(env, "a");
    if (cress_environ_set(env, "REMOTE_USER", CRESS_STR("me")) < 0 ||
        !cress_environ_printf(env, "%2000d", 1).data || !cress_environ_alloc(env, 10000) ||
        cress_response_early_hints(res, CRESS_HEADERS({ "Link", "</a>" })) < 0 ||
        cress_input_read_all(env, 100000, &body) < 0)
        return -1;
    cress_trailer_get(env, "X-A");
    if (cress_start_response(res, 200, CRESS_HEADERS({ "X-Body", "read" })) < 0)
        return -1;
    for (int i = 0; i < 50; i++)
        if (cress_response_add_header(res, "X-More", "one more field, and it is long") < 0 ||
            cress_response_add_trailer(res, "X-Trailer", "one more field behind it") < 0)
            return -1;
    if (cress_response_printf(res, "%s", body.data) < 0)
        return -1;
    memset(large, 'x', sizeof large);
    return cress_response_write(res, large, sizeof large);
}

/* Its head outgrows the block and the table of fields. */
static char *make_request(void)
{
    static char text[40000];
    char *to = text;

    to += sprintf(to, "POST http://example.com/a%%20b?a=%%41 HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 40; i++)
        to += sprintf(to, "Cookie: a%d=%0200d\r\n", i, i);
    to += sprintf(to, "Transfer-Encoding: chunked\r\n\r\n1388\r\n%05000d\r\n0\r\n", 1);
    for (int i = 0; i < 40; i++)
        to += sprintf(to, "X-A: %0100d\r\n", i);
    to += sprintf(to, "\r\n");
    return text;
}

/* The stream's own memory does not run out. */
static void reserve(struct memory_stream *s)
{
    enum { LEN = 1 << 17 };

    s->in = realloc(s->in, LEN);
    s->out = realloc(s->out, LEN);
    s->in_capacity = s->out_capacity = LEN;
    assert_true(s->in && s->out);
}

/* One final answer at most, whole or cut. */
static void check_answer(const struct memory_stream *s)
{
    const char *out = strstr(s->out, "HTTP/1.1 103") ? strstr(s->out, "\r\n\r\n") + 4 : s->out;
    int status = 0;

    if (!*out)
        return;
    assert_int_equal(sscanf(out, "HTTP/1.1 %d ", &status), 1);
    assert_true(status == 200 || status == 500 || status == 503);
    assert_null(strstr(out + 1, "HTTP/1.1 "));
}

/* False: so many were not needed. */
static bool serve_with(int allocations, enum wire_mode mode)
{
    struct wire w;

    wire_init(&w, use_memory, NULL);
    w.mode = mode;
    reserve(&w.stream);
    wire_start(&w);
    allocations_left = allocations;
    wire_send(&w, make_request());
    for (int i = 0; i < 20; i++)
        wire_settle();
    bool failed = end_failing();
    if (failed)
        check_answer(&w.stream);
    else
        assert_non_null(strstr(w.stream.out, "\r\n0\r\nX-Trailer: "));
    wire_finish(&w);
    assert_int_equal(deferred, 0);
    assert_int_equal(block_count_out(BLOCK_EXCHANGE), 0);
    assert_int_equal(block_count_out(BLOCK_INPUT), 0);
    assert_int_equal(block_count_out(BLOCK_OUTPUT), 0);
    return failed;
}

static void test_memory_runs_out(void)
{
    int allocations = 0;

    while (serve_with(allocations, WIRE_BLOCKING) && serve_with(allocations, WIRE_RESTING))
        allocations++;
    assert_true(allocations > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_where_a_head_is_kept),
        HUB_TEST(test_batches),
        HUB_TEST(test_a_body_behind_a_small_head),
        HUB_TEST(test_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
