/* A descriptor that stays registered across waits. See watch.h. */
#include "hub.h"

#include <assert.h>
#include <errno.h>

_Static_assert(sizeof(ev_io) <= sizeof(((cress_watch *)0)->io), "the watcher has room");

static ev_io *io_of(cress_watch *w)
{
    return (ev_io *)(void *)w->io;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    cress_watch *w = (cress_watch *)(void *)io;
    cress_greenlet *g = w->waiter;

    (void)loop;
    if (revents & EV_ERROR) { /* the kernel refused it: libev has stopped it itself */
        hub_current->armed--;
        w->armed = false;
    }
    if (g) {
        w->waiter = NULL;
        hub_wake(g, revents & EV_ERROR ? EBADF : 0);
    } else if (w->on_idle) {
        hub_current->stirred = true;
        w->on_idle(w);
    } else {
        cress_watch_stop(w);
    }
}

void cress_watch_init(cress_watch *w, int fd, void (*on_idle)(cress_watch *w))
{
    *w = (cress_watch){ .on_idle = on_idle };
    ev_io_init(io_of(w), on_readable, fd, EV_READ);
}

int cress_watch_fd(const cress_watch *w)
{
    return io_of((cress_watch *)(uintptr_t)w)->fd;
}

void cress_watch_start(cress_watch *w)
{
    hub_io_start(hub_current, io_of(w));
    w->armed = true;
}

void cress_watch_stop(cress_watch *w)
{
    hub_io_stop(hub_current, io_of(w));
    w->armed = false;
}

int cress_watch_wait(cress_watch *w, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    assert(!w->waiter || w->waiter->state == GREENLET_ENDED); /* in a forked child */
    w->waiter = cress_self();
    cress_watch_start(w);
    int result = hub_wait(hub_deadline(timeout), "watched descriptor # to read",
                          (void *)(uintptr_t)cress_watch_fd(w));
    if (result < 0)
        w->waiter = NULL;
    return result;
}

void watch_rest(cress_greenlet *g)
{
    cress_watch *w = g->rest_watch;

    if (!w)
        return;
    assert(!w->waiter || w->waiter->state == GREENLET_ENDED); /* in a forked child */
    w->waiter = g;
    cress_watch_start(w);
}

/* It goes on for another reason than its watch's: it no longer waits there. */
void watch_roused(cress_greenlet *g)
{
    cress_watch *w = g->rest_watch;

    g->rest_watch = NULL;
    if (w && w->waiter == g)
        w->waiter = NULL;
}

void cress_watch_interrupt(cress_watch *w, int error)
{
    cress_greenlet *g = w->waiter;

    w->waiter = NULL;
    if (g)
        hub_wake(g, error);
}

void cress_watch_finish(cress_watch *w)
{
    cress_greenlet *g = w->waiter;

    if (!hub_current)
        return;
    cress_watch_stop(w);
    w->waiter = NULL;
    if (g)
        hub_wake(g, EBADF);
}
