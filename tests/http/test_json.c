#include "hub_test.h"
#include "wire.h"

#include <cress/json.h>

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void writer(cress_json *json);

/* Runs in an app: what the writer makes, or an error. */
struct attempt {
    writer *write;
    size_t limit;
    const char *expected;
    int error;
    bool replaces, done;
};

static int try_write(cress_environ *env, cress_response *res, void *self)
{
    struct attempt *a = self;
    cress_json json;
    cress_str text;

    cress_json_begin(&json, env, a->limit);
    json.replaces_malformed = a->replaces;
    a->write(&json);
    if (a->error) {
        assert_errno(a->error, cress_json_finish(&json, &text));
    } else {
        assert_ok(cress_json_finish(&json, &text));
        assert_string_equal(text.data, a->expected);
        assert_int_equal(text.len, strlen(a->expected));
    }
    a->done = true;
    return cress_respond(res, 204, NULL, NULL, 0);
}

static void in_request(cress_app *app, void *self)
{
    wire_serve("GET / HTTP/1.1\r\nHost: a\r\n\r\n", app, self);
}

static void check_attempt(struct attempt a)
{
    in_request(try_write, &a);
    assert_true(a.done);
}

static void check(writer *write, const char *expected)
{
    check_attempt((struct attempt){ .write = write, .limit = 1 << 16, .expected = expected });
}

static void check_error(writer *write, int error)
{
    check_attempt((struct attempt){ .write = write, .limit = 1 << 16, .error = error });
}

/* ---- structure ------------------------------------------------------------------------- */

static void write_nested(cress_json *json)
{
    cress_json_object(json);
    cress_json_key(json, "a");
    cress_json_int(json, 1);
    cress_json_key(json, "b");
    cress_json_array(json);
    cress_json_object(json);
    cress_json_end(json);
    cress_json_array(json);
    cress_json_end(json);
    cress_json_null(json);
    cress_json_end(json);
    cress_json_key(json, "");
    cress_json_object(json);
    cress_json_key(json, "c");
    cress_json_bool(json, true);
    cress_json_end(json);
    cress_json_key(json, "d");
    cress_json_raw(json, CRESS_STR("[1, 2]"));
    cress_json_key(json, "e");
    cress_json_raw(json, (cress_str){ NULL, 0 });
    cress_json_end(json);
}

static void write_text(cress_json *json)
{
    cress_json_text(json, "alone");
}

static void write_null(cress_json *json)
{
    cress_json_text(json, NULL);
}

static void test_structure(void)
{
    check(write_nested, "{\"a\":1,\"b\":[{},[],null],\"\":{\"c\":true},\"d\":[1, 2],\"e\":null}");
    check(write_text, "\"alone\"");
    check(write_null, "null");
}

static void two_values(cress_json *json)
{
    cress_json_int(json, 1);
    cress_json_int(json, 2);
}

static void no_value(cress_json *json)
{
    (void)json;
}

static void not_ended(cress_json *json)
{
    cress_json_array(json);
}

static void ended_twice(cress_json *json)
{
    cress_json_array(json);
    cress_json_end(json);
    cress_json_end(json);
}

static void value_without_name(cress_json *json)
{
    cress_json_object(json);
    cress_json_int(json, 1);
    cress_json_end(json);
}

static void name_without_value(cress_json *json)
{
    cress_json_object(json);
    cress_json_key(json, "a");
    cress_json_end(json);
}

static void two_names(cress_json *json)
{
    cress_json_object(json);
    cress_json_key(json, "a");
    cress_json_key(json, "b");
    cress_json_int(json, 1);
    cress_json_end(json);
}

static void name_in_array(cress_json *json)
{
    cress_json_array(json);
    cress_json_key(json, "a");
    cress_json_int(json, 1);
    cress_json_end(json);
}

static void too_deep(cress_json *json)
{
    for (int i = 0; i < CRESS_JSON_DEPTH + 1; i++)
        cress_json_array(json);
    for (int i = 0; i < CRESS_JSON_DEPTH + 1; i++)
        cress_json_end(json);
}

