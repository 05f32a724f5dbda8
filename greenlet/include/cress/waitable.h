/* <cress/waitable.h>: the base of everything that can be waited for.
 *
 * A FIFO of waiters, whose nodes live on the waiters' own stacks, and whether it
 * is ready. Event, async result, queue, semaphore and greenlet hold one each.
 *
 * gevent: gevent._abstract_linkable, gevent.wait(objects, count=1).
 */
#ifndef CRESS_WAITABLE_H
#define CRESS_WAITABLE_H

#include <cress/api.h>

typedef struct cress_waitable {
    struct cress_waiter *first, *last; /* oldest first */
    bool ready;
} cress_waitable;

/* [waits] until one is ready, and takes nothing from it. Its index (the lowest,
 * when several are ready at once), or -1. NULLs are skipped; with nothing but
 * NULLs and no timeout: EINVAL. gevent: gevent.wait(objects, timeout, count=1). */
CRESS_API ssize_t cress_wait_any(cress_waitable *const objects[], size_t count,
                                 cress_seconds timeout);

#endif
