/* <cress/condition.h>: waiting, under a lock, for what another greenlet will
 * bring about under the same lock.
 *
 *     static cress_condition filled;
 *
 *     if (cress_rlock_acquire(cress_condition_lock(&filled), CRESS_FOREVER) < 0)
 *         return -1;
 *     while (count == 0 && cress_condition_wait(&filled, CRESS_FOREVER) == 0)
 *         continue;
 *     ... count may still be 0, after a kill or a limit; the lock is held ...
 *     cress_rlock_release(cress_condition_lock(&filled));
 *
 * and on the other side, with the lock held: count++; cress_condition_notify(&filled, 1).
 *
 * Zeroed, it brings a lock of its own; CRESS_CONDITION_INIT(&lock) uses another's,
 * for several conditions of the same state. Waiters are notified in the order in
 * which they came. A notification is never lost on somebody who was killed, or whose
 * limit passed, before it: it goes to the next; who was notified first and killed then
 * returns 0.
 *
 * Python: threading.Condition, which gevent makes green.
 */
#ifndef CRESS_CONDITION_H
#define CRESS_CONDITION_H

#include <cress/rlock.h>

typedef struct cress_condition {
    cress_waitable waiters; /* `ready` is not used */
    cress_rlock *lock;      /* NULL: its own */
    cress_rlock own;
} cress_condition;

/* clang-format off */
#define CRESS_CONDITION_INIT(its_lock) { .lock = (its_lock) }
/* clang-format on */

CRESS_API cress_rlock *cress_condition_lock(cress_condition *c);

/* [waits] Releases the lock, however often the caller holds it, waits to be notified,
 * and acquires it again as often. The lock is held again whatever is returned, also
 * after a kill (ECANCELED) or a limit (ETIMEDOUT): neither ends the wait for the lock,
 * which is shielded, so those who hold it should not hold it for long. The one exception
 * is EOWNERDEAD, see <cress/rlock.h>: then it is not held. With timeout 0 it fails
 * with ETIMEDOUT and never lets go of the lock. Without the lock: misuse, EPERM. */
CRESS_API int cress_condition_wait(cress_condition *c, cress_seconds timeout);
/* Wakes the n who have waited longest, or all; they go on when they have the lock. Does
 * not wait, nor release the lock. Without the lock: misuse, EPERM. */
CRESS_API int cress_condition_notify(cress_condition *c, size_t n);
CRESS_API int cress_condition_notify_all(cress_condition *c);

#endif
