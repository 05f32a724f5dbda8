/* Green I/O, disturbed: system calls that do what the kernel might do.
 *
 * A fault never changes what a correct program can rely on. EAGAIN is only said of what is
 * ready, so that who waits thereupon is woken at once and nobody waits for ever on a call that
 * would have failed; only streams of bytes are cut short, not datagrams, files or what a pipe
 * takes as a whole.
 */
#define _GNU_SOURCE
#include "simulation.h"

#include <errno.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECES = 8, /* of a message that is cut: so many are left at most */
    TINY = 8,   /* bytes of which half of all cut transfers have no more */
};

enum fault { EARLY = 1, INTERRUPTED, SHORT, RESET, ABORTED, FAULTS = SHORT };

/* Is it one whose bytes have no borders between them? */
static bool is_stream(int fd, short events, size_t len)
{
    struct stat st;
    int type = 0;
    socklen_t size = sizeof type;

    if (fstat(fd, &st) < 0)
        return false;
    if (S_ISFIFO(st.st_mode)) /* up to so much a pipe takes as a whole */
        return events == POLLIN || len > PIPE_BUF;
    return S_ISSOCK(st.st_mode) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_STREAM;
}

static bool is_connection(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;

    return is_stream(fd, POLLIN, 0) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* Would the call find something to do? Only then may it say that there is nothing yet:
 * who waits thereupon is woken at once. */
static bool is_ready(int fd, short events)
{
    struct pollfd look = { .fd = fd, .events = events };

    return poll(&look, 1, 0) == 1 && look.revents == events;
}

static bool fail(struct simulation *s, enum fault fault, int error)
{
    simulation_note(s, fault);
    errno = error;
    return true;
}

static bool reset(struct simulation *s, int fd, short events)
{
    char lost[512];

    while (recv(fd, lost, sizeof lost, MSG_DONTWAIT) > 0)
        continue;
    shutdown(fd, SHUT_RDWR);
    return fail(s, RESET, events == POLLOUT && simulation_below(s, 2) ? EPIPE : ECONNRESET);
}

static void shorten(struct simulation *s, size_t *len)
{
    size_t limit = *len - 1;

    if (limit > TINY && simulation_below(s, 2))
        limit = TINY;
    *len = 1 + simulation_below(s, limit);
    simulation_note(s, SHORT);
}

/* What befalls a call that would transfer *len bytes: true with errno, it fails; or it
 * transfers fewer. */
static bool disturbed(int fd, short events, size_t *len)
{
    struct simulation *s = hub_current->simulation;

    if (simulation_chance(s, s->reset_rate) && is_connection(fd))
        return reset(s, fd, events);
    if (!simulation_chance(s, s->fault_rate))
        return false;
    switch ((enum fault)(1 + simulation_below(s, FAULTS))) {
    case EARLY:
        return is_ready(fd, events) && fail(s, EARLY, EAGAIN);
    case INTERRUPTED:
        return fail(s, INTERRUPTED, EINTR);
    default:
        if (*len > 1 && is_stream(fd, events, *len))
            shorten(s, len);
        return false;
    }
}

ssize_t simulated_recv(int fd, void *buf, size_t len, int flags)
{
    if (!(flags & (MSG_OOB | MSG_ERRQUEUE)) && disturbed(fd, POLLIN, &len))
        return -1;
    return recv(fd, buf, len, flags);
}

ssize_t simulated_send(int fd, const void *buf, size_t len, int flags)
{
    if (!(flags & MSG_OOB) && disturbed(fd, POLLOUT, &len))
        return -1;
    return send(fd, buf, len, flags);
}

static size_t total_of(const struct iovec *iov, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    return total;
}

/* The first len bytes: how many pieces. */
static size_t cut(const struct iovec *iov, size_t count, size_t len, struct iovec pieces[PIECES])
{
    size_t i;

    for (i = 0; i < count && i < PIECES && len > 0; i++) {
        pieces[i] = iov[i];
        if (pieces[i].iov_len > len)
            pieces[i].iov_len = len;
        len -= pieces[i].iov_len;
    }
    return i;
}

ssize_t simulated_recvmsg(int fd, struct msghdr *message, int flags)
{
    size_t total = total_of(message->msg_iov, message->msg_iovlen), len = total;
    struct iovec pieces[PIECES];

    if (!(flags & (MSG_OOB | MSG_ERRQUEUE)) && disturbed(fd, POLLIN, &len))
        return -1;
    if (len == total)
        return recvmsg(fd, message, flags);

    struct msghdr part = *message;

    part.msg_iovlen = cut(message->msg_iov, message->msg_iovlen, len, pieces);
    part.msg_iov = pieces;

    ssize_t count = recvmsg(fd, &part, flags);

    part.msg_iov = message->msg_iov;
    part.msg_iovlen = message->msg_iovlen;
    *message = part;
    return count;
}

ssize_t simulated_sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t total = total_of(message->msg_iov, message->msg_iovlen), len = total;
    struct iovec pieces[PIECES];

    if (!(flags & MSG_OOB) && disturbed(fd, POLLOUT, &len))
        return -1;
    if (len == total)
        return sendmsg(fd, message, flags);

    struct msghdr part = *message;

    part.msg_iovlen = cut(message->msg_iov, message->msg_iovlen, len, pieces);
    part.msg_iov = pieces;
    return sendmsg(fd, &part, flags);
}

