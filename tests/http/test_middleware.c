#include "hub_test.h"
#include "wire.h"

#include <cress/middleware.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define WITH(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define LAYERS(...) ((const cress_layer[]){ __VA_ARGS__, { NULL, NULL } })

static char *ask(const char *request, const cress_layer *layers, const char *scheme)
{
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)layers);
    w.config.scheme = scheme;
    wire_start(&w);
    wire_send(&w, request);
    char *output = wire_output(&w);
    wire_finish(&w);
    return output;
}

static void check_output(const char *request, const cress_layer *layers, const char *expected)
{
    char *output = ask(request, layers, NULL);

    assert_string_equal(output, expected);
    free(output);
}

static int respond(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    const char *text = self ? self : "ok";

    return cress_respond(res, 200, NULL, text, strlen(text));
}

#define OK_2(fields) DATED("200 OK") "Content-Length: 2\r\n" fields "\r\nok"

/* ---- chains ------------------------------------------------------------------------------ */

static int note(cress_environ *env, cress_response *res, void *self)
{
    trace("before %s", (const char *)self);
    int result = cress_next(env, res);
    trace("after %s", (const char *)self);
    return result;
}

static void test_chains(void)
{
    const cress_layer *inner = LAYERS({ note, "c" }, { respond, NULL });

    check_output(GET,
                 LAYERS({ note, "a" }, { note, "b" }, { cress_chain, (void *)(uintptr_t)inner }),
                 OK_2(""));
    assert_trace("before a\nbefore b\nbefore c\nafter c\nafter b\nafter a\n");
}

/* Layers without options are layers with the defaults. */
static void test_no_options(void)
{
    char *output = ask(WITH("Origin: https://a.example\r\n"),
                       LAYERS({ cress_cors, NULL }, { cress_error_pages, NULL },
                              { cress_body_limit, NULL }, { respond, NULL }),
                       NULL);

    assert_non_null(strstr(output, "Access-Control-Allow-Origin: *\r\n"));
    free(output);
    output = ask(WITH("Authorization: Basic YTpi\r\n"),
                 LAYERS({ cress_basic_auth, NULL }, { respond, NULL }), NULL);
    assert_non_null(strstr(output, "401 Unauthorized"));
    free(output);
}

static void test_the_end_of_a_chain(void)
{
    check_output(GET, LAYERS({ note, "a" }),
                 DATED("404 Not Found") "Content-Length: 14\r\nContent-Type: text/plain\r\n\r\n"
                                        "404 Not Found\n");
    assert_trace("before a\nafter a\n");
}

static int next_outside(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    assert_errno(EINVAL, cress_next(env, res));
    return cress_respond(res, 204, NULL, NULL, 0);
}

static void test_next_outside_of_a_chain(void)
{
    struct wire w;

    wire_init(&w, next_outside, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, " 204 "));
    wire_finish(&w);
}

/* ---- error pages -------------------------------------------------------------------------- */

static int page(cress_environ *env, cress_response *res, void *self)
{
    cress_str text =
        cress_environ_printf(env, "%s %d", (const char *)self, cress_response_status(res));

    return cress_respond(res, cress_response_status(res), "text/html", text.data, text.len);
}

static int failing_page(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res, (void)self;
    errno = EIO;
    return -1;
}

static int patient_page(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res, (void)self;
    return cress_sleep(1e6);
}

static const cress_error_page outer_pages[] = {
    { 500, page, "outer" }, { 400, failing_page, NULL }, { 413, patient_page, NULL },
    { 0, page, "any" },     { 0, NULL, NULL },
};

static const cress_error_page inner_pages[] = {
    { 404, page, "inner" },
    { 401, failing_page, NULL },
    { 0, NULL, NULL },
};

#define PAGES(table)                                  \
    {                                                 \
        cress_error_pages, (void *)(uintptr_t)(table) \
    }

static int error_with_fields(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    assert_errno(EINVAL, cress_respond_error(res, *(int *)self, CRESS_HEADERS({ "A", "b\n" })));
    return cress_respond_error(res, *(int *)self, CRESS_HEADERS({ "X-A", "1" }, { "X-B", "2" }));
}

static int fail_with(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res;
    errno = *(int *)self;
    return -1;
}

static int own_error(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 404, "text/plain", "mine", 4);
}

