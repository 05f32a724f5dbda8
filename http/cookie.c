/* Cookies as RFC 6265bis wants them: read leniently, since anything may come, written
 * strictly, since browsers drop what breaks their rules without a word. */
#include <cress/cookie.h>

#include "exchange.h"
#include "text.h"

#include <cress/hook.h>

#include <errno.h>
#include <stdio.h>

enum { MAX_PAIR = 4096, MAX_ATTRIBUTE = 1024 };

static int invalid(void)
{
    errno = EINVAL;
    return -1;
}

/* ---- reading ----------------------------------------------------------------------------- */

static cress_str trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (cress_str){ at, (size_t)(end - at) };
}

static const char *find_or_end(const char *at, const char *end, char c)
{
    const char *found = memchr(at, c, (size_t)(end - at));

    return found ? found : end;
}

cress_str cress_cookie_get(cress_environ *env, const char *name)
{
    cress_str field = cress_header_get(env, "Cookie");
    const char *at = field.data, *end = at ? at + field.len : at;

    while (at < end) {
        const char *stop = find_or_end(at, end, ';');
        const char *equals = find_or_end(at, stop, '=');
        if (equals < stop && cress_str_equal(trim(at, equals), name)) {
            cress_str value = trim(equals + 1, stop);
            const char *copy = arena_copy(&exchange_of_env(env)->arena, value.data, value.len);
            return (cress_str){ copy, copy ? value.len : 0 };
        }
        at = stop + 1;
    }
    return (cress_str){ NULL, 0 };
}

/* ---- setting -------------------------------------------------------------------------------- */

static bool is_octet(char c)
{
    return c > ' ' && (unsigned char)c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

/* In quotes, or without. */
static bool is_value(const char *value, size_t len)
{
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value++;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++)
        if (!is_octet(value[i]))
            return false;
    return true;
}

static bool is_path(const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < len; i++)
        if (path[i] < ' ' || (unsigned char)path[i] >= 0x7f || path[i] == ';')
            return false;
    return path[0] == '/' && len <= MAX_ATTRIBUTE;
}

static bool is_domain(const char *domain)
{
    size_t len = strlen(domain);

    for (size_t i = 0; i < len; i++) {
        char letter = (char)(domain[i] | 0x20);
        if (!text_is(domain[i], TEXT_DIGIT) && (letter < 'a' || letter > 'z') && domain[i] != '-' &&
            domain[i] != '.')
            return false;
    }
    return len > 0 && len <= MAX_ATTRIBUTE;
}

static bool begins(const char *name, const char *prefix)
{
    return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_acceptable(const cress_cookie *c)
{
    bool is_host = begins(c->name, "__Host-");

    if ((is_host || begins(c->name, "__Secure-")) && !c->secure)
        return false;
    if (is_host && (c->domain || !c->path || strcmp(c->path, "/") != 0))
        return false;
    return c->secure || (c->same_site != CRESS_SAME_SITE_NONE && !c->partitioned);
}

static bool is_sound(const cress_cookie *c)
{
    if (!c->name || !c->value)
        return false;
    size_t name_len = strlen(c->name), value_len = strlen(c->value);
    return text_all(c->name, name_len, TEXT_TOKEN) && is_value(c->value, value_len) &&
           name_len + value_len <= MAX_PAIR && (!c->path || is_path(c->path)) &&
           (!c->domain || is_domain(c->domain)) && is_acceptable(c);
}

static const char *same_site_text(cress_same_site same_site)
{
    switch (same_site) {
    case CRESS_SAME_SITE_STRICT:
        return "; SameSite=Strict";
    case CRESS_SAME_SITE_LAX:
        return "; SameSite=Lax";
    case CRESS_SAME_SITE_NONE:
        return "; SameSite=None";
    default:
        return "";
    }
}

static const char *format_expires(char *buf, size_t size, time_t expires)
{
    struct tm tm;

    if (expires == 0)
        return "";
    if (!gmtime_r(&expires, &tm) || tm.tm_year < 1601 - 1900 || tm.tm_year > 9999 - 1900)
        return NULL;
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    snprintf(buf, size, "; Expires=%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    return buf;
}

static const char *format_max_age(char *buf, size_t size, long max_age)
{
    if (max_age == 0)
        return "";
    snprintf(buf, size, "; Max-Age=%ld", max_age > 0 ? max_age : 0);
    return buf;
}

int cress_set_cookie(cress_response *res, const cress_cookie *c)
{
    char expires_buf[64], age_buf[40];

    if (!is_sound(c))
        return invalid();
    const char *expires = format_expires(expires_buf, sizeof expires_buf, c->expires);
    if (!expires)
        return invalid();
    cress_str text = cress_environ_printf(
        cress_response_environ(res), "%s=%s%s%s%s%s%s%s%s%s%s%s", c->name, c->value,
        c->path ? "; Path=" : "", c->path ? c->path : "", c->domain ? "; Domain=" : "",
        c->domain ? c->domain : "", format_max_age(age_buf, sizeof age_buf, c->max_age), expires,
        c->secure ? "; Secure" : "", c->http_only ? "; HttpOnly" : "", same_site_text(c->same_site),
        c->partitioned ? "; Partitioned" : "");
    return text.data ? cress_response_add_header(res, "Set-Cookie", text.data) : -1;
}