static void deep(cress_json *json)
{
    for (int i = 0; i < CRESS_JSON_DEPTH; i++) {
        if (i % 2 == 0) {
            cress_json_array(json);
        } else {
            cress_json_object(json);
            cress_json_key(json, "k");
        }
    }
    cress_json_int(json, 1);
    for (int i = 0; i < CRESS_JSON_DEPTH; i++)
        cress_json_end(json);
}

static void test_calls_that_make_no_value(void)
{
    check_error(two_values, EINVAL);
    check_error(no_value, EINVAL);
    check_error(not_ended, EINVAL);
    check_error(ended_twice, EINVAL);
    check_error(value_without_name, EINVAL);
    check_error(name_without_value, EINVAL);
    check_error(two_names, EINVAL);
    check_error(name_in_array, EINVAL);
    check_error(too_deep, EMSGSIZE);
}

static void test_depth(void)
{
    char expected[1000] = "";

    for (int i = 0; i < CRESS_JSON_DEPTH; i++)
        strcat(expected, i % 2 ? "{\"k\":" : "[");
    strcat(expected, "1");
    for (int i = CRESS_JSON_DEPTH; i-- > 0;)
        strcat(expected, i % 2 ? "}" : "]");
    check(deep, expected);
}

/* ---- strings ----------------------------------------------------------------------------- */

