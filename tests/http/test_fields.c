#include "hub_test.h"
#include "wire.h"

#include <cress/file.h>
#include <cress/middleware.h>
#include <cress/negotiate.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define LAYERS(...) ((const cress_layer[]){ __VA_ARGS__, { NULL, NULL } })

static void check_output(const cress_layer *layers, const char *expected)
{
    wire_check_with(GET, cress_chain, (void *)(uintptr_t)layers, expected);
}

/* ---- before there is a response ------------------------------------------------------------ */

static int give(cress_environ *env, cress_response *res, void *self)
{
    char text[] = "1", name[] = "A";

    (void)self;
    assert_ok(cress_response_add_header(res, name, text));
    text[0] = name[0] = '?'; /* they were copied */
    assert_ok(cress_response_add_header(res, "A", "2"));
    assert_ok(cress_response_set_header(res, "Content-Type", "text/a"));
    assert_ok(cress_response_vary(res, "Accept"));
    assert_int_equal(cress_response_status(res), 0);
    return cress_next(env, res);
}

#define GIVEN "A: 1\r\nA: 2\r\nContent-Type: text/a\r\nVary: Accept\r\n"

static int respond(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/b", "hello", 5);
}

static int start(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    if (cress_start_response(res, 200, CRESS_HEADERS({ "Vary", "Cookie, accept" }, { "A", "0" })) <
        0)
        return -1;
    return cress_response_write(res, "hello", 5);
}

static int redirect(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_redirect(res, 303, "/a");
}

static int respond_error(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond_error(res, 404, NULL);
}

static int respond_file(cress_environ *env, cress_response *res, void *self)
{
    char path[] = "/tmp/test_fields.XXXXXX";
    int fd = mkstemp(path);

    (void)self;
    assert_true(fd >= 0 && unlink(path) == 0 && write(fd, "hello", 5) == 5);
    int result = cress_respond_file(env, res, &(cress_file){ .fd = fd, .etag = "\"e\"" });
    close(fd);
    return result;
}

/* Whatever call makes it. */
static void test_the_next_response(void)
{
    check_output(LAYERS({ give, NULL }, { respond, NULL }),
                 DATED("200 OK") "Content-Length: 5\r\n" GIVEN "\r\nhello");
    check_output(LAYERS({ give, NULL }, { start, NULL }),
                 DATED("200 OK") "Transfer-Encoding: chunked\r\n"
                                 "Vary: Cookie, accept\r\nA: 0\r\nA: 1\r\nA: 2\r\n"
                                 "Content-Type: text/a\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    check_output(LAYERS({ give, NULL }, { redirect, NULL }),
                 DATED("303 See Other") "Content-Length: 0\r\nLocation: /a\r\n" GIVEN "\r\n");
    check_output(LAYERS({ give, NULL }, { respond_error, NULL }),
                 DATED("404 Not Found") "Content-Length: 14\r\n" GIVEN "\r\n404 Not Found\n");
}

static void test_a_file(void)
{
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)LAYERS({ give, NULL }, { respond_file, NULL }));
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, "\r\n" GIVEN "\r\nhello"));
    wire_finish(&w);
}

static int fail_at_once(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res, (void)self;
    errno = EIO;
    return -1;
}

static int respond_and_fail(cress_environ *env, cress_response *res, void *self)
{
    assert_ok(respond(env, res, self));
    errno = EIO;
    return -1;
}

/* A page of ours for what failed is another matter: it must not be cached as what was meant. */
static void test_not_for_what_failed(void)
{
    static const char page[] =
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: text/plain\r\n\r\n"
                                           "500 Internal Server Error\n";

    check_output(LAYERS({ give, NULL }, { fail_at_once, NULL }), page);
    check_output(LAYERS({ give, NULL }, { respond_and_fail, NULL }), page);
}

/* ---- the order ------------------------------------------------------------------------------- */

static int show(cress_hook *hook, cress_response *res)
{
    (void)hook;
    cress_str a = cress_response_get_header(res, "A");

    return cress_response_add_header(res, "Seen", a.data ? a.data : "-");
}

static int watch(cress_environ *env, cress_response *res, void *self)
{
    cress_hook *hook = cress_environ_alloc(env, sizeof *hook);

    (void)self;
    *hook = (cress_hook){ .head = show };
    assert_ok(cress_response_add_hook(res, hook));
    return cress_next(env, res);
}

static int give_one(cress_environ *env, cress_response *res, void *self)
{
    assert_ok(cress_response_add_header(res, "A", self));
    return cress_next(env, res);
}

/* Hooks of layers around see what is given further in, and not what comes from further out. */
static void test_between_hooks(void)
{
    check_output(LAYERS({ give_one, "outer" }, { watch, NULL }, { respond, NULL }),
                 DATED("200 OK") "Content-Length: 5\r\nContent-Type: text/b\r\n"
                                 "Seen: -\r\nA: outer\r\n\r\nhello");
    check_output(
        LAYERS({ give_one, "outer" }, { watch, NULL }, { give_one, "inner" }, { respond, NULL }),
        DATED("200 OK") "Content-Length: 5\r\nContent-Type: text/b\r\n"
                        "A: inner\r\nSeen: inner\r\nA: outer\r\n\r\nhello");
}

static int give_bad(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_errno(EINVAL, cress_response_add_header(res, "A", "1\r\nB: 2"));
    assert_errno(EINVAL, cress_response_add_header(res, "A", NULL));
    assert_errno(EINVAL, cress_response_set_header(res, "A b", "1"));
    assert_errno(EINVAL, cress_response_set_header(res, "Connection", "close"));
    assert_errno(EINVAL, cress_response_add_header(res, "content-length", "5"));
    assert_errno(EINVAL, cress_response_vary(res, "A\n"));
    return cress_respond(res, 204, NULL, NULL, 0);
}

static void test_what_is_refused(void)
{
    check_output(LAYERS({ give_bad, NULL }), DATED("204 No Content") "\r\n");
}

static int take_upgrade_back(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Upgrade", "a" }, { "B", "1" })));
    assert_ok(cress_response_remove_header(res, "upgrade"));
    return cress_response_write(res, "", 0);
}

/* Without an Upgrade, Connection names none. */
static void test_an_upgrade_that_was_taken_back(void)
{
    check_output(LAYERS({ take_upgrade_back, NULL }),
                 DATED("200 OK") "Content-Length: 0\r\nB: 1\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_the_next_response),   HUB_TEST(test_a_file),
        HUB_TEST(test_not_for_what_failed), HUB_TEST(test_between_hooks),
        HUB_TEST(test_what_is_refused),     HUB_TEST(test_an_upgrade_that_was_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
