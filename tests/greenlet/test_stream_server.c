/* Clients and servers in one hub, over loopback; curl and openssl as real peers. */
#define _GNU_SOURCE
#include "capture.h"
#include "certificates.h"
#include "hub_test.h"

#include "faults.h"

#include <cress/io.h>
#include <cress/stream_server.h>
#include <cress/timeout.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>

/* ---- clients ----------------------------------------------------------------------------- */

static cress_stream_server server;

/* Without waiting: the backlog takes it. */
static int dial(void)
{
    const cress_address *a = cress_stream_server_address(&server);
    int fd;

    assert_non_null(a);
    fd = socket(a->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(connect(fd, (const struct sockaddr *)&a->storage, a->len));
    return fd;
}

/* Until the end of file; how much that was. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
    size_t done = 0;
    ssize_t count;

    while ((count = cress_read(fd, buf + done, size - 1 - done)) > 0)
        done += (size_t)count;
    buf[done] = '\0';
    return count < 0 ? -1 : (ssize_t)done;
}

static void says(int fd, const char *expected)
{
    char buf[256];

    assert_true(read_all(fd, buf, sizeof buf) >= 0);
    assert_string_equal(buf, expected);
    assert_ok(cress_close(fd));
}

/* So many have been accepted, and their handlers have run as far as they can. */
static void accepted(uint64_t count)
{
    while (server.accepted < count)
        assert_ok(cress_sleep(0));
    settle();
    assert_int_equal(server.accepted, count);
}

/* ---- handlers ---------------------------------------------------------------------------- */

/* Sends back a line. */
static void echo(cress_stream *stream, const cress_address *peer, void *self)
{
    char buf[64];
    ssize_t count = cress_stream_read(stream, buf, sizeof buf, 0);

    (void)peer, (void)self;
    if (count > 0)
        cress_stream_write_all(stream, buf, (size_t)count);
}

/* Sleeps as long as it is told, and traces how that went. */
static void sleep_for(cress_stream *stream, const cress_address *peer, void *self)
{
    int result = cress_sleep(*(cress_seconds *)self);

    (void)peer;
    trace("%s at %g", result == 0 ? "slept" : strerrorname_np(errno), cress_now());
    if (result == 0)
        cress_stream_write_all(stream, "done", 4);
}

static void start(cress_stream_handler *handle, void *self)
{
    server.handle = handle;
    server.self = self;
    if (!server.address)
        server.address = "127.0.0.1:0";
    assert_ok(cress_stream_server_start(&server));
}

static void stop(cress_seconds timeout)
{
    assert_ok(cress_stream_server_stop(&server, timeout));
    assert_null(server.service);
    server = (cress_stream_server){ 0 };
}

/* ---- connections --------------------------------------------------------------------------- */

static void test_echo(void)
{
    int clients[20];

    start(echo, NULL);
    assert_int_not_equal(cress_stream_server_port(&server), 0);
    for (int i = 0; i < 20; i++)
        clients[i] = dial();
    for (int i = 0; i < 20; i++)
        assert_int_equal(cress_write(clients[i], "hello", 5), 5);
    for (int i = 0; i < 20; i++)
        says(clients[i], "hello");
    assert_int_equal(server.accepted, 20);
    settle();
    assert_int_equal(cress_stream_server_connections(&server), 0);
    stop(1);
    assert_int_equal(cress_stream_server_port(&server), 0);
    assert_null(cress_stream_server_address(&server));
}

static void tell_peer(cress_stream *stream, const cress_address *peer, void *self)
{
    char text[CRESS_ADDRESS_TEXT], name[64];

    (void)stream;
    trace("%s %s", cress_address_format(peer, text, sizeof text), (char *)self);
    trace("%s", cress_name(cress_self(), name, sizeof name));
}

static void test_handler_gets_the_peer(void)
{
    cress_address own;
    char text[CRESS_ADDRESS_TEXT], expected[512];

    start(tell_peer, "self");

    int fd = dial();

    assert_ok(cress_address_of_socket(fd, &own));
    cress_address_format(&own, text, sizeof text);
    says(fd, "");
    snprintf(expected, sizeof expected, "%s self\nstream %s\n", text, text);
    assert_trace(expected);
    stop(0);
}

static void check_options(cress_stream *stream, const cress_address *peer, void *self)
{
    int fd = cress_watch_fd(&((cress_socket_stream *)stream)->watch), value = 0;
    socklen_t len = sizeof value;

    (void)peer, (void)self;
    assert_ok(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
    assert_int_not_equal(value, 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    trace("checked");
}

static void test_options_of_connections(void)
{
    start(check_options, NULL);
    says(dial(), "");
    assert_trace("checked\n");
    stop(0);
}

/* One who speaks first is not kept waiting by the kernel. */
static void greet(cress_stream *stream, const cress_address *peer, void *self)
{
    (void)peer, (void)self;
    cress_stream_write_all(stream, "hello", 5);
}

static void test_server_speaks_first(void)
{
    start(greet, NULL);
    says(dial(), "hello");
    assert_time(0);
    stop(0);
}

static void test_ipv6(void)
{
    server.address = "[::1]:0";
    server.handle = greet;
    if (cress_stream_server_start(&server) < 0) {
        assert_int_equal(errno, EADDRNOTAVAIL);
        server = (cress_stream_server){ 0 };
        return;
    }
    says(dial(), "hello");
    stop(0);
}

static void failing(cress_stream *stream, const cress_address *peer, void *self)
{
    (void)stream, (void)peer, (void)self;
    cress_fail(EDOM);
}

static void test_failure_is_reported(void)
{
    start(failing, NULL);
    capture_start(2);
    says(dial(), "");
    settle();

    char *said = capture_end();

    assert_non_null(strstr(said, "cress: greenlet stream 127.0.0.1:"));
    assert_non_null(strstr(said, strerror(EDOM)));
    free(said);
    server.handle = greet; /* the others go on */
    says(dial(), "hello");
    stop(0);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void test_accepting_pauses_when_full(void)
{
    cress_seconds span = 1;
    int clients[5];

    server.max = 2;
    start(sleep_for, &span);
    for (int i = 0; i < 5; i++)
        clients[i] = dial(); /* the kernel's backlog takes them */
    accepted(2);
    assert_int_equal(cress_stream_server_connections(&server), 2);
    for (int i = 0; i < 5; i++)
        says(clients[i], "done");
    assert_time(3);
    assert_trace("slept at 1\nslept at 1\nslept at 2\nslept at 2\nslept at 3\n");
    stop(0);
}

static void test_waiting_ones_may_leave(void)
{
    cress_seconds span = 1;

    server.max = 1;
    start(sleep_for, &span);

    int first = dial(), second = dial(), third = dial();

    assert_ok(cress_close(second));
    says(first, "done");
    says(third, "done");
    assert_int_equal(server.accepted, 3);
    stop(0);
    assert_trace("slept at 1\nslept at 2\nslept at 3\n");
}

/* No descriptor is to be had beyond those that are open, one of which is the last. */
static struct rlimit limits;

static void run_out(int last)
{
    struct rlimit low;

    assert_ok(getrlimit(RLIMIT_NOFILE, &limits));
    low = limits;
    low.rlim_cur = (rlim_t)last + 1;
    assert_ok(setrlimit(RLIMIT_NOFILE, &low));
}

static void run_in(void)
{
    assert_ok(setrlimit(RLIMIT_NOFILE, &limits));
}

static void said_once(const char *text)
{
    char *said = capture_end();

    assert_non_null(strstr(said, "cress: stream server 127.0.0.1:"));
    assert_non_null(strstr(said, text));
    assert_ptr_equal(strchr(said, '\n'), strrchr(said, '\n'));
    free(said);
}

/* The one that could not be accepted is served when another ends. */
static void test_descriptors_run_out(void)
{
    cress_seconds span = 0.05;

    start(sleep_for, &span);

    int first = dial();

    accepted(1);
    capture_start(2);

    int second = dial();

    run_out(second);
    says(first, "done"); /* which leaves two */
    assert_time(0.05);
    says(second, "done");
    assert_time(0.1);
    run_in();
    said_once(" pauses, with 1 open: Too many open files\n");
    assert_trace("slept at 0.05\nslept at 0.1\n");
    stop(0);
}

/* It is tried again after 0.1 s, 0.2 ... up to one second; and said once. */
static void test_pauses_become_longer(void)
{
    const struct {
        cress_seconds span;
        unsigned tries;
    } steps[] = {
        { 0.05, 1 }, { 0.1, 2 }, /* at 0.1 */
        { 0.2, 3 },              /* at 0.3 */
        { 1.3, 5 },              /* at 0.7 and 1.5 */
        { 10, 15 },              /* and each second */
    };

    start(greet, NULL);
    capture_start(2);

    int fd = dial();

    run_out(fd);
    fault = (struct fault){ .function = "accept4", .call = UINT32_MAX }; /* counts the tries */
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_ok(cress_sleep(steps[i].span));
        assert_int_equal(fault.calls, steps[i].tries);
    }
    run_in();
    says(fd, "hello");
    fault = (struct fault){ 0 };
    said_once(" pauses, with 0 open: Too many open files\n");
    stop(0);
}

static void test_one_that_was_reset_is_passed_over(void)
{
    int errors[] = { EINTR, ECONNABORTED, EPROTO };

    start(greet, NULL);
    for (size_t i = 0; i < 3; i++) {
        fault = (struct fault){ .function = "accept4", .call = 1, .error = errors[i] };
        says(dial(), "hello");
        assert_true(fault.struck);
    }
    fault = (struct fault){ 0 };
    assert_time(0);
    stop(0);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void test_stop_drains(void)
{
    cress_seconds span = 2;

    start(sleep_for, &span);

    int fd = dial();
    cress_address a = *cress_stream_server_address(&server);

    accepted(1);
    assert_ok(cress_stream_server_stop(&server, 5));
    assert_time(2);
    says(fd, "done");
    assert_trace("slept at 2\n");

    int refused = socket(AF_INET, SOCK_STREAM, 0);

    assert_errno(ECONNREFUSED, cress_connect(refused, (struct sockaddr *)&a.storage, a.len));
    cress_close(refused);
    server = (cress_stream_server){ 0 };
}

static void test_stop_kills_what_is_left(void)
{
    cress_seconds span = CRESS_FOREVER;

    start(sleep_for, &span);

    int fd = dial();

    accepted(1);
    stop(3);
    assert_time(3);
    assert_trace("ECANCELED at 3\n");
    says(fd, "");
}

static void test_stop_at_once(void)
{
    cress_seconds span = CRESS_FOREVER;

    start(sleep_for, &span);

    int fd = dial();

    accepted(1);
    stop(0);
    assert_time(0);
    assert_trace("ECANCELED at 0\n");
    says(fd, "");
}

/* Accepted, and not begun: its socket is closed all the same. */
static void test_stop_before_a_handler_begins(void)
{
    start(greet, NULL);

    int fd = dial();

    while (server.accepted == 0)
        assert_ok(cress_sleep(0));
    stop(0);
    says(fd, "");
}

/* The acceptor has been told that there is a place, and has not run, when it is closed. */
static void test_close_when_a_place_was_given(void)
{
    cress_seconds span = 1;
    char buf[16], *said;

    server.max = 1;
    start(sleep_for, &span);

    int first = dial(), second = dial();

    accepted(1);
    capture_start(2);
    assert_ok(cress_sleep(1)); /* the handler ends */
    assert_ok(cress_sleep(0)); /* it leaves */
    assert_int_equal(cress_stream_server_connections(&server), 0);
    assert_int_equal(server.accepted, 1);
    cress_stream_server_close(&server);
    settle();
    said = capture_end();
    assert_string_equal(said, "");
    free(said);
    assert_int_equal(server.accepted, 1);
    stop(0);
    says(first, "done");
    assert_errno(ECONNRESET, read_all(second, buf, sizeof buf));
    cress_close(second);
    assert_trace("slept at 1\n");
}

static void *stop_after_10(void *arg)
{
    int result = cress_stream_server_stop(&server, 10);

    trace("stop: %s at %g", result == 0 ? "0" : strerrorname_np(errno), cress_now());
    return arg;
}

static void test_a_killed_stop_kills(void)
{
    cress_seconds span = CRESS_FOREVER;

    start(sleep_for, &span);

    int fd = dial();

    accepted(1);

    cress_greenlet *stopper = cress_spawn(stop_after_10, NULL);

    assert_ok(cress_sleep(1));
    assert_ok(cress_kill(stopper, CRESS_FOREVER));
    cress_release(stopper);
    assert_trace("ECANCELED at 1\nstop: ECANCELED at 1\n");
    says(fd, "");
    assert_null(server.service);
    stop(0);
}

static void test_a_limit_over_stop(void)
{
    cress_seconds span = CRESS_FOREVER;
    cress_timeout limit;

    start(sleep_for, &span);

    int fd = dial();

    accepted(1);
    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, cress_stream_server_stop(&server, 10));
    cress_timeout_close(&limit);
    assert_time(2);
    assert_trace("ECANCELED at 2\n");
    says(fd, "");
    stop(0);
}

static void test_two_stops(void)
{
    cress_seconds span = 1;

    start(sleep_for, &span);

    int fd = dial();

    accepted(1);
    spawn(stop_after_10, NULL);
    settle();
    stop(10);
    settle();
    assert_trace("slept at 1\nstop: 0 at 1\n");
    says(fd, "done");
}

static void test_starts_again(void)
{
    for (int i = 0; i < 3; i++) {
        server.address = "127.0.0.1:0";
        server.handle = greet;
        assert_ok(cress_stream_server_start(&server));
        says(dial(), "hello");
        assert_int_equal(server.accepted, 1);
        assert_ok(cress_stream_server_stop(&server, 1));
        assert_ok(cress_stream_server_stop(&server, 1)); /* does nothing */
    }
    server = (cress_stream_server){ 0 };
}

/* ---- serve_forever --------------------------------------------------------------------------- */

static void *serve(void *arg)
{
    int result = cress_stream_server_serve_forever(&server);

    (void)arg;
    trace("serve: %s at %g", result == 0 ? "0" : strerrorname_np(errno), cress_now());
    return NULL;
}

static cress_greenlet *serve_with(cress_stream_handler *handle, void *self)
{
    server.address = "127.0.0.1:0";
    server.handle = handle;
    server.self = self;

    cress_greenlet *g = cress_spawn(serve, NULL);

    settle();
    assert_non_null(server.service);
    return g;
}

static void end_serving(cress_greenlet *g)
{
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    assert_null(server.service);
    server = (cress_stream_server){ 0 };
}

static void close_server(cress_stream *stream, const cress_address *peer, void *self)
{
    (void)peer, (void)self;
    cress_stream_server_close(&server);
    cress_stream_server_close(&server);
    cress_stream_write_all(stream, "bye", 3);
    cress_sleep(0.5);
}

static void test_serves_until_closed(void)
{
    cress_greenlet *g = serve_with(close_server, NULL);

    says(dial(), "bye");
    end_serving(g);
    assert_trace("serve: 0 at 0.5\n");
}

static void test_handlers_have_a_second(void)
{
    cress_seconds span = CRESS_FOREVER;
    cress_greenlet *g = serve_with(sleep_for, &span);
    int fd = dial();

    accepted(1);
    cress_stream_server_close(&server);
    end_serving(g);
    assert_trace("ECANCELED at 1\nserve: 0 at 1\n");
    says(fd, "");
}

static void test_or_no_time(void)
{
    cress_seconds span = CRESS_FOREVER;

    server.stop_timeout = -1;

    cress_greenlet *g = serve_with(sleep_for, &span);
    int fd = dial();

    accepted(1);
    cress_stream_server_close(&server);
    end_serving(g);
    assert_trace("ECANCELED at 0\nserve: 0 at 0\n");
    says(fd, "");
}

static void test_killed_it_drains(void)
{
    cress_seconds span = 0.5;
    cress_greenlet *g = serve_with(sleep_for, &span);
    int fd = dial();

    accepted(1);
    cress_cancel(g);
    end_serving(g);
    assert_trace("slept at 0.5\nserve: ECANCELED at 0.5\n");
    says(fd, "done");
}

static void test_stopped_by_another(void)
{
    cress_seconds span = 0.5;
    cress_greenlet *g = serve_with(sleep_for, &span);
    int fd = dial();

    accepted(1);
    assert_ok(cress_stream_server_stop(&server, 10));
    trace("stopped at %g", cress_now());
    end_serving(g);
    says(fd, "done");
    assert_trace("slept at 0.5\nstopped at 0.5\nserve: 0 at 0.5\n");
}

static void test_serves_what_was_started(void)
{
    start(greet, NULL);

    cress_greenlet *g = cress_spawn(serve, NULL);

    says(dial(), "hello");
    cress_stream_server_close(&server);
    end_serving(g);
    assert_trace("serve: 0 at 0\n");
}

/* ---- listening ----------------------------------------------------------------------------- */

static void test_addresses_that_are_none(void)
{
    const struct {
        const char *text;
        int error;
    } bad[] = {
        { "nonsense", EINVAL },
        { "127.0.0.1:99999", EINVAL },
        { "192.0.2.1:0", EADDRNOTAVAIL },
        { "unix:", EINVAL },
        { "unix:/no/such/folder/s", ENOENT },
    };

    server.handle = greet;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        server.address = bad[i].text;
        assert_errno(bad[i].error, cress_stream_server_start(&server));
        assert_errno(bad[i].error, cress_stream_server_serve_forever(&server));
        assert_null(server.service);
    }
    server = (cress_stream_server){ 0 };
}

static void test_taken_address(void)
{
    cress_stream_server second = { .handle = greet };
    char text[CRESS_ADDRESS_TEXT];

    start(greet, NULL);
    second.address = cress_address_format(cress_stream_server_address(&server), text, sizeof text);
    assert_errno(EADDRINUSE, cress_stream_server_start(&second));
    assert_ok(cress_stream_server_stop(&server, 0));
    assert_ok(cress_stream_server_start(&second)); /* free at once */
    assert_ok(cress_stream_server_stop(&second, 0));
    server = (cress_stream_server){ 0 };
}

static void test_a_socket_that_listens(void)
{
    cress_address a;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* and blocks */

    assert_ok(cress_address_parse("127.0.0.1:0", &a));
    assert_ok(bind(fd, (struct sockaddr *)&a.storage, a.len));
    assert_ok(listen(fd, 5));
    server.handle = greet;
    assert_ok(cress_stream_server_start_on(&server, fd));
    says(dial(), "hello");
    says(dial(), "hello");
    stop(0);
    assert_errno(EBADF, fcntl(fd, F_GETFD));
}

static void test_no_socket(void)
{
    server.handle = greet;
    assert_errno(EBADF, cress_stream_server_start_on(&server, -1));
    assert_errno(ENOTSOCK, cress_stream_server_start_on(&server, 0));
    assert_null(server.service);
    server = (cress_stream_server){ 0 };
}

/* Accepting cannot go on: the server is closed, and says why. */
static void test_a_socket_that_does_not_listen(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char *said;

    server.handle = greet;
    assert_ok(cress_stream_server_start_on(&server, fd));
    capture_start(2);
    assert_errno(EINVAL, cress_stream_server_serve_forever(&server));
    said = capture_end();
    assert_string_equal(said, "cress: greenlet stream server 0.0.0.0:0 failed: Invalid argument\n");
    free(said);
    assert_null(server.service);
    server = (cress_stream_server){ 0 };
}

static void test_unix_socket(void)
{
    char folder[] = "/tmp/cress-stream-XXXXXX", path[64], text[80];

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(text, sizeof text, "unix:%s", path);
    server.address = text;
    start(tell_peer, "over unix");
    assert_int_equal(cress_stream_server_port(&server), 0);
    says(dial(), "");
    assert_trace("unix: over unix\nstream unix:\n");
    assert_ok(access(path, F_OK));
    stop(0);
    assert_errno(ENOENT, access(path, F_OK));
    assert_ok(rmdir(folder));
}

/* ---- memory --------------------------------------------------------------------------------- */

static void test_start_without_memory(void)
{
    server = (cress_stream_server){ .address = "127.0.0.1:0", .handle = greet };
    for (unsigned call = 1;; call++) {
        fault = (struct fault){ .function = call % 2 ? "malloc" : "calloc",
                                .call = (call + 1) / 2,
                                .error = ENOMEM };

        int result = cress_stream_server_start(&server);
        bool struck = fault.struck;

        fault = (struct fault){ 0 };
        if (result == 0) {
            says(dial(), "hello");
            assert_ok(cress_stream_server_stop(&server, 0));
        } else {
            assert_int_equal(errno, ENOMEM);
            assert_null(server.service);
        }
        if (!struck && call > 10)
            break;
    }
    server = (cress_stream_server){ 0 };
}

/* The client sees the end of it; then things go on. */
static void test_connection_without_memory(void)
{
    char buf[16];

    capture_start(2);
    for (unsigned call = 1; call <= 6; call++) {
        start(greet, NULL);

        int fd = dial();

        fault = (struct fault){ .function = "malloc", .call = call, .error = ENOMEM };

        ssize_t count = read_all(fd, buf, sizeof buf);

        fault = (struct fault){ 0 };
        assert_true(count == 0 || count == 5);
        cress_close(fd);
        says(dial(), "hello");
        stop(0);
    }
    free(capture_end());
}

/* ---- TLS ------------------------------------------------------------------------------------ */

static struct certificate authority, localhost;
static cress_tls_context *server_context, *client_context;

static int make_certificates(void **state)
{
    (void)state;
    certificate_make(&authority, &(struct certificate_options){ .name = "authority" });
    certificate_make(&localhost, &(struct certificate_options){ .name = "localhost",
                                                                .names = "DNS:localhost",
                                                                .issuer = &authority });
    server_context = cress_tls_server_context(
        &(cress_tls_options){ .certfile = localhost.certfile, .keyfile = localhost.keyfile });
    client_context =
        cress_tls_client_context(&(cress_tls_options){ .ca_file = authority.certfile });
    return server_context && client_context ? 0 : -1;
}

static int release_contexts(void **state)
{
    (void)state;
    cress_tls_context_release(server_context);
    cress_tls_context_release(client_context);
    return 0;
}

static void start_tls(cress_stream_handler *handle, void *self)
{
    server.tls = server_context;
    start(handle, self);
}

struct tls_client {
    cress_socket_stream socket;
    cress_tls_stream tls;
};

static cress_stream *dial_tls(struct tls_client *client)
{
    cress_socket_stream_init(&client->socket, dial(), NULL);
    assert_ok(cress_tls_client_init(&client->tls, client_context, &client->socket, "localhost"));
    return &client->tls.stream;
}

static void test_tls(void)
{
    struct tls_client client;
    char buf[16] = "";

    start_tls(echo, NULL);

    cress_stream *stream = dial_tls(&client);

    assert_ok(cress_stream_write_all(stream, "hello", 5));
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 5);
    assert_string_equal(buf, "hello");
    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 0); /* with a goodbye */
    cress_stream_close(stream);
    stop(1);
}

