/* The request as CGI variables, fields and parameters; nothing is built before it is
 * asked for. Names and values are slices of the receive buffer; what does not stand
 * there as it is (joined fields, decoded parameters) is made in the request's memory.
 *
 * A field whose name has an underscore would be the same CGI variable as one with a
 * hyphen, so that a client could forge what a proxy sets: such fields are not seen.
 */
#include "environ.h"

#include "query.h"
#include "text.h"

#include <cress/greenlet.h>
#include <cress/local.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const cress_str absent = { NULL, 0 };

/* Asking for something may take request memory; the request does not change. */
static struct http_exchange *writable(const cress_environ *env)
{
    return exchange_of_env(env);
}

/* ---- fields ------------------------------------------------------------------------------------ */

static cress_str slice(const cress_environ *env, uint32_t offset, uint32_t len)
{
    return (cress_str){ exchange_of_env(env)->head + offset, len };
}

static cress_str name_at(const cress_environ *env, uint32_t i)
{
    return slice(env, env->fields[i].name, env->fields[i].name_len);
}

static cress_str value_at(const cress_environ *env, uint32_t i)
{
    return slice(env, env->fields[i].value, env->fields[i].value_len);
}

static bool has_underscore(cress_str name)
{
    return memchr(name.data, '_', name.len) != NULL;
}

/* The index of the next field of that name, from i on; field_count: none. */
static uint32_t find_field(const cress_environ *env, cress_str name, uint32_t i)
{
    for (; i < env->field_count; i++)
        if (env->fields[i].name_len == name.len && text_equal_nocase(name_at(env, i), name))
            break;
    return i;
}

/* RFC 9110 5.3; RFC 6265 5.4 for Cookie. */
static cress_str join_fields(const cress_environ *env, cress_str name, uint32_t first)
{
    const char *separator = cress_str_equal_nocase(name, "Cookie") ? "; " : ", ";
    size_t len = 0;

    for (uint32_t i = first; i < env->field_count; i = find_field(env, name, i + 1))
        len += env->fields[i].value_len + 2;
    char *joined = arena_alloc_text(&writable(env)->arena, len + 1), *to = joined;
    if (!joined)
        return absent;
    for (uint32_t i = first; i < env->field_count; i = find_field(env, name, i + 1)) {
        if (i != first)
            to = text_put(to, separator, 2);
        to = text_put(to, value_at(env, i).data, value_at(env, i).len);
    }
    *to = '\0';
    return (cress_str){ joined, (size_t)(to - joined) };
}

static bool is_host(cress_str name)
{
    return name.len == 4 && text_matches(name.data, "host", 4);
}

/* The authority of an absolute target replaces what Host says. */
static cress_str get_field(const cress_environ *env, cress_str name)
{
    if (is_host(name))
        return env->host;
    uint32_t first = find_field(env, name, 0);

    if (first == env->field_count || has_underscore(name))
        return absent;
    if (find_field(env, name, first + 1) == env->field_count)
        return value_at(env, first);
    return join_fields(env, name, first);
}

cress_str cress_header_get(const cress_environ *env, const char *name)
{
    return get_field(env, (cress_str){ name, strlen(name) });
}

bool cress_header_at(const cress_environ *env, size_t index, cress_str *ret_name,
                     cress_str *ret_value)
{
    if (index >= env->field_count)
        return false;
    *ret_name = name_at(env, (uint32_t)index);
    *ret_value = is_host(*ret_name) ? env->host : value_at(env, (uint32_t)index);
    return true;
}

/* Is it an element of a list of tokens (RFC 9110 5.6.1)? */
static bool lists(cress_str list, cress_str token)
{
    const char *at = list.data ? list.data : "", *end = at + list.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *behind = comma ? comma : end;
        at += strspn(at, " \t");
        const char *last = behind;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (last > at && text_equal_nocase((cress_str){ at, (size_t)(last - at) }, token))
            return true;
        at = behind + 1;
    }
    return false;
}

bool environ_has_option(const cress_environ *env, const char *name, cress_str token)
{
    return lists(cress_header_get(env, name), token);
}

bool cress_accepts_trailers(const cress_environ *env)
{
    return env->minor == 1 && environ_has_option(env, "TE", CRESS_STR("trailers"));
}

/* ---- trailer fields ---------------------------------------------------------------------------- */

static struct http_trailer *next_trailer(struct http_trailer *trailer, cress_str name)
{
    while (trailer && !text_equal_nocase(trailer->name, name))
        trailer = trailer->next;
    return trailer;
}

