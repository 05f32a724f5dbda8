/* Cookies, one way and the other. The first byte picks attributes; what follows are lines: a name,
 * a value, a path, a domain, and the Cookie field of a request.
 *
 * Reading: a request's cookies are found as a naive reading of the field finds them. Setting: what
 * is set is read again as browsers do it (RFC 6265bis 5.6), and then it has what was asked for
 * and nothing else, whatever was in name, value, path and domain; sent back it is the same
 * cookie. Signed: what was signed holds, under its own name, with its own key and in its own
 * time; with one byte changed, missing or added, nothing does. */
#define _GNU_SOURCE /* strptime, timegm */
#include "../../http/exchange.h"
#include "../../http/parser.h"

#include <cress/cookie.h>
#include <cress/hook.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const cress_http1_config config = { .keep_alive = 5 };

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* ---- requests ------------------------------------------------------------------------------ */

/* With these Cookie fields (the second may be NULL). False: the field could not be sent. */
static bool begin(cress_http1 *http, const char *field, const char *other)
{
    size_t size = strlen(field) + (other ? strlen(other) : 0) + 200;
    struct http_exchange *x;

    *http = (cress_http1){ .config = &config };
    x = exchange_acquire(http);
    check(x && exchange_make_room(x, size) == 0, "memory");
    int len = snprintf(x->in, size, "GET / HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n%s%s\r\n", field,
                       other ? other : "", other ? "\r\n" : "");
    x->fill = (size_t)len;
    if (parser_head(x) == PARSE_DONE)
        return true;
    exchange_release(http);
    return false;
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void trim_end(char *text)
{
    for (size_t len = strlen(text); len > 0 && is_blank(text[len - 1]); len--)
        text[len - 1] = '\0';
}

/* Takes the next pair off the field, trimmed; false: there was no equals sign. */
static bool next_pair(const char **at, char *name, char *value)
{
    char *begin = name, *to = name;

    name[0] = value[0] = '\0';
    for (; **at && **at != ';'; ++*at) {
        if (**at == '=' && begin == name) {
            begin = to = value;
        } else if (!is_blank(**at) || to > begin) {
            *to++ = **at;
            *to = '\0';
        }
    }
    *at += **at == ';';
    trim_end(name);
    trim_end(value);
    return begin == value;
}

/* The first of that name; false: there is none. */
static bool find_naively(const char *field, const char *wanted, char *name, char *value)
{
    for (const char *at = field; *at;)
        if (next_pair(&at, name, value) && strcmp(name, wanted) == 0)
            return true;
    return false;
}

static void check_found(cress_http1 *http, const char *field, const char *wanted)
{
    size_t size = strlen(field) + 1;
    char *name = malloc(size), *value = malloc(size);
    cress_str found = cress_cookie_get(cress_http1_environ(http), wanted);

    check(name && value, "memory");
    if (find_naively(field, wanted, name, value)) {
        check(found.data && strcmp(found.data, value) == 0, "another cookie");
        check(strlen(found.data) == found.len, "no C string");
    } else {
        check(!found.data, "a cookie that was not sent");
    }
    free(name);
    free(value);
}

static void check_reading(const char *field, const char *wanted)
{
    size_t size = strlen(field) + 1;
    char *name = malloc(size), *value = malloc(size);
    cress_http1 http;

    check(name && value, "memory");
    if (begin(&http, field, NULL)) {
        check_found(&http, field, wanted);
        for (const char *at = field; *at;)
            if (next_pair(&at, name, value))
                check_found(&http, field, name);
        cress_http1_destroy(&http);
    }
    free(name);
    free(value);
}

/* ---- setting ------------------------------------------------------------------------------- */

/* What a browser understands of a Set-Cookie: RFC 6265bis 5.6. */
struct understood {
    char *name, *value, *path, *domain, *max_age, *expires, *same_site;
    bool secure, http_only, partitioned;
    char *text;
};

static char *trim(char *text)
{
    trim_end(text);
    while (is_blank(*text))
        text++;
    return text;
}

static void take_attribute(struct understood *u, char *text)
{
    const struct {
        const char *name;
        char **value;
        bool *flag;
    } attributes[] = {
        { "Path", &u->path, NULL },          { "Domain", &u->domain, NULL },
        { "Max-Age", &u->max_age, NULL },    { "Expires", &u->expires, NULL },
        { "Secure", NULL, &u->secure },      { "SameSite", &u->same_site, NULL },
        { "HttpOnly", NULL, &u->http_only }, { "Partitioned", NULL, &u->partitioned },
    };
    char *value = strchr(text, '=');

    if (value)
        *value++ = '\0';
    text = trim(text);
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        if (strcmp(text, attributes[i].name) != 0)
            continue;
        check(!value == !attributes[i].value, "an attribute with or without a value");
        if (value) {
            check(!*attributes[i].value, "an attribute twice");
            *attributes[i].value = trim(value);
        } else {
            check(!*attributes[i].flag, "an attribute twice");
            *attributes[i].flag = true;
        }
        return;
    }
    check(false, "an attribute that was not asked for");
}

