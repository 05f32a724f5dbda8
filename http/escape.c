/* Both go over the text twice: once to know how long it gets, once to write it. Most texts have
 * nothing to escape and are given back as they are. */
#include <cress/escape.h>

#include "exchange.h"
#include "text.h"

/* What stands for a byte; absent: it does itself. `buf` has room for one. */
typedef cress_str replacement(char c, char buf[4]);

static cress_str html(char c, char buf[4])
{
    (void)buf;
    switch (c) {
    case '&':
        return CRESS_STR("&amp;");
    case '<':
        return CRESS_STR("&lt;");
    case '>':
        return CRESS_STR("&gt;");
    case '"':
        return CRESS_STR("&quot;");
    case '\'':
        return CRESS_STR("&#39;");
    case '\0':
        return CRESS_STR("\xef\xbf\xbd");
    default:
        return (cress_str){ NULL, 0 };
    }
}

static bool is_unreserved(char c)
{
    char letter = (char)(c | 0x20);

    return text_is(c, TEXT_DIGIT) || (letter >= 'a' && letter <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static cress_str url(char c, char buf[4])
{
    static const char hex[] = "0123456789ABCDEF";

    if (is_unreserved(c))
        return (cress_str){ NULL, 0 };
    buf[0] = '%';
    buf[1] = hex[(unsigned char)c >> 4];
    buf[2] = hex[c & 15];
    return (cress_str){ buf, 3 };
}

static size_t escaped_len(cress_str text, replacement *replace)
{
    size_t len = 0;
    char buf[4];

    for (size_t i = 0; i < text.len; i++) {
        cress_str other = replace(text.data[i], buf);
        len += other.data ? other.len : 1;
    }
    return len;
}

static cress_str escape(cress_environ *env, cress_str text, replacement *replace)
{
    size_t len = escaped_len(text, replace);
    char buf[4];

    if (len == text.len)
        return text;
    char *escaped = arena_alloc_text(&exchange_of_env(env)->arena, len + 1), *to = escaped;
    if (!escaped)
        return (cress_str){ NULL, 0 };
    for (size_t i = 0; i < text.len; i++) {
        cress_str other = replace(text.data[i], buf);
        if (other.data)
            to = text_put(to, other.data, other.len);
        else
            *to++ = text.data[i];
    }
    *to = '\0';
    return (cress_str){ escaped, len };
}

cress_str cress_escape_html(cress_environ *env, cress_str text)
{
    return escape(env, text, html);
}

cress_str cress_escape_url(cress_environ *env, cress_str text)
{
    return escape(env, text, url);
}
