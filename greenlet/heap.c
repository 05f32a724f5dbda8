/* A four-ary heap of deadlines: half as deep as a binary one, and the children of a
 * node share two cache lines. See heap.h. */
#include "hub.h"

#include <errno.h>
#include <stdlib.h>

enum { CHILDREN = 4 };

int heap_reserve(struct heap *heap, size_t count)
{
    size_t capacity = heap->capacity ? heap->capacity : 64;

    if (count <= heap->capacity)
        return 0;
    if (count >= HEAP_NONE) {
        errno = ENOMEM;
        return -1;
    }
    while (capacity < count)
        capacity *= 2;
    struct heap_entry *entries = realloc(heap->entries, capacity * sizeof *entries);
    if (!entries)
        return -1;
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

static bool earlier(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->deadline < b->deadline || (a->deadline == b->deadline && a->order < b->order);
}

static void put(struct heap *heap, size_t place, struct heap_entry entry)
{
    heap->entries[place] = entry;
    entry.greenlet->timer = (uint32_t)place;
}

static void sift_up(struct heap *heap, size_t place, struct heap_entry entry)
{
    while (place > 0) {
        size_t parent = (place - 1) / CHILDREN;
        if (!earlier(&entry, &heap->entries[parent]))
            break;
        put(heap, place, heap->entries[parent]);
        place = parent;
    }
    put(heap, place, entry);
}

static size_t earliest_child(const struct heap *heap, size_t place)
{
    size_t first = place * CHILDREN + 1, best = first;

    for (size_t i = first + 1; i < first + CHILDREN && i < heap->count; i++)
        if (earlier(&heap->entries[i], &heap->entries[best]))
            best = i;
    return best;
}

static void sift_down(struct heap *heap, size_t place, struct heap_entry entry)
{
    while (place * CHILDREN + 1 < heap->count) {
        size_t child = earliest_child(heap, place);
        if (!earlier(&heap->entries[child], &entry))
            break;
        put(heap, place, heap->entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

void heap_add(struct heap *heap, struct cress_greenlet *g, cress_seconds deadline)
{
    struct heap_entry entry = { deadline, ++heap->last_order, g };

    sift_up(heap, heap->count++, entry);
}

void heap_remove(struct heap *heap, struct cress_greenlet *g)
{
    size_t place = g->timer;
    struct heap_entry last = heap->entries[--heap->count];

    g->timer = HEAP_NONE;
    if (place == heap->count)
        return;
    if (place > 0 && earlier(&last, &heap->entries[(place - 1) / CHILDREN]))
        sift_up(heap, place, last);
    else
        sift_down(heap, place, last);
}

void heap_finish(struct heap *heap)
{
    free(heap->entries);
    *heap = (struct heap){ 0 };
}
