/* The fields of RFC 9110 12.5 are lists of ranges with weights. For each offer the range
 * counts that matches it most closely; how closely is a number, and 0 is not at all. */
#include <cress/negotiate.h>

#include "text.h"

#include <errno.h>

enum { FULL = 1000 }; /* weights are in thousandths */

struct range {
    cress_str name;       /* "text/html", "gzip", "de-AT", "*" */
    cress_str parameters; /* before the weight: "; level=1" */
    int weight;
};

/* ---- the lists ------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static cress_str trim(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    return (cress_str){ at, (size_t)(end - at) };
}

/* The next c outside of quotes, or the end. */
static const char *find_unquoted(const char *at, const char *end, char c)
{
    bool quoted = false;

    for (; at < end; at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (quoted && *at == '\\' && at + 1 < end)
            at++;
        else if (!quoted && *at == c)
            break;
    }
    return at;
}

/* RFC 9110 12.4.2; -1: malformed. There are clients (Java's) that leave the zero out, and such as
 * send more than three digits. */
static int parse_weight(cress_str text)
{
    const char *at = text.data, *end = at + text.len;
    int whole = at < end && (*at == '0' || *at == '1') ? *at++ - '0' : -1, weight = 0;

    if (at == end)
        return whole * FULL;
    if (*at++ != '.' || (whole < 0 && at == end))
        return -1;
    for (int unit = FULL / 10; at < end; at++, unit /= 10) {
        if (!text_is(*at, TEXT_DIGIT))
            return -1;
        weight += unit * (*at - '0');
    }
    return whole < 1 ? weight : weight == 0 ? FULL : -1;
}

/* False: malformed. */
static bool parse_range(const char *at, const char *end, struct range *ret_range)
{
    const char *stop = find_unquoted(at, end, ';');

    *ret_range = (struct range){
        .name = trim(at, stop),
        .parameters = { stop, (size_t)(end - stop) },
        .weight = FULL,
    };
    while (stop < end) {
        const char *begin = stop;
        stop = find_unquoted(begin + 1, end, ';');
        cress_str parameter = trim(begin + 1, stop);
        if (parameter.len < 2 || (parameter.data[0] | 0x20) != 'q' || parameter.data[1] != '=')
            continue;
        ret_range->parameters.len = (size_t)(begin - ret_range->parameters.data);
        ret_range->weight = parse_weight((cress_str){ parameter.data + 2, parameter.len - 2 });
        break; /* extensions follow */
    }
    return ret_range->name.len > 0 && ret_range->weight >= 0;
}

/* How closely a range matches an offer; 0: not at all. */
typedef int closeness(const struct range *range, cress_str offer);

/* The weight of the closest range, -1: there is none. */
static int weigh(cress_str field, cress_str offer, closeness *close)
{
    const char *end = field.data + field.len;
    int closest = 0, weight = -1;

    for (const char *at = field.data, *stop; at < end; at = stop + 1) {
        struct range range;
        stop = find_unquoted(at, end, ',');
        if (!parse_range(at, stop, &range))
            continue;
        int now = close(&range, offer);
        if (now > closest || (now == closest && now > 0 && range.weight > weight)) {
            closest = now;
            weight = range.weight;
        }
    }
    return weight;
}

