#include "hub_test.h"
#include "wire.h"

#include <cress/cookie.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cress_str keys[] = {
    { "0123456789abcdef0123456789abcdef", 32 },
    { "an older secret!", 16 },
    { NULL, 0 },
};

/* Runs fn for one request with these fields. */
static char *run(const char *fields, cress_app *app)
{
    char request[2000];

    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    char *output = wire_ask(request, app, NULL);
    assert_non_null(strstr(output, "HTTP/1.1 204 "));
    return output;
}

static int done(cress_response *res)
{
    return cress_respond(res, 204, NULL, NULL, 0);
}

static const time_t never = 4102444800; /* 2100 */

#define assert_refused(error, call)     \
    do {                                \
        errno = 0;                      \
        assert_null((call).data);       \
        assert_int_equal(errno, error); \
    } while (0)

/* By Python's hmac: HMAC-SHA-256 over "user\0aGVsbG8.4102444800". */
static const char known[] = "aGVsbG8.4102444800.OD1vHiqMQzjTIJA0UsG5oLesx0MLdPtPHC8v5-wnnGs";

static int round_trip(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    cress_str text = cress_sign(env, keys, "user", CRESS_STR("hello"), never);
    assert_non_null(text.data);
    assert_string_equal(text.data, known);
    assert_int_equal(text.len, strlen(known));
    cress_str data = cress_unsign(env, keys, "user", text);
    assert_true(cress_str_equal(data, "hello"));

    cress_str bytes = { "\0\xff\n;", 4 };
    data = cress_unsign(env, keys, "", cress_sign(env, keys, "", bytes, never));
    assert_int_equal(data.len, 4);
    assert_memory_equal(data.data, bytes.data, 5);
    data = cress_unsign(env, keys, "", cress_sign(env, keys, "", CRESS_STR(""), never));
    assert_non_null(data.data);
    assert_int_equal(data.len, 0);
    return done(res);
}

static void test_round_trip(void)
{
    free(run("", round_trip));
}

/* Each byte of a signed text counts. */
static int change_each(cress_environ *env, cress_response *res, void *self)
{
    cress_str text = cress_sign(env, keys, "user", CRESS_STR("hello"), never);
    char changed[200];

    (void)self;
    for (size_t i = 0; i < text.len; i++)
        for (const char *c = "0AZaz9-_.=; "; *c; c++) {
            memcpy(changed, text.data, text.len + 1);
            if (changed[i] == *c)
                continue;
            changed[i] = *c;
            assert_refused(EBADMSG,
                           cress_unsign(env, keys, "user", (cress_str){ changed, text.len }));
        }
    for (size_t len = 0; len < text.len; len++) {
        memcpy(changed, text.data, len);
        changed[len] = '\0';
        assert_refused(EBADMSG, cress_unsign(env, keys, "user", (cress_str){ changed, len }));
    }
    cress_str longer = cress_environ_printf(env, "%sA", text.data);
    assert_refused(EBADMSG, cress_unsign(env, keys, "user", longer));
    assert_refused(EBADMSG, cress_unsign(env, keys, "use", text));
    assert_refused(EBADMSG, cress_unsign(env, keys, "user2", text));
    assert_refused(EBADMSG, cress_unsign(env, keys, "", text));
    assert_refused(EBADMSG, cress_unsign(env, keys, "user", (cress_str){ NULL, 0 }));
    return done(res);
}

static void test_changes_are_found(void)
{
    free(run("", change_each));
}

static int rotate(cress_environ *env, cress_response *res, void *self)
{
    const cress_str *old = keys + 1;
    const cress_str other[] = { { "another secret!!", 16 }, { NULL, 0 } };
    const cress_str none[] = { { NULL, 0 } };
    const cress_str short_key[] = { keys[0], { "too short a key", 15 }, { NULL, 0 } };

    (void)self;
    cress_str text = cress_sign(env, old, "user", CRESS_STR("x"), never);
    assert_true(cress_str_equal(cress_unsign(env, keys, "user", text), "x"));
    text = cress_sign(env, keys, "user", CRESS_STR("x"), never);
    assert_refused(EBADMSG, cress_unsign(env, old, "user", text));
    assert_refused(EBADMSG, cress_unsign(env, other, "user", text));
    assert_refused(EINVAL, cress_unsign(env, none, "user", text));
    assert_refused(EINVAL, cress_unsign(env, NULL, "user", text));
    assert_refused(EINVAL, cress_unsign(env, short_key, "user", text));
    assert_refused(EINVAL, cress_sign(env, none, "user", CRESS_STR("x"), never));
    assert_refused(EINVAL, cress_sign(env, short_key, "user", CRESS_STR("x"), never));
    assert_refused(EINVAL, cress_sign(env, keys, "user", CRESS_STR("x"), -1));
    return done(res);
}

static void test_keys(void)
{
    free(run("", rotate));
}

static int expire(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    assert_refused(
        EKEYEXPIRED,
        cress_unsign(env, keys, "a", cress_sign(env, keys, "a", CRESS_STR("x"), time(NULL))));
    assert_refused(EKEYEXPIRED,
                   cress_unsign(env, keys, "a", cress_sign(env, keys, "a", CRESS_STR("x"), 0)));
    assert_true(cress_str_equal(
        cress_unsign(env, keys, "a", cress_sign(env, keys, "a", CRESS_STR("x"), time(NULL) + 100)),
        "x"));
    return done(res);
}

static void test_its_time(void)
{
    free(run("", expire));
}

/* ---- cookies --------------------------------------------------------------------------- */

static int set_cookie(cress_environ *env, cress_response *res, void *self)
{
    const cress_cookie cookie = { .name = "user", .path = "/", .http_only = true };

    (void)env, (void)self;
    assert_ok(cress_start_response(res, 204, NULL));
    assert_errno(EINVAL, cress_set_signed_cookie(res, keys, &cookie, CRESS_STR("x"), 0));
    assert_errno(EINVAL, cress_set_signed_cookie(res, keys, &cookie, CRESS_STR("x"), LONG_MAX));
    assert_errno(EINVAL, cress_set_signed_cookie(res, keys, &(cress_cookie){ .name = NULL },
                                                 CRESS_STR("x"), 9));
    return cress_set_signed_cookie(res, keys, &cookie, CRESS_STR("jane; doe"), 1000);
}

static int get_cookie(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    assert_true(cress_str_equal(cress_signed_cookie_get(env, keys, "user"), "jane; doe"));
    assert_refused(ENOENT, cress_signed_cookie_get(env, keys, "other"));
    assert_refused(EBADMSG, cress_signed_cookie_get(env, keys, "moved"));
    assert_refused(EBADMSG, cress_signed_cookie_get(env, keys, "plain"));
    return done(res);
}

static void test_signed_cookies(void)
{
    char *output = run("", set_cookie), fields[1000], text[300];
    const char *found = strstr(output, "Set-Cookie: user=");

    assert_non_null(found);
    assert_non_null(strstr(found, "; Path=/; HttpOnly\r\n"));
    assert_int_equal(sscanf(found, "Set-Cookie: user=%299[^;]", text), 1);
    free(output);
    snprintf(fields, sizeof fields, "Cookie: moved=%s; user=%s; plain=jane\r\n", text, text);
    free(run(fields, get_cookie));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_round_trip), HUB_TEST(test_changes_are_found), HUB_TEST(test_keys),
        HUB_TEST(test_its_time),   HUB_TEST(test_signed_cookies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
