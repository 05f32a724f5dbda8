/* What lies between OpenSSL and the socket: a BIO that never waits.
 *
 * What OpenSSL writes goes to the kernel at once, or lies in `out`: what the kernel has not taken,
 * which a watcher of the hub's hands on when there is room; and, without asking the kernel
 * (`held`), what is about to be followed by something else: a server's tickets, and what was
 * written with CRESS_STREAM_MORE. What it reads is what the socket has just now, within the call's
 * budget.
 */
#include "tls.h"

#include "hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 64 << 10 }; /* a peer that makes OpenSSL answer and does not read */

_Static_assert(sizeof(struct loop_io) <= sizeof(((cress_tls_stream *)0)->io),
               "the watcher has room");

static struct loop_io *io_of(cress_tls_stream *s)
{
    return (struct loop_io *)(void *)s->io;
}

/* ---- what the kernel has not taken --------------------------------------------------- */

void tls_forget_out(cress_tls_stream *s)
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
    tls_forget_out(s);
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

void tls_send_out(cress_tls_stream *s, int flags)
{
    s->held = false;
    size_t sent = send_now(s, s->out + s->out_start, s->out_end - s->out_start, flags);
    if (!s->out)
        return; /* it failed */
    s->out_start += sent;
    if (s->out_start == s->out_end)
        tls_forget_out(s);
    else if (hub_io_start(hub_current, io_of(s)) < 0)
        fail_writing(s, errno);
}

void tls_on_event(struct loop_io *io, int events)
{
    cress_tls_stream *s = (cress_tls_stream *)(void *)((char *)io - offsetof(cress_tls_stream, io));

    hub_current->stirred = true;
    if (events < 0)
        fail_writing(s, EBADF);
    else
        tls_send_out(s, 0);
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
    if (s->out_end >= TLS_RECORD)
        return false;
    return s->more || (!s->established && SSL_get_state(s->ssl) == TLS_ST_SW_SESSION_TICKET);
}

/* ---- the BIO ------------------------------------------------------------------------- */

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
        tls_send_out(s, 0);
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

int tls_bio_open(cress_tls_stream *s)
{
    pthread_once(&once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return fail_with(ENOMEM);
    loop_io_init(io_of(s), IO_TLS, cress_watch_fd(&s->socket->watch), LOOP_WRITE, true);
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    return 0;
}
