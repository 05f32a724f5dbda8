#include "hub_test.h"
#include "wire.h"

#include <cress/escape.h>

#include <string.h>

static void check(cress_str actual, const char *expected, size_t len)
{
    assert_int_equal(actual.len, len);
    assert_memory_equal(actual.data, expected, len + 1); /* and the NUL */
}

#define check_html(env, text, expected) \
    check(cress_escape_html(env, CRESS_STR(text)), expected, sizeof(expected) - 1)
#define check_url(env, text, expected) \
    check(cress_escape_url(env, CRESS_STR(text)), expected, sizeof(expected) - 1)

static int escape_html(cress_environ *env, cress_response *res, void *self)
{
    cress_str plain = CRESS_STR("plain \xc3\xa9\x7f text");

    (void)self;
    check_html(env, "", "");
    check_html(env, "<b>\"a\" & 'b'</b>", "&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;");
    check_html(env, "&amp;", "&amp;amp;");
    check_html(env, "a\0b",
               "a\xef\xbf\xbd"
               "b");
    assert_ptr_equal(cress_escape_html(env, plain).data, plain.data);
    assert_null(cress_escape_html(env, (cress_str){ NULL, 0 }).data);
    return cress_respond(res, 204, NULL, NULL, 0);
}

static int escape_url(cress_environ *env, cress_response *res, void *self)
{
    cress_str plain = CRESS_STR("AZaz09-._~");

    (void)self;
    check_url(env, "", "");
    check_url(env, "a b/c?d=e&f#g%", "a%20b%2Fc%3Fd%3De%26f%23g%25");
    check_url(env, "\xc3\xa9\0\xff\r\n+;:@[", "%C3%A9%00%FF%0D%0A%2B%3B%3A%40%5B");
    assert_ptr_equal(cress_escape_url(env, plain).data, plain.data);
    assert_null(cress_escape_url(env, (cress_str){ NULL, 0 }).data);
    return cress_respond(res, 204, NULL, NULL, 0);
}

static void run(cress_app *app)
{
    wire_check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", app, DATED("204 No Content") "\r\n");
}

static void test_html(void)
{
    run(escape_html);
}

static void test_url(void)
{
    run(escape_url);
}

int main(void)
{
    const struct CMUnitTest tests[] = { HUB_TEST(test_html), HUB_TEST(test_url) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
