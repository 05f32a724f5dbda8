#include "guarded.h"
#include "hub_test.h"
#include "wire.h"

#include <cress/range.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ranges as "OFFSET+LEN ...", or what else came out. */
static void check(const char *field, uint64_t size, const char *expected)
{
    cress_byte_range ranges[CRESS_MAX_RANGES];
    size_t len = strlen(field);
    char *copy = guarded_copy(field, len), text[2048] = "";
    int count = cress_parse_range((cress_str){ copy, len }, size, ranges), error = errno;

    for (int i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s%" PRIu64 "+%" PRIu64, i ? " " : "", ranges[i].offset,
                ranges[i].len);
    if (count == 0)
        strcpy(text, "all");
    if (count < 0)
        strcpy(text, error == ERANGE ? "none" : error == EINVAL ? "malformed" : "?");
    assert_string_equal(text, expected);
    guarded_free(copy, len);
}

/* RFC 9110 14.1.2, with its examples for 10000 bytes. */
static void test_one(void **state)
{
    (void)state;
    check("bytes=0-499", 10000, "0+500");
    check("bytes=500-999", 10000, "500+500");
    check("bytes=-500", 10000, "9500+500");
    check("bytes=9500-", 10000, "9500+500");
    check("bytes=0-0", 10000, "0+1");
    check("bytes=9999-9999", 10000, "9999+1");
    check("BYTES=0-0", 10000, "0+1");
    check("bytes=0-", 10000, "0+10000");
    check("bytes=00-0009", 10000, "0+10");
}

static void test_beyond_the_end(void **state)
{
    (void)state;
    check("bytes=9990-20000", 10000, "9990+10");
    check("bytes=-20000", 10000, "0+10000");
    check("bytes=0-99999999999999999999999999", 10, "0+10");
    check("bytes=-99999999999999999999999999", 10, "0+10");
    check("bytes=5-18446744073709551615", 10, "5+5");
    check("bytes=0-18446744073709551615", UINT64_MAX, "0+18446744073709551615");
    check("bytes=18446744073709551614-", UINT64_MAX, "18446744073709551614+1");
}

static void test_several(void **state)
{
    (void)state;
    check("bytes=0-0,-1", 10000, "0+1 9999+1");
    check("bytes=500-600,601-999", 10000, "500+101 601+399");
    check("bytes=7-8, 1-2", 10, "7+2 1+2");
    check("bytes= 0-0 ,\t2-2\t, ", 10, "0+1 2+1");
    check("bytes=,,0-0,,,2-2,,", 10, "0+1 2+1");
    check("bytes=0-0,20-30", 10, "0+1");
    check("bytes=20-30,0-0", 10, "0+1");
}

static void test_none_can_be_had(void **state)
{
    (void)state;
    check("bytes=10000-", 10000, "none");
    check("bytes=10000-10001", 10000, "none");
    check("bytes=-0", 10000, "none");
    check("bytes=20-,30-", 10, "none");
    check("bytes=99999999999999999999999999-", 10, "none");
}

static void test_malformed(void **state)
{
    static const char *const fields[] = {
        "bytes=",        "bytes=,",     "bytes=-",
        "bytes=a",       "bytes=0",     "bytes=0-a",
        "bytes=a-0",     "bytes=5-4",   "bytes=--1",
        "bytes=0--1",    "bytes=0-1-2", "bytes=+0-1",
        "bytes=0- 1",    "bytes=0 -1",  "bytes=0-1;",
        "bytes=0-1 2-3", "bytes=0-1,x", "bytes=x,0-1",
        "bytes=0x1-2",   "bytes=1.0-2", "bytes=0-1,bytes=2-3",
    };

    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        check(fields[i], 10, "malformed");
}

static void test_what_does_not_count(void **state)
{
    (void)state;
    check("", 10, "all");
    check("bytes", 10, "all");
    check("bytes 0-1", 10, "all");
    check("lines=0-1", 10, "all");
    check("bytes =0-1", 10, "all");
    check("bytes=0-", 0, "all");
    check("bytes=-1", 0, "all");
}

