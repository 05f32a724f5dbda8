#include "hub_test.h"
#include "wire.h"

#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

static int hint_wrongly(cress_environ *env, cress_response *res, void *self)
{
    static char large[12000];

    (void)env, (void)self;
    memset(large, 'x', sizeof large - 1);
    assert_errno(EINVAL, cress_response_early_hints(res, CRESS_HEADERS({ "Li nk", "x" })));
    assert_errno(EINVAL, cress_response_early_hints(res, CRESS_HEADERS({ "Link", "a\r\nb" })));
    assert_errno(EINVAL, cress_response_early_hints(res, CRESS_HEADERS({ "Link", NULL })));
    assert_errno(EINVAL, cress_response_early_hints(res, CRESS_HEADERS({ "Content-Length", "1" })));
    assert_errno(EINVAL, cress_response_early_hints(res, CRESS_HEADERS({ "Connection", "close" })));
    assert_errno(E2BIG, cress_response_early_hints(res, CRESS_HEADERS({ "Link", large })));
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_early_hints(res, NULL)); /* nothing is out yet */
    assert_ok(cress_response_write(res, "x", 1));
    assert_errno(EALREADY, cress_response_early_hints(res, NULL));
    return 0;
}

static void test_wrong_early_hints(void)
{
    wire_check(GET, hint_wrongly,
               "HTTP/1.1 103 Early Hints\r\n\r\n" DATED(
                   "200 OK") "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
}

static int hint_and_fail(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_response_early_hints(res, CRESS_HEADERS({ "Link", "</a>" })));
    assert_ok(cress_sleep(1));
    errno = EIO;
    return -1;
}

static void test_early_hints_go_out_at_once(void)
{
    struct wire w;

    wire_init(&w, hint_and_fail, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_string_equal(w.stream.out, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    memory_stream_clear(&w.stream);
    cress_sleep(2);
    wire_check_output(
        &w,
        DATED("500 Internal Server Error") "Content-Type: text/plain\r\nContent-Length: 26\r\n\r\n"
                                           "500 Internal Server Error\n");
    wire_finish(&w);
}

static int hint_to_nobody(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    cress_response_ignore_gone(res);
    assert_ok(cress_sleep(1));
    assert_errno(EPIPE, cress_response_early_hints(res, NULL));
    return -1;
}

static void test_early_hints_to_nobody(void)
{
    struct wire w;

    wire_init(&w, hint_to_nobody, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    memory_stream_end(&w.stream);
    assert_int_equal(wire_pull(&w), -1);
    cress_sleep(2);
    assert_true(w.is_closed);
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_wrong_early_hints),
        HUB_TEST(test_early_hints_go_out_at_once),
        HUB_TEST(test_early_hints_to_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
