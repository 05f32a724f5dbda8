#include "hub_test.h"
#include "wire.h"

#include <cress/negotiate.h>

#include <stdio.h>
#include <string.h>

struct target {
    int status;
    const char *location;
};

static int redirect(cress_environ *env, cress_response *res, void *self)
{
    const struct target *target = self;

    (void)env;
    assert_errno(EINVAL, cress_redirect(res, 200, "/"));
    assert_errno(EINVAL, cress_redirect(res, 300, "/"));
    assert_errno(EINVAL, cress_redirect(res, 304, "/"));
    assert_errno(EINVAL, cress_redirect(res, 305, "/"));
    return cress_redirect(res, target->status, target->location);
}

static void check(int status, const char *location, const char *line, const char *escaped)
{
    struct target target = { status, location };
    char expected[500];

    snprintf(expected, sizeof expected,
             "HTTP/1.1 %s\r\nDate: *\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n", line, escaped);
    wire_check_with("GET / HTTP/1.1\r\nHost: a\r\n\r\n", redirect, &target, expected);
}

/* RFC 9110 15.4, 10.2.2 */
static void test_redirects(void)
{
    check(301, "/new", "301 Moved Permanently", "/new");
    check(302, "../up?a=b&c=d#e", "302 Found", "../up?a=b&c=d#e");
    check(303, "https://a.example:1/", "303 See Other", "https://a.example:1/");
    check(307, "", "307 Temporary Redirect", "");
    check(308, "/", "308 Permanent Redirect", "/");
}

static void test_what_has_no_place_in_a_uri(void)
{
    check(302, "/a b", "302 Found", "/a%20b");
    check(302, "/a\r\nSet-Cookie: b=c", "302 Found", "/a%0D%0ASet-Cookie:%20b=c");
    check(302, "/\\evil.example", "302 Found", "/%5Cevil.example");
    check(302, "/caf\xc3\xa9\x7f\xff", "302 Found", "/caf%C3%A9%7F%FF");
    check(302, "/a%20b%2fc", "302 Found", "/a%20b%2fc");
    check(302, "/100%", "302 Found", "/100%25");
    check(302, "/%a", "302 Found", "/%25a");
    check(302, "/%zz", "302 Found", "/%25zz");
    check(302, "/<\"`{|}^>", "302 Found", "/%3C%22%60%7B%7C%7D%5E%3E");
}

static void test_local_paths(void)
{
    assert_true(cress_is_local_path(CRESS_STR("/")));
    assert_true(cress_is_local_path(CRESS_STR("/a//b?c=//d")));
    assert_false(cress_is_local_path(CRESS_STR("")));
    assert_false(cress_is_local_path((cress_str){ NULL, 0 }));
    assert_false(cress_is_local_path(CRESS_STR("a")));
    assert_false(cress_is_local_path(CRESS_STR("//a")));
    assert_false(cress_is_local_path(CRESS_STR("/\\a")));
    assert_false(cress_is_local_path(CRESS_STR("/\t/a")));
    assert_false(cress_is_local_path(CRESS_STR("/\n/a")));
    assert_false(cress_is_local_path(CRESS_STR("http://a/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_redirects),
        HUB_TEST(test_what_has_no_place_in_a_uri),
        HUB_TEST(test_local_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
