/* <cress/signal.h>: signals as greenlets.
 *
 * gevent: gevent.signal_handler.
 */
#ifndef CRESS_SIGNAL_H
#define CRESS_SIGNAL_H

#include <cress/hub.h>

/* Each time signum arrives, spawns fn(arg) in this hub. fn NULL: the disposition
 * from before comes back. Ends with the hub, and in a child of cress_fork. One hub at a time for one signal:
 * EBUSY; EINVAL: no such signal, or one that can't be caught. */
CRESS_API int cress_signal(int signum, cress_fn *fn, void *arg);

#endif