static void greet_and_stay(cress_stream *stream, const cress_address *peer, void *self)
{
    (void)peer, (void)self;
    cress_stream_write_all(stream, "hello", 5);
    assert_errno(ECANCELED, cress_sleep(CRESS_FOREVER));
}

/* What a killed handler said is not made to look whole. */
static void test_no_goodbye_of_the_killed(void)
{
    struct tls_client client;
    char buf[16];

    start_tls(greet_and_stay, NULL);

    cress_stream *stream = dial_tls(&client);

    assert_int_equal(cress_stream_read(stream, buf, sizeof buf, 0), 5);
    stop(0);
    assert_errno(ECONNRESET, cress_stream_read(stream, buf, sizeof buf, 0));
    cress_stream_close(stream);
}

static void test_handshake_has_a_limit(void)
{
    char buf[16];

    server.handshake_timeout = 2;
    start_tls(echo, NULL);

    int fd = dial();

    assert_int_equal(read_all(fd, buf, sizeof buf), 0);
    assert_time(2);
    cress_close(fd);
    assert_int_equal(server.failed_handshakes, 1);
    stop(0);

    start_tls(echo, NULL); /* by default */
    fd = dial();
    assert_int_equal(read_all(fd, buf, sizeof buf), 0);
    assert_time(12);
    cress_close(fd);
    stop(0);
}

