/* Many things that expire after the same span: a FIFO and one sleeper, not a timer
 * each. All idle connections share one; those whose request's head is on its way
 * another. Joining and leaving are a few pointer writes. */
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
    void (*expire)(struct expiry_node *node);
    cress_event filled;
    cress_greenlet *sleeper;
};

/* Spawns the sleeper: 0, or -1 with ENOMEM. expire is called with the node taken out, and may
 * not wait. */
int expiry_start(struct expiry *e, cress_seconds span, void (*expire)(struct expiry_node *node));
/* [waits] Ends the sleeper. */
void expiry_stop(struct expiry *e);
/* From now on span seconds; a node that is in another list, or this, leaves it first. */
void expiry_add(struct expiry *e, struct expiry_node *node);
void expiry_remove(struct expiry_node *node);

#endif
