/* TLS streams: OpenSSL between a caller's bytes and a socket stream.
 *
 * OpenSSL never waits here. It reads and writes through a BIO of ours (tls_bio.c): reading
 * gives what the socket has, or "later"; writing always succeeds, and what the kernel does not
 * take is kept in `out`. So each call of OpenSSL's is made whole between two waits, greenlets
 * can read and write at the same time, and a record, once made, counts as written: nobody has to
 * offer the same bytes again, as OpenSSL would otherwise want. The next record is made only when
 * the kernel has the one before, so that no more than one is kept, beside OpenSSL's own messages.
 *
 *     writev -> SSL_write -> bio_write -> the socket, or `out` -> tls_on_event -> the socket
 *     read   <- SSL_read  <- bio_read  <- the socket
 *
 * Waiting is done outside, on the socket stream's watch. One greenlet at a time waits
 * there; others (two readers, or a writer during the handshake) stand in `others` and
 * look again when it has been woken.
 *
 * OpenSSL reads ahead of a record: bytes may be here although the descriptor has none.
 * `pending` says so.
 *
 * OpenSSL goes on by itself as long as records come that bring no data (new keys, tickets,
 * refused renegotiations), and a peer can send them faster than they are worked off. So
 * each call may only take in so much (`budget`), then it is told "later" and others run;
 * and a peer that sends nothing else is broken off with.
 */
#include "tls.h"

#include "hub.h"
#include "iov.h"
#include "misuse.h"

#include <cress/timeout.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALL_MAX = 32 << 10, /* bytes that are taken in at a time; more than the largest record */
    RECORD_COST = 128,   /* what a record counts for at least, of them */
    BARREN_MAX = 32,     /* records in a row without data */
};
static const cress_seconds GOODBYE_TIME = 2.0;

static cress_tls_stream *tls_of(cress_stream *s)
{
    return (cress_tls_stream *)s;
}

cress_tls_context *tls_context_of(const SSL *ssl)
{
    const cress_tls_stream *s = SSL_get_app_data(ssl);

    return s->context;
}

/* ---- records without data ---------------------------------------------------------------- */

static bool is_flood(const cress_tls_stream *s)
{
    return s->barren > BARREN_MAX + 1; /* the last may bring some */
}

/* OpenSSL calls it for the header of each record that has come. What is in OpenSSL's buffer
 * may be hundreds of them: taken for the end, the record is thrown away, and the call ends. */
static void on_message(int is_ours, int version, int type, const void *data, size_t len, SSL *ssl,
                       void *arg)
{
    cress_tls_stream *s = arg;

    (void)version, (void)data, (void)len;
    if (is_ours || type != SSL3_RT_HEADER)
        return;
    s->budget -= RECORD_COST;
    if (!s->established || is_flood(s))
        return;
    s->barren++;
    if (is_flood(s)) {
        s->read_error = EPROTO;
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
    }
}

/* ---- what went wrong --------------------------------------------------------------------- */

static int classify(const cress_tls_stream *s, unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return ECONNRESET;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return EPROTOTYPE;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return EKEYREJECTED;
    case ERR_R_MALLOC_FAILURE:
        return ENOMEM;
    default:
        return s->read_error ? s->read_error : EPROTO;
    }
}

static const char *explain(const cress_tls_stream *s, unsigned long code, int error)
{
    long verified = SSL_get_verify_result(s->ssl);
    const char *reason = ERR_reason_error_string(code);

    if (is_flood(s))
        return "too many records without data";
    if (error == EPROTOTYPE)
        return "a plain HTTP request";
    if (error == ECONNRESET && !s->read_error)
        return s->established ? "the connection ended without a goodbye"
                              : "the connection ended during the handshake";
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
        return X509_verify_cert_error_string(verified);
    return reason ? reason : strerror(error);
}

/* Nothing more can be said or heard. */
static int break_off(cress_tls_stream *s, unsigned long code)
{
    s->error = code ? classify(s, code) : s->read_error ? s->read_error : ECONNRESET;
    s->why = strdup(explain(s, code, s->error));
    ERR_clear_error();
    waiter_wake_all(&s->others, 0);
    return fail_with(s->error);
}

/* After a call of OpenSSL's that returned `result`: 1 if it did what it should; 0: the
 * other side has said goodbye; -1: EAGAIN, or the end. */
