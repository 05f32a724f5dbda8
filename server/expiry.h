/* Many things that expire after the same span: a FIFO and one sleeper, not a timer
 * each. All idle connections share one; those whose request's head is on its way
 * another. Joining and leaving are a few pointer writes.
 *
 * What comes back all the time, as a busy connection does between two requests, need not
 * move each time: one that joined a moment ago (the list's slack) stays where it is, and its
 * span counts from then, with the slack on top. So the list is always in order, and nothing
 * expires early. */
#ifndef CRESS_EXPIRY_H
#define CRESS_EXPIRY_H

#include <cress/event.h>
#include <cress/greenlet.h>

struct expiry_node {
    struct expiry_node *previous, *next;
    struct expiry *list; /* NULL: in none */
    cress_seconds since; /* when it joined */
};

struct expiry {
    struct expiry_node *first, *last; /* oldest first */
    cress_seconds span;               /* CRESS_FOREVER: nothing expires */
    cress_seconds slack;
    void (*expire)(struct expiry_node *node);
    cress_event filled;
    cress_greenlet *sleeper; /* NULL: the span is for ever */
};

/* Spawns the sleeper, if it is to wake up at all: 0, or -1 with ENOMEM. expire is called with
 * the node taken out, and may not wait. */
int expiry_start(struct expiry *e, cress_seconds span, cress_seconds slack,
                 void (*expire)(struct expiry_node *node));
/* [waits] Ends the sleeper. */
void expiry_stop(struct expiry *e);
/* From now on span seconds, and the slack; a node that is in another list, or this, leaves it
 * first. */
void expiry_add(struct expiry *e, struct expiry_node *node);
void expiry_remove(struct expiry_node *node);

/* From now on span seconds at least. */
static inline void expiry_touch(struct expiry *e, struct expiry_node *node)
{
    if (node->list != e || cress_now() - node->since > e->slack)
        expiry_add(e, node);
}

#endif
