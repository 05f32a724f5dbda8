/* Limits: a stack of nodes that each waiting call looks at. See hub.c for how a
 * wait finds the earliest and marks what has passed. */
#include "hub.h"
#include "misuse.h"

#include <errno.h>
#include <stdlib.h>

static void open_timeout(cress_greenlet *g, cress_timeout *t, cress_seconds span, bool shields)
{
    *t = (cress_timeout){
        .deadline = g->hub->now + span,
        .outer = g->timeouts,
        .shields = shields,
        .open = true,
        .decides = shields || !g->timeouts,
    };
    g->timeouts = t;
}

void cress_timeout_start(cress_timeout *t, cress_seconds span)
{
    open_timeout(misuse_self("cress_timeout_start"), t, span, false);
}

void cress_timeout_start_shielded(cress_timeout *t, cress_seconds span)
{
    open_timeout(misuse_self("cress_timeout_start_shielded"), t, span, true);
}

bool cress_timeout_expired(const cress_timeout *t)
{
    return t->expired || t->deadline <= cress_now();
}

/* Does t lie in the frame of a function that has returned? Its content is gone then. */
static bool is_gone(const cress_greenlet *g, const cress_timeout *t)
{
    const char *at = (const char *)t, *here = __builtin_frame_address(0);

    return at >= g->stack->extent.bottom && at < here;
}

static void close_innermost(cress_greenlet *g, cress_timeout *t)
{
    g->timeouts = t->outer;
    t->open = false;
    if (t->deadline <= g->hub->now)
        t->expired = true;
    t->deadline = CRESS_FOREVER; /* what has not passed by now never will */
    if (!g->cancelled)
        g->failed_waits = 0;
}

/* Where that does not stop the program, those inside it are closed as well. */
static __attribute__((noinline)) void close_misused(cress_greenlet *g, cress_timeout *t,
                                                    const void *site)
{
    if (!g)
        misuse_outside(site, "cress_timeout_close");
    if (!t->open) {
        misuse_at(site, EINVAL, "cress_timeout_close: it is not open");
        return;
    }
    misuse_at(site, EINVAL, "cress_timeout_close: another cress_timeout is open inside this one");
    cress_timeout *inner = g->timeouts;
    while (inner && inner != t && !is_gone(g, inner)) {
        inner->open = false;
        inner = inner->outer;
    }
    close_innermost(g, t);
}

void cress_timeout_close(cress_timeout *t)
{
    cress_greenlet *g = cress_self();

    if (g && g->timeouts == t)
        close_innermost(g, t);
    else
        close_misused(g, t, __builtin_return_address(0));
}

void *cress_with_timeout(cress_seconds span, cress_fn *fn, void *arg, void *timeout_value)
{
    cress_greenlet *g = misuse_self("cress_with_timeout");
    cress_timeout limit;

    cress_timeout_start(&limit, span);
    int error = g->error;
    void *value = fn(arg);
    bool ended_it = limit.expired; /* not: has passed by now; a late value is a value */
    cress_timeout_close(&limit);
    if (!ended_it)
        return value;
    g->error = error; /* cress_fail of what the limit ended is answered by timeout_value */
    return timeout_value;
}
