/* Both sides of TLS streams in one hub, over socketpairs; peers that keep to nothing
 * write into the socket by themselves. */
#define _GNU_SOURCE
#include "certificates.h"
#include "hub_test.h"

#include <cress/io.h>
#include <cress/simulation.h>
#include <cress/timeout.h>
#include <cress/tls.h>

#include <openssl/ssl.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 1 << 20, RECORD = 16384 };

static struct certificate authority, stranger, localhost, other, expired, future;
static cress_tls_context *server_context, *client_context;
static char big[BIG], received[BIG];

struct side {
    cress_socket_stream socket;
    cress_tls_stream tls;
    cress_stream *stream;
    int result, error;
    size_t count;
};
static struct side server, client;
static int raw; /* in place of one side */

/* ---- both sides ------------------------------------------------------------------------ */

static int make_authorities(void **state)
{
    (void)state;
    certificate_make(&authority, &(struct certificate_options){ .name = "authority" });
    certificate_make(&stranger, &(struct certificate_options){ .name = "stranger" });
    certificate_make(&localhost, &(struct certificate_options){
                                     .name = "localhost",
                                     .names = "DNS:localhost,IP:127.0.0.1,IP:::1",
                                     .issuer = &authority,
                                 });
    certificate_make(&other, &(struct certificate_options){
                                 .name = "other",
                                 .names = "DNS:other.example,DNS:*.wild.example",
                                 .issuer = &authority,
                             });
    certificate_make(&expired, &(struct certificate_options){ .name = "expired",
                                                              .names = "DNS:localhost",
                                                              .issuer = &authority,
                                                              .begins = -2 * DAY,
                                                              .ends = -DAY });
    certificate_make(&future, &(struct certificate_options){ .name = "future",
                                                             .names = "DNS:localhost",
                                                             .issuer = &authority,
                                                             .begins = DAY,
                                                             .ends = 2 * DAY });
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 + (i >> 12));
    return 0;
}

static cress_tls_context *serving(const struct certificate *c)
{
    cress_tls_context *context = cress_tls_server_context(
        &(cress_tls_options){ .certfile = c->certfile, .keyfile = c->keyfile });

    assert_non_null(context);
    return context;
}

static cress_tls_context *trusting(const struct certificate *c)
{
    cress_tls_context *context =
        cress_tls_client_context(&(cress_tls_options){ .ca_file = c->certfile });

    assert_non_null(context);
    return context;
}

static int make_contexts(void **state)
{
    (void)state;
    server_context = serving(&localhost);
    client_context = trusting(&authority);
    return 0;
}

static int release_contexts(void **state)
{
    (void)state;
    cress_tls_context_release(server_context);
    cress_tls_context_release(client_context);
    return 0;
}

static void open_sockets(int ends[2])
{
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
}

static void open_server(int fd)
{
    server = (struct side){ .stream = &server.tls.stream };
    cress_socket_stream_init(&server.socket, fd, NULL);
    assert_ok(cress_tls_server_init(&server.tls, server_context, &server.socket));
}

static void open_client(int fd, const char *host)
{
    client = (struct side){ .stream = &client.tls.stream };
    cress_socket_stream_init(&client.socket, fd, NULL);
    assert_ok(cress_tls_client_init(&client.tls, client_context, &client.socket, host));
}

static void open_both(const char *host)
{
    int ends[2];

    open_sockets(ends);
    open_server(ends[0]);
    open_client(ends[1], host);
}

static void open_server_only(void)
{
    int ends[2];

    open_sockets(ends);
    open_server(ends[0]);
    raw = ends[1];
}

static void open_client_only(void)
{
    int ends[2];

    open_sockets(ends);
    open_client(ends[0], "localhost");
    raw = ends[1];
}

static void close_both(void)
{
    cress_stream_close(client.stream);
    cress_stream_close(server.stream);
}

static void *shake_hands(void *arg)
{
    struct side *side = arg;

    side->result = cress_tls_handshake(&side->tls, 0);
    side->error = side->result < 0 ? errno : 0;
    return NULL;
}

static void shake_both(void)
{
    cress_greenlet *g = cress_spawn(shake_hands, &server);

    shake_hands(&client);
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
}

static void agree(void)
{
    shake_both();
    assert_int_equal(client.error, 0);
    assert_int_equal(server.error, 0);
}

static void connect_both(void)
{
    open_both("localhost");
    agree();
}

/* One handshake that the client, the server or both find wrong. */
static void disagree(int client_error, int server_error)
{
    shake_both();
    assert_int_equal(client.error, client_error);
    /* A client of TLS 1.3 is done before its server has judged it: it is told later. */
    if (client_error == 0)
        assert_errno(EPROTO, cress_stream_read(client.stream, received, 1, 0));
    assert_int_equal(server.error, server_error);
}

/* Says something one way, and reads it on the other side. */
static void say(cress_stream *from, cress_stream *to, const char *text)
{
    char buf[64] = "";

    assert_ok(cress_stream_write_all(from, text, strlen(text)));
    assert_int_equal(cress_stream_read(to, buf, sizeof buf, 0), strlen(text));
    assert_string_equal(buf, text);
}

static void converse(void)
{
    say(client.stream, server.stream, "question");
    say(server.stream, client.stream, "answer");
}

/* ---- the handshake ------------------------------------------------------------------------- */

static void test_handshake(void)
{
    open_both("localhost");
    assert_string_equal(cress_tls_version(&client.tls), "");
    agree();
    assert_string_equal(cress_tls_version(&client.tls), "TLSv1.3");
    assert_string_equal(cress_tls_version(&server.tls), "TLSv1.3");
    assert_string_equal(cress_tls_cipher(&client.tls), cress_tls_cipher(&server.tls));
    assert_string_equal(cress_tls_server_name(&server.tls), "localhost");
    assert_string_equal(cress_tls_error(&client.tls), "");
    assert_ok(cress_tls_handshake(&client.tls, 0)); /* nothing left to do */
    converse();
    close_both();
}

static void *echo(void *arg)
{
    struct side *side = arg;
    char buf[64];
    ssize_t count;

    while ((count = cress_stream_read(side->stream, buf, sizeof buf, 0)) > 0)
        assert_ok(cress_stream_write_all(side->stream, buf, (size_t)count));
    side->result = (int)count;
    assert_ok(cress_stream_shutdown(side->stream));
    return NULL;
}

static void test_reading_and_writing_shake_hands(void)
{
    char buf[16] = "";

    open_both("localhost");
    spawn(echo, &server);
    assert_ok(cress_stream_write_all(client.stream, "hello", 5));
    assert_int_equal(cress_stream_read(client.stream, buf, 16, 0), 5);
    assert_string_equal(buf, "hello");
    assert_ok(cress_stream_shutdown(client.stream));
    assert_int_equal(cress_stream_read(client.stream, buf, 16, 0), 0);
    assert_int_equal(server.result, 0);
    close_both();
}