static void write_escapes(cress_json *json)
{
    cress_json_array(json);
    cress_json_text(json, "a\"b\\c/d");
    cress_json_string(json, CRESS_STR("\0\x01\b\t\n\v\f\r\x0e\x1f\x20\x7f"));
    cress_json_text(json, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82");
    cress_json_end(json);
}

static void write_malformed(cress_json *json)
{
    cress_json_text(json, "a\xff"
                          "b\xc3");
}

static void write_malformed_name(cress_json *json)
{
    cress_json_object(json);
    cress_json_key(json, "\x80");
    cress_json_null(json);
    cress_json_end(json);
}

static void test_strings(void)
{
    check(write_escapes, "[\"a\\\"b\\\\c/d\","
                         "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u000e\\u001f \x7f\","
                         "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\"]");
    check_error(write_malformed, EILSEQ);
    check_error(write_malformed_name, EILSEQ);
    check_attempt((struct attempt){
        .write = write_malformed,
        .limit = 100,
        .replaces = true,
        .expected = "\"a\xef\xbf\xbd"
                    "b\xef\xbf\xbd\"",
    });
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void write_numbers(cress_json *json)
{
    cress_json_array(json);
    cress_json_int(json, 0);
    cress_json_int(json, -1);
    cress_json_int(json, INT64_MAX);
    cress_json_int(json, INT64_MIN);
    cress_json_uint(json, UINT64_MAX);
    cress_json_bool(json, false);
    cress_json_end(json);
}

static void write_doubles(cress_json *json)
{
    cress_json_array(json);
    cress_json_double(json, 0);
    cress_json_double(json, -0.0);
    cress_json_double(json, 0.1);
    cress_json_double(json, 0.1 + 0.2);
    cress_json_double(json, 1.5e300);
    cress_json_double(json, -1e-7);
    cress_json_double(json, DBL_MAX);
    cress_json_double(json, DBL_MIN);
    cress_json_double(json, 1.0 / 3);
    cress_json_double(json, 5e-324);
    cress_json_end(json);
}

/* As in a language whose decimal point is not of ASCII. */
static const char *decimal_point;

int __wrap_snprintf(char *buf, size_t size, const char *format, ...);

int __wrap_snprintf(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(buf, size, format, args);
    va_end(args);
    char *point = decimal_point && len < (int)size ? strchr(buf, '.') : NULL;
    if (!point)
        return len;
    size_t more = strlen(decimal_point) - 1;
    memmove(point + 1 + more, point + 1, strlen(point + 1) + 1);
    memcpy(point, decimal_point, more + 1);
    return len + (int)more;
}

static void write_half(cress_json *json)
{
    decimal_point = "\xd9\xab";
    cress_json_double(json, -0.5);
    decimal_point = NULL;
}

static void write_nan(cress_json *json)
{
    cress_json_double(json, NAN);
}

static void write_infinity(cress_json *json)
{
    cress_json_double(json, -HUGE_VAL);
}

static void test_numbers(void)
{
    check(write_numbers,
          "[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,false]");
    check(write_doubles, "[0,-0,0.1,0.30000000000000004,1.5e+300,-1e-07,1.7976931348623157e+308,"
                         "2.2250738585072014e-308,0.3333333333333333,5e-324]");
    check(write_half, "-0.5");
    check_error(write_nan, EDOM);
    check_error(write_infinity, EDOM);
}

/* ---- memory and limits --------------------------------------------------------------------------- */

static void write_long(cress_json *json)
{
    cress_json_array(json);
    for (int i = 0; i < 1000; i++)
        cress_json_text(json, "0123456789");
    cress_json_end(json);
}

static void test_limits(void)
{
    size_t len = 1000 * 13 + 1;
    char *expected = calloc(1, len + 1);
    assert_non_null(expected);
    for (size_t i = 0; i < 1000; i++)
        memcpy(expected + i * 13, i ? ",\"0123456789\"" : "[\"0123456789\"", 13);
    expected[len - 1] = ']';

    check_attempt((struct attempt){ .write = write_long, .limit = len, .expected = expected });
    check_attempt((struct attempt){ .write = write_long, .limit = len - 1, .error = EMSGSIZE });
    check_attempt((struct attempt){ .write = write_text, .limit = 0, .error = EMSGSIZE });
    check_attempt((struct attempt){ .write = write_text, .limit = 7, .expected = "\"alone\"" });
    free(expected);
}

/* ---- responses ------------------------------------------------------------------------------------- */

static int respond(cress_environ *env, cress_response *res, void *self)
{
    cress_json json;

    (void)self;
    cress_json_begin(&json, env, 100);
    write_nan(&json);
    assert_errno(EDOM, cress_json_respond(&json, res, 200));
    cress_json_begin(&json, env, 100);
    write_text(&json);
    return cress_json_respond(&json, res, 201);
}

static int stream(cress_environ *env, cress_response *res, void *self)
{
    cress_json json;
    cress_str text = CRESS_STR("x");

    (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    cress_json_begin_response(&json, env, res);
    write_long(&json);
    assert_ok(cress_json_finish(&json, &text));
    assert_null(text.data);
    return 0;
}

static int stream_beyond_length(cress_environ *env, cress_response *res, void *self)
{
    cress_json json;
    cress_str text;

    (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "10" })));
    cress_json_begin_response(&json, env, res);
    write_long(&json);
    return cress_json_finish(&json, &text);
}

static void test_responses(void)
{
    wire_check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", respond,
               DATED("201 Created") "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n"
                                    "\"alone\"");
}

static void test_streams(void)
{
    struct wire w;

    wire_init(&w, stream, NULL);
    wire_start(&w);
    wire_send(&w, "GET / HTTP/1.0\r\n\r\n");
    const char *body = strstr(w.stream.out, "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strlen(body + 4), 13001);
    assert_int_equal(memcmp(body + 4, "[\"0123456789\",\"", 15), 0);
    assert_string_equal(body + 4 + 13001 - 13, "\"0123456789\"]");
    wire_finish(&w);

    wire_init(&w, stream_beyond_length, NULL);
    wire_start(&w);
    wire_send(&w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(w.wrong, "wrote more than its Content-Length");
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_structure), HUB_TEST(test_calls_that_make_no_value),
        HUB_TEST(test_depth),     HUB_TEST(test_strings),
        HUB_TEST(test_numbers),   HUB_TEST(test_limits),
        HUB_TEST(test_responses), HUB_TEST(test_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
