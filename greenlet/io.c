/* Green I/O: every call tries first, without blocking, and waits only for what
 * the kernel says is not there yet.
 *
 * Sockets are asked not to block call by call (MSG_DONTWAIT), so their own flags
 * stay as they are. Other descriptors offer no such thing: one that blocks is
 * only read or written after poll(2) has said that it is ready, and written in
 * pieces that a ready pipe takes whole.
 */
#define _GNU_SOURCE
#include <cress/io.h>

#include "fd.h"
#include "iov.h"
#include "simulation.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static const cress_seconds FIRST_PAUSE = 0.001, LAST_PAUSE = 0.05;

/* ---- one try, and again when there is something to wait for --------------------------------- */

enum { NEVER_WAIT = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB };

/* [waits] After a call that failed: 0 when it should be made again. */
static int again(int fd, int flags, int events)
{
    if (errno == EINTR)
        return 0;
    if (errno != EAGAIN || (flags & NEVER_WAIT))
        return -1;
    return fd_wait(fd, events, CRESS_FOREVER) < 0 ? -1 : 0;
}

static ssize_t recv_some(int fd, void *buf, size_t len, int flags)
{
    ssize_t count;

    do
        count = sys_recv(fd, buf, len, flags | MSG_DONTWAIT);
    while (count < 0 && again(fd, flags, LOOP_READ) == 0);
    return count;
}

static ssize_t recvmsg_some(int fd, struct msghdr *message, int flags)
{
    ssize_t count;

    do
        count = sys_recvmsg(fd, message, flags | MSG_DONTWAIT);
    while (count < 0 && again(fd, flags, LOOP_READ) == 0);
    return count;
}

