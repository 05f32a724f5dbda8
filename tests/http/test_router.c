#include "hub_test.h"
#include "wire.h"

#include <cress/middleware.h>
#include <cress/router.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST(method, target) method " " target " HTTP/1.1\r\nHost: a\r\n\r\n"

/* The body, or for others than 200 the status line and Allow, of one request. */
static char *ask(const char *request, const cress_route *routes)
{
    return wire_ask(request, cress_router, (void *)(uintptr_t)routes);
}

static void check_output(const char *request, const cress_route *routes, const char *expected)
{
    wire_check_with(request, cress_router, (void *)(uintptr_t)routes, expected);
}

static void check_body(const char *request, const cress_route *routes, const char *expected)
{
    char *output = ask(request, routes);
    const char *body = strstr(output, "\r\n\r\n");

    assert_non_null(body);
    assert_string_equal(body + 4, expected);
    free(output);
}

#define NOT_FOUND          \
    DATED("404 Not Found") \
    "Content-Length: 14\r\nContent-Type: text/plain\r\n\r\n404 Not Found\n"

static const char *or_none(cress_str text)
{
    return text.data ? text.data : "-";
}

/* Says who it is and what it was called with. */
static int show(cress_environ *env, cress_response *res, void *self)
{
    assert_ok(cress_start_response(res, 200, NULL));
    cress_str text = cress_environ_printf(
        env, "%s id=%s rest=%s [%s][%s] %s", self ? (const char *)self : "",
        or_none(cress_route_get(env, "id")), or_none(cress_route_get(env, "rest")),
        cress_environ_get(env, "SCRIPT_NAME").data, cress_path(env).data, cress_route_pattern(env));
    return cress_respond(res, 200, NULL, text.data, text.len);
}

/* ---- matching --------------------------------------------------------------------------- */

static const cress_route routes[] = {
    CRESS_ROUTE("GET", "/", show, .self = "root"),
    CRESS_ROUTE("GET", "/items", show, .self = "items"),
    CRESS_ROUTE("POST", "/items", show, .self = "add"),
    CRESS_ROUTE("GET", "/items/", show, .self = "slash"),
    CRESS_ROUTE("GET", "/items/:id", show, .self = "item"),
    CRESS_ROUTE("DELETE", "/items/:id", show, .self = "delete"),
    CRESS_ROUTE("GET", "/items/new", show, .self = "new"),
    CRESS_ROUTE("GET", "/items/:id/parts", show, .self = "parts"),
    CRESS_ROUTE("GET", "/files/*rest", show, .self = "file"),
    CRESS_ROUTE(NULL, "/any", show, .self = "any"),
    CRESS_ROUTE("GET", "/caf\xc3\xa9", show, .self = "cafe"),
    { 0 },
};

static void test_paths(void)
{
    check_body(REQUEST("GET", "/"), routes, "root id=- rest=- [][/] /");
    check_body(REQUEST("GET", "/?a=/items"), routes, "root id=- rest=- [][/] /");
    check_body(REQUEST("GET", "/items"), routes, "items id=- rest=- [][/items] /items");
    check_body(REQUEST("POST", "/items"), routes, "add id=- rest=- [][/items] /items");
    check_body(REQUEST("GET", "/items/"), routes, "slash id=- rest=- [][/items/] /items/");
    check_body(REQUEST("GET", "/items/17"), routes, "item id=17 rest=- [][/items/17] /items/:id");
    check_body(REQUEST("DELETE", "/items/17"), routes,
               "delete id=17 rest=- [][/items/17] /items/:id");
    check_body(REQUEST("GET", "/items/17/parts"), routes,
               "parts id=17 rest=- [][/items/17/parts] /items/:id/parts");
    check_body(REQUEST("PATCH", "/any"), routes, "any id=- rest=- [][/any] /any");
    check_body(REQUEST("GET", "/caf%C3%a9"), routes,
               "cafe id=- rest=- [][/caf\xc3\xa9] /caf\xc3\xa9");
    check_body(REQUEST("GET", "http://a/items"), routes, "items id=- rest=- [][/items] /items");
    check_body(REQUEST("GET", "http://a"), routes, "root id=- rest=- [][/] /");
    check_body(REQUEST("GET", "http://a?x"), routes, "root id=- rest=- [][/] /");
}

static void test_what_does_not_match(void)
{
    static const char *const targets[] = { "/item",  "/itemsx",    "/items/17/", "/items//parts",
                                           "//",     "//items",    "/ITEMS",     "/items/17/part",
                                           "/files", "/any/thing", "/items%2F17" };

    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        char request[100];
        snprintf(request, sizeof request, REQUEST("GET", "%s"), targets[i]);
        check_output(request, routes, NOT_FOUND);
    }
}

static void test_rests(void)
{
    check_body(REQUEST("GET", "/files/"), routes, "file id=- rest= [][/files/] /files/*rest");
    check_body(REQUEST("GET", "/files/a/b.c?d"), routes,
               "file id=- rest=a/b.c [][/files/a/b.c] /files/*rest");
    check_body(REQUEST("GET", "/files//a%20b%2f"), routes,
               "file id=- rest=/a b/ [][/files//a b/] /files/*rest");
}

