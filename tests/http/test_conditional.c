#include "fail_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <cress/conditional.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sunday, 06-Nov-94 08:49:38 GMT"

static const cress_validators strong = { .etag = { "\"a\"", 3 },
                                         .has_modified = true,
                                         .modified = 784111777 };
static const cress_validators weak = { .etag = { "W/\"a\"", 5 },
                                       .has_modified = true,
                                       .modified = 784111777 };
static const cress_validators unknown;

struct asked {
    const cress_validators *current;
    bool without_memory;
    int status, error;
};

static int ask(cress_environ *env, cress_response *res, void *self)
{
    struct asked *asked = self;

    allocations_left = asked->without_memory ? 0 : INT_MAX;
    asked->status = cress_precondition(env, asked->current);
    asked->error = errno;
    assert_int_equal(end_failing(), asked->without_memory);
    return cress_respond(res, 200, NULL, NULL, 0);
}

/* What the conditions in `fields` make of a request. */
static int precondition(const char *method, const char *fields, const cress_validators *current)
{
    struct asked asked = { .current = current, .status = -2 };
    char text[1024];

    snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    wire_serve(text, ask, &asked);
    return asked.status;
}

#define assert_get(status, fields, current) \
    assert_int_equal(precondition("GET", fields, current), status)
#define assert_put(status, fields, current) \
    assert_int_equal(precondition("PUT", fields, current), status)

static void test_none(void)
{
    assert_get(0, "", &strong);
    assert_put(0, "", NULL);
}

/* RFC 9110 13.1.1 */
static void test_if_match(void)
{
    assert_put(0, "If-Match: \"a\"\r\n", &strong);
    assert_put(0, "If-Match: \"b\", \"a\"\r\n", &strong);
    assert_put(0, "If-Match: \"b\"\r\nIf-Match: \"a\"\r\n", &strong);
    assert_put(412, "If-Match: \"b\"\r\n", &strong);
    assert_put(412, "If-Match: \"A\"\r\n", &strong);
    assert_put(412, "If-Match:\r\n", &strong);
    assert_put(0, "If-Match: *\r\n", &strong);
    assert_put(0, "If-Match: *\r\n", &unknown);
    assert_put(412, "If-Match: *\r\n", NULL);
    assert_put(412, "If-Match: \"a\"\r\n", NULL);
    assert_put(412, "If-Match: \"a\"\r\n", &unknown);
    assert_get(412, "If-Match: \"b\"\r\n", &strong);
    /* Compared strongly: a weak tag is equal to none. */
    assert_put(412, "If-Match: W/\"a\"\r\n", &strong);
    assert_put(412, "If-Match: \"a\"\r\n", &weak);
    assert_put(412, "If-Match: W/\"a\"\r\n", &weak);
}

/* RFC 9110 13.1.2 */
static void test_if_none_match(void)
{
    assert_get(304, "If-None-Match: \"a\"\r\n", &strong);
    assert_get(304, "If-None-Match: \"b\" ,\t\"a\"\r\n", &strong);
    assert_get(0, "If-None-Match: \"b\"\r\n", &strong);
    assert_get(0, "If-None-Match: \"a\"\r\n", &unknown);
    assert_get(304, "If-None-Match: *\r\n", &unknown);
    assert_get(0, "If-None-Match: *\r\n", NULL);
    assert_int_equal(precondition("HEAD", "If-None-Match: \"a\"\r\n", &strong), 304);
    /* Compared weakly. */
    assert_get(304, "If-None-Match: W/\"a\"\r\n", &strong);
    assert_get(304, "If-None-Match: \"a\"\r\n", &weak);
    assert_get(304, "If-None-Match: W/\"a\"\r\n", &weak);
    /* A PUT that is to create. */
    assert_put(412, "If-None-Match: *\r\n", &strong);
    assert_put(0, "If-None-Match: *\r\n", NULL);
    assert_put(412, "If-None-Match: \"a\"\r\n", &strong);
}

/* RFC 9110 13.1.3 */
static void test_if_modified_since(void)
{
    assert_get(304, "If-Modified-Since: " MODIFIED "\r\n", &strong);
    assert_get(304, "If-Modified-Since: " AFTER "\r\n", &strong);
    assert_get(0, "If-Modified-Since: " BEFORE "\r\n", &strong);
    assert_int_equal(precondition("HEAD", "If-Modified-Since: " MODIFIED "\r\n", &strong), 304);
    /* What does not count. */
    assert_put(0, "If-Modified-Since: " MODIFIED "\r\n", &strong);
    assert_get(0, "If-Modified-Since: yesterday\r\n", &strong);
    assert_get(0, "If-Modified-Since: " MODIFIED "\r\nIf-Modified-Since: " MODIFIED "\r\n",
               &strong);
    assert_get(0, "If-Modified-Since: " MODIFIED "\r\n", &unknown);
    assert_get(0, "If-Modified-Since: " MODIFIED "\r\n", NULL);
}