static ssize_t send_some(int fd, const void *buf, size_t len, int flags)
{
    ssize_t count;

    do
        count = sys_send(fd, buf, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    while (count < 0 && again(fd, flags & MSG_DONTWAIT, LOOP_WRITE) == 0);
    return count;
}

/* A full local datagram socket that is named call by call refuses with EAGAIN while
 * the sender's own is always ready: that is waited out in pauses. */
static ssize_t sendmsg_some(int fd, const struct msghdr *message, int flags)
{
    cress_seconds pause = FIRST_PAUSE;

    for (int tries = 0;; tries++) {
        ssize_t count = sys_sendmsg(fd, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);

        if (count >= 0 || again(fd, flags & MSG_DONTWAIT, LOOP_WRITE) < 0)
            return count;
        if (tries == 0 || !message->msg_name)
            continue;
        if (cress_sleep(pause) < 0)
            return -1;
        pause = fmin(2 * pause, LAST_PAUSE);
    }
}

/* What is left of a message's data, as a message. */
static struct msghdr rest_of(struct iov_cursor *c, const struct msghdr *message)
{
    size_t count;
    const struct iovec *iov = iov_load(c, SIZE_MAX, &count);

    return (struct msghdr){
        .msg_name = message->msg_name,
        .msg_namelen = message->msg_namelen,
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = count,
    };
}

/* What a call returns; one that did not have to wait counts as such. */
static ssize_t finished(ssize_t count, int flags)
{
    if (count >= 0 && !(flags & MSG_DONTWAIT))
        hub_take_turns_after((size_t)count);
    return count;
}

/* ---- sockets -------------------------------------------------------------------------------------- */

/* MSG_WAITALL says nothing about datagrams, and POSIX excepts MSG_PEEK. */
static bool waits_for_all(int fd, int flags)
{
    int type = 0;
    socklen_t len = sizeof type;

    if (!(flags & MSG_WAITALL) || (flags & (NEVER_WAIT | MSG_PEEK)))
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static ssize_t partly(size_t done)
{
    return done ? (ssize_t)done : -1;
}

ssize_t cress_recv(int fd, void *buf, size_t len, int flags)
{
    size_t done = 0;

    if (hub_check() < 0)
        return -1;
    if (!waits_for_all(fd, flags))
        return finished(recv_some(fd, buf, len, flags & ~MSG_WAITALL), flags);
    do {
        ssize_t count = recv_some(fd, (char *)buf + done, len - done, flags & ~MSG_WAITALL);

        if (count < 0)
            return partly(done);
        if (count == 0)
            break;
        done += (size_t)count;
    } while (done < len);
    return (ssize_t)done;
}

/* Ancillary data ends it early: more of it would need a place of its own. */
static ssize_t recvmsg_all(int fd, struct msghdr *message, int flags)
{
    size_t control_size = message->msg_controllen, done = 0;
    struct iov_cursor rest;

    iov_init(&rest, message->msg_iov, message->msg_iovlen);
    do {
        struct msghdr part = rest_of(&rest, message);

        part.msg_control = message->msg_control;
        part.msg_controllen = control_size;

        ssize_t count = recvmsg_some(fd, &part, flags);

        if (count < 0)
            return partly(done);
        message->msg_namelen = part.msg_namelen;
        message->msg_controllen = part.msg_controllen;
        message->msg_flags = part.msg_flags;
        if (count == 0)
            break;
        done += (size_t)count;
        iov_advance(&rest, (size_t)count);
    } while (rest.left > 0 && message->msg_controllen == 0);
    return (ssize_t)done;
}

ssize_t cress_recvmsg(int fd, struct msghdr *message, int flags)
{
    if (hub_check() < 0)
        return -1;
    if (waits_for_all(fd, flags))
        return recvmsg_all(fd, message, flags & ~MSG_WAITALL);
    return finished(recvmsg_some(fd, message, flags & ~MSG_WAITALL), flags);
}

static ssize_t send_all(int fd, const char *data, size_t len, int flags)
{
    size_t done = 0;

    do {
        ssize_t count = send_some(fd, data + done, len - done, flags);

        if (count < 0)
            return partly(done);
        done += (size_t)count;
    } while (done < len && !(flags & MSG_DONTWAIT));
    return (ssize_t)done;
}

ssize_t cress_send(int fd, const void *buf, size_t len, int flags)
{
    return hub_check() < 0 ? -1 : finished(send_all(fd, buf, len, flags), flags);
}

static ssize_t sendmsg_all(int fd, const struct msghdr *message, int flags)
{
    struct iov_cursor rest;
    ssize_t count = sendmsg_some(fd, message, flags);

    if (count < 0 || (flags & MSG_DONTWAIT))
        return count;

    size_t done = (size_t)count;

    iov_init(&rest, message->msg_iov, message->msg_iovlen);
    for (iov_advance(&rest, done); rest.left > 0; iov_advance(&rest, (size_t)count)) {
        struct msghdr part = rest_of(&rest, message);

        count = sendmsg_some(fd, &part, flags);
        if (count < 0)
            return partly(done);
        done += (size_t)count;
    }
    return (ssize_t)done;
}

ssize_t cress_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return hub_check() < 0 ? -1 : finished(sendmsg_all(fd, message, flags), flags);
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_NONBLOCK))
        return flags < 0 ? -1 : 0;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int cress_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    if (hub_check() < 0 || set_nonblocking(fd) < 0)
        return -1;
    for (;;) {
        int connection = sys_accept(fd, addr, len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (connection >= 0 || (errno != ECONNABORTED && again(fd, 0, LOOP_READ) < 0))
            return (int)finished(connection, 0);
    }
}

static int finish_connect(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (fd_wait(fd, LOOP_WRITE, CRESS_FOREVER) < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -1;
    return error ? fail_with(error) : 0;
}

/* A local socket whose backlog is full says EAGAIN and offers nothing to wait for. */
int cress_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    cress_seconds pause = FIRST_PAUSE;

    if (hub_check() < 0 || set_nonblocking(fd) < 0)
        return -1;
    while (sys_connect(fd, addr, len) < 0) {
        if (errno == EINPROGRESS || errno == EINTR)
            return finish_connect(fd);
        if (errno != EAGAIN || addr->sa_family != AF_UNIX || cress_sleep(pause) < 0)
            return -1;
        pause = fmin(2 * pause, LAST_PAUSE);
    }
    return 0;
}

/* ---- any descriptor ------------------------------------------------------------------------------------ */

