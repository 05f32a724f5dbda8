/* Faults on plan: the N-th call of one function fails with an errno of choice, all
 * others do what they always do. Included once by a test that wraps these functions: see
 * its .wrap file. */
#ifndef CRESS_TEST_FAULTS_H
#define CRESS_TEST_FAULTS_H

#define FAULTS(X)                                                                                 \
    X(void *, malloc, NULL, (size_t size), (size))                                                \
    X(void *, calloc, NULL, (size_t count, size_t size), (count, size))                           \
    X(void *, realloc, NULL, (void *old, size_t size), (old, size))                               \
    X(char *, strdup, NULL, (const char *text), (text))                                           \
    X(void *, mmap, MAP_FAILED, (void *at, size_t len, int prot, int flags, int fd, off_t o),     \
      (at, len, prot, flags, fd, o))                                                              \
    X(int, mprotect, -1, (void *at, size_t len, int prot), (at, len, prot))                       \
    X(int, madvise, -1, (void *at, size_t len, int advice), (at, len, advice))                    \
    X(ssize_t, read, -1, (int fd, void *buf, size_t len), (fd, buf, len))                         \
    X(ssize_t, readv, -1, (int fd, const struct iovec *iov, int count), (fd, iov, count))         \
    X(ssize_t, recv, -1, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))       \
    X(ssize_t, recvmsg, -1, (int fd, struct msghdr *m, int flags), (fd, m, flags))                \
    X(ssize_t, write, -1, (int fd, const void *buf, size_t len), (fd, buf, len))                  \
    X(ssize_t, writev, -1, (int fd, const struct iovec *iov, int count), (fd, iov, count))        \
    X(ssize_t, send, -1, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags)) \
    X(ssize_t, sendmsg, -1, (int fd, const struct msghdr *m, int flags), (fd, m, flags))          \
    X(int, accept4, -1, (int fd, struct sockaddr *addr, socklen_t *len, int flags),               \
      (fd, addr, len, flags))                                                                     \
    X(int, connect, -1, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))    \
    X(int, pipe2, -1, (int fds[2], int flags), (fds, flags))                                      \
    X(int, poll, -1, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))     \
    X(int, epoll_create1, -1, (int flags), (flags))                                               \
    X(int, epoll_ctl, -1, (int epoll, int op, int fd, struct epoll_event *event),                 \
      (epoll, op, fd, event))                                                                     \
    X(int, eventfd, -1, (unsigned count, int flags), (count, flags))

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct fault {
    const char *function; /* NULL: none fails */
    unsigned call;        /* which one, from 1 */
    int error;
    unsigned calls; /* so far */
    bool struck;
} fault;

static bool strikes(const char *function)
{
    if (!fault.function || strcmp(function, fault.function) != 0 || ++fault.calls != fault.call)
        return false;
    fault.struck = true;
    errno = fault.error;
    return true;
}

#define WRAP(type, name, failed, parameters, arguments)                 \
    type __real_##name parameters;                                      \
    type __wrap_##name parameters;                                      \
    type __wrap_##name parameters                                       \
    {                                                                   \
        return strikes(#name) ? (type)failed : __real_##name arguments; \
    }
FAULTS(WRAP)

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg)
{
    if (strikes("pthread_create"))
        return fault.error;
    return __real_pthread_create(thread, attributes, fn, arg);
}

#endif
