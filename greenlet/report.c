/* Seeing inside: what a greenlet is doing, in one line.
 *
 * The same lines are asked for by a person (dump.c) and printed when the hub would block for
 * ever. A wait names its object: the descriptor's number, the address of an event or a queue,
 * and its variable, if it is one of the program's own.
 */
#include "report.h"

#include <string.h>

enum { NAME_BYTES = 64 };

static const cress_greenlet *joined(const void *line)
{
    return (const cress_greenlet *)(const void *)((const char *)line -
                                                  offsetof(cress_greenlet, done));
}

static void describe_pointer(const cress_greenlet *g, struct symbols *symbols, FILE *out)
{
    char name[256];

    fprintf(out, "waits on %s %p", g->what, g->object);
    if (strcmp(g->what, REPORT_JOIN) == 0)
        fprintf(out, " (%s)", cress_name(joined(g->object), name, NAME_BYTES));
    else if (symbols_data(symbols, g->object, name, sizeof name))
        fprintf(out, " (%s)", name);
}

/* "what" with its object's address behind it; or, where "what" has a '#', its number
 * there. */
static void describe_object(const cress_greenlet *g, struct symbols *symbols, FILE *out)
{
    const char *mark = strchr(g->what, '#');

    if (mark)
        fprintf(out, "waits on %.*s%zu%s", (int)(mark - g->what), g->what, (size_t)g->object,
                mark + 1);
    else if (g->object)
        describe_pointer(g, symbols, out);
    else
        fprintf(out, "waits on %s", g->what);
}

static void put_span(FILE *out, const char *format, cress_seconds span)
{
    fprintf(out, format, span > 0 ? span : 0.0);
}

static void describe_wait(const cress_greenlet *g, struct symbols *symbols, FILE *out)
{
    cress_seconds now = g->hub->now, limit = hub_limit(g, CRESS_FOREVER);

    if (g->timer != TIMER_NONE)
        limit = timers_deadline(&g->hub->timers, g);
    describe_object(g, symbols, out);
    put_span(out, ", since %.3f s", now - g->since);
    if (limit < CRESS_FOREVER)
        put_span(out, ", for %.3f s at most", limit - now);
}

static void describe_rest(const cress_greenlet *g, FILE *out)
{
    fputs("rests", out);
    if (g->rest_watch)
        fprintf(out, " until descriptor %d can be read", cress_watch_fd(g->rest_watch));
    put_span(out, ", since %.3f s", g->hub->now - g->since);
}

void report_greenlet(const cress_greenlet *g, struct symbols *symbols, FILE *out)
{
    char name[NAME_BYTES];

    fprintf(out, "  %s: ", cress_name(g, name, sizeof name));
    if (g->starved)
        fputs("waits for memory for its stack", out);
    else if (g->state == GREENLET_NEW)
        fputs("not started", out);
    else if (g->state == GREENLET_RESTING && g->parked)
        describe_rest(g, out);
    else if (g->parked)
        describe_wait(g, symbols, out);
    else
        fputs(g == g->hub->current ? "runs" : "is ready", out);
    fputs(g->cancelled ? " (being killed)\n" : "\n", out);
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