static void test_error_pages(void)
{
    check_output(GET, LAYERS({ error_with_fields, &(int){ 404 } }),
                 DATED("404 Not Found") "Content-Length: 14\r\nX-A: 1\r\nX-B: 2\r\n"
                                        "Content-Type: text/plain\r\n\r\n404 Not Found\n");
    check_output(
        GET, LAYERS(PAGES(outer_pages), PAGES(inner_pages), { error_with_fields, &(int){ 404 } }),
        DATED("404 Not Found") "Content-Length: 9\r\nContent-Type: text/html\r\n"
                               "X-A: 1\r\nX-B: 2\r\n\r\ninner 404");
    check_output(
        GET, LAYERS(PAGES(outer_pages), PAGES(inner_pages), { error_with_fields, &(int){ 403 } }),
        DATED("403 Forbidden") "Content-Length: 7\r\nContent-Type: text/html\r\n"
                               "X-A: 1\r\nX-B: 2\r\n\r\nany 403");
    check_output(
        GET, LAYERS(PAGES(outer_pages), { own_error, NULL }),
        DATED("404 Not Found") "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nmine");
}

static void test_pages_for_what_fails(void)
{
    check_output(GET, LAYERS(PAGES(outer_pages), { fail_with, &(int){ EIO } }),
                 DATED("500 Internal Server Error") "Content-Type: text/html\r\n"
                                                    "Content-Length: 9\r\n\r\nouter 500");
    check_output(
        GET, LAYERS(PAGES(inner_pages), { fail_with, &(int){ EIO } }),
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: text/plain\r\n\r\n"
                                           "500 Internal Server Error\n");
}

static void test_pages_that_fail(void)
{
    check_output(GET, LAYERS(PAGES(outer_pages), { fail_with, &(int){ EBADMSG } }),
                 DATED("400 Bad Request") "Content-Length: 16\r\nContent-Type: text/plain\r\n\r\n"
                                          "400 Bad Request\n");
    check_output(
        GET, LAYERS(PAGES(outer_pages), PAGES(inner_pages), { error_with_fields, &(int){ 401 } }),
        DATED("401 Unauthorized") "Content-Length: 7\r\nContent-Type: text/html\r\n"
                                  "X-A: 1\r\nX-B: 2\r\n\r\nany 401");
}

/* It has as long as a client that does not read. */
static void test_a_page_that_waits(void)
{
    struct wire w;

    wire_init(&w, cress_chain,
              (void *)(uintptr_t)LAYERS(PAGES(outer_pages), { fail_with, &(int){ EMSGSIZE } }));
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(w.stream.out_len, 0);
    cress_sleep(31);
    assert_non_null(strstr(w.stream.out, "\r\n\r\n413 Content Too Large\n"));
    wire_finish(&w);
}

/* ---- request id ------------------------------------------------------------------------------ */

static int show_id(cress_environ *env, cress_response *res, void *self)
{
    cress_str id = cress_environ_get(env, "cress.request_id");

    (void)self;
    return cress_respond(res, 200, NULL, id.data, id.len);
}

static void test_a_sound_id_is_taken(void)
{
    check_output(
        WITH("X-Request-ID: a-Z.0_9~+/=:@\r\n"),
        LAYERS({ cress_request_id, NULL }, { show_id, NULL }),
        DATED("200 OK") "Content-Length: 13\r\nX-Request-ID: a-Z.0_9~+/=:@\r\n\r\na-Z.0_9~+/=:@");
}

/* The id of a response, which is the body, too. */
static void read_id(const char *request, const cress_layer *layers, const char *field, char id[200])
{
    char *output = ask(request, layers, NULL);
    const char *at = strstr(output, field);

    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(field), ": %199[^\r]", id), 1);
    assert_string_equal(strstr(output, "\r\n\r\n") + 4, id);
    free(output);
}

static void check_made(const char *request, const cress_layer *layers, const char *field)
{
    char first[200], second[200];

    read_id(request, layers, field, first);
    read_id(request, layers, field, second);
    assert_int_equal(strlen(first), 32);
    assert_int_equal(strspn(first, "0123456789abcdef"), 32);
    assert_string_not_equal(first, second);
}

static void test_ids_are_made(void)
{
    const cress_layer *layers = LAYERS({ cress_request_id, NULL }, { show_id, NULL });
    cress_request_id_options options = { .header = "X-Trace", .ignores_client = true };

    check_made(GET, layers, "X-Request-ID");
    check_made(WITH("X-Request-ID: a b\r\n"), layers, "X-Request-ID");
    check_made(WITH("X-Request-ID: \xc3\xa9\r\n"), layers, "X-Request-ID");
    check_made(WITH("X-Request-ID: \r\n"), layers, "X-Request-ID");
    check_made(WITH("X-Request-ID: a\r\nX-Request-ID: b\r\n"), layers, "X-Request-ID");
    char request[300];
    snprintf(request, sizeof request, WITH("X-Request-ID: %0129d\r\n"), 1);
    check_made(request, layers, "X-Request-ID");
    check_made(WITH("X-Trace: theirs\r\n"),
               LAYERS({ cress_request_id, &options }, { show_id, NULL }), "X-Trace");
}

