/* <cress/address.h>: where sockets are bound and whom they talk to, as text and back.
 *
 *     HOST:PORT      a name or an IPv4 address; of a name's addresses IPv4 is preferred
 *     [V6]:PORT      an IPv6 address
 *     :PORT          every IPv4 address of the machine
 *     PORT           127.0.0.1
 *     unix:PATH      a unix socket
 *
 * Port 0 is any free one: cress_address_of_socket tells which it became.
 *
 * gevent: gevent.baseserver.parse_address.
 */
#ifndef CRESS_ADDRESS_H
#define CRESS_ADDRESS_H

#include <cress/api.h>

#include <sys/socket.h>

typedef struct cress_address {
    struct sockaddr_storage storage;
    socklen_t len;
} cress_address;

/* What cress_address_format needs at most: a unix socket's path is the longest. */
enum { CRESS_ADDRESS_TEXT = 128 };

/* [waits, for a name; outside greenlets it blocks] -1: EINVAL malformed, ENOENT unknown
 * host, ENAMETOOLONG a unix socket's path, or why a name could not be looked up. */
CRESS_API int cress_address_parse(const char *text, cress_address *ret_address);
/* "127.0.0.1:8000", "[::1]:8000", "unix:/run/x.sock" ("unix:" for a client's, which has
 * no name). Writes it into buf, cut at size; returns buf. */
CRESS_API const char *cress_address_format(const cress_address *a, char *buf, size_t size);
/* The host ("127.0.0.1", "::1") and the port as text; both empty for a unix socket. */
CRESS_API void cress_address_split(const cress_address *a, char *host, size_t host_size, char *port,
                                   size_t port_size);
/* As a number; 0 for a unix socket. */
CRESS_API unsigned cress_address_port(const cress_address *a);
/* What fd is bound to. -1: errno. */
CRESS_API int cress_address_of_socket(int fd, cress_address *ret_address);

/* A listening stream socket: non-blocking, close-on-exec; for TCP with SO_REUSEADDR and
 * TCP_NODELAY, which accepted sockets inherit, and for IPv6 without IPv4. A unix
 * socket's file that nobody listens on any more is replaced; a live server's, or a
 * file of another kind, is left alone. -1: errno; EADDRINUSE in both these cases. */
CRESS_API int cress_listen(const cress_address *a, int backlog);
/* The same for datagrams, without SO_REUSEADDR: it would let another process take the
 * port away. */
CRESS_API int cress_bind_datagram(const cress_address *a);
/* Closes what one of these two returned, after waking who waits on it with EBADF. A unix
 * socket's file goes with it, unless somebody listens there by now (a successor, or
 * a process that has inherited the socket). Leaves errno alone. */
CRESS_API void cress_close_listener(int fd);

#endif
