/* The deadlines that greenlets wait for.
 *
 * A program has few spans (ten milliseconds, the 25 seconds of a long poll), so deadlines
 * mostly arise in the order in which they pass. Those stand in a line: one that is not before the
 * last joins at its end, one that is over or no longer wanted leaves, and neither touches the
 * others. The rest is kept in a heap: what comes out of order, what stands out as late, what finds
 * the line full.
 *
 * A greenlet has at most one deadline, and knows its place. Equal deadlines come out in the order
 * in which they went in. Room is reserved when a greenlet is spawned: arming never fails.
 */
#ifndef CRESS_TIMERS_H
#define CRESS_TIMERS_H

#include "heap.h"

#include <cress/api.h>

#define TIMER_NONE UINT32_MAX

/* A ring: entries[(head + i) & (capacity - 1)] for i below count; those without a greenlet have
 * left. The first never has. */
struct line {
    struct timer *entries;
    size_t capacity, head, count;
    size_t gone;
};

struct timers {
    struct line line;
    struct heap heap;
    uint64_t last_order;
};

/* Room for that many: 0, or -1 with ENOMEM. */
int timers_reserve(struct timers *timers, size_t count);
void timers_add(struct timers *timers, struct cress_greenlet *g, cress_seconds deadline);
void timers_remove(struct timers *timers, struct cress_greenlet *g);
/* Nobody's place counts any more. */
void timers_clear(struct timers *timers);
void timers_finish(struct timers *timers);

/* Of one that has one. */
cress_seconds timers_deadline(const struct timers *timers, const struct cress_greenlet *g);

/* The earliest; NULL: there is none. */
static inline const struct timer *timers_first(const struct timers *timers)
{
    const struct line *line = &timers->line;
    const struct timer *in_line = line->count ? &line->entries[line->head] : NULL;
    const struct timer *in_heap = heap_first(&timers->heap);

    if (!in_line || (in_heap && timer_is_earlier(in_heap, in_line)))
        return in_heap;
    return in_line;
}

/* CRESS_FOREVER: none. */
static inline cress_seconds timers_next(const struct timers *timers)
{
    const struct timer *first = timers_first(timers);

    return first ? first->deadline : CRESS_FOREVER;
}

#endif
