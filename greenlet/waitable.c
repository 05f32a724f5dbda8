/* Waiting for the first of several: one watcher's node in each line. Whichever
 * line wakes the greenlet, it looks at all of them again, and takes nothing. */
#include "hub.h"
#include "waiter.h"

#include <errno.h>
#include <stdlib.h>

enum { FEW = 16 }; /* as many nodes stand on the stack */

static ssize_t first_ready(cress_waitable *const objects[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (objects[i] && objects[i]->ready)
            return (ssize_t)i;
    return -1;
}

static bool all_null(cress_waitable *const objects[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (objects[i])
            return false;
    return true;
}

/* An event that was set and cleared again is not ready, yet it was what woke us. */
static ssize_t first_woken(const struct cress_waiter *waiters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (waiters[i].woken)
            return (ssize_t)i;
    return -1;
}

static bool any_foreign(cress_waitable *const objects[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (objects[i] && waiter_is_foreign(objects[i]))
            return true;
    return false;
}

/* For reports. */
static const void *first_of(cress_waitable *const objects[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (objects[i])
            return objects[i];
    return NULL;
}

static ssize_t wait_in_all(cress_waitable *const objects[], struct cress_waiter *waiters,
                           size_t count, cress_seconds timeout)
{
    for (size_t i = 0; i < count; i++) {
        waiters[i] = (struct cress_waiter){ .line = NULL };
        if (objects[i])
            waiter_push_watcher(objects[i], &waiters[i]);
    }

    int result =
        hub_wait(hub_deadline(timeout), "any of several, the first at", first_of(objects, count));

    for (size_t i = 0; i < count; i++)
        waiter_remove(&waiters[i]);
    if (result < 0)
        return -1;

    ssize_t ready = first_ready(objects, count);

    return ready >= 0 ? ready : first_woken(waiters, count);
}

ssize_t cress_wait_any(cress_waitable *const objects[], size_t count, cress_seconds timeout)
{
    struct cress_waiter few[FEW], *waiters = few;

    if (hub_check() < 0)
        return -1;
    if (any_foreign(objects, count))
        return waiter_refuse_foreign(__builtin_return_address(0));

    ssize_t index = first_ready(objects, count);

    if (index >= 0)
        return index;
    if (timeout == CRESS_FOREVER && all_null(objects, count)) {
        errno = EINVAL;
        return -1;
    }
    if (count > FEW && !(waiters = calloc(count, sizeof *waiters)))
        return -1;
    index = wait_in_all(objects, waiters, count, timeout);
    if (waiters != few) {
        int saved = errno;
        free(waiters);
        errno = saved;
    }
    return index;
}
