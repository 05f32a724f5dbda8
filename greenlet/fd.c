/* Who waits on which descriptor: a table of lists. cress_close takes the watchers
 * of those who wait out of the event loop and tells them, before the number can
 * come to mean something else.
 */
#include "fd.h"

#include "simulation.h"

#include <cress/io.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int reserve(struct hub *hub, int fd)
{
    size_t count = hub->fd_count ? hub->fd_count : 64;

    if ((size_t)fd < hub->fd_count)
        return 0;
    while (count <= (size_t)fd)
        count *= 2;

    struct fd_wait **waits = realloc(hub->fd_waits, count * sizeof(struct fd_wait *));

    if (!waits)
        return -1;
    for (size_t i = hub->fd_count; i < count; i++)
        waits[i] = NULL;
    hub->fd_waits = waits;
    hub->fd_count = count;
    return 0;
}

void io_forget_all(struct hub *hub)
{
    free(hub->fd_waits);
    hub->fd_waits = NULL;
    hub->fd_count = 0;
}

/* libev stops a watcher itself when the kernel refuses its descriptor. */
static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
    struct fd_wait *wait = (struct fd_wait *)io;
    int error = 0;

    (void)loop;
    if (revents & EV_ERROR) {
        hub_current->armed--;
        error = fcntl(wait->fd, F_GETFD) < 0 ? EBADF : ENOMEM;
    }
    wait->revents |= revents & (EV_READ | EV_WRITE);
    hub_wake(wait->greenlet, error);
}

int fd_stand(struct fd_wait *wait, int fd, int events)
{
    struct hub *hub = hub_current;

    *wait = (struct fd_wait){ .greenlet = hub->current, .fd = fd };
    if (fd < 0)
        return fail_with(EBADF);
    if (reserve(hub, fd) < 0)
        return -1;

    ev_io_init(&wait->io, on_event, fd, events);
    if (events)
        hub_io_start(hub, &wait->io);
    wait->next = hub->fd_waits[fd];
    if (wait->next)
        wait->next->prev = wait;
    hub->fd_waits[fd] = wait;
    wait->listed = true;
    return 0;
}

void fd_step_out(struct fd_wait *wait)
{
    struct hub *hub = hub_current;

    if (!wait->listed)
        return;
    wait->listed = false;
    if (wait->prev)
        wait->prev->next = wait->next;
    else
        hub->fd_waits[wait->fd] = wait->next;
    if (wait->next)
        wait->next->prev = wait->prev;
    if (ev_is_pending(&wait->io) && !ev_is_active(&wait->io)) {
        ev_clear_pending(hub->loop, &wait->io);
        hub->armed--;
    }
    hub_io_stop(hub, &wait->io);
}

static void wake_waiters(struct hub *hub, int fd)
{
    struct fd_wait *wait = NULL, *newer;

    if (fd >= 0 && (size_t)fd < hub->fd_count)
        wait = hub->fd_waits[fd];
    while (wait && wait->next)
        wait = wait->next;
    for (; wait; wait = newer) { /* the oldest first */
        newer = wait->prev;
        fd_step_out(wait);
        wait->closed = true;
        hub_wake(wait->greenlet, EBADF);
    }
}

int cress_close(int fd)
{
    if (hub_current)
        wake_waiters(hub_current, fd);
    /* Interrupted or not, Linux has closed it. */
    return close(fd) < 0 && errno != EINTR ? -1 : 0;
}

int fd_wait(int fd, int events, cress_seconds deadline)
{
    static const char *const what[] = {
        [EV_READ] = "descriptor # to read",
        [EV_WRITE] = "descriptor # to write",
        [EV_READ | EV_WRITE] = "descriptor #",
    };
    struct fd_wait wait;

    if (fd_stand(&wait, fd, events) < 0)
        return -1;

    int result = hub_wait(deadline, what[events], (const void *)(intptr_t)fd);

    fd_step_out(&wait);
    if (result == 0 && wait.closed)
        return fail_with(EBADF);
    return result < 0 ? -1 : wait.revents;
}

int cress_wait_fd(int fd, int events, cress_seconds timeout)
{
    struct pollfd now = { .fd = fd, .events = (short)events };

    if (hub_check() < 0)
        return -1;
    if (events == 0 || (events & ~(POLLIN | POLLOUT)))
        return fail_with(EINVAL);
    if (fd < 0 || (sys_poll(&now, 1, timeout > 0) > 0 && (now.revents & POLLNVAL)))
        return fail_with(EBADF);
    if (now.revents & (POLLHUP | POLLERR))
        return events;
    if (now.revents & events)
        return now.revents & events;

    int wanted = (events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0);
    int found = fd_wait(fd, wanted, hub_deadline(timeout));

    if (found < 0)
        return -1;
    return (found & EV_READ ? POLLIN : 0) | (found & EV_WRITE ? POLLOUT : 0);
}
