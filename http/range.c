/* Which bytes a Range field asks for. Where RFC 9110 14.2 leaves the choice we do as nginx: a
 * malformed field is 416, and one that asks for more bytes than there are (ranges that overlap)
 * gets the whole, so that no request makes us send more than the file. Numbers too large for
 * us are as large as they can be: a range is cut at the end anyway. */
#include <cress/range.h>

#include "fail.h"
#include "text.h"

#include <errno.h>

struct reader {
    const char *at, *end;
};

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_number(struct reader *r, uint64_t *ret_value)
{
    const char *start = r->at;
    uint64_t value = 0;

    for (; r->at < r->end && text_is(*r->at, TEXT_DIGIT); r->at++) {
        uint64_t digit = (uint64_t)(*r->at - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *ret_value = value;
    return r->at > start;
}

/* -COUNT: the last bytes. */
static int take_suffix(struct reader *r, uint64_t size, cress_byte_range *ret_range)
{
    uint64_t count;

    if (!take_number(r, &count))
        return -1;
    count = count < size ? count : size;
    *ret_range = (cress_byte_range){ .offset = size - count, .len = count };
    return count > 0;
}

/* FIRST-LAST, FIRST-, -COUNT. 1: some of its bytes are there; 0: none; -1: malformed. */
static int take_range(struct reader *r, uint64_t size, cress_byte_range *ret_range)
{
    uint64_t first, last;

    if (take(r, '-'))
        return take_suffix(r, size, ret_range);
    if (!take_number(r, &first) || !take(r, '-'))
        return -1;
    bool is_open = !take_number(r, &last);
    if (!is_open && last < first)
        return -1;
    if (first >= size)
        return 0;
    last = is_open || last >= size ? size - 1 : last;
    *ret_range = (cress_byte_range){ .offset = first, .len = last - first + 1 };
    return 1;
}

/* To what is behind the next comma, and the empty elements of the list there. */
static bool next_element(struct reader *r)
{
    skip_blanks(r);
    if (r->at == r->end)
        return true;
    if (!take(r, ','))
        return false;
    do
        skip_blanks(r);
    while (take(r, ','));
    return true;
}

static bool is_bytes(struct reader *r)
{
    static const char unit[] = "bytes=";

    if ((size_t)(r->end - r->at) < sizeof unit - 1 ||
        strncasecmp(r->at, unit, sizeof unit - 1) != 0)
        return false;
    r->at += sizeof unit - 1;
    return true;
}

int cress_parse_range(cress_str field, uint64_t size, cress_byte_range ranges[CRESS_MAX_RANGES])
{
    uint64_t total = 0;
    bool is_too_much = false, is_empty = true;
    int count = 0;

    if (!field.data || size == 0)
        return 0;
    struct reader r = { .at = field.data, .end = field.data + field.len };
    if (!is_bytes(&r))
        return 0;
    for (skip_blanks(&r); take(&r, ','); skip_blanks(&r))
        continue;
    for (; r.at < r.end; is_empty = false) {
        cress_byte_range range;
        int found = take_range(&r, size, &range);
        if (found < 0 || !next_element(&r))
            return fail_with(EINVAL);
        if (found == 0)
            continue;
        is_too_much |= count == CRESS_MAX_RANGES || range.len > size - total;
        if (is_too_much)
            continue;
        total += range.len;
        ranges[count++] = range;
    }
    if (is_empty)
        return fail_with(EINVAL);
    if (is_too_much)
        return 0;
    return count > 0 ? count : fail_with(ERANGE);
}

/* ---- If-Range ------------------------------------------------------------------------------- */

/* Of a date only what cannot have changed twice within its second is a strong validator
 * (RFC 9110 8.8.2.2). */
static bool is_same_date(cress_str date, const cress_validators *current)
{
    time_t time_then;

    return current->has_modified && cress_parse_date(date, &time_then) &&
           time_then == current->modified && time(NULL) > current->modified;
}

/* One entity-tag, compared strongly: a weak one is equal to none. */
static bool is_same_tag(cress_str tag, const cress_validators *current)
{
    return current->etag.data && tag.data[0] == '"' && tag.len == current->etag.len &&
           memcmp(tag.data, current->etag.data, tag.len) == 0;
}

static bool is_same(cress_str condition, const cress_validators *current)
{
    return current && condition.len > 0 &&
           (is_same_tag(condition, current) || is_same_date(condition, current));
}

int cress_range(const cress_environ *env, const cress_validators *current, uint64_t size,
                cress_byte_range ranges[CRESS_MAX_RANGES])
{
    errno = 0;
    cress_str field = cress_header_get(env, "Range"), condition = { NULL, 0 };

    if (field.data)
        condition = cress_header_get(env, "If-Range");
    if (errno == ENOMEM)
        return -1;
    if (!cress_str_equal(cress_method(env), "GET"))
        return 0;
    if (condition.data && !is_same(condition, current))
        return 0;
    return cress_parse_range(field, size, ranges);
}
