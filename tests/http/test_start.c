/* What nearly every head begins with: put together once a second, byte for byte what it must be. */
#include "hub_test.h"
#include "other_hub.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

static int respond_ok(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, NULL, NULL, 0);
}

static time_t now; /* 0: the real one */
static int asked;

time_t __wrap_time(time_t *ret);
time_t __real_time(time_t *ret);
struct tm *__wrap_gmtime_r(const time_t *time, struct tm *tm);
struct tm *__real_gmtime_r(const time_t *time, struct tm *tm);

time_t __wrap_time(time_t *ret)
{
    if (!now)
        return __real_time(ret);
    if (ret)
        *ret = now;
    return now;
}

struct tm *__wrap_gmtime_r(const time_t *time, struct tm *tm)
{
    asked++;
    return __real_gmtime_r(time, tm);
}

#define PLAIN_SERVER "Server: cress/" CRESS_VERSION "\r\n"

/* One request on a connection of its own. */
static void check_exactly(const char *software, const char *request, cress_app *app,
                          const char *expected)
{
    struct wire w;

    wire_init(&w, app, NULL);
    w.config.server_software = software;
    wire_start(&w);
    wire_send(&w, request);
    assert_string_equal(w.stream.out, expected);
    wire_finish(&w);
}

static void test_the_date_is_formatted_once_a_second(void)
{
    now = 784111777;
    for (int i = 0; i < 100; i++)
        check_exactly(NULL, GET, respond_ok,
                      "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                      "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    asked = 0;
    now++;
    check_exactly("", GET, respond_ok,
                  "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
                  "Content-Length: 0\r\n\r\n");
    check_exactly("theirs", GET, respond_ok,
                  "HTTP/1.1 200 OK\r\nServer: theirs\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
                  "Content-Length: 0\r\n\r\n");
    check_exactly(NULL, GET, respond_ok,
                  "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                  "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(asked, 1);
    now -= 10; /* the clock was set back */
    check_exactly(NULL, GET, respond_ok,
                  "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                  "Date: Sun, 06 Nov 1994 08:49:28 GMT\r\nContent-Length: 0\r\n\r\n");
    now = 0;
}

static int status; /* to be answered */

static int respond_status(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, status, NULL, "x", 1);
}

/* In turn, as far apart as to be kept in one place, and others. */
static void test_statuses_in_turn(void)
{
    static const int statuses[] = { 200, 216, 232, 200, 404, 500, 404, 431, 511, 599, 200 };

    now = 784111777;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char expected[256];
        status = statuses[i];
        snprintf(expected, sizeof expected,
                 "HTTP/1.1 %d %s\r\n" PLAIN_SERVER "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                 "Content-Length: 1\r\n\r\nx",
                 status, cress_status_reason(status));
        check_exactly(NULL, GET, respond_status, expected);
    }
    now = 0;
}

static void *respond_there(void *arg)
{
    now = 784111800;
    check_exactly(NULL, GET, respond_ok,
                  "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                  "Date: Sun, 06 Nov 1994 08:50:00 GMT\r\nContent-Length: 0\r\n\r\n");
    return arg;
}

static void test_each_thread_has_its_own(void)
{
    now = 784111777;
    check_exactly(NULL, GET, respond_ok,
                  "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    asked = 0;
    run_in_other_hub(respond_there, NULL);
    assert_int_equal(asked, 1);
    now = 784111777;
    check_exactly(NULL, GET, respond_ok,
                  "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(asked, 1); /* what the other did has changed nothing here */
    now = 0;
}

static int own_date(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(res, 204, CRESS_HEADERS({ "DATE", "today" }));
}

static int own_server(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(res, 204, CRESS_HEADERS({ "Server", "mine" }));
}

static void test_one_of_them_from_the_app(void)
{
    now = 784111777;
    check_exactly(NULL, GET, own_date,
                  "HTTP/1.1 204 No Content\r\n" PLAIN_SERVER "DATE: today\r\n\r\n");
    check_exactly(NULL, GET, own_server,
                  "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                  "Server: mine\r\n\r\n");
    /* The next one says the server's own again. */
    check_exactly(NULL, GET, respond_ok,
                  "HTTP/1.1 200 OK\r\n" PLAIN_SERVER
                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
    now = 0;
}

static void test_closing_connections_say_so(void)
{
    now = 784111777;
#define OPENING "HTTP/1.1 200 OK\r\n" PLAIN_SERVER "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    check_exactly(NULL, "GET / HTTP/1.0\r\nHost: a\r\n\r\n", respond_ok,
                  OPENING "Content-Length: 0\r\n\r\n");
    check_exactly(NULL, "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", respond_ok,
                  OPENING "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n");
    check_exactly(NULL, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", respond_ok,
                  OPENING "Connection: close\r\nContent-Length: 0\r\n\r\n");
    /* Each in a batch by itself. */
    check_exactly(NULL, GET HEAD "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET,
                  respond_ok,
                  OPENING "Content-Length: 0\r\n\r\n" OPENING "Content-Length: 0\r\n\r\n" OPENING
                          "Connection: close\r\nContent-Length: 0\r\n\r\n");
    now = 0;
}

static void check_server(const char *software, const char *expected)
{
    struct wire w;

    wire_init(&w, respond_ok, NULL);
    w.config.server_software = software;
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(strncmp(w.stream.out, expected, strlen(expected)), 0);
    wire_finish(&w);
}

static void test_the_server_field(void)
{
    check_server(NULL, "HTTP/1.1 200 OK\r\nServer: cress/" CRESS_VERSION "\r\nDate: ");
    check_server("mine/2", "HTTP/1.1 200 OK\r\nServer: mine/2\r\nDate: ");
    check_server("", "HTTP/1.1 200 OK\r\nDate: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_the_date_is_formatted_once_a_second),
        HUB_TEST(test_statuses_in_turn),
        HUB_TEST(test_each_thread_has_its_own),
        HUB_TEST(test_one_of_them_from_the_app),
        HUB_TEST(test_closing_connections_say_so),
        HUB_TEST(test_the_server_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
