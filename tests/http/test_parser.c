#include "../../http/parser.h"
#include "guarded.h"
#include "guarded_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
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

static cress_str text_at(const struct http_exchange *x, uint32_t offset, uint32_t len)
{
    return (cress_str){ x->in + x->start + offset, len };
}

static void assert_same(cress_str a, cress_str b)
{
    assert_int_equal(a.len, b.len);
    assert_int_equal(!a.data, !b.data);
    if (a.data) {
        assert_memory_equal(a.data, b.data, a.len);
        assert_int_equal(a.data[a.len], '\0');
        assert_int_equal(b.data[b.len], '\0');
    }
}

static void assert_same_requests(const struct http_exchange *a, const struct http_exchange *b)
{
    assert_same(a->env.method, b->env.method);
    assert_same(a->env.target, b->env.target);
    assert_same(a->env.path, b->env.path);
    assert_same(a->env.query, b->env.query);
    assert_same(a->env.host, b->env.host);
    assert_int_equal(a->env.minor, b->env.minor);
    assert_int_equal(a->line_len, b->line_len);
    assert_int_equal(a->env.field_count, b->env.field_count);
    for (uint32_t i = 0; i < a->env.field_count; i++) {
        const struct http_field *f = &a->env.fields[i], *g = &b->env.fields[i];
        assert_same(text_at(a, f->name, f->name_len), text_at(b, g->name, g->name_len));
        assert_same(text_at(a, f->value, f->value_len), text_at(b, g->value, g->value_len));
    }
    assert_int_equal(a->pos - a->start, b->pos - b->start);
}

/* What is there as a whole is taken by lines, what comes byte by byte is not: both see the same. */
static int compare_ways(const char *head, size_t len)
{
    struct http_exchange *whole = guarded_exchange(head, len), *bytes = guarded_exchange(head, len);
    int status = parser_head(whole), by_bytes = PARSE_MORE;

    for (bytes->fill = 0; by_bytes == PARSE_MORE && bytes->fill < len;) {
        bytes->fill++;
        by_bytes = parser_head(bytes);
    }
    bytes->fill = len;
    assert_int_equal(by_bytes, status);
    assert_int_equal(!bytes->refusal, !whole->refusal);
    if (whole->refusal)
        assert_string_equal(bytes->refusal, whole->refusal);
    if (status == PARSE_DONE)
        assert_same_requests(whole, bytes);
    guarded_exchange_free(bytes, len);
    guarded_exchange_free(whole, len);
    return status;
}

/* Each byte, at each place: parts of less than sixteen bytes, of just so many, and of more. */
static void test_lines_and_bytes_alike(void **state)
{
    static const char *const usual[] = {
        "GET /sixteen/letters?a=1 HTTP/1.1\r\nHost: a\r\nAccept-Language1: abcdefghij "
        "0123456789\r\n"
        "Xy: z\r\n\r\n",
        "PROPFIND /0123456789abcdef0123?0123456789abcdef HTTP/1.1\r\nHost: abc\r\n"
        "X-Four: 0123456789abcdef\r\n\r\n",
    };
    size_t done = 0, refused = 0;

    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        for (size_t at = 0; at < strlen(usual[i]); at++)
            for (int byte = 0; byte < 256; byte++) {
                char head[256];
                size_t len = strlen(usual[i]);
                memcpy(head, usual[i], len);
                head[at] = (char)byte;
                int status = compare_ways(head, len);
                done += status == PARSE_DONE;
                refused += status >= 400;
            }
    assert_true(done > 5000 && refused > 5000);
}

/* Blanks in every number around a value, and values and names of every length. */
static void test_lines_of_any_length(void **state)
{
    char head[256];

    (void)state;
    for (int name = 1; name < 40; name++)
        for (int value = 0; value < 40; value++)
            for (int blanks = 0; blanks < 9; blanks++) {
                int len = snprintf(
                    head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%.*s:%.*s%.*s%.*s\r\n\r\n",
                    name, "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNO", blanks / 3, " \t", value,
                    "abcdefgh\tjklmnopqrstuvwxyz ABCDEFGHIJKLMNO", blanks % 3, "\t ");
                assert_int_equal(compare_ways(head, (size_t)len), PARSE_DONE);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_not_read_past_their_end),
        cmocka_unit_test(test_changed_heads),
        cmocka_unit_test(test_what_is_known_of_a_head),
        cmocka_unit_test(test_lines_and_bytes_alike),
        cmocka_unit_test(test_lines_of_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
