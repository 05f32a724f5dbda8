/* Chunked bodies and their trailer fields, without a connection around them. The same bytes are
 * decoded at once, one by one, and in pieces of which the second byte says how large they may be;
 * each piece lies in memory of just its size, so that a sanitizer sees what is read past it. All
 * must come to the same content, trailer fields, verdict and end; and so must a decoder that is
 * written here straight from RFC 9112 7.1, over all bytes at once.
 *
 * The first byte picks limits. With its highest bit the body is also read as applications do it,
 * and then what was refused must stay refused. */
#include "../../http/chunked.h"

#include "../../http/text.h"

#include <cress/hub.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL_BODY = 1, FEW_FIELDS = 2, SMALL_FIELDS = 4, SMALL_TRAILERS = 8 };
enum { BY_LINE = 64, BY_APP = 128 };

/* Verdicts; others are errno. GO_ON is no verdict yet. */
enum { GO_ON = -1, MORE = 0, WHOLE = -2 };

struct buffer {
    char *data;
    size_t len, size;
};

struct result {
    int verdict;
    size_t end; /* of what is whole */
    const char *refusal;
    struct buffer content, trailers;
};

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* Neither content nor fields can be more than what was sent. */
static void append(struct buffer *buffer, const char *data, size_t len)
{
    check(len <= buffer->size - buffer->len, "more came out than was put in");
    if (len)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
}

static void append_field(struct buffer *buffer, cress_str name, cress_str value)
{
    append(buffer, name.data, name.len);
    append(buffer, ":", 1);
    append(buffer, value.data, value.len);
    append(buffer, "\n", 1);
}

static void init(struct result *result, size_t size)
{
    *result = (struct result){
        .content = { malloc(size + 1), 0, size },
        .trailers = { malloc(size + 1), 0, size },
    };
    check(result->content.data && result->trailers.data, "memory");
}

static void finish(struct result *result)
{
    free(result->content.data);
    free(result->trailers.data);
}

/* ---- the naive decoder --------------------------------------------------------------------- */

struct naive {
    const char *at, *end;
    const cress_http1_config *config;
    size_t extensions, trailer_bytes, trailers;
    uint64_t taken;
    struct result *result;
};

static bool is_at_end(const struct naive *n)
{
    return n->at == n->end;
}

static int expect(struct naive *n, char c)
{
    if (is_at_end(n))
        return MORE;
    return *n->at++ == c ? GO_ON : EBADMSG;
}

