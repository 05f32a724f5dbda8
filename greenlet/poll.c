/* poll and select: a look first, a node in each descriptor's list, and another look
 * when something woke us. */
#include "fd.h"

#include "simulation.h"

#include <cress/io.h>

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    FEW = 8,           /* descriptors of one poll whose nodes stand on the stack */
    FEW_SELECTED = 64, /* and of one select */
};

/* What the event loop can watch for; the rest (urgent data, hang-ups alone) goes to an epoll
 * instance of the call's own, which the loop watches in turn. */
static int loop_events(const struct pollfd *poll)
{
    const int in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;

    if (poll->events == 0 || (poll->events & ~(in | out)))
        return 0;
    return (poll->events & in ? LOOP_READ : 0) | (poll->events & out ? LOOP_WRITE : 0);
}

/* All that is asked of one descriptor: it may be listed more than once. */
static uint32_t events_of(int fd, const struct pollfd fds[], size_t count)
{
    uint32_t events = 0;

    for (size_t i = 0; i < count; i++)
        if (fds[i].fd == fd)
            events |= (unsigned short)fds[i].events;
    return events;
}

static int watch_by_epoll(int epoll, int fd, const struct pollfd fds[], size_t count)
{
    struct epoll_event event = { .events = events_of(fd, fds, count) };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST)
        return 0;
    return errno == EPERM ? 0 : -1; /* a file on disk: these never happen to it */
}

/* waits[count] is the epoll instance's. */
static int stand_by_epoll(struct fd_wait *waits, const struct pollfd fds[], size_t count,
                          int *epoll)
{
    *epoll = epoll_create1(EPOLL_CLOEXEC);
    if (*epoll < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (fds[i].fd >= 0 && !loop_events(&fds[i]) &&
            watch_by_epoll(*epoll, fds[i].fd, fds, count) < 0)
            return -1;
    return fd_stand(&waits[count], *epoll, LOOP_READ);
}

static int stand_at_all(struct fd_wait *waits, const struct pollfd fds[], size_t count, int *epoll)
{
    bool odd = false;

    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        if (fd_stand(&waits[i], fds[i].fd, loop_events(&fds[i])) < 0)
            return -1;
        odd |= !loop_events(&fds[i]);
    }
    return odd ? stand_by_epoll(waits, fds, count, epoll) : 0;
}

/* Looks again, and shows what was closed meanwhile as closed, whatever its number
 * may mean by now. */
static int poll_again(const struct fd_wait *waits, struct pollfd fds[], size_t count)
{
    int ready;

    do
        ready = sys_poll(fds, count, true);
    while (ready < 0 && errno == EINTR);
    for (size_t i = 0; ready >= 0 && i < count; i++) {
        if (!waits[i].closed)
            continue;
        ready += fds[i].revents == 0;
        fds[i].revents = POLLNVAL;
    }
    return ready;
}

/* For reports: the one descriptor, or how many. */
static const char *what_of(size_t count)
{
    return count == 0 ? "sleep" : count == 1 ? "descriptor # by poll" : "# descriptors by poll";
}

static const void *object_of(const struct pollfd fds[], size_t count)
{
    return (const void *)(uintptr_t)(count == 1 ? (size_t)fds[0].fd : count);
}

static int poll_in_line(struct fd_wait *waits, struct pollfd fds[], size_t count,
                        cress_seconds deadline)
{
    int epoll = -1;
    int result = stand_at_all(waits, fds, count, &epoll);

    if (result == 0)
        result = hub_wait(deadline, what_of(count), object_of(fds, count));

    int saved = errno;

    for (size_t i = 0; i <= count; i++)
        fd_step_out(&waits[i]);
    if (epoll >= 0)
        close(epoll);
    if (result == 0 || saved == EBADF)
        return poll_again(waits, fds, count);
    return fail_with(saved);
}

/* [waits] A count of ready ones; 0: look again. */
static int wait_poll(struct pollfd fds[], size_t count, cress_seconds deadline)
{
    struct fd_wait few[FEW + 1] = { 0 }, *waits = few;

    if (count > FEW && !(waits = calloc(count + 1, sizeof *waits)))
        return -1;

    int result = poll_in_line(waits, fds, count, deadline);

    if (waits != few) {
        int saved = errno;
        free(waits);
        errno = saved;
    }
    return result;
}

