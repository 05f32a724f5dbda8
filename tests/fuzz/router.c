/* Which application answers which target, and with which parameters: the router, which decodes on
 * the way and needs no memory, against a naive one that splits and decodes first and then compares
 * everything with everything.
 *
 * The first byte picks a method; the rest is a request target. */
#define _GNU_SOURCE /* strndupa */
#include "../../http/exchange.h"
#include "../../http/parser.h"

#include <cress/hook.h>
#include <cress/router.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* ---- the tables ---------------------------------------------------------------------------- */

/* What an application was called with. */
static struct call {
    const cress_route *route;
    char *a, *b, *rest, *script, *path;
} called;

static char *take(cress_str text)
{
    check(!text.data || strlen(text.data) == text.len, "no C string");
    return text.data ? strdup(text.data) : NULL;
}

static int note_call(cress_environ *env, cress_response *res, void *self)
{
    (void)res;
    check(!called.route, "two applications");
    called = (struct call){
        .route = self,
        .a = take(cress_route_get(env, "a")),
        .b = take(cress_route_get(env, "b")),
        .rest = take(cress_route_get(env, "rest")),
        .script = take(cress_environ_get(env, "SCRIPT_NAME")),
        .path = take(cress_path(env)),
    };
    check(!cress_route_get(env, "other").data, "a parameter that is in no pattern");
    return 0;
}

/* Each route's self is the route. */
#define ROUTE(table, i, method, pattern) \
    [i] = CRESS_ROUTE(method, pattern, note_call, .self = (void *)(uintptr_t) & (table)[i])

static const cress_route inner[] = {
    ROUTE(inner, 0, NULL, "/"),     ROUTE(inner, 1, "GET", "/x"),      ROUTE(inner, 2, NULL, "/:b"),
    ROUTE(inner, 3, NULL, "/:b/y"), ROUTE(inner, 4, NULL, "/z/*rest"), { .pattern = NULL },
};

static const cress_route outer[] = {
    ROUTE(outer, 0, "GET", "/"),
    ROUTE(outer, 1, "GET", "/items"),
    ROUTE(outer, 2, "POST", "/items"),
    ROUTE(outer, 3, "GET", "/items/:a"),
    ROUTE(outer, 4, NULL, "/items/new"),
    ROUTE(outer, 5, "GET", "/items/:a/"),
    ROUTE(outer, 6, "GET", "/items/:a/:b"),
    ROUTE(outer, 7, "PUT", "/items/x/:b"),
    ROUTE(outer, 8, NULL, "/tree/:a/*rest"),
    ROUTE(outer, 9, "HEAD", "/tree/:a/*rest"),
    ROUTE(outer, 10, NULL, "/tree/:a/:b"),
    ROUTE(outer, 11, "GET", "/a b/%"),
    [12] = CRESS_MOUNT("/m", cress_router, .self = (void *)(uintptr_t)inner),
    [13] = CRESS_MOUNT("/m/:a", cress_router, .self = (void *)(uintptr_t)inner),
    ROUTE(outer, 14, "GET", "/m/m/m"),
    { .pattern = NULL },
};

/* ---- the naive router ---------------------------------------------------------------------- */

enum { MAX_SEGMENTS = 300 };

struct segments {
    size_t count;
    const char *raw[MAX_SEGMENTS]; /* where it begins, behind the slash */
    char *text[MAX_SEGMENTS];      /* decoded */
};

