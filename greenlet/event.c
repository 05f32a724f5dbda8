/* A flag and a line: setting it empties the line. */
#include <cress/event.h>

#include "waiter.h"

void cress_event_set(cress_event *e)
{
    if (waiter_is_foreign(&e->waitable)) {
        waiter_refuse_foreign(__builtin_return_address(0));
        return;
    }
    e->waitable.ready = true;
    waiter_wake_all(&e->waitable, 0);
}

void cress_event_clear(cress_event *e)
{
    e->waitable.ready = false;
}

bool cress_event_is_set(const cress_event *e)
{
    return e->waitable.ready;
}

int cress_event_wait(cress_event *e, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (e->waitable.ready)
        return 0;
    return waiter_wait(&e->waitable, &waiter, timeout, "event");
}
