/* Where greenlets stand. See stack.h for why it is like this. */
#include "hub.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    CHUNK_STACKS = 16,
    WARM_STACKS = 64, /* kept with their pages whatever happens */
    TRIM_MOST = 64,   /* some 50 us */
    ALTERNATE_SIZE = 32 * 1024,
};

struct stack_chunk {
    struct stack_chunk *next;
    char *base;
    struct stack stacks[CHUNK_STACKS];
};

void stack_cache_init(struct stack_cache *cache, size_t size, bool by_mprotect)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    *cache = (struct stack_cache){
        .size = (size + page - 1) / page * page,
        .by_mprotect = by_mprotect,
    };
}

static size_t chunk_bytes(const struct stack_cache *cache)
{
    return CHUNK_STACKS * 2 * cache->size;
}

/* Makes the lower half of each pair a guard. Falls back for good when the kernel
 * does not know how. */
static int guard_chunk(struct stack_cache *cache, char *base)
{
    for (size_t i = 0; i < CHUNK_STACKS; i++) {
        char *guard = base + i * 2 * cache->size;
        if (!cache->by_mprotect && madvise(guard, cache->size, MADV_GUARD_INSTALL) < 0)
            cache->by_mprotect = true;
        if (cache->by_mprotect && mprotect(guard, cache->size, PROT_NONE) < 0)
            return -1;
    }
    return 0;
}

static char *map_chunk(struct stack_cache *cache)
{
    size_t bytes = chunk_bytes(cache);
    char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    madvise(base, bytes, MADV_NOHUGEPAGE);
    if (guard_chunk(cache, base) < 0) {
        munmap(base, bytes);
        return NULL;
    }
    return base;
}

static int add_chunk(struct stack_cache *cache)
{
    struct stack_chunk *chunk = malloc(sizeof *chunk);
    char *base = chunk ? map_chunk(cache) : NULL;

    if (!base) {
        free(chunk);
        errno = ENOMEM;
        return -1;
    }
    chunk->base = base;
    chunk->next = cache->chunks;
    cache->chunks = chunk;
    for (size_t i = CHUNK_STACKS; i-- > 0;) {
        struct stack *stack = &chunk->stacks[i];
        stack->extent.bottom = base + (i * 2 + 1) * cache->size;
        stack->extent.size = cache->size;
        context_stack_register(&stack->extent);
        stack->next = cache->cold;
        cache->cold = stack;
    }
    cache->cold_count += CHUNK_STACKS;
    cache->count += CHUNK_STACKS;
    return 0;
}

void stack_cache_finish(struct stack_cache *cache)
{
    while (cache->chunks) {
        struct stack_chunk *chunk = cache->chunks;
        cache->chunks = chunk->next;
        for (size_t i = 0; i < CHUNK_STACKS; i++)
            context_stack_deregister(&chunk->stacks[i].extent);
        munmap(chunk->base, chunk_bytes(cache));
        free(chunk);
    }
}

int stack_reserve(struct stack_cache *cache)
{
    return cache->free || cache->cold ? 0 : add_chunk(cache);
}

static void note_peak(struct stack_cache *cache)
{
    size_t in_use = cache->count - cache->free_count - cache->cold_count;

    if (in_use > cache->peak)
        cache->peak = in_use;
}

static struct stack *take_cold(struct stack_cache *cache)
{
    if (stack_reserve(cache) < 0)
        return NULL;
    struct stack *stack = cache->cold;
    cache->cold = stack->next;
    cache->cold_count--;
    note_peak(cache);
    return stack;
}

struct stack *stack_take(struct stack_cache *cache)
{
    struct stack *stack = cache->free;

    if (!stack)
        return take_cold(cache);
    cache->free = stack->next;
    cache->free_count--;
    if (cache->excess > 0)
        cache->excess--;
    note_peak(cache);
    return stack;
}

void stack_give(struct stack_cache *cache, struct stack *stack)
{
    stack->next = cache->free;
    cache->free = stack;
    cache->free_count++;
}

/* How many free ones to keep warm: as many as the busiest moment of the last period would
 * take beyond what is in use now. */
static size_t warm_target(const struct stack_cache *cache)
{
    size_t in_use = cache->count - cache->free_count - cache->cold_count;
    size_t swing = cache->peak > in_use ? cache->peak - in_use : 0;

    return swing + WARM_STACKS;
}

bool stack_cache_excess(const struct stack_cache *cache)
{
    return cache->free_count > WARM_STACKS;
}

void stack_cache_review(struct stack_cache *cache)
{
    size_t keep = warm_target(cache);

    cache->peak = cache->count - cache->free_count - cache->cold_count;
    cache->excess = cache->free_count > keep ? cache->free_count - keep : 0;
}

void stack_cache_trim(struct stack_cache *cache)
{
    for (int i = 0; i < TRIM_MOST && cache->excess > 0; i++) {
        struct stack *stack = cache->free;
        cache->free = stack->next;
        cache->free_count--;
        cache->excess--;
        madvise(stack->extent.bottom, stack->extent.size, MADV_DONTNEED);
        stack->next = cache->cold;
        cache->cold = stack;
        cache->cold_count++;
    }
}

bool stack_guards(const struct stack *stack, const void *addr)
{
    const char *at = addr;

    return at < stack->extent.bottom && at >= stack->extent.bottom - stack->extent.size;
}

/* ---- overflow reports ------------------------------------------------------- */

static struct sigaction previous_segv, previous_bus;
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static _Thread_local void *alternate;

static void append(char *buf, size_t size, const char *text)
{
    size_t len = strlen(buf);

    for (; *text && len + 1 < size; text++)
        buf[len++] = *text;
    buf[len] = '\0';
}

static void append_number(char *buf, size_t size, size_t number)
{
    char digits[24], *at = digits + sizeof digits - 1;

    *at = '\0';
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    append(buf, size, at);
}

static void report_overflow(const cress_greenlet *g)
{
    char line[256] = "cress: greenlet ", name[128];

    append(line, sizeof line, cress_name(g, name, sizeof name));
    append(line, sizeof line, " overflowed its ");
    append_number(line, sizeof line, g->stack->extent.size / 1024);
    append(line, sizeof line, " KiB stack\n");
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
    (void)ignored;
}

/* Back to whoever handled this before, or to the default: the faulting instruction
 * runs again and finds it. */
static void hand_on(int signum, siginfo_t *info, void *context)
{
    const struct sigaction *previous = signum == SIGSEGV ? &previous_segv : &previous_bus;

    if (previous->sa_flags & SA_SIGINFO)
        previous->sa_sigaction(signum, info, context);
    else if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN) {
        signal(signum, SIG_DFL);
        if (info->si_code <= 0) /* sent by somebody: no instruction will fault again */
            raise(signum);
    } else
        previous->sa_handler(signum);
}

static void on_fault(int signum, siginfo_t *info, void *context)
{
    cress_greenlet *g = greenlet_current;

    if (g && g->stack && stack_guards(g->stack, info->si_addr)) {
        report_overflow(g);
        signal(signum, SIG_DFL);
        return;
    }
    hand_on(signum, info, context);
}

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
}

int stack_watch_overflow(void)
{
    stack_t now;

    pthread_once(&installed, install);
    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE))
        return 0;
    alternate = malloc(ALTERNATE_SIZE);
    if (!alternate)
        return -1;
    return sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = ALTERNATE_SIZE }, NULL);
}

void stack_unwatch_overflow(void)
{
    if (!alternate)
        return;
    sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
    free(alternate);
    alternate = NULL;
}