static void test_handshake_without_waiting(void)
{
    int server_steps = 0, client_steps = 0;

    open_both("localhost");
    assert_errno(EAGAIN, cress_tls_handshake(&server.tls, CRESS_STREAM_DONTWAIT));
    while (cress_tls_handshake(&client.tls, CRESS_STREAM_DONTWAIT) < 0) {
        assert_int_equal(errno, EAGAIN);
        assert_true(++client_steps < 10);
        if (cress_tls_handshake(&server.tls, CRESS_STREAM_DONTWAIT) < 0)
            server_steps++;
    }
    assert_ok(cress_tls_handshake(&server.tls, CRESS_STREAM_DONTWAIT));
    assert_true(server_steps > 0);
    converse();
    close_both();
}

static void test_version_1_2(void)
{
    open_both("localhost");
    SSL_set_max_proto_version(cress_tls_handle(&client.tls), TLS1_2_VERSION);
    agree();
    assert_string_equal(cress_tls_version(&server.tls), "TLSv1.2");
    converse();
    close_both();
}

static void test_version_1_1_is_refused(void)
{
    open_both("localhost");
    SSL *ssl = cress_tls_handle(&client.tls);
    SSL_set_security_level(ssl, 0);
    SSL_set_min_proto_version(ssl, TLS1_VERSION);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    disagree(EPROTO, EPROTO);
    assert_string_equal(cress_tls_error(&server.tls), "unsupported protocol");
    assert_string_equal(cress_tls_error(&client.tls), "tlsv1 alert protocol version");
    close_both();
}

/* Through which only one byte passes at a time. */
struct relay {
    int from, to;
};

static void *relay_bytes(void *arg)
{
    const struct relay *relay = arg;
    char byte;

    while (cress_read(relay->from, &byte, 1) == 1)
        assert_int_equal(cress_write(relay->to, &byte, 1), 1);
    shutdown(relay->to, SHUT_WR);
    return NULL;
}

static void test_byte_by_byte(void)
{
    int left[2], right[2];

    open_sockets(left);
    open_sockets(right);
    open_server(left[0]);
    open_client(right[0], "localhost");
    struct relay in = { right[1], left[1] }, out = { left[1], right[1] };
    spawn(relay_bytes, &in);
    spawn(relay_bytes, &out);
    agree();
    converse();
    close_both();
    settle();
    assert_ok(cress_close(left[1]));
    assert_ok(cress_close(right[1]));
}

static void *answer_after_3(void *arg)
{
    assert_ok(cress_sleep(3));
    return shake_hands(arg);
}

static void test_handshake_is_limited(void)
{
    cress_timeout limit;

    open_both("localhost");
    spawn(answer_after_3, &server);
    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, cress_tls_handshake(&client.tls, 0));
    cress_timeout_close(&limit);
    assert_time(2);
    assert_ok(cress_tls_handshake(&client.tls, 0)); /* nothing is lost */
    assert_time(3);
    settle();
    converse();
    close_both();
}

static void test_kill_during_handshake(void)
{
    open_client_only();
    cress_greenlet *g = cress_spawn(shake_hands, &client);
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_int_equal(client.error, ECANCELED);
    cress_release(g);
    cress_stream_close(client.stream);
    assert_ok(cress_close(raw));
}

/* ---- peers that are none --------------------------------------------------------------------- */

static void send_raw(const char *bytes, size_t len)
{
    assert_int_equal(cress_write(raw, bytes, len), len);
}

static void test_garbage(void)
{
    open_server_only();
    send_raw("\x80\x01garbage, and more of it", 24);
    assert_errno(EPROTO, cress_tls_handshake(&server.tls, 0));
    assert_true(*cress_tls_error(&server.tls));
    assert_errno(EPROTO, cress_stream_read(server.stream, received, 1, 0)); /* it stays */
    assert_errno(EPROTO, cress_stream_write_all(server.stream, "x", 1));
    assert_ok(cress_stream_shutdown(server.stream));
    cress_stream_close(server.stream);
    assert_ok(cress_close(raw));
}

static void test_garbage_from_a_server(void)
{
    open_client_only();
    send_raw("220 mail.example ESMTP\r\n", 24);
    assert_errno(EPROTO, cress_tls_handshake(&client.tls, 0));
    assert_string_equal(cress_tls_error(&client.tls), "wrong version number");
    cress_stream_close(client.stream);
    assert_ok(cress_close(raw));
}

static void test_plain_http(void)
{
    open_server_only();
    send_raw("GET / HTTP/1.1\r\n\r\n", 18);
    assert_errno(EPROTOTYPE, cress_tls_handshake(&server.tls, 0));
    assert_string_equal(cress_tls_error(&server.tls), "a plain HTTP request");
    assert_ok(cress_stream_write_all(&server.socket.stream, "400", 3));
    cress_stream_close(server.stream);
    assert_int_equal(cress_read(raw, received, 64), 3); /* and no alert before */
    assert_ok(cress_close(raw));
}

static void test_peer_leaves_during_handshake(void)
{
    open_server_only();
    assert_ok(cress_close(raw));
    assert_errno(ECONNRESET, cress_tls_handshake(&server.tls, 0));
    assert_string_equal(cress_tls_error(&server.tls), "the connection ended during the handshake");
    cress_stream_close(server.stream);
}

/* ---- verification ------------------------------------------------------------------------------- */

static void use(cress_tls_context **which, cress_tls_context *instead)
{
    assert_non_null(instead);
    cress_tls_context_release(*which);
    *which = instead;
}

static void refuses_certificate(const struct certificate *c, const char *host, const char *why)
{
    use(&server_context, serving(c));
    open_both(host);
    disagree(EKEYREJECTED, EPROTO);
    assert_string_equal(cress_tls_error(&client.tls), why);
    close_both();
}

static void test_bad_certificates(void)
{
    refuses_certificate(&expired, "localhost", "certificate has expired");
    refuses_certificate(&future, "localhost", "certificate is not yet valid");
    refuses_certificate(&other, "localhost", "hostname mismatch");
    refuses_certificate(&other, "a.b.wild.example", "hostname mismatch");
    refuses_certificate(&localhost, "127.0.0.2", "IP address mismatch");
    refuses_certificate(&stranger, "stranger", "self-signed certificate");
}

static void test_unknown_issuer(void)
{
    use(&client_context, trusting(&stranger));
    refuses_certificate(&localhost, "localhost", "unable to get local issuer certificate");
}

static void test_system_store_does_not_know_it(void)
{
    use(&client_context, cress_tls_client_context(&(cress_tls_options){ 0 }));
    refuses_certificate(&localhost, "localhost", "unable to get local issuer certificate");
}

static void accepts(const char *host)
{
    open_both(host);
    agree();
    converse();
    close_both();
}

static void test_addresses(void)
{
    accepts("127.0.0.1");
    accepts("::1");
    accepts("localhost");
    use(&server_context, serving(&other));
    accepts("other.example");
    accepts("a.wild.example");
}

static void test_insecure(void)
{
    use(&client_context, cress_tls_client_context(&(cress_tls_options){ .insecure = true }));
    accepts("wrong.example");
    accepts(NULL);
    use(&server_context, serving(&expired));
    accepts("localhost");
}

