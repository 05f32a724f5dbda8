/* Request heads, without a connection around them. The same bytes are parsed at once, one by one,
 * and in pieces as the first byte says; all must come to the same verdict, the same refusal, and
 * the same request. What is accepted must also be, byte for byte, what RFC 9112's grammar spells
 * from its parts: method SP target SP version CRLF, name ":" blanks value blanks CRLF, CRLF; and
 * llhttp, which many servers stand on, must read the same target and fields. */
#include "../../http/parser.h"

#include "../../http/text.h"

#include <llhttp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What exceeds a limit is read in another way than what cannot. */
static const cress_http1_config narrow = {
    .keep_alive = 5,
    .limit_request_line = 64,
    .limit_request_fields = 30,
    .limit_request_field_size = 100,
};
static const cress_http1_config usual = { .keep_alive = 5 };

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* Goes on with `piece` further bytes at a time; the verdict. */
static int parse(struct http_exchange *x, const uint8_t *data, size_t size, size_t piece)
{
    int status = PARSE_MORE;

    for (size_t given = 0; status == PARSE_MORE && given < size;) {
        size_t more = size - given < piece ? size - given : piece;
        check(x->in_size - x->fill >= more || exchange_make_room(x, more) == 0, "no memory");
        memcpy(x->in + x->fill, data + given, more);
        x->fill += more;
        given += more;
        status = parser_head(x);
    }
    return status;
}

