/* A line beside a lock: who waits in it has let go of the lock, and stands in the
 * lock's own line once notified.
 */
#include <cress/condition.h>

#include "lock.h"
#include "misuse.h"
#include "waiter.h"

#include <errno.h>

cress_rlock *cress_condition_lock(cress_condition *c)
{
    return c->lock ? c->lock : &c->own;
}

static bool holds(cress_condition *c)
{
    const cress_greenlet *owner = cress_condition_lock(c)->owner;

    return owner && owner == cress_self();
}

static int wait_without_lock(cress_condition *c, cress_seconds timeout)
{
    cress_rlock *lock = cress_condition_lock(c);
    struct cress_waiter waiter;
    size_t depth = rlock_release_all(lock);
    int result = waiter_wait(&c->waiters, &waiter, timeout, "condition");
    int error = errno;

    if (rlock_acquire_again(lock, depth) < 0)
        return -1;
    errno = error;
    return result;
}

int cress_condition_wait(cress_condition *c, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    if (!holds(c))
        return misuse(EPERM, "cress_condition_wait: by one who does not hold its lock");
    if (timeout <= 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    return wait_without_lock(c, timeout);
}

static void notify(cress_condition *c, size_t n)
{
    struct cress_waiter *waiter;

    while (n-- > 0 && (waiter = waiter_pop(&c->waiters)))
        hub_wake(waiter->greenlet, 0);
}

int cress_condition_notify(cress_condition *c, size_t n)
{
    if (!holds(c))
        return misuse(EPERM, "cress_condition_notify: by one who does not hold its lock");
    notify(c, n);
    return 0;
}

int cress_condition_notify_all(cress_condition *c)
{
    if (!holds(c))
        return misuse(EPERM, "cress_condition_notify_all: by one who does not hold its lock");
    notify(c, SIZE_MAX);
    return 0;
}
