/* A four-ary heap of deadlines: half as deep as a binary one, and the children of a
 * node share two cache lines. */
#include "hub.h"

#include <errno.h>
#include <stdlib.h>

enum { CHILDREN = 4 };

int heap_reserve(struct heap *heap, size_t count)
{
    size_t capacity = heap->capacity ? heap->capacity : 64;

    if (count <= heap->capacity)
        return 0;
    if (count > HEAP_PLACES / 2) {
        errno = ENOMEM;
        return -1;
    }
    while (capacity < count)
        capacity *= 2;
    struct timer *entries = realloc(heap->entries, capacity * sizeof *entries);
    if (!entries)
        return -1;
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

static void put(struct heap *heap, size_t place, struct timer entry)
{
    heap->entries[place] = entry;
    entry.greenlet->timer = (uint32_t)place;
}

static void sift_up(struct heap *heap, size_t place, struct timer entry)
{
    while (place > 0) {
        size_t parent = (place - 1) / CHILDREN;
        if (!timer_is_earlier(&entry, &heap->entries[parent]))
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
        if (timer_is_earlier(&heap->entries[i], &heap->entries[best]))
            best = i;
    return best;
}

static void sift_down(struct heap *heap, size_t place, struct timer entry)
{
    while (place * CHILDREN + 1 < heap->count) {
        size_t child = earliest_child(heap, place);
        if (!timer_is_earlier(&heap->entries[child], &entry))
            break;
        put(heap, place, heap->entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

void heap_add(struct heap *heap, struct timer timer)
{
    sift_up(heap, heap->count++, timer);
}

void heap_remove(struct heap *heap, size_t place)
{
    struct timer last = heap->entries[--heap->count];

    if (place == heap->count)
        return;
    if (place > 0 && timer_is_earlier(&last, &heap->entries[(place - 1) / CHILDREN]))
        sift_up(heap, place, last);
    else
        sift_down(heap, place, last);
}

void heap_finish(struct heap *heap)
{
    free(heap->entries);
    *heap = (struct heap){ 0 };
}
