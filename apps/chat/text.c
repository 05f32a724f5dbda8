/* Names and messages come from strangers. A name that passes here can be told from
 * another by looking at it, stands in a URL, and never is half a character; what
 * is written into HTML, JSON or a URL stays the text that it was. */
#include "text.h"

/* The character at *at, which moves past it; -1 if it is not UTF-8 (RFC 3629). */
static int32_t next_char(const char **at, const char *end)
{
    static const int32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    unsigned char lead = (unsigned char)*(*at)++;
    int more = lead < 0x80 ? 0 : lead < 0xc0 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (more < 0 || lead > 0xf4)
        return -1;
    int32_t c = more ? lead & (0x3f >> more) : lead;
    for (int i = 0; i < more; i++) {
        if (*at == end || (**at & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (*(*at)++ & 0x3f);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return c < least[more] || c > 0x10ffff || surrogate ? -1 : c;
}

static bool is_control(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Spaces other than the usual one, what has no width, and what turns the direction
 * of writing: two names could look the same. */
static bool is_invisible(int32_t c)
{
    static const int32_t ranges[][2] = {
        { 0xa0, 0xa0 },     { 0xad, 0xad },     { 0x34f, 0x34f },     { 0x61c, 0x61c },
        { 0x115f, 0x1160 }, { 0x1680, 0x1680 }, { 0x17b4, 0x17b5 },   { 0x180b, 0x180f },
        { 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f },   { 0x2800, 0x2800 },
        { 0x3000, 0x3000 }, { 0x3164, 0x3164 }, { 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff },
        { 0xffa0, 0xffa0 }, { 0xfff0, 0xffff }, { 0xe0000, 0xe0fff },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

static bool is_reserved(cress_str name)
{
    static const char *const words[] = { ".",    "..",  "favicon.ico", "leave",
                                         "poll", "put", "robots.txt" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (cress_str_equal_nocase(name, words[i]))
            return true;
    return false;
}

bool name_is_valid(cress_str name)
{
    const char *at = name.data, *end = name.data + name.len;
    if (name.len == 0 || *at == ' ' || end[-1] == ' ' || is_reserved(name))
        return false;
    for (int chars = 0; at < end; chars++) {
        int32_t c = next_char(&at, end);
        if (c < 0 || c == '/' || is_control(c) || is_invisible(c) || chars == NAME_CHARS)
            return false;
    }
    return true;
}

bool message_is_valid(cress_str message)
{
    const char *at = message.data, *end = message.data + message.len;
    bool visible = false;
    while (at < end) {
        int32_t c = next_char(&at, end);
        if (c < 0 || (is_control(c) && c != '\t' && c != '\r' && c != '\n'))
            return false;
        visible = visible || (c > ' ' && !is_invisible(c));
    }
    return visible;
}

void write_html(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            putc(*text, out);
        }
}

void write_json_part(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*text);
        else
            putc(*text, out);
}

void write_json(FILE *out, const char *text)
{
    putc('"', out);
    write_json_part(out, text);
    putc('"', out);
}

void write_url(FILE *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";
    for (; *text; text++)
        fprintf(out, strchr(plain, *text) ? "%c" : "%%%02X", (unsigned char)*text);
}
