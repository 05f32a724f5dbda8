/* A ring of pointers and two lines.
 *
 * Whoever stands in line is served by the other side, not by a race for what
 * lies there: a put gives its item to the oldest getter, and a get that makes
 * room moves the oldest putter's item in. So getters only wait while the queue
 * is empty, putters only while it is full, and nobody overtakes.
 */
#include <cress/queue.h>

#include "hub.h"
#include "waiter.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 8 };

static void update_ready(cress_queue *q)
{
    q->getters.ready = q->size > 0 || q->closed;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- the ring ---------------------------------------------------------------- */

static size_t larger_capacity(const cress_queue *q)
{
    size_t capacity = q->capacity ? 2 * q->capacity : FIRST_CAPACITY;

    return q->max && capacity > q->max ? q->max : capacity;
}

static size_t place(const cress_queue *q, size_t index)
{
    size_t at = q->head + index;

    return at < q->capacity ? at : at - q->capacity;
}

static int grow(cress_queue *q)
{
    size_t capacity = larger_capacity(q);
    void **items = malloc(capacity * sizeof *items);

    if (!items)
        return -1;
    for (size_t i = 0; i < q->size; i++)
        items[i] = q->items[place(q, i)];
    free(q->items);
    q->items = items;
    q->capacity = capacity;
    q->head = 0;
    return 0;
}

static int append(cress_queue *q, void *item)
{
    if (q->size == q->capacity && grow(q) < 0)
        return -1;
    q->items[place(q, q->size)] = item;
    q->size++;
    return 0;
}

static void *take_first(cress_queue *q)
{
    void *item = q->items[q->head];

    q->head = place(q, 1);
    q->size--;
    return item;
}

/* ---- both ends ----------------------------------------------------------------- */

static bool hand_over(cress_queue *q, void *item)
{
    struct cress_waiter *getter = waiter_pop(&q->getters);

    if (!getter)
        return false;
    getter->slot = item;
    hub_wake(getter->greenlet, 0);
    return true;
}

int cress_queue_put(cress_queue *q, void *item, cress_seconds timeout)
{
    struct cress_waiter waiter = { .slot = item };

    if (waiter_check() < 0)
        return -1;
    if (q->closed)
        return fail(EPIPE);
    if (hand_over(q, item))
        return 0;
    if (cress_queue_full(q))
        return waiter_wait(&q->putters, &waiter, timeout, "room in queue");
    if (append(q, item) < 0)
        return -1;
    update_ready(q);
    waiter_wake_all(&q->getters, 0);
    return 0;
}

/* There is room for one: the oldest putter's item comes in. */
static void admit(cress_queue *q)
{
    struct cress_waiter *putter = waiter_pop(&q->putters);

    if (putter) {
        append(q, putter->slot); /* into the room just made: never fails */
        hub_wake(putter->greenlet, 0);
    }
    update_ready(q);
}

int cress_queue_get(cress_queue *q, void **ret_item, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (q->size > 0) {
        *ret_item = take_first(q);
        admit(q);
        return 0;
    }
    if (q->closed)
        return fail(EPIPE);
    if (waiter_wait(&q->getters, &waiter, timeout, "item of queue") < 0)
        return -1;
    *ret_item = waiter.slot;
    return 0;
}

int cress_queue_peek(cress_queue *q, void **ret_item, cress_seconds timeout)
{
    cress_seconds deadline = cress_now() + timeout;

    if (waiter_check() < 0)
        return -1;
    while (q->size == 0) {
        if (q->closed)
            return fail(EPIPE);
        if (waiter_watch(&q->getters, deadline, "look at queue") < 0)
            return -1;
    }
    *ret_item = q->items[q->head];
    return 0;
}

void cress_queue_close(cress_queue *q)
{
    q->closed = true;
    update_ready(q);
    waiter_wake_all(&q->putters, EPIPE);
    waiter_wake_all(&q->getters, EPIPE);
}

size_t cress_queue_size(const cress_queue *q)
{
    return q->size;
}

bool cress_queue_empty(const cress_queue *q)
{
    return q->size == 0;
}

bool cress_queue_full(const cress_queue *q)
{
    return q->max && q->size >= q->max;
}

cress_waitable *cress_queue_waitable(cress_queue *q)
{
    return &q->getters;
}

void cress_queue_finish(cress_queue *q)
{
    free(q->items);
    q->items = NULL;
    q->head = q->size = q->capacity = 0;
    update_ready(q);
}
