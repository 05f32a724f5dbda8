/* Names of fields and files, as browsers and other clients write them into a part's header.
 *
 * Browsers send UTF-8 in quotes and write a quote as %22, a line end as %0D%0A (HTML Standard
 * 4.10.21.8); others escape a quote and a backslash by a backslash. Some send filename*, which
 * RFC 7578 4.2 forbids and RFC 8187 describes: it is understood, and counts more than filename
 * beside it (RFC 6266 4.3). What could be read in two ways, like two names, is refused.
 */
#define _GNU_SOURCE /* memmem */

#include "disposition.h"

#include "parameters.h"
#include "text.h"

#include <errno.h>

struct head {
    cress_environ *env;
    cress_str disposition, type, encoding;
};

struct names {
    struct parameter name, filename, extended;
};

static int malformed(void)
{
    errno = EBADMSG;
    return -1;
}

/* ---- lines ------------------------------------------------------------------------------------- */

/* A field that counts may stand there once. */
static int note_field(struct head *h, cress_str name, cress_str value)
{
    cress_str *field = cress_str_equal_nocase(name, "Content-Disposition")         ? &h->disposition
                       : cress_str_equal_nocase(name, "Content-Type")              ? &h->type
                       : cress_str_equal_nocase(name, "Content-Transfer-Encoding") ? &h->encoding
                                                                                   : NULL;

    if (field && field->data)
        return malformed();
    if (field)
        *field = value;
    return 0;
}

static cress_str trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (cress_str){ at, (size_t)(end - at) };
}

static int take_line(struct head *h, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);

    if (!colon || !text_all(line, (size_t)(colon - line), TEXT_TOKEN))
        return malformed();
    cress_str value = trim(colon + 1, line + len);
    if (!text_is_value(value.data, value.len))
        return malformed();
    return note_field(h, (cress_str){ line, (size_t)(colon - line) }, value);
}

/* No line is folded: a blank is no part of a name. */
static int take_lines(struct head *h, cress_str text)
{
    const char *at = text.data, *end = text.data + text.len;

    while (at < end) {
        at += 2; /* CRLF */
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        stop = stop ? stop : end;
        if (take_line(h, at, (size_t)(stop - at)) < 0)
            return -1;
        at = stop;
    }
    return 0;
}

/* ---- names -------------------------------------------------------------------------------------- */

static int note_parameter(struct names *n, const struct parameter *p)
{
    struct parameter *place = cress_str_equal_nocase(p->name, "name")        ? &n->name
                              : cress_str_equal_nocase(p->name, "filename")  ? &n->filename
                              : cress_str_equal_nocase(p->name, "filename*") ? &n->extended
                                                                             : NULL;

    if (place && place->name.data)
        return malformed();
    if (place)
        *place = *p;
    return 0;
}

static bool is_escape(const char *at, const char *end)
{
    return end - at >= 3 && at[0] == '%' && text_is(at[1], TEXT_HEX) && text_is(at[2], TEXT_HEX);
}

static char unescape(const char *at)
{
    return (char)(text_hex_value(at[1]) << 4 | text_hex_value(at[2]));
}

/* What a browser escapes; everything else that looks like it was typed by somebody. */
static bool is_browsers_escape(const char *at, const char *end)
{
    return is_escape(at, end) &&
           (unescape(at) == '"' || unescape(at) == '\r' || unescape(at) == '\n');
}

static bool is_quoted_pair(const char *at, const char *end)
{
    return end - at >= 2 && at[0] == '\\' && (at[1] == '"' || at[1] == '\\');
}

static cress_str decode(cress_environ *env, const struct parameter *p)
{
    const char *at = p->value.data, *end = at + p->value.len;
    char *text = cress_environ_alloc(env, p->value.len + 1), *to = text;

    if (!text)
        return (cress_str){ NULL, 0 };
    while (at < end) {
        bool is_escaped = p->is_quoted && is_browsers_escape(at, end);
        if (is_escaped) {
            *to++ = unescape(at);
            at += 3;
            continue;
        }
        at += p->is_quoted && is_quoted_pair(at, end);
        *to++ = *at++;
    }
    *to = '\0';
    return (cress_str){ text, (size_t)(to - text) };
}

