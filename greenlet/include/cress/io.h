/* <cress/io.h>: green I/O: POSIX names, POSIX results.
 *
 * Each call behaves as its POSIX namesake on a blocking descriptor, except that
 * only the calling greenlet waits. Sockets, pipes and terminals may be blocking
 * or not; a descriptor is never changed but by cress_connect and cress_accept,
 * which make a socket non-blocking. Regular files never wait.
 *
 * Writing calls go on until all is written, as on a blocking descriptor: a
 * smaller count means that an error, a limit or a kill came in between.
 * Descriptors that greenlets may be waiting on are closed by cress_close.
 *
 * gevent: gevent.socket, gevent.os, gevent.select.
 */
#ifndef CRESS_IO_H
#define CRESS_IO_H

#include <cress/api.h>

#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* All of these: [waits]. */
CRESS_API ssize_t cress_read(int fd, void *buf, size_t len);
CRESS_API ssize_t cress_write(int fd, const void *buf, size_t len);
CRESS_API ssize_t cress_readv(int fd, const struct iovec *iov, int count);
CRESS_API ssize_t cress_writev(int fd, const struct iovec *iov, int count);
CRESS_API ssize_t cress_recv(int fd, void *buf, size_t len, int flags);
CRESS_API ssize_t cress_send(int fd, const void *buf, size_t len, int flags);
CRESS_API ssize_t cress_recvmsg(int fd, struct msghdr *message, int flags);
CRESS_API ssize_t cress_sendmsg(int fd, const struct msghdr *message, int flags);
/* The new descriptor is non-blocking and close-on-exec. */
CRESS_API int cress_accept(int fd, struct sockaddr *addr, socklen_t *len);
CRESS_API int cress_connect(int fd, const struct sockaddr *addr, socklen_t len);

/* [waits] for any of POLLIN, POLLOUT: those that are there, or -1. POLLHUP and
 * POLLERR show as what was asked for. EBADF: closed meanwhile. gevent: wait_read. */
CRESS_API int cress_wait_fd(int fd, int events, cress_seconds timeout);
/* [waits] As poll(2), the timeout in seconds; 0: none was ready in time. */
CRESS_API int cress_poll(struct pollfd fds[], nfds_t count, cress_seconds timeout);
/* [waits] As select(2), the timeout in seconds; 0: none was ready in time. */
CRESS_API int cress_select(int nfds, fd_set *readable, fd_set *writable, fd_set *except,
                           cress_seconds timeout);
/* Closes, after waking all who wait on fd with EBADF. Does not wait. */
CRESS_API int cress_close(int fd);

#endif