static cress_str str(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

static int choose(cress_str field, const char *const offers[], closeness *close)
{
    int best = -1, best_weight = 0;

    for (int i = 0; offers[i]; i++) {
        int weight = weigh(field, str(offers[i]), close);
        if (weight > best_weight) {
            best = i;
            best_weight = weight;
        }
    }
    return best;
}

static int first_of(const char *const offers[])
{
    return offers[0] ? 0 : -1;
}

static bool is_empty(cress_str field)
{
    return !field.data || trim(field.data, field.data + field.len).len == 0;
}

/* ---- Accept ------------------------------------------------------------------------------------ */

static cress_str next_parameter(const char **at, const char *end)
{
    const char *begin = *at < end ? *at + 1 : end;

    *at = find_unquoted(begin, end, ';');
    return trim(begin, *at);
}

static bool has_parameter(cress_str parameters, cress_str wanted)
{
    const char *at = parameters.data, *end = at + parameters.len;

    while (at < end)
        if (text_equal_nocase(next_parameter(&at, end), wanted))
            return true;
    return false;
}

/* How many parameters the range has; -1: the offer lacks one of them. */
static int count_parameters(const struct range *range, cress_str offered)
{
    const char *at = range->parameters.data, *end = at + range->parameters.len;
    int count = 0;

    while (at < end) {
        cress_str wanted = next_parameter(&at, end);
        if (wanted.len == 0)
            continue;
        if (!has_parameter(offered, wanted))
            return -1;
        count++;
    }
    return count;
}

static bool is_type_range(cress_str range, cress_str type)
{
    return range.len > 2 && memcmp(range.data + range.len - 2, "/*", 2) == 0 &&
           type.len >= range.len - 1 && strncasecmp(range.data, type.data, range.len - 1) == 0;
}

static int close_type(const struct range *range, cress_str offer)
{
    const char *end = offer.data + offer.len;
    const char *stop = find_unquoted(offer.data, end, ';');
    cress_str type = trim(offer.data, stop), parameters = { stop, (size_t)(end - stop) };
    int count = count_parameters(range, parameters);

    if (count < 0)
        return 0;
    if (text_equal_nocase(range->name, type))
        return 3 + count;
    if (cress_str_equal(range->name, "*/*") || cress_str_equal(range->name, "*"))
        return 1; /* the second one is Java's */
    return is_type_range(range->name, type) ? 2 : 0;
}

int cress_accept_type(const cress_environ *env, const char *const offers[])
{
    cress_str field = cress_header_get(env, "Accept");

    return is_empty(field) ? first_of(offers) : choose(field, offers, close_type);
}

/* ---- Accept-Encoding, Accept-Charset -------------------------------------------------------------- */

static int close_token(const struct range *range, cress_str offer)
{
    if (text_equal_nocase(range->name, offer))
        return 2;
    return cress_str_equal(range->name, "*");
}

static int close_encoding(const struct range *range, cress_str offer)
{
    if (cress_str_equal_nocase(range->name, "x-gzip") && cress_str_equal_nocase(offer, "gzip"))
        return 2; /* RFC 9110 8.4.1.3 */
    return close_token(range, offer);
}

static int find_identity(const char *const offers[])
{
    for (int i = 0; offers[i]; i++)
        if (strcasecmp(offers[i], "identity") == 0)
            return i;
    return -1;
}

int cress_accept_encoding(const cress_environ *env, const char *const offers[])
{
    cress_str field = cress_header_get(env, "Accept-Encoding");
    int identity = find_identity(offers);

    if (!field.data)
        return identity >= 0 ? identity : first_of(offers);
    int best = choose(field, offers, close_encoding);
    if (best >= 0 || identity < 0)
        return best;
    return weigh(field, CRESS_STR("identity"), close_encoding) == 0 ? -1 : identity;
}

int cress_accept_charset(const cress_environ *env, const char *const offers[])
{
    cress_str field = cress_header_get(env, "Accept-Charset");

    return is_empty(field) ? first_of(offers) : choose(field, offers, close_token);
}

/* ---- Accept-Language ---------------------------------------------------------------------------------- */

/* Is it the tag, or its first subtags? */
static bool begins_tag(cress_str begin, cress_str tag)
{
    return tag.len >= begin.len && strncasecmp(tag.data, begin.data, begin.len) == 0 &&
           (tag.len == begin.len || tag.data[begin.len] == '-');
}

static int close_language(const struct range *range, cress_str offer)
{
    enum { ANY = 1, SHORTER = 2, LONGER = 1000 };

    if (cress_str_equal(range->name, "*"))
        return ANY;
    if (begins_tag(range->name, offer))
        return LONGER + (int)(range->name.len < LONGER ? range->name.len : LONGER);
    return begins_tag(offer, range->name) && range->weight > 0 ? SHORTER : 0;
}

int cress_accept_language(const cress_environ *env, const char *const offers[])
{
    cress_str field = cress_header_get(env, "Accept-Language");

    return is_empty(field) ? first_of(offers) : choose(field, offers, close_language);
}
