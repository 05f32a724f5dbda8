/* An owner, how often it has the lock, and a line. While somebody stands in line the
 * lock is never free: released, it belongs to the oldest at once.
 */
#include <cress/rlock.h>

#include "lock.h"
#include "misuse.h"
#include "waiter.h"

#include <errno.h>

static int take(cress_rlock *lock, size_t depth, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (lock_orphaned(lock->owner)) {
        errno = EOWNERDEAD;
        return -1;
    }
    if (!lock->owner)
        lock_own(&lock->owner, cress_self());
    else if (waiter_wait(&lock->waiters, &waiter, timeout, lock_wait) < 0)
        return -1;
    lock->depth = depth;
    return 0;
}

static void hand_on(cress_rlock *lock)
{
    struct cress_waiter *waiter = waiter_pop(&lock->waiters);

    lock->depth = 0;
    lock_disown(&lock->owner);
    if (!waiter)
        return;
    lock_own(&lock->owner, waiter->greenlet);
    lock->depth = 1;
    hub_wake(waiter->greenlet, 0);
}

int cress_rlock_acquire(cress_rlock *lock, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    if (lock_is_foreign(lock->owner))
        return misuse(EPERM, LOCK_IS_FOREIGN);
    if (lock->owner != cress_self())
        return take(lock, 1, timeout);
    lock->depth++;
    return 0;
}

int cress_rlock_release(cress_rlock *lock)
{
    if (!lock->owner || lock->owner != cress_self())
        return misuse(EPERM, "cress_rlock_release: by one who does not hold it");
    if (--lock->depth == 0)
        hand_on(lock);
    return 0;
}

cress_greenlet *cress_rlock_owner(const cress_rlock *lock)
{
    return lock->owner;
}

size_t rlock_release_all(cress_rlock *lock)
{
    size_t depth = lock->depth;

    hand_on(lock);
    return depth;
}

int rlock_acquire_again(cress_rlock *lock, size_t depth)
{
    cress_timeout shield;
    int result;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    do
        result = take(lock, depth, CRESS_FOREVER);
    while (result < 0 && errno != EOWNERDEAD);
    cress_timeout_close(&shield);
    return result;
}
