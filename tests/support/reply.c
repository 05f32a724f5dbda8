/* A strict reader of responses: see reply.h. */
#include "reply.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reader {
    const char *at, *end;
    struct reply *reply;
    bool has_length;
    uint64_t length;
    const char *wrong;
};

void reply_append(struct reply_text *text, const void *data, size_t len)
{
    if (text->len + len + 1 > text->capacity) {
        text->capacity = (text->len + len + 1) * 2;
        text->data = realloc(text->data, text->capacity);
        assert(text->data);
    }
    if (len)
        memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

bool reply_has(const struct reply *reply, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = reply->fields.data; *at; at = strchr(at, '\n') + 1)
        if (strncmp(at, line, len) == 0 && at[len] == '\n')
            return true;
    return false;
}

void reply_finish(struct reply *reply)
{
    free(reply->fields.data);
    free(reply->body.data);
    free(reply->trailers.data);
}

/* ---- lines --------------------------------------------------------------------------------- */

static bool fail(struct reader *r, const char *wrong)
{
    r->wrong = wrong;
    return false;
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The next line without its end; false: it is not whole, or malformed. */
static bool take_line(struct reader *r, const char **ret_line, size_t *ret_len)
{
    size_t there = (size_t)(r->end - r->at);
    const char *feed = there ? memchr(r->at, '\n', there) : NULL, *line = r->at;

    for (const char *at = line; at < (feed ? feed - (feed > line) : r->end); at++)
        if (((unsigned char)*at < ' ' && *at != '\t' && !(*at == '\r' && at + 1 == r->end)) ||
            *at == 0x7f)
            return fail(r, "a control character");
    if (!feed)
        return false;
    if (feed == line || feed[-1] != '\r')
        return fail(r, "a bare line feed");
    *ret_line = line;
    *ret_len = (size_t)(feed - 1 - line);
    r->at = feed + 1;
    return true;
}

static bool take_status_line(struct reader *r)
{
    const char *line;
    size_t len;

    if (!take_line(r, &line, &len))
        return false;
    if (len < 13 || memcmp(line, "HTTP/1.1 ", 9) != 0 || !isdigit((unsigned char)line[9]) ||
        !isdigit((unsigned char)line[10]) || !isdigit((unsigned char)line[11]) || line[12] != ' ')
        return fail(r, "a malformed status line");
    r->reply->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0';
    return r->reply->status >= 100 || fail(r, "a status below 100");
}

static bool is_named(const char *line, size_t name_len, const char *name)
{
    return strlen(name) == name_len && strncasecmp(line, name, name_len) == 0;
}

static bool take_length(struct reader *r, const char *value, size_t len)
{
    char text[24], *end;

    if (r->has_length || len == 0 || len >= sizeof text || !isdigit((unsigned char)*value))
        return fail(r, "a malformed Content-Length");
    memcpy(text, value, len);
    text[len] = '\0';
    r->length = strtoull(text, &end, 10);
    r->has_length = true;
    return !*end || fail(r, "a malformed Content-Length");
}

static bool take_coding(struct reader *r, const char *value, size_t len)
{
    if (r->reply->is_chunked || len != 7 || memcmp(value, "chunked", 7) != 0)
        return fail(r, "a transfer coding");
    r->reply->is_chunked = true;
    return true;
}

/* In a head: what tells of the body; Date differs from one second to the next. */
static bool note_field(struct reader *r, const char *line, size_t name_len, size_t len)
{
    const char *value = line + name_len + 2;
    size_t value_len = len - name_len - 2;

    if (is_named(line, name_len, "Content-Length"))
        return take_length(r, value, value_len);
    if (is_named(line, name_len, "Transfer-Encoding"))
        return take_coding(r, value, value_len);
    return true;
}

/* "Name: value": with one blank, as servers send them. */
static bool take_field(struct reader *r, const char *line, size_t len, bool is_trailer)
{
    struct reply_text *text = is_trailer ? &r->reply->trailers : &r->reply->fields;
    size_t name_len = 0;

    while (name_len < len && is_token_char(line[name_len]))
        name_len++;
    if (name_len == 0 || len < name_len + 2 || line[name_len] != ':' || line[name_len + 1] != ' ')
        return fail(r, "a malformed field");
    if (!is_trailer && !note_field(r, line, name_len, len))
        return false;
    if (is_named(line, name_len, "Date"))
        return true;
    reply_append(text, line, len);
    reply_append(text, "\n", 1);
    return true;
}

static bool take_fields(struct reader *r, bool is_trailer)
{
    const char *line;
    size_t len;

    while (take_line(r, &line, &len)) {
        if (len == 0)
            return true;
        if (!take_field(r, line, len, is_trailer))
            return false;
    }
    return false;
}

/* ---- bodies -------------------------------------------------------------------------------- */

static bool take_bytes(struct reader *r, uint64_t len)
{
    size_t there = (size_t)(r->end - r->at), taken = len < there ? (size_t)len : there;

    reply_append(&r->reply->body, r->at, taken);
    r->at += taken;
    return taken == len;
}

static bool take_chunk_line(struct reader *r, uint64_t *ret_size)
{
    const char *line;
    char text[17], *end;
    size_t len;

    if (!take_line(r, &line, &len))
        return false;
    if (len == 0 || len >= sizeof text || !isxdigit((unsigned char)*line))
        return fail(r, "a malformed chunk size");
    memcpy(text, line, len);
    text[len] = '\0';
    *ret_size = strtoull(text, &end, 16);
    return !*end || fail(r, "a malformed chunk size");
}

static bool take_chunks(struct reader *r)
{
    const char *line;
    uint64_t size;
    size_t len;

    while (take_chunk_line(r, &size)) {
        if (size == 0)
            return take_fields(r, true);
        if (!take_bytes(r, size) || !take_line(r, &line, &len))
            return false;
        if (len > 0)
            return fail(r, "a chunk longer than its size");
    }
    return false;
}

static bool has_no_body(const struct reader *r, bool is_head)
{
    int status = r->reply->status;

    return is_head || status < 200 || status == 204 || status == 304;
}

/* RFC 9112 6.3. */
static bool take_body(struct reader *r, bool is_head)
{
    bool is_bare = r->reply->status < 200 || r->reply->status == 204;

    if (r->reply->is_chunked && r->has_length)
        return fail(r, "two framings");
    if (is_bare && (r->reply->is_chunked || r->has_length))
        return fail(r, "a framing where there is no body");
    if (has_no_body(r, is_head))
        return true;
    if (r->reply->is_chunked)
        return take_chunks(r);
    if (r->has_length)
        return take_bytes(r, r->length);
    r->reply->is_until_close = true;
    return take_bytes(r, (uint64_t)(r->end - r->at));
}

const char *reply_read(struct reply *ret_reply, const char **at, const char *end, bool is_head)
{
    struct reader r = { .at = *at, .end = end, .reply = ret_reply };

    *ret_reply = (struct reply){ .status = 0 };
    reply_append(&ret_reply->fields, "", 0);
    reply_append(&ret_reply->body, "", 0);
    reply_append(&ret_reply->trailers, "", 0);
    ret_reply->is_whole = take_status_line(&r) && take_fields(&r, false) && take_body(&r, is_head);
    *at = ret_reply->is_whole || r.wrong ? r.at : end;
    if (r.wrong)
        reply_finish(ret_reply);
    return r.wrong;
}
