/* A descriptor that stays registered across waits. See watch.h. */
#include "hub.h"

#include <assert.h>
#include <errno.h>

_Static_assert(sizeof(struct loop_io) == sizeof(((cress_watch *)0)->io), "the watcher has room");

static const cress_seconds REFUSED_RETRY = 0.1;

static struct loop_io *io_of(cress_watch *w)
{
    return (struct loop_io *)(void *)w->io;
}

/* One that rests cannot be told why its descriptor is not watched: the kernel refuses it, or there
 * is no memory. It is called again after a while, and may rest again; or at once, if it has been
 * woken meanwhile. */
static __attribute__((noinline, cold)) void retry_later(cress_greenlet *g)
{
    if (g->parked)
        timers_add(&g->hub->timers, g, g->hub->now + REFUSED_RETRY);
}

void watch_on_event(struct loop_io *io, int events)
{
    cress_watch *w = (cress_watch *)(void *)io;
    cress_greenlet *g = io->greenlet;

    if (g) {
        io->greenlet = NULL;
        if (events >= 0)
            hub_wake(g, 0);
        else if (g->state == GREENLET_RESTING)
            retry_later(g);
        else
            hub_wake(g, -events);
    } else if (w->on_idle) {
        hub_current->stirred = true;
        w->on_idle(w);
    } else {
        cress_watch_stop(w);
    }
}

void cress_watch_init(cress_watch *w, int fd, void (*on_idle)(cress_watch *w))
{
    w->on_idle = on_idle;
    loop_io_init(io_of(w), IO_WATCH, fd, LOOP_READ, true);
}

int cress_watch_fd(const cress_watch *w)
{
    return io_of((cress_watch *)(uintptr_t)w)->fd;
}

void cress_watch_start(cress_watch *w)
{
    hub_io_start(hub_current, io_of(w));
}

void cress_watch_stop(cress_watch *w)
{
    hub_io_stop(hub_current, io_of(w));
}

static void check_waiter(const struct loop_io *io)
{
    assert(!io->greenlet || io->greenlet->state == GREENLET_ENDED); /* in a forked child */
}

int cress_watch_wait(cress_watch *w, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    check_waiter(io_of(w));
    if (hub_io_start(hub_current, io_of(w)) < 0)
        return -1;
    io_of(w)->greenlet = greenlet_current;
    int result = hub_wait(hub_deadline(timeout), "watched descriptor # to read",
                          (void *)(uintptr_t)cress_watch_fd(w));
    if (result < 0)
        io_of(w)->greenlet = NULL;
    return result;
}

void watch_rest(cress_greenlet *g)
{
    cress_watch *w = g->rest_watch;

    if (!w)
        return;
    check_waiter(io_of(w));
    io_of(w)->greenlet = g;
    if (hub_io_start(g->hub, io_of(w)) < 0) {
        io_of(w)->greenlet = NULL;
        retry_later(g);
    }
}

/* It goes on for another reason than its watch's: it no longer waits there. */
void watch_roused(cress_greenlet *g)
{
    cress_watch *w = g->rest_watch;

    g->rest_watch = NULL;
    if (w && io_of(w)->greenlet == g)
        io_of(w)->greenlet = NULL;
}

void cress_watch_interrupt(cress_watch *w, int error)
{
    cress_greenlet *g = io_of(w)->greenlet;

    io_of(w)->greenlet = NULL;
    if (g)
        hub_wake(g, error);
}

void cress_watch_finish(cress_watch *w)
{
    cress_greenlet *g = io_of(w)->greenlet;

    if (!hub_current)
        return;
    cress_watch_stop(w);
    io_of(w)->greenlet = NULL;
    if (g)
        hub_wake(g, EBADF);
}