/* RFC 9110 13.1.4 */
static void test_if_unmodified_since(void)
{
    assert_put(0, "If-Unmodified-Since: " MODIFIED "\r\n", &strong);
    assert_put(0, "If-Unmodified-Since: " AFTER "\r\n", &strong);
    assert_put(412, "If-Unmodified-Since: " BEFORE "\r\n", &strong);
    assert_get(412, "If-Unmodified-Since: " BEFORE "\r\n", &strong);
    assert_put(0, "If-Unmodified-Since: yesterday\r\n", &strong);
    assert_put(0, "If-Unmodified-Since: " BEFORE "\r\n", &unknown);
    assert_put(0, "If-Unmodified-Since: " BEFORE "\r\n", NULL);
}

/* RFC 9110 13.2.2 */
static void test_precedence(void)
{
    /* If-Match makes If-Unmodified-Since count for nothing, */
    assert_put(0, "If-Unmodified-Since: " BEFORE "\r\nIf-Match: \"a\"\r\n", &strong);
    assert_put(412, "If-Unmodified-Since: " MODIFIED "\r\nIf-Match: \"b\"\r\n", &strong);
    /* If-None-Match the same of If-Modified-Since, */
    assert_get(0, "If-Modified-Since: " MODIFIED "\r\nIf-None-Match: \"b\"\r\n", &strong);
    assert_get(304, "If-Modified-Since: " BEFORE "\r\nIf-None-Match: \"a\"\r\n", &strong);
    /* and the first two go before the others. */
    assert_get(412, "If-None-Match: \"a\"\r\nIf-Match: \"b\"\r\n", &strong);
    assert_get(304, "If-None-Match: \"a\"\r\nIf-Match: \"a\"\r\n", &strong);
    assert_get(412, "If-Modified-Since: " MODIFIED "\r\nIf-Unmodified-Since: " BEFORE "\r\n",
               &strong);
}

/* Two fields of a name are joined. */
static void test_without_memory(void)
{
    static const char *const names[] = { "If-Match", "If-None-Match", "If-Unmodified-Since",
                                         "If-Modified-Since" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct asked asked = { .current = &strong, .without_memory = true };
        struct wire w;
        char text[6000], tag[4200];
        memset(tag, 'x', sizeof tag);
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s: %.*s\r\n%s: \"b\"\r\n\r\n",
                 names[i], (int)sizeof tag, tag, names[i]);
        wire_init(&w, ask, &asked);
        wire_start(&w);
        wire_send(&w, text);
        assert_int_equal(asked.status, -1);
        assert_int_equal(asked.error, ENOMEM);
        wire_finish(&w);
    }
}

/* ---- lists ------------------------------------------------------------------------------------- */

static bool match(const char *list, const char *tag, bool is_weak)
{
    return cress_etag_matches((cress_str){ list, strlen(list) }, (cress_str){ tag, strlen(tag) },
                              is_weak);
}

static void test_lists(void **state)
{
    (void)state;
    assert_true(match("\"\"", "\"\"", false));
    assert_true(match(",, \"a\" ,,\t\"b\",", "\"b\"", false));
    assert_true(match("\"a,b\", \"c\"", "\"c\"", false));
    assert_true(match("\"a,b\"", "\"a,b\"", false));
    assert_true(match("\"\xc3\xa4\"", "\"\xc3\xa4\"", false));
    assert_false(match("", "\"a\"", true));
    assert_false(match(",", "\"a\"", true));
    assert_false(match("\"ab\"", "\"a\"", true));
    assert_false(match("\"a\"", "\"ab\"", true));
    assert_false(cress_etag_matches((cress_str){ NULL, 0 }, CRESS_STR("\"a\""), true));
    assert_false(cress_etag_matches(CRESS_STR("\"a\""), (cress_str){ NULL, 0 }, true));
}

/* What is behind something malformed is not looked at. */
static void test_malformed_lists(void **state)
{
    static const char *const lists[] = {
        "a",
        "a, \"a\"",
        "\"a",
        "\"b\" \"a\"",
        "\"b\"\"a\"",
        "w/\"a\"",
        "W/ \"a\"",
        "W/, \"a\"",
        "W, \"a\"",
        "*, \"a\"",
        "\"b\"x, \"a\"",
        "\"b c\", \"a\"",
        "\"b\x7f\", \"a\"",
        "'a'",
        "\"b\"; \"a\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        assert_false(match(lists[i], "\"a\"", true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_none),
        HUB_TEST(test_if_match),
        HUB_TEST(test_if_none_match),
        HUB_TEST(test_if_modified_since),
        HUB_TEST(test_if_unmodified_since),
        HUB_TEST(test_precedence),
        HUB_TEST(test_without_memory),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_malformed_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
