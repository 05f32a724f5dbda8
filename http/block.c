/* What a request needs while it is in flight lives in blocks of three fixed sizes. A
 * thread keeps those that were given back, newest first, because their memory is in
 * the processor's caches; a warm request therefore allocates nothing.
 *
 * Blocks come in units: one that is larger than a page is a unit by itself, small ones
 * share a page, behind a header that says which of them lie idle.
 *
 *     hot      a stack of free blocks, at most HOT: these are handed out first
 *     partial  pages of which some blocks are in use or hot, and some idle
 *     cold     units of which all is free: their memory went back to the kernel, and
 *              only their addresses are remembered
 *
 * Units are carved from mappings that are not given back one by one. After a peak, memory
 * falls to what the stack may hold. */
#define _GNU_SOURCE /* memory mappings */
#include "block.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#endif
#ifdef POISONS
#include <sanitizer/asan_interface.h>
#define POISON(block, size) ASAN_POISON_MEMORY_REGION(block, size)
#define UNPOISON(block, size) ASAN_UNPOISON_MEMORY_REGION(block, size)
#define SPOIL(block, size) memset(block, 0xa5, size) /* who counts on zeroes is found out */
#else
#define POISON(block, size) ((void)(block), (void)(size))
#define UNPOISON(block, size) ((void)(block), (void)(size))
#define SPOIL(block, size) ((void)(block), (void)(size))
#endif

enum {
    KINDS = 3,
    SLAB_UNITS = 64,
    HOT = 512,
    PAGE = 4096,
    SHARERS = 4, /* blocks in a page */
};

/* A page that blocks share begins with this. */
struct page {
    struct page *previous, *next; /* in partial */
    unsigned idle;                /* a bit for each block that is free, and not hot */
};

enum {
    ALL_IDLE = (1 << SHARERS) - 1,
    PAGE_HEADER = PAGE - SHARERS * BLOCK_EXCHANGE_SIZE,
};

_Static_assert(PAGE_HEADER >= (int)sizeof(struct page) && PAGE_HEADER % 16 == 0 &&
                   BLOCK_EXCHANGE_SIZE % 16 == 0,
               "blocks are aligned");

struct slab {
    struct slab *next;
    char *memory;
};

struct cache {
    size_t hot_count;
    void *hot[HOT];
    struct page *partial;
    size_t cold_count;
    size_t fresh;           /* units of the newest slab that were never used */
    size_t total, capacity; /* units in all slabs; room in cold */
    struct slab *slabs;
    void **cold;
};

static const size_t sizes[KINDS] = { BLOCK_EXCHANGE_SIZE, BLOCK_INPUT_SIZE, BLOCK_OUTPUT_SIZE };
static const size_t unit_sizes[KINDS] = { PAGE, BLOCK_INPUT_SIZE, BLOCK_OUTPUT_SIZE };
static _Thread_local struct cache caches[KINDS];
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_caches(void *arg)
{
    struct cache *mine = arg;

    for (int kind = 0; kind < KINDS; kind++) {
        for (struct slab *slab = mine[kind].slabs, *next; slab; slab = next) {
            next = slab->next;
            UNPOISON(slab->memory, SLAB_UNITS * unit_sizes[kind]);
            munmap(slab->memory, SLAB_UNITS * unit_sizes[kind]);
            free(slab);
        }
        free(mine[kind].cold);
        memset(&mine[kind], 0, sizeof mine[kind]);
    }
}

static void make_key(void)
{
    pthread_key_create(&at_thread_end, free_caches);
}

/* ---- units --------------------------------------------------------------------------------- */

/* Room to remember every unit, so that giving one back cannot fail. */
static int reserve_cold(struct cache *cache)
{
    size_t capacity = cache->capacity * 2 + SLAB_UNITS;

    if (cache->total + SLAB_UNITS <= cache->capacity)
        return 0;
    void **cold = realloc(cache->cold, capacity * sizeof *cold);
    if (!cold)
        return -1;
    cache->cold = cold;
    cache->capacity = capacity;
    return 0;
}