/* ---- CORS -------------------------------------------------------------------------------------- */

#define PREFLIGHT(origin)                              \
    "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: " origin \
    "\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
#define ORIGIN(origin) WITH("Origin: " origin "\r\n")

static void test_cors_for_any(void)
{
    const cress_cors_options any = { .credentials = true, .exposed = "X-A" };
    const cress_layer *layers = LAYERS({ cress_cors, (void *)(uintptr_t)&any }, { respond, NULL });

    check_output(GET, layers, OK_2(""));
    check_output(ORIGIN("https://a.example"), layers,
                 OK_2("Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: X-A\r\n"));
    check_output(PREFLIGHT("null"), layers,
                 DATED("204 No Content") "Access-Control-Allow-Origin: *\r\n"
                                         "Vary: Access-Control-Request-Method\r\n"
                                         "Vary: Access-Control-Request-Headers\r\n"
                                         "Access-Control-Allow-Methods: GET, HEAD, POST\r\n\r\n");
}

static const char *const origins[] = { "https://a.example", "https://b.example:8443", NULL };
static const cress_cors_options some = {
    .origins = origins,
    .methods = "GET, PUT",
    .headers = "X-Token",
    .max_age = 600,
    .credentials = true,
};

static void test_cors_for_some(void)
{
    const cress_layer *layers = LAYERS({ cress_cors, (void *)(uintptr_t)&some }, { respond, NULL });

    check_output(GET, layers, OK_2("Vary: Origin\r\n"));
    check_output(ORIGIN("https://b.example:8443"), layers,
                 OK_2("Vary: Origin\r\nAccess-Control-Allow-Origin: https://b.example:8443\r\n"
                      "Access-Control-Allow-Credentials: true\r\n"));
    check_output(ORIGIN("https://b.example"), layers, OK_2("Vary: Origin\r\n"));
    check_output(ORIGIN("https://a.example.evil"), layers, OK_2("Vary: Origin\r\n"));
    check_output(ORIGIN("null"), layers, OK_2("Vary: Origin\r\n"));
    check_output(PREFLIGHT("https://a.example"), layers,
                 DATED("204 No Content") "Vary: Origin\r\n"
                                         "Access-Control-Allow-Origin: https://a.example\r\n"
                                         "Access-Control-Allow-Credentials: true\r\n"
                                         "Vary: Access-Control-Request-Method\r\n"
                                         "Vary: Access-Control-Request-Headers\r\n"
                                         "Access-Control-Allow-Methods: GET, PUT\r\n"
                                         "Access-Control-Allow-Headers: X-Token\r\n"
                                         "Access-Control-Max-Age: 600\r\n\r\n");
    check_output(PREFLIGHT("https://c.example"), layers,
                 DATED("204 No Content") "Vary: Origin\r\nVary: Access-Control-Request-Method\r\n"
                                         "Vary: Access-Control-Request-Headers\r\n\r\n");
    /* An OPTIONS that is no preflight is the app's. */
    check_output("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://c.example\r\n\r\n", layers,
                 OK_2("Vary: Origin\r\n"));
}

static void test_cors_on_errors(void)
{
    check_output(
        ORIGIN("https://a.example"),
        LAYERS({ cress_cors, (void *)(uintptr_t)&some }, { fail_with, &(int){ EIO } }),
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: "
                                           "text/plain\r\nVary: Origin\r\n"
                                           "Access-Control-Allow-Origin: https://a.example\r\n"
                                           "Access-Control-Allow-Credentials: true\r\n\r\n500 "
                                           "Internal Server Error\n");
}

/* ---- passwords ------------------------------------------------------------------------------------ */

static const struct cress_credential users[] = {
    { "Aladdin", "open sesame" },
    { "test", "123\xc2\xa3" },
    { "empty", "" },
    { NULL, NULL },
};

static int show_user(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    assert_true(cress_str_equal(cress_environ_get(env, "AUTH_TYPE"), "Basic"));
    cress_str user = cress_environ_get(env, "REMOTE_USER");
    return cress_respond(res, 200, NULL, user.data, user.len);
}

#define UNAUTHORIZED(realm)                                              \
    DATED("401 Unauthorized")                                            \
    "Content-Length: 17\r\n"                                             \
    "WWW-Authenticate: Basic realm=\"" realm "\", charset=\"UTF-8\"\r\n" \
    "Content-Type: text/plain\r\n\r\n401 Unauthorized\n"

