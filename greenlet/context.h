/* The one place where the processor changes stacks.
 *
 * On x86-64 a switch is a dozen instructions here: it keeps the stack and frame
 * pointers and the place to go on, and tells the compiler that all else is gone, which then
 * saves what it needs and nothing more: 1 ns, where a switch by boost.context takes 5. The
 * difference is the floating-point control words, which that saves and
 * loads: here they belong to the thread, as they do in Go. Who changes rounding or masks
 * changes them back before waiting; debug builds check it. Everywhere else, and with
 * CRESS_BOOST_CONTEXT, boost.context's C symbols do the switch.
 *
 * What tools must know of it is said here and nowhere else: AddressSanitizer and ThreadSanitizer are told
 * of each change of stack (their fiber calls), Valgrind of each stack.
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
void AnnotateIgnoreSyncEnd(const char *file, int line); /* in its runtime */
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#if defined(__x86_64__) && defined(__LP64__) && !defined(CRESS_BOOST_CONTEXT)
#define CONTEXT_NATIVE 1
#include <xmmintrin.h>
#else
typedef void *fcontext_t;
typedef struct transfer {
    fcontext_t context; /* of the one who jumped */
    void *data;
} transfer_t;

extern transfer_t jump_fcontext(fcontext_t to, void *data);
extern fcontext_t make_fcontext(void *top, size_t size, void (*entry)(transfer_t));
#endif

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
#ifdef CONTEXT_NATIVE
    void *pc, *sp, *fp; /* gdb/cress-gdb.py reads these */
#else
    fcontext_t pointer;
#endif
#if defined(CRESS_ASAN) || defined(CRESS_TSAN)
    struct context_stack *stack; /* for the tools */
#endif
#ifdef CRESS_ASAN
    void *fake_stack;
#endif
};

/* c is on that stack. */
static inline void context_settle(struct context *c, struct context_stack *stack)
{
#if defined(CRESS_ASAN) || defined(CRESS_TSAN)
    c->stack = stack;
#endif
    (void)c, (void)stack;
}

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
    context_settle(c, stack);
#ifdef CRESS_TSAN
    stack->fiber = __tsan_get_current_fiber();
#endif
}

/* In a forked child, once and for each lock that the caller took before. ThreadSanitizer takes
 * stacks for threads, and looks no more at what the one does that has forked: neither how its
 * switches order things, nor that it releases those locks. It shall. Whatever begins after the first
 * fork it leaves alone. */
static inline void context_forked(void)
{
#ifdef CRESS_TSAN
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
#endif
}

static inline void context_forked_lock(void *lock, bool first_fork)
{
#ifdef CRESS_TSAN
    if (first_fork) {
        __tsan_mutex_pre_unlock(lock, 0);
        __tsan_mutex_post_unlock(lock, 0);
    }
#endif
    (void)lock, (void)first_fork;
}

/* What a new stack begins with (hub.c). It calls context_begin first and never returns. */
_Noreturn void context_entry(void);

static inline void context_begin(void)
{
#ifdef CRESS_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

#ifdef CONTEXT_NATIVE

/* Where a call to context_entry would begin: its return address, 0, ends backtraces. */
static inline void context_aim(struct context *c, const struct context_stack *stack)
{
    void **top = (void **)(void *)(stack->bottom + stack->size);

    top[-1] = NULL;
    c->pc = (void *)(size_t)context_entry;
    c->sp = top - 1;
    c->fp = NULL;
}

/* Only stores to memory and registers: the red zone below the stack pointer stays as it is. */
static inline void context_jump(struct context *from, struct context *to)
{
    struct context *left = from, *entered = to;

    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, 0(%[from])\n\t"
                     "movq %%rsp, 8(%[from])\n\t"
                     "movq %%rbp, 16(%[from])\n\t"
                     "movq 8(%[to]), %%rsp\n\t"
                     "movq 16(%[to]), %%rbp\n\t"
                     "jmpq *0(%[to])\n"
                     "1:\n"
                     : [from] "+D"(left), [to] "+S"(entered)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                       "memory", "cc");
}

/* Where its stack ends. */
static inline const void *context_pointer(const struct context *c)
{
    return c->sp;
}

/* The control bits of MXCSR. */
static inline unsigned context_float_control(void)
{
    return _mm_getcsr() & ~0x3fU;
}

#else

static inline void context_arrive(transfer_t transfer)
{
    struct context *from = transfer.data;

    from->pointer = transfer.context;
}

static inline void context_first(transfer_t transfer)
{
    context_arrive(transfer);
    context_entry();
}

static inline void context_aim(struct context *c, const struct context_stack *stack)
{
    c->pointer = make_fcontext(stack->bottom + stack->size, stack->size, context_first);
}

static inline void context_jump(struct context *from, struct context *to)
{
    context_arrive(jump_fcontext(to->pointer, from));
}

static inline const void *context_pointer(const struct context *c)
{
    return c->pointer;
}

static inline unsigned context_float_control(void)
{
    return 0; /* each context has its own */
}

#endif

/* The next switch to c begins at context_entry. */
static inline void context_make(struct context *c, struct context_stack *stack)
{
#ifdef CRESS_ASAN
    __asan_unpoison_memory_region(stack->bottom, stack->size);
    c->fake_stack = NULL;
#endif
#ifdef CRESS_TSAN
    __tsan_destroy_fiber(stack->fiber); /* its call stack is that of who left for good */
    stack->fiber = __tsan_create_fiber(0);
#endif
    context_settle(c, stack);
    context_aim(c, stack);
}

static inline void context_announce(struct context *to, void **fake_stack)
{
#ifdef CRESS_ASAN
    __sanitizer_start_switch_fiber(fake_stack, to->stack->bottom, to->stack->size);
#endif
#ifdef CRESS_TSAN
    __tsan_switch_to_fiber(to->stack->fiber, 0);
#endif
    (void)to, (void)fake_stack;
}

/* Goes to `to`; returns when somebody switches to `from`. */
static inline void context_switch(struct context *from, struct context *to)
{
#ifdef CRESS_ASAN
    context_announce(to, &from->fake_stack);
    context_jump(from, to);
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#else
    context_announce(to, NULL);
    context_jump(from, to);
#endif
}

/* Goes to `to` for good: the stack may be used anew. `nowhere` takes what nobody needs. */
static inline _Noreturn void context_leave(struct context *nowhere, struct context *to)
{
    context_announce(to, NULL);
    context_jump(nowhere, to);
    __builtin_unreachable();
}

#endif