static int count_bytes(const struct iovec *iov, int count, size_t *ret_total)
{
    *ret_total = 0;
    if (count < 0 || count > IOV_MAX)
        return fail_with(EINVAL);
    for (int i = 0; i < count; i++)
        *ret_total += iov[i].iov_len;
    return 0;
}

/* Nothing to read or write: only the descriptor is checked. */
static int check_descriptor(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

/* The descriptor's flags; -1 with EBADF when it was not opened for this at all: it
 * would never be ready. */
static int flags_unless(int fd, int mode)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -1;
    return (flags & O_ACCMODE) == mode ? fail_with(EBADF) : flags;
}

static ssize_t read_file(int fd, const struct iovec *iov, int count)
{
    int flags = flags_unless(fd, O_WRONLY);
    ssize_t done;

    if (flags < 0)
        return -1;
    do {
        if (!(flags & O_NONBLOCK) && cress_wait_fd(fd, POLLIN, CRESS_FOREVER) < 0)
            return -1;
        done = sys_readv(fd, iov, count);
    } while (done < 0 && again(fd, 0, LOOP_READ) == 0);
    return done;
}

ssize_t cress_read(int fd, void *buf, size_t len)
{
    if (hub_check() < 0)
        return -1;
    if (len == 0)
        return check_descriptor(fd);

    ssize_t count = recv_some(fd, buf, len, 0);

    if (count >= 0 || errno != ENOTSOCK)
        return finished(count, 0);
    return finished(read_file(fd, &(struct iovec){ buf, len }, 1), 0);
}

ssize_t cress_readv(int fd, const struct iovec *iov, int count)
{
    size_t total;

    if (hub_check() < 0 || count_bytes(iov, count, &total) < 0)
        return -1;
    if (total == 0)
        return check_descriptor(fd);

    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                              .msg_iovlen = (size_t)count };
    ssize_t done = recvmsg_some(fd, &message, 0);

    if (done >= 0 || errno != ENOTSOCK)
        return finished(done, 0);
    return finished(read_file(fd, iov, count), 0);
}

static bool is_disk_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static ssize_t write_file(int fd, const struct iovec *iov, int count)
{
    int flags = flags_unless(fd, O_RDONLY);
    bool may_block = flags >= 0 && !(flags & O_NONBLOCK) && !is_disk_file(fd);
    size_t done = 0;
    struct iov_cursor rest;

    iov_init(&rest, iov, (size_t)count);
    if (flags < 0 || rest.left == 0)
        return flags < 0 ? -1 : writev(fd, iov, count);
    iov_advance(&rest, 0);
    while (rest.left > 0) {
        if (may_block && cress_wait_fd(fd, POLLOUT, CRESS_FOREVER) < 0)
            return partly(done);

        size_t parts;
        const struct iovec *at = iov_load(&rest, may_block ? PIPE_BUF : SIZE_MAX, &parts);
        ssize_t written = sys_writev(fd, at, (int)parts);

        if (written >= 0) {
            done += (size_t)written;
            iov_advance(&rest, (size_t)written);
        } else if (again(fd, 0, LOOP_WRITE) < 0) {
            return partly(done);
        }
    }
    return (ssize_t)done;
}

ssize_t cress_write(int fd, const void *buf, size_t len)
{
    if (hub_check() < 0)
        return -1;

    ssize_t done = send_all(fd, buf, len, 0);

    if (done >= 0 || errno != ENOTSOCK)
        return finished(done, 0);
    return finished(write_file(fd, &(struct iovec){ (char *)(uintptr_t)buf, len }, 1), 0);
}

ssize_t cress_writev(int fd, const struct iovec *iov, int count)
{
    size_t total;

    if (hub_check() < 0 || count_bytes(iov, count, &total) < 0)
        return -1;
    if (total == 0)
        return check_descriptor(fd);

    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                              .msg_iovlen = (size_t)count };
    ssize_t done = sendmsg_all(fd, &message, 0);

    if (done >= 0 || errno != ENOTSOCK)
        return finished(done, 0);
    return finished(write_file(fd, iov, count), 0);
}