static char *decode(const char *at, const char *end)
{
    char *text = malloc((size_t)(end - at) + 1), *to = text;

    check(text, "memory");
    for (; at < end; at++) {
        char hex[3] = { 0 };
        if (*at == '%') {
            memcpy(hex, at + 1, 2);
            *to++ = (char)strtol(hex, NULL, 16);
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return text;
}

/* False: there are too many. */
static bool split(struct segments *segments, const char *path)
{
    segments->count = 0;
    while (*path == '/') {
        const char *end = path + 1 + strcspn(path + 1, "/");
        if (segments->count == MAX_SEGMENTS)
            return false;
        segments->raw[segments->count] = path + 1;
        segments->text[segments->count++] = decode(path + 1, end);
        path = end;
    }
    return true;
}

static void finish_segments(struct segments *segments)
{
    for (size_t i = 0; i < segments->count; i++)
        free(segments->text[i]);
}

struct match {
    const cress_route *route;
    size_t first, covered; /* segments before the router's, and with the pattern's */
    char key[20];          /* text 0, parameter 1, rest 2, end 3; then a mount is 5 */
    const char *a, *b, *rest;
};

static void bind(struct match *match, const char *name, size_t len, const char *value)
{
    if (len == 1 && *name == 'a')
        match->a = value;
    else if (len == 1 && *name == 'b')
        match->b = value;
    else
        match->rest = value;
}

/* Does the route match the segments from `first` on? */
static bool matches(struct match *ret_match, const cress_route *route,
                    const struct segments *segments, size_t first, const char *whole_end)
{
    const char *pattern = route->mount ? route->mount : route->pattern;
    struct match match = { .route = route, .first = first };
    size_t at = first, key = 0;

    for (; *pattern; pattern += 1 + strcspn(pattern + 1, "/"), at++, key++) {
        size_t len = strcspn(pattern + 1, "/");
        if (at == segments->count)
            return false;
        match.key[key] = pattern[1] == ':' ? 1 : pattern[1] == '*' ? 2 : 0;
        if (pattern[1] == ':' && !*segments->text[at])
            return false;
        if (pattern[1] == '*') {
            bind(&match, pattern + 2, len - 1, decode(segments->raw[at], whole_end));
            at = segments->count;
            key++;
            break;
        }
        if (pattern[1] == ':')
            bind(&match, pattern + 2, len - 1, segments->text[at]);
        else if (strlen(segments->text[at]) != len ||
                 memcmp(segments->text[at], pattern + 1, len) != 0)
            return false;
    }
    match.key[key] = 3;
    match.key[key + 1] = route->mount ? 5 : 4;
    match.covered = at;
    *ret_match = match;
    return route->mount || at == segments->count;
}

static int fitness(const cress_route *route, const char *method)
{
    if (!route->method || strcmp(route->method, method) == 0)
        return 2;
    return strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0;
}

static void drop(struct match *match)
{
    free((char *)(uintptr_t)match->rest);
    match->rest = NULL;
}

/* 200 with the match, 404 or 405. */
static int find(struct match *ret_match, const cress_route *table, const char *method,
                const struct segments *segments, size_t first, const char *end)
{
    struct match best = { .route = NULL }, match;
    bool is_known = false;

    for (const cress_route *route = table; route->pattern || route->mount; route++) {
        if (!matches(&match, route, segments, first, end))
            continue;
        is_known = true;
        int order = best.route ? memcmp(match.key, best.key, sizeof match.key) : -1;
        int fits = fitness(route, method);
        if (fits && (order < 0 || (order == 0 && fits > fitness(best.route, method)))) {
            drop(&best);
            best = match;
        } else {
            drop(&match);
        }
    }
    *ret_match = best;
    return best.route ? 200 : is_known ? 405 : 404;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void check_same(const char *found, const char *expected, const char *what)
{
    check(found && expected ? strcmp(found, expected) == 0 : !found && !expected, what);
}

/* The path, decoded, from segment to segment, with their slashes. */
static char *join(const struct segments *segments, size_t from, size_t to)
{
    size_t len = 0;
    char *text;

    for (size_t i = from; i < to; i++)
        len += strlen(segments->text[i]) + 1;
    text = malloc(len + 1);
    check(text, "memory");
    *text = '\0';
    for (size_t i = from; i < to; i++) {
        strcat(text, "/");
        strcat(text, segments->text[i]);
    }
    return text;
}

static void check_call(const struct segments *segments, const struct match *match,
                       const struct match *mount)
{
    char *script = join(segments, 0, mount ? mount->covered : 0);
    char *path = join(segments, mount ? mount->covered : 0, segments->count);

    check(called.route == match->route, "another application");
    check_same(called.a, match->a ? match->a : mount ? mount->a : NULL, "another parameter");
    check_same(called.b, match->b, "another parameter");
    check_same(called.rest, match->rest, "another rest");
    check_same(called.script, script, "another SCRIPT_NAME");
    check_same(called.path, path, "another PATH_INFO");
    free(script);
    free(path);
}

static void check_answer(const cress_response *res, int status, const char *method)
{
    bool is_options = strcmp(method, "OPTIONS") == 0;

    check(!called.route, "an application was called");
    check(cress_response_status(res) == (status == 405 && is_options ? 204 : status),
          "another status");
}

/* In a mount "" is "/". */
static void check_routing(const cress_response *res, const char *method, const char *path)
{
    static struct segments segments;
    static const char empty[] = "";
    struct match match, mounted = { .route = NULL };
    const char *end = path + strlen(path);

    if (split(&segments, path)) {
        int status = find(&match, outer, method, &segments, 0, end);
        if (status == 200 && match.route->mount) {
            struct segments root = { .count = 1, .raw = { empty }, .text = { "" } };
            bool is_root = match.covered == segments.count;
            status = find(&mounted, inner, method, is_root ? &root : &segments,
                          is_root ? 0 : match.covered, is_root ? empty : end);
        }
        if (status != 200)
            check_answer(res, status, method);
        else if (match.route->mount)
            check_call(&segments, &mounted, &match);
        else
            check_call(&segments, &match, NULL);
        drop(&match);
        drop(&mounted);
    }
    finish_segments(&segments);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void forget_call(void)
{
    free(called.a);
    free(called.b);
    free(called.rest);
    free(called.script);
    free(called.path);
    called = (struct call){ .route = NULL };
}

static void route(cress_http1 *http, const char *method)
{
    cress_environ *env = cress_http1_environ(http);
    cress_response *res = cress_http1_response(http);
    const char *target = cress_target(env).data;

    /* Not in a hub, where an error page cannot be written: its status is there nevertheless. */
    cress_route_request(env, res, outer);
    check(!env->route, "a router that has not ended");
    check(!env->script.len, "a mount that has not ended");
    if (*target != '/')
        check(called.route || cress_response_status(res), "nothing happened");
    else
        check_routing(res, method, strndupa(target, strcspn(target, "?")));
    forget_call();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE" };
    static const cress_http1_config config = { .keep_alive = 5 };
    cress_http1 http = { .config = &config };

    if (size < 1 || size > 4000)
        return 0;
    const char *method = methods[data[0] % 6];
    struct http_exchange *x = exchange_acquire(&http);
    check(x && exchange_make_room(x, size + 100) == 0, "memory");
    x->fill = (size_t)snprintf(x->in, size + 100, "%s %.*s HTTP/1.1\r\nHost: a\r\n\r\n", method,
                               (int)size - 1, (const char *)data + 1);
    if (parser_head(x) == PARSE_DONE)
        route(&http, method);
    exchange_release(&http);
    return 0;
}
