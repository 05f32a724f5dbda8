/* The one place where the processor changes stacks.
 *
 * boost.context's C symbols do the switch. What tools must know of it is said here and
 * nowhere else: AddressSanitizer and ThreadSanitizer are told of each change of
 * stack (their fiber calls), Valgrind of each stack.
 *
 * MXCSR's sticky exception flags are cleared before a switch: jump_fcontext saves
 * and loads the register, and loading a value that differs costs fifty nanoseconds. They
 * are thus not kept across a wait; rounding mode and masks are each greenlet's own.
 */
#ifndef CRESS_CONTEXT_H
#define CRESS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CRESS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CRESS_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define CRESS_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define CRESS_TSAN 1
#endif

#ifdef CRESS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef CRESS_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#ifdef __SSE__
#include <xmmintrin.h>
#endif

typedef void *fcontext_t;
typedef struct transfer {
    fcontext_t context; /* of the one who jumped */
    void *data;
} transfer_t;

extern transfer_t jump_fcontext(fcontext_t to, void *data);
extern fcontext_t make_fcontext(void *top, size_t size, void (*entry)(transfer_t));

/* A stack's extent, and what the tools know it by. */
struct context_stack {
    char *bottom; /* its lowest usable byte */
    size_t size;
#ifdef CRESS_TSAN
    void *fiber;
#endif
#ifdef VALGRIND_STACK_REGISTER
    unsigned valgrind_id;
#endif
};

/* Where to go on. */
struct context {
    fcontext_t pointer;
    struct context_stack *stack;
#ifdef CRESS_ASAN
    void *fake_stack;
#endif
};

static inline void context_stack_register(struct context_stack *stack)
{
#ifdef CRESS_ASAN
    __lsan_register_root_region(stack->bottom, stack->size);
#endif
#ifdef CRESS_TSAN
    stack->fiber = __tsan_create_fiber(0);
#endif
#ifdef VALGRIND_STACK_REGISTER
    stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->bottom, stack->bottom + stack->size);
#endif
    (void)stack;
}

static inline void context_stack_deregister(struct context_stack *stack)
{
#ifdef CRESS_ASAN
    __lsan_unregister_root_region(stack->bottom, stack->size);
    __asan_unpoison_memory_region(stack->bottom, stack->size);
#endif
#ifdef CRESS_TSAN
    __tsan_destroy_fiber(stack->fiber);
#endif
#ifdef VALGRIND_STACK_REGISTER
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
    (void)stack;
}

/* The calling thread's own stack, which it gives back by itself. */
static inline void context_adopt_thread(struct context *c, struct context_stack *stack)
{
    c->stack = stack;
#ifdef CRESS_TSAN
    stack->fiber = __tsan_get_current_fiber();
#endif
}

/* The next switch to c calls entry, which begins with context_arrive and never returns. */
static inline void context_make(struct context *c, struct context_stack *stack,
                                void (*entry)(transfer_t))
{
#ifdef CRESS_ASAN
    __asan_unpoison_memory_region(stack->bottom, stack->size);
    c->fake_stack = NULL;
#endif
#ifdef CRESS_TSAN
    __tsan_destroy_fiber(stack->fiber); /* its call stack is that of who left for good */
    stack->fiber = __tsan_create_fiber(0);
#endif
    c->stack = stack;
    c->pointer = make_fcontext(stack->bottom + stack->size, stack->size, entry);
}

static inline void context_clear_flags(void)
{
#ifdef __SSE__
    unsigned mxcsr = _mm_getcsr();
    if (mxcsr & 0x3f)
        _mm_setcsr(mxcsr & ~0x3fU);
#endif
}

/* Notes where the one who jumped here stands; NULL: it is gone for good. */
static inline void context_arrive(transfer_t transfer, void *fake_stack)
{
    struct context *from = transfer.data;

    if (from)
        from->pointer = transfer.context;
#ifdef CRESS_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#else
    (void)fake_stack;
#endif
}

static inline transfer_t context_jump(struct context *from, struct context *to)
{
    context_clear_flags();
#ifdef CRESS_ASAN
    __sanitizer_start_switch_fiber(from ? &from->fake_stack : NULL, to->stack->bottom,
                                   to->stack->size);
#endif
#ifdef CRESS_TSAN
    __tsan_switch_to_fiber(to->stack->fiber, 0);
#endif
    return jump_fcontext(to->pointer, from);
}

/* Goes to `to`; returns when somebody switches to `from`. */
static inline void context_switch(struct context *from, struct context *to)
{
    transfer_t transfer = context_jump(from, to);

#ifdef CRESS_ASAN
    context_arrive(transfer, from->fake_stack);
#else
    context_arrive(transfer, NULL);
#endif
}

/* Goes to `to` and leaves nothing behind: the stack may be used anew. */
static inline _Noreturn void context_leave(struct context *to)
{
    context_jump(NULL, to);
    __builtin_unreachable();
}

#endif
