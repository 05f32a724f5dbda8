/* A ring of pointers, taken from at its head or, by a LIFO queue, at its tail; for a
 * priority queue a binary heap instead. A heap forgets in which order equal items
 * came, so each carries its number.
 */
#include "queue_store.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 8 };

struct cress_queue_ranked {
    void *item;
    uint64_t order;
};

static size_t larger_capacity(const cress_queue *q)
{
    size_t capacity = q->capacity ? 2 * q->capacity : FIRST_CAPACITY;

    return q->max && capacity > q->max ? q->max : capacity;
}

/* ---- the ring ---------------------------------------------------------------- */

static size_t place(const cress_queue *q, size_t index)
{
    size_t at = q->head + index;

    return at < q->capacity ? at : at - q->capacity;
}

static int grow_ring(cress_queue *q)
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

static int add_to_ring(cress_queue *q, void *item)
{
    if (q->size == q->capacity && grow_ring(q) < 0)
        return -1;
    q->items[place(q, q->size)] = item;
    q->size++;
    return 0;
}

static void *take_from_ring(cress_queue *q)
{
    void *item = store_first(q);

    if (q->kind != CRESS_QUEUE_LIFO)
        q->head = place(q, 1);
    q->size--;
    return item;
}

/* ---- the heap ---------------------------------------------------------------- */

static int grow_heap(cress_queue *q)
{
    size_t capacity = larger_capacity(q);
    struct cress_queue_ranked *ranked = realloc(q->ranked, capacity * sizeof *ranked);

    if (!ranked)
        return -1;
    q->ranked = ranked;
    q->capacity = capacity;
    return 0;
}

static bool precedes(const cress_queue *q, const struct cress_queue_ranked *a,
                     const struct cress_queue_ranked *b)
{
    int sign = q->compare(a->item, b->item);

    return sign < 0 || (sign == 0 && a->order < b->order);
}

static void sift_up(cress_queue *q, struct cress_queue_ranked entry)
{
    size_t at = q->size - 1;

    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!precedes(q, &entry, &q->ranked[parent]))
            break;
        q->ranked[at] = q->ranked[parent];
        at = parent;
    }
    q->ranked[at] = entry;
}

static void sift_down(cress_queue *q, struct cress_queue_ranked entry)
{
    size_t at = 0, child;

    while ((child = 2 * at + 1) < q->size) {
        if (child + 1 < q->size && precedes(q, &q->ranked[child + 1], &q->ranked[child]))
            child++;
        if (!precedes(q, &q->ranked[child], &entry))
            break;
        q->ranked[at] = q->ranked[child];
        at = child;
    }
    q->ranked[at] = entry;
}

static int add_to_heap(cress_queue *q, void *item)
{
    if (q->size == q->capacity && grow_heap(q) < 0)
        return -1;
    q->size++;
    sift_up(q, (struct cress_queue_ranked){ item, ++q->last_order });
    return 0;
}

static void *take_from_heap(cress_queue *q)
{
    void *item = q->ranked[0].item;

    q->size--;
    if (q->size > 0)
        sift_down(q, q->ranked[q->size]);
    return item;
}

/* ---- either -------------------------------------------------------------------- */

int store_add(cress_queue *q, void *item)
{
    return q->kind == CRESS_QUEUE_PRIORITY ? add_to_heap(q, item) : add_to_ring(q, item);
}

void *store_first(const cress_queue *q)
{
    if (q->kind == CRESS_QUEUE_PRIORITY)
        return q->ranked[0].item;
    return q->items[place(q, q->kind == CRESS_QUEUE_LIFO ? q->size - 1 : 0)];
}

void *store_take(cress_queue *q)
{
    return q->kind == CRESS_QUEUE_PRIORITY ? take_from_heap(q) : take_from_ring(q);
}

void store_finish(cress_queue *q)
{
    free(q->items);
    free(q->ranked);
    q->items = NULL;
    q->ranked = NULL;
    q->head = q->size = q->capacity = 0;
}