static cress_tls_context *demanding(void)
{
    return cress_tls_server_context(&(cress_tls_options){ .certfile = localhost.certfile,
                                                          .keyfile = localhost.keyfile,
                                                          .ca_file = authority.certfile });
}

static cress_tls_context *showing(const struct certificate *c)
{
    return cress_tls_client_context(&(cress_tls_options){
        .ca_file = authority.certfile, .certfile = c->certfile, .keyfile = c->keyfile });
}

static void test_client_certificates(void)
{
    use(&server_context, demanding());
    open_both("localhost");
    disagree(0, EKEYREJECTED);
    assert_string_equal(cress_tls_error(&server.tls), "peer did not return a certificate");
    close_both();
    use(&client_context, showing(&stranger));
    open_both("localhost");
    disagree(0, EKEYREJECTED);
    assert_string_equal(cress_tls_error(&server.tls), "self-signed certificate");
    close_both();
    use(&client_context, showing(&other));
    accepts("localhost");
}

/* ---- names and protocols -------------------------------------------------------------------------- */

static void test_certificate_by_name(void)
{
    assert_ok(cress_tls_add_certificate(server_context, other.certfile, other.keyfile));
    accepts("localhost");
    accepts("other.example");
    accepts("b.wild.example");
    open_both("nobody.example");
    disagree(EKEYREJECTED, EPROTO);
    close_both();
}

static cress_tls_context *speaking(const char *server_alpn, const char *client_alpn)
{
    use(&server_context,
        cress_tls_server_context(&(cress_tls_options){
            .certfile = localhost.certfile, .keyfile = localhost.keyfile, .alpn = server_alpn }));
    return cress_tls_client_context(
        &(cress_tls_options){ .ca_file = authority.certfile, .alpn = client_alpn });
}

static void agrees_on(const char *server_alpn, const char *client_alpn, const char *protocol)
{
    use(&client_context, speaking(server_alpn, client_alpn));
    open_both("localhost");
    agree();
    assert_string_equal(cress_tls_alpn(&client.tls), protocol);
    assert_string_equal(cress_tls_alpn(&server.tls), protocol);
    close_both();
}

static void test_alpn(void)
{
    agrees_on("h2,http/1.1", "http/1.1,h2", "h2");
    agrees_on("http/1.1", "h2,http/1.1", "http/1.1");
    agrees_on(NULL, "h2", "");
    agrees_on("h2", NULL, "");
    use(&client_context, speaking("http/1.1", "h2"));
    open_both("localhost");
    disagree(EPROTO, EPROTO);
    assert_string_equal(cress_tls_error(&client.tls), "tlsv1 alert no application protocol");
    close_both();
}

/* ---- contexts ---------------------------------------------------------------------------------------- */

static void refused(int error, const char *why, const cress_tls_options *options)
{
    errno = 0;
    assert_null(cress_tls_server_context(options));
    assert_int_equal(errno, error);
    assert_string_equal(cress_tls_context_error(), why);
}

#define REFUSED(error, why, ...) refused(error, why, &(cress_tls_options){ __VA_ARGS__ })

