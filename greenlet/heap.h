/* The deadlines that greenlets wait for: a heap with four children a node.
 *
 * A greenlet has at most one entry, whose place it knows, so that a wait that ends
 * early takes its entry out again. Equal deadlines come out in the order in which
 * they went in. Room is reserved when a greenlet is spawned: arming never fails.
 */
#ifndef CRESS_HEAP_H
#define CRESS_HEAP_H

#include <cress/api.h>

struct cress_greenlet;

#define HEAP_NONE UINT32_MAX

struct heap_entry {
    cress_seconds deadline;
    uint64_t order;
    struct cress_greenlet *greenlet;
};

struct heap {
    struct heap_entry *entries;
    size_t count, capacity;
    uint64_t last_order;
};

/* Room for that many entries, less than HEAP_NONE: 0, or -1 with ENOMEM. */
int heap_reserve(struct heap *heap, size_t count);
void heap_add(struct heap *heap, struct cress_greenlet *g, cress_seconds deadline);
void heap_remove(struct heap *heap, struct cress_greenlet *g);
void heap_finish(struct heap *heap);

/* The earliest deadline; CRESS_FOREVER: none. */
static inline cress_seconds heap_first(const struct heap *heap)
{
    return heap->count ? heap->entries[0].deadline : CRESS_FOREVER;
}

#endif
