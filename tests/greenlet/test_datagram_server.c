/* Datagrams over loopback and unix sockets, both sides in one hub. */
#define _GNU_SOURCE
#include "capture.h"
#include "hub_test.h"

#include "faults.h"

#include <cress/datagram_server.h>
#include <cress/io.h>
#include <cress/timeout.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>

static cress_datagram_server server;

/* ---- clients ----------------------------------------------------------------------------- */

static int dial(void)
{
    const cress_address *a = cress_datagram_server_address(&server);
    int fd;

    assert_non_null(a);
    fd = socket(a->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(cress_connect(fd, (const struct sockaddr *)&a->storage, a->len));
    return fd;
}

static void sends(int fd, const char *text)
{
    assert_int_equal(cress_send(fd, text, strlen(text), 0), strlen(text));
}

static void gets(int fd, const char *expected)
{
    char buf[256];
    ssize_t count = cress_recv(fd, buf, sizeof buf - 1, 0);

    assert_true(count >= 0);
    buf[count] = '\0';
    assert_string_equal(buf, expected);
}

/* So many have been received, and what can be done about them was. */
static void arrived(uint64_t count)
{
    while (server.received < count)
        assert_ok(cress_sleep(0));
    settle();
    assert_int_equal(server.received, count);
}

/* ---- handlers ---------------------------------------------------------------------------- */

static void echo(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    (void)self;
    assert_ptr_equal(s, &server);
    assert_ok(cress_datagram_server_send(s, datagram->data, datagram->len, &datagram->peer));
}

static void note(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    char text[CRESS_ADDRESS_TEXT], name[64];

    (void)s, (void)self;
    assert_int_equal(datagram->data[datagram->len], '\0');
    trace("%s%s from %s", datagram->data, datagram->truncated ? "..." : "",
          cress_address_format(&datagram->peer, text, sizeof text));
    trace("%s", cress_name(cress_self(), name, sizeof name));
}

static void sleep_for(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    int result = cress_sleep(*(cress_seconds *)self);

    (void)s;
    trace("%s %s at %g", datagram->data, result == 0 ? "slept" : strerrorname_np(errno),
          cress_now());
}

static void start(cress_datagram_handler *handle, void *self)
{
    server.handle = handle;
    server.self = self;
    if (!server.address)
        server.address = "127.0.0.1:0";
    assert_ok(cress_datagram_server_start(&server));
}

static void stop(cress_seconds timeout)
{
    assert_ok(cress_datagram_server_stop(&server, timeout));
    assert_null(server.service);
    server = (cress_datagram_server){ 0 };
}

/* ---- datagrams ---------------------------------------------------------------------------- */

static void test_echo(void)
{
    start(echo, NULL);

    int first = dial(), second = dial();

    sends(first, "one");
    sends(second, "two");
    sends(first, "");
    sends(first, "three");
    gets(second, "two");
    gets(first, "one");
    gets(first, "");
    gets(first, "three");
    assert_int_equal(server.received, 4);
    settle();
    assert_int_equal(cress_datagram_server_handlers(&server), 0);
    stop(1);
    assert_int_equal(cress_datagram_server_port(&server), 0);
    assert_null(cress_datagram_server_address(&server));
    close(first);
    close(second);
}

static void traced_from(int fd, const char *format)
{
    cress_address own;
    char text[CRESS_ADDRESS_TEXT], expected[512];

    assert_ok(cress_address_of_socket(fd, &own));
    cress_address_format(&own, text, sizeof text);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(expected, sizeof expected, format, text, text);
#pragma GCC diagnostic pop
    assert_trace(expected);
}

static void test_handler_gets_the_peer(void)
{
    start(note, NULL);

    int fd = dial();

    sends(fd, "hello");
    arrived(1);
    traced_from(fd, "hello from %s\ndatagram %s\n");
    close(fd);
    stop(0);
}

static void test_truncated_ones_are_marked(void)
{
    server.max_size = 5;
    start(note, NULL);

    int fd = dial();

    sends(fd, "12345");
    arrived(1);
    traced_from(fd, "12345 from %s\ndatagram %s\n");
    sends(fd, "123456");
    arrived(2);
    traced_from(fd, "12345... from %s\ndatagram %s\n");
    close(fd);
    stop(0);
}

static void measure(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    (void)s, (void)self;
    trace("%zu%s", datagram->len, datagram->truncated ? "..." : "");
}

static void test_largest(void)
{
    static char big[65507]; /* of UDP over IPv4 */

    start(measure, NULL);

    int fd = dial();

    assert_int_equal(cress_send(fd, big, sizeof big, 0), sizeof big);
    arrived(1);
    assert_trace("65507\n");
    close(fd);
    stop(0);
}

static void test_ipv6(void)
{
    server = (cress_datagram_server){ .address = "[::1]:0", .handle = echo };
    if (cress_datagram_server_start(&server) < 0) {
        assert_int_equal(errno, EADDRNOTAVAIL);
        server = (cress_datagram_server){ 0 };
        return;
    }

    int fd = dial();

    sends(fd, "six");
    gets(fd, "six");
    close(fd);
    stop(0);
}

static void answer_if_possible(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    char text[CRESS_ADDRESS_TEXT];

    (void)self;
    trace("from %s", cress_address_format(&datagram->peer, text, sizeof text));
    if (datagram->peer.len > 0)
        assert_ok(cress_datagram_server_send(s, "hi", 2, &datagram->peer));
    else
        assert_errno(ENOTCONN, cress_datagram_server_send(s, "hi", 2, &datagram->peer));
}

static void test_unix_socket(void)
{
    char folder[] = "/tmp/cress-datagram-XXXXXX", path[64], own[80], text[80];
    cress_address a;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(text, sizeof text, "unix:%s", path);
    server.address = text;
    start(answer_if_possible, NULL);

    int unnamed = dial(), named;

    sends(unnamed, "hello");
    arrived(1);
    assert_trace("from unix:\n");
    close(unnamed);

    snprintf(own, sizeof own, "unix:%s/c", folder);
    assert_ok(cress_address_parse(own, &a));
    named = cress_bind_datagram(&a);
    assert_true(named >= 0);
    a = *cress_datagram_server_address(&server);
    assert_ok(cress_connect(named, (struct sockaddr *)&a.storage, a.len));
    sends(named, "hello");
    gets(named, "hi");
    snprintf(own, sizeof own, "from unix:%s/c\n", folder);
    assert_trace(own);
    cress_close_listener(named);
    stop(0);
    assert_errno(ENOENT, access(path, F_OK));
    assert_ok(rmdir(folder));
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void test_receiving_pauses_when_full(void)
{
    cress_seconds span = 1;
    char text[2] = "a";

    server.max = 2;
    start(sleep_for, &span);

    int fd = dial();

    for (int i = 0; i < 5; i++, text[0]++)
        sends(fd, text);
    arrived(2);
    assert_int_equal(cress_datagram_server_handlers(&server), 2);
    assert_ok(cress_sleep(2.5));
    assert_int_equal(server.received, 5);
    assert_trace("a slept at 1\nb slept at 1\nc slept at 2\nd slept at 2\n");
    stop(1);
    assert_trace("e slept at 3\n");
    close(fd);
}

static void nap(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    (void)s, (void)datagram, (void)self;
    cress_sleep(1);
}

/* What does not fit into the kernel's buffer meanwhile is dropped there. */
static void test_the_kernel_drops_what_is_too_much(void)
{
    static char big[60000];

    server.max = 1;
    start(nap, NULL);

    int fd = dial();

    sends(fd, "first");
    arrived(1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cress_send(fd, big, sizeof big, 0), sizeof big);
    assert_ok(cress_sleep(200));
    assert_true(server.received > 1 && server.received < 101);
    stop(0);
    close(fd);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void answer_late(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    (void)self;
    if (cress_sleep(1) < 0) {
        trace("%s at %g", strerrorname_np(errno), cress_now());
        return;
    }
    assert_ok(cress_datagram_server_send(s, "late", 4, &datagram->peer));
}

static void test_stop_drains(void)
{
    start(answer_late, NULL);

    int fd = dial();

    sends(fd, "hello");
    arrived(1);
    cress_datagram_server_close(&server);
    sends(fd, "too late");
    stop(5);
    assert_time(1);
    gets(fd, "late");
    sends(fd, "nobody");
    assert_errno(ECONNREFUSED, cress_recv(fd, "", 0, 0)); /* what the kernel tells of that */
    close(fd);
}

static void test_stop_kills_what_is_left(void)
{
    start(answer_late, NULL);

    int fd = dial();

    sends(fd, "hello");
    arrived(1);
    stop(0.5);
    assert_trace("ECANCELED at 0.5\n");
    close(fd);
}

static void test_stop_before_a_handler_begins(void)
{
    start(note, NULL);

    int fd = dial();

    sends(fd, "hello");
    while (server.received == 0)
        assert_ok(cress_sleep(0));
    stop(0);
    close(fd);
}

static void *serve(void *arg)
{
    int result = cress_datagram_server_serve_forever(&server);

    trace("serve: %s at %g", result == 0 ? "0" : strerrorname_np(errno), cress_now());
    return arg;
}

static void test_serve_forever(void)
{
    server = (cress_datagram_server){ .address = "127.0.0.1:0", .handle = echo };

    cress_greenlet *g = cress_spawn(serve, NULL);

    settle();

    int fd = dial();

    sends(fd, "hello");
    gets(fd, "hello");
    cress_datagram_server_close(&server);
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("serve: 0 at 0\n");
    close(fd);
    server = (cress_datagram_server){ 0 };
}

static void test_killed_it_drains(void)
{
    server = (cress_datagram_server){ .address = "127.0.0.1:0", .handle = answer_late };

    cress_greenlet *g = cress_spawn(serve, NULL);

    settle();

    int fd = dial();

    sends(fd, "hello");
    arrived(1);
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("serve: ECANCELED at 1\n");
    gets(fd, "late");
    close(fd);
    server = (cress_datagram_server){ 0 };
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static void test_sending(void)
{
    static char too_big[70000];
    cress_address a;

    assert_ok(cress_address_parse("127.0.0.1:9", &a));
    assert_errno(EBADF, cress_datagram_server_send(&server, "x", 1, &a));
    start(note, NULL);
    assert_errno(EMSGSIZE, cress_datagram_server_send(&server, too_big, sizeof too_big, &a));
    stop(0);
}

static void test_addresses(void)
{
    cress_datagram_server second = { .handle = echo };
    char text[CRESS_ADDRESS_TEXT];

    server = (cress_datagram_server){ .address = "nonsense", .handle = echo };
    assert_errno(EINVAL, cress_datagram_server_start(&server));
    assert_errno(EINVAL, cress_datagram_server_serve_forever(&server));
    assert_errno(EBADF, cress_datagram_server_start_on(&server, -1));
    server = (cress_datagram_server){ 0 };
    start(echo, NULL);
    second.address =
        cress_address_format(cress_datagram_server_address(&server), text, sizeof text);
    assert_errno(EADDRINUSE, cress_datagram_server_start(&second));
    stop(0);
}

static void test_a_bound_socket(void)
{
    cress_address a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), client; /* and blocks */

    assert_ok(cress_address_parse("127.0.0.1:0", &a));
    assert_ok(bind(fd, (struct sockaddr *)&a.storage, a.len));
    server.handle = echo;
    assert_ok(cress_datagram_server_start_on(&server, fd));
    client = dial();
    sends(client, "hello");
    gets(client, "hello");
    close(client);
    stop(0);
    assert_errno(EBADF, fcntl(fd, F_GETFD));
}

static void failing(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    (void)s, (void)datagram, (void)self;
    cress_fail(EDOM);
}

static void test_failure_is_reported(void)
{
    start(failing, NULL);

    int fd = dial();

    capture_start(2);
    sends(fd, "hello");
    arrived(1);

    char *said = capture_end();

    assert_non_null(strstr(said, "cress: greenlet datagram 127.0.0.1:"));
    assert_non_null(strstr(said, strerror(EDOM)));
    free(said);
    close(fd);
    stop(0);
}

static void test_start_without_memory(void)
{
    bool struck = true;

    server = (cress_datagram_server){ .address = "127.0.0.1:0", .handle = echo };
    for (unsigned call = 1; struck; call++) {
        fault = (struct fault){ .function = "malloc", .call = call, .error = ENOMEM };

        int result = cress_datagram_server_start(&server);

        struck = fault.struck;
        fault = (struct fault){ 0 };
        if (result < 0)
            assert_int_equal(errno, ENOMEM);
        assert_int_equal(server.service != NULL, result == 0);
        assert_ok(cress_datagram_server_stop(&server, 0));
    }
    server = (cress_datagram_server){ 0 };
}

/* One is lost, is all; receiving goes on after a pause. */
static void test_datagram_without_memory(void)
{
    start(echo, NULL);

    int fd = dial();

    capture_start(2);
    fault = (struct fault){ .function = "malloc", .call = 1, .error = ENOMEM };
    sends(fd, "lost");
    arrived(1);
    assert_true(fault.struck);
    fault = (struct fault){ 0 };
    sends(fd, "hello");
    gets(fd, "hello");
    assert_time(0.1);

    char *said = capture_end();

    assert_non_null(strstr(said, " pauses, with 0 open: Cannot allocate memory\n"));
    free(said);
    close(fd);
    stop(0);
}

/* ---- misuse ----------------------------------------------------------------------------------- */

static void *start_twice(void *arg)
{
    start(echo, NULL);
    assert_errno(EBUSY, cress_datagram_server_start(&server));
    assert_errno(EBUSY, cress_datagram_server_start_on(&server, 0));
    stop(0);
    return arg;
}

static void *start_without_handler(void *arg)
{
    server = (cress_datagram_server){ .address = "127.0.0.1:0" };
    assert_errno(EINVAL, cress_datagram_server_start(&server));
    assert_errno(EINVAL, cress_datagram_server_start_on(&server, 0));
    assert_errno(EINVAL, cress_datagram_server_serve_forever(&server));
    return arg;
}

static void stop_own(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    (void)datagram, (void)self;
    assert_errno(EDEADLK, cress_datagram_server_stop(s, 1));
    assert_errno(EDEADLK, cress_datagram_server_serve_forever(s));
}

static void *stop_by_handler(void *arg)
{
    start(stop_own, NULL);

    int fd = dial();

    sends(fd, "x");
    arrived(1);
    close(fd);
    stop(0);
    return arg;
}

static void wait_in_hub(void)
{
    assert_errno(EPERM, cress_datagram_server_stop(&server, 1));
    assert_errno(EPERM, cress_datagram_server_serve_forever(&server));
}

static void serve_in_hub(void)
{
    assert_errno(EPERM, cress_datagram_server_serve_forever(&server));
    assert_null(cress_datagram_server_address(&server));
}

static void *stop_by_the_hub(void *arg)
{
    start(echo, NULL);
    run_in_hub(wait_in_hub);
    assert_non_null(cress_datagram_server_address(&server)); /* it still runs */
    stop(0);
    return arg;
}

static void *serve_by_the_hub(void *arg)
{
    server = (cress_datagram_server){ .address = "127.0.0.1:0", .handle = echo };
    run_in_hub(serve_in_hub);
    return arg;
}

static void test_misuse(void **state)
{
    (void)state;
    assert_ok(run_virtual(stop_by_the_hub, NULL));
    assert_ok(run_virtual(serve_by_the_hub, NULL));
    assert_misuse(stop_by_the_hub,
                  "cress_datagram_server_stop: it runs, and the caller cannot wait");
    assert_misuse(serve_by_the_hub, "cress_datagram_server_serve_forever: the caller cannot wait");
    assert_ok(run_virtual(start_twice, NULL));
    assert_ok(run_virtual(start_without_handler, NULL));
    assert_ok(run_virtual(stop_by_handler, NULL));
    assert_misuse(start_twice, "cress_datagram_server_start: it runs already");
    assert_misuse(start_without_handler, "cress_datagram_server_start: no handler, or no address");
    assert_misuse(stop_by_handler, "cress_datagram_server_stop: called by its handler");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_echo),
        HUB_TEST(test_handler_gets_the_peer),
        HUB_TEST(test_truncated_ones_are_marked),
        HUB_TEST(test_largest),
        HUB_TEST(test_ipv6),
        HUB_TEST(test_unix_socket),
        HUB_TEST(test_receiving_pauses_when_full),
        HUB_TEST(test_the_kernel_drops_what_is_too_much),
        HUB_TEST(test_stop_drains),
        HUB_TEST(test_stop_kills_what_is_left),
        HUB_TEST(test_stop_before_a_handler_begins),
        HUB_TEST(test_serve_forever),
        HUB_TEST(test_killed_it_drains),
        HUB_TEST(test_sending),
        HUB_TEST(test_addresses),
        HUB_TEST(test_a_bound_socket),
        HUB_TEST(test_failure_is_reported),
        HUB_TEST(test_start_without_memory),
        HUB_TEST(test_datagram_without_memory),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
