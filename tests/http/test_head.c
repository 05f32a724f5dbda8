#define _GNU_SOURCE /* stpcpy */
#include "hub_test.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

static int add_trailers(cress_environ *env, cress_response *res, void *self)
{
    static char large[8000];

    (void)env, (void)self;
    memset(large, 'x', sizeof large - 1);
    assert_errno(EINVAL, cress_response_add_trailer(res, "X", "y"));
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_add_trailer(res, "Dropped", "by the next start"));
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_add_trailer(res, "A", "1"));
    assert_ok(cress_response_write(res, "x", 1));
    assert_errno(EINVAL, cress_response_add_trailer(res, "X Y", "y"));
    assert_errno(EINVAL, cress_response_add_trailer(res, "X", "y\n"));
    assert_errno(EINVAL, cress_response_add_trailer(res, "X", NULL));
    assert_errno(EINVAL, cress_response_add_trailer(res, "Content-Length", "1"));
    assert_errno(EINVAL, cress_response_add_trailer(res, "Set-Cookie", "a=b"));
    assert_ok(cress_response_add_trailer(res, "B", ""));
    if (self) {
        assert_ok(cress_response_add_trailer(res, "C", large));
        assert_errno(E2BIG, cress_response_add_trailer(res, "D", large));
    }
    return 0;
}

static void test_trailers(void)
{
    wire_check(GET, add_trailers,
               DATED("200 OK") "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
                               "A: 1\r\nB: \r\n\r\n");
}

static void test_large_trailers(void)
{
    struct wire w;

    wire_init(&w, add_trailers, "");
    wire_start(&w);
    wire_send(&w, GET);
    assert_null(w.wrong);
    assert_string_equal(w.stream.out + w.stream.out_len - 5, "x\r\n\r\n");
    wire_finish(&w);
}

static int trail_nothing(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    return cress_response_add_trailer(res, "A", "1");
}

/* Without content there may be trailer fields nevertheless. */
static void test_nothing_but_trailers(void)
{
    wire_check(GET, trail_nothing,
               DATED("200 OK") "Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n\r\n");
    wire_check(HEAD, trail_nothing, DATED("200 OK") "Content-Length: 0\r\n\r\n");
}

/* ---- heads -------------------------------------------------------------------------------- */

static int head_with_all(cress_environ *env, cress_response *res, void *self)
{
    char name[] = "X-Copied", value[] = "yes";

    (void)env, (void)self;
    assert_ok(
        cress_start_response(res, 201, CRESS_HEADERS({ "Location", "/new" }, { name, value })));
    memset(name, '#', sizeof name - 1);
    memset(value, '#', sizeof value - 1);
    assert_ok(cress_response_add_header(res, "Set-Cookie", "a=1"));
    assert_ok(cress_response_add_header(res, "Set-Cookie", "b=2"));
    assert_ok(cress_response_add_header(res, "X-Empty", ""));
    return cress_response_write(res, "x", 1);
}

static void test_fields_are_copied(void)
{
    wire_check(GET, head_with_all,
               DATED("201 Created") "Transfer-Encoding: chunked\r\nLocation: /new\r\n"
                                    "X-Copied: yes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                                    "X-Empty: \r\n\r\n1\r\nx\r\n0\r\n\r\n");
}

static int start_again(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "5" }, { "A", "1" })));
    assert_ok(cress_start_response(res, 404, CRESS_HEADERS({ "B", "2" })));
    assert_ok(cress_response_write(res, "x", 1));
    assert_errno(EALREADY, cress_start_response(res, 200, NULL));
    assert_errno(EALREADY, cress_response_add_header(res, "A", "1"));
    assert_errno(EALREADY, cress_respond(res, 200, NULL, NULL, 0));
    return 0;
}

static void test_the_last_start_counts(void)
{
    wire_check(GET, start_again,
               DATED("404 Not Found") "Transfer-Encoding: chunked\r\nB: 2\r\n\r\n"
                                      "1\r\nx\r\n0\r\n\r\n");
}

static int own_fields(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(res, 200,
                                CRESS_HEADERS({ "date", "Sun, 06 Nov 1994 08:49:37 GMT" },
                                              { "SERVER", "mine" }, { "content-length", "0" }));
}

static void test_the_apps_own_date_and_server(void)
{
    struct wire w;

    wire_init(&w, own_fields, NULL);
    w.config.server_software = "theirs";
    wire_start(&w);
    wire_send(&w, GET);
    assert_string_equal(w.stream.out,
                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                        "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nSERVER: mine\r\n\r\n");
    wire_finish(&w);
}

static const cress_header bad_headers[] = {
    { "X", "a\r\nSet-Cookie: b" },
    { "X", "a\nb" },
    { "X", "a\rb" },
    { "X", "a\x01" },
    { "X", "a\x7f" },
    { "X\r\nY", "a" },
    { "X Y", "a" },
    { "X:", "a" },
    { "", "a" },
    { "X\xc3\xa4", "a" },
    { "Connection", "close" },
    { "connection", "keep-alive" },
    { "Transfer-Encoding", "chunked" },
    { "Keep-Alive", "timeout=5" },
    { "Content-Length", "" },
    { "Content-Length", "-1" },
    { "Content-Length", "1 " },
    { "Content-Length", "99999999999999999999" },
};

