#include "../../http/host.h"
#include "guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool is_host(const char *text)
{
    char *copy = guarded_copy(text, strlen(text));
    bool result = host_is_valid((cress_str){ copy, strlen(text) });

    /* And once more, as what was asked last. */
    assert_int_equal(host_is_valid((cress_str){ copy, strlen(text) }), result);
    guarded_free(copy, strlen(text));
    return result;
}

static void test_hosts(void **state)
{
    static const char *const good[] = {
        "a",
        "A.example",
        "127.0.0.1",
        "localhost:8000",
        "a:",
        "a:65535",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1]:",
        "a%2e",
        "a-b_c~!$&'()*+,;=",
        "xn--caf-dma.example:443",
    };
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "a:b",
        "a:65536",
        "a:-1",
        "a:+1",
        "a:99999999999999999999",
        "a b",
        "a/b",
        "a@b",
        "a?b",
        "a#b",
        "[",
        "[]",
        "[::1",
        "[::1]a",
        "[::1]:a",
        "[:::1]",
        "[1.2.3.4]",
        "[fe80::1%25eth0]",
        "::1",
        "a:1:2",
        "a%",
        "a%4",
        "a%zz",
        "a\x80",
        "a\x7f",
        "a\\b",
        "a\"b",
        "<a>",
        "a^b",
        "a`b",
        "{a}",
        "a|b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!is_host(good[i]))
            fail_msg("%s is a host", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (is_host(bad[i]))
            fail_msg("%s is no host", bad[i]);
}

static void test_a_long_host(void **state)
{
    char host[300];

    (void)state;
    memset(host, 'a', sizeof host);
    for (size_t len = 1; len <= sizeof host; len++)
        assert_true(host_is_valid((cress_str){ host, len }));
    host[299] = ' ';
    assert_false(host_is_valid((cress_str){ host, 300 }));
    assert_true(host_is_valid((cress_str){ host, 60 }));
    host[59] = ' ';
    assert_false(host_is_valid((cress_str){ host, 60 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_a_long_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
