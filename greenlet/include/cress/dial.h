/* <cress/dial.h>: from a name to a connection.
 *
 * Looks up the host's IPv6 and IPv4 addresses at the same time and connects by
 * Happy Eyeballs (RFC 8305): IPv6 begins as soon as its addresses are known; IPv4
 * that arrives first gives it 50 ms. The families then take turns, a next address
 * being tried when the one before it has failed or has taken 250 ms. The first
 * connection that stands is returned, all others are closed.
 *
 * gevent: gevent.socket.create_connection.
 */
#ifndef CRESS_DIAL_H
#define CRESS_DIAL_H

#include <cress/api.h>

/* Zeroed: the defaults. */
typedef struct cress_dial_options {
    int family;                     /* AF_INET or AF_INET6 only; 0: both */
    cress_seconds attempt_delay;    /* before the next address is tried as well; 0: 0.25,
                                       less than 0.01 is taken as that */
    cress_seconds resolution_delay; /* that IPv4 waits for IPv6's addresses; 0: 0.05,
                                       CRESS_FOREVER: until they are known or not to be had */
} cress_dial_options;

/* [waits] The host is a name or an address ("127.0.0.1", "::1", "fe80::1%eth0"), the
 * service a port or a name that getservbyname(3) knows; or the host is "unix:PATH" and
 * the service NULL. A stream socket, non-blocking, close-on-exec, with TCP_NODELAY; or
 * -1:
 *   ENXIO         there is no such host, address of the family, or service
 *   EHOSTUNREACH  the name servers failed or did not answer
 *   EINVAL        no service, or a family that is none
 *   others        connect(2)'s for the first address that could be reached at all
 * There is no limit but the kernel's: open a cress_timeout around it. */
CRESS_API int cress_dial(const char *host, const char *service);
CRESS_API int cress_dial_with(const cress_dial_options *options, const char *host,
                              const char *service);

#endif