static const char *line(const char *format, ...)
{
    static char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

static void test_bad_contexts(void)
{
    const char *empty = certificate_file("empty", ""), *junk = certificate_file("junk", "junk");
    const char *locked = certificate_locked_key(&localhost, "secret");
    const char *cert = localhost.certfile, *key = localhost.keyfile;

    REFUSED(EINVAL, "a server needs a certificate", .ciphers = NULL);
    REFUSED(ENOENT, "/nowhere/x: No such file or directory", .certfile = "/nowhere/x");
    REFUSED(ENOENT, "/nowhere/x: No such file or directory", .certfile = cert,
            .keyfile = "/nowhere/x");
    REFUSED(EBADMSG, line("%s: is empty", empty), .certfile = empty);
    REFUSED(EBADMSG, line("%s: not a certificate in PEM: no start line", junk), .certfile = junk);
    REFUSED(EBADMSG, line("%s: not a private key in PEM without a passphrase", cert),
            .certfile = cert);
    REFUSED(EBADMSG, line("%s: not a private key in PEM without a passphrase", locked),
            .certfile = cert, .keyfile = locked);
    REFUSED(EKEYREJECTED, line("%s: not the key of %s", other.keyfile, cert), .certfile = cert,
            .keyfile = other.keyfile);
    REFUSED(EBADMSG, line("%s: not certificates in PEM", junk), .certfile = cert, .keyfile = key,
            .ca_file = junk);
    REFUSED(EINVAL, "ciphers: \"nonsense\" names none that can be used", .certfile = cert,
            .keyfile = key, .ciphers = "nonsense");
    REFUSED(EINVAL, "alpn: \",h2\" is not a list of protocols", .certfile = cert, .keyfile = key,
            .alpn = "http/1.1,,h2");
    assert_errno(EKEYREJECTED,
                 cress_tls_add_certificate(server_context, other.certfile, localhost.keyfile));
    assert_errno(ENOENT, cress_tls_add_certificate(server_context, "/nowhere/x", NULL));
    accepts("localhost"); /* as before */
}

static void test_ciphers(void)
{
    use(&server_context, cress_tls_server_context(
                             &(cress_tls_options){ .certfile = localhost.certfile,
                                                   .keyfile = localhost.keyfile,
                                                   .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" }));
    open_both("localhost");
    SSL_set_max_proto_version(cress_tls_handle(&client.tls), TLS1_2_VERSION);
    agree();
    assert_string_equal(cress_tls_cipher(&server.tls), "ECDHE-ECDSA-CHACHA20-POLY1305");
    close_both();
}

static void test_suites_of_1_3(void)
{
    connect_both();
    assert_string_equal(cress_tls_cipher(&server.tls), "TLS_AES_128_GCM_SHA256");
    close_both();
    open_both("localhost");
    SSL_set_ciphersuites(cress_tls_handle(&client.tls), "TLS_AES_256_GCM_SHA384");
    agree();
    assert_string_equal(cress_tls_cipher(&server.tls), "TLS_AES_256_GCM_SHA384");
    close_both();
    open_both("localhost"); /* the client's first: it has no AES in hardware */
    SSL_set_ciphersuites(cress_tls_handle(&client.tls),
                         "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
    agree();
    assert_string_equal(cress_tls_cipher(&server.tls), "TLS_CHACHA20_POLY1305_SHA256");
    close_both();
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

static void *write_big(void *arg)
{
    struct side *side = arg;

    side->result = cress_stream_write_all(side->stream, big, BIG);
    assert_ok(cress_stream_shutdown(side->stream));
    return NULL;
}

/* To its end, in pieces of all sizes. */
static void read_big(struct side *side)
{
    enum { MOST = 40000 };
    char *buf = malloc(MOST);
    ssize_t count;

    side->count = 0;
    for (size_t size = 1; (count = cress_stream_read(side->stream, buf, size, 0)) > 0;
         size = (size * 7 + 1) % MOST + 1) {
        assert_true(side->count + (size_t)count <= BIG);
        assert_memory_equal(buf, big + side->count, (size_t)count);
        side->count += (size_t)count;
    }
    free(buf);
    assert_int_equal(count, 0);
    assert_int_equal(side->count, BIG);
}

static void *read_big_of(void *arg)
{
    read_big(arg);
    return NULL;
}

static void test_both_ways_at_once(void)
{
    connect_both();
    cress_greenlet *all[] = { cress_spawn(write_big, &server), cress_spawn(write_big, &client),
                              cress_spawn(read_big_of, &server),
                              cress_spawn(read_big_of, &client) };
    assert_ok(cress_joinall(all, 4, CRESS_FOREVER));
    for (int i = 0; i < 4; i++)
        cress_release(all[i]);
    assert_int_equal(server.result + client.result, 0);
    close_both();
}

static void test_both_ways_without_a_handshake_before(void)
{
    open_both("localhost");
    cress_greenlet *all[] = { cress_spawn(read_big_of, &server), cress_spawn(write_big, &server),
                              cress_spawn(write_big, &client), cress_spawn(read_big_of, &client) };
    assert_ok(cress_joinall(all, 4, CRESS_FOREVER));
    for (int i = 0; i < 4; i++)
        cress_release(all[i]);
    close_both();
}

static size_t turns;

static void *count_turns(void *arg)
{
    while (cress_sleep(0) == 0)
        turns++;
    return arg;
}

static size_t move(int server_flags, int client_flags)
{
    struct iovec piece = { big, 64 << 10 };
    size_t before = turns;

    for (size_t all = 0; all < BIG; all += piece.iov_len) {
        assert_int_equal(cress_stream_writev(server.stream, &piece, 1, server_flags),
                         piece.iov_len);
        for (size_t at = 0; at < piece.iov_len;) {
            ssize_t got = cress_stream_read(client.stream, received, piece.iov_len, client_flags);
            assert_true(got > 0);
            at += (size_t)got;
        }
    }
    return turns - before;
}

/* Who never has to wait lets others run, the sooner the more bytes there are in each call. */
static void test_a_fast_other_side(void)
{
    connect_both();
    cress_greenlet *g = cress_spawn(count_turns, NULL);
    assert_ok(cress_sleep(0));
    assert_true(move(0, CRESS_STREAM_DONTWAIT) >= BIG / (256 << 10));
    assert_true(move(CRESS_STREAM_DONTWAIT, 0) >= BIG / (256 << 10));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    close_both();
}

static void *write_letters(void *arg)
{
    const char *letter = arg;
    char *text = malloc(3 * RECORD);

    memset(text, *letter, 3 * RECORD);
    for (int i = 0; i < 4; i++) {
        struct iovec halves[] = { { text, RECORD }, { text, 2 * RECORD } };
        assert_int_equal(cress_stream_writev(server.stream, halves, 2, 0), 3 * RECORD);
    }
    free(text);
    return NULL;
}

static void test_writers_take_turns(void)
{
    static const char expected[] = "abcabcabcabc";
    int small = 4096;

    connect_both();
    assert_ok(setsockopt(cress_watch_fd(&server.socket.watch), SOL_SOCKET, SO_SNDBUF, &small,
                         sizeof small));
    spawn(write_letters, "a");
    spawn(write_letters, "b");
    spawn(write_letters, "c");
    for (size_t at = 0; at < 12 * 3 * RECORD;) {
        size_t left = 3 * RECORD - at % (3 * RECORD);
        ssize_t count = cress_stream_read(client.stream, received, left < 5000 ? left : 5000, 0);
        assert_true(count > 0);
        for (ssize_t i = 0; i < count; i++)
            assert_int_equal(received[i], expected[at / (3 * RECORD)]);
        at += (size_t)count;
    }
    close_both();
}

static void test_write_without_waiting(void)
{
    size_t total = 0;
    ssize_t count;
    struct iovec piece = { big, 50000 };

    connect_both();
    while ((count = cress_stream_writev(server.stream, &piece, 1, CRESS_STREAM_DONTWAIT)) > 0) {
        total += (size_t)count;
        assert_true(total + 50000 < BIG);
        piece.iov_base = big + total;
    }
    assert_int_equal(errno, EAGAIN);
    /* Nobody calls for the server's side: the hub hands on what it keeps. */
    for (size_t at = 0; at < total; at += (size_t)count) {
        count = cress_stream_read(client.stream, received, 10000, 0);
        assert_true(count > 0);
        assert_memory_equal(received, big + at, (size_t)count);
    }
    assert_errno(EAGAIN, cress_stream_read(client.stream, received, 1, CRESS_STREAM_DONTWAIT));
    converse(); /* another content than was refused */
    close_both();
}

static void test_write_is_limited(void)
{
    cress_timeout limit;

    connect_both();
    cress_timeout_start(&limit, 2);
    ssize_t count = cress_stream_writev(server.stream, &(struct iovec){ big, BIG }, 1, 0);
    assert_true(count > 0 && count < BIG);
    assert_errno(ETIMEDOUT, cress_stream_writev(server.stream, &(struct iovec){ big, 1 }, 1, 0));
    cress_timeout_close(&limit);
    assert_time(2);
    for (size_t at = 0; at < (size_t)count;) {
        ssize_t got = cress_stream_read(client.stream, received, BIG, 0);
        assert_true(got > 0);
        assert_memory_equal(received, big + at, (size_t)got);
        at += (size_t)got;
    }
    converse();
    close_both();
}

/* Counts data records as they come in. */
static void count_records(int write_p, int version, int type, const void *buf, size_t len, SSL *ssl,
                          void *arg)
{
    const unsigned char *header = buf;

    (void)version, (void)ssl, (void)len;
    if (!write_p && type == SSL3_RT_HEADER && header[0] == SSL3_RT_APPLICATION_DATA)
        ++*(int *)arg;
}

static void test_small_pieces_share_a_record(void)
{
    struct iovec pieces[] = {
        { (char[]){ "HTTP/1.1 200 OK\r\n\r\n" }, 19 },
        { NULL, 0 },
        { big, 100 },
        { big, 16000 },
        { (char[]){ "tail" }, 4 },
    };
    int records = 0;

    connect_both();
    converse(); /* past the tickets */
    SSL_set_msg_callback(cress_tls_handle(&client.tls), count_records);
    SSL_set_msg_callback_arg(cress_tls_handle(&client.tls), &records);
    assert_int_equal(cress_stream_writev(server.stream, pieces, 5, 0), 16123);
    assert_int_equal(cress_stream_read(client.stream, received, BIG, 0), 16123);
    assert_int_equal(records, 1);
    assert_memory_equal(received, "HTTP/1.1 200 OK\r\n\r\n", 19);
    assert_memory_equal(received + 119, big, 16000);
    assert_memory_equal(received + 16119, "tail", 4);
    pieces[3].iov_len = 40000;
    assert_int_equal(cress_stream_writev(server.stream, pieces, 5, 0), 40123);
    for (size_t at = 0; at < 40123;)
        at += (size_t)cress_stream_read(client.stream, received, BIG, 0);
    assert_int_equal(records, 4);
    close_both();
}

/* What the kernel holds for a side to read. */
static int arrived(const struct side *side)
{
    int bytes;

    assert_ok(ioctl(cress_watch_fd(&side->socket.watch), FIONREAD, &bytes));
    return bytes;
}

static void test_tickets_wait_for_the_answer(void)
{
    connect_both();
    assert_int_equal(arrived(&client), 0);
    say(server.stream, client.stream, "answer");
    assert_int_equal(arrived(&client), 0);
    close_both();

    connect_both(); /* but not longer than for the question */
    assert_errno(EAGAIN, cress_stream_read(server.stream, received, 1, CRESS_STREAM_DONTWAIT));
    assert_true(arrived(&client) > 0);
    close_both();

    connect_both();
    cress_stream_close(server.stream);
    assert_true(arrived(&client) > 0);
    cress_stream_close(client.stream);
}

static ssize_t write_with(int flags, const char *text)
{
    struct iovec piece = { (char *)(uintptr_t)text, strlen(text) };

    return cress_stream_writev(server.stream, &piece, 1, flags);
}

static void test_more_follows(void)
{
    struct iovec all = { big, BIG };

    connect_both();
    converse();
    assert_int_equal(write_with(CRESS_STREAM_MORE, "one"), 3);
    assert_int_equal(write_with(CRESS_STREAM_MORE | CRESS_STREAM_DONTWAIT, "two"), 3);
    assert_int_equal(arrived(&client), 0);
    assert_int_equal(write_with(0, "three"), 5);
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 11);
    assert_memory_equal(received, "onetwothree", 11);

    assert_int_equal(write_with(CRESS_STREAM_MORE, "four"), 4);
    assert_ok(cress_stream_writev(server.stream, NULL, 0, 0));
    assert_int_equal(cress_stream_read(client.stream, received, 40, CRESS_STREAM_DONTWAIT), 4);

    /* More than is ever held. */
    all.iov_len = 5 * RECORD;
    assert_int_equal(cress_stream_writev(server.stream, &all, 1, CRESS_STREAM_MORE), 5 * RECORD);
    assert_int_equal(write_with(CRESS_STREAM_MORE, "five"), 4);
    assert_ok(cress_stream_shutdown(server.stream));
    for (size_t at = 0; at < 5 * RECORD + 4;) {
        ssize_t got = cress_stream_read(client.stream, received + at, BIG - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
    assert_memory_equal(received, big, 5 * RECORD);
    assert_memory_equal(received + 5 * RECORD, "five", 4);
    assert_int_equal(cress_stream_read(client.stream, received, 1, 0), 0);
    close_both();
}

static void test_close_sends_what_is_held(void)
{
    connect_both();
    assert_int_equal(write_with(CRESS_STREAM_MORE, "more"), 4);
    cress_stream_close(server.stream);
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 4);
    assert_errno(ECONNRESET, cress_stream_read(client.stream, received, 40, 0));
    cress_stream_close(client.stream);
}

static void test_pending(void)
{
    connect_both();
    assert_false(cress_stream_pending(client.stream));
    assert_false(cress_stream_pending(&client.socket.stream));
    assert_ok(cress_stream_write_all(server.stream, big, 100));
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 40);
    assert_true(cress_stream_pending(client.stream));
    assert_int_equal(cress_stream_read(client.stream, received, 40, CRESS_STREAM_DONTWAIT), 40);
    assert_true(cress_stream_pending(client.stream));
    assert_int_equal(cress_stream_read(client.stream, received, 40, CRESS_STREAM_DONTWAIT), 20);
    assert_false(cress_stream_pending(client.stream));
    assert_errno(EAGAIN, cress_stream_read(client.stream, received, 1, CRESS_STREAM_DONTWAIT));
    assert_false(cress_stream_pending(client.stream));

    /* Several records, read at once; and the end behind them, which has come already. */
    assert_ok(cress_stream_write_all(server.stream, "one", 3));
    assert_ok(cress_stream_write_all(server.stream, "two", 3));
    assert_ok(cress_stream_shutdown(server.stream));
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 6);
    assert_true(cress_stream_pending(client.stream));
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 0);
    assert_int_equal(cress_stream_read(client.stream, received, 40, CRESS_STREAM_DONTWAIT), 0);
    close_both();
}

static void test_keys_are_updated(void)
{
    connect_both();
    assert_int_equal(SSL_key_update(cress_tls_handle(&client.tls), SSL_KEY_UPDATE_REQUESTED), 1);
    converse();
    converse();
    close_both();
}

static void test_peer_that_makes_it_answer_and_never_reads(void)
{
    connect_both();
    SSL *ssl = cress_tls_handle(&client.tls);
    for (int i = 0; i < 20000 && server.tls.write_error == 0; i++) {
        assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_ok(cress_stream_write_all(client.stream, "x", 1));
        assert_int_equal(cress_stream_read(server.stream, received, 2, CRESS_STREAM_DONTWAIT), 1);
    }
    assert_errno(ENOBUFS, cress_stream_write_all(server.stream, "x", 1));
    close_both();
}

/* ---- peers that keep it busy --------------------------------------------------------------------- */

enum { MOST_BARREN = 32, MOST_AT_A_TIME = 64 << 10 };

static void update_keys(int count)
{
    SSL *ssl = cress_tls_handle(&client.tls);

    for (int i = 0; i < count; i++) {
        assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(ssl), 1);
    }
}

static void test_some_key_updates_without_data(void)
{
    connect_both();
    for (int i = 0; i < 3; i++) {
        update_keys(MOST_BARREN);
        assert_errno(EAGAIN, cress_stream_read(server.stream, received, 1, CRESS_STREAM_DONTWAIT));
        converse();
    }
    close_both();
}

static void breaks_off(void)
{
    static const char why[] = "too many records without data";

    assert_errno(EPROTO, cress_stream_read(server.stream, received, 1, 0));
    assert_string_equal(cress_tls_error(&server.tls), why);
    assert_errno(EPROTO, cress_stream_write_all(server.stream, "x", 1));
    assert_ok(cress_stream_shutdown(server.stream));
    close_both();
}

static void test_key_updates_without_end(void)
{
    connect_both();
    update_keys(MOST_BARREN + 2);
    breaks_off();
    connect_both();
    update_keys(2000); /* it is not the socket's end that ends it */
    breaks_off();
}

static void test_data_does_not_hide_key_updates(void)
{
    connect_both();
    assert_ok(cress_stream_write_all(client.stream, "x", 1));
    update_keys(MOST_BARREN + 2);
    assert_int_equal(cress_stream_read(server.stream, received, 2, 0), 1);
    breaks_off();
}

static size_t left_in_socket(const struct side *side)
{
    int count;

    assert_ok(ioctl(cress_watch_fd(&side->socket.watch), FIONREAD, &count));
    return (size_t)count;
}

static void *note_left(void *arg)
{
    *(size_t *)arg = left_in_socket(&server);
    return NULL;
}

/* A hello of 16 KiB in records of one byte each. */
static void send_crumbs(size_t count)
{
    static const char hello[] = { 1, 0, 0x40, 0 };
    char *crumbs = malloc(count * 6);

    for (size_t i = 0; i < count; i++)
        memcpy(crumbs + i * 6, (char[]){ 22, 3, 1, 0, 1, i < sizeof hello ? hello[i] : 0 }, 6);
    send_raw(crumbs, count * 6);
    free(crumbs);
}

static void test_handshake_lets_others_run(void)
{
    size_t left = 0;
    cress_timeout limit;

    open_server_only();
    send_crumbs(15000);
    assert_errno(EAGAIN, cress_tls_handshake(&server.tls, CRESS_STREAM_DONTWAIT));
    assert_true(left_in_socket(&server) > 0);
    spawn(note_left, &left);
    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, cress_tls_handshake(&server.tls, 0)); /* all is taken in ... */
    cress_timeout_close(&limit);
    assert_int_equal(left_in_socket(&server), 0);
    assert_true(left > 0);
    assert_time(2); /* ... and it waits for more */
    cress_stream_close(server.stream);
    assert_ok(cress_close(raw));
}

static size_t fill_with_records(size_t size)
{
    size_t total = 0;
    ssize_t count;

    while (total + size <= BIG &&
           (count = cress_stream_writev(client.stream, &(struct iovec){ big + total, size }, 1,
                                        CRESS_STREAM_DONTWAIT)) > 0)
        total += (size_t)count;
    return total;
}

/* One read takes so much and no more, and nothing is lost between two. */
static void reads_in_parts(size_t record, size_t most)
{
    int large = 1 << 20;

    connect_both();
    assert_ok(setsockopt(cress_watch_fd(&client.socket.watch), SOL_SOCKET, SO_SNDBUF, &large,
                         sizeof large));
    size_t total = fill_with_records(record), at = 0;
    assert_true(total > most);
    while (at < total) {
        ssize_t count = cress_stream_read(server.stream, received + at, BIG - at, 0);
        assert_true(count > 0 && (size_t)count <= most);
        at += (size_t)count;
    }
    assert_int_equal(at, total);
    assert_memory_equal(received, big, total);
    close_both();
}

static void test_reading_lets_others_run(void)
{
    reads_in_parts(RECORD, MOST_AT_A_TIME);
    reads_in_parts(1, 256);
}

static void test_renegotiation_is_refused(void)
{
    open_both("localhost");
    SSL *ssl = cress_tls_handle(&client.tls);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    agree();
    assert_int_equal(SSL_renegotiate(ssl), 1);
    SSL_do_handshake(ssl);
    assert_errno(EAGAIN, cress_stream_read(server.stream, received, 1, CRESS_STREAM_DONTWAIT));
    assert_errno(EPROTO, cress_stream_read(client.stream, received, 1, 0));
    assert_string_equal(cress_tls_error(&client.tls), "no renegotiation");
    close_both();
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static void test_half_close(void)
{
    connect_both();
    assert_ok(cress_stream_shutdown(client.stream));
    assert_ok(cress_stream_shutdown(client.stream));
    assert_int_equal(cress_stream_read(server.stream, received, 1, 0), 0);
    assert_errno(EPIPE, cress_stream_write_all(client.stream, "x", 1));
    say(server.stream, client.stream, "still here");
    close_both();
}

static void test_truncation(void)
{
    connect_both();
    assert_ok(cress_stream_write_all(server.stream, "half", 4));
    cress_stream_close(server.stream);
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 4);
    assert_errno(ECONNRESET, cress_stream_read(client.stream, received, 40, 0));
    assert_string_equal(cress_tls_error(&client.tls), "the connection ended without a goodbye");
    assert_errno(ECONNRESET, cress_stream_read(client.stream, received, 40, 0));
    cress_stream_close(client.stream);
}

static void test_allowed_truncation(void)
{
    use(&client_context, cress_tls_client_context(&(cress_tls_options){
                             .ca_file = authority.certfile, .allow_truncation = true }));
    connect_both();
    assert_ok(cress_stream_write_all(server.stream, "half", 4));
    cress_stream_close(server.stream);
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 4);
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 0);
    cress_stream_close(client.stream);
    open_client_only(); /* but a handshake is no place to end */
    assert_ok(cress_close(raw));
    assert_errno(ECONNRESET, cress_tls_handshake(&client.tls, 0));
    cress_stream_close(client.stream);
}