static int poll_until(struct pollfd fds[], size_t count, cress_seconds deadline)
{
    int ready = sys_poll(fds, count, deadline > hub_current->now);

    while (ready == 0 || (ready < 0 && errno == EINTR)) {
        if (deadline <= hub_current->now)
            return hub_check();
        ready = wait_poll(fds, count, deadline);
        if (ready < 0 && errno == ETIMEDOUT)
            return hub_check(); /* the call's own limit is no error */
    }
    return ready;
}

int cress_poll(struct pollfd fds[], nfds_t count, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    return poll_until(fds, count, hub_deadline(timeout));
}

/* ---- select ------------------------------------------------------------------------------ */

enum {
    READABLE = POLLIN | POLLHUP | POLLERR,
    WRITABLE = POLLOUT | POLLERR,
    EXCEPTIONAL = POLLPRI,
};

struct selection {
    fd_set *readable, *writable, *except;
};

static bool selected(int fd, const fd_set *set)
{
    return set && FD_ISSET(fd, set);
}

static short wanted_events(int fd, const struct selection *s)
{
    return (short)((selected(fd, s->readable) ? POLLIN : 0) |
                   (selected(fd, s->writable) ? POLLOUT : 0) |
                   (selected(fd, s->except) ? POLLPRI : 0));
}

static size_t gather(struct pollfd *fds, int nfds, const struct selection *s)
{
    size_t count = 0;

    for (int fd = 0; fd < nfds; fd++)
        if (wanted_events(fd, s))
            fds[count++] = (struct pollfd){ .fd = fd, .events = wanted_events(fd, s) };
    return count;
}

/* Of what poll found, what select counts. A hang-up of one that is only written is
 * no reason to return, and would not pass: it is left out from then on. */
static int count_selected(struct pollfd *fds, size_t count)
{
    int bits = 0;

    for (size_t i = 0; i < count; i++) {
        struct pollfd *at = &fds[i];

        if (at->revents & POLLNVAL)
            return fail_with(EBADF);

        int found = ((at->events & POLLIN) && (at->revents & READABLE)) +
                    ((at->events & POLLOUT) && (at->revents & WRITABLE)) +
                    ((at->events & POLLPRI) && (at->revents & EXCEPTIONAL));

        if (at->revents && !found)
            at->fd = -1;
        bits += found;
    }
    return bits;
}

static void spread(const struct pollfd *fds, size_t count, const struct selection *s)
{
    fd_set *const sets[] = { s->readable, s->writable, s->except };
    const short asked[] = { POLLIN, POLLOUT, POLLPRI };
    const short found[] = { READABLE, WRITABLE, EXCEPTIONAL };

    for (size_t k = 0; k < 3; k++) {
        if (!sets[k])
            continue;
        FD_ZERO(sets[k]);
        for (size_t i = 0; i < count; i++)
            if ((fds[i].events & asked[k]) && (fds[i].revents & found[k]))
                FD_SET(fds[i].fd, sets[k]);
    }
}

static int select_until(struct pollfd *fds, size_t count, const struct selection *s,
                        cress_seconds deadline)
{
    int bits = 0;

    while (bits == 0) {
        int ready = poll_until(fds, count, deadline);

        if (ready < 0)
            return -1;
        if (ready == 0)
            break;
        bits = count_selected(fds, count);
    }
    if (bits >= 0)
        spread(fds, count, s);
    return bits;
}

int cress_select(int nfds, fd_set *readable, fd_set *writable, fd_set *except,
                 cress_seconds timeout)
{
    struct selection s = { readable, writable, except };
    struct pollfd few[FEW_SELECTED], *fds = few;

    if (hub_check() < 0)
        return -1;
    if (nfds < 0 || nfds > FD_SETSIZE)
        return fail_with(EINVAL);
    if (nfds > FEW_SELECTED && !(fds = malloc((size_t)nfds * sizeof *fds)))
        return -1;

    int result = select_until(fds, gather(fds, nfds, &s), &s, hub_deadline(timeout));

    if (fds != few) {
        int saved = errno;
        free(fds);
        errno = saved;
    }
    return result;
}
