#include "../../http/status.h"

#include <cress/response.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

/* RFC 9110 15 */
static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(cress_status_reason(200), "OK");
    assert_string_equal(cress_status_reason(404), "Not Found");
    assert_string_equal(cress_status_reason(431), "Request Header Fields Too Large");
    assert_string_equal(cress_status_reason(299), "Unknown");
    assert_string_equal(cress_status_reason(-1), "Unknown");
}

static void test_lines_say_the_same(void **state)
{
    (void)state;
    for (int status = 100; status < 1000; status++) {
        char expected[128], line[STATUS_ROOM + 1];
        snprintf(expected, sizeof expected, "HTTP/1.1 %d %s\r\n", status,
                 cress_status_reason(status));
        line[STATUS_ROOM] = '#';
        *status_put_line(line, status) = '\0';
        assert_string_equal(line, expected);
        assert_int_equal(line[STATUS_ROOM], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_lines_say_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
