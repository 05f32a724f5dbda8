/* Conditions are looked at in one order, whatever the order of the fields, and a field of
 * dates counts only where the better one, of entity-tags, is absent (RFC 9110 13.2.2).
 *
 * What is malformed among entity-tags ends their list: no tag behind it matches. That is on the
 * safe side both ways: a write is refused, a copy is sent again. */
#include <cress/conditional.h>

#include <errno.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_separators(const char *at, const char *end)
{
    while (at < end && (is_blank(*at) || *at == ','))
        at++;
    return at;
}

static bool is_weak(cress_str tag)
{
    return tag.len >= 2 && tag.data[0] == 'W' && tag.data[1] == '/';
}

static cress_str opaque(cress_str tag)
{
    return is_weak(tag) ? (cress_str){ tag.data + 2, tag.len - 2 } : tag;
}

/* RFC 9110 8.8.3: etagc */
static bool is_tag_char(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

/* The entity-tag that begins there: its length, 0: it is none. */
static size_t tag_len(const char *start, const char *end)
{
    const char *at = start;

    if (end - at >= 2 && at[0] == 'W' && at[1] == '/')
        at += 2;
    if (at == end || *at++ != '"')
        return 0;
    while (at < end && is_tag_char(*at))
        at++;
    return at < end && *at == '"' ? (size_t)(at + 1 - start) : 0;
}

static bool same_tag(cress_str a, cress_str b, bool weak)
{
    if (!weak && (is_weak(a) || is_weak(b)))
        return false;
    a = opaque(a);
    b = opaque(b);
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

bool cress_etag_matches(cress_str list, cress_str etag, bool weak)
{
    if (cress_str_equal(list, "*"))
        return true;
    if (!list.data || !etag.data)
        return false;
    const char *at = list.data, *end = at + list.len;
    while ((at = skip_separators(at, end)) < end) {
        cress_str tag = { at, tag_len(at, end) };
        if (tag.len == 0)
            return false;
        if (same_tag(tag, etag, weak))
            return true;
        at += tag.len;
        while (at < end && is_blank(*at))
            at++;
        if (at < end && *at != ',')
            return false;
    }
    return false;
}

/* ---- the conditions ----------------------------------------------------------------------- */

/* What the field says, and whether it is there; -1: ENOMEM. */
static int get_field(const cress_environ *env, const char *name, cress_str *ret_value)
{
    errno = 0;
    *ret_value = cress_header_get(env, name);
    if (!ret_value->data && errno == ENOMEM)
        return -1;
    return ret_value->data != NULL;
}

static bool is_get_or_head(const cress_environ *env)
{
    cress_str method = cress_method(env);

    return cress_str_equal(method, "GET") || cress_str_equal(method, "HEAD");
}

static bool matches(cress_str list, const cress_validators *current, bool weak)
{
    return current && cress_etag_matches(list, current->etag, weak);
}

/* Has it changed since then? What has no such date, or is no date, does not count. */
static bool is_newer(const cress_validators *current, cress_str date, bool *ret_counts)
{
    time_t time;

    *ret_counts = current && current->has_modified && cress_parse_date(date, &time);
    return *ret_counts && current->modified > time;
}

static int check_unchanged(const cress_environ *env, const cress_validators *current)
{
    cress_str value;
    bool counts;
    int there = get_field(env, "If-Match", &value);

    if (there < 0)
        return -1;
    if (there > 0)
        return matches(value, current, false) ? 0 : 412;
    there = get_field(env, "If-Unmodified-Since", &value);
    if (there <= 0)
        return there;
    return is_newer(current, value, &counts) ? 412 : 0;
}

static int check_changed(const cress_environ *env, const cress_validators *current)
{
    cress_str value;
    bool counts, is_read = is_get_or_head(env);
    int there = get_field(env, "If-None-Match", &value);

    if (there < 0)
        return -1;
    if (there > 0)
        return !matches(value, current, true) ? 0 : is_read ? 304 : 412;
    there = is_read ? get_field(env, "If-Modified-Since", &value) : 0;
    if (there <= 0)
        return there;
    return is_newer(current, value, &counts) || !counts ? 0 : 304;
}

int cress_precondition(const cress_environ *env, const cress_validators *current)
{
    int status = check_unchanged(env, current);

    return status != 0 ? status : check_changed(env, current);
}
