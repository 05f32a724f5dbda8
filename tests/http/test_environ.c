#include "hub_test.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

/* What each test asks of one request. */
typedef void question(cress_environ *env);

static int ask(cress_environ *env, cress_response *res, void *self)
{
    question *fn = (question *)self;

    fn(env);
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void with_config(const char *request, question *fn, const char *scheme, bool no_peer)
{
    struct wire w;

    wire_init(&w, ask, (void *)fn);
    w.config.scheme = scheme;
    w.config.multiprocess = scheme != NULL;
    if (no_peer) {
        w.http.peer = (cress_http1_peer){ .family = CRESS_HTTP1_PEER_NONE };
        w.config.server_name = w.config.server_port = NULL;
    }
    wire_start(&w);
    wire_send(&w, request);
    wire_check_output(&w, "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 0\r\n\r\n");
    wire_finish(&w);
}

static void with(const char *request, question *fn)
{
    with_config(request, fn, NULL, false);
}

/* Without a look at the answer, in which Connection may be said. */
static void check_1_0(const char *request, question *fn)
{
    struct wire w;

    wire_init(&w, ask, (void *)fn);
    wire_start(&w);
    wire_send(&w, request);
    assert_int_equal(w.log.status, 200);
    wire_finish(&w);
}

#define GET(target, fields) "GET " target " HTTP/1.1\r\nHost: a:8000\r\n" fields "\r\n"

static void assert_variable(const cress_environ *env, const char *key, const char *expected)
{
    cress_str value = cress_environ_get(env, key);

    if (!value.data)
        fail_msg("%s is absent", key);
    assert_string_equal(value.data, expected);
    assert_int_equal(value.len, strlen(expected));
}

/* ---- CGI/1.1 and PEP 3333 ------------------------------------------------------------- */

static void ask_variables(cress_environ *env)
{
    assert_variable(env, "REQUEST_METHOD", "GET");
    assert_variable(env, "SCRIPT_NAME", "");
    assert_variable(env, "PATH_INFO", "/a b");
    assert_variable(env, "QUERY_STRING", "x=%20");
    assert_variable(env, "CONTENT_TYPE", "text/plain");
    assert_variable(env, "CONTENT_LENGTH", "0");
    assert_variable(env, "SERVER_NAME", "cress.test");
    assert_variable(env, "SERVER_PORT", "8000");
    assert_variable(env, "SERVER_PROTOCOL", "HTTP/1.1");
    assert_variable(env, "SERVER_SOFTWARE", "cress/" CRESS_VERSION);
    assert_variable(env, "GATEWAY_INTERFACE", "CGI/1.1");
    assert_variable(env, "REMOTE_ADDR", "192.0.2.1");
    assert_variable(env, "REMOTE_PORT", "50000");
    assert_variable(env, "REQUEST_URI", "/a%20b?x=%20");
    assert_variable(env, "RAW_URI", "/a%20b?x=%20");
    assert_variable(env, "HTTP_HOST", "a:8000");
    assert_variable(env, "HTTP_X_FORWARDED_FOR", "10.0.0.1");
    assert_variable(env, "wsgi.version", "1.0");
    assert_variable(env, "wsgi.url_scheme", "http");
    assert_variable(env, "wsgi.multithread", "false");
    assert_variable(env, "wsgi.multiprocess", "false");
    assert_variable(env, "wsgi.run_once", "false");
    assert_variable(env, "wsgi.input_terminated", "true");
    assert_null(cress_environ_get(env, "HTTPS").data);
    assert_null(cress_environ_get(env, "HTTP_CONTENT_TYPE").data);
    assert_null(cress_environ_get(env, "HTTP_CONTENT_LENGTH").data);
    assert_null(cress_environ_get(env, "HTTP_").data);
    assert_null(cress_environ_get(env, "HTTP_ABSENT").data);
    assert_null(cress_environ_get(env, "http_host").data);
    assert_null(cress_environ_get(env, "").data);
}

static void test_variables(void)
{
    with(GET("/a%20b?x=%20", "x-forwarded-For: 10.0.0.1\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 0\r\n"),
         ask_variables);
}

static void ask_tls(cress_environ *env)
{
    assert_variable(env, "HTTPS", "on");
    assert_variable(env, "wsgi.url_scheme", "https");
    assert_variable(env, "wsgi.multiprocess", "true");
}

static void test_tls(void)
{
    with_config(GET("/", ""), ask_tls, "https", false);
}

static void ask_nobody(cress_environ *env)
{
    assert_variable(env, "REMOTE_ADDR", "");
    assert_variable(env, "REMOTE_PORT", "");
    assert_variable(env, "SERVER_NAME", "localhost");
    assert_variable(env, "SERVER_PORT", "443");
    assert_string_equal(cress_remote_addr(env).data, "");
}

static void test_without_a_peer(void)
{
    with_config(GET("/", ""), ask_nobody, "https", true);
}

static int list(void *arg, cress_str key, cress_str value)
{
    size_t *count = arg;

    assert_int_equal(key.len, strlen(key.data));
    assert_int_equal(value.len, strlen(value.data));
    if (strncmp(key.data, "HTTP_", 5) == 0)
        trace("%s=%s", key.data, value.data);
    return ++*count == 1000;
}

static int stop_at_path(void *arg, cress_str key, cress_str value)
{
    (void)arg, (void)value;
    return strcmp(key.data, "PATH_INFO") == 0 ? 42 : 0;
}

static void ask_each(cress_environ *env)
{
    size_t count = 0;

    assert_int_equal(cress_environ_each(env, list, &count), 0);
    assert_trace("HTTP_HOST=a:8000\nHTTP_X_LIST=1, 2\nHTTP_ACCEPT=*/*\n");
    assert_int_equal(count, 20 + 1 + 3); /* with CONTENT_TYPE, without CONTENT_LENGTH, HTTPS */
    assert_int_equal(cress_environ_each(env, stop_at_path, NULL), 42);
}

static void test_each(void)
{
    with(GET("/", "X-List: 1\r\nAccept: */*\r\nX_Forged: 1\r\nx-list: 2\r\nContent-Type: a\r\n"),
         ask_each);
}

/* ---- Host and the target: RFC 9112 3.2.2 ----------------------------------------------------- */

static int list_fields(void *arg, cress_str key, cress_str value)
{
    (void)arg;
    if (strncmp(key.data, "HTTP_", 5) == 0)
        trace("%s=%s", key.data, value.data);
    return 0;
}

static void ask_authority(cress_environ *env)
{
    cress_str name, value;

    assert_string_equal(cress_header_get(env, "host").data, "b:80");
    assert_variable(env, "HTTP_HOST", "b:80");
    assert_true(cress_header_at(env, 0, &name, &value));
    assert_string_equal(value.data, "b:80");
    assert_string_equal(cress_target(env).data, "http://b:80/c");
    assert_string_equal(cress_path(env).data, "/c");
    assert_int_equal(cress_environ_each(env, list_fields, NULL), 0);
    assert_trace("HTTP_HOST=b:80\n");
}

static void ask_authority_without_host(cress_environ *env)
{
    cress_str name, value;

    assert_string_equal(cress_header_get(env, "Host").data, "b:80");
    assert_false(cress_header_at(env, 1, &name, &value));
    assert_int_equal(cress_environ_each(env, list_fields, NULL), 0);
    assert_trace("HTTP_HOST=b:80\nHTTP_CONNECTION=keep-alive\n");
}

static void ask_no_host(cress_environ *env)
{
    assert_null(cress_header_get(env, "Host").data);
    assert_null(cress_environ_get(env, "HTTP_HOST").data);
    assert_int_equal(cress_environ_each(env, list_fields, NULL), 0);
    assert_trace("");
}

static void test_the_targets_authority(void)
{
    with("GET http://b:80/c HTTP/1.1\r\nHost: a\r\n\r\n", ask_authority);
    check_1_0("GET http://b:80/c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
              ask_authority_without_host);
    check_1_0("GET / HTTP/1.0\r\n\r\n", ask_no_host);
}

static void ask_what_was_set(cress_environ *env)
{
    assert_ok(cress_environ_set(env, "HTTP_HOST", CRESS_STR("b")));
    assert_ok(cress_environ_set(env, "HTTP_ACCEPT", (cress_str){ NULL, 0 }));
    assert_int_equal(cress_environ_each(env, list_fields, NULL), 0);
    assert_trace("HTTP_HOST=b\nHTTP_TE=trailers\n");
}

static void test_fields_that_were_set(void)
{
    with("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nAccept: x\r\n\r\n", ask_what_was_set);
}

/* ---- trailer fields ------------------------------------------------------------------------- */

static void ask_trailers(cress_environ *env)
{
    cress_str body;

    assert_null(cress_trailer_get(env, "X").data); /* too early */
    assert_ok(cress_input_read_all(env, 100, &body));
    assert_string_equal(body.data, "abc");
    assert_string_equal(cress_trailer_get(env, "x").data, "1, 2");
    assert_string_equal(cress_trailer_get(env, "Y").data, "");
    assert_null(cress_trailer_get(env, "Z").data);
    assert_null(cress_trailer_get(env, "Host").data);
    assert_null(cress_trailer_get(env, "A_B").data);
    assert_null(cress_header_get(env, "X").data);
    assert_null(cress_environ_get(env, "HTTP_X").data);
    assert_string_equal(cress_header_get(env, "Host").data, "a");
    assert_true(cress_accepts_trailers(env));
}

static void test_trailers(void)
{
    with("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\nX: 1\r\nHost: b\r\nY:\r\nA_B: c\r\nX: 2 \r\n\r\n",
         ask_trailers);
}

/* ---- fields ------------------------------------------------------------------------------- */

static void ask_fields(cress_environ *env)
{
    cress_str name, value;

    assert_string_equal(cress_header_get(env, "accept").data, "a, b");
    assert_string_equal(cress_header_get(env, "ACCEPT").data, "a, b");
    assert_string_equal(cress_header_get(env, "cookie").data, "x=1; y=2");
    assert_string_equal(cress_header_get(env, "X-Empty").data, "");
    assert_null(cress_header_get(env, "Absent").data);
    assert_null(cress_header_get(env, "X_Under").data);
    assert_null(cress_header_get(env, "X-Under").data);
    assert_true(cress_header_at(env, 1, &name, &value));
    assert_string_equal(name.data, "AccepT");
    assert_string_equal(value.data, "a");
    assert_true(cress_header_at(env, 6, &name, &value));
    assert_string_equal(name.data, "X_Under");
    assert_false(cress_header_at(env, 7, &name, &value));
    assert_string_equal(name.data, "X_Under");
}

static void test_fields(void)
{
    with(GET("/", "AccepT: a\r\nCookie: x=1\r\nX-Empty:\r\naccept: b\r\nCookie: y=2\r\n"
                  "X_Under: 1\r\n"),
         ask_fields);
}

/* ---- parameters ----------------------------------------------------------------------------- */

static void ask_parameters(cress_environ *env)
{
    cress_str form = CRESS_STR("message=caf%C3%A9+au+lait&empty=");

    assert_string_equal(cress_query_get(env, "a").data, "1 2");
    assert_string_equal(cress_query_get(env, "b").data, "");
    assert_null(cress_query_get(env, "c").data);
    assert_string_equal(cress_form_get(env, form, "message").data, "caf\xc3\xa9 au lait");
    assert_string_equal(cress_form_get(env, form, "empty").data, "");
    assert_null(cress_form_get(env, form, "a").data);
    assert_null(cress_form_get(env, CRESS_STR(""), "a").data);

    cress_str rest = cress_query_string(env), name, value;
    assert_int_equal(cress_form_next(env, &rest, &name, &value), 1);
    assert_string_equal(name.data, "a");
    assert_string_equal(value.data, "1 2");
    assert_int_equal(cress_form_next(env, &rest, &name, &value), 1);
    assert_string_equal(name.data, "b");
    assert_int_equal(cress_form_next(env, &rest, &name, &value), 0);
}

static void test_parameters(void)
{
    with(GET("/?a=1+2&b", ""), ask_parameters);
}

/* ---- memory ----------------------------------------------------------------------------------- */

static void ask_memory(cress_environ *env)
{
    char *pieces[200];

    for (size_t i = 0; i < 200; i++) {
        pieces[i] = cress_environ_alloc(env, i * 7);
        assert_non_null(pieces[i]);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 1; i < 200; i++)
        assert_int_equal((unsigned char)pieces[i][i * 7 - 1], i);
    assert_string_equal(cress_environ_printf(env, "%s-%d", "x", 42).data, "x-42");
    assert_int_equal(cress_environ_printf(env, "%2000d", 1).len, 2000);
    assert_errno(ENOMEM, cress_environ_alloc(env, SIZE_MAX) ? 0 : -1);
}

static void test_memory(void)
{
    with(GET("/", ""), ask_memory);
}

/* ---- what runs after the response ---------------------------------------------------------------- */

static void note(void *arg)
{
    trace("deferred %s", (const char *)arg);
}

static int defer_three(cress_environ *env, cress_response *res, void *self)
{
    static char *const names[] = { "first", "second", "third" };

    (void)self;
    for (size_t i = 0; i < 3; i++)
        assert_ok(cress_defer(env, note, names[i]));
    trace("app");
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void test_deferred(void)
{
    struct wire w;

    wire_init(&w, defer_three, NULL);
    wire_start(&w);
    wire_send(&w, GET("/", "") GET("/", ""));
    assert_trace("app\ndeferred third\ndeferred second\ndeferred first\n"
                 "app\ndeferred third\ndeferred second\ndeferred first\n");
    wire_finish(&w);
}

/* ---- the request at hand --------------------------------------------------------------------------- */

static void *look_elsewhere(void *arg)
{
    (void)arg;
    return cress_environ_current();
}

static int find_current(cress_environ *env, cress_response *res, void *self)
{
    cress_greenlet *other = cress_spawn(look_elsewhere, NULL);
    void *seen = env;

    (void)self;
    assert_ptr_equal(cress_environ_current(), env);
    assert_ok(cress_get(other, &seen, CRESS_FOREVER));
    assert_null(seen);
    cress_release(other);
    assert_ptr_equal(cress_environ_current(), env);
    return cress_respond(res, 200, NULL, cress_path(cress_environ_current()).data, 2);
}

static void test_current(void)
{
    struct wire a, b;

    assert_null(cress_environ_current());
    wire_init(&a, find_current, NULL);
    wire_init(&b, find_current, NULL);
    wire_start(&a);
    wire_start(&b);
    memory_stream_send_text(&a.stream, GET("/a", ""));
    memory_stream_send_text(&b.stream, GET("/b", ""));
    wire_settle();
    assert_non_null(strstr(a.stream.out, "\r\n\r\n/a"));
    assert_non_null(strstr(b.stream.out, "\r\n\r\n/b"));
    assert_null(cress_environ_current());
    wire_finish(&a);
    wire_finish(&b);
}

/* ---- the request's limit ------------------------------------------------------------------------------ */

static int sleep_long(cress_environ *env, cress_response *res, void *self)
{
    cress_seconds *span = self;

    if (*span > 0)
        assert_ok(cress_request_timeout(env, *span));
    if (cress_sleep(100) < 0) {
        assert_errno(ETIMEDOUT, cress_request_timeout(env, 1000));
        errno = ETIMEDOUT;
        return -1;
    }
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void check_limit(cress_seconds limit, cress_seconds replaced, const char *status,
                        cress_seconds after)
{
    cress_seconds started = cress_now();
    struct wire w;

    wire_init(&w, sleep_long, &replaced);
    w.request_timeout = limit;
    wire_start(&w);
    wire_send(&w, GET("/", ""));
    while (!w.stream.out_len)
        cress_sleep(1);
    assert_int_equal(strncmp(w.stream.out, status, strlen(status)), 0);
    assert_true(cress_now() - started >= after && cress_now() - started <= after + 2);
    wire_finish(&w);
}

static void test_request_timeout(void)
{
    check_limit(30, 0, "HTTP/1.1 503", 30);
    check_limit(30, 10, "HTTP/1.1 503", 10);
    check_limit(30, CRESS_FOREVER, "HTTP/1.1 200", 100);
    check_limit(30, 200, "HTTP/1.1 200", 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_variables),
        HUB_TEST(test_tls),
        HUB_TEST(test_without_a_peer),
        HUB_TEST(test_each),
        HUB_TEST(test_the_targets_authority),
        HUB_TEST(test_fields_that_were_set),
        HUB_TEST(test_trailers),
        HUB_TEST(test_fields),
        HUB_TEST(test_parameters),
        HUB_TEST(test_memory),
        HUB_TEST(test_deferred),
        HUB_TEST(test_current),
        HUB_TEST(test_request_timeout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
