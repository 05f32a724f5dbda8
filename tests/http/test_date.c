#include "../../http/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <string.h>

static void check(time_t when, const char *expected)
{
    char text[DATE_LEN + 1];

    date_format(text, when);
    assert_string_equal(text, expected);
}

/* RFC 9110 5.6.7 */
static void test_format(void **state)
{
    (void)state;
    check(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    check(1709251199, "Thu, 29 Feb 2024 23:59:59 GMT");
    check(1798761599, "Thu, 31 Dec 2026 23:59:59 GMT");
    check(4102444800, "Fri, 01 Jan 2100 00:00:00 GMT");
}

/* A locale would translate what strftime says. */
static void test_every_name(void **state)
{
    char text[DATE_LEN + 1], expected[64];

    (void)state;
    setlocale(LC_ALL, "C");
    for (time_t day = 0; day < 800; day++) {
        time_t when = 1700000000 + day * 86400 + day;
        struct tm tm;
        gmtime_r(&when, &tm);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        date_format(text, when);
        assert_string_equal(text, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_every_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
