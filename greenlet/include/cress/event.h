/* <cress/event.h>: a flag that greenlets wait for.
 *
 * Setting it wakes all who wait now, in the order in which they began to wait.
 * gevent: gevent.event.Event.
 */
#ifndef CRESS_EVENT_H
#define CRESS_EVENT_H

#include <cress/waitable.h>

typedef struct cress_event {
    cress_waitable waitable; /* ready: set */
} cress_event;

/* clang-format off */
#define CRESS_EVENT_INIT { .waitable = { .ready = false } }
/* clang-format on */

/* Who waits now returns 0 even when the event is cleared before it runs: set and
 * clear together are a broadcast. */
CRESS_API void cress_event_set(cress_event *e);
CRESS_API void cress_event_clear(cress_event *e);
CRESS_API bool cress_event_is_set(const cress_event *e);
/* [waits] until it is set; at once when it is. */
CRESS_API int cress_event_wait(cress_event *e, cress_seconds timeout);

#endif
