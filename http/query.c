/* Decoding what comes percent-encoded: strictly in a path, where two readings of one
 * request must not differ, and as browsers encode forms in queries and bodies
 * (application/x-www-form-urlencoded: WHATWG URL 5.1), where a malformed escape stands
 * for itself. */
#include "query.h"

#include "text.h"

static bool is_escape(const char *at, const char *end)
{
    return end - at >= 3 && at[0] == '%' && text_is(at[1], TEXT_HEX) && text_is(at[2], TEXT_HEX);
}

static char unescape(const char *at)
{
    return (char)(text_hex_value(at[1]) << 4 | text_hex_value(at[2]));
}

ssize_t query_decode_path(char *to, const char *from, size_t len)
{
    const char *end = from + len;
    char *start = to;

    while (from < end) {
        if (*from != '%') {
            *to++ = *from++;
            continue;
        }
        if (!is_escape(from, end) || unescape(from) == '\0')
            return -1;
        *to++ = unescape(from);
        from += 3;
    }
    return to - start;
}

/* One byte of a form, decoded; *at moves on. */
static char next_form_byte(const char **at, const char *end)
{
    char c = **at;

    if (is_escape(*at, end)) {
        c = unescape(*at);
        *at += 3;
        return c;
    }
    ++*at;
    return c == '+' ? ' ' : c;
}

static bool name_is(const char *at, const char *end, const char *name)
{
    while (at < end)
        if (*name == '\0' || next_form_byte(&at, end) != *name++)
            return false;
    return *name == '\0';
}

static cress_str decode_value(struct arena *arena, const char *at, const char *end)
{
    char *value = arena_alloc_text(arena, (size_t)(end - at) + 1);
    size_t len = 0;

    if (!value)
        return (cress_str){ NULL, 0 };
    while (at < end)
        value[len++] = next_form_byte(&at, end);
    value[len] = '\0';
    return (cress_str){ value, len };
}

static const char *find_or_end(const char *at, const char *end, char c)
{
    const char *found = at < end ? memchr(at, c, (size_t)(end - at)) : NULL;

    return found ? found : end;
}

/* Up to the '&'; moves behind it. */
static cress_str take_pair(cress_str *rest)
{
    const char *end = rest->data + rest->len, *stop = find_or_end(rest->data, end, '&');
    cress_str pair = { rest->data, (size_t)(stop - rest->data) };

    rest->data = stop < end ? stop + 1 : end;
    rest->len = (size_t)(end - rest->data);
    return pair;
}

cress_str query_find(struct arena *arena, cress_str pairs, const char *name)
{
    while (pairs.data && pairs.len > 0) {
        cress_str pair = take_pair(&pairs);
        const char *stop = pair.data + pair.len, *equals = find_or_end(pair.data, stop, '=');
        if (pair.len > 0 && name_is(pair.data, equals, name))
            return decode_value(arena, equals < stop ? equals + 1 : stop, stop);
    }
    return (cress_str){ NULL, 0 };
}

int query_next(struct arena *arena, cress_str *rest, cress_str *ret_name, cress_str *ret_value)
{
    cress_str pair = { NULL, 0 };

    while (pair.len == 0 && rest->data && rest->len > 0)
        pair = take_pair(rest);
    if (pair.len == 0)
        return 0;
    const char *stop = pair.data + pair.len, *equals = find_or_end(pair.data, stop, '=');
    *ret_name = decode_value(arena, pair.data, equals);
    *ret_value = decode_value(arena, equals < stop ? equals + 1 : stop, stop);
    return ret_name->data && ret_value->data ? 1 : -1;
}
