/* <cress/queue.h>: a FIFO of pointers between greenlets.
 *
 * Bounded, or unbounded with max 0. Getters and putters are served in the order
 * in which they came. The queue owns its storage, never what the pointers point
 * to. Storage grows by doubling and is freed by _finish.
 *
 * gevent: gevent.queue.Queue.
 */
#ifndef CRESS_QUEUE_H
#define CRESS_QUEUE_H

#include <cress/waitable.h>

typedef struct cress_queue {
    cress_waitable getters; /* ready: a get would not wait */
    cress_waitable putters; /* who waits for room; `ready` is not used */
    void **items;           /* a ring */
    size_t head, size, capacity;
    size_t max; /* 0: unbounded */
    bool closed;
} cress_queue;

#define CRESS_QUEUE_INIT(max_items) \
    {                               \
        .max = (max_items)          \
    }

/* [waits] while it is full. EPIPE: closed; ENOMEM. With timeout 0 a full queue is
 * ETIMEDOUT at once. A call that finds room, or an item, may also be made outside
 * greenlets, from a link's function say. gevent: put, Full. */
CRESS_API int cress_queue_put(cress_queue *q, void *item, cress_seconds timeout);
/* [waits] while it is empty. EPIPE: closed and drained. gevent: get, Empty. */
CRESS_API int cress_queue_get(cress_queue *q, void **ret_item, cress_seconds timeout);
/* [waits] The oldest item, left in place. gevent: peek. */
CRESS_API int cress_queue_peek(cress_queue *q, void **ret_item, cress_seconds timeout);
/* Puts fail with EPIPE from now on, waiting ones too; gets go on until drained. */
CRESS_API void cress_queue_close(cress_queue *q);
CRESS_API size_t cress_queue_size(const cress_queue *q);
CRESS_API bool cress_queue_empty(const cress_queue *q);
CRESS_API bool cress_queue_full(const cress_queue *q);
/* Ready while a get would not wait: for cress_wait_any. */
CRESS_API cress_waitable *cress_queue_waitable(cress_queue *q);
/* Frees the storage. Nobody may be waiting. */
CRESS_API void cress_queue_finish(cress_queue *q);

#endif
