/* System calls on the path of each request, without the C library in between.
 *
 * Its recv, send and others are cancellation points: each one asks whether its thread may be
 * cancelled, and calls through a place that a cancellation could unwind from: some 30 instructions
 * a call, for what nothing here uses. On x86-64 these are the bare instruction. Everywhere
 * else, under sanitizers, which must see what the kernel writes, and with CRESS_LIBC_CALLS, where
 * tests put themselves between, they are the C library's.
 */
#ifndef CRESS_SYSTEM_H
#define CRESS_SYSTEM_H

#include "context.h" /* which sanitizers there are */

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__) && !defined(CRESS_ASAN) && !defined(CRESS_TSAN) && \
    !defined(CRESS_LIBC_CALLS) && !defined(SYSTEM_DIRECT)
#define SYSTEM_DIRECT 1
#endif

#ifdef SYSTEM_DIRECT

/* A negative errno: it failed. */
static inline long system_try(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    long result = system_try(number, a, b, c, d, e, f);

    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static inline ssize_t system_recv(int fd, void *buf, size_t len, int flags)
{
    return system_call(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0);
}

static inline ssize_t system_send(int fd, const void *buf, size_t len, int flags)
{
    return system_call(SYS_sendto, fd, (long)buf, (long)len, flags, 0, 0);
}

static inline ssize_t system_try_recv(int fd, void *buf, size_t len, int flags)
{
    return system_try(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0);
}

static inline ssize_t system_try_send(int fd, const void *buf, size_t len, int flags)
{
    return system_try(SYS_sendto, fd, (long)buf, (long)len, flags, 0, 0);
}

static inline ssize_t system_recvmsg(int fd, struct msghdr *message, int flags)
{
    return system_call(SYS_recvmsg, fd, (long)message, flags, 0, 0, 0);
}

static inline ssize_t system_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return system_call(SYS_sendmsg, fd, (long)message, flags, 0, 0, 0);
}

static inline int system_close(int fd)
{
    return (int)system_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

#else

#define system_recv recv
#define system_send send
#define system_recvmsg recvmsg
#define system_sendmsg sendmsg
#define system_close close

static inline ssize_t system_try_recv(int fd, void *buf, size_t len, int flags)
{
    ssize_t count = recv(fd, buf, len, flags);

    return count < 0 ? -errno : count;
}

static inline ssize_t system_try_send(int fd, const void *buf, size_t len, int flags)
{
    ssize_t count = send(fd, buf, len, flags);

    return count < 0 ? -errno : count;
}

#endif

/* epoll_wait with nanoseconds; NULL: for ever. ENOSYS or EPERM: the kernel, or what guards it,
 * does not know it. ThreadSanitizer does not either: a signal that came just before it would
 * be handled only after it. */
struct system_span {
    int64_t seconds, nanoseconds;
};

static inline int system_epoll(int epoll, struct epoll_event *events, int count,
                               const struct system_span *span)
{
#if defined(SYS_epoll_pwait2) && defined(SYSTEM_DIRECT)
    return (int)system_call(SYS_epoll_pwait2, epoll, (long)events, count, (long)span, 0, 0);
#elif defined(SYS_epoll_pwait2) && !defined(CRESS_TSAN)
    return (int)syscall(SYS_epoll_pwait2, epoll, events, count, span, NULL, 0);
#else
    (void)epoll, (void)events, (void)count, (void)span;
    errno = ENOSYS;
    return -1;
#endif
}

#endif
