/* TLS streams: OpenSSL between a caller's bytes and a socket stream.
 *
 * OpenSSL never waits here. It reads and writes through a BIO of ours: reading gives
 * what the socket has, or "later"; writing always succeeds: what the kernel does not
 * take is kept in `out` and handed on by a watcher of the hub's. So each call of
 * OpenSSL's is made whole between two waits, greenlets can read and write at the same
 * time, and a record, once made, counts as written: nobody has to offer the same bytes
 * again, as OpenSSL would otherwise want. The next record is made only when the kernel
 * has the one before, so that no more than one is kept, beside OpenSSL's own messages.
 *
 *     writev -> SSL_write -> bio_write -> the socket, or `out` -> on_writable -> the socket
 *     read   <- SSL_read  <- bio_read  <- the socket
 *
 * Waiting is done outside, on the socket stream's watch. One greenlet at a time waits
 * there; others (two readers, or a writer during the handshake) stand in `others` and
 * look again when it has been woken.
 *
 * What is about to be followed by something else is held in `out` too, without asking the
 * kernel (`held`): a server's tickets, and what was written with CRESS_STREAM_MORE.
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
    RECORD = SSL3_RT_MAX_PLAIN_LENGTH,
    OUT_MAX = 64 << 10,  /* a peer that makes OpenSSL answer and does not read */
    CALL_MAX = 32 << 10, /* bytes that are taken in at a time; more than the largest record */
    RECORD_COST = 128,   /* what a record counts for at least, of them */
    BARREN_MAX = 32,     /* records in a row without data */
};
static const cress_seconds GOODBYE_TIME = 2.0;

_Static_assert(sizeof(struct loop_io) <= sizeof(((cress_tls_stream *)0)->io),
               "the watcher has room");

static cress_tls_stream *tls_of(cress_stream *s)
{
    return (cress_tls_stream *)s;
}

static struct loop_io *io_of(cress_tls_stream *s)
{
    return (struct loop_io *)(void *)s->io;
}

cress_tls_context *tls_context_of(const SSL *ssl)
{
    const cress_tls_stream *s = SSL_get_app_data(ssl);

    return s->context;
}

/* ---- below: what the kernel has not taken ----------------------------------------------- */

static void forget_out(cress_tls_stream *s)
{
    hub_io_stop(hub_current, io_of(s));
    free(s->out);
    s->out = NULL;
    s->out_start = s->out_end = s->out_size = 0;
    s->held = false;
    waiter_wake_all(&s->room, 0);
}

/* The socket takes nothing more; what it has brought can still be read. */
static void fail_writing(cress_tls_stream *s, int error)
{
    s->write_error = error;
    forget_out(s);
}

/* How many bytes the kernel took. */
static size_t send_now(cress_tls_stream *s, const char *data, size_t len, int flags)
{
    struct iovec piece = { (char *)(uintptr_t)data, len };
    ssize_t sent =
        cress_stream_writev(&s->socket->stream, &piece, 1, flags | CRESS_STREAM_DONTWAIT);

    if (sent < 0 && errno != EAGAIN)
        fail_writing(s, errno);
    return sent < 0 ? 0 : (size_t)sent;
}

/* Offers it to the kernel, and what it does not take again when there is room. */
static void send_out(cress_tls_stream *s, int flags)
{
    s->held = false;
    size_t sent = send_now(s, s->out + s->out_start, s->out_end - s->out_start, flags);
    if (!s->out)
        return; /* it failed */
    s->out_start += sent;
    if (s->out_start == s->out_end)
        forget_out(s);
    else if (hub_io_start(hub_current, io_of(s)) < 0)
        fail_writing(s, errno);
}

static void send_held(cress_tls_stream *s)
{
    if (s->held)
        send_out(s, 0);
}

void tls_on_event(struct loop_io *io, int events)
{
    cress_tls_stream *s = (cress_tls_stream *)(void *)((char *)io - offsetof(cress_tls_stream, io));

    hub_current->stirred = true;
    if (events < 0)
        fail_writing(s, EBADF);
    else
        send_out(s, 0);
}

static int reserve(cress_tls_stream *s, size_t room)
{
    size_t kept = s->out_end - s->out_start, size = kept + room;

    if (s->out_size - s->out_end >= room)
        return 0;
    if (size > OUT_MAX)
        return fail_with(ENOBUFS);
    if (s->out) /* more than once: it will be more */
        size = OUT_MAX;
    char *out = malloc(size);
    if (!out)
        return -1;
    if (kept)
        memcpy(out, s->out + s->out_start, kept);
    free(s->out);
    s->out = out;
    s->out_size = size;
    s->out_start = 0;
    s->out_end = kept;
    return 0;
}

