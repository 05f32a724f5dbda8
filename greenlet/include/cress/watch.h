/* <cress/watch.h>: one descriptor's readability, watched across waits.
 *
 * For those who build servers. A plain wait on a descriptor registers and forgets
 * it; a connection that is read again and again stays registered with epoll, and
 * waiting for it costs no system call. While it is readable and no greenlet waits
 * in it, its idle callback is told, in the hub.
 *
 * A greenlet whose work stands still between two messages can rest: its function
 * returns cress_rest(watch), which gives its stack back and keeps the greenlet;
 * when the descriptor becomes readable (or somebody calls cress_rouse or
 * cress_cancel) the function is called again with the same argument, on
 * a fresh stack. While there is no memory for that one the watch is disarmed.
 */
#ifndef CRESS_WATCH_H
#define CRESS_WATCH_H

#include <cress/greenlet.h>

typedef struct cress_watch {
    uint64_t io[3]; /* the event loop's own watcher, and who waits */
    void (*on_idle)(struct cress_watch *watch);
} cress_watch;

/* Nothing is armed before the first wait, rest or start. on_idle may be NULL: the
 * watch disarms itself then when nobody waits. on_idle must read or stop, or it
 * is called again in the next turn. The watch belongs to the calling thread's hub. */
CRESS_API void cress_watch_init(cress_watch *w, int fd, void (*on_idle)(cress_watch *w));
CRESS_API int cress_watch_fd(const cress_watch *w);
/* Arms, disarms. Neither makes a system call by itself. */
CRESS_API void cress_watch_start(cress_watch *w);
CRESS_API void cress_watch_stop(cress_watch *w);
/* [waits] until the descriptor is readable. One greenlet at a time. */
CRESS_API int cress_watch_wait(cress_watch *w, cress_seconds timeout);
/* Who waits in it goes on, with this errno; nothing happens if nobody does. */
CRESS_API void cress_watch_interrupt(cress_watch *w, int error);
/* Disarms; before the descriptor is closed. Who waits in it fails with EBADF. */
CRESS_API void cress_watch_finish(cress_watch *w);

/* For `return cress_rest(w);`. w may be NULL: only rouse and cancel call it again. */
CRESS_API void *cress_rest(cress_watch *w);
/* Calls a resting greenlet's function again; nothing happens to others. */
CRESS_API void cress_rouse(cress_greenlet *g);

#endif
