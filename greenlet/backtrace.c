/* Backtraces. See backtrace.h; unwind.c does the walking, symbol.c the naming. */
#include "backtrace.h"

#include "unwind.h"

static void walk(struct unwind_state *state, struct backtrace *trace)
{
    trace->count = 0;
    trace->cut = false;
    trace->exact = state->exact;
    if (!state->registers[UNWIND_PC])
        return;
    do {
        if (trace->count == BACKTRACE_MAX) {
            trace->cut = true;
            return;
        }
        trace->pcs[trace->count++] = (void *)state->registers[UNWIND_PC];
    } while (unwind_step(state));
}

/* The stack that the thread stands on now. */
static const struct context_stack *current_stack(const struct hub *hub)
{
    const cress_greenlet *g = hub->current;

    return g && g->stack ? &g->stack->extent : &hub->thread_stack;
}

void backtrace_here(struct backtrace *ret_trace)
{
    struct unwind_state state;

    *ret_trace = (struct backtrace){ 0 };
    if (!hub_current)
        return;
    unwind_from_here(&state, current_stack(hub_current));
    walk(&state, ret_trace);
}

void backtrace_of(const cress_greenlet *g, struct backtrace *ret_trace)
{
    struct unwind_state state;

    *ret_trace = (struct backtrace){ 0 };
    if (!g->stack || g->state != GREENLET_RUNNING)
        return;
    if (g == g->hub->current) {
        backtrace_here(ret_trace);
        return;
    }
    unwind_from_context(&state, &g->context, &g->stack->extent);
    walk(&state, ret_trace);
}

void backtrace_interrupted(const struct hub *hub, const void *ucontext, struct backtrace *ret_trace)
{
    struct unwind_state state;

    unwind_from_signal(&state, ucontext, current_stack(hub));
    walk(&state, ret_trace);
}

/* ---- writing ------------------------------------------------------------------- */

struct writing {
    FILE *out;
    int indent;
    unsigned number;
};

static void write_frame(const char *text, void *arg)
{
    struct writing *writing = arg;

    fprintf(writing->out, "%*s#%-2u %s\n", writing->indent, "", writing->number++, text);
}

void backtrace_print(const struct backtrace *trace, struct symbols *symbols, FILE *out, int indent)
{
    struct writing writing = { .out = out, .indent = indent };

    for (unsigned i = 0; i < trace->count; i++) {
        const char *pc = trace->pcs[i];
        bool is_return = i > 0 || !trace->exact;
        symbols_frames(symbols, pc - is_return, write_frame, &writing);
    }
    if (trace->cut)
        fprintf(out, "%*s... and more\n", indent, "");
}
