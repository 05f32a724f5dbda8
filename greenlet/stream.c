/* Streams over sockets. */
#include "fd.h"
#include "simulation.h"

#include <cress/io.h>
#include <cress/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>

enum {
    LARGE_FILE = 512 << 10, /* or what is left of one */
    FILE_UNSENT = 1 << 20,  /* bytes of such a file that the kernel may hold and not have sent */
};

static cress_socket_stream *socket_of(cress_stream *s)
{
    return (cress_socket_stream *)s;
}

static int fd_of(cress_stream *s)
{
    return cress_watch_fd(&socket_of(s)->watch);
}

/* A read and a write that need not wait are two system calls at each request: what else may become
 * of them is kept out of line, and so these save hardly a register. */
#define NOINLINE __attribute__((noinline))

/* [waits] After a read that failed by `error`. */
static NOINLINE ssize_t read_again(cress_stream *s, void *buf, size_t len, int flags, int error)
{
    ssize_t count = -1;

    errno = error;
    while (count < 0 && (errno == EINTR || errno == EAGAIN)) {
        if (errno == EAGAIN && ((flags & CRESS_STREAM_DONTWAIT) ||
                                cress_watch_wait(&socket_of(s)->watch, CRESS_FOREVER) < 0))
            return -1;
        count = sys_recv(fd_of(s), buf, len, MSG_DONTWAIT);
    }
    return count;
}

static inline ssize_t read_some(cress_stream *s, void *buf, size_t len, int flags)
{
    ssize_t count = sys_try_recv(fd_of(s), buf, len, MSG_DONTWAIT);

    return count >= 0 ? count : read_again(s, buf, len, flags, (int)-count);
}

/* [waits] Fails at once when the caller was killed or its limit has passed. */
static NOINLINE ssize_t read_waiting(cress_stream *s, void *buf, size_t len, int flags)
{
    if (hub_check() < 0)
        return -1;
    ssize_t count = read_some(s, buf, len, flags);
    if (count >= 0)
        hub_take_turns_after((size_t)count);
    return count;
}

static ssize_t socket_read(cress_stream *s, void *buf, size_t len, int flags)
{
    if (flags & CRESS_STREAM_DONTWAIT)
        return read_some(s, buf, len, CRESS_STREAM_DONTWAIT);
    return read_waiting(s, buf, len, flags);
}

static inline int how_to_send(cress_stream *s, int flags)
{
    socket_of(s)->has_more = flags & CRESS_STREAM_MORE;
    return MSG_DONTWAIT | MSG_NOSIGNAL | (flags & CRESS_STREAM_MORE ? MSG_MORE : 0);
}

static inline ssize_t send_piece(cress_stream *s, const struct iovec *piece, int flags)
{
    return sys_send(fd_of(s), piece->iov_base, piece->iov_len, how_to_send(s, flags));
}

static ssize_t send_once(cress_stream *s, const struct iovec *iov, int count, int flags)
{
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                              .msg_iovlen = (size_t)count };

    if (count == 1)
        return send_piece(s, iov, flags);
    return sys_sendmsg(fd_of(s), &message, how_to_send(s, flags));
}

/* [waits] The kernel has just said that there is none. */
static int await_room(cress_stream *s)
{
    return fd_wait(fd_of(s), LOOP_WRITE, CRESS_FOREVER) < 0 ? -1 : 0;
}

/* What is left after `sent` bytes: skips whole pieces; the first left is cut into `cut`. */
static void advance(const struct iovec **iov, int *count, size_t sent, struct iovec *cut)
{
    while (*count > 0 && sent >= (*iov)->iov_len) {
        sent -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count > 0)
        *cut = (struct iovec){ (char *)(*iov)->iov_base + sent, (*iov)->iov_len - sent };
}

/* [waits, now and then] The other side may be as fast as we are, and nothing ever have to wait. */
static int give_way(size_t sent)
{
    hub_take_turns_after(sent);
    return hub_check();
}

/* [waits] Goes on after a first try: so much was sent, or failed by a negative errno. */
static NOINLINE ssize_t write_rest(cress_stream *s, const struct iovec *iov, int count, int flags,
                                   ssize_t sent)
{
    size_t total = 0;
    struct iovec cut = { 0 };

    if (sent < 0)
        errno = (int)-sent;
    advance(&iov, &count, 0, &cut);
    for (;;) {
        if (sent >= 0) {
            total += (size_t)sent;
            advance(&iov, &count, iov->iov_len - cut.iov_len + (size_t)sent, &cut);
            if (!(flags & CRESS_STREAM_DONTWAIT) && give_way((size_t)sent) < 0)
                break;
        } else if (errno == EAGAIN) {
            if ((flags & CRESS_STREAM_DONTWAIT) || await_room(s) < 0)
                break;
        } else if (errno != EINTR) {
            break;
        }
        if (count == 0)
            break;
        /* A piece that was begun goes out by itself, then the rest together. */
        bool whole = cut.iov_len == iov->iov_len;
        sent = whole ? send_once(s, iov, count, flags) : send_once(s, &cut, 1, flags);
    }
    return total ? (ssize_t)total : -1;
}

