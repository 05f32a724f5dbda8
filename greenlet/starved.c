/* Greenlets that cannot begin: their turn came, and there is no memory for their stacks.
 *
 * They wait for somebody else's stack, or for memory. A new one does not do so for ever; one that
 * rested has things to clean up, and what it has been woken for is not reported meanwhile.
 */
#include "hub.h"

#include <errno.h>

static const cress_seconds STARVE_MOST = 1.0;

void starved_add(struct hub *hub, cress_greenlet *g)
{
    g->starved = true;
    if (g->state == GREENLET_RESTING && g->rest_watch)
        cress_watch_stop(g->rest_watch);
    g->task.next = NULL;
    *hub->starved_last = &g->task;
    hub->starved_last = &g->task.next;
    if (g->state == GREENLET_NEW)
        timers_add(&hub->timers, g, hub->now + STARVE_MOST);
    if (g->cancelled && g->state == GREENLET_NEW)
        starved_end(g); /* for that it needs no stack */
}

static void take_out(struct hub *hub, cress_greenlet *g)
{
    struct task **at = &hub->starved_first;

    while (*at != &g->task)
        at = &(*at)->next;
    *at = g->task.next;
    if (!*at)
        hub->starved_last = at;
    if (g->timer != TIMER_NONE)
        timers_remove(&hub->timers, g);
    g->starved = false;
}

void starved_feed(struct hub *hub)
{
    cress_greenlet *g = (cress_greenlet *)hub->starved_first;

    take_out(hub, g);
    hub_ready(hub, g);
}

void starved_retry(struct hub *hub)
{
    struct stack_cache *stacks = &hub->stacks;

    if (stack_reserve(stacks) < 0)
        return;
    for (size_t count = stacks->free_count + stacks->cold_count; count > 0; count--)
        if (hub->starved_first)
            starved_feed(hub);
}

static void end_unbegun(struct task *task)
{
    cress_greenlet *g = (cress_greenlet *)task;

    task->run = NULL;
    g->killed = g->cancelled;
    g->error = g->cancelled ? 0 : ENOMEM;
    greenlet_end(g, NULL);
}

void starved_end(cress_greenlet *g)
{
    take_out(g->hub, g);
    g->task.run = end_unbegun;
    hub_call(g->hub, &g->task);
}