ssize_t simulated_readv(int fd, const struct iovec *iov, int count)
{
    size_t total = total_of(iov, (size_t)count), len = total;
    struct iovec pieces[PIECES];

    if (disturbed(fd, POLLIN, &len))
        return -1;
    if (len == total)
        return readv(fd, iov, count);
    return readv(fd, pieces, (int)cut(iov, (size_t)count, len, pieces));
}

ssize_t simulated_writev(int fd, const struct iovec *iov, int count)
{
    size_t total = total_of(iov, (size_t)count), len = total;
    struct iovec pieces[PIECES];

    if (disturbed(fd, POLLOUT, &len))
        return -1;
    if (len == total)
        return writev(fd, iov, count);
    return writev(fd, pieces, (int)cut(iov, (size_t)count, len, pieces));
}

ssize_t simulated_sendfile(int to, int from, off_t *offset, size_t len)
{
    return disturbed(to, POLLOUT, &len) ? -1 : sendfile(to, from, offset, len);
}

/* A peer may also have left before it was accepted. */
int simulated_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct simulation *s = hub_current->simulation;
    size_t one = 1;

    if (disturbed(fd, POLLIN, &one) ||
        (simulation_chance(s, s->fault_rate) && fail(s, ABORTED, ECONNABORTED)))
        return -1;
    return accept4(fd, addr, len, flags);
}

/* It goes on by itself, interrupted or not. */
int simulated_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct simulation *s = hub_current->simulation;
    int result = connect(fd, addr, len);

    if ((result == 0 || errno == EINPROGRESS) && is_connection(fd) &&
        simulation_chance(s, s->fault_rate) &&
        fail(s, INTERRUPTED, simulation_below(s, 2) ? EINTR : EINPROGRESS))
        return -1;
    return result;
}

/* A signal ends a look only if there is nothing to be seen. */
int simulated_poll(struct pollfd *fds, nfds_t count, bool may_wait)
{
    struct simulation *s = hub_current->simulation;
    int ready = poll(fds, count, 0);

    if (ready < 0 || !simulation_chance(s, s->fault_rate))
        return ready;
    if (ready == 0)
        return fail(s, INTERRUPTED, EINTR) ? -1 : 0;
    if (!may_wait)
        return ready;
    for (nfds_t i = 0; i < count; i++)
        fds[i].revents = 0;
    simulation_note(s, EARLY);
    return 0;
}
