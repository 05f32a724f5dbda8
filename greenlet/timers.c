/* Which deadlines stand in the line, and which go to the heap. See timers.h. */
#include "hub.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Below HEAP_PLACES a greenlet's place is one in the heap; from there on, one in the line. */
static bool is_in_line(uint32_t place)
{
    return place >= HEAP_PLACES;
}

static struct timer *at(const struct line *line, size_t i)
{
    return &line->entries[(line->head + i) & (line->capacity - 1)];
}

/* The line closes up into these entries, which may be its own. */
static void close_up(struct line *line, struct timer *entries, size_t capacity)
{
    size_t kept = 0, head = entries == line->entries ? line->head : 0;

    for (size_t i = 0; i < line->count; i++) {
        struct timer timer = *at(line, i);
        if (!timer.greenlet)
            continue;
        size_t place = (head + kept++) & (capacity - 1);
        timer.greenlet->timer = HEAP_PLACES + (uint32_t)place;
        entries[place] = timer;
    }
    *line = (struct line){ entries, capacity, .head = head, .count = kept };
}

static int line_reserve(struct line *line, size_t capacity)
{
    if (line->capacity >= capacity)
        return 0;
    struct timer *entries = malloc(capacity * sizeof *entries), *old = line->entries;
    if (!entries)
        return -1;
    close_up(line, entries, capacity);
    free(old);
    return 0;
}

int timers_reserve(struct timers *timers, size_t count)
{
    if (heap_reserve(&timers->heap, count) < 0)
        return -1;
    return line_reserve(&timers->line, timers->heap.capacity);
}

static void line_remove(struct line *line, size_t place)
{
    line->entries[place].greenlet = NULL;
    line->gone++;
    while (line->count > 0 && !at(line, 0)->greenlet) {
        line->head = (line->head + 1) & (line->capacity - 1);
        line->count--;
        line->gone--;
    }
    while (line->count > 0 && !at(line, line->count - 1)->greenlet) {
        line->count--;
        line->gone--;
    }
}

/* One that is later than all others, as that of a server's rare chores, does not keep them out: it
 * moves to the heap. */
static bool goes_last(struct timers *timers, cress_seconds deadline)
{
    struct line *line = &timers->line;

    if (line->count == 0 || at(line, line->count - 1)->deadline <= deadline)
        return true;
    if (line->count > 1 && at(line, line->count - 2)->deadline > deadline)
        return false;
    struct timer last = *at(line, line->count - 1);
    line_remove(line, last.greenlet->timer - HEAP_PLACES);
    heap_add(&timers->heap, last);
    return true;
}

/* A line that is full closes up where an eighth of it has left: seven steps for each of those, at
 * most. */
static bool has_room(struct line *line)
{
    if (line->count == 0)
        line->head = 0;
    if (line->count == line->capacity && line->gone >= line->capacity / 8)
        close_up(line, line->entries, line->capacity);
    return line->count < line->capacity;
}

void timers_add(struct timers *timers, struct cress_greenlet *g, cress_seconds deadline)
{
    struct line *line = &timers->line;
    struct timer timer = { deadline, ++timers->last_order, g };

    assert(g->timer == TIMER_NONE);
    if (goes_last(timers, deadline) && has_room(line)) {
        struct timer *last = at(line, line->count++);
        g->timer = HEAP_PLACES + (uint32_t)(last - line->entries);
        *last = timer;
    } else {
        heap_add(&timers->heap, timer);
    }
}

void timers_remove(struct timers *timers, struct cress_greenlet *g)
{
    uint32_t place = g->timer;

    g->timer = TIMER_NONE;
    if (is_in_line(place))
        line_remove(&timers->line, place - HEAP_PLACES);
    else
        heap_remove(&timers->heap, place);
}

cress_seconds timers_deadline(const struct timers *timers, const struct cress_greenlet *g)
{
    return is_in_line(g->timer) ? timers->line.entries[g->timer - HEAP_PLACES].deadline
                                : timers->heap.entries[g->timer].deadline;
}

void timers_clear(struct timers *timers)
{
    timers->heap.count = 0;
    timers->line.count = timers->line.gone = 0;
}

void timers_finish(struct timers *timers)
{
    heap_finish(&timers->heap);
    free(timers->line.entries);
    *timers = (struct timers){ 0 };
}