static bool is_tchar(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static void pass_blanks(struct naive *n)
{
    while (!is_at_end(n) && (*n->at == ' ' || *n->at == '\t'))
        n->at++;
}

static int expect_token(struct naive *n)
{
    const char *begin = n->at;

    while (!is_at_end(n) && is_tchar(*n->at))
        n->at++;
    if (is_at_end(n))
        return MORE;
    return n->at > begin ? GO_ON : EBADMSG;
}

/* Behind the first quote. */
static int expect_quoted(struct naive *n)
{
    for (;;) {
        if (is_at_end(n))
            return MORE;
        char c = *n->at++;
        if (c == '"')
            return GO_ON;
        if (c == '\\') {
            if (is_at_end(n))
                return MORE;
            c = *n->at++;
        }
        if (!is_text(c))
            return EBADMSG;
    }
}

/* [ BWS "=" BWS ( token / quoted-string ) ]: blanks without an equals sign belong to what
 * follows. */
static int pass_value(struct naive *n)
{
    const char *begin = n->at;

    pass_blanks(n);
    if (is_at_end(n))
        return MORE;
    if (*n->at != '=') {
        n->at = begin;
        return GO_ON;
    }
    n->at++;
    pass_blanks(n);
    if (is_at_end(n) || *n->at != '"')
        return expect_token(n);
    n->at++;
    return expect_quoted(n);
}

/* *( BWS ";" BWS chunk-ext-name [ value ] ) */
static int pass_extensions(struct naive *n)
{
    for (;;) {
        const char *begin = n->at;
        pass_blanks(n);
        if (is_at_end(n))
            return MORE;
        if (*n->at != ';')
            return n->at == begin ? GO_ON : EBADMSG;
        n->at++;
        pass_blanks(n);
        int verdict = expect_token(n);
        if (verdict == GO_ON)
            verdict = pass_value(n);
        if (verdict != GO_ON)
            return verdict;
    }
}

static int take_size(struct naive *n, uint64_t *ret_size)
{
    const char *begin = n->at;

    for (*ret_size = 0; !is_at_end(n) && isxdigit((unsigned char)*n->at); n->at++) {
        if (n->at - begin == 16)
            return EBADMSG;
        *ret_size = *ret_size * 16 + strtoull((char[]){ *n->at, '\0' }, NULL, 16);
    }
    if (is_at_end(n))
        return MORE;
    return n->at > begin ? GO_ON : EBADMSG;
}

static int take_size_line(struct naive *n, uint64_t *ret_size)
{
    uint64_t limit = n->config->limit_request_body ? n->config->limit_request_body : 1 << 30;
    int verdict = take_size(n, ret_size);

    if (verdict != GO_ON)
        return verdict;
    const char *begin = n->at;
    verdict = pass_extensions(n);
    n->extensions += (size_t)(n->at - begin);
    if (n->extensions > 4096)
        return EBADMSG;
    if (verdict == GO_ON)
        verdict = expect(n, '\r');
    if (verdict == GO_ON)
        verdict = expect(n, '\n');
    if (verdict == GO_ON && *ret_size > limit - n->taken)
        return EMSGSIZE;
    return verdict;
}

static int take_data(struct naive *n, uint64_t size)
{
    size_t there = (size_t)(n->end - n->at), taken = size < there ? (size_t)size : there;
    int verdict;

    append(&n->result->content, n->at, taken);
    n->at += taken;
    n->taken += taken;
    if (taken < size)
        return MORE;
    verdict = expect(n, '\r');
    return verdict == GO_ON ? expect(n, '\n') : verdict;
}

/* field-name ":" OWS field-value OWS */
static int take_field(struct naive *n, const char *end)
{
    const char *begin = n->at, *colon = begin;

    while (colon < end && is_tchar(*colon))
        colon++;
    if (colon == begin || colon == end || *colon != ':')
        return EBADMSG;
    for (const char *at = colon + 1; at < end; at++)
        if (!is_text(*at))
            return EBADMSG;
    if (++n->trailers > (n->config->limit_request_fields ? n->config->limit_request_fields : 100))
        return EBADMSG;
    n->at = colon + 1;
    pass_blanks(n);
    const char *value = n->at < end ? n->at : end;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    cress_str name = { begin, (size_t)(colon - begin) };
    if (!chunked_is_no_trailer(name))
        append_field(&n->result->trailers, name, (cress_str){ value, (size_t)(end - value) });
    return GO_ON;
}

static int take_trailer_line(struct naive *n)
{
    const cress_http1_config *config = n->config;
    size_t line_limit = config->limit_request_field_size ? config->limit_request_field_size : 8190;
    size_t limit = config->limit_request_head ? config->limit_request_head : 64 << 10;
    const char *feed = memchr(n->at, '\n', (size_t)(n->end - n->at));
    size_t len = (size_t)((feed ? feed + 1 : n->end) - n->at);

    n->trailer_bytes += len;
    if (len > line_limit + 2 || n->trailer_bytes > limit)
        return EBADMSG;
    if (!feed)
        return MORE;
    if (len < 2 || feed[-1] != '\r')
        return EBADMSG;
    int verdict = len == 2 ? WHOLE : take_field(n, feed - 1);
    n->at = feed + 1;
    return verdict;
}

static void decode_naively(struct result *result, const cress_http1_config *config,
                           const char *data, size_t size)
{
    struct naive n = { .at = data, .end = data + size, .config = config, .result = result };
    uint64_t chunk = 0;
    int verdict;

    do {
        verdict = take_size_line(&n, &chunk);
        if (verdict == GO_ON && chunk > 0)
            verdict = take_data(&n, chunk);
    } while (verdict == GO_ON && chunk > 0);
    while (verdict == GO_ON)
        verdict = take_trailer_line(&n);
    result->verdict = verdict;
    result->end = (size_t)(n.at - data);
}

/* ---- the real one -------------------------------------------------------------------------- */

static void note_trailers(struct result *result, const struct http_exchange *x)
{
    for (const struct http_trailer *t = x->chunks.trailers; t; t = t->next) {
        check(!t->name.data[t->name.len] && !t->value.data[t->value.len], "no C string");
        append_field(&result->trailers, t->name, t->value);
    }
}

static int decode_piece(struct result *result, struct http_exchange *x)
{
    struct http_input *input = &x->input;

    do {
        input->span_len = 0;
        if (chunked_decode(x) < 0)
            return errno;
        append(&result->content, input->span, input->span_len);
        input->taken += input->span_len;
    } while (input->span_len);
    check(input->ended || x->pos == x->fill, "something was left");
    return input->ended ? WHOLE : MORE;
}

static char *take_copy(const char *data, size_t len)
{
    char *copy = malloc(len);

    check(copy || len == 0, "memory");
    if (len)
        memcpy(copy, data, len);
    return copy;
}

static size_t next_len(uint8_t most, unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return 1 + (*seed >> 16) % most;
}

/* most: bytes in a piece; 0: all at once. */
static void decode(struct result *result, const cress_http1_config *config, const char *data,
                   size_t size, uint8_t most)
{
    cress_http1 http = { .config = config };
    struct http_exchange *x = exchange_acquire(&http);
    unsigned seed = most;

    check(x, "memory");
    chunked_begin(x);
    for (size_t at = 0, len; at < size && result->verdict == MORE; at += len) {
        len = most ? next_len(most, &seed) : size;
        len = len < size - at ? len : size - at;
        x->in = take_copy(data + at, len);
        x->pos = 0;
        x->fill = len;
        result->verdict = decode_piece(result, x);
        result->end = at + x->pos;
        free(x->in);
        x->in = x->own;
    }
    result->refusal = x->refusal;
    note_trailers(result, x);
    exchange_release(&http);
}

/* ---- as applications read it --------------------------------------------------------------- */

struct reading {
    struct http_exchange *x;
    struct result *result;
    size_t piece;
    bool by_line;
};

static ssize_t read_piece(const struct reading *reading, char *buf)
{
    ssize_t got = reading->by_line ? cress_input_readline(&reading->x->env, buf, reading->piece + 1)
                                   : cress_input_read(&reading->x->env, buf, reading->piece);

    check(got <= (ssize_t)reading->piece, "more than was asked for");
    if (!reading->by_line)
        return got;
    check(got < 0 || buf[got] == '\0', "no C string");
    check(got <= 0 || !memchr(buf, '\n', (size_t)got - 1), "more than a line");
    return got;
}

static void check_final(struct http_exchange *x, int error, char *buf)
{
    cress_str all;

    check(cress_input_read(&x->env, buf, 1) < 0 && errno == error, "a read after a refusal");
    check(cress_input_readline(&x->env, buf, 2) < 0 && errno == error, "a line after a refusal");
    check(cress_input_read_all(&x->env, 100, &all) < 0 && errno == error, "all after a refusal");
    check(x->http->closing, "the connection goes on after a refusal");
    for (const struct http_trailer *t = x->chunks.trailers; t; t = t->next)
        check(!cress_trailer_get(&x->env, t->name.data).data, "a trailer field before the end");
}

static void check_end(struct http_exchange *x, char *buf)
{
    check(cress_input_read(&x->env, buf, 1) == 0, "a read after the end");
    for (const struct http_trailer *t = x->chunks.trailers; t; t = t->next) {
        cress_str value = cress_trailer_get(&x->env, t->name.data);
        check(value.data || memchr(t->name.data, '_', t->name.len), "a trailer field is missing");
        check(!value.data || strlen(value.data) == value.len, "no C string");
    }
}

static void *read_all(void *arg)
{
    struct reading *reading = arg;
    struct result *result = reading->result;
    char buf[300];
    ssize_t got;

    while ((got = read_piece(reading, buf)) > 0)
        append(&result->content, buf, (size_t)got);
    result->verdict = got == 0 ? WHOLE : errno == EPIPE ? MORE : errno;
    result->end = reading->x->pos;
    if (got < 0)
        check_final(reading->x, errno, buf);
    else
        check_end(reading->x, buf);
    return NULL;
}

static void read_by_app(struct result *result, const cress_http1_config *config, const char *data,
                        size_t size, struct reading reading)
{
    cress_http1 http = { .config = config };
    struct http_exchange *x = exchange_acquire(&http);

    check(x, "memory");
    chunked_begin(x);
    x->in = take_copy(data, size);
    x->in_kind = BUFFER_HEAP;
    x->in_size = x->fill = x->body = size;
    x->eof = true;
    x->phase = PHASE_REQUEST;
    reading.x = x;
    reading.result = result;
    check(cress_run_with(&(cress_hub_options){ .virtual_clock = true }, read_all, &reading) == 0,
          "a hub");
    result->refusal = x->refusal;
    note_trailers(result, x);
    exchange_release(&http);
}

/* ---- all of them --------------------------------------------------------------------------- */

/* Of a line that is cut short nothing is handed out. */
static void drop_last_line(struct buffer *content, const struct buffer *lines)
{
    check(lines->len <= content->len, "more content");
    check(!memchr(content->data + lines->len, '\n', content->len - lines->len), "a lost line");
    content->len = lines->len;
}

static void compare_buffers(const struct buffer *a, const struct buffer *b, const char *what)
{
    check(a->len == b->len && memcmp(a->data, b->data, a->len) == 0, what);
}

static void compare(const struct result *a, const struct result *b)
{
    check(a->verdict == b->verdict, "another verdict");
    check(a->verdict != WHOLE || a->end == b->end, "another end");
    check(!a->refusal || !b->refusal || strcmp(a->refusal, b->refusal) == 0, "another reason");
    compare_buffers(&a->content, &b->content, "other content");
    compare_buffers(&a->trailers, &b->trailers, "other trailer fields");
}

static cress_http1_config make_config(uint8_t options)
{
    return (cress_http1_config){
        .limit_request_body = options & SMALL_BODY ? 20 : 0,
        .limit_request_fields = options & FEW_FIELDS ? 2 : 0,
        .limit_request_field_size = options & SMALL_FIELDS ? 16 : 0,
        .limit_request_head = options & SMALL_TRAILERS ? 40 : 0,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;

    const cress_http1_config config = make_config(data[0]);
    const char *body = (const char *)data + 2;
    uint8_t pieces[] = { 0, 1, data[1] };
    struct result naive, real;

    size -= 2;
    init(&naive, size);
    decode_naively(&naive, &config, body, size);
    for (size_t i = 0; i < sizeof pieces; i++) {
        init(&real, size);
        decode(&real, &config, body, size, pieces[i]);
        compare(&naive, &real);
        check(real.verdict <= MORE || real.refusal, "a refusal without a reason");
        naive.refusal = real.refusal;
        finish(&real);
    }
    if (data[0] & BY_APP) {
        struct reading reading = { .piece = 1u + data[1], .by_line = data[0] & BY_LINE };
        init(&real, size);
        read_by_app(&real, &config, body, size, reading);
        if (reading.by_line && real.verdict != WHOLE)
            drop_last_line(&naive.content, &real.content);
        compare(&naive, &real);
        finish(&real);
    }
    finish(&naive);
    return 0;
}
