/* Backtraces: the addresses of a stack's frames, and how they are written down. */
#ifndef CRESS_BACKTRACE_H
#define CRESS_BACKTRACE_H

#include "hub.h"
#include "symbol.h"

#include <stdio.h>

enum { BACKTRACE_MAX = 64 };

struct backtrace {
    unsigned count;
    bool cut;   /* there are more */
    bool exact; /* the first is where it was interrupted, not where a call returns to */
    void *pcs[BACKTRACE_MAX]; /* innermost first */
};

/* Of the caller, wherever it runs. */
void backtrace_here(struct backtrace *ret_trace);
/* Of a greenlet of this thread's hub: empty, if it has no stack. */
void backtrace_of(const cress_greenlet *g, struct backtrace *ret_trace);
/* For a signal handler: of what it has interrupted. Async-signal-safe. */
void backtrace_interrupted(const struct hub *hub, const void *ucontext,
                           struct backtrace *ret_trace);

/* One line a frame, after as many spaces; says so when nothing is known. */
void backtrace_print(const struct backtrace *trace, struct symbols *symbols, FILE *out, int indent);

#endif
