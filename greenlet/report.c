/* Seeing inside: who there is, and what each waits on.
 *
 * The same lines are asked for by a person (cress_print_greenlets) and printed when
 * the hub would block for ever.
 */
#include "hub.h"

#include <string.h>

/* "what" with its object's address behind it; or, where "what" has a '#', its number
 * there. */
static void describe_object(const cress_greenlet *g, FILE *out)
{
    const char *mark = strchr(g->what, '#');

    if (mark)
        fprintf(out, "waits on %.*s%zu%s", (int)(mark - g->what), g->what, (size_t)g->object,
                mark + 1);
    else if (g->object)
        fprintf(out, "waits on %s %p", g->what, g->object);
    else
        fprintf(out, "waits on %s", g->what);
}

static void describe_wait(const cress_greenlet *g, FILE *out)
{
    cress_seconds limit = hub_limit(g, CRESS_FOREVER);

    if (g->timer != HEAP_NONE)
        limit = g->hub->timers.entries[g->timer].deadline;
    describe_object(g, out);
    if (limit < CRESS_FOREVER)
        fprintf(out, ", for %.3f s at most", limit > g->hub->now ? limit - g->hub->now : 0.0);
}

static void describe_greenlet(const cress_greenlet *g, FILE *out)
{
    char name[64];

    fprintf(out, "  %s: ", cress_name(g, name, sizeof name));
    if (g->state == GREENLET_NEW)
        fputs("not started", out);
    else if (g->state == GREENLET_RESTING && g->parked)
        fputs("rests", out);
    else if (g->parked)
        describe_wait(g, out);
    else
        fputs(g == g->hub->current ? "runs" : "is ready", out);
    fputs(g->cancelled ? " (being killed)\n" : "\n", out);
}

void hub_report(struct hub *hub, FILE *out)
{
    for (const cress_greenlet *g = hub->greenlets; g; g = g->next)
        describe_greenlet(g, out);
}

void cress_print_greenlets(FILE *out)
{
    if (hub_current)
        hub_report(hub_current, out);
}

void cress_get_hub_stats(cress_hub_stats *ret_stats)
{
    *ret_stats = (cress_hub_stats){ 0 };
    if (!hub_current)
        return;
    *ret_stats = hub_current->stats;
    ret_stats->stacks = hub_current->stacks.count;
    ret_stats->stacks_cached = hub_current->stacks.free_count + hub_current->stacks.cold_count;
}