/* An encoded slash belongs to its segment. */
static void test_encoded_segments(void)
{
    check_body(REQUEST("GET", "/items/a%2Fparts"), routes,
               "item id=a/parts rest=- [][/items/a/parts] /items/:id");
    check_body(REQUEST("GET", "/%69tems/%31%3a"), routes,
               "item id=1: rest=- [][/items/1:] /items/:id");
    check_body(REQUEST("GET", "/items/n%65w"), routes, "new id=- rest=- [][/items/new] /items/new");
    check_body(REQUEST("GET", "/items/%3Aid"), routes,
               "item id=:id rest=- [][/items/:id] /items/:id");
}

/* ---- which one ------------------------------------------------------------------------------ */

static void test_the_most_specific(void)
{
    static const cress_route table[] = {
        CRESS_MOUNT("", show, .self = "all"),
        CRESS_MOUNT("/a", show, .self = "mount"),
        CRESS_ROUTE("GET", "/*rest", show, .self = "rest"),
        CRESS_ROUTE("GET", "/:id/b", show, .self = "first"),
        CRESS_ROUTE("GET", "/a/:id", show, .self = "second"),
        CRESS_ROUTE("GET", "/a/*rest", show, .self = "third"),
        CRESS_ROUTE("GET", "/:rest/b", show, .self = "never"),
        CRESS_ROUTE("GET", "/a/b/c", show, .self = "text"),
        { 0 },
    };

    check_body(REQUEST("GET", "/a/b/c"), table, "text id=- rest=- [][/a/b/c] /a/b/c");
    check_body(REQUEST("GET", "/a/b"), table, "second id=b rest=- [][/a/b] /a/:id");
    check_body(REQUEST("GET", "/x/b"), table, "first id=x rest=- [][/x/b] /:id/b");
    check_body(REQUEST("GET", "/a/x/y"), table, "third id=- rest=x/y [][/a/x/y] /a/*rest");
    check_body(REQUEST("GET", "/x/y"), table, "rest id=- rest=x/y [][/x/y] /*rest");
    check_body(REQUEST("GET", "/a"), table, "mount id=- rest=- [/a][] /a");
    check_body(REQUEST("POST", "/a/b"), table, "mount id=- rest=- [/a][/b] /a");
    check_body(REQUEST("POST", "/x"), table, "all id=- rest=- [][/x] ");
}

/* The method counts before the path: there is something more specific for another one. */
static void test_the_method_counts_first(void)
{
    static const cress_route table[] = {
        CRESS_ROUTE("POST", "/users/new", show, .self = "create"),
        CRESS_ROUTE("GET", "/users/:id", show, .self = "user"),
        { 0 },
    };

    check_body(REQUEST("GET", "/users/new"), table, "user id=new rest=- [][/users/new] /users/:id");
}

/* ---- methods ------------------------------------------------------------------------------------ */

static void test_head(void)
{
    static const cress_route table[] = {
        CRESS_ROUTE("GET", "/a", show, .self = "get"),
        CRESS_ROUTE("HEAD", "/b", show, .self = "head"),
        CRESS_ROUTE("GET", "/b", show, .self = "longer"),
        CRESS_ROUTE("POST", "/c", show),
        { 0 },
    };

    check_output(REQUEST("HEAD", "/a"), table, DATED("200 OK") "Content-Length: 25\r\n\r\n");
    check_output(REQUEST("HEAD", "/b"), table, DATED("200 OK") "Content-Length: 26\r\n\r\n");
    check_output(REQUEST("HEAD", "/c"), table,
                 DATED("405 Method Not Allowed") "Content-Length: 23\r\nAllow: POST, OPTIONS\r\n"
                                                 "Content-Type: text/plain\r\n\r\n");
}

static void test_not_allowed(void)
{
    check_output(REQUEST("PUT", "/items"), routes,
                 DATED("405 Method Not Allowed") "Content-Length: 23\r\n"
                                                 "Allow: GET, HEAD, POST, OPTIONS\r\n"
                                                 "Content-Type: text/plain\r\n\r\n"
                                                 "405 Method Not Allowed\n");
}

static int own_options(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, NULL, "mine", 4);
}

static void test_options(void)
{
    static const cress_route table[] = {
        CRESS_ROUTE("OPTIONS", "/own", own_options),
        CRESS_ROUTE("GET", "/own", show),
        CRESS_ROUTE("PUT", "/other", show),
        { 0 },
    };

    check_output(REQUEST("OPTIONS", "/items/17"), routes,
                 DATED("204 No Content") "Allow: GET, HEAD, DELETE, OPTIONS\r\n\r\n");
    check_output(REQUEST("OPTIONS", "/nothing"), routes, NOT_FOUND);
    check_body(REQUEST("OPTIONS", "/own"), table, "mine");
    check_output(REQUEST("OPTIONS", "*"), table,
                 DATED("204 No Content") "Allow: OPTIONS, GET, HEAD, PUT\r\n\r\n");
}

/* ---- mounts ------------------------------------------------------------------------------------- */