static int try_bad_headers(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        const cress_header headers[] = { { "A", "1" }, bad_headers[i], { NULL, NULL } };
        assert_errno(EINVAL, cress_start_response(res, 200, headers));
        assert_errno(EINVAL, cress_response_write(res, "x", 1)); /* so it is not started */
        assert_errno(EINVAL,
                     cress_response_add_header(res, bad_headers[i].name, bad_headers[i].value));
        assert_ok(cress_start_response(res, 200, NULL));
        assert_errno(EINVAL,
                     cress_response_add_header(res, bad_headers[i].name, bad_headers[i].value));
    }
    assert_errno(EINVAL, cress_start_response(res, 199, NULL));
    assert_errno(EINVAL, cress_start_response(res, 100, NULL));
    assert_errno(EINVAL, cress_start_response(res, 600, NULL));
    assert_errno(EINVAL, cress_start_response(res, -1, NULL));
    assert_errno(EINVAL, cress_respond(res, 199, NULL, NULL, 0));
    assert_errno(EINVAL, cress_respond(res, 200, "text/html\r\nX: y", NULL, 0));
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "1" })));
    assert_errno(EINVAL, cress_response_add_header(res, "Content-Length", "2"));
    return cress_respond(res, 200, NULL, "x", 1);
}

/* RFC 9110 5.5, 5.1; RFC 9112 11.1 */
static void test_splitting_headers_are_refused(void)
{
    wire_check(GET, try_bad_headers, DATED("200 OK") "Content-Length: 1\r\n\r\nx");
}

static int large_head(cress_environ *env, cress_response *res, void *self)
{
    char value[1000];
    int added = 0;

    (void)env, (void)self;
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    assert_ok(cress_start_response(res, 200, NULL));
    while (cress_response_add_header(res, "X", value) == 0)
        added++;
    assert_int_equal(errno, E2BIG);
    assert_int_equal(added, 11);
    return 0;
}

static void test_large_heads(void)
{
    struct wire w;

    wire_init(&w, large_head, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_true(w.stream.out_len > 11 * 1000 && w.stream.out_len < 12 * 1024);
    assert_non_null(strstr(w.stream.out, "v\r\n\r\n"));
    wire_finish(&w);
}

enum { MANY = 200 };

/* Other request memory is taken in between, or not. */
static int many_fields(cress_environ *env, cress_response *res, void *self)
{
    char name[16], value[16];

    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "0" })));
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "X-%d", i);
        snprintf(value, sizeof value, "%0*d", i % 15, i);
        assert_ok(cress_response_add_header(res, name, value));
        if (self && i % 7 == 0)
            memset(cress_environ_alloc(env, 40), '#', 40);
    }
    return 0;
}

static void check_many(void *self)
{
    char expected[MANY * 32], *to = expected;

    to = stpcpy(to, DATED("200 OK") "Content-Length: 0\r\n");
    for (int i = 0; i < MANY; i++)
        to += sprintf(to, "X-%d: %0*d\r\n", i, i % 15, i);
    stpcpy(to, "\r\n");
    wire_check_with(GET, many_fields, self, expected);
}

static void test_many_fields(void)
{
    check_many(NULL);
    check_many("with other memory between them");
}

/* Only the whole name is the server's, or means something to it. */
static int nearly_own_fields(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(
        res, 204,
        CRESS_HEADERS({ "Connections", "1" }, { "Connectio_", "2" }, { "Keep_Alive", "3" },
                      { "Transfer_Encoding", "4" }, { "Content_Length", "5" }, { "Dat", "6" },
                      { "Dates", "7" }, { "Servet", "8" }, { "Upgrad", "9" }));
}

static void test_similar_names(void)
{
    wire_check(GET, nearly_own_fields,
               DATED("204 No Content") "Connections: 1\r\nConnectio_: 2\r\nKeep_Alive: 3\r\n"
                                       "Transfer_Encoding: 4\r\nContent_Length: 5\r\nDat: 6\r\n"
                                       "Dates: 7\r\nServet: 8\r\nUpgrad: 9\r\n\r\n");
}

/* The largest type and the largest body that is copied, in one block. */
static int large_type(cress_environ *env, cress_response *res, void *self)
{
    static char type[12 << 10], body[4095];

    (void)env, (void)self;
    memset(type, 't', sizeof type - 1);
    memset(body, 'b', sizeof body);
    assert_errno(E2BIG, cress_respond(res, 200, type, body, sizeof body));
    type[11 << 10] = '\0';
    return cress_respond(res, 200, type, body, sizeof body);
}

static void test_a_large_type(void)
{
    struct wire w;

    wire_init(&w, large_type, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_true(w.stream.out_len > (11 << 10) + 4095);
    assert_non_null(strstr(w.stream.out, "Content-Length: 4095\r\n\r\nbbb"));
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_trailers),
        HUB_TEST(test_large_trailers),
        HUB_TEST(test_nothing_but_trailers),
        HUB_TEST(test_fields_are_copied),
        HUB_TEST(test_the_last_start_counts),
        HUB_TEST(test_the_apps_own_date_and_server),
        HUB_TEST(test_many_fields),
        HUB_TEST(test_similar_names),
        HUB_TEST(test_splitting_headers_are_refused),
        HUB_TEST(test_large_heads),
        HUB_TEST(test_a_large_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