static cress_str join_trailers(const cress_environ *env, struct http_trailer *first)
{
    size_t len = 0;

    for (struct http_trailer *t = first; t; t = next_trailer(t->next, first->name))
        len += t->value.len + 2;
    char *joined = arena_alloc_text(&writable(env)->arena, len + 1), *to = joined;
    if (!joined)
        return absent;
    for (struct http_trailer *t = first; t; t = next_trailer(t->next, first->name)) {
        if (t != first)
            to = TEXT_PUT(to, ", ");
        to = text_put(to, t->value.data, t->value.len);
    }
    *to = '\0';
    return (cress_str){ joined, (size_t)(to - joined) };
}

cress_str cress_trailer_get(const cress_environ *env, const char *name)
{
    const struct http_exchange *x = exchange_of_env(env);
    bool has_trailers = x->input.kind == BODY_CHUNKED && x->input.ended;
    cress_str wanted = { name, strlen(name) };
    struct http_trailer *first = has_trailers ? next_trailer(x->chunks.trailers, wanted) : NULL;

    if (!first || has_underscore(wanted))
        return absent;
    return next_trailer(first->next, wanted) ? join_trailers(env, first) : first->value;
}

/* ---- variables ---------------------------------------------------------------------------------- */

static const cress_http1 *http_of(const cress_environ *env)
{
    return exchange_of_env(env)->http;
}

static const char *scheme_of(const cress_environ *env)
{
    return http_of(env)->config->scheme ? http_of(env)->config->scheme : "http";
}

static cress_str str(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

static cress_str or_empty(cress_str text)
{
    return text.data ? text : CRESS_STR("");
}

/* In the request's memory; absent: ENOMEM. */
static cress_str copy(const cress_environ *env, cress_str text)
{
    const char *data = arena_copy(&writable(env)->arena, text.data, text.len);

    return data ? (cress_str){ data, text.len } : absent;
}

static cress_str content_length(const cress_environ *env)
{
    return get_field(env, CRESS_STR("Content-Length"));
}

static cress_str content_type(const cress_environ *env)
{
    return get_field(env, CRESS_STR("Content-Type"));
}

static cress_str gateway_interface(const cress_environ *env)
{
    (void)env;
    return CRESS_STR("CGI/1.1");
}

static cress_str https(const cress_environ *env)
{
    return strcmp(scheme_of(env), "https") == 0 ? CRESS_STR("on") : absent;
}

static cress_str ssl_protocol(const cress_environ *env)
{
    return http_of(env)->tls ? http_of(env)->tls->protocol : absent;
}

static cress_str ssl_cipher(const cress_environ *env)
{
    return http_of(env)->tls ? http_of(env)->tls->cipher : absent;
}

static cress_str ssl_server_name(const cress_environ *env)
{
    return http_of(env)->tls ? http_of(env)->tls->server_name : absent;
}

/* "" over a unix socket. */
static cress_str remote_port(const cress_environ *env)
{
    const cress_http1_peer *peer = &http_of(env)->peer;
    char digits[20], *end = digits;

    if (peer->family != CRESS_HTTP1_PEER_NONE)
        end = text_put_u64(end, peer->port);
    return copy(env, (cress_str){ digits, (size_t)(end - digits) });
}

static cress_str script_name(const cress_environ *env)
{
    return or_empty(env->script);
}

/* PEP 3333 wants it never empty. */
static cress_str server_name(const cress_environ *env)
{
    const char *name = http_of(env)->config->server_name;

    return name && *name ? str(name) : CRESS_STR("localhost");
}

static cress_str server_port(const cress_environ *env)
{
    const char *port = http_of(env)->config->server_port;

    if (port && *port)
        return str(port);
    return https(env).data ? CRESS_STR("443") : CRESS_STR("80");
}

static cress_str server_protocol(const cress_environ *env)
{
    return env->minor ? CRESS_STR("HTTP/1.1") : CRESS_STR("HTTP/1.0");
}

static cress_str server_software(const cress_environ *env)
{
    const char *software = http_of(env)->config->server_software;

    return software && *software ? str(software) : CRESS_STR("cress/" CRESS_VERSION);
}

static cress_str truth(bool value)
{
    return value ? CRESS_STR("true") : CRESS_STR("false");
}

static cress_str no(const cress_environ *env)
{
    (void)env;
    return truth(false);
}

static cress_str yes(const cress_environ *env)
{
    (void)env;
    return truth(true);
}

static cress_str multiprocess(const cress_environ *env)
{
    return truth(http_of(env)->config->multiprocess);
}

static cress_str url_scheme(const cress_environ *env)
{
    return str(scheme_of(env));
}

static cress_str wsgi_version(const cress_environ *env)
{
    (void)env;
    return CRESS_STR("1.0");
}

static const struct variable {
    cress_str key;
    cress_str (*get)(const cress_environ *env);
} variables[] = {
    { { "REQUEST_METHOD", 14 }, cress_method },
    { { "SCRIPT_NAME", 11 }, script_name },
    { { "PATH_INFO", 9 }, cress_path },
    { { "QUERY_STRING", 12 }, cress_query_string },
    { { "CONTENT_TYPE", 12 }, content_type },
    { { "CONTENT_LENGTH", 14 }, content_length },
    { { "SERVER_NAME", 11 }, server_name },
    { { "SERVER_PORT", 11 }, server_port },
    { { "SERVER_PROTOCOL", 15 }, server_protocol },
    { { "SERVER_SOFTWARE", 15 }, server_software },
    { { "GATEWAY_INTERFACE", 17 }, gateway_interface },
    { { "REMOTE_ADDR", 11 }, cress_remote_addr },
    { { "REMOTE_HOST", 11 }, cress_remote_addr }, /* RFC 3875 4.1.9 */
    { { "REMOTE_PORT", 11 }, remote_port },
    { { "REQUEST_URI", 11 }, cress_target },
    { { "RAW_URI", 7 }, cress_target },
    { { "HTTPS", 5 }, https },
    { { "SSL_PROTOCOL", 12 }, ssl_protocol },
    { { "SSL_CIPHER", 10 }, ssl_cipher },
    { { "SSL_TLS_SNI", 11 }, ssl_server_name }, /* mod_ssl's name */
    { { "wsgi.version", 12 }, wsgi_version },
    { { "wsgi.url_scheme", 15 }, url_scheme },
    { { "wsgi.multithread", 16 }, no },
    { { "wsgi.multiprocess", 17 }, multiprocess },
    { { "wsgi.run_once", 13 }, no },
    { { "wsgi.input_terminated", 21 }, yes },
};

enum { VARIABLES = sizeof variables / sizeof variables[0] };

/* CGI has these two without HTTP_. */
static bool is_plain_variable(cress_str name)
{
    return cress_str_equal_nocase(name, "Content-Type") ||
           cress_str_equal_nocase(name, "Content-Length");
}

static char variable_char(char c)
{
    if (c == '-')
        return '_';
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Is `variable` what `name` becomes behind HTTP_? */
static bool is_variable_of(cress_str name, const char *variable)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '_' || variable_char(name.data[i]) != variable[i])
            return false;
    return true;
}