static const cress_route inner[] = {
    CRESS_ROUTE("GET", "/", show, .self = "inner root"),
    CRESS_ROUTE("GET", "/part/:rest", show, .self = "part"),
    CRESS_MOUNT("/deep", show, .self = "deep"),
    { 0 },
};

static const cress_route outer[] = {
    CRESS_MOUNT("/shop/:id", cress_router, .self = (void *)(uintptr_t)inner),
    CRESS_MOUNT("/plain", show, .self = "plain"),
    CRESS_MOUNT("/slash/", show, .self = "slash"),
    { 0 },
};

static void test_mounts(void)
{
    check_body(REQUEST("GET", "/plain"), outer, "plain id=- rest=- [/plain][] /plain");
    check_body(REQUEST("GET", "/plain/"), outer, "plain id=- rest=- [/plain][/] /plain");
    check_body(REQUEST("GET", "/pl%61in/a%2Fb?c"), outer,
               "plain id=- rest=- [/plain][/a/b] /plain");
    check_output(REQUEST("GET", "/plainer"), outer, NOT_FOUND);
    check_body(REQUEST("GET", "/slash"), outer, "slash id=- rest=- [/slash][] /slash/");
    check_body(REQUEST("GET", "/slash/a"), outer, "slash id=- rest=- [/slash][/a] /slash/");
    check_output(REQUEST("GET", "/slasha"), outer, NOT_FOUND);
}

static void test_routers_within_routers(void)
{
    check_body(REQUEST("GET", "/shop/9"), outer, "inner root id=9 rest=- [/shop/9][] /");
    check_body(REQUEST("GET", "/shop/9/"), outer, "inner root id=9 rest=- [/shop/9][/] /");
    check_body(REQUEST("GET", "/shop/a%2Fb/part/c%2fd"), outer,
               "part id=a/b rest=c/d [/shop/a/b][/part/c/d] /part/:rest");
    check_body(REQUEST("GET", "/shop/9/deep/down"), outer,
               "deep id=9 rest=- [/shop/9/deep][/down] /deep");
    check_output(REQUEST("GET", "/shop"), outer, NOT_FOUND);
    check_output(
        REQUEST("PUT", "/shop/9/part/1"), outer,
        DATED("405 Method Not Allowed") "Content-Length: 23\r\nAllow: GET, HEAD, OPTIONS\r\n"
                                        "Content-Type: text/plain\r\n\r\n"
                                        "405 Method Not Allowed\n");
}

/* What a mount moves is back when it returns. */
static int check_restored(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    assert_null(cress_route_pattern(env));
    assert_null(cress_route_get(env, "id").data);
    int result = cress_route_request(env, res, outer);
    assert_true(cress_str_equal(cress_path(env), "/shop/9/deep"));
    assert_true(cress_str_equal(cress_environ_get(env, "SCRIPT_NAME"), ""));
    assert_null(cress_route_get(env, "id").data);
    assert_string_equal(cress_route_pattern(env), "/deep"); /* for who looks afterwards */
    return result;
}

static void test_mounts_are_undone(void)
{
    static const cress_route table[] = { CRESS_MOUNT("", check_restored), { 0 } };
    struct wire w;

    (void)table;
    wire_init(&w, check_restored, NULL);
    wire_start(&w);
    wire_send(&w, REQUEST("GET", "/shop/9/deep"));
    assert_non_null(strstr(w.stream.out, "[/shop/9/deep][] /deep"));
    wire_finish(&w);
}

/* "/" covers all, but what is more specific goes first, wherever it stands. */
static void test_a_mount_of_all(void)
{
    static const cress_route below[] = {
        CRESS_MOUNT("/", show, .self = "below"),
        CRESS_MOUNT("/c", show, .self = "c"),
        CRESS_ROUTE("GET", "/", show, .self = "root"),
        { 0 },
    };
    static const cress_route above[] = {
        CRESS_MOUNT("/a", cress_router, .self = (void *)(uintptr_t)below),
        { 0 },
    };

    check_body(REQUEST("GET", "/a"), above, "root id=- rest=- [/a][] /");
    check_body(REQUEST("POST", "/a"), above, "below id=- rest=- [/a][] /");
    check_body(REQUEST("GET", "/a//b"), above, "below id=- rest=- [/a][//b] /");
    check_body(REQUEST("GET", "/a/b/c"), above, "below id=- rest=- [/a][/b/c] /");
    check_body(REQUEST("GET", "/a/c/d"), above, "c id=- rest=- [/a/c][/d] /c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_paths),
        HUB_TEST(test_what_does_not_match),
        HUB_TEST(test_rests),
        HUB_TEST(test_encoded_segments),
        HUB_TEST(test_the_most_specific),
        HUB_TEST(test_the_method_counts_first),
        HUB_TEST(test_head),
        HUB_TEST(test_not_allowed),
        HUB_TEST(test_options),
        HUB_TEST(test_mounts),
        HUB_TEST(test_routers_within_routers),
        HUB_TEST(test_mounts_are_undone),
        HUB_TEST(test_a_mount_of_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