/* Never more than there is. */
static void test_too_much(void **state)
{
    char field[1024] = "bytes=", expected[1024] = "";

    (void)state;
    check("bytes=0-,0-", 10, "all");
    check("bytes=0-4,5-9", 10, "0+5 5+5");
    check("bytes=0-4,4-9", 10, "all");
    check("bytes=0-4,5-9,20-", 10, "0+5 5+5");
    for (int i = 0; i < CRESS_MAX_RANGES; i++) {
        sprintf(field + strlen(field), "%d-%d,", i, i);
        sprintf(expected + strlen(expected), "%s%d+1", i ? " " : "", i);
    }
    check(field, 1000, expected);
    strcat(field, "900-900");
    check(field, 1000, "all");
    strcat(field, ",x");
    check(field, 1000, "malformed");
}

/* ---- with a request ------------------------------------------------------------------------------ */

struct asked {
    const cress_validators *current;
    int count;
};

static int ask(cress_environ *env, cress_response *res, void *self)
{
    struct asked *asked = self;
    cress_byte_range ranges[CRESS_MAX_RANGES];

    asked->count = cress_range(env, asked->current, 100, ranges);
    return cress_respond(res, 200, NULL, NULL, 0);
}

static int range(const char *method, const char *fields, const cress_validators *current)
{
    struct asked asked = { .current = current, .count = -2 };
    char text[512];

    snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    wire_serve(text, ask, &asked);
    return asked.count;
}

#define RANGE "Range: bytes=0-1\r\n"

/* RFC 9110 14.2: GET is the only method with ranges. */
static void test_methods(void)
{
    assert_int_equal(range("GET", RANGE, NULL), 1);
    assert_int_equal(range("HEAD", RANGE, NULL), 0);
    assert_int_equal(range("POST", RANGE, NULL), 0);
    assert_int_equal(range("GET", "", NULL), 0);
    assert_int_equal(range("GET", "Range: bytes=200-\r\n", NULL), -1);
    assert_int_equal(range("HEAD", "Range: bytes=200-\r\n", NULL), 0);
}

static void test_fields_of_one_name_are_joined(void)
{
    assert_int_equal(range("GET", "Range: bytes=0-1\r\nRange: 4-5\r\n", NULL), 2);
    assert_int_equal(range("GET", "Range: bytes=0-1\r\nRange: bytes=4-5\r\n", NULL), -1);
}

/* RFC 9110 13.1.5 */
static void test_if_range(void)
{
    const cress_validators strong = { .etag = { "\"a\"", 3 },
                                      .has_modified = true,
                                      .modified = 784111777 };
    const cress_validators weak = { .etag = { "W/\"a\"", 5 } };

    assert_int_equal(range("GET", RANGE "If-Range: \"a\"\r\n", &strong), 1);
    assert_int_equal(range("GET", RANGE "If-Range: \"b\"\r\n", &strong), 0);
    assert_int_equal(range("GET", RANGE "If-Range: W/\"a\"\r\n", &weak), 0);
    assert_int_equal(range("GET", RANGE "If-Range: \"a\"\r\n", &weak), 0);
    assert_int_equal(range("GET", RANGE "If-Range: \"a\"\r\n", NULL), 0);
    assert_int_equal(range("GET", RANGE "If-Range: *\r\n", &strong), 0);
    assert_int_equal(range("GET", RANGE "If-Range:\r\n", &strong), 0);
    assert_int_equal(range("GET", RANGE "If-Range: \"b\", \"a\"\r\n", &strong), 0);
    assert_int_equal(range("GET", RANGE "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", &strong), 1);
    /* Not "since", but exactly that. */
    assert_int_equal(range("GET", RANGE "If-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", &strong), 0);
    assert_int_equal(range("GET", RANGE "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", &weak), 0);
    /* What was not asked for does not fail either. */
    assert_int_equal(range("GET", "Range: bytes=200-\r\nIf-Range: \"b\"\r\n", &strong), 0);
}

/* RFC 9110 8.8.2.2: within its second a file may have changed again. */
static void test_a_date_of_now_is_weak(void)
{
    cress_validators fresh = { .has_modified = true, .modified = time(NULL) + 60 };
    char date[CRESS_DATE_SIZE], fields[128];

    cress_format_date(date, fresh.modified);
    snprintf(fields, sizeof fields, RANGE "If-Range: %s\r\n", date);
    assert_int_equal(range("GET", fields, &fresh), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_beyond_the_end),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_none_can_be_had),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_what_does_not_count),
        cmocka_unit_test(test_too_much),
        HUB_TEST(test_methods),
        HUB_TEST(test_fields_of_one_name_are_joined),
        HUB_TEST(test_if_range),
        HUB_TEST(test_a_date_of_now_is_weak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
