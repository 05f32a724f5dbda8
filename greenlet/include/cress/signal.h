/* <cress/signal.h>: signals as greenlets.
 *
 * gevent: gevent.signal_handler.
 */
#ifndef CRESS_SIGNAL_H
#define CRESS_SIGNAL_H

#include <cress/hub.h>

/* Each time signum arrives, spawns fn(arg) in this hub. fn NULL: the disposition
 * from before comes back. Ends with the hub, and in a child of cress_fork. 0; -1: EBUSY, another
 * hub has the signal; EINVAL: no such signal, or one that can't be caught; ENOMEM; EMFILE, ENFILE: no
 * descriptor is left by which the hub is woken; EPERM: outside a hub. */
CRESS_API int cress_signal(int signum, cress_fn *fn, void *arg);

#endif