static void test_reset_by_peer(void)
{
    connect_both();
    cress_stream_close(client.stream);
    while (cress_stream_write_all(server.stream, big, 1000) == 0)
        continue;
    assert_true(errno == EPIPE || errno == ECONNRESET);
    assert_true(cress_stream_shutdown(server.stream) < 0);
    cress_stream_close(server.stream);
}

static void fill_socket(struct side *side)
{
    while (cress_stream_writev(side->stream, &(struct iovec){ big, RECORD }, 1,
                               CRESS_STREAM_DONTWAIT) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
}

static void test_goodbye_that_nobody_takes(void)
{
    connect_both();
    fill_socket(&server);
    assert_errno(ETIMEDOUT, cress_stream_shutdown(server.stream));
    assert_time(2);
    close_both();
}

static void test_goodbye_without_waiting(void)
{
    connect_both();
    assert_int_equal(write_with(CRESS_STREAM_MORE, "the last"), 8);
    assert_ok(cress_tls_goodbye(&server.tls));
    assert_ok(cress_tls_goodbye(&server.tls));
    assert_errno(EPIPE, cress_stream_write_all(server.stream, "x", 1));
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 8);
    assert_int_equal(cress_stream_read(client.stream, received, 40, 0), 0);
    say(client.stream, server.stream, "still here");
    close_both();
}

