#include "hub_test.h"
#include "wire.h"

#include <cress/cookie.h>

#include <stdio.h>
#include <string.h>

static void run(const char *fields, cress_app *app, void *self, const char *expected)
{
    char request[1000];

    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    wire_check_with(request, app, self, expected);
}

#define OK(fields) "HTTP/1.1 204 No Content\r\nDate: *\r\n" fields "\r\n"

/* ---- reading ----------------------------------------------------------------------------- */

struct expected {
    const char *name, *value;
};

static int check_all(cress_environ *env, cress_response *res, void *self)
{
    for (const struct expected *e = self; e->name; e++) {
        cress_str value = cress_cookie_get(env, e->name);
        if (!e->value) {
            assert_null(value.data);
            continue;
        }
        assert_non_null(value.data);
        assert_string_equal(value.data, e->value);
        assert_int_equal(value.len, strlen(e->value));
    }
    return cress_respond(res, 204, NULL, NULL, 0);
}

#define check_cookies(fields, ...) \
    run(fields, check_all, (struct expected[]){ __VA_ARGS__, { NULL, NULL } }, OK(""))

static void test_reading(void)
{
    check_cookies("", { "a", NULL });
    check_cookies("Cookie: a=1\r\n", { "a", "1" }, { "A", NULL }, { "", NULL });
    check_cookies("Cookie: a=1; b=2;c=3;  d = 4 ;e=\r\n", { "a", "1" }, { "b", "2" }, { "c", "3" },
                  { "d", "4" }, { "e", "" });
    check_cookies("Cookie: a=1; a=2\r\n", { "a", "1" });
    check_cookies("Cookie: a=1\r\nCookie: b=2\r\n", { "a", "1" }, { "b", "2" });
    check_cookies("Cookie: a=b=c; d=\"quoted\"\r\n", { "a", "b=c" }, { "d", "\"quoted\"" });
    check_cookies("Cookie: ;; a; =x; b=1;\r\n", { "a", NULL }, { "b", "1" }, { "x", NULL });
    check_cookies("Cookie: aa=1; a=2\r\n", { "a", "2" });
    check_cookies("Cookie: \r\n", { "a", NULL });
}

/* ---- setting --------------------------------------------------------------------------------- */

static int set(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    assert_ok(cress_start_response(res, 204, NULL));
    return cress_set_cookie(res, self);
}

#define check_set(expected, ...) \
    run("", set, &(cress_cookie){ __VA_ARGS__ }, OK("Set-Cookie: " expected "\r\n"))

static void test_setting(void)
{
    check_set("a=1", .name = "a", .value = "1");
    check_set("a=", .name = "a", .value = "");
    check_set("a=\"b\"", .name = "a", .value = "\"b\"");
    check_set("a=1; Path=/x; Domain=a.example; Max-Age=60; Secure; HttpOnly; SameSite=Strict",
              .name = "a", .value = "1", .path = "/x", .domain = "a.example", .max_age = 60,
              .secure = true, .http_only = true, .same_site = CRESS_SAME_SITE_STRICT);
    check_set("a=1; SameSite=Lax", .name = "a", .value = "1", .same_site = CRESS_SAME_SITE_LAX);
    check_set("a=1; Secure; SameSite=None; Partitioned", .name = "a", .value = "1", .secure = true,
              .same_site = CRESS_SAME_SITE_NONE, .partitioned = true);
    check_set("a=; Max-Age=0", .name = "a", .value = "", .max_age = -5);
    check_set("a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT", .name = "a", .value = "1",
              .expires = 784111777);
    check_set("__Host-a=1; Path=/; Secure", .name = "__Host-a", .value = "1", .path = "/",
              .secure = true);
    check_set("__Secure-a=1; Secure", .name = "__Secure-a", .value = "1", .secure = true);
}

/* Before there is a response it waits for the one that comes. */
static int set_before(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_errno(EINVAL, cress_set_cookie(res, &(cress_cookie){ .name = "a", .value = ";" }));
    assert_ok(cress_set_cookie(res, &(cress_cookie){ .name = "a", .value = "1" }));
    assert_ok(cress_set_cookie(res, &(cress_cookie){ .name = "b", .value = "2" }));
    return cress_respond(res, 200, "text/plain", "hello", 5);
}

static void test_setting_before_the_response(void)
{
    run("", set_before, NULL,
        DATED("200 OK") "Content-Length: 5\r\nContent-Type: text/plain\r\n"
                        "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello");
}

static int refuse_all(cress_environ *env, cress_response *res, void *self)
{
    static char long_value[4097], long_path[1026];
    memset(long_value, 'v', sizeof long_value - 1);
    memset(long_path, '/', sizeof long_path - 1);
    const cress_cookie bad[] = {
        { .name = NULL, .value = "1" },
        { .name = "a", .value = NULL },
        { .name = "", .value = "1" },
        { .name = "a b", .value = "1" },
        { .name = "a=b", .value = "1" },
        { .name = "a;b", .value = "1" },
        { .name = "a", .value = "b c" },
        { .name = "a", .value = "b;c" },
        { .name = "a", .value = "b,c" },
        { .name = "a", .value = "b\"c" },
        { .name = "a", .value = "\"" },
        { .name = "a", .value = "b\\c" },
        { .name = "a", .value = "b\r\nc" },
        { .name = "a", .value = "\xc3\xa9" },
        { .name = "a", .value = "b\x7f" },
        { .name = "a", .value = long_value },
        { .name = "a", .value = "1", .path = "x" },
        { .name = "a", .value = "1", .path = "" },
        { .name = "a", .value = "1", .path = "/;Secure" },
        { .name = "a", .value = "1", .path = "/\n" },
        { .name = "a", .value = "1", .path = long_path },
        { .name = "a", .value = "1", .domain = "" },
        { .name = "a", .value = "1", .domain = "a b" },
        { .name = "a", .value = "1", .domain = "a;b" },
        { .name = "a", .value = "1", .same_site = CRESS_SAME_SITE_NONE },
        { .name = "a", .value = "1", .partitioned = true },
        { .name = "a", .value = "1", .expires = (time_t)1 << 60 },
        { .name = "__Secure-a", .value = "1" },
        { .name = "__secure-a", .value = "1" },
        { .name = "__Host-a", .value = "1", .path = "/" },
        { .name = "__Host-a", .value = "1", .secure = true },
        { .name = "__Host-a", .value = "1", .secure = true, .path = "/a" },
        { .name = "__Host-a", .value = "1", .secure = true, .path = "/", .domain = "a" },
    };

    (void)env, (void)self;
    assert_ok(cress_start_response(res, 204, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_errno(EINVAL, cress_set_cookie(res, &bad[i]));
    return 0;
}

static void test_what_browsers_would_refuse(void)
{
    run("", refuse_all, NULL, OK(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_reading),
        HUB_TEST(test_setting),
        HUB_TEST(test_setting_before_the_response),
        HUB_TEST(test_what_browsers_would_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