/* UTF-8'LANGUAGE'TEXT, with escapes; the text begins behind the second quote. */
static const char *extended_text(cress_str value)
{
    const char *end = value.data + value.len, *quote;

    if (value.len < 6 || strncasecmp(value.data, "UTF-8'", 6) != 0)
        return NULL;
    quote = memchr(value.data + 6, '\'', (size_t)(end - value.data) - 6);
    return quote ? quote + 1 : NULL;
}

static cress_str refuse(void)
{
    malformed();
    return (cress_str){ NULL, 0 };
}

/* RFC 8187 3.2 */
static cress_str decode_extended(cress_environ *env, const struct parameter *p)
{
    const char *at = extended_text(p->value), *end = p->value.data + p->value.len;

    if (!at || p->is_quoted)
        return refuse();
    char *text = cress_environ_alloc(env, (size_t)(end - at) + 1), *to = text;
    while (text && at < end) {
        bool is_escaped = is_escape(at, end);
        char c = is_escaped ? unescape(at) : *at;
        if ((*at == '%' && !is_escaped) || !text_is(c, TEXT_VALUE))
            return refuse();
        *to++ = c;
        at += is_escaped ? 3 : 1;
    }
    if (!text)
        return (cress_str){ NULL, 0 };
    *to = '\0';
    return (cress_str){ text, (size_t)(to - text) };
}

/* RFC 7578 4.2: folders in it are not to be used. */
static cress_str last_segment(cress_str path)
{
    for (size_t i = path.len; i > 0; i--)
        if (path.data[i - 1] == '/' || path.data[i - 1] == '\\')
            return (cress_str){ path.data + i, path.len - i };
    return path;
}

static int decode_filename(cress_environ *env, const struct names *n, cress_str *ret_filename)
{
    cress_str text;

    if (!n->extended.name.data && !n->filename.name.data)
        return 0;
    text = n->extended.name.data ? decode_extended(env, &n->extended) : decode(env, &n->filename);
    if (!text.data)
        return -1;
    *ret_filename = last_segment(text);
    return 0;
}

static int take_disposition(const struct head *h, cress_part *part)
{
    struct names names = { .name = { .is_quoted = false } };
    struct parameters parameters;
    struct parameter parameter;
    cress_str word;
    int more;

    if (!h->disposition.data || !parameters_begin(&parameters, h->disposition, &word) ||
        !cress_str_equal_nocase(word, "form-data"))
        return malformed();
    while ((more = parameters_next(&parameters, &parameter)) > 0)
        if (note_parameter(&names, &parameter) < 0)
            return -1;
    if (more < 0 || !names.name.name.data)
        return malformed();
    part->name = decode(h->env, &names.name);
    return part->name.data ? decode_filename(h->env, &names, &part->filename) : -1;
}

/* RFC 7578 4.7: nobody encodes parts any more, and who takes encoded bytes for the file's own
 * would not notice. */
static bool is_encoded(cress_str encoding)
{
    return encoding.data && !cress_str_equal_nocase(encoding, "7bit") &&
           !cress_str_equal_nocase(encoding, "8bit") && !cress_str_equal_nocase(encoding, "binary");
}

int disposition_parse(cress_environ *env, cress_str text, cress_part *ret_part)
{
    struct head head = { .env = env };
    cress_part part = { .type = { NULL, 0 } };

    if (take_lines(&head, text) < 0 || take_disposition(&head, &part) < 0)
        return -1;
    if (is_encoded(head.encoding))
        return malformed();
    if (head.type.data) {
        part.type = cress_environ_printf(env, "%.*s", (int)head.type.len, head.type.data);
        if (!part.type.data)
            return -1;
    }
    *ret_part = part;
    return 0;
}
