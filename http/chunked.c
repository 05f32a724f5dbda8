/* Chunked bodies: RFC 9112 7.1, to the letter.
 *
 * Attacks on servers in a row live on what one reads into a chunk's line and the other
 * does not: a line feed within an extension, a blank behind the size, a sign before it. So
 * every byte between two pieces of content is one that the grammar has at that place, or
 * the body is malformed. The framing is taken apart a byte at a time; content is never
 * looked at.
 *
 * Trailer fields are kept apart from the head's. Those that would tell how to read the
 * message, where it goes or who sent it are dropped.
 */
#include "chunked.h"

#include "text.h"

#include <errno.h>

enum {
    MAX_DIGITS = 16,       /* of a size */
    MAX_EXTENSIONS = 4096, /* bytes in one body */
};

/* What comes next. */
enum state {
    SIZE,             /* a hexadecimal digit, or what follows the size */
    BEFORE_NAME,      /* of an extension: a semicolon was seen */
    NAME,             /* its second byte or later */
    BEHIND_NAME,      /* a blank was seen */
    BEFORE_VALUE,     /* an equals sign was seen */
    VALUE,            /* its second byte or later */
    QUOTED,           /* within quotes */
    QUOTED_PAIR,      /* a backslash was seen */
    BEHIND_VALUE,     /* a quote was seen */
    BEFORE_SEMICOLON, /* a blank was seen, behind a size or a value */
    LINE_FEED,        /* of the size's line */
    CONTENT,
    CONTENT_RETURN,
    CONTENT_FEED,
    TRAILERS,
    MALFORMED,
};

void chunked_begin(struct http_exchange *x)
{
    x->input.kind = BODY_CHUNKED;
    x->chunks = (struct http_chunks){ 0 };
}