/* RFC 7617 2, 2.1 */
static void test_passwords(void)
{
    cress_basic_auth_options options = { .realm = "a \"b\\", .users = users };
    const cress_layer *layers = LAYERS({ cress_basic_auth, &options }, { show_user, NULL });
    static const char *const refused[] = {
        "QWxhZGRpbjpvcGVuIHNlc2Ft",     /* Aladdin:open sesam */
        "QWxhZGRpbjpvcGVuIHNlc2FtZSE=", /* Aladdin:open sesame! */
        "QWxhZGRpbg==",                 /* Aladdin */
        "YWxhZGRpbjpvcGVuIHNlc2FtZQ==", /* aladdin:open sesame */
        "OnBhc3N3b3Jk",                 /* :password */
        "dGVzdDoxMjOj",                 /* test:123 and a pound in Latin-1 */
        "QWxhZGRpbjpvcGVuAHNlc2FtZQ==", /* a zero byte */
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ",   /* no padding */
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ== x",
        "",
        "!",
    };

    check_output(GET, layers, UNAUTHORIZED("a \\\"b\\\\"));
    check_output(WITH("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), layers,
                 DATED("200 OK") "Content-Length: 7\r\n\r\nAladdin");
    check_output(WITH("authorization: bAsIc  dGVzdDoxMjPCow==\r\n"), layers,
                 DATED("200 OK") "Content-Length: 4\r\n\r\ntest");
    check_output(WITH("Authorization: Basic ZW1wdHk6\r\n"), layers,
                 DATED("200 OK") "Content-Length: 5\r\n\r\nempty");
    check_output(WITH("Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), layers,
                 UNAUTHORIZED("a \\\"b\\\\"));
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char request[200];
        snprintf(request, sizeof request, WITH("Authorization: Basic %s\r\n"), refused[i]);
        check_output(request, layers, UNAUTHORIZED("a \\\"b\\\\"));
    }
}

static int check_by_arg(cress_environ *env, cress_str user, cress_str password, void *arg)
{
    (void)env;
    assert_true(cress_str_equal(user, "Aladdin"));
    assert_true(cress_str_equal(password, "open sesame"));
    if (*(int *)arg < 0)
        errno = ETIMEDOUT;
    return *(int *)arg;
}

static void test_a_check_of_ones_own(void)
{
    int answer = 1;
    cress_basic_auth_options options = { .check = check_by_arg, .arg = &answer };
    const cress_layer *layers = LAYERS({ cress_basic_auth, &options }, { show_user, NULL });
    const char *request = WITH("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");

    check_output(request, layers, DATED("200 OK") "Content-Length: 7\r\n\r\nAladdin");
    answer = 0;
    check_output(request, layers, UNAUTHORIZED("restricted"));
    answer = -1;
    check_output(
        request, layers,
        DATED("503 Service Unavailable") "Content-Type: text/plain\r\nContent-Length: 24\r\n\r\n"
                                         "503 Service Unavailable\n");
}

static void test_secrets(void)
{
    assert_true(cress_equal_secret(CRESS_STR("abc"), CRESS_STR("abc")));
    assert_true(cress_equal_secret(CRESS_STR(""), CRESS_STR("")));
    assert_false(cress_equal_secret(CRESS_STR("abc"), CRESS_STR("abd")));
    assert_false(cress_equal_secret(CRESS_STR("abc"), CRESS_STR("ab")));
    assert_false(cress_equal_secret(CRESS_STR("abc"), CRESS_STR("")));
}

/* ---- security headers -------------------------------------------------------------------------------- */

static int own_policy(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(res, 204, CRESS_HEADERS({ "x-frame-options", "SAMEORIGIN" }));
}

static void test_security_headers(void)
{
    const cress_security_options options = {
        .frame_options = "",
        .referrer_policy = "no-referrer",
        .opener_policy = "",
        .content_security_policy = "default-src 'self'",
        .transport_security = "max-age=31536000",
    };
    const cress_layer *layers =
        LAYERS({ cress_security_headers, (void *)(uintptr_t)&options }, { respond, NULL });

    check_output(GET, LAYERS({ cress_security_headers, NULL }, { respond, NULL }),
                 OK_2("X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
                      "Referrer-Policy: strict-origin-when-cross-origin\r\n"
                      "Cross-Origin-Opener-Policy: same-origin\r\n"));
    check_output(
        GET, LAYERS({ cress_security_headers, NULL }, { own_policy, NULL }),
        DATED("204 No Content") "x-frame-options: SAMEORIGIN\r\nX-Content-Type-Options: nosniff\r\n"
                                "Referrer-Policy: strict-origin-when-cross-origin\r\n"
                                "Cross-Origin-Opener-Policy: same-origin\r\n\r\n");
    check_output(GET, layers,
                 OK_2("X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                      "Content-Security-Policy: default-src 'self'\r\n"));
    char *output = ask(GET, layers, "https");
    assert_non_null(strstr(output, "Strict-Transport-Security: max-age=31536000\r\n"));
    free(output);
}

/* ---- bodies --------------------------------------------------------------------------------------------- */

static int read_body(cress_environ *env, cress_response *res, void *self)
{
    cress_str body;

    (void)self;
    if (cress_input_read_all(env, 1000, &body) < 0)
        return -1;
    return cress_respond(res, 200, NULL, body.data, body.len);
}

#define POST(fields, body) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void check_status(const char *request, uint64_t limit, const char *status)
{
    char *output = ask(request, LAYERS({ cress_body_limit, &limit }, { read_body, NULL }), NULL);

    assert_int_equal(strncmp(output + strlen("HTTP/1.1 "), status, 3), 0);
    free(output);
}

static void test_body_limits(void)
{
    check_status(POST("Content-Length: 5\r\n", "hello"), 5, "200");
    check_status(POST("Content-Length: 5\r\n", "hello"), 4, "413");
    check_status(POST("Content-Length: 5\r\nExpect: 100-continue\r\n", ""), 4, "413");
    check_status(POST(CHUNKED, "5\r\nhello\r\n0\r\n\r\n"), 5, "200");
    check_status(POST(CHUNKED, "5\r\nhello\r\n0\r\n\r\n"), 4, "413");
    check_status(POST(CHUNKED, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), 4, "413");
    check_status(POST(CHUNKED, "1\r\nh\r\n0\r\n\r\n"), 0, "413");
    check_status(POST(CHUNKED, "0\r\n\r\n"), 0, "200");
    check_status(GET, 0, "200");
}

/* ---- what middleware sets --------------------------------------------------------------------------------- */

static int print_key(void *arg, cress_str key, cress_str value)
{
    (void)arg;
    if (cress_str_equal(key, "REMOTE_ADDR") || cress_str_equal(key, "my.key") ||
        cress_str_equal(key, "HTTP_X_A") || cress_str_equal(key, "SERVER_NAME"))
        trace("%s=%s", key.data, value.data);
    return 0;
}

static int set_variables(cress_environ *env, cress_response *res, void *self)
{
    char value[] = "changed";

    (void)self;
    assert_ok(cress_environ_set(env, "REMOTE_ADDR", (cress_str){ value, 7 }));
    memset(value, '#', 7);
    assert_ok(cress_environ_set(env, "my.key", CRESS_STR("1")));
    assert_ok(cress_environ_set(env, "my.key", CRESS_STR("2")));
    assert_ok(cress_environ_set(env, "HTTP_X_A", CRESS_STR("b")));
    assert_ok(cress_environ_set(env, "SERVER_NAME", (cress_str){ NULL, 0 }));
    assert_true(cress_str_equal(cress_environ_get(env, "REMOTE_ADDR"), "changed"));
    assert_true(cress_str_equal(cress_environ_get(env, "my.key"), "2"));
    assert_null(cress_environ_get(env, "SERVER_NAME").data);
    assert_ok(cress_environ_each(env, print_key, NULL));
    return cress_respond(res, 204, NULL, NULL, 0);
}

static void test_variables(void)
{
    char *output = ask(WITH("X-A: a\r\n"), LAYERS({ set_variables, NULL }), NULL);

    assert_trace("HTTP_X_A=b\nmy.key=2\nREMOTE_ADDR=changed\n");
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_chains),
        HUB_TEST(test_no_options),
        HUB_TEST(test_the_end_of_a_chain),
        HUB_TEST(test_next_outside_of_a_chain),
        HUB_TEST(test_error_pages),
        HUB_TEST(test_pages_for_what_fails),
        HUB_TEST(test_pages_that_fail),
        HUB_TEST(test_a_page_that_waits),
        HUB_TEST(test_a_sound_id_is_taken),
        HUB_TEST(test_ids_are_made),
        HUB_TEST(test_cors_for_any),
        HUB_TEST(test_cors_for_some),
        HUB_TEST(test_cors_on_errors),
        HUB_TEST(test_passwords),
        HUB_TEST(test_a_check_of_ones_own),
        HUB_TEST(test_secrets),
        HUB_TEST(test_security_headers),
        HUB_TEST(test_body_limits),
        HUB_TEST(test_variables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
