/* Who waits on which descriptor. cress_close takes the watchers of those who wait out of the
 * event loop and tells them, before the number can come to mean something else.
 */
#include "fd.h"

#include "simulation.h"
#include "system.h"

#include <cress/io.h>

#include <fcntl.h>
#include <unistd.h>

void fd_on_event(struct loop_io *io, int events)
{
    struct fd_wait *wait = (struct fd_wait *)(void *)io;

    if (events > 0)
        wait->revents |= events;
    hub_wake(io->greenlet, events < 0 ? -events : 0);
}

int fd_stand(struct fd_wait *wait, int fd, int events)
{
    struct hub *hub = hub_current;

    wait->revents = 0;
    wait->closed = false;
    loop_io_init(&wait->io, IO_WAIT, fd, events, false);
    if (fd < 0)
        return fail_with(EBADF);
    wait->io.greenlet = hub->current;
    return hub_io_start(hub, &wait->io);
}

void fd_step_out(struct fd_wait *wait)
{
    hub_io_stop(hub_current, &wait->io);
}

static void wake_waiters(struct hub *hub, int fd)
{
    struct fd_wait *wait;

    while ((wait = (struct fd_wait *)(void *)loop_find(&hub->loop, fd, IO_WAIT))) {
        fd_step_out(wait);
        wait->closed = true;
        hub_wake(wait->io.greenlet, EBADF);
    }
    loop_forget(&hub->loop, fd);
}

int cress_close(int fd)
{
    if (hub_current)
        wake_waiters(hub_current, fd);
    /* Interrupted or not, Linux has closed it. */
    return system_close(fd) < 0 && errno != EINTR ? -1 : 0;
}

int fd_wait(int fd, int events, cress_seconds deadline)
{
    static const char *const what[] = {
        [LOOP_READ] = "descriptor # to read",
        [LOOP_WRITE] = "descriptor # to write",
        [LOOP_READ | LOOP_WRITE] = "descriptor #",
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

    int wanted = (events & POLLIN ? LOOP_READ : 0) | (events & POLLOUT ? LOOP_WRITE : 0);
    int found = fd_wait(fd, wanted, hub_deadline(timeout));

    if (found < 0)
        return -1;
    return (found & LOOP_READ ? POLLIN : 0) | (found & LOOP_WRITE ? POLLOUT : 0);
}
