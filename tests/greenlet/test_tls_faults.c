/* A conversation over TLS, again and again, with one of its calls failing each time: it
 * comes out as an error or is made up for, leaks nothing, and the next one is as if
 * nothing had been. OpenSSL's own allocations are not met here. */
#define _GNU_SOURCE
#include "certificates.h"
#include "faults.h"
#include "hub_test.h"

#include <cress/timeout.h>
#include <cress/tls.h>

enum { MOST_CALLS = 500, LARGE = 400000 };

static struct certificate authority, localhost, other;
static char large[LARGE];

struct side {
    cress_socket_stream socket;
    cress_tls_stream tls;
    bool open;
};

struct talk {
    cress_tls_context *server_context, *client_context;
    struct side server, client;
    int server_error;
};

static int make_contexts(struct talk *talk)
{
    talk->server_context = cress_tls_server_context(&(cress_tls_options){
        .certfile = localhost.certfile, .keyfile = localhost.keyfile, .alpn = "b,a" });
    if (!talk->server_context ||
        cress_tls_add_certificate(talk->server_context, other.certfile, other.keyfile) < 0)
        return -1;
    talk->client_context = cress_tls_client_context(
        &(cress_tls_options){ .ca_file = authority.certfile, .alpn = "a" });
    return talk->client_context ? 0 : -1;
}

static void close_side(struct side *side)
{
    if (side->open)
        cress_stream_close(&side->tls.stream);
    else
        cress_stream_close(&side->socket.stream);
}

static int open_sides(struct talk *talk)
{
    int ends[2];

    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
    cress_socket_stream_init(&talk->server.socket, ends[0], NULL);
    cress_socket_stream_init(&talk->client.socket, ends[1], NULL);
    talk->server.open =
        cress_tls_server_init(&talk->server.tls, talk->server_context, &talk->server.socket) == 0;
    if (!talk->server.open)
        return -1;
    talk->client.open = cress_tls_client_init(&talk->client.tls, talk->client_context,
                                              &talk->client.socket, "localhost") == 0;
    return talk->client.open ? 0 : -1;
}

static int answer(cress_stream *stream)
{
    char buf[64];
    struct iovec pieces[] = { { buf, 8 }, { large, LARGE }, { buf, 8 } };

    return cress_stream_read(stream, buf, sizeof buf, 0) == 8 &&
                   cress_stream_writev(stream, pieces, 3, 0) == LARGE + 16 &&
                   cress_stream_shutdown(stream) == 0
               ? 0
               : -1;
}

/* Closes at once when something is wrong, so that the client does not wait for ever. */
static void *serve(void *arg)
{
    struct talk *talk = arg;

    if (answer(&talk->server.tls.stream) < 0) {
        talk->server_error = errno;
        close_side(&talk->server);
    }
    return NULL;
}

static int ask(struct talk *talk)
{
    static char buf[LARGE + 16];
    cress_stream *stream = &talk->client.tls.stream;
    size_t at = 0;
    ssize_t count;

    if (cress_tls_handshake(&talk->client.tls, 0) < 0 ||
        cress_stream_write_all(stream, "question", 8) < 0)
        return -1;
    assert_string_equal(cress_tls_alpn(&talk->client.tls), "a");
    while ((count = cress_stream_read(stream, buf + at, sizeof buf - at + (at == sizeof buf), 0)) >
           0)
        at += (size_t)count;
    if (count == 0)
        assert_memory_equal(buf + 8, large, LARGE);
    cress_tls_session_release(cress_tls_session_take(&talk->client.tls));
    return (int)count;
}

static int converse(struct talk *talk)
{
    if (open_sides(talk) < 0)
        return -1;
    cress_greenlet *g = cress_spawn(serve, talk);
    if (!g)
        return -1;
    int result = ask(talk), error = errno;
    close_side(&talk->client);
    cress_join(g, CRESS_FOREVER);
    cress_release(g);
    errno = error;
    return result;
}

/* Stores the client's error, or that of setting it up. */
static void *run_talk(void *ret_error)
{
    struct talk talk = { 0 };
    int result = make_contexts(&talk);

    if (result == 0) {
        result = converse(&talk);
        int error = errno;
        if (talk.client.tls.error != EBADF) /* not closed after its question */
            close_side(&talk.client);
        if (talk.server_error == 0)
            close_side(&talk.server);
        errno = error;
    }
    *(int *)ret_error = result < 0 ? errno : 0;
    cress_tls_context_release(talk.server_context);
    cress_tls_context_release(talk.client_context);
    return NULL;
}

static int whole_talk(void)
{
    int error = 0;

    if (run_virtual(run_talk, &error) < 0)
        return -1;
    errno = error;
    return error ? -1 : 0;
}

static bool is_expected(int error, int injected)
{
    return error == injected || error == ENOMEM || error == ECONNRESET || error == EPIPE;
}

/* True: the talk made that many calls. */
static bool try_fault(const struct fault *planned)
{
    fault = *planned;
    int result = whole_talk(), error = errno;
    bool struck = fault.struck;
    fault = (struct fault){ 0 };

    if (result < 0 && !(struck && is_expected(error, planned->error)))
        fail_msg("call %u of %s failed with %s, and what came out is %s", planned->call,
                 planned->function, strerrorname_np(planned->error), strerrorname_np(error));
    if (struck && whole_talk() < 0)
        fail_msg("not usable after call %u of %s failed: %m", planned->call, planned->function);
    return struck;
}

static void try_every_call(const char *function, int error)
{
    struct fault planned = { .function = function, .call = 1, .error = error };

    while (try_fault(&planned))
        if (++planned.call > MOST_CALLS)
            fail_msg("%s is called without end", function);
    assert_true(planned.call > 1);
}

static int make_certificates(void **state)
{
    (void)state;
    certificate_make(&authority, &(struct certificate_options){ .name = "authority" });
    certificate_make(&localhost, &(struct certificate_options){ .name = "localhost",
                                                                .names = "DNS:localhost",
                                                                .issuer = &authority });
    certificate_make(&other, &(struct certificate_options){
                                 .name = "other", .names = "DNS:other", .issuer = &authority });
    return 0;
}

static void test_no_fault(void **state)
{
    (void)state;
    assert_ok(whole_talk());
}

static void test_memory(void **state)
{
    (void)state;
    try_every_call("malloc", ENOMEM);
    try_every_call("calloc", ENOMEM);
    try_every_call("realloc", ENOMEM);
    try_every_call("strdup", ENOMEM);
}

static void test_socket(void **state)
{
    (void)state;
    try_every_call("recv", ECONNRESET);
    try_every_call("send", EPIPE);
    try_every_call("send", EIO);
}

static void test_interrupted_and_premature_calls_are_made_again(void **state)
{
    (void)state;
    try_every_call("recv", EINTR);
    try_every_call("recv", EAGAIN);
    try_every_call("send", EINTR);
    try_every_call("send", EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fault),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_interrupted_and_premature_calls_are_made_again),
    };

    return cmocka_run_group_tests(tests, make_certificates, NULL);
}
