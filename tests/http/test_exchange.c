/* Memory that runs out while a request is under way, at each place in turn. */
#include "../../http/block.h"
#include "fail_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        HUB_TEST(test_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
