/* <cress/semaphore.h>: a count of free places, served in order.
 *
 * A released place goes to the oldest waiter: nobody overtakes. Who is killed, or
 * whose limit passes, while waiting takes no place; who was given one before that
 * has it, and the acquire returns 0.
 *
 * gevent: gevent.lock.Semaphore, BoundedSemaphore.
 */
#ifndef CRESS_SEMAPHORE_H
#define CRESS_SEMAPHORE_H

#include <cress/waitable.h>

typedef struct cress_semaphore {
    cress_waitable waitable; /* ready: an acquire would not wait */
    size_t count;            /* free places */
    size_t max;              /* bounded: releasing above it is misuse */
    bool bounded;
} cress_semaphore;

/* A plain semaphore of n free places; releasing more than was acquired adds one.
 * Zeroed: a plain one with no place yet. */
#define CRESS_SEMAPHORE_INIT(n)                        \
    {                                                  \
        .waitable = { .ready = (n) > 0 }, .count = (n) \
    }
/* Releasing above n is misuse. */
#define CRESS_BOUNDED_SEMAPHORE_INIT(n)                                             \
    {                                                                               \
        .waitable = { .ready = (n) > 0 }, .count = (n), .max = (n), .bounded = true \
    }

/* [waits] for a free place. */
CRESS_API int cress_semaphore_acquire(cress_semaphore *s, cress_seconds timeout);
/* Does not wait. Above the bound: misuse, EOVERFLOW (gevent: ValueError). */
CRESS_API int cress_semaphore_release(cress_semaphore *s);
/* Free places now. gevent: counter. */
CRESS_API size_t cress_semaphore_free_count(const cress_semaphore *s);

#endif
