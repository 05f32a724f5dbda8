/* One line for both sides: whoever leaves the lock, or the line, lets in those at its
 * head, as many as fit together. A waiter's slot says whether it wants to write.
 */
#include <cress/rwlock.h>

#include "lock.h"
#include "misuse.h"
#include "waiter.h"

#include <errno.h>

static bool fits(const cress_rwlock *lock, bool writes)
{
    return !lock->writer && !(writes && lock->readers > 0);
}

static void hold(cress_rwlock *lock, cress_greenlet *g, bool writes)
{
    if (writes) {
        lock_own(&lock->writer, g);
    } else {
        lock->readers++;
        g->locks++;
    }
}

static void let_in(cress_rwlock *lock)
{
    struct cress_waiter *waiter;

    while ((waiter = waiter_first(&lock->waiters)) && fits(lock, waiter->slot != NULL)) {
        waiter_remove(waiter);
        hold(lock, waiter->greenlet, waiter->slot != NULL);
        hub_wake(waiter->greenlet, 0);
    }
}

/* Who gave up waiting may have been all that kept others out. */
static int give_up(cress_rwlock *lock)
{
    int saved = errno;

    if (saved != EOWNERDEAD)
        let_in(lock);
    errno = saved;
    return -1;
}

static int acquire(cress_rwlock *lock, bool writes, cress_seconds timeout)
{
    struct cress_waiter waiter = { .slot = writes ? lock : NULL };

    if (lock_orphaned(lock->writer)) {
        errno = EOWNERDEAD;
        return -1;
    }
    let_in(lock);
    if (!waiter_first(&lock->waiters) && fits(lock, writes)) {
        hold(lock, cress_self(), writes);
        return 0;
    }
    if (waiter_wait(&lock->waiters, &waiter, timeout, writes ? lock_write_wait : lock_read_wait) <
        0)
        return give_up(lock);
    return 0;
}

static bool is_foreign(const cress_rwlock *lock)
{
    return lock_is_foreign(lock->writer) || waiter_is_foreign(&lock->waiters);
}

int cress_rwlock_acquire_read(cress_rwlock *lock, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    if (is_foreign(lock))
        return misuse(EPERM, LOCK_IS_FOREIGN);
    if (lock->writer == cress_self())
        return misuse(EDEADLK, "cress_rwlock_acquire_read: by its writer");
    return acquire(lock, false, timeout);
}

int cress_rwlock_acquire_write(cress_rwlock *lock, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    if (is_foreign(lock))
        return misuse(EPERM, LOCK_IS_FOREIGN);
    if (lock->writer == cress_self())
        return misuse(EDEADLK, "cress_rwlock_acquire_write: by its writer");
    return acquire(lock, true, timeout);
}

int cress_rwlock_release(cress_rwlock *lock)
{
    cress_greenlet *self = cress_self();

    if (is_foreign(lock))
        return misuse(EPERM, LOCK_IS_FOREIGN);
    if (self && lock->writer == self) {
        lock_disown(&lock->writer);
    } else if (self && lock->readers > 0 && self->locks > 0) {
        lock->readers--;
        self->locks--;
    } else {
        return misuse(EPERM, "cress_rwlock_release: by one who does not hold it");
    }
    let_in(lock);
    return 0;
}
