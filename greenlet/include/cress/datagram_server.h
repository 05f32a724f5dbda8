/* <cress/datagram_server.h>: a server that hands each datagram to a function, over UDP
 * or a unix socket.
 *
 * One greenlet receives; each datagram has a greenlet of its own, which calls handle.
 * While `max` of them run nothing is received: what comes in waits in the kernel, which
 * drops what does not fit there.
 *
 *     static void echo(cress_datagram_server *server, const cress_datagram *d, void *self)
 *     {
 *         cress_datagram_server_send(server, d->data, d->len, &d->peer);
 *     }
 *
 * The life of a server is that of <cress/stream_server.h>: what its calls say holds here.
 *
 * gevent: gevent.server.DatagramServer.
 */
#ifndef CRESS_DATAGRAM_SERVER_H
#define CRESS_DATAGRAM_SERVER_H

#include <cress/address.h>

typedef struct cress_datagram_server cress_datagram_server;

/* Lives until the handler returns. */
typedef struct cress_datagram {
    const char *data; /* data[len] is '\0' */
    size_t len;
    bool truncated;     /* it was longer: this is its begin */
    cress_address peer; /* who sent it; of a unix socket without a name: nobody to answer */
} cress_datagram;

/* [may wait] In a greenlet of its own. cress_fail reports a failure. */
typedef void cress_datagram_handler(cress_datagram_server *server, const cress_datagram *datagram,
                                    void *self);

struct cress_datagram_server {
    const char *address; /* where to receive: see <cress/address.h> */
    cress_datagram_handler *handle;
    void *self;                 /* given to handle */
    size_t max;                 /* handlers at a time; 0: 1000 */
    size_t max_size;            /* bytes of a datagram, longer ones are cut; 0: 65535 */
    cress_seconds stop_timeout; /* serve_forever's; 0: 1; negative: none */

    uint64_t received; /* so far, to read */

    struct cress_datagram_service *service; /* NULL: it does not run */
};

/* As for a stream server. Two servers cannot have the same port: EADDRINUSE. */
CRESS_API int cress_datagram_server_start(cress_datagram_server *s);
CRESS_API int cress_datagram_server_start_on(cress_datagram_server *s, int fd);
CRESS_API int cress_datagram_server_serve_forever(cress_datagram_server *s);
/* Receives nothing more. The socket stays open for the answers of handlers until they have
 * ended: see stop. */
CRESS_API void cress_datagram_server_close(cress_datagram_server *s);
CRESS_API int cress_datagram_server_stop(cress_datagram_server *s, cress_seconds timeout);

/* [waits] for room in the socket's buffer, then sends one datagram from the server's address.
 * 0, or -1: EMSGSIZE, ECONNREFUSED ...; EBADF: the server does not run. gevent: sendto. */
CRESS_API int cress_datagram_server_send(cress_datagram_server *s, const void *data, size_t len,
                                         const cress_address *peer);

CRESS_API const cress_address *cress_datagram_server_address(const cress_datagram_server *s);
CRESS_API unsigned cress_datagram_server_port(const cress_datagram_server *s);
/* Handlers that run now. */
CRESS_API size_t cress_datagram_server_handlers(const cress_datagram_server *s);

#endif