static cress_str get_http_variable(const cress_environ *env, cress_str variable)
{
    if (variable.len == 4 && memcmp(variable.data, "HOST", 4) == 0)
        return env->host;
    for (uint32_t i = 0; i < env->field_count; i++) {
        cress_str name = name_at(env, i);
        if (name.len == variable.len && is_variable_of(name, variable.data))
            return is_plain_variable(name) ? absent : get_field(env, name);
    }
    return absent;
}

static struct http_extra *find_extra(const cress_environ *env, const char *key)
{
    struct http_extra *extra = env->extras;

    while (extra && !cress_str_equal(extra->key, key))
        extra = extra->next;
    return extra;
}

/* A set value that is absent hides what the request has. */
int cress_environ_set(cress_environ *env, const char *key, cress_str value)
{
    struct arena *arena = &exchange_of_env(env)->arena;
    struct http_extra *extra = find_extra(env, key);
    const char *copy = value.data ? arena_copy(arena, value.data, value.len) : NULL;

    if (value.data && !copy)
        return -1;
    if (!extra) {
        size_t len = strlen(key);
        const char *name = arena_copy(arena, key, len);
        extra = name ? arena_alloc(arena, sizeof *extra) : NULL;
        if (!extra)
            return -1;
        *extra = (struct http_extra){ .next = env->extras, .key = { name, len } };
        env->extras = extra;
    }
    extra->value = (cress_str){ copy, copy ? value.len : 0 };
    return 0;
}

cress_str cress_environ_get(const cress_environ *env, const char *key)
{
    size_t len = strlen(key);
    const struct http_extra *extra = env->extras ? find_extra(env, key) : NULL;

    if (extra)
        return extra->value;
    if (len > 5 && memcmp(key, "HTTP_", 5) == 0)
        return get_http_variable(env, (cress_str){ key + 5, len - 5 });
    for (size_t i = 0; i < VARIABLES; i++)
        if (variables[i].key.len == len && memcmp(variables[i].key.data, key, len) == 0)
            return variables[i].get(env);
    return absent;
}

static cress_str make_key(const cress_environ *env, cress_str name)
{
    char *key = arena_alloc_text(&writable(env)->arena, name.len + sizeof "HTTP_");

    if (!key)
        return absent;
    memcpy(key, "HTTP_", 5);
    for (size_t i = 0; i < name.len; i++)
        key[5 + i] = variable_char(name.data[i]);
    key[5 + name.len] = '\0';
    return (cress_str){ key, 5 + name.len };
}

