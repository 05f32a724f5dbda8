/* <cress/rlock.h>: a lock with an owner, who may take it again.
 *
 * Between two calls that wait a greenlet is never interrupted: a lock is needed
 * only around something that waits. The owner's further acquires succeed at once;
 * the lock is free after as many releases. A released lock goes straight to the
 * greenlet that has waited longest: nobody overtakes. A greenlet that is killed, or
 * whose limit passes, while it waits does not get the lock; one that was given the
 * lock before that has it, its acquire returns 0, and it must release it.
 *
 * A greenlet that ends while it holds a lock is misuse, as returning with an open
 * cress_timeout is. Where misuse does not stop the program, everybody who waits for
 * such a lock, or asks for it later, fails with EOWNERDEAD: what the lock protects may
 * be half done.
 *
 * Works zeroed. Only for greenlets: outside them EPERM. The memory of a lock that is
 * held must not be given away.
 *
 * gevent: gevent.lock.RLock.
 */
#ifndef CRESS_RLOCK_H
#define CRESS_RLOCK_H

#include <cress/greenlet.h>

typedef struct cress_rlock {
    cress_waitable waiters; /* `ready` is not used */
    cress_greenlet *owner;  /* a reference; NULL: free */
    size_t depth;           /* releases to go until it is free */
} cress_rlock;

/* clang-format off */
#define CRESS_RLOCK_INIT { .owner = NULL }
/* clang-format on */

/* [waits] until it is free. EOWNERDEAD: see above. */
CRESS_API int cress_rlock_acquire(cress_rlock *lock, cress_seconds timeout);
/* Does not wait: also a killed greenlet can release. By another than the owner:
 * misuse, EPERM. gevent: RuntimeError. */
CRESS_API int cress_rlock_release(cress_rlock *lock);
/* Borrowed; NULL: it is free. */
CRESS_API cress_greenlet *cress_rlock_owner(const cress_rlock *lock);

#endif
