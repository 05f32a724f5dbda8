/* Stacks: mapped in chunks, each with a guard below, reused last in first out.
 *
 * The guard is as large as a stack, so that a function with a large frame does not
 * step over it. Where the kernel has MADV_GUARD_INSTALL (6.13) a guard costs no mapping of
 * its own, and a million stacks are a handful of mappings; elsewhere it is
 * PROT_NONE, two mappings a stack, and vm.max_map_count ends at some 32,000.
 *
 * Pages of stacks that were not needed for a while go back to the kernel.
 */
#ifndef CRESS_STACK_H
#define CRESS_STACK_H

#include "context.h"

#include <cress/api.h>

struct stack {
    struct stack *next; /* in the cache */
    struct context_stack extent;
};

struct stack_chunk;

struct stack_cache {
    size_t size; /* bytes of one, a multiple of the page size */
    bool by_mprotect;
    struct stack *free, *cold; /* hot on top; and those without pages */
    size_t free_count, cold_count, count;
    size_t peak;   /* the most in use since the last review */
    size_t excess; /* free ones whose pages are to go back */
    struct stack_chunk *chunks;
};

void stack_cache_init(struct stack_cache *cache, size_t size, bool by_mprotect);
void stack_cache_finish(struct stack_cache *cache);

/* Makes sure that one could be taken now: 0, or -1 with ENOMEM. */
int stack_reserve(struct stack_cache *cache);
/* NULL: ENOMEM. */
struct stack *stack_take(struct stack_cache *cache);
/* The caller may still stand on it, until it leaves for another. */
void stack_give(struct stack_cache *cache, struct stack *stack);

/* Is there more in the cache than the last period needed? */
bool stack_cache_excess(const struct stack_cache *cache);
/* Finds what was not needed since the last call. */
void stack_cache_review(struct stack_cache *cache);
/* Gives some of its pages back to the kernel: not all at once, which may take long. */
void stack_cache_trim(struct stack_cache *cache);

/* Is addr in this stack's guard? */
bool stack_guards(const struct stack *stack, const void *addr);

/* Reports an overflow of the running greenlet's stack by its name, on an alternate
 * signal stack; other faults go to whoever handled them before. For this thread. */
int stack_watch_overflow(void);
void stack_unwatch_overflow(void);

#endif
