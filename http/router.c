/* Paths are matched as they were sent, before decoding: in what is decoded a slash that
 * was part of a segment looks like one between two. A pattern is compared segment by segment,
 * decoding on the way, so that matching needs no memory; a parameter is looked up by matching
 * the route that was taken once more.
 *
 * What a router knows while its application runs lies on the stack, linked from the
 * environ: routers within routers find the parameters of those around them.
 */
#include <cress/router.h>

#include "exchange.h"
#include "query.h"
#include "text.h"

#include <cress/middleware.h>

struct router_frame {
    const cress_route *route;
    cress_str path; /* as sent: where this router's begins */
    cress_str rest; /* what is left of it behind a mount */
    const struct router_frame *outer;
};

/* ---- the path as sent ------------------------------------------------------------------- */

static cress_str raw_path(const cress_environ *env)
{
    if (env->route)
        return env->route->rest;

    const char *at = env->target.data;
    if (*at != '/' && *at != '*') { /* absolute: RFC 9112 3.2.2 */
        at = strstr(at, "://") + 3;
        at += strcspn(at, "/?");
    }
    cress_str path = { at, strcspn(at, "?") };
    return path.len ? path : CRESS_STR("/");
}

/* ---- matching ------------------------------------------------------------------------------ */

/* One decoded byte; *at moves on. The parser has seen to it that escapes are sound. */
static char next_byte(const char **at)
{
    const char *from = *at;

    if (*from != '%') {
        ++*at;
        return *from;
    }
    *at += 3;
    return (char)(text_hex_value(from[1]) << 4 | text_hex_value(from[2]));
}

static const char *segment_end(const char *at, const char *end)
{
    const char *slash = memchr(at, '/', (size_t)(end - at));

    return slash ? slash : end;
}

static bool is_text(const char *at, const char *end, const char *text, size_t len)
{
    const char *text_end = text + len;

    while (at < end && text < text_end)
        if (next_byte(&at) != *text++)
            return false;
    return at == end && text == text_end;
}

struct place {
    cress_str name; /* looked for; absent: none */
    cress_str value;
    bool found;
};

static void note(struct place *place, const char *name, size_t len, const char *at, const char *end)
{
    if (place && place->name.len == len && memcmp(place->name.data, name, len) == 0) {
        place->value = (cress_str){ at, (size_t)(end - at) };
        place->found = true;
    }
}

/* A slash at the end of a mount says nothing: "/api/" is "/api", and "/" is all paths. */
static bool is_at_end(const char *pattern, bool is_mount)
{
    return !*pattern || (is_mount && strcmp(pattern, "/") == 0);
}

/* The end of what the pattern covers of the path: all of it, or, for a mount, some first
 * segments. NULL: it does not match. */
static const char *match(const char *pattern, bool is_mount, cress_str path, struct place *place)
{
    const char *at = path.data, *end = path.data + path.len;

    while (!is_at_end(pattern, is_mount) && *pattern == '/' && at < end && *at == '/') {
        size_t len = strcspn(++pattern, "/");
        const char *stop = segment_end(++at, end);
        if (*pattern == '*') {
            note(place, pattern + 1, strlen(pattern + 1), at, end);
            return end;
        }
        if (*pattern == ':' && stop > at)
            note(place, pattern + 1, len - 1, at, stop);
        else if (*pattern == ':' || !is_text(at, stop, pattern, len))
            return NULL;
        pattern += len;
        at = stop;
    }
    if (!is_at_end(pattern, is_mount))
        return NULL;
    return is_mount || at == end ? at : NULL;
}

static const char *pattern_of(const cress_route *route)
{
    return route->mount ? route->mount : route->pattern;
}

/* Of "OPTIONS *", which asks about the server as a whole, every route is meant. */
static bool matches(const cress_route *route, cress_str path)
{
    return *path.data == '*' || match(pattern_of(route), route->mount, path, NULL);
}

/* ---- the best of several ---------------------------------------------------------------------- */

enum kind { KIND_TEXT, KIND_PARAMETER, KIND_REST, KIND_END };

static enum kind kind_at(const char *pattern, bool is_mount)
{
    if (is_at_end(pattern, is_mount) || pattern[0] != '/')
        return KIND_END;
    return pattern[1] == ':' ? KIND_PARAMETER : pattern[1] == '*' ? KIND_REST : KIND_TEXT;
}

/* Both match one path: is a more specific than b? */
static bool is_more_specific(const cress_route *a, const cress_route *b)
{
    const char *at_a = pattern_of(a), *at_b = pattern_of(b);

    for (;;) {
        enum kind kind_a = kind_at(at_a, a->mount), kind_b = kind_at(at_b, b->mount);
        if (kind_a != kind_b)
            return kind_a < kind_b;
        if (kind_a == KIND_END)
            return b->mount && !a->mount;
        at_a += 1 + strcspn(at_a + 1, "/");
        at_b += 1 + strcspn(at_b + 1, "/");
    }
}

/* How well: 2 as asked for, 1 in its place, 0 not at all. */
static int method_fits(const cress_route *route, cress_str method)
{
    if (!route->method || cress_str_equal(method, route->method))
        return 2;
    return cress_str_equal(method, "HEAD") && strcmp(route->method, "GET") == 0;
}

static const cress_route *find(const cress_route *routes, cress_str method, cress_str path,
                               bool *ret_matches)
{
    const cress_route *best = NULL;

    for (const cress_route *route = routes; pattern_of(route); route++) {
        int fits = method_fits(route, method);
        if ((!fits && *ret_matches) || !matches(route, path))
            continue;
        *ret_matches = true;
        if (!fits)
            continue;
        if (!best || is_more_specific(route, best) ||
            (!is_more_specific(best, route) && fits > method_fits(best, method)))
            best = route;
    }
    return best;
}

