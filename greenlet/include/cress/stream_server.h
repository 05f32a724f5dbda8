/* <cress/stream_server.h>: a server that hands each connection to a function, over
 * TCP or a unix socket, plain or with TLS.
 *
 *     cress_stream_server server = { .address = "127.0.0.1:5000", .handle = talk };
 *     cress_stream_server_serve_forever(&server);
 *
 * One greenlet accepts; each connection has a greenlet of its own, which makes the TLS
 * handshake, calls handle, says goodbye and closes. The server is a value: its upper
 * part says what it shall be, is set before it starts and stays as it is until it has
 * stopped. It must not move or go away before that: stop it before you return.
 *
 * With `max` connections open accepting pauses, and goes on as soon as one of them ends;
 * until then new ones wait in the kernel's backlog. When descriptors or memory run out
 * it pauses as well (0.1 s, doubling up to 1 s, or until a connection ends) and says so
 * once on stderr.
 *
 * gevent: gevent.server.StreamServer.
 */
#ifndef CRESS_STREAM_SERVER_H
#define CRESS_STREAM_SERVER_H

#include <cress/address.h>
#include <cress/stream.h>
#include <cress/tls.h>

/* [may wait] Serves one connection, in its own greenlet. The stream is closed when it
 * returns; it must not close it itself, nor use it later. cress_fail reports a failure.
 * A client that is still sending when the stream is closed may lose the end of what
 * it was sent: who cares reads to the end first. */
typedef void cress_stream_handler(cress_stream *stream, const cress_address *peer, void *self);

typedef struct cress_stream_server {
    const char *address; /* where to listen: see <cress/address.h> */
    cress_stream_handler *handle;
    void *self;                      /* given to handle */
    cress_tls_context *tls;          /* a server's, borrowed; NULL: plain */
    size_t max;                      /* connections at a time; 0: 1000 */
    int backlog;                     /* connections that wait to be accepted; 0: 1024 */
    cress_seconds handshake_timeout; /* of TLS; 0: 10 */
    cress_seconds stop_timeout;      /* serve_forever's: see there; 0: 1; negative: none */

    uint64_t accepted;          /* so far, to read */
    uint64_t failed_handshakes; /* of these; their clients see an alert or a close */

    struct cress_stream_service *service; /* NULL: it does not run */
} cress_stream_server;

/* Listens, and accepts from the caller's next wait on. [waits] for the address of a host
 * that is given by name. -1: EINVAL, ENOENT (the address), EADDRINUSE, EACCES ..., EMFILE,
 * ENOMEM. Without a handler, or running already: misuse, EINVAL, EBUSY. gevent: start. */
CRESS_API int cress_stream_server_start(cress_stream_server *s);
/* The same on a socket that listens already, which is the server's from now on (when this
 * fails it is still yours). `address` is not used. */
CRESS_API int cress_stream_server_start_on(cress_stream_server *s, int fd);
/* [waits] Starts, unless it was started, and serves until somebody calls close or stop, the
 * caller is killed or an open limit of its passes; then handlers may go on for
 * stop_timeout seconds, and those that are left are killed. 0 after close or stop; -1: as
 * start; why accepting had to end; ECANCELED; ETIMEDOUT. In any case no handler runs any
 * more. Outside greenlets: misuse, EPERM. gevent: serve_forever. */
CRESS_API int cress_stream_server_serve_forever(cress_stream_server *s);
/* Accepts nothing more and closes the listening socket; those in the backlog are reset.
 * Handlers go on. Does not wait: also for handlers and signals. gevent: close. */
CRESS_API void cress_stream_server_close(cress_stream_server *s);
/* [waits] close, then for the handlers to end, and after timeout seconds (0: at once) kills those
 * that are left and waits for that. Whatever happens it returns only when no handler runs
 * any more: when the caller is killed, or its limit passes, they are killed too, and it
 * returns -1. The server may then be started again. A handler cannot stop its own
 * server: misuse, EDEADLK; nor can who cannot wait, outside greenlets: misuse, EPERM. gevent:
 * stop. */
CRESS_API int cress_stream_server_stop(cress_stream_server *s, cress_seconds timeout);

/* Where it listens, with the port that the kernel chose. Stays valid while it runs; NULL:
 * it does not. gevent: address, server_port. */
CRESS_API const cress_address *cress_stream_server_address(const cress_stream_server *s);
/* Its port; 0: none. */
CRESS_API unsigned cress_stream_server_port(const cress_stream_server *s);
/* Connections that are open now. */
CRESS_API size_t cress_stream_server_connections(const cress_stream_server *s);

#endif