static int add_slab(struct cache *cache, size_t size)
{
    struct slab *slab = malloc(sizeof *slab);
    size_t bytes = SLAB_UNITS * size;

    pthread_once(&once, make_key);
    pthread_setspecific(at_thread_end, caches);
    if (!slab || reserve_cold(cache) < 0)
        goto fail;
    slab->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab->memory == MAP_FAILED)
        goto fail;
    madvise(slab->memory, bytes, MADV_NOHUGEPAGE);
    slab->next = cache->slabs;
    cache->slabs = slab;
    cache->total += SLAB_UNITS;
    cache->fresh = SLAB_UNITS;
    return 0;

fail:
    free(slab);
    errno = ENOMEM;
    return -1;
}

static void *get_unit(struct cache *cache, size_t size)
{
    if (cache->cold_count)
        return cache->cold[--cache->cold_count];
    if (!cache->fresh && add_slab(cache, size) < 0)
        return NULL;
    return cache->slabs->memory + (SLAB_UNITS - cache->fresh--) * size;
}

static void cool_unit(struct cache *cache, void *unit, size_t size)
{
    int error = errno;

    madvise(unit, size, MADV_DONTNEED);
    errno = error;
    cache->cold[cache->cold_count++] = unit;
}

/* ---- pages that blocks share ------------------------------------------------------------------ */

static void link_page(struct cache *cache, struct page *page)
{
    page->previous = NULL;
    page->next = cache->partial;
    if (page->next)
        page->next->previous = page;
    cache->partial = page;
}

static void unlink_page(struct cache *cache, struct page *page)
{
    if (page->previous)
        page->previous->next = page->next;
    else
        cache->partial = page->next;
    if (page->next)
        page->next->previous = page->previous;
}

static void *get_share(struct cache *cache)
{
    struct page *page = cache->partial;

    if (!page) {
        page = get_unit(cache, PAGE);
        if (!page)
            return NULL;
        page->idle = ALL_IDLE;
        link_page(cache, page);
    }
    unsigned index = (unsigned)__builtin_ctz(page->idle);
    page->idle &= page->idle - 1;
    if (!page->idle)
        unlink_page(cache, page);
    return (char *)page + PAGE_HEADER + index * BLOCK_EXCHANGE_SIZE;
}

static void put_share(struct cache *cache, void *block)
{
    size_t offset = (uintptr_t)block % PAGE;
    struct page *page = (struct page *)(void *)((char *)block - offset);

    if (!page->idle)
        link_page(cache, page);
    page->idle |= 1U << (offset - PAGE_HEADER) / BLOCK_EXCHANGE_SIZE;
    if (page->idle != ALL_IDLE)
        return;
    unlink_page(cache, page);
    cool_unit(cache, page, PAGE);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static bool is_share(enum block_kind kind)
{
    return kind == BLOCK_EXCHANGE;
}

__attribute__((noinline, cold)) static void *get_slowly(enum block_kind kind)
{
    struct cache *cache = &caches[kind];

    return is_share(kind) ? get_share(cache) : get_unit(cache, unit_sizes[kind]);
}

void *block_get(enum block_kind kind)
{
    struct cache *cache = &caches[kind];
    void *block = cache->hot_count ? cache->hot[--cache->hot_count] : get_slowly(kind);

    if (block) {
        UNPOISON(block, sizes[kind]);
        SPOIL(block, sizes[kind]);
    }
    return block;
}

__attribute__((noinline, cold)) static void put_slowly(enum block_kind kind, void *block)
{
    if (is_share(kind))
        put_share(&caches[kind], block);
    else
        cool_unit(&caches[kind], block, unit_sizes[kind]);
}

void block_put(enum block_kind kind, void *block)
{
    struct cache *cache = &caches[kind];

    if (!block)
        return;
    POISON(block, sizes[kind]);
    if (cache->hot_count < HOT)
        cache->hot[cache->hot_count++] = block;
    else
        put_slowly(kind, block);
}

size_t block_count_out(enum block_kind kind)
{
    const struct cache *cache = &caches[kind];
    size_t units = cache->total - cache->fresh - cache->cold_count, idle = 0;

    for (const struct page *page = cache->partial; page; page = page->next)
        idle += (size_t)__builtin_popcount(page->idle);
    return units * (is_share(kind) ? SHARERS : 1) - idle - cache->hot_count;
}

size_t block_count_hot(enum block_kind kind)
{
    return caches[kind].hot_count;
}