/* ---- Allow --------------------------------------------------------------------------------------- */

struct allowed {
    char *text;
    size_t len, size;
};

static bool has_method(const struct allowed *a, const char *method)
{
    size_t len = strlen(method);

    for (size_t at = 0; at < a->len;) {
        size_t one = strcspn(a->text + at, ",");
        if (one == len && memcmp(a->text + at, method, len) == 0)
            return true;
        at += one + 2;
    }
    return false;
}

static void add_method(struct allowed *a, const char *method)
{
    size_t len = strlen(method);

    if (has_method(a, method) || a->len + len + 3 > a->size)
        return;
    if (a->len > 0) {
        memcpy(a->text + a->len, ", ", 2);
        a->len += 2;
    }
    memcpy(a->text + a->len, method, len + 1);
    a->len += len;
}

/* In the order of the table; RFC 9110 10.2.1. NULL: ENOMEM. */
static const char *allowed_methods(cress_environ *env, const cress_route *routes, cress_str path)
{
    struct allowed a = { .size = sizeof "HEAD, OPTIONS, " };

    for (const cress_route *route = routes; pattern_of(route); route++)
        a.size += route->method ? strlen(route->method) + 2 : 0;
    a.text = cress_environ_alloc(env, a.size);
    if (!a.text)
        return NULL;
    a.text[0] = '\0';
    for (const cress_route *route = routes; pattern_of(route); route++) {
        if (!route->method || !matches(route, path))
            continue;
        add_method(&a, route->method);
        if (strcmp(route->method, "GET") == 0)
            add_method(&a, "HEAD");
    }
    add_method(&a, "OPTIONS");
    return a.text;
}

static int respond_allowed(cress_environ *env, cress_response *res, const cress_route *routes,
                           cress_str path)
{
    const char *allowed = allowed_methods(env, routes, path);

    if (!allowed)
        return -1;
    if (cress_str_equal(cress_method(env), "OPTIONS"))
        return cress_start_response(res, 204, CRESS_HEADERS({ "Allow", allowed }));
    return cress_respond_error(res, 405, CRESS_HEADERS({ "Allow", allowed }));
}

/* ---- calling ----------------------------------------------------------------------------------- */

static size_t decoded_len(const char *at, const char *end)
{
    size_t len = 0;

    for (; at < end; len++)
        next_byte(&at);
    return len;
}

/* Moves what the mount covers from PATH_INFO to SCRIPT_NAME. */
static int descend(cress_environ *env, const char *at, const char *end)
{
    size_t len = decoded_len(at, end), before = env->script.len;
    len = len < env->path.len ? len : env->path.len; /* "", where the router sees "/" */
    char *script = arena_alloc_text(&exchange_of_env(env)->arena, before + len + 1);

    if (!script)
        return -1;
    memcpy(script, env->script.data ? env->script.data : "", before);
    memcpy(script + before, env->path.data, len);
    script[before + len] = '\0';
    env->script = (cress_str){ script, before + len };
    env->path = (cress_str){ env->path.data + len, env->path.len - len };
    return 0;
}

static int call_mounted(cress_environ *env, cress_response *res, struct router_frame *frame)
{
    const cress_route *route = frame->route;
    cress_str script = env->script, path = env->path;
    const char *end = frame->path.data + frame->path.len;
    const char *stop = match(route->mount, true, frame->path, NULL);

    frame->rest = (cress_str){ stop, (size_t)(end - stop) };
    if (descend(env, frame->path.data, stop) < 0)
        return -1;
    int result = route->app(env, res, route->self);
    env->script = script;
    env->path = path;
    return result;
}

int cress_route_request(cress_environ *env, cress_response *res, const cress_route routes[])
{
    cress_str path = raw_path(env);
    bool is_known = false;

    if (path.len == 0)
        path = CRESS_STR("/");
    if (*path.data == '*')
        return respond_allowed(env, res, routes, path);
    const cress_route *route = find(routes, cress_method(env), path, &is_known);
    if (!route && !is_known)
        return cress_respond_error(res, 404, NULL);
    if (!route)
        return respond_allowed(env, res, routes, path);

    struct router_frame frame = {
        .route = route,
        .path = path,
        .rest = path,
        .outer = env->route,
    };
    env->route = &frame;
    env->matched = route;
    int result = route->mount ? call_mounted(env, res, &frame) : route->app(env, res, route->self);
    env->route = frame.outer;
    return result;
}

int cress_router(cress_environ *env, cress_response *res, void *self)
{
    return cress_route_request(env, res, self);
}

/* ---- parameters ------------------------------------------------------------------------------------- */

static cress_str decode(cress_environ *env, cress_str raw)
{
    char *text = arena_alloc_text(&exchange_of_env(env)->arena, raw.len + 1);
    const char *at = raw.data, *end = raw.data + raw.len;
    size_t len = 0;

    if (!text)
        return (cress_str){ NULL, 0 };
    while (at < end)
        text[len++] = next_byte(&at);
    text[len] = '\0';
    return (cress_str){ text, len };
}

cress_str cress_route_get(cress_environ *env, const char *name)
{
    struct place place = { .name = { name, strlen(name) } };

    for (const struct router_frame *frame = env->route; frame; frame = frame->outer) {
        match(pattern_of(frame->route), frame->route->mount, frame->path, &place);
        if (place.found)
            return decode(env, place.value);
    }
    return (cress_str){ NULL, 0 };
}

const char *cress_route_pattern(const cress_environ *env)
{
    return env->matched ? pattern_of(env->matched) : NULL;
}
