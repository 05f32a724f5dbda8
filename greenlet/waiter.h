/* Waiting in line: what every primitive is made of.
 *
 * A primitive holds cress_waitables. A greenlet that must wait puts a node that
 * lives on its own stack at the end of one (or, in cress_wait_any, several) and
 * parks. Whoever makes the thing ready takes the oldest node off, may leave
 * something in its slot, and wakes its greenlet:
 *
 *     struct cress_waiter *waiter = waiter_pop(&q->getters);
 *     if (waiter) {
 *         waiter->slot = item;
 *         hub_wake(waiter->greenlet, 0);
 *     }
 *
 * A greenlet that was woken by its deadline or by a kill has not run yet and its
 * node still stands in line: waiter_pop passes over such nodes, so nothing is
 * ever handed to somebody who has stopped waiting; and what was handed over
 * before a kill arrived stays handed over: the wait returns 0.
 *
 * Some only want to know that the thing is ready and take nothing (a peek,
 * cress_wait_any): watchers. waiter_pop leaves them where they stand;
 * waiter_wake_all wakes them too.
 */
#ifndef CRESS_WAITER_H
#define CRESS_WAITER_H

#include <cress/waitable.h>

struct cress_greenlet;

struct cress_waiter {
    struct cress_waiter *next, *prev;
    cress_waitable *line; /* NULL: not in a line */
    struct cress_greenlet *greenlet;
    void *slot; /* the primitive's: what is handed over */
    bool watches, woken;
};

/* What the waiting calls of values begin with: hub_check for a greenlet; others
 * (a link's function, code outside a hub) may make them too while there is
 * nothing to wait for. */
int waiter_check(void);

/* Do greenlets of another thread stand in line? Primitives are not shared between threads: who
 * finds this touches nothing and calls it misuse, with EPERM. */
bool waiter_is_foreign(const cress_waitable *line);
int waiter_refuse_foreign(const void *site);

/* Appends the running greenlet, as one who takes, or as a watcher. */
void waiter_push(cress_waitable *line, struct cress_waiter *waiter);
void waiter_push_watcher(cress_waitable *line, struct cress_waiter *waiter);
/* Takes it out of its line, if it stands in one. */
void waiter_remove(struct cress_waiter *waiter);
/* The oldest who still waits to take, left in line; NULL: none does. */
struct cress_waiter *waiter_first(cress_waitable *line);
/* The same, taken out. */
struct cress_waiter *waiter_pop(cress_waitable *line);
/* Wakes all with error, watchers with 0, and empties the line. */
void waiter_wake_all(cress_waitable *line, int error);
/* [waits] waiter_push, hub_wait, waiter_remove. `what` names the wait in reports, with `line`'s address. */
int waiter_wait(cress_waitable *line, struct cress_waiter *waiter, cress_seconds timeout,
                const char *what);
/* [waits] The same as a watcher, with the absolute deadline of a call that may
 * have to wait again. */
int waiter_watch(cress_waitable *line, cress_seconds deadline, const char *what);

#endif