static int fail(struct http_exchange *x, int error, const char *why)
{
    exchange_note_refusal(x, why);
    errno = error;
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- a size and its extensions ------------------------------------------------------------ */

static enum state behind_value(char c)
{
    if (c == ';')
        return BEFORE_NAME;
    if (c == '\r')
        return LINE_FEED;
    return is_blank(c) ? BEFORE_SEMICOLON : MALFORMED;
}

static enum state behind_name(char c)
{
    if (c == '=')
        return BEFORE_VALUE;
    return c == ';' ? BEFORE_NAME : is_blank(c) ? BEHIND_NAME : MALFORMED;
}

static enum state in_quotes(char c)
{
    if (c == '"')
        return BEHIND_VALUE;
    if (c == '\\')
        return QUOTED_PAIR;
    return text_is(c, TEXT_VALUE) ? QUOTED : MALFORMED;
}

static enum state before_value(char c)
{
    if (c == '"')
        return QUOTED;
    if (is_blank(c))
        return BEFORE_VALUE;
    return text_is(c, TEXT_TOKEN) ? VALUE : MALFORMED;
}

/* RFC 9112 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) CRLF. */
static enum state next_state(enum state state, char c)
{
    switch (state) {
    case BEFORE_NAME:
        return text_is(c, TEXT_TOKEN) ? NAME : is_blank(c) ? BEFORE_NAME : MALFORMED;
    case NAME:
        if (c == '\r')
            return LINE_FEED;
        return text_is(c, TEXT_TOKEN) ? NAME : behind_name(c);
    case BEHIND_NAME:
        return behind_name(c);
    case BEFORE_VALUE:
        return before_value(c);
    case VALUE:
        return text_is(c, TEXT_TOKEN) ? VALUE : behind_value(c);
    case QUOTED:
        return in_quotes(c);
    case QUOTED_PAIR:
        return text_is(c, TEXT_VALUE) ? QUOTED : MALFORMED;
    case SIZE:
    case BEHIND_VALUE:
        return behind_value(c);
    case BEFORE_SEMICOLON:
        return c == ';' ? BEFORE_NAME : is_blank(c) ? BEFORE_SEMICOLON : MALFORMED;
    default:
        return MALFORMED;
    }
}

static int take_digit(struct http_exchange *x, char c)
{
    struct http_input *input = &x->input;

    if (++input->digits > MAX_DIGITS)
        return fail(x, EBADMSG, "a chunk size too long");
    input->left = input->left << 4 | (unsigned)text_hex_value(c);
    return 0;
}

static int take_size_line(struct http_exchange *x, char c)
{
    struct http_input *input = &x->input;

    if (input->state == SIZE && text_is(c, TEXT_HEX))
        return take_digit(x, c);
    if (input->digits == 0)
        return fail(x, EBADMSG, "a chunk without a size");
    input->state = (uint8_t)next_state(input->state, c);
    if (input->state == MALFORMED)
        return fail(x, EBADMSG, "a malformed chunk size or extension");
    if (input->state != LINE_FEED && ++x->chunks.extensions > MAX_EXTENSIONS)
        return fail(x, EBADMSG, "chunk extensions too large");
    return 0;
}

/* What a chunk says it will hold is refused before it comes. */
static int finish_size_line(struct http_exchange *x)
{
    struct http_input *input = &x->input;
    uint64_t limit = exchange_body_limit(x);

    input->digits = 0;
    input->state = input->left ? CONTENT : TRAILERS;
    if (input->taken > limit || input->left > limit - input->taken)
        return fail(x, EMSGSIZE, "a body too large");
    return 0;
}

static int take_framing(struct http_exchange *x, char c)
{
    struct http_input *input = &x->input;

    switch (input->state) {
    case LINE_FEED:
        return c == '\n' ? finish_size_line(x) : fail(x, EBADMSG, "a bare carriage return");
    case CONTENT_RETURN:
        input->state = CONTENT_FEED;
        return c == '\r' ? 0 : fail(x, EBADMSG, "a chunk longer than its size");
    case CONTENT_FEED:
        input->state = SIZE;
        return c == '\n' ? 0 : fail(x, EBADMSG, "a bare carriage return");
    default:
        return take_size_line(x, c);
    }
}

/* ---- trailer fields ------------------------------------------------------------------------- */

bool chunked_is_no_trailer(cress_str name)
{
    static const cress_str names[] = {
        { "Transfer-Encoding", 17 },
        { "Content-Length", 14 },
        { "Host", 4 },
        { "Trailer", 7 },
        { "TE", 2 },
        { "Connection", 10 },
        { "Keep-Alive", 10 },
        { "Upgrade", 7 },
        { "Content-Encoding", 16 },
        { "Content-Type", 12 },
        { "Content-Range", 13 },
        { "Authorization", 13 },
        { "Cookie", 6 },
        { "Set-Cookie", 10 },
        { "Proxy-Authorization", 19 },
        { "WWW-Authenticate", 16 },
        { "Proxy-Authenticate", 18 },
        { "Cache-Control", 13 },
        { "Pragma", 6 },
        { "Expect", 6 },
        { "Max-Forwards", 12 },
        { "Range", 5 },
        { "If-Match", 8 },
        { "If-None-Match", 13 },
        { "If-Modified-Since", 17 },
        { "If-Unmodified-Since", 19 },
        { "If-Range", 8 },
        { "Forwarded", 9 },
        { "Location", 8 },
        { "Date", 4 },
        { "Age", 3 },
        { "Expires", 7 },
        { "Vary", 4 },
        { "Retry-After", 11 },
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (text_equal_nocase(names[i], name))
            return true;
    return name.len > 12 && strncasecmp(name.data, "X-Forwarded-", 12) == 0;
}

static int keep_trailer(struct http_exchange *x, cress_str name, cress_str value)
{
    struct http_trailer *trailer = arena_alloc(&x->arena, sizeof *trailer);

    if (!trailer)
        return fail(x, ENOMEM, "out of memory");
    *trailer = (struct http_trailer){ .name = name, .value = value };
    if (x->chunks.last_trailer)
        x->chunks.last_trailer->next = trailer;
    else
        x->chunks.trailers = trailer;
    x->chunks.last_trailer = trailer;
    return 0;
}

/* A line without its line end, which lasts as long as the request. */
static int take_trailer(struct http_exchange *x, char *line, size_t len)
{
    char *colon = memchr(line, ':', len), *end = line + len;

    if (!colon || !text_all(line, (size_t)(colon - line), TEXT_TOKEN))
        return fail(x, EBADMSG, "a malformed trailer field");
    char *value = colon + 1;
    if (!text_is_value(value, (size_t)(end - value)))
        return fail(x, EBADMSG, "a control character in a trailer field");
    if (++x->chunks.trailer_count > config_fields(x->http->config))
        return fail(x, EBADMSG, "too many trailer fields");
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    *colon = *end = '\0';
    cress_str name = { line, (size_t)(colon - line) };
    if (chunked_is_no_trailer(name))
        return 0;
    return keep_trailer(x, name, (cress_str){ value, (size_t)(end - value) });
}

static int keep_line(struct http_exchange *x, const char *at, size_t len)
{
    struct http_chunks *chunks = &x->chunks;
    uint32_t wanted = chunks->line_len + (uint32_t)len;

    if (wanted > chunks->line_capacity) {
        uint32_t capacity = chunks->line ? wanted * 2 : wanted;
        char *line = arena_alloc_text(&x->arena, capacity);
        if (!line)
            return fail(x, ENOMEM, "out of memory");
        memcpy(line, chunks->line ? chunks->line : "", chunks->line_len);
        chunks->line = line;
        chunks->line_capacity = capacity;
    }
    memcpy(chunks->line + chunks->line_len, at, len);
    chunks->line_len = wanted;
    return 0;
}

static int finish_line(struct http_exchange *x)
{
    struct http_chunks *chunks = &x->chunks;
    char *line = chunks->line;
    size_t len = chunks->line_len;

    chunks->line = NULL;
    chunks->line_len = chunks->line_capacity = 0;
    if (len < 2 || line[len - 2] != '\r')
        return fail(x, EBADMSG, "a bare line feed");
    if (len > 2)
        return take_trailer(x, line, len - 2);
    x->input.ended = true;
    return 0;
}

/* As much of a line as is there. */
static int take_trailer_bytes(struct http_exchange *x)
{
    struct http_chunks *chunks = &x->chunks;
    const char *at = x->in + x->pos, *end = x->in + x->fill;
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    size_t len = (size_t)((feed ? feed + 1 : end) - at);

    x->pos += len;
    chunks->trailer_bytes += (uint32_t)len;
    if (chunks->trailer_bytes > config_head(x->http->config) ||
        chunks->line_len + len > config_field_size(x->http->config) + 2)
        return fail(x, EBADMSG, "trailer fields too large");
    if (keep_line(x, at, len) < 0)
        return -1;
    return feed ? finish_line(x) : 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int take_content(struct http_exchange *x)
{
    struct http_input *input = &x->input;
    size_t there = x->fill - x->pos;

    input->span = x->in + x->pos;
    input->span_len = there < input->left ? there : input->left;
    input->left -= input->span_len;
    x->pos += input->span_len;
    if (input->left == 0)
        input->state = CONTENT_RETURN;
    return 0;
}

int chunked_decode(struct http_exchange *x)
{
    struct http_input *input = &x->input;
    int result = 0;

    while (result == 0 && !input->ended && !input->span_len && x->pos < x->fill) {
        if (input->state == CONTENT)
            result = take_content(x);
        else if (input->state == TRAILERS)
            result = take_trailer_bytes(x);
        else
            result = take_framing(x, x->in[x->pos++]);
    }
    return result;
}
