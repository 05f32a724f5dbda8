#include "../../http/query.h"
#include "guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void check_path(const char *encoded, const char *expected, size_t len)
{
    char *from = guarded_copy(encoded, strlen(encoded));
    char to[64];
    ssize_t decoded = query_decode_path(to, from, strlen(encoded));

    assert_int_equal(decoded, (ssize_t)len);
    assert_memory_equal(to, expected, len);
    guarded_free(from, strlen(encoded));
}

static void test_paths_are_decoded(void **state)
{
    (void)state;
    check_path("", "", 0);
    check_path("/a/b", "/a/b", 4);
    check_path("/%41%7a", "/Az", 3);
    check_path("%2f%2F", "//", 2);
    check_path("+", "+", 1);
    check_path("%ff", "\xff", 1);
    check_path("%2541", "%41", 3);
}

static void test_malformed_paths_are_refused(void **state)
{
    static const char *const paths[] = { "%", "%4", "%4g", "%g4", "/%", "%00", "/a%00b", "%%41" };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char to[16], *from = guarded_copy(paths[i], strlen(paths[i]));
        assert_int_equal(query_decode_path(to, from, strlen(paths[i])), -1);
        guarded_free(from, strlen(paths[i]));
    }
}

static void test_decoding_in_place(void **state)
{
    char path[] = "/%61%62%63";

    (void)state;
    assert_int_equal(query_decode_path(path, path, strlen(path)), 4);
    assert_memory_equal(path, "/abc", 4);
}

/* The value of a name among pairs; NULL: absent. */
static void check_find(const char *pairs, const char *name, const char *expected)
{
    struct arena arena = { .chunks = NULL };
    char *copy = guarded_copy(pairs, strlen(pairs));
    cress_str value = query_find(&arena, (cress_str){ copy, strlen(pairs) }, name);

    if (expected) {
        assert_non_null(value.data);
        assert_string_equal(value.data, expected);
        assert_int_equal(value.len, strlen(expected));
    } else {
        assert_null(value.data);
    }
    guarded_free(copy, strlen(pairs));
    arena_free(&arena);
}

static void test_parameters(void **state)
{
    (void)state;
    check_find("a=1&b=2", "a", "1");
    check_find("a=1&b=2", "b", "2");
    check_find("a=1&b=2", "c", NULL);
    check_find("", "a", NULL);
    check_find("ab=1", "a", NULL);
    check_find("a=1", "ab", NULL);
    check_find("a=1&a=2", "a", "1");
    check_find("a", "a", "");
    check_find("a=", "a", "");
    check_find("&&a=1&&", "a", "1");
    check_find("=1", "", "1");
    check_find("&", "", NULL);
    check_find("a=b=c", "a", "b=c");
    check_find("a=1;b=2", "a", "1;b=2");
}

static void test_parameters_are_decoded(void **state)
{
    (void)state;
    check_find("a=x+y%20z", "a", "x y z");
    check_find("%61%62=1", "ab", "1");
    check_find("a+b=1", "a b", "1");
    check_find("a=%2B%26%3d", "a", "+&=");
    check_find("a=%c3%a4", "a", "\xc3\xa4");
    /* WHATWG: a malformed escape stands for itself. */
    check_find("a=%", "a", "%");
    check_find("a=%4", "a", "%4");
    check_find("a=100%&b=%zz", "a", "100%");
    check_find("a=100%&b=%zz", "b", "%zz");
}

static void test_a_value_may_hold_a_zero(void **state)
{
    struct arena arena = { .chunks = NULL };
    cress_str value = query_find(&arena, CRESS_STR("a=x%00y"), "a");

    (void)state;
    assert_int_equal(value.len, 3);
    assert_memory_equal(value.data, "x\0y", 4);
    arena_free(&arena);
}

/* The pairs as they are taken: "name=value;" each. */
static void check_all(const char *pairs, const char *expected)
{
    struct arena arena = { .chunks = NULL };
    char *copy = guarded_copy(pairs, strlen(pairs)), seen[128] = "";
    cress_str rest = { copy, strlen(pairs) }, name, value;

    while (query_next(&arena, &rest, &name, &value) == 1) {
        assert_int_equal(strlen(name.data) + strlen(value.data), name.len + value.len);
        strcat(strcat(strcat(strcat(seen, name.data), "="), value.data), ";");
    }
    assert_string_equal(seen, expected);
    assert_int_equal(rest.len, 0);
    guarded_free(copy, strlen(pairs));
    arena_free(&arena);
}

static void test_all_in_order(void **state)
{
    (void)state;
    check_all("", "");
    check_all("&&", "");
    check_all("tag=a&tag=b&c", "tag=a;tag=b;c=;");
    check_all("&a=1&&b=x%20y+z&", "a=1;b=x y z;");
    check_all("=1&=", "=1;=;");
    check_all("a%3Db=c%26d", "a=b=c&d;");
    check_all("a=%4&%zz=%", "a=%4;%zz=%;");
}

static void test_absent_pairs(void **state)
{
    struct arena arena = { .chunks = NULL };

    (void)state;
    assert_null(query_find(&arena, (cress_str){ NULL, 0 }, "a").data);
    cress_str none = { NULL, 0 }, name, value;
    assert_int_equal(query_next(&arena, &none, &name, &value), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_decoded),
        cmocka_unit_test(test_malformed_paths_are_refused),
        cmocka_unit_test(test_decoding_in_place),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_parameters_are_decoded),
        cmocka_unit_test(test_a_value_may_hold_a_zero),
        cmocka_unit_test(test_all_in_order),
        cmocka_unit_test(test_absent_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
