/* See expiry.h. The sleeper sleeps until the deadline of the node that was first when
 * it looked; a node that left and came back meanwhile costs it one look more. */
#include "expiry.h"

static cress_seconds first_deadline(const struct expiry *e)
{
    return e->first ? e->first->since + e->span + e->slack : CRESS_FOREVER;
}

static void expire_due(struct expiry *e)
{
    while (first_deadline(e) <= cress_now()) {
        struct expiry_node *node = e->first;
        expiry_remove(node);
        e->expire(node);
    }
}

static void *sleep_and_expire(void *arg)
{
    struct expiry *e = arg;

    for (;;) {
        cress_event_clear(&e->filled);
        if (!e->first && cress_event_wait(&e->filled, CRESS_FOREVER) < 0)
            return NULL;
        if (e->first && first_deadline(e) > cress_now() &&
            cress_sleep(first_deadline(e) - cress_now()) < 0)
            return NULL;
        expire_due(e);
    }
}

int expiry_start(struct expiry *e, cress_seconds span, cress_seconds slack,
                 void (*expire)(struct expiry_node *node))
{
    *e = (struct expiry){ .span = span, .slack = slack, .expire = expire };
    if (span == CRESS_FOREVER)
        return 0;
    e->sleeper = cress_spawn(sleep_and_expire, e);
    if (!e->sleeper)
        return -1;
    cress_set_name(e->sleeper, "expiry of %g s", span);
    return 0;
}

void expiry_stop(struct expiry *e)
{
    cress_kill(e->sleeper, CRESS_FOREVER);
    cress_release(e->sleeper);
    e->sleeper = NULL;
}

void expiry_add(struct expiry *e, struct expiry_node *node)
{
    expiry_remove(node);
    node->list = e;
    node->since = cress_now();
    node->next = NULL;
    node->previous = e->last;
    if (e->last)
        e->last->next = node;
    else
        e->first = node;
    e->last = node;
    if (!node->previous && e->sleeper)
        cress_event_set(&e->filled);
}

void expiry_remove(struct expiry_node *node)
{
    struct expiry *e = node->list;

    if (!e)
        return;
    if (node->previous)
        node->previous->next = node->next;
    else
        e->first = node->next;
    if (node->next)
        node->next->previous = node->previous;
    else
        e->last = node->previous;
    node->list = NULL;
}