typedef int visit_fn(void *arg, cress_str key, cress_str value);

/* One of the request's own, unless it was set to something else. */
static int visit(const cress_environ *env, visit_fn *fn, void *arg, cress_str key, cress_str value)
{
    return key.data && value.data && !find_extra(env, key.data) ? fn(arg, key, value) : 0;
}

/* Of several fields of one name the first stands for all. */
static int visit_field(const cress_environ *env, visit_fn *fn, void *arg, uint32_t i)
{
    cress_str name = name_at(env, i);

    if (is_host(name) || has_underscore(name) || is_plain_variable(name) ||
        find_field(env, name, 0) != i)
        return 0;
    return visit(env, fn, arg, make_key(env, name), get_field(env, name));
}

int cress_environ_each(const cress_environ *env, visit_fn *fn, void *arg)
{
    int result = 0;

    for (const struct http_extra *extra = env->extras; extra && result == 0; extra = extra->next)
        if (extra->value.data)
            result = fn(arg, extra->key, extra->value);
    for (size_t i = 0; i < VARIABLES && result == 0; i++)
        result = visit(env, fn, arg, variables[i].key, variables[i].get(env));
    if (result == 0)
        result = visit(env, fn, arg, CRESS_STR("HTTP_HOST"), env->host);
    for (uint32_t i = 0; i < env->field_count && result == 0; i++)
        result = visit_field(env, fn, arg, i);
    return result;
}

cress_str cress_method(const cress_environ *env)
{
    return env->method;
}

cress_str cress_path(const cress_environ *env)
{
    return env->path;
}

cress_str cress_query_string(const cress_environ *env)
{
    return env->query;
}

cress_str cress_target(const cress_environ *env)
{
    return env->target;
}

cress_str cress_remote_addr(const cress_environ *env)
{
    char text[CRESS_HTTP1_PEER_TEXT];

    return copy(env, cress_http1_peer_text(&http_of(env)->peer, text));
}

cress_str cress_query_get(cress_environ *env, const char *name)
{
    return query_find(&exchange_of_env(env)->arena, env->query, name);
}

cress_str cress_form_get(cress_environ *env, cress_str form, const char *name)
{
    return query_find(&exchange_of_env(env)->arena, form, name);
}

int cress_form_next(cress_environ *env, cress_str *rest, cress_str *ret_name, cress_str *ret_value)
{
    return query_next(&exchange_of_env(env)->arena, rest, ret_name, ret_value);
}

/* ---- the request's memory and life ------------------------------------------------------------- */

void *cress_environ_alloc(cress_environ *env, size_t size)
{
    return arena_alloc(&exchange_of_env(env)->arena, size);
}

/* Most texts are short: they are formatted once, and copied. */
cress_str cress_environ_printf(cress_environ *env, const char *format, ...)
{
    va_list args, again;
    char small[256];

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    char *text = len < 0 ? NULL : arena_alloc_text(&exchange_of_env(env)->arena, (size_t)len + 1);
    if (text && (size_t)len < sizeof small)
        memcpy(text, small, (size_t)len + 1);
    else if (text)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return text ? (cress_str){ text, (size_t)len } : absent;
}

int cress_defer(cress_environ *env, void (*fn)(void *), void *arg)
{
    struct http_deferred *deferred = cress_environ_alloc(env, sizeof *deferred);

    if (!deferred)
        return -1;
    *deferred = (struct http_deferred){ .next = env->deferred, .fn = fn, .arg = arg };
    env->deferred = deferred;
    return 0;
}

void environ_run_deferred(cress_environ *env)
{
    while (env->deferred) {
        struct http_deferred *deferred = env->deferred;
        env->deferred = deferred->next;
        deferred->fn(deferred->arg);
    }
}

static const cress_local current; /* the cress_http1 that a greenlet serves */

void *cress_http1_local(cress_http1 *h, const cress_local *key)
{
    return key == &current ? h : NULL;
}

cress_environ *cress_environ_current(void)
{
    cress_http1 *h = cress_local_get(&current);

    return h && h->exchange && h->exchange->phase == PHASE_REQUEST ? &h->exchange->env : NULL;
}

int cress_request_timeout(cress_environ *env, cress_seconds span)
{
    cress_timeout *limit = http_of(env)->limit;

    if (!limit)
        return 0;
    if (cress_timeout_expired(limit)) {
        errno = ETIMEDOUT;
        return -1;
    }
    limit->deadline = cress_now() + span;
    return 0;
}
