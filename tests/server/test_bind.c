/* What server/bind.c adds to addresses: lists, URLs, and options for HTTP. */
#include "../../server/bind.h"

#include "capture.h"

#include <cress/serve.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void shows_as(const char *text, const char *url)
{
    char got[256];
    cress_address a;

    assert_int_equal(cress_address_parse(text, &a), 0);
    bind_format(&a, "http", got, sizeof got);
    assert_string_equal(got, url);
}

static void addresses_show_as_urls(void **state)
{
    (void)state;
    shows_as("127.0.0.1:8000", "http://127.0.0.1:8000");
    shows_as(":8080", "http://0.0.0.0:8080");
    shows_as("[::1]:81", "http://[::1]:81");
    shows_as("unix:/run/x.sock", "unix:/run/x.sock");
}

static void lists_are_read(void **state)
{
    cress_address *list;
    size_t count;
    char url[64];

    (void)state;
    assert_int_equal(bind_parse_list(":80,[::1]:81,unix:x", &list, &count), CRESS_EXIT_OK);
    assert_int_equal(count, 3);
    bind_format(&list[1], "https", url, sizeof url);
    assert_string_equal(url, "https://[::1]:81");
    free(list);
}

static void refuses(const char *texts, const char *reason)
{
    cress_address *list;
    size_t count;
    char *said;

    capture_start(2);
    assert_int_equal(bind_parse_list(texts, &list, &count), CRESS_EXIT_BIND);
    said = capture_end();
    assert_string_equal(said, reason);
    free(said);
}

static void bad_lists_are_refused(void **state)
{
    (void)state;
    refuses(":80,,:81",
            "cress: --bind: \"\" is not HOST:PORT, [V6]:PORT, :PORT, PORT or unix:PATH\n");
    refuses("host",
            "cress: --bind: \"host\" is not HOST:PORT, [V6]:PORT, :PORT, PORT or unix:PATH\n");
}

static int get_tcp(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &len), 0);
    return value;
}

static void tcp_sockets_are_set_up(void **state)
{
    cress_address a;

    (void)state;
    assert_int_equal(cress_address_parse("127.0.0.1:0", &a), 0);

    int fd = bind_listen(&a, 5);

    assert_true(fd >= 0);
    assert_int_not_equal(get_tcp(fd, TCP_DEFER_ACCEPT), 0);
    assert_int_equal(get_tcp(fd, TCP_NOTSENT_LOWAT), 128 << 10);
    cress_close_listener(fd);
}

static void failures_are_told(void **state)
{
    cress_address a;

    (void)state;
    assert_int_equal(cress_address_parse("192.0.2.1:0", &a), 0);
    assert_int_equal(bind_listen(&a, 5), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_show_as_urls), cmocka_unit_test(lists_are_read),
        cmocka_unit_test(bad_lists_are_refused),  cmocka_unit_test(tcp_sockets_are_set_up),
        cmocka_unit_test(failures_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
