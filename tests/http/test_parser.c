#include "../../http/parser.h"
#include "guarded.h"
#include "guarded_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

static const char *const heads[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /a?b=c HTTP/1.1\r\nHost: [::1]:80\r\nX: \t y \t\r\nEmpty:\r\n\r\n",
    "GET http://a:80/x%20y HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\n\r\n",
    "POST /%41%42 HTTP/1.1\r\nHost: a%41\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\ntransfer_encoding:x\r\n\r\n",
};

/* No byte behind what was received is looked at, wherever that ends. */
static void test_heads_are_not_read_past_their_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        for (size_t len = 0; len <= strlen(heads[i]); len++) {
            struct http_exchange *x = guarded_exchange(heads[i], len);
            int status = len ? parser_head(x) : PARSE_MORE;
            assert_int_equal(status, len == strlen(heads[i]) ? PARSE_DONE : PARSE_MORE);
            guarded_exchange_free(x, len);
        }
}

/* Nor with any one byte changed to something else. */
static void test_changed_heads(void **state)
{
    static const char others[] = "\0\n\r\t :a1/%?#[]*@\x7f\xff";

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        for (size_t at = 0; at < strlen(heads[i]); at++)
            for (size_t other = 0; other < sizeof others - 1; other++) {
                char head[256];
                size_t len = strlen(heads[i]);
                memcpy(head, heads[i], len);
                head[at] = others[other];
                struct http_exchange *x = guarded_exchange(head, len);
                int status = parser_head(x);
                assert_true(status == PARSE_MORE || status == PARSE_DONE ||
                            (status >= 400 && status < 600));
                if (status == PARSE_DONE)
                    assert_true(x->env.method.data[x->env.method.len] == '\0' &&
                                x->env.target.data[x->env.target.len] == '\0' &&
                                x->env.path.data[x->env.path.len] == '\0' &&
                                x->env.query.data[x->env.query.len] == '\0');
                guarded_exchange_free(x, len);
            }
}

static void test_what_is_known_of_a_head(void **state)
{
    static const char head[] =
        "\r\nPOST /%41?q HTTP/1.1\r\nHost: a\r\nX:  y \r\nContent-Length: 10\r\n"
        "Expect: 100-Continue\r\nConnection: close\r\n\r\n0123";
    struct http_exchange *x = guarded_exchange(head, sizeof head - 1);

    (void)state;
    assert_int_equal(parser_head(x), PARSE_DONE);
    assert_string_equal(x->env.method.data, "POST");
    assert_string_equal(x->env.target.data, "/%41?q");
    assert_string_equal(x->env.path.data, "/A");
    assert_string_equal(x->env.query.data, "q");
    assert_string_equal(x->env.host.data, "a");
    assert_int_equal(x->env.minor, 1);
    assert_true(x->env.closes);
    assert_int_equal(x->env.field_count, 5);
    assert_string_equal(x->in + x->start + x->env.fields[1].name, "X");
    assert_string_equal(x->in + x->start + x->env.fields[1].value, "y");
    assert_int_equal(x->input.kind, BODY_COUNTED);
    assert_int_equal(x->input.left, 10);
    assert_true(x->input.expects_continue);
    assert_int_equal(x->fill - x->pos, 4);
    assert_int_equal(x->body, x->pos);
    guarded_exchange_free(x, sizeof head - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_not_read_past_their_end),
        cmocka_unit_test(test_changed_heads),
        cmocka_unit_test(test_what_is_known_of_a_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
