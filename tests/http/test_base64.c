#include "../../http/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* RFC 4648 10, and what the two alphabets differ in. */
static const struct {
    const char *data;
    size_t len;
    const char *padded, *url;
} vectors[] = {
    { "", 0, "", "" },
    { "f", 1, "Zg==", "Zg" },
    { "fo", 2, "Zm8=", "Zm8" },
    { "foo", 3, "Zm9v", "Zm9v" },
    { "foob", 4, "Zm9vYg==", "Zm9vYg" },
    { "fooba", 5, "Zm9vYmE=", "Zm9vYmE" },
    { "foobar", 6, "Zm9vYmFy", "Zm9vYmFy" },
    { "\xfb\xff\xbf", 3, "+/+/", "-_-_" },
    { "\0\0\0", 3, "AAAA", "AAAA" },
};

static cress_str str(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char text[16], data[16];
        size_t len = vectors[i].len;

        *base64url_put(text, vectors[i].data, len) = '\0';
        assert_string_equal(text, vectors[i].url);
        assert_int_equal(strlen(text), BASE64URL_SIZE(len));
        assert_int_equal(base64url_decode(data, str(vectors[i].url)), len);
        assert_memory_equal(data, vectors[i].data, len);
        assert_int_equal(base64_decode(data, str(vectors[i].padded)), len);
        assert_memory_equal(data, vectors[i].data, len);
    }
}

static void test_malformed(void **state)
{
    static const char *const padded[] = { "Z",    "Zg",     "Zg=",      "Zh==",  "Zm9=",
                                          "Z===", "====",   "Zg==Zg==", "Zg== ", "Z g=",
                                          "-_-_", "Zm\n9v", "Zm9v=" };
    static const char *const url[] = { "Z", "Zh", "Zm9", "Zg==", "+/+/", "Zm9vY", "Zm 9v" };
    char data[16];

    (void)state;
    for (size_t i = 0; i < sizeof padded / sizeof padded[0]; i++)
        assert_int_equal(base64_decode(data, str(padded[i])), -1);
    for (size_t i = 0; i < sizeof url / sizeof url[0]; i++)
        assert_int_equal(base64url_decode(data, str(url[i])), -1);
    assert_int_equal(base64_decode(data, (cress_str){ "Zg=\0", 4 }), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
