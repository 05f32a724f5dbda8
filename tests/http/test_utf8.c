#include "../../http/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The encoding of a number, well-formed or not: 1 to 4 bytes. */
static size_t encode(char *to, uint32_t code, size_t size)
{
    static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (size_t i = size; i-- > 1; code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(leads[size] | code);
    return size;
}

static size_t proper_size(uint32_t code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void test_every_code_in_every_length(void **state)
{
    char text[4];

    (void)state;
    for (size_t size = 2; size <= 4; size++) {
        uint32_t end = size == 2 ? 0x800 : size == 3 ? 0x10000 : 0x200000;
        for (uint32_t code = 0; code < end; code++) {
            bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
            bool is_proper = proper_size(code) == size && !is_surrogate && code <= 0x10ffff;
            encode(text, code, size);
            if (utf8_char(text, size) != (is_proper ? size : 0))
                fail_msg("U+%04X in %zu bytes", code, size);
        }
    }
    for (int c = 0; c < 256; c++)
        assert_int_equal(utf8_char((char[]){ (char)c }, 1), c < 0x80);
}

static void test_what_is_cut_or_continued(void **state)
{
    (void)state;
    assert_int_equal(utf8_char("\xc3\xa9", 1), 0);
    assert_int_equal(utf8_char("\xe2\x82\xac", 2), 0);
    assert_int_equal(utf8_char("\xf0\x9f\x99\x82", 3), 0);
    assert_int_equal(utf8_char("\xe2\x82g", 3), 0);
    assert_int_equal(utf8_char("\xc3\xa9\xa9", 3), 2);
    assert_int_equal(utf8_char("\xf8\x88\x80\x80\x80", 5), 0);
    assert_true(utf8_is_valid(CRESS_STR("")));
    assert_true(utf8_is_valid(CRESS_STR("a\xc3\xa9\0\xe2\x82\xac")));
    assert_false(utf8_is_valid(CRESS_STR("a\xc3\xa9\xa9")));
    assert_false(utf8_is_valid(CRESS_STR("a\xc3")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_in_every_length),
        cmocka_unit_test(test_what_is_cut_or_continued),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