static void test_not_tls(void)
{
    char buf[64];

    start_tls(echo, NULL);

    int fd = dial();

    assert_int_equal(cress_write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
    read_all(fd, buf, sizeof buf);
    cress_close(fd);
    assert_int_equal(server.failed_handshakes, 1);
    assert_int_equal(server.accepted, 1);
    stop(0);
}

/* ---- peers that are not ours ------------------------------------------------------------------ */

/* HTTP as it was in the beginning: one line, and bytes until the end. */
static void answer(cress_stream *stream, const cress_address *peer, void *self)
{
    char buf[1024];

    (void)peer, (void)self;
    assert_true(cress_stream_read(stream, buf, sizeof buf, 0) > 0);
    assert_memory_equal(buf, "GET / ", 6);
    cress_stream_write_all(stream, "hello", 5);
}

/* Its input stays open, and is empty. */
static void greets(const char *format)
{
    char command[256], output[64];
    int input[2];

    assert_ok(pipe(input));
    assert_ok(fcntl(input[1], F_SETFD, FD_CLOEXEC));
    snprintf(command, sizeof command, format, cress_stream_server_port(&server), input[0]);

    FILE *peer = popen(command, "re");

    assert_non_null(peer);
    assert_true(read_all(fileno(peer), output, sizeof output) >= 0);
    assert_string_equal(output, "hello");
    assert_ok(pclose(peer));
    close(input[0]);
    close(input[1]);
}

static void *greet_real_peers(void *arg)
{
    start(answer, NULL);
    greets("curl -s --http0.9 http://127.0.0.1:%u/ <&%d");
    stop(1);
    start_tls(greet, NULL);
    greets("openssl s_client -quiet -connect 127.0.0.1:%u <&%d 2>/dev/null");
    assert_int_equal(server.failed_handshakes, 0);
    stop(1);
    return arg;
}

static void test_real_peers(void **state)
{
    (void)state;
    assert_ok(cress_run(greet_real_peers, NULL));
}

/* ---- misuse ----------------------------------------------------------------------------------- */

static void *start_twice(void *arg)
{
    start(greet, NULL);
    assert_errno(EBUSY, cress_stream_server_start(&server));
    assert_errno(EBUSY, cress_stream_server_start_on(&server, 0));
    stop(0);
    return arg;
}

static void *start_without_handler(void *arg)
{
    server = (cress_stream_server){ .address = "127.0.0.1:0" };
    assert_errno(EINVAL, cress_stream_server_start(&server));
    assert_errno(EINVAL, cress_stream_server_start_on(&server, 0));
    assert_errno(EINVAL, cress_stream_server_serve_forever(&server));
    return arg;
}

static void stop_own(cress_stream *stream, const cress_address *peer, void *self)
{
    (void)stream, (void)peer, (void)self;
    assert_errno(EDEADLK, cress_stream_server_stop(&server, 1));
    assert_errno(EDEADLK, cress_stream_server_serve_forever(&server));
}

static void *stop_by_handler(void *arg)
{
    start(stop_own, NULL);
    says(dial(), "");
    stop(0);
    return arg;
}

static void wait_in_hub(void)
{
    assert_errno(EPERM, cress_stream_server_stop(&server, 1));
    assert_errno(EPERM, cress_stream_server_serve_forever(&server));
}

static void serve_in_hub(void)
{
    assert_errno(EPERM, cress_stream_server_serve_forever(&server));
    assert_null(cress_stream_server_address(&server));
}

static void *stop_by_the_hub(void *arg)
{
    start(greet, NULL);
    run_in_hub(wait_in_hub);
    assert_non_null(cress_stream_server_address(&server)); /* it still runs */
    stop(0);
    return arg;
}

static void *serve_by_the_hub(void *arg)
{
    server = (cress_stream_server){ .address = "127.0.0.1:0", .handle = greet };
    run_in_hub(serve_in_hub);
    return arg;
}

static void test_misuse(void **state)
{
    (void)state;
    assert_ok(run_virtual(stop_by_the_hub, NULL));
    assert_ok(run_virtual(serve_by_the_hub, NULL));
    assert_misuse(stop_by_the_hub, "cress_stream_server_stop: it runs, and the caller cannot wait");
    assert_misuse(serve_by_the_hub, "cress_stream_server_serve_forever: the caller cannot wait");
    assert_ok(run_virtual(start_twice, NULL));
    assert_ok(run_virtual(start_without_handler, NULL));
    assert_ok(run_virtual(stop_by_handler, NULL));
    assert_misuse(start_twice, "cress_stream_server_start: it runs already");
    assert_misuse(start_without_handler, "cress_stream_server_start: no handler, or no address");
    assert_misuse(stop_by_handler, "cress_stream_server_stop: called by its handler");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_echo),
        HUB_TEST(test_handler_gets_the_peer),
        HUB_TEST(test_options_of_connections),
        HUB_TEST(test_server_speaks_first),
        HUB_TEST(test_ipv6),
        HUB_TEST(test_failure_is_reported),
        HUB_TEST(test_accepting_pauses_when_full),
        HUB_TEST(test_waiting_ones_may_leave),
        HUB_TEST(test_descriptors_run_out),
        HUB_TEST(test_pauses_become_longer),
        HUB_TEST(test_one_that_was_reset_is_passed_over),
        HUB_TEST(test_stop_drains),
        HUB_TEST(test_stop_kills_what_is_left),
        HUB_TEST(test_stop_at_once),
        HUB_TEST(test_stop_before_a_handler_begins),
        HUB_TEST(test_close_when_a_place_was_given),
        HUB_TEST(test_a_killed_stop_kills),
        HUB_TEST(test_a_limit_over_stop),
        HUB_TEST(test_two_stops),
        HUB_TEST(test_starts_again),
        HUB_TEST(test_serves_until_closed),
        HUB_TEST(test_handlers_have_a_second),
        HUB_TEST(test_or_no_time),
        HUB_TEST(test_killed_it_drains),
        HUB_TEST(test_stopped_by_another),
        HUB_TEST(test_serves_what_was_started),
        HUB_TEST(test_addresses_that_are_none),
        HUB_TEST(test_taken_address),
        HUB_TEST(test_a_socket_that_listens),
        HUB_TEST(test_no_socket),
        HUB_TEST(test_a_socket_that_does_not_listen),
        HUB_TEST(test_unix_socket),
        HUB_TEST(test_start_without_memory),
        HUB_TEST(test_connection_without_memory),
        HUB_TEST(test_tls),
        HUB_TEST(test_no_goodbye_of_the_killed),
        HUB_TEST(test_handshake_has_a_limit),
        HUB_TEST(test_not_tls),
        cmocka_unit_test(test_real_peers),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, make_certificates, release_contexts);
}