static int judge(cress_tls_stream *s, int result)
{
    if (!s->established && SSL_is_init_finished(s->ssl)) {
        s->established = true;
        waiter_wake_all(&s->others, 0);
    }
    if (result > 0)
        return 1;
    if (is_flood(s))
        return break_off(s, 0);
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        tls_send_held(s);
        return fail_with(EAGAIN);
    case SSL_ERROR_ZERO_RETURN:
        return s->established ? 0 : break_off(s, 0);
    default:
        return break_off(s, ERR_peek_error());
    }
}

/* What other users of OpenSSL in this thread have left would be taken for ours. Clearing an
 * empty queue takes as long as parsing a request. */
static void forget_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

/* Before one: none can be made any more, or OpenSSL may be asked. */
static int may_call(cress_tls_stream *s)
{
    if (s->error)
        return fail_with(s->error);
    forget_errors();
    s->budget = CALL_MAX;
    s->drained = false;
    return 0;
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* [waits] Until there may be something to read. */
static int await_input(cress_tls_stream *s)
{
    struct cress_waiter waiter;

    if (s->reading)
        return waiter_wait(&s->others, &waiter, CRESS_FOREVER, "another reader of a TLS stream");
    s->reading = true;
    int result = cress_watch_wait(&s->socket->watch, CRESS_FOREVER);
    s->reading = false;
    int error = errno;
    waiter_wake_all(&s->others, 0); /* of whom one goes on instead */
    errno = error;
    return result;
}

/* [waits, without DONTWAIT] Until the kernel has all that was made so far, or is to get it
 * together with what comes next. */
static int await_room(cress_tls_stream *s, int flags)
{
    struct cress_waiter waiter;

    if (s->out && !s->held)
        tls_send_out(s, 0);
    while (s->out && !s->held) {
        if (flags & CRESS_STREAM_DONTWAIT)
            return fail_with(EAGAIN);
        if (waiter_wait(&s->room, &waiter, CRESS_FOREVER, "room to write to a TLS stream") < 0)
            return -1;
    }
    return s->write_error ? fail_with(s->write_error) : 0;
}

/* [waits, without DONTWAIT] When it is EAGAIN that a call failed with. */
static int again(cress_tls_stream *s, int flags)
{
    if (errno != EAGAIN)
        return -1;
    if (s->write_error && !s->established)
        return fail_with(s->write_error); /* what was not sent will not be answered */
    return flags & CRESS_STREAM_DONTWAIT ? -1 : await_input(s);
}

/* Calls that may wait fail at once when the caller was killed or its limit has passed. */
static bool may_go_on(int flags)
{
    return (flags & CRESS_STREAM_DONTWAIT) || hub_check() == 0;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* Records until buf is full, the socket has no more or the budget is spent: a small buffer is
 * not a reason to leave bytes where no descriptor tells of them. */
static ssize_t read_now(cress_tls_stream *s, char *buf, size_t len)
{
    size_t done = 0, count = 0;
    int result = 1;

    s->pending = s->ended;
    if (s->ended)
        return 0;
    if (may_call(s) < 0)
        return -1;
    do {
        result = judge(s, SSL_read_ex(s->ssl, buf + done, len - done, &count));
        if (result <= 0)
            break;
        done += count;
        s->barren = 0;
        s->pending = SSL_has_pending(s->ssl);
    } while (s->pending && done < len && s->budget > 0);
    if (result <= 0) {
        s->ended = result == 0;
        s->pending = s->ended || s->error;
    }
    return done ? (ssize_t)done : result;
}

static ssize_t tls_read(cress_stream *stream, void *buf, size_t len, int flags)
{
    cress_tls_stream *s = tls_of(stream);
    ssize_t got;

    if (!may_go_on(flags))
        return -1;
    if (len == 0)
        return 0;
    do
        got = read_now(s, buf, len);
    while (got < 0 && again(s, flags) == 0);
    if (got >= 0 && !(flags & CRESS_STREAM_DONTWAIT))
        cress_take_turns_after((size_t)got);
    return got;
}

static bool tls_pending(cress_stream *stream)
{
    return tls_of(stream)->pending;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static ssize_t encrypt(cress_tls_stream *s, const void *data, size_t len)
{
    size_t count;

    if (may_call(s) < 0)
        return -1;
    int result = judge(s, SSL_write_ex(s->ssl, data, len, &count));
    if (result > 0)
        return (ssize_t)count;
    return result < 0 ? -1 : fail_with(EPIPE);
}

/* Small pieces go into one record. Without memory for that, each into its own. */
static ssize_t encrypt_together(cress_tls_stream *s, const struct iovec *parts, size_t count)
{
    size_t len = 0;
    char *record = malloc(TLS_RECORD);

    if (!record)
        return encrypt(s, parts->iov_base, parts->iov_len);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(record + len, parts[i].iov_base, parts[i].iov_len);
        len += parts[i].iov_len;
    }
    ssize_t done = encrypt(s, record, len);
    free(record);
    return done;
}

static ssize_t write_record(cress_tls_stream *s, struct iov_cursor *rest)
{
    size_t count;

    iov_advance(rest, 0); /* past empty pieces */
    const struct iovec *parts = iov_load(rest, TLS_RECORD, &count);
    ssize_t done = count == 1 ? encrypt(s, parts->iov_base, parts->iov_len)
                              : encrypt_together(s, parts, count);
    if (done > 0)
        iov_advance(rest, (size_t)done);
    return done;
}

/* [waits, without DONTWAIT] The caller has the turn. */
static ssize_t write_pieces(cress_tls_stream *s, struct iov_cursor *rest, int flags)
{
    size_t total = rest->left, before = total; /* left before the last record */

    for (;;) {
        if (rest->left == 0 && !(flags & CRESS_STREAM_MORE))
            tls_send_held(s);
        if (await_room(s, flags) < 0)
            break;
        before = rest->left;
        if (rest->left == 0)
            return (ssize_t)total;
        if (s->shut) {
            errno = EPIPE;
            break;
        }
        s->more = flags & CRESS_STREAM_MORE;
        ssize_t done = write_record(s, rest);
        s->more = false;
        if (done < 0 && again(s, flags) < 0)
            break;
        if (done > 0 && !(flags & CRESS_STREAM_DONTWAIT))
            cress_take_turns_after((size_t)done);
    }
    size_t sent = total - (s->write_error ? before : rest->left); /* that one was dropped */
    return sent ? (ssize_t)sent : -1;
}

static ssize_t tls_writev(cress_stream *stream, const struct iovec *iov, int count, int flags)
{
    cress_tls_stream *s = tls_of(stream);
    struct iov_cursor rest;

    iov_init(&rest, iov, (size_t)count);
    if (flags & CRESS_STREAM_DONTWAIT) {
        if (cress_semaphore_free_count(&s->turn) == 0)
            return fail_with(EAGAIN);
        return write_pieces(s, &rest, flags);
    }
    if (cress_semaphore_acquire(&s->turn, CRESS_FOREVER) < 0)
        return -1;
    ssize_t done = s->ssl ? write_pieces(s, &rest, flags) : fail_with(EBADF);
    int error = errno;
    cress_semaphore_release(&s->turn);
    errno = error;
    return done;
}

/* ---- the handshake ------------------------------------------------------------------------------- */

int cress_tls_handshake(cress_tls_stream *s, int flags)
{
    int result;

    if (!may_go_on(flags))
        return -1;
    if (s->established)
        return 0;
    do {
        if (may_call(s) < 0)
            return -1;
        result = judge(s, SSL_do_handshake(s->ssl));
    } while (result < 0 && again(s, flags) == 0);
    return result > 0 ? 0 : -1;
}

/* ---- the end --------------------------------------------------------------------------------------- */

/* With what was held, and perhaps with the end of output, which follows. */
static void say_goodbye(cress_tls_stream *s)
{
    if (!s->established || s->error || s->shut)
        return;
    s->shut = s->more = true;
    forget_errors();
    SSL_shutdown(s->ssl);
    s->more = false;
    if (s->held)
        tls_send_out(s, CRESS_STREAM_MORE);
}

int cress_tls_goodbye(cress_tls_stream *s)
{
    if (cress_semaphore_free_count(&s->turn) == 0)
        return fail_with(EAGAIN);
    if (!s->ssl)
        return fail_with(EBADF);
    say_goodbye(s);
    return 0;
}

/* [waits] */
static int end_output(cress_tls_stream *s)
{
    say_goodbye(s);
    tls_send_held(s);
    return await_room(s, 0);
}

static int tls_shutdown(cress_stream *stream)
{
    cress_tls_stream *s = tls_of(stream);
    cress_timeout shield;
    int result = -1, error;

    cress_timeout_start_shielded(&shield, GOODBYE_TIME);
    if (cress_semaphore_acquire(&s->turn, CRESS_FOREVER) == 0) {
        result = s->ssl ? end_output(s) : fail_with(EBADF);
        error = errno;
        cress_semaphore_release(&s->turn);
        errno = error;
    }
    error = errno;
    cress_timeout_close(&shield);
    if (s->ssl && cress_stream_shutdown(&s->socket->stream) < 0 && result == 0)
        return -1;
    errno = error;
    return result;
}

/* Who still waits finds it closed. */
static void wake_everybody(cress_tls_stream *s)
{
    s->error = s->write_error = EBADF;
    waiter_wake_all(&s->room, EBADF);
    waiter_wake_all(&s->others, EBADF);
}

static void free_session(cress_tls_stream *s)
{
    if (s->ssl && s->established && !s->error) /* else OpenSSL takes it as unfit to be resumed */
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    s->ssl = NULL;
    free(s->host);
    free(s->why);
    s->host = s->why = NULL;
    cress_tls_context_release(s->context);
    s->context = NULL;
}

static void tls_close(cress_stream *stream)
{
    cress_tls_stream *s = tls_of(stream);
    int error = errno;

    if (!s->ssl)
        return;
    tls_send_held(s);
    if (s->out)
        tls_forget_out(s);
    free_session(s);
    wake_everybody(s);
    cress_stream_close(&s->socket->stream);
    errno = error;
}

static const cress_stream_ops tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .pending = tls_pending,
};

/* ---- its begin ---------------------------------------------------------------------------------------- */

static int make_session(cress_tls_stream *s)
{
    s->ssl = SSL_new(s->context->ssl);
    if (!s->ssl || tls_bio_open(s) < 0)
        return fail_with(ENOMEM);
    SSL_set_app_data(s->ssl, s);
    SSL_set_msg_callback(s->ssl, on_message);
    SSL_set_msg_callback_arg(s->ssl, s);
    return 0;
}

static int init(cress_tls_stream *s, cress_tls_context *c, cress_socket_stream *socket)
{
    *s = (cress_tls_stream){
        .stream.ops = &tls_ops,
        .socket = socket,
        .context = cress_tls_context_retain(c),
        .turn = CRESS_SEMAPHORE_INIT(1),
    };
    return make_session(s);
}

static int give_up(cress_tls_stream *s)
{
    ERR_clear_error();
    free_session(s);
    return fail_with(ENOMEM);
}

int cress_tls_server_init(cress_tls_stream *s, cress_tls_context *c, cress_socket_stream *socket)
{
    if (!c->is_server)
        return misuse(EINVAL, "cress_tls_server_init: the context is a client's");
    if (init(s, c, socket) < 0)
        return give_up(s);
    SSL_set_accept_state(s->ssl);
    return 0;
}

static bool is_address(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Whom to ask for, and whom to expect. */
static int set_host(cress_tls_stream *s, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(s->ssl);

    s->host = strdup(host);
    if (!s->host)
        return -1;
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1 ? 0 : -1;
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(expected, host, 0) != 1)
        return -1;
    return SSL_set_tlsext_host_name(s->ssl, host) == 1 ? 0 : -1;
}

int cress_tls_client_init(cress_tls_stream *s, cress_tls_context *c, cress_socket_stream *socket,
                          const char *host)
{
    if (c->is_server)
        return misuse(EINVAL, "cress_tls_client_init: the context is a server's");
    if (!c->insecure && (!host || !*host))
        return misuse(EINVAL, "cress_tls_client_init: no host to verify");
    if (init(s, c, socket) < 0 || (host && *host && set_host(s, host) < 0))
        return give_up(s);
    SSL_set_connect_state(s->ssl);
    return 0;
}

/* ---- what is known ---------------------------------------------------------------------------------------- */

const char *cress_tls_error(const cress_tls_stream *s)
{
    if (s->why || !s->error)
        return s->why ? s->why : "";
    return strerror(s->error);
}

const char *cress_tls_version(const cress_tls_stream *s)
{
    return s->established ? SSL_get_version(s->ssl) : "";
}

const char *cress_tls_cipher(const cress_tls_stream *s)
{
    return s->established ? SSL_get_cipher_name(s->ssl) : "";
}

const char *cress_tls_alpn(const cress_tls_stream *s)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return tls_protocol(s->context, name, len);
}

const char *cress_tls_server_name(const cress_tls_stream *s)
{
    const char *name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);

    return name ? name : "";
}

struct ssl_st *cress_tls_handle(const cress_tls_stream *s)
{
    return s->ssl;
}