static int keep(cress_tls_stream *s, const char *data, size_t len)
{
    if (reserve(s, len) < 0)
        return -1;
    memcpy(s->out + s->out_end, data, len);
    s->out_end += len;
    return 0;
}

/* Is something about to follow, with which this can leave? A server's tickets come behind the
 * handshake, when nobody waits for them. */
static bool is_held_back(const cress_tls_stream *s)
{
    if (s->out_end >= RECORD)
        return false;
    return s->more || (!s->established && SSL_get_state(s->ssl) == TLS_ST_SW_SESSION_TICKET);
}

static int bio_write(BIO *bio, const char *data, int len)
{
    cress_tls_stream *s = BIO_get_data(bio);
    bool is_held = (!s->out || s->held) && is_held_back(s);
    size_t sent = s->out || is_held || s->write_error ? 0 : send_now(s, data, (size_t)len, 0);

    if (sent == (size_t)len || s->write_error)
        return len;
    if (keep(s, data + sent, (size_t)len - sent) < 0)
        fail_writing(s, errno);
    else if (is_held)
        s->held = true;
    else if (s->held)
        send_out(s, 0);
    else if (hub_io_start(hub_current, io_of(s)) < 0)
        fail_writing(s, errno);
    return len;
}

static int bio_read(BIO *bio, char *buf, int len)
{
    cress_tls_stream *s = BIO_get_data(bio);
    ssize_t got;

    BIO_clear_retry_flags(bio);
    if (s->budget <= 0 || s->drained) { /* what is or will be there, its descriptor tells of */
        BIO_set_retry_read(bio);
        return -1;
    }
    got = cress_stream_read(&s->socket->stream, buf, (size_t)len, CRESS_STREAM_DONTWAIT);
    s->eof = got == 0;
    s->drained = got < len;
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    else if (got < 0)
        s->read_error = errno;
    else
        s->budget -= (int)got;
    return (int)got;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const cress_tls_stream *s = BIO_get_data(bio);

    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return s->eof;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cress stream");
    if (!method)
        return;
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_ctrl);
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
        send_held(s);
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
        send_out(s, 0);
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
    char *record = malloc(RECORD);

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
    const struct iovec *parts = iov_load(rest, RECORD, &count);
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
            send_held(s);
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
        send_out(s, CRESS_STREAM_MORE);
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
    send_held(s);
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
    send_held(s);
    if (s->out)
        forget_out(s);
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
    BIO *bio;

    pthread_once(&once, make_method);
    s->ssl = method ? SSL_new(s->context->ssl) : NULL;
    bio = s->ssl ? BIO_new(method) : NULL;
    if (!bio)
        return fail_with(ENOMEM);
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
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
    loop_io_init(io_of(s), IO_TLS, cress_watch_fd(&socket->watch), LOOP_WRITE, true);
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

/* ---- resumption ---------------------------------------------------------------------------------------------- */

static const char *host_of(const cress_tls_stream *s)
{
    return s->host ? s->host : "";
}

cress_tls_session *cress_tls_session_take(cress_tls_stream *s)
{
    SSL_SESSION *ssl = s->established ? SSL_get1_session(s->ssl) : NULL;
    size_t size = strlen(host_of(s)) + 1;
    cress_tls_session *session = NULL;

    if (ssl && SSL_SESSION_is_resumable(ssl))
        session = malloc(sizeof *session + size);
    if (!session) {
        SSL_SESSION_free(ssl);
        return NULL;
    }
    session->ssl = ssl;
    session->context = cress_tls_context_retain(s->context);
    memcpy(session->host, host_of(s), size);
    return session;
}

void cress_tls_session_release(cress_tls_session *session)
{
    if (!session)
        return;
    SSL_SESSION_free(session->ssl);
    cress_tls_context_release(session->context);
    free(session);
}

int cress_tls_session_show(cress_tls_stream *s, cress_tls_session *session)
{
    if (s->established || session->context != s->context || strcmp(session->host, host_of(s)) != 0)
        return misuse(EINVAL, "cress_tls_session_show: of another context or host, or too late");
    return SSL_set_session(s->ssl, session->ssl) == 1 ? 0 : fail_with(ENOMEM);
}

bool cress_tls_resumed(const cress_tls_stream *s)
{
    return s->established && SSL_session_reused(s->ssl);
}
