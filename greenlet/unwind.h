/* Walking a stack from saved registers, by the tables that the compiler leaves for
 * exceptions (.eh_frame). It only reads: the stack that is walked may be that of a
 * parked greenlet, which nothing must run on, or one that a signal has interrupted.
 *
 * Async-signal-safe, allocates nothing, never reads outside the extent it is given. Only on
 * x86-64; elsewhere there is nothing to walk, and every walk is empty.
 */
#ifndef CRESS_UNWIND_H
#define CRESS_UNWIND_H

#include "context.h"

#include <stdint.h>

/* By DWARF's numbers for x86-64. */
enum { UNWIND_RBP = 6, UNWIND_RSP = 7, UNWIND_PC = 16, UNWIND_REGISTERS };

struct unwind_state {
    uintptr_t registers[UNWIND_REGISTERS];
    uintptr_t low, high; /* the stack's extent */
    bool exact;          /* the pc is that of an instruction, not where a call returns to */
};

#ifdef __x86_64__
enum { UNWIND_WORKS = true };
#else
enum { UNWIND_WORKS = false };
#endif

/* Where a parked context goes on, on its stack. */
void unwind_from_context(struct unwind_state *state, const struct context *c,
                         const struct context_stack *stack);
/* What a signal has interrupted: a handler's third argument. */
void unwind_from_signal(struct unwind_state *state, const void *ucontext,
                        const struct context_stack *stack);
/* The caller. */
void unwind_from_here(struct unwind_state *state, const struct context_stack *stack);

/* Goes to the caller's frame; false: there is none, or no way to find it. */
bool unwind_step(struct unwind_state *state);

#endif
