/* Deadlines in no order: a heap with four children a node. See timers.h, whose part it is. */
#ifndef CRESS_HEAP_H
#define CRESS_HEAP_H

#include <cress/api.h>

#include <stdbool.h>

struct cress_greenlet;

struct timer {
    cress_seconds deadline;
    uint64_t order; /* among equal ones */
    struct cress_greenlet *greenlet;
};

static inline bool timer_is_earlier(const struct timer *a, const struct timer *b)
{
    return a->deadline < b->deadline || (a->deadline == b->deadline && a->order < b->order);
}

struct heap {
    struct timer *entries;
    size_t count, capacity;
};

/* A greenlet's place, if its deadline is in the heap, is below this. */
#define HEAP_PLACES ((uint32_t)1 << 31)

/* Room for that many entries, half of HEAP_PLACES at most: 0, or -1 with ENOMEM. */
int heap_reserve(struct heap *heap, size_t count);
void heap_add(struct heap *heap, struct timer timer);
void heap_remove(struct heap *heap, size_t place);
void heap_finish(struct heap *heap);

/* The earliest; NULL: none. */
static inline const struct timer *heap_first(const struct heap *heap)
{
    return heap->count ? heap->entries : NULL;
}

#endif
