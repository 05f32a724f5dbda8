/* A count of free places and a line. While somebody stands in line no place is
 * free: a released one goes straight to the oldest, so nobody overtakes. */
#include <cress/semaphore.h>

#include "hub.h"
#include "misuse.h"
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
    if (waiter_is_foreign(&s->waitable))
        return waiter_refuse_foreign(__builtin_return_address(0));
    if (s->count == 0)
        return waiter_wait(&s->waitable, &waiter, timeout, "semaphore");
    set_count(s, s->count - 1);
    return 0;
}

static void give_place(cress_semaphore *s)
{
    struct cress_waiter *waiter = waiter_pop(&s->waitable);

    if (waiter) {
        hub_wake(waiter->greenlet, 0);
        return;
    }
    set_count(s, s->count + 1);
    waiter_wake_all(&s->waitable, 0);
}

int cress_semaphore_release(cress_semaphore *s)
{
    if (waiter_is_foreign(&s->waitable))
        return waiter_refuse_foreign(__builtin_return_address(0));
    if (s->count >= (s->bounded ? s->max : SIZE_MAX))
        return misuse(EOVERFLOW, "cress_semaphore_release: more often than it was acquired");
    give_place(s);
    return 0;
}

size_t cress_semaphore_free_count(const cress_semaphore *s)
{
    return s->count;
}