static bool is_same(cress_str a, cress_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static cress_str text_at(const struct http_exchange *x, uint32_t offset, uint32_t len)
{
    return (cress_str){ x->in + x->start + offset, len };
}

static void compare_fields(const struct http_exchange *a, const struct http_exchange *b)
{
    check(a->env.field_count == b->env.field_count, "the number of fields");
    for (uint32_t i = 0; i < a->env.field_count; i++) {
        const struct http_field *f = &a->env.fields[i], *g = &b->env.fields[i];
        check(is_same(text_at(a, f->name, f->name_len), text_at(b, g->name, g->name_len)),
              "a name");
        check(is_same(text_at(a, f->value, f->value_len), text_at(b, g->value, g->value_len)),
              "a value");
    }
}

static void compare_requests(const struct http_exchange *a, const struct http_exchange *b)
{
    check(is_same(a->env.method, b->env.method), "the method");
    check(is_same(a->env.target, b->env.target), "the target");
    check(is_same(a->env.path, b->env.path), "the path");
    check(is_same(a->env.query, b->env.query), "the query");
    check(is_same(a->env.host, b->env.host), "the host");
    check(a->env.minor == b->env.minor && a->env.closes == b->env.closes, "the connection");
    check(a->input.kind == b->input.kind && a->input.left == b->input.left &&
              a->input.ended == b->input.ended &&
              a->input.expects_continue == b->input.expects_continue,
          "the body's framing");
    check(a->pos - a->start == b->pos - b->start, "the head's end");
    compare_fields(a, b);
}

/* Takes the text off the front of the rest. */
static void expect_text(cress_str *rest, cress_str text, const char *what)
{
    check(rest->len >= text.len && memcmp(rest->data, text.data, text.len) == 0, what);
    rest->data += text.len;
    rest->len -= text.len;
}

static void skip_blanks(cress_str *rest)
{
    while (rest->len > 0 && (*rest->data == ' ' || *rest->data == '\t')) {
        rest->data++;
        rest->len--;
    }
}

static void expect_request_line(cress_str *rest, const struct http_exchange *x)
{
    check(text_all(x->env.method.data, x->env.method.len, TEXT_TOKEN), "a method is a token");
    expect_text(rest, x->env.method, "the method stands first");
    expect_text(rest, CRESS_STR(" "), "one blank behind the method");
    for (size_t i = 0; i < x->env.target.len; i++)
        check(x->env.target.data[i] > ' ' || x->env.target.data[i] < 0, "a target has no blanks");
    expect_text(rest, x->env.target, "the target stands second");
    expect_text(rest, CRESS_STR(" HTTP/1."), "the version stands third");
    expect_text(rest, x->env.minor ? CRESS_STR("1\r\n") : CRESS_STR("0\r\n"), "its end");
}

static void expect_field(cress_str *rest, cress_str name, cress_str value)
{
    check(text_all(name.data, name.len, TEXT_TOKEN), "a name is a token");
    check(text_is_value(value.data, value.len), "a value has no control bytes");
    expect_text(rest, name, "a name opens its line");
    expect_text(rest, CRESS_STR(":"), "a colon follows");
    skip_blanks(rest);
    expect_text(rest, value, "then the value");
    skip_blanks(rest);
    expect_text(rest, CRESS_STR("\r\n"), "then the line ends");
}

static void check_grammar(const struct http_exchange *x, const uint8_t *data, size_t size)
{
    cress_str rest = { (const char *)data, size };

    if (size >= 2 && memcmp(data, "\r\n", 2) == 0)
        expect_text(&rest, CRESS_STR("\r\n"), "an empty line");
    expect_request_line(&rest, x);
    for (uint32_t i = 0; i < x->env.field_count; i++) {
        const struct http_field *f = &x->env.fields[i];
        expect_field(&rest, text_at(x, f->name, f->name_len), text_at(x, f->value, f->value_len));
    }
    expect_text(&rest, CRESS_STR("\r\n"), "the head ends");
    check(rest.len == x->fill - x->pos, "what is left is behind the head");
}

/* ---- llhttp's reading ------------------------------------------------------------------------ */

struct reading {
    size_t target_len, names_len, values_len;
    bool is_whole;
};

static int add_target(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    ((struct reading *)parser->data)->target_len += len;
    return 0;
}

/* All values are to be alike to it: it takes a tab behind a Content-Length (RFC 9112 5.1) for a part
 * of the number. */
static int add_name(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    parser->header_state = 0;
    ((struct reading *)parser->data)->names_len += len;
    return 0;
}

/* llhttp leaves blanks behind a value. */
static int add_value(llhttp_t *parser, const char *at, size_t len)
{
    while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
        len--;
    ((struct reading *)parser->data)->values_len += len;
    return 0;
}

static int end_head(llhttp_t *parser)
{
    ((struct reading *)parser->data)->is_whole = true;
    return HPE_PAUSED;
}

static void check_other_reading(const struct http_exchange *x, const uint8_t *data, size_t size)
{
    static const llhttp_settings_t settings = {
        .on_url = add_target,
        .on_header_field = add_name,
        .on_header_value = add_value,
        .on_headers_complete = end_head,
    };
    struct reading reading = { .target_len = 0 };
    llhttp_t parser;
    size_t names_len = 0, values_len = 0;

    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &reading;
    llhttp_execute(&parser, (const char *)data, size);
    check(reading.is_whole, "llhttp refuses it");
    for (uint32_t i = 0; i < x->env.field_count; i++) {
        names_len += x->env.fields[i].name_len;
        values_len += x->env.fields[i].value_len;
    }
    check(reading.target_len == x->env.target.len, "llhttp reads another target");
    check(reading.names_len == names_len, "llhttp reads other names");
    check(reading.values_len == values_len, "llhttp reads other values");
}

static void compare(const cress_http1_config *config, const uint8_t *data, size_t size,
                    size_t piece)
{
    cress_http1 whole_http = { .config = config }, cut_http = { .config = config };
    struct http_exchange *whole = exchange_acquire(&whole_http), *cut = exchange_acquire(&cut_http);

    check(whole && cut, "no memory");
    int verdict = parse(whole, data, size, size), other = parse(cut, data, size, piece);
    check(verdict == other, "the verdict");
    if (verdict == PARSE_DONE) {
        check_grammar(whole, data, size);
        check_other_reading(whole, data, size);
        compare_requests(whole, cut);
    } else if (verdict != PARSE_MORE) {
        check(verdict >= 400 && verdict <= 505, "a status");
        check(whole->refusal && strcmp(whole->refusal, cut->refusal) == 0, "the reason");
    }
    exchange_release(&whole_http);
    exchange_release(&cut_http);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    compare(&usual, data + 1, size - 1, 1);
    compare(&usual, data + 1, size - 1, (size_t)*data + 2);
    compare(&narrow, data + 1, size - 1, (size_t)*data + 2);
    return 0;
}
