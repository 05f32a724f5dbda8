/* A count of free places and a line. While somebody stands in line no place is
 * free: a released one goes straight to the oldest, so nobody overtakes. */
#include <cress/semaphore.h>

#include "hub.h"
#include "waiter.h"

#include <errno.h>

static void set_count(cress_semaphore *s, size_t count)
{
    s->count = count;
    s->waitable.ready = count > 0;
}

int cress_semaphore_acquire(cress_semaphore *s, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (s->count == 0)
        return waiter_wait(&s->waitable, &waiter, timeout, "semaphore");
    set_count(s, s->count - 1);
    return 0;
}

int cress_semaphore_release(cress_semaphore *s)
{
    if (s->count >= (s->bounded ? s->max : SIZE_MAX)) {
        errno = EOVERFLOW;
        return -1;
    }

    struct cress_waiter *waiter = waiter_pop(&s->waitable);

    if (waiter) {
        hub_wake(waiter->greenlet, 0);
        return 0;
    }
    set_count(s, s->count + 1);
    waiter_wake_all(&s->waitable, 0);
    return 0;
}

size_t cress_semaphore_free_count(const cress_semaphore *s)
{
    return s->count;
}