static void *write_much(void *arg)
{
    (void)arg;
    assert_ok(cress_stream_write_all(server.stream, big, BIG));
    return NULL;
}

static void test_no_goodbye_amid_a_write(void)
{
    cress_greenlet *writer;

    connect_both();
    writer = cress_spawn(write_much, NULL);
    assert_ok(cress_sleep(1));
    assert_errno(EAGAIN, cress_tls_goodbye(&server.tls));
    for (size_t at = 0; at < BIG;) {
        ssize_t got = cress_stream_read(client.stream, received, BIG, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
    assert_ok(cress_join(writer, CRESS_FOREVER));
    cress_release(writer);
    assert_ok(cress_tls_goodbye(&server.tls));
    assert_int_equal(cress_stream_read(client.stream, received, 1, 0), 0);
    close_both();
}

/* The hub hands it on behind what the kernel did not take. */
static void test_goodbye_behind_a_full_socket(void)
{
    ssize_t got;

    connect_both();
    fill_socket(&server);
    assert_ok(cress_tls_goodbye(&server.tls));
    while ((got = cress_stream_read(client.stream, received, BIG, 0)) > 0)
        continue;
    assert_int_equal(got, 0);
    close_both();
}

static void *wait_and_shut_down(void *arg)
{
    struct side *side = arg;

    assert_errno(ECANCELED, cress_stream_read(side->stream, received, 1, 0));
    side->result = cress_stream_shutdown(side->stream);
    return NULL;
}

static void test_killed_one_says_goodbye(void)
{
    char buf[8];

    connect_both();
    cress_greenlet *g = cress_spawn(wait_and_shut_down, &server);
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_int_equal(server.result, 0);
    cress_release(g);
    assert_int_equal(cress_stream_read(client.stream, buf, 8, 0), 0);
    close_both();
}

static void *read_one(void *arg)
{
    struct side *side = arg;

    side->result = (int)cress_stream_read(side->stream, received, 1, 0);
    side->error = errno;
    return NULL;
}

static void *write_one(void *arg)
{
    assert_errno(*(int *)arg, cress_stream_write_all(server.stream, "x", 1));
    ++server.count;
    return NULL;
}

static void test_close_wakes_all(void)
{
    int error = EBADF;

    connect_both();
    fill_socket(&server);
    spawn(read_one, &server);
    spawn(write_one, &error);
    spawn(write_one, &error);
    settle();
    cress_stream_close(server.stream);
    settle();
    assert_int_equal(server.result, -1);
    assert_int_equal(server.error, EBADF);
    assert_int_equal(server.count, 2);
    cress_stream_close(client.stream);
}

static void test_two_readers(void)
{
    static struct side second;

    connect_both();
    second = (struct side){ .stream = server.stream };
    cress_greenlet *first = cress_spawn(read_one, &server);
    cress_greenlet *other_one = cress_spawn(read_one, &second);
    settle();
    assert_ok(cress_kill(first, CRESS_FOREVER));
    assert_int_equal(server.error, ECANCELED);
    assert_ok(cress_stream_write_all(client.stream, "x", 1));
    assert_ok(cress_join(other_one, CRESS_FOREVER));
    assert_int_equal(second.result, 1);
    cress_release(first);
    cress_release(other_one);
    close_both();
}

/* ---- resumption ---------------------------------------------------------------------------------------------- */

static cress_tls_session *meet(int version, cress_tls_session *session, bool resumes)
{
    open_both("localhost");
    SSL_set_max_proto_version(cress_tls_handle(&client.tls), version);
    if (session)
        assert_ok(cress_tls_session_show(&client.tls, session));
    agree();
    converse();
    assert_int_equal(cress_tls_resumed(&client.tls), resumes);
    assert_int_equal(cress_tls_resumed(&server.tls), resumes);
    cress_tls_session_release(session);
    session = cress_tls_session_take(&client.tls);
    assert_non_null(session);
    close_both(); /* without a goodbye: that is no reason to forget */
    return session;
}

static void resumes(int version)
{
    cress_tls_session *session = meet(version, NULL, false);

    session = meet(version, session, true);
    session = meet(version, session, true);
    assert_ok(cress_sleep(3 * 3600)); /* the key is another one, and the last still good */
    session = meet(version, session, true);
    assert_ok(cress_sleep(3 * 3600)); /* the ticket was renewed by then */
    session = meet(version, session, true);
    assert_ok(cress_sleep(5 * 3600)); /* too long */
    cress_tls_session_release(meet(version, session, false));
}

static void test_resumption_1_3(void)
{
    resumes(TLS1_3_VERSION);
}

static void test_resumption_1_2(void)
{
    resumes(TLS1_2_VERSION);
}

static void test_session_of_another_server(void)
{
    cress_tls_session *session = meet(TLS1_3_VERSION, NULL, false);

    use(&server_context, serving(&localhost));
    cress_tls_session_release(meet(TLS1_3_VERSION, session, false));
}

static void test_no_session(void)
{
    open_both("localhost");
    assert_null(cress_tls_session_take(&client.tls));
    cress_tls_session_release(NULL);
    close_both();
}

/* ---- other orders, and other threads --------------------------------------------------------------------------- */

enum { SOME = 50000, SEEDS = SANITIZED ? 100 : 1000 };

static void *write_some(void *arg)
{
    struct side *side = arg;

    for (size_t at = 0, size = 1; at < SOME; at += size) {
        size = (size_t)cress_simulation_random(20000) + 1;
        if (size > SOME - at)
            size = SOME - at;
        struct iovec halves[] = { { big + at, size / 2 },
                                  { big + at + size / 2, size - size / 2 } };
        assert_int_equal(cress_stream_writev(side->stream, halves, 2, 0), size);
    }
    assert_ok(cress_stream_shutdown(side->stream));
    return NULL;
}

static void *read_some(void *arg)
{
    struct side *side = arg;
    char *buf = malloc(SOME);
    size_t at = 0;
    ssize_t count;

    while ((count = cress_stream_read(side->stream, buf + at,
                                      (size_t)cress_simulation_random(SOME) + 1, 0)) > 0)
        at += (size_t)count;
    assert_int_equal(count, 0);
    assert_int_equal(at, SOME);
    assert_memory_equal(buf, big, SOME);
    free(buf);
    return NULL;
}

static void *talk_both_ways(void *arg)
{
    int small = 4096;

    open_both("localhost");
    assert_ok(setsockopt(cress_watch_fd(&server.socket.watch), SOL_SOCKET, SO_SNDBUF, &small,
                         sizeof small));
    cress_greenlet *all[] = { cress_spawn(read_some, &server), cress_spawn(write_some, &server),
                              cress_spawn(write_some, &client), cress_spawn(read_some, &client) };
    assert_ok(cress_joinall(all, 4, CRESS_FOREVER));
    for (int i = 0; i < 4; i++)
        cress_release(all[i]);
    close_both();
    return arg;
}

static void test_simulated(void **state)
{
    cress_simulation_options options = { .seed = 1, .fault_rate = 0.3 };

    (void)state;
    assert_ok(cress_simulate_seeds_with(&options, SEEDS, talk_both_ways, NULL, NULL));
}

/* Whatever happens, each ends with an error or with everything. */
static void *survive(void *arg)
{
    struct side *side = arg;
    char buf[1000];
    ssize_t count;

    while ((count = cress_stream_read(side->stream, buf, sizeof buf, 0)) > 0 &&
           cress_stream_write_all(side->stream, buf, (size_t)count) == 0)
        continue;
    cress_stream_shutdown(side->stream);
    return NULL;
}

static void *talk_over_a_bad_line(void *arg)
{
    open_both("localhost");
    cress_greenlet *g = cress_spawn(survive, &server);
    if (cress_stream_write_all(client.stream, big, 5000) == 0)
        cress_stream_shutdown(client.stream);
    while (cress_stream_read(client.stream, received, BIG, 0) > 0)
        continue;
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    close_both();
    return arg;
}

static void test_simulated_resets(void **state)
{
    cress_simulation_options options = { .seed = 1, .fault_rate = 0.2, .reset_rate = 0.02 };

    (void)state;
    assert_ok(cress_simulate_seeds_with(&options, SEEDS, talk_over_a_bad_line, NULL, NULL));
}

struct pair {
    struct side server, client;
};

static void *answer_pair(void *arg)
{
    struct pair *pair = arg;

    for (int i = 0; i < 3; i++)
        assert_int_equal(cress_stream_write_all(pair->server.stream, "answer", 6), 0);
    return NULL;
}

static void *meet_in_thread(void *arg)
{
    struct pair pair = { .server.stream = &pair.server.tls.stream,
                         .client.stream = &pair.client.tls.stream };
    int ends[2];
    char buf[18];

    open_sockets(ends);
    cress_socket_stream_init(&pair.server.socket, ends[0], NULL);
    cress_socket_stream_init(&pair.client.socket, ends[1], NULL);
    assert_ok(cress_tls_server_init(&pair.server.tls, server_context, &pair.server.socket));
    assert_ok(
        cress_tls_client_init(&pair.client.tls, client_context, &pair.client.socket, "localhost"));
    spawn(answer_pair, &pair);
    for (size_t at = 0; at < sizeof buf;)
        at += (size_t)cress_stream_read(pair.client.stream, buf, sizeof buf - at, 0);
    cress_stream_close(pair.client.stream);
    cress_stream_close(pair.server.stream);
    return arg;
}

static void *meet_often(void *arg)
{
    for (int i = 0; i < 20; i++)
        assert_ok(run_virtual(meet_in_thread, arg));
    return NULL;
}

static void test_threads_share_contexts(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_ok(pthread_create(&threads[i], NULL, meet_often, NULL));
    for (int i = 0; i < 4; i++)
        assert_ok(pthread_join(threads[i], NULL));
}

/* ---- misuse ----------------------------------------------------------------------------------------------------- */

static void test_misuse(void)
{
    cress_tls_session *session = meet(TLS1_3_VERSION, NULL, false);
    cress_tls_stream tls;
    int ends[2];

    open_both("127.0.0.1");
    assert_errno(EINVAL, cress_tls_session_show(&client.tls, session));
    close_both();
    cress_tls_session_release(session);
    open_sockets(ends);
    cress_socket_stream_init(&client.socket, ends[0], NULL);
    assert_errno(EINVAL, cress_tls_client_init(&tls, client_context, &client.socket, NULL));
    assert_errno(EINVAL, cress_tls_client_init(&tls, client_context, &client.socket, ""));
    assert_errno(EINVAL, cress_tls_client_init(&tls, server_context, &client.socket, "a"));
    assert_errno(EINVAL, cress_tls_server_init(&tls, client_context, &client.socket));
    cress_stream_close(&client.socket.stream);
    close(ends[1]);
}

static void *misuse_session(void *arg)
{
    cress_tls_session *session = meet(TLS1_3_VERSION, NULL, false);

    open_both("127.0.0.1");
    cress_tls_session_show(&client.tls, session);
    return arg;
}

static void *misuse_no_host(void *arg)
{
    cress_tls_client_init(&client.tls, client_context, &client.socket, NULL);
    return arg;
}

static void *misuse_client(void *arg)
{
    cress_tls_client_init(&client.tls, server_context, &client.socket, "a");
    return arg;
}

static void *misuse_server(void *arg)
{
    cress_tls_server_init(&server.tls, client_context, &server.socket);
    return arg;
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(misuse_session, "cress_tls_session_show: of another context or host");
    assert_misuse(misuse_no_host, "cress_tls_client_init: no host to verify");
    assert_misuse(misuse_client, "cress_tls_client_init: the context is a server's");
    assert_misuse(misuse_server, "cress_tls_server_init: the context is a client's");
}

#define TLS_TEST(fn)                                                     \
    {                                                                    \
#fn, hub_test_run, make_contexts, release_contexts, (void *)(fn) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(test_handshake),
        TLS_TEST(test_reading_and_writing_shake_hands),
        TLS_TEST(test_handshake_without_waiting),
        TLS_TEST(test_version_1_2),
        TLS_TEST(test_version_1_1_is_refused),
        TLS_TEST(test_byte_by_byte),
        TLS_TEST(test_handshake_is_limited),
        TLS_TEST(test_kill_during_handshake),
        TLS_TEST(test_garbage),
        TLS_TEST(test_garbage_from_a_server),
        TLS_TEST(test_plain_http),
        TLS_TEST(test_peer_leaves_during_handshake),
        TLS_TEST(test_bad_certificates),
        TLS_TEST(test_unknown_issuer),
        TLS_TEST(test_system_store_does_not_know_it),
        TLS_TEST(test_addresses),
        TLS_TEST(test_insecure),
        TLS_TEST(test_client_certificates),
        TLS_TEST(test_certificate_by_name),
        TLS_TEST(test_alpn),
        TLS_TEST(test_bad_contexts),
        TLS_TEST(test_ciphers),
        TLS_TEST(test_suites_of_1_3),
        TLS_TEST(test_both_ways_at_once),
        TLS_TEST(test_both_ways_without_a_handshake_before),
        TLS_TEST(test_a_fast_other_side),
        TLS_TEST(test_writers_take_turns),
        TLS_TEST(test_write_without_waiting),
        TLS_TEST(test_write_is_limited),
        TLS_TEST(test_small_pieces_share_a_record),
        TLS_TEST(test_tickets_wait_for_the_answer),
        TLS_TEST(test_more_follows),
        TLS_TEST(test_close_sends_what_is_held),
        TLS_TEST(test_pending),
        TLS_TEST(test_keys_are_updated),
        TLS_TEST(test_peer_that_makes_it_answer_and_never_reads),
        TLS_TEST(test_some_key_updates_without_data),
        TLS_TEST(test_key_updates_without_end),
        TLS_TEST(test_data_does_not_hide_key_updates),
        TLS_TEST(test_handshake_lets_others_run),
        TLS_TEST(test_reading_lets_others_run),
        TLS_TEST(test_renegotiation_is_refused),
        TLS_TEST(test_half_close),
        TLS_TEST(test_truncation),
        TLS_TEST(test_allowed_truncation),
        TLS_TEST(test_reset_by_peer),
        TLS_TEST(test_goodbye_that_nobody_takes),
        TLS_TEST(test_goodbye_without_waiting),
        TLS_TEST(test_no_goodbye_amid_a_write),
        TLS_TEST(test_goodbye_behind_a_full_socket),
        TLS_TEST(test_killed_one_says_goodbye),
        TLS_TEST(test_close_wakes_all),
        TLS_TEST(test_two_readers),
        TLS_TEST(test_resumption_1_3),
        TLS_TEST(test_resumption_1_2),
        TLS_TEST(test_session_of_another_server),
        TLS_TEST(test_no_session),
        TLS_TEST(test_misuse),
        cmocka_unit_test_setup_teardown(test_simulated, make_contexts, release_contexts),
        cmocka_unit_test_setup_teardown(test_simulated_resets, make_contexts, release_contexts),
        cmocka_unit_test_setup_teardown(test_threads_share_contexts, make_contexts,
                                        release_contexts),
        cmocka_unit_test_setup_teardown(test_misuse_stops, make_contexts, release_contexts),
    };

    return cmocka_run_group_tests(tests, make_authorities, NULL);
}
