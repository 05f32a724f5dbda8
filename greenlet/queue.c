/* A store and three lines.
 *
 * Whoever stands in line is served by the other side, not by a race for what
 * lies there: a put gives its item to the oldest getter, and a get that makes
 * room moves the oldest putter's item in. So getters only wait while the queue
 * is empty, putters only while it is full, and nobody overtakes. A channel is
 * a queue that is always both: there a get takes what the oldest putter holds.
 */
#include <cress/queue.h>

#include "hub.h"
#include "misuse.h"
#include "queue_store.h"
#include "waiter.h"

#include <errno.h>

static bool is_channel(const cress_queue *q)
{
    return q->kind == CRESS_QUEUE_CHANNEL;
}

static void update_ready(cress_queue *q)
{
    q->getters.ready =
        q->size > 0 || q->closed || (is_channel(q) && waiter_first(&q->putters) != NULL);
}

/* Nobody waits to take what a get could take now; some may want to know of it. */
static void tell_watchers(cress_queue *q)
{
    q->getters.ready = true;
    waiter_wake_all(&q->getters, 0);
}

/* ---- putting ------------------------------------------------------------------- */

static bool hand_over(cress_queue *q, void *item)
{
    struct cress_waiter *getter = waiter_pop(&q->getters);

    if (!getter)
        return false;
    getter->slot = item;
    q->unfinished++;
    hub_wake(getter->greenlet, 0);
    return true;
}

/* In a channel a putter who waits is what a get would find. */
static int offer(cress_queue *q, void *item, cress_seconds timeout)
{
    struct cress_waiter waiter = { .slot = item };

    if (timeout > 0)
        tell_watchers(q);
    if (waiter_wait(&q->putters, &waiter, timeout, "getter of channel") == 0)
        return 0;
    if (errno != EPIPE)
        update_ready(q);
    return -1;
}

static int wait_for_room(cress_queue *q, void *item, cress_seconds timeout)
{
    struct cress_waiter waiter = { .slot = item };

    return waiter_wait(&q->putters, &waiter, timeout, "room in queue");
}

static int put(cress_queue *q, void *item, cress_seconds timeout)
{
    if (hand_over(q, item))
        return 0;
    if (is_channel(q))
        return offer(q, item, timeout);
    if (cress_queue_full(q))
        return wait_for_room(q, item, timeout);
    if (store_add(q, item) < 0)
        return -1;
    q->unfinished++;
    tell_watchers(q);
    return 0;
}

int cress_queue_put(cress_queue *q, void *item, cress_seconds timeout)
{
    if (waiter_check() < 0)
        return -1;
    if (waiter_is_foreign(&q->getters) || waiter_is_foreign(&q->putters))
        return waiter_refuse_foreign(__builtin_return_address(0));
    if (q->closed)
        return misuse(EPIPE, "cress_queue_put: the queue is closed");
    if (q->kind == CRESS_QUEUE_PRIORITY && !q->compare)
        return misuse(EINVAL, "cress_queue_put: a priority queue without a comparison");
    return put(q, item, timeout);
}

/* ---- taking ---------------------------------------------------------------------- */

/* The oldest putter's put is done; NULL: none waits. What it holds is in its slot. */
static struct cress_waiter *serve_putter(cress_queue *q)
{
    struct cress_waiter *putter = waiter_pop(&q->putters);

    if (putter) {
        q->unfinished++;
        hub_wake(putter->greenlet, 0);
    }
    return putter;
}

static bool take(cress_queue *q, void **ret_item)
{
    struct cress_waiter *putter;

    if (q->size > 0) {
        *ret_item = store_take(q);
        if ((putter = serve_putter(q)))
            store_add(q, putter->slot); /* into the room just made: never fails */
    } else if ((putter = serve_putter(q))) {
        *ret_item = putter->slot;
    } else {
        return false;
    }
    update_ready(q);
    return true;
}

int cress_queue_get(cress_queue *q, void **ret_item, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (waiter_is_foreign(&q->putters))
        return waiter_refuse_foreign(__builtin_return_address(0));
    if (take(q, ret_item))
        return 0;
    if (q->closed)
        return fail_with(EPIPE);
    if (waiter_wait(&q->getters, &waiter, timeout, "item of queue") < 0)
        return -1;
    *ret_item = waiter.slot;
    return 0;
}

static bool look(cress_queue *q, void **ret_item)
{
    struct cress_waiter *putter = is_channel(q) ? waiter_first(&q->putters) : NULL;

    if (putter)
        *ret_item = putter->slot;
    else if (q->size > 0)
        *ret_item = store_first(q);
    return putter || q->size > 0;
}

int cress_queue_peek(cress_queue *q, void **ret_item, cress_seconds timeout)
{
    cress_seconds deadline = cress_now() + timeout;

    if (waiter_check() < 0)
        return -1;
    if (waiter_is_foreign(&q->putters))
        return waiter_refuse_foreign(__builtin_return_address(0));
    while (!look(q, ret_item)) {
        if (q->closed)
            return fail_with(EPIPE);
        if (waiter_watch(&q->getters, deadline, "look at queue") < 0)
            return -1;
    }
    return 0;
}

/* ---- joining --------------------------------------------------------------------- */

static void finish_item(cress_queue *q)
{
    if (q->unfinished > 0 && --q->unfinished == 0)
        waiter_wake_all(&q->joiners, 0);
}

int cress_queue_task_done(cress_queue *q)
{
    if (waiter_is_foreign(&q->joiners))
        return waiter_refuse_foreign(__builtin_return_address(0));
    if (q->unfinished == 0)
        return misuse(EINVAL, "cress_queue_task_done: called more often than items were put");
    finish_item(q);
    return 0;
}

int cress_queue_join(cress_queue *q, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (q->unfinished == 0)
        return 0;
    return waiter_wait(&q->joiners, &waiter, timeout, "unfinished items of queue");
}

size_t cress_queue_unfinished(const cress_queue *q)
{
    return q->unfinished;
}

/* ---- ending ---------------------------------------------------------------------- */

static bool is_foreign(const cress_queue *q)
{
    return waiter_is_foreign(&q->getters) || waiter_is_foreign(&q->putters) ||
           waiter_is_foreign(&q->joiners);
}

static void close_both_ends(cress_queue *q)
{
    q->closed = true;
    update_ready(q);
    waiter_wake_all(&q->putters, EPIPE);
    waiter_wake_all(&q->getters, EPIPE);
}

void cress_queue_close(cress_queue *q)
{
    if (is_foreign(q))
        waiter_refuse_foreign(__builtin_return_address(0));
    else
        close_both_ends(q);
}

void cress_queue_close_now(cress_queue *q, void (*drop)(void *item))
{
    if (is_foreign(q)) {
        waiter_refuse_foreign(__builtin_return_address(0));
        return;
    }
    close_both_ends(q);
    while (q->size > 0) {
        void *item = store_take(q);
        if (drop)
            drop(item);
        finish_item(q);
    }
}

bool cress_queue_closed(const cress_queue *q)
{
    return q->closed;
}

void cress_queue_finish(cress_queue *q)
{
    int saved = errno;

    if (!q)
        return;
    if (q->getters.first || q->putters.first || q->joiners.first)
        misuse(EBUSY, "cress_queue_finish: somebody waits in the queue");
    store_finish(q);
    update_ready(q);
    errno = saved;
}

/* ---- what it is -------------------------------------------------------------------- */

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
    return is_channel(q) || (q->max && q->size >= q->max);
}

cress_waitable *cress_queue_waitable(cress_queue *q)
{
    return &q->getters;
}
