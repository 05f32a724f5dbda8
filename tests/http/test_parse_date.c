#include "guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cress/conditional.h>

#include <stdio.h>

static bool parse(const char *text, time_t *ret_time)
{
    size_t len = strlen(text);
    char *copy = guarded_copy(text, len);
    bool is_date = cress_parse_date((cress_str){ copy, len }, ret_time);

    guarded_free(copy, len);
    return is_date;
}

static void check(const char *text, time_t expected)
{
    time_t time = -1;

    assert_true(parse(text, &time));
    assert_int_equal(time, expected);
}

/* RFC 9110 5.6.7: its own example, in the three forms. */
static void test_three_forms(void **state)
{
    (void)state;
    check("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    check("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    check("Sun Nov  6 08:49:37 1994", 784111777);
    check("Wed Nov 16 08:49:37 1994", 784975777);
}

static void test_what_format_writes_is_read(void **state)
{
    char text[CRESS_DATE_SIZE];

    (void)state;
    for (time_t time = -62135596800; time <= 253402300799; time += 86399 * 1009) {
        cress_format_date(text, time);
        check(text, time);
    }
    cress_format_date(text, 253402300799);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    cress_format_date(text, INT64_MAX);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    cress_format_date(text, INT64_MIN);
    assert_string_equal(text, "Mon, 01 Jan 0001 00:00:00 GMT");
}

static void test_days_of_leap_years(void **state)
{
    time_t time;

    (void)state;
    check("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
    check("Thu, 29 Feb 2024 23:59:59 GMT", 1709251199);
    check("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);   /* a leap second */
    check("Fri, 31 Dec 9999 23:59:60 GMT", 253402300799); /* no year 10000 */
    assert_false(parse("Thu, 29 Feb 1900 00:00:00 GMT", &time));
    assert_false(parse("Thu, 29 Feb 2023 00:00:00 GMT", &time));
}

/* RFC 9110 5.6.7: at most 50 years in the future. */
static void test_years_of_two_digits(void **state)
{
    time_t now = time(NULL), parsed;
    struct tm tm;
    char text[64];

    (void)state;
    gmtime_r(&now, &tm);
    for (int ahead = -49; ahead <= 50; ahead++) {
        int year = tm.tm_year + 1900 + ahead;
        snprintf(text, sizeof text, "Monday, 01-Jan-%02d 00:00:00 GMT", year % 100);
        assert_true(parse(text, &parsed));
        struct tm found;
        gmtime_r(&parsed, &found);
        assert_int_equal(found.tm_year + 1900, year);
    }
}

static void test_no_dates(void **state)
{
    static const char *const texts[] = {
        "",
        "0",
        "now",
        "Sun",
        "Sun,",
        "Sun, ",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov   08:49:37 1994",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        time_t time = 42;
        assert_false(parse(texts[i], &time));
        assert_int_equal(time, 42);
    }
}

static void test_every_beginning_of_a_date_is_none(void **state)
{
    static const char *const texts[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                         "Sunday, 06-Nov-94 08:49:37 GMT",
                                         "Sun Nov  6 08:49:37 1994" };
    char part[64];
    time_t time;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t len = 0; len < strlen(texts[i]); len++) {
            snprintf(part, sizeof part, "%.*s", (int)len, texts[i]);
            assert_false(parse(part, &time));
        }
}

static void test_absent(void **state)
{
    time_t time;

    (void)state;
    assert_false(cress_parse_date((cress_str){ NULL, 0 }, &time));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_forms),
        cmocka_unit_test(test_what_format_writes_is_read),
        cmocka_unit_test(test_days_of_leap_years),
        cmocka_unit_test(test_years_of_two_digits),
        cmocka_unit_test(test_no_dates),
        cmocka_unit_test(test_every_beginning_of_a_date_is_none),
        cmocka_unit_test(test_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
