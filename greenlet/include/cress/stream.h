/* <cress/stream.h>: bytes both ways, whatever carries them.
 *
 * A small table over a socket, a TLS session, or memory in tests. Who speaks a
 * protocol sees only this.
 */
#ifndef CRESS_STREAM_H
#define CRESS_STREAM_H

#include <cress/watch.h>

#include <sys/uio.h>

typedef struct cress_stream cress_stream;

enum {
    CRESS_STREAM_DONTWAIT = 1, /* EAGAIN instead of waiting */
    /* writev: more, or a shutdown, follows at once, and these bytes may leave together with it. A
     * close does not lose them. */
    CRESS_STREAM_MORE = 2,
    CRESS_STREAM_AWAIT = 4, /* send_file: [waits] for room first, then sends what fits */
};

typedef struct cress_stream_ops {
    /* [waits] Up to len bytes; 0 at the end. */
    ssize_t (*read)(cress_stream *s, void *buf, size_t len, int flags);
    /* [waits] All bytes, or a smaller count when an error came in between (the
     * next call reports it); with DONTWAIT what goes out at once. */
    ssize_t (*writev)(cress_stream *s, const struct iovec *iov, int count, int flags);
    /* [waits] No more output; the other side reads its end. */
    int (*shutdown)(cress_stream *s);
    /* Closes and forgets; does not wait. */
    void (*close)(cress_stream *s);
    /* [waits] From a file, without copying: a count as writev. NULL: not offered. With AWAIT,
     * for who was just told EAGAIN, it waits once and returns. */
    ssize_t (*send_file)(cress_stream *s, int fd, off_t offset, size_t len, int flags);
    /* Could a read return at once although the descriptor is not readable? NULL: never.
     * For those who wait for the descriptor instead of reading. */
    bool (*pending)(cress_stream *s);
} cress_stream_ops;

struct cress_stream {
    const cress_stream_ops *ops;
};

static inline ssize_t cress_stream_read(cress_stream *s, void *buf, size_t len, int flags)
{
    return s->ops->read(s, buf, len, flags);
}

static inline ssize_t cress_stream_writev(cress_stream *s, const struct iovec *iov, int count,
                                          int flags)
{
    return s->ops->writev(s, iov, count, flags);
}

static inline int cress_stream_shutdown(cress_stream *s)
{
    return s->ops->shutdown(s);
}

static inline void cress_stream_close(cress_stream *s)
{
    s->ops->close(s);
}

static inline bool cress_stream_pending(cress_stream *s)
{
    return s->ops->pending && s->ops->pending(s);
}

/* [waits] Everything, or -1. */
CRESS_API int cress_stream_write_all(cress_stream *s, const void *data, size_t len);

/* A stream over a connected socket, which it owns. Its watch stays registered
 * across waits. */
typedef struct cress_socket_stream {
    cress_stream stream;
    cress_watch watch;
    bool is_nonblocking; /* known to be: only sendfile asks */
    bool has_more;       /* the last write said MORE */
    int narrow;          /* the TCP_NOTSENT_LOWAT that the next write restores; 0: none */
} cress_socket_stream;

CRESS_API void cress_socket_stream_init(cress_socket_stream *s, int fd,
                                        void (*on_idle)(cress_watch *w));

#endif