static void limit_unsent(cress_stream *s, int bytes)
{
    setsockopt(fd_of(s), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

/* A limit on what is not sent yet keeps the memory small that a slow client takes. What a file
 * has there is the page cache's, and small refills of the kernel's queue double the cost. */
static void widen(cress_stream *s)
{
    socklen_t size = sizeof(int);
    int limit = 0;

    getsockopt(fd_of(s), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, &size);
    if (limit <= 0 || limit >= FILE_UNSENT)
        return;
    socket_of(s)->narrow = limit;
    limit_unsent(s, FILE_UNSENT);
}

static void narrow(cress_stream *s)
{
    limit_unsent(s, socket_of(s)->narrow);
    socket_of(s)->narrow = 0;
}

/* [waits] */
static NOINLINE ssize_t write_pieces(cress_stream *s, const struct iovec *iov, int count, int flags)
{
    size_t total = 0;

    if (!(flags & CRESS_STREAM_DONTWAIT) && hub_check() < 0)
        return -1;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    if (total == 0)
        return 0;
    if (socket_of(s)->narrow)
        narrow(s);
    ssize_t sent = send_once(s, iov, count, flags);
    if (sent != (ssize_t)total)
        return write_rest(s, iov, count, flags, sent < 0 ? -errno : sent);
    if (!(flags & CRESS_STREAM_DONTWAIT))
        hub_take_turns_after(total);
    return sent;
}

/* An answer is one piece, and goes out whole. */
static ssize_t socket_writev(cress_stream *s, const struct iovec *iov, int count, int flags)
{
    bool is_plain = count == 1 && iov->iov_len > 0 && (flags & CRESS_STREAM_DONTWAIT);

    if (!is_plain || socket_of(s)->narrow)
        return write_pieces(s, iov, count, flags);
    ssize_t sent = sys_try_send(fd_of(s), iov->iov_base, iov->iov_len, how_to_send(s, flags));
    if (sent == (ssize_t)iov->iov_len)
        return sent;
    return write_rest(s, iov, count, flags, sent);
}

/* There is no MSG_DONTWAIT for sendfile. */
static int unblock(cress_socket_stream *s)
{
    int fd = cress_watch_fd(&s->watch), flags = s->is_nonblocking ? 0 : fcntl(fd, F_GETFL);

    if (s->is_nonblocking)
        return 0;
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -1;
    s->is_nonblocking = true;
    return 0;
}

static ssize_t socket_send_file(cress_stream *s, int fd, off_t offset, size_t len, int flags)
{
    bool all = !(flags & (CRESS_STREAM_DONTWAIT | CRESS_STREAM_AWAIT));
    size_t total = 0;

    if (hub_check() < 0 || unblock(socket_of(s)) < 0)
        return -1;
    if ((flags & CRESS_STREAM_AWAIT) && await_room(s) < 0)
        return -1;
    if (len >= LARGE_FILE && !socket_of(s)->narrow)
        widen(s);
    while (total < len) {
        ssize_t sent = sys_sendfile(fd_of(s), fd, &offset, len - total);
        if (sent > 0) {
            total += (size_t)sent;
            socket_of(s)->has_more = false;
            if (!all || give_way((size_t)sent) < 0)
                break;
        } else if (sent == 0)
            break; /* the file is shorter */
        else if (errno == EAGAIN) {
            if ((flags & CRESS_STREAM_DONTWAIT) || await_room(s) < 0)
                return total ? (ssize_t)total : -1;
        } else if (errno != EINTR)
            return total ? (ssize_t)total : -1;
    }
    return (ssize_t)total;
}

static int socket_shutdown(cress_stream *s)
{
    socket_of(s)->has_more = false;
    return shutdown(fd_of(s), SHUT_WR);
}

static void socket_close(cress_stream *s)
{
    int saved = errno, fd = fd_of(s);

    if (socket_of(s)->has_more) /* behind unread input, close would drop what the kernel holds */
        shutdown(fd, SHUT_WR);
    cress_watch_finish(&socket_of(s)->watch);
    cress_close(fd);
    errno = saved;
}

static const cress_stream_ops socket_ops = {
    .read = socket_read,
    .writev = socket_writev,
    .shutdown = socket_shutdown,
    .close = socket_close,
    .send_file = socket_send_file,
};

void cress_socket_stream_init(cress_socket_stream *s, int fd, void (*on_idle)(cress_watch *w))
{
    s->stream.ops = &socket_ops;
    s->is_nonblocking = s->has_more = false;
    s->narrow = 0;
    cress_watch_init(&s->watch, fd, on_idle);
}

int cress_stream_write_all(cress_stream *s, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        struct iovec piece = { (char *)(uintptr_t)at, len };
        ssize_t count = cress_stream_writev(s, &piece, 1, 0);
        if (count < 0)
            return -1;
        at += count;
        len -= (size_t)count;
    }
    return 0;
}
