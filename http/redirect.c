/* A Location from any text: what has no place in a URI (RFC 3986) is encoded. */
#include <cress/negotiate.h>

#include "exchange.h"
#include "text.h"

#include <cress/hook.h>

#include <errno.h>

/* Unreserved and reserved characters. */
static bool is_uri_char(char c)
{
    char letter = (char)(c | 0x20);

    return text_is(c, TEXT_DIGIT) || (letter >= 'a' && letter <= 'z' && !(c & 0x80)) ||
           (c && strchr("-._~:/?#[]@!$&'()*+,;=", c));
}

static bool is_escape(const char *at)
{
    return at[0] == '%' && text_is(at[1], TEXT_HEX) && text_is(at[2], TEXT_HEX);
}

static char *put_escaped(char *to, const char *at)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *at; at++) {
        if (is_uri_char(*at) || is_escape(at)) {
            *to++ = *at;
            continue;
        }
        *to++ = '%';
        *to++ = hex[(unsigned char)*at >> 4];
        *to++ = hex[*at & 15];
    }
    *to = '\0';
    return to;
}

int cress_redirect(cress_response *res, int status, const char *location)
{
    bool is_redirect = (status >= 301 && status <= 303) || status == 307 || status == 308;

    if (!is_redirect) {
        errno = EINVAL;
        return -1;
    }
    char *text = arena_alloc_text(&exchange_of_response(res)->arena, 3 * strlen(location) + 1);
    if (!text)
        return -1;
    put_escaped(text, location);
    return cress_start_response(res, status, CRESS_HEADERS({ "Location", text }));
}

bool cress_is_local_path(cress_str location)
{
    if (location.len == 0 || location.data[0] != '/')
        return false;
    if (location.len > 1 && (location.data[1] == '/' || location.data[1] == '\\'))
        return false;
    for (size_t i = 0; i < location.len; i++) /* browsers pass over these */
        if (location.data[i] == '\t' || location.data[i] == '\n' || location.data[i] == '\r')
            return false;
    return true;
}
