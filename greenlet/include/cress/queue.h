/* <cress/queue.h>: pointers handed from greenlet to greenlet.
 *
 * One type and one set of verbs; what a get takes first is decided by how the
 * queue is initialised:
 *
 *     CRESS_QUEUE_INIT(max)                    the oldest (zeroed: this, unbounded)
 *     CRESS_LIFO_QUEUE_INIT(max)               the newest
 *     CRESS_PRIORITY_QUEUE_INIT(max, compare)  the smallest; of equal ones the oldest
 *     CRESS_CHANNEL_INIT                       keeps none: a put waits for its getter
 *
 * max bounds how many items lie in the queue; 0: no bound. Getters and putters
 * are served in the order in which they came and nobody overtakes, in every kind:
 *
 *   - a put while getters wait gives its item to the oldest of them (so kinds
 *     order what lies in the queue, not what never came to lie there);
 *   - a put into a full queue waits, also with a smaller item than those inside;
 *     when a get makes room, the item of the putter who has waited longest comes
 *     in (on top of a LIFO queue: it is then what the next get takes).
 *
 * A greenlet that is killed, or whose limit passes, while it waits has taken and
 * put nothing; one that was already served when the kill came has its item, or has
 * put it, and its call returns 0.
 *
 * The queue owns its storage, never what the pointers point to. Storage grows by
 * doubling and is freed by _finish. A channel has none.
 *
 * Every kind counts its unfinished items, for those who join: an item counts from
 * when it came in or was handed over, until cress_queue_task_done says that one is
 * done. Who never joins need not care.
 *
 * A timeout of 0 is the non-blocking form of each call (gevent: put_nowait,
 * get_nowait): ETIMEDOUT when it would have to wait. That is also what an open
 * cress_timeout that has passed says: cress_check tells them apart. Calls that
 * need not wait may also be made outside greenlets, from a link's function say.
 *
 * gevent: gevent.queue.Queue, LifoQueue, PriorityQueue, JoinableQueue, Channel.
 */
#ifndef CRESS_QUEUE_H
#define CRESS_QUEUE_H

#include <cress/waitable.h>

enum cress_queue_kind {
    CRESS_QUEUE_FIFO,
    CRESS_QUEUE_LIFO,
    CRESS_QUEUE_PRIORITY,
    CRESS_QUEUE_CHANNEL,
};

/* Below 0: a comes before b; 0: in the order of putting. As for qsort, but of the
 * items themselves. Must not wait, nor use the queue; an item's rank must not
 * change while it is in the queue. */
typedef int cress_queue_compare(const void *a, const void *b);

typedef struct cress_queue {
    cress_waitable getters;            /* ready: a get would not wait */
    cress_waitable putters;            /* who waits for room, or for a getter */
    cress_waitable joiners;            /* who waits for the last unfinished item */
    void **items;                      /* a ring */
    struct cress_queue_ranked *ranked; /* a priority queue's heap, instead */
    size_t head, size, capacity;
    size_t max; /* 0: unbounded */
    size_t unfinished;
    uint64_t last_order; /* of the items put into a priority queue */
    cress_queue_compare *compare;
    enum cress_queue_kind kind;
    bool closed;
} cress_queue;

/* clang-format off */
#define CRESS_QUEUE_INIT(max_items) { .max = (max_items) }
#define CRESS_LIFO_QUEUE_INIT(max_items) { .max = (max_items), .kind = CRESS_QUEUE_LIFO }
#define CRESS_PRIORITY_QUEUE_INIT(max_items, compare_items) \
    { .max = (max_items), .compare = (compare_items), .kind = CRESS_QUEUE_PRIORITY }
#define CRESS_CHANNEL_INIT { .kind = CRESS_QUEUE_CHANNEL }
/* clang-format on */

/* [waits] while it is full; in a channel, until a getter has the item. 0: the
 * queue, or a getter, has the item; -1: it is still the caller's. EPIPE: closed,
 * while it waited; ENOMEM. To call it on a queue that is closed already is misuse
 * (EPIPE where misuse does not stop the program): ask cress_queue_closed first.
 * A priority queue without a comparison: misuse, EINVAL. gevent: put, Full, ShutDown. */
CRESS_API int cress_queue_put(cress_queue *q, void *item, cress_seconds timeout);
/* [waits] while there is no item. EPIPE: closed, and drained. gevent: get, Empty,
 * ShutDown. */
CRESS_API int cress_queue_get(cress_queue *q, void **ret_item, cress_seconds timeout);
/* [waits] What a get would take now, left in place; of a channel, what the oldest
 * waiting putter offers. Getters go first: a peek that waits sees an item only when
 * one comes that no getter is waiting for and is still there when it runs. Errors as
 * get. gevent: peek. */
CRESS_API int cress_queue_peek(cress_queue *q, void **ret_item, cress_seconds timeout);

/* Nothing comes in any more. Putters who wait fail with EPIPE and keep their items;
 * gets go on until the queue is drained, then fail with EPIPE too, those who
 * wait now at once. Joiners wait on for what is unfinished. Closing again does
 * nothing. gevent: shutdown(). */
CRESS_API void cress_queue_close(cress_queue *q);
/* The same, and what lies in the queue is dropped: each item is taken out, in the
 * order in which gets would have, handed to drop, which now owns it, and counted as
 * done. drop may be free, or NULL when nothing owns anything; it must not wait. Also
 * for a queue that was closed before it was drained. gevent: shutdown(immediate=True). */
CRESS_API void cress_queue_close_now(cress_queue *q, void (*drop)(void *item));
CRESS_API bool cress_queue_closed(const cress_queue *q);

/* Who got an item has finished with it. More calls than items: misuse, EINVAL.
 * gevent: JoinableQueue.task_done, ValueError. */
CRESS_API int cress_queue_task_done(cress_queue *q);
/* [waits] until no item is unfinished; at once when none is. Also 0 when another
 * item was put after that moment, before the caller's turn came. What a waiting
 * putter still holds does not count. gevent: JoinableQueue.join. */
CRESS_API int cress_queue_join(cress_queue *q, cress_seconds timeout);
/* gevent: unfinished_tasks. */
CRESS_API size_t cress_queue_unfinished(const cress_queue *q);

/* How many items lie in it; none, or as many as it can hold. What waiting putters
 * hold does not count, so a channel is always both empty and full. gevent: qsize,
 * empty, full. */
CRESS_API size_t cress_queue_size(const cress_queue *q);
CRESS_API bool cress_queue_empty(const cress_queue *q);
CRESS_API bool cress_queue_full(const cress_queue *q);
/* Ready while a get would not wait (an item lies there, a channel's putter waits,
 * the queue is closed): for cress_wait_any. By the time its caller runs another
 * may have taken the item, or the putter given up: get with timeout 0. */
CRESS_API cress_waitable *cress_queue_waitable(cress_queue *q);

/* Frees the storage; items that are still inside are the caller's business: get
 * them first, or cress_queue_close_now. Nobody may be in a call on the queue, also
 * none that was woken and has not run yet: somebody waiting is misuse. */
CRESS_API void cress_queue_finish(cress_queue *q);

#endif
