#include "../../http/text.h"
#include "guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

static void check_number(uint64_t value)
{
    char text[24], expected[24];

    *text_put_u64(text, value) = '\0';
    snprintf(expected, sizeof expected, "%" PRIu64, value);
    assert_string_equal(text, expected);
    *text_put_hex(text, value) = '\0';
    snprintf(expected, sizeof expected, "%" PRIx64, value);
    assert_string_equal(text, expected);
}

static void test_numbers(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 2000; value++)
        check_number(value);
    for (uint64_t value = 1; value < UINT64_MAX / 10; value *= 10) {
        check_number(value - 1);
        check_number(value);
        check_number(value + 1);
    }
    check_number(UINT64_MAX);
}

static bool parses(const char *text, uint64_t *value)
{
    return text_parse_u64((cress_str){ text, strlen(text) }, value);
}

static void test_parsing(void **state)
{
    uint64_t value = 0;

    (void)state;
    assert_true(parses("0", &value) && value == 0);
    assert_true(parses("00123", &value) && value == 123);
    assert_true(parses("18446744073709551615", &value) && value == UINT64_MAX);
    value = 7;
    assert_false(parses("18446744073709551616", &value));
    assert_false(parses("99999999999999999999", &value));
    assert_false(parses("", &value));
    assert_false(parses("+1", &value));
    assert_false(parses("-1", &value));
    assert_false(parses(" 1", &value));
    assert_false(parses("1 ", &value));
    assert_false(parses("0x1", &value));
    assert_int_equal(value, 7);
}

/* RFC 9110 5.6.2 and 5.5 */
static void test_classes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool is_alnum = c < 128 && isalnum(c) != 0;
        bool is_token = is_alnum || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", c));
        bool is_value = c == '\t' || (c >= ' ' && c != 0x7f);
        bool is_host = is_alnum || (c && c < 128 && strchr("-._~!$&'()*+,;=", c));
        assert_int_equal(text_is((char)c, TEXT_TOKEN), is_token);
        assert_int_equal(text_is((char)c, TEXT_VALUE), is_value);
        assert_int_equal(text_is((char)c, TEXT_HOST), is_host);
        assert_int_equal(text_is((char)c, TEXT_DIGIT), c < 128 && isdigit(c) != 0);
        assert_int_equal(text_is((char)c, TEXT_HEX), c < 128 && isxdigit(c) != 0);
    }
}

/* Each byte at each place of values of several lengths. */
static void test_values(void **state)
{
    (void)state;
    assert_true(text_is_value("", 0));
    for (size_t len = 1; len < 20; len++)
        for (size_t at = 0; at < len; at++)
            for (int c = 0; c < 256; c++) {
                char text[20];
                memset(text, 'a', len);
                text[at] = (char)c;
                assert_int_equal(text_is_value(text, len), text_is((char)c, TEXT_VALUE));
            }
}

static void test_nothing_is_read_past_their_end(void **state)
{
    (void)state;
    for (size_t len = 0; len < 40; len++) {
        char text[40], *copy;
        memset(text, 'a', sizeof text);
        copy = guarded_copy(text, len);
        assert_true(text_is_value(copy, len));
        guarded_free(copy, len);
    }
}

/* The length, if all bytes are of the class. */
static size_t measure_by_bytes(const char *text, int class, size_t least)
{
    size_t len = 0;

    for (; text[len]; len++)
        if (!text_is(text[len], class))
            return TEXT_UNFIT;
    return len >= least ? len : TEXT_UNFIT;
}

static void check_string(const char *text)
{
    assert_int_equal(text_token_len(text), measure_by_bytes(text, TEXT_TOKEN, 1));
    assert_int_equal(text_value_len(text), measure_by_bytes(text, TEXT_VALUE, 0));
}

/* Each byte at each place of strings of several lengths, beside others that are sound, from each
 * place of sixteen. */
static void test_strings(void **state)
{
    static const char *const others[] = { "x-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                          "A_z0-9~!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    _Alignas(16) char memory[64];

    (void)state;
    for (size_t from = 0; from < 16; from++)
        for (size_t len = 0; len < 36; len += len < 18 ? 1 : 7)
            for (size_t at = 0; at < len; at++)
                for (int c = 0; c < 256; c++) {
                    char *text = memory + from;
                    memset(memory, c, sizeof memory);
                    memcpy(text, others[len % 2], len);
                    text[at] = (char)c;
                    text[len] = '\0';
                    check_string(text);
                }
}

/* Where a page begins that cannot be read. */
static void test_strings_at_the_end_of_memory(void **state)
{
    (void)state;
    for (size_t len = 0; len < 40; len++)
        for (size_t at = 0; at <= len; at++) {
            char text[41];
            memset(text, 'a', sizeof text);
            text[at] = ' ';
            text[len] = '\0';
            char *copy = guarded_copy(text, len + 1);
            check_string(copy);
            guarded_free(copy, len + 1);
        }
}

/* No byte too few, none beside them. */
static void test_short_copies(void **state)
{
    char text[40], to[44];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('!' + i);
    for (size_t len = 0; len < sizeof text; len++) {
        char *copy = guarded_copy(text, len);
        memset(to, '#', sizeof to);
        assert_ptr_equal(text_put_short(to + 1, copy, len), to + 1 + len);
        assert_int_equal(to[0], '#');
        assert_memory_equal(to + 1, text, len);
        assert_int_equal(to[1 + len], '#');
        guarded_free(copy, len);
    }
}

static void test_comparing(void **state)
{
    (void)state;
    assert_true(text_matches("hOsT", "host", 4));
    assert_false(text_matches("hosu", "host", 4));
    assert_true(text_matches("Content-Length", "content-length", 14));
    assert_false(text_matches("Content_Length", "content-length", 14));
    assert_true(text_equal_nocase(CRESS_STR("ABC"), CRESS_STR("abc")));
    assert_false(text_equal_nocase(CRESS_STR("ABC"), CRESS_STR("abcd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_parsing),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nothing_is_read_past_their_end),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_strings_at_the_end_of_memory),
        cmocka_unit_test(test_short_copies),
        cmocka_unit_test(test_comparing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