static struct understood understand(cress_str field)
{
    struct understood u = { .text = strdup(field.data) };

    check(u.text, "memory");
    for (size_t i = 0; i < field.len; i++)
        check((unsigned char)field.data[i] >= ' ' && field.data[i] != 0x7f, "a control character");
    char *next = u.text, *pair = strsep(&next, ";"), *equals = strchr(pair, '=');
    check(equals, "a cookie without a name");
    *equals = '\0';
    u.name = trim(pair);
    u.value = trim(equals + 1);
    for (char *attribute; (attribute = strsep(&next, ";"));)
        take_attribute(&u, attribute);
    return u;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static void check_times(const struct understood *u, const cress_cookie *c)
{
    char *end;

    check(!u->max_age == !c->max_age && !u->expires == !c->expires, "another life");
    if (u->max_age) {
        check(strtol(u->max_age, &end, 10) == (c->max_age > 0 ? c->max_age : 0), "another Max-Age");
        check(!*end, "a malformed Max-Age");
    }
    if (u->expires) {
        struct tm tm = { 0 };
        end = strptime(u->expires, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        check(end && !*end && timegm(&tm) == c->expires, "another Expires");
    }
}

/* Blanks at its end are lost. */
static bool is_same_path(const char *a, const char *b)
{
    if (!a || !b)
        return !a && !b;
    size_t len = strlen(a);
    return strncmp(a, b, len) == 0 && strspn(b + len, " ") == strlen(b + len);
}

/* RFC 6265bis 4.1.3, and what browsers refuse. */
static void check_prefix(const cress_cookie *c)
{
    if (strncasecmp(c->name, "__Host-", 7) == 0)
        check(c->secure && !c->domain && c->path && strcmp(c->path, "/") == 0, "__Host-");
    if (strncasecmp(c->name, "__Secure-", 9) == 0)
        check(c->secure, "__Secure-");
    check(c->secure || (c->same_site != CRESS_SAME_SITE_NONE && !c->partitioned), "insecure");
}

static void check_understood(cress_str field, const cress_cookie *c)
{
    static const char *const sites[] = { NULL, "Strict", "Lax", "None" };
    struct understood u = understand(field);

    check(strcmp(u.name, c->name) == 0 && strcmp(u.value, c->value) == 0, "another cookie");
    check(is_same_path(u.path, c->path), "another Path");
    check(is_same(u.domain, c->domain), "another Domain");
    check(is_same(u.same_site, sites[c->same_site]), "another SameSite");
    check(u.secure == c->secure && u.http_only == c->http_only && u.partitioned == c->partitioned,
          "another flag");
    check_times(&u, c);
    free(u.text);
}

/* It is the first and only field. */
static void check_line(const cress_response *res, cress_str field)
{
    size_t len = strlen("Set-Cookie: ") + field.len;

    check(res->fields_len == len + 2 && memcmp(res->fields + len, "\r\n", 2) == 0, "other fields");
}

/* The browser has another one before and behind it. */
static void check_return(const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 100;
    char *field = malloc(size);
    cress_http1 http;

    check(field, "memory");
    snprintf(field, size, "\"=0; %s=%s", name, value);
    check(begin(&http, field, "Cookie: \"=1"), "a cookie that cannot be sent");
    cress_str back = cress_cookie_get(cress_http1_environ(&http), name);
    check(back.data && strcmp(back.data, value) == 0, "another cookie came back");
    cress_http1_destroy(&http);
    free(field);
}

static void check_setting(const cress_cookie *cookie)
{
    cress_http1 http;

    check(begin(&http, "a=b", NULL), "a request");
    cress_response *res = cress_http1_response(&http);
    check(cress_start_response(res, 204, NULL) == 0, "a response");
    if (cress_set_cookie(res, cookie) == 0) {
        cress_str field = cress_response_get_header(res, "Set-Cookie");
        check(field.data, "it was not set");
        check_line(res, field);
        check_understood(field, cookie);
        check_prefix(cookie);
        check_return(cookie->name, cookie->value);
    } else {
        check(errno == EINVAL || errno == E2BIG, "why it was not set");
        check(res->fields_len == 0, "something was set");
    }
    cress_http1_destroy(&http);
}

/* ---- signed -------------------------------------------------------------------------------- */

static const cress_str ours[] = {
    { "key key key key key key key key", 31 },
    { "an older key, which still holds", 31 },
    { NULL, 0 },
};
static const cress_str older[] = { { "an older key, which still holds", 31 }, { NULL, 0 } };
static const cress_str foreign[] = { { "0123456789abcdef", 16 }, { NULL, 0 } };

static void check_refused(cress_environ *env, const cress_str *keys, const char *name,
                          cress_str text, int error)
{
    errno = 0;
    check(!cress_unsign(env, keys, name, text).data && errno == error, "forged");
}

/* At a place and with a byte that the input picks: changed, missing, added. */
static void check_altered(cress_environ *env, const char *name, cress_str text, unsigned pick)
{
    char *copy = malloc(text.len + 2), byte = (char)(pick >> 8);
    size_t at = pick % text.len;

    check(copy, "memory");
    memcpy(copy, text.data, text.len);
    copy[at] = byte;
    if (byte != text.data[at])
        check_refused(env, ours, name, (cress_str){ copy, text.len }, EBADMSG);
    memcpy(copy + at, text.data + at + 1, text.len - at - 1);
    check_refused(env, ours, name, (cress_str){ copy, text.len - 1 }, EBADMSG);
    memcpy(copy + at + 1, text.data + at, text.len - at);
    copy[at] = byte;
    check_refused(env, ours, name, (cress_str){ copy, text.len + 1 }, EBADMSG);
    free(copy);
}

static void check_signing(cress_environ *env, const char *name, cress_str data, unsigned pick)
{
    const cress_str *keys = pick & 1 ? older : ours;
    time_t future = time(NULL) + 1000;
    cress_str text = cress_sign(env, keys, name, data, future);
    char *other = malloc(strlen(name) + 2);

    check(text.data && other, "signing");
    check(strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
              text.len,
          "more than letters and digits");
    cress_str back = cress_unsign(env, ours, name, text);
    check(back.data && back.len == data.len && memcmp(back.data, data.data, data.len) == 0,
          "other data");
    check(back.data[back.len] == '\0', "no C string");
    sprintf(other, "%s.", name);
    check_refused(env, ours, other, text, EBADMSG);
    check_refused(env, foreign, name, text, EBADMSG);
    check_altered(env, name, text, pick);
    check_refused(env, ours, name, data, EBADMSG);
    text = cress_sign(env, keys, name, data, (time_t)(pick & 0xffff));
    check(text.data, "signing");
    check_refused(env, ours, name, text, EKEYEXPIRED);
    free(other);
}

/* As a cookie, there and back. */
static void check_signed_cookie(const cress_cookie *cookie, cress_str data)
{
    cress_http1 http;

    check(begin(&http, "a=b", NULL), "a request");
    cress_response *res = cress_http1_response(&http);
    check(cress_start_response(res, 204, NULL) == 0, "a response");
    if (cress_set_signed_cookie(res, ours, cookie, data, 1000) == 0) {
        cress_str field = cress_response_get_header(res, "Set-Cookie");
        check(field.data, "it was not set");
        struct understood u = understand(field);
        cress_http1 next;
        char *sent = malloc(strlen(u.name) + strlen(u.value) + 2);
        check(sent && strcmp(u.name, cookie->name) == 0, "another cookie");
        sprintf(sent, "%s=%s", u.name, u.value);
        check(begin(&next, sent, NULL), "a cookie that cannot be sent");
        cress_str back = cress_signed_cookie_get(cress_http1_environ(&next), ours, cookie->name);
        check(back.len == data.len && memcmp(back.data, data.data, data.len) == 0, "other data");
        cress_http1_destroy(&next);
        free(sent);
        free(u.text);
    } else {
        check(res->fields_len == 0, "something was set");
    }
    cress_http1_destroy(&http);
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* The next line as a C string of just its size. */
static char *take_line(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *feed = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    size_t len = (size_t)((feed ? feed : end) - *at);
    char *line = malloc(len + 1);

    check(line, "memory");
    if (len)
        memcpy(line, *at, len);
    line[len] = '\0';
    *at = feed ? feed + 1 : end;
    return line;
}

static void check_all(uint8_t options, char *lines[], unsigned pick)
{
    char *name = lines[0], *value = lines[1], *path = lines[2], *domain = lines[3];
    const cress_cookie cookie = {
        .name = name,
        .value = value,
        .path = *path ? path : NULL,
        .domain = *domain ? domain : NULL,
        .max_age = options & 1 ? (long)pick - 1000 : 0,
        .expires = options & 2 ? (time_t)pick * 16 : 0,
        .same_site = options >> 2 & 3,
        .secure = options & 16,
        .http_only = options & 32,
        .partitioned = options & 64,
    };
    cress_http1 http;

    check_reading(lines[4], name);
    check_setting(&cookie);
    if (!(options & 128))
        return;
    cress_str data = { lines[4], strlen(lines[4]) };
    check(begin(&http, "a=b", NULL), "a request");
    check_signing(cress_http1_environ(&http), name, data, pick);
    cress_http1_destroy(&http);
    check_signed_cookie(&cookie, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *lines[5];
    uint32_t pick;

    if (size < 1 + sizeof pick)
        return 0;
    memcpy(&pick, data + 1, sizeof pick);
    const uint8_t *at = data + 1 + sizeof pick;
    for (size_t i = 0; i < 5; i++)
        lines[i] = take_line(&at, data + size);
    check_all(data[0], lines, pick);
    for (size_t i = 0; i < 5; i++)
        free(lines[i]);
    return 0;
}
