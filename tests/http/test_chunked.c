#include "../../http/chunked.h"
#include "../../http/parser.h"
#include "guarded_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char chunked[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/* All content of a body, and whether its end was seen; NULL: malformed. */
static char *decode(const char *body, size_t len, bool *ret_ended)
{
    size_t head_len = strlen(chunked), content_len = 0;
    char *whole = malloc(head_len + len), *content = calloc(len + 1, 1);

    memcpy(whole, chunked, head_len);
    memcpy(whole + head_len, body, len);
    struct http_exchange *x = guarded_exchange(whole, head_len + len);
    assert_int_equal(parser_head(x), PARSE_DONE);
    do {
        x->input.span_len = 0;
        if (chunked_decode(x) < 0) {
            assert_int_equal(errno, EBADMSG);
            free(content);
            content = NULL;
            break;
        }
        if (x->input.span_len)
            memcpy(content + content_len, x->input.span, x->input.span_len);
        content_len += x->input.span_len;
    } while (x->input.span_len);
    *ret_ended = x->input.ended;
    guarded_exchange_free(x, head_len + len);
    free(whole);
    return content;
}

static void test_chunks_are_not_read_past_their_end(void **state)
{
    static const char body[] = "5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX: y\r\n\r\n";
    static const char content[] = "hello, world";
    bool ended;

    (void)state;
    for (size_t len = 0; len < sizeof body; len++) {
        char *decoded = decode(body, len, &ended);
        assert_non_null(decoded);
        assert_int_equal(strncmp(decoded, content, strlen(decoded)), 0);
        assert_int_equal(ended, len == sizeof body - 1);
        if (ended)
            assert_string_equal(decoded, content);
        free(decoded);
    }
}

static void test_changed_chunks(void **state)
{
    static const char body[] = "5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX: y\r\n\r\n";
    static const char others[] = "\0\n\r\t :;1fF=\x7f\xff";
    bool ended;

    (void)state;
    for (size_t at = 0; at < sizeof body - 1; at++)
        for (size_t other = 0; other < sizeof others - 1; other++) {
            char changed[sizeof body];
            memcpy(changed, body, sizeof body);
            changed[at] = others[other];
            free(decode(changed, sizeof body - 1, &ended));
        }
}

/* ---- the grammar: RFC 9112 7.1 and 7.1.1 ------------------------------------------------------ */

/* A body of one chunk with this line, without its line end. */
static bool is_line(const char *line)
{
    char body[200];
    bool ended;
    int len = snprintf(body, sizeof body, "%s\r\nabc\r\n0\r\n\r\n", line);
    char *content = decode(body, (size_t)len, &ended);
    bool result = content && ended && strcmp(content, "abc") == 0;

    free(content);
    return result;
}

static void test_lines(void **state)
{
    static const char *const good[] = {
        "3",
        "0000000000000003",
        "3;a",
        "3;a=b",
        "3;a=b;c=d;e",
        "3;a=\"b;c\"",
        "3;a=\"\\\"\\\\\t\x80\"",
        "3;a=\"\"",
        "3 ;a",
        "3\t ; a",
        "3; a = b",
        "3;a =\t\"b\" ;c",
        "3;!#$%&'*+-.^_`|~=1",
    };
    static const char *const bad[] = {
        "",
        " 3",
        "+3",
        "-3",
        "0x3",
        "3g",
        "3 ",
        "3\t",
        "00000000000000003",
        "3,",
        "3;",
        "3;;a",
        "3;=b",
        "3;a=",
        "3;a=;",
        "3;a==b",
        "3;a=b=c",
        "3;a b",
        "3;a=b c",
        "3;a=\"b",
        "3;a=\"b\"c",
        "3;a=\"b\x01\"",
        "3;a=\"b\\",
        "3;a\x80",
        "3;a\x01",
        "3;\"a\"",
        "3;a=b ",
        "3;a ",
        "3;a\n",
        "3;a\rb",
        "3\rb",
        "3\n",
        "3;a=\"\n\"",
        "3;a=\"\r\"",
        "_3",
        "3_0",
        "\xef\xbc\x93",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!is_line(good[i]))
            fail_msg("%s is a chunk's line", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (is_line(bad[i]))
            fail_msg("%s is no chunk's line", bad[i]);
}

static void test_sizes(void **state)
{
    bool ended;

    (void)state;
    char *content = decode("10000000000000000\r\n", 19, &ended);
    assert_null(content);
}

/* ---- trailer fields ---------------------------------------------------------------------------- */

static void test_fields_that_are_no_trailers(void **state)
{
    static const char *const forbidden[] = {
        "content-length",  "Transfer-Encoding", "HOST",   "Authorization",       "cookie",
        "Set-Cookie",      "Content-Type",      "TE",     "Content-Range",       "If-None-Match",
        "X-Forwarded-For", "Forwarded",         "Expect", "Proxy-Authorization",
    };
    static const char *const allowed[] = { "X", "ETag", "Digest", "Server-Timing", "X-Forwarded" };

    (void)state;
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        assert_true(chunked_is_no_trailer((cress_str){ forbidden[i], strlen(forbidden[i]) }));
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        assert_false(chunked_is_no_trailer((cress_str){ allowed[i], strlen(allowed[i]) }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_are_not_read_past_their_end),
        cmocka_unit_test(test_changed_chunks),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_fields_that_are_no_trailers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
