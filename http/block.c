/* What a request needs while it is in flight lives in blocks of two fixed sizes. A
 * thread keeps those that were given back, newest first, because their memory is in
 * the processor's caches; a warm request therefore allocates nothing.
 *
 * Blocks are carved from mappings that are not given back one by one. Instead, of
 * the free blocks only HOT keep their pages; the pages of others are returned to the
 * kernel, and only their addresses are remembered, in `cold`. After a peak, memory
 * falls to what the cache may hold. */
#define _GNU_SOURCE /* memory mappings */
#include "block.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
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
#else
#define POISON(block, size) ((void)(block), (void)(size))
#define UNPOISON(block, size) ((void)(block), (void)(size))
#endif

enum {
    KINDS = 2,
    SLAB_BLOCKS = 64,
    HOT = 512,
};

struct slab {
    struct slab *next;
    char *memory;
};

struct cache {
    size_t hot_count, cold_count, out;
    size_t fresh;           /* blocks of the newest slab that were never used */
    size_t total, capacity; /* blocks in all slabs; room in cold */
    struct slab *slabs;
    void **cold;
    void *hot[HOT];
};

static const size_t sizes[KINDS] = { BLOCK_EXCHANGE_SIZE, BLOCK_OUTPUT_SIZE };
static _Thread_local struct cache *caches; /* KINDS of them */
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void destroy_caches(void *arg)
{
    struct cache *mine = arg;

    for (int kind = 0; kind < KINDS; kind++) {
        for (struct slab *slab = mine[kind].slabs, *next; slab; slab = next) {
            next = slab->next;
            UNPOISON(slab->memory, SLAB_BLOCKS * sizes[kind]);
            munmap(slab->memory, SLAB_BLOCKS * sizes[kind]);
            free(slab);
        }
        free(mine[kind].cold);
    }
    free(mine);
    caches = NULL;
}

static void make_key(void)
{
    pthread_key_create(&at_thread_end, destroy_caches);
}

static struct cache *create_caches(void)
{
    pthread_once(&once, make_key);
    caches = calloc(KINDS, sizeof *caches);
    if (caches)
        pthread_setspecific(at_thread_end, caches);
    return caches;
}

/* Room to remember every block, so that giving one back cannot fail. */
static int reserve_cold(struct cache *cache)
{
    size_t capacity = cache->capacity * 2 + SLAB_BLOCKS;

    if (cache->total + SLAB_BLOCKS <= cache->capacity)
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
    size_t bytes = SLAB_BLOCKS * size;

    if (!slab || reserve_cold(cache) < 0)
        goto fail;
    slab->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab->memory == MAP_FAILED)
        goto fail;
    madvise(slab->memory, bytes, MADV_NOHUGEPAGE);
    slab->next = cache->slabs;
    cache->slabs = slab;
    cache->total += SLAB_BLOCKS;
    cache->fresh = SLAB_BLOCKS;
    return 0;

fail:
    free(slab);
    errno = ENOMEM;
    return -1;
}

static void *get_unused(struct cache *cache, size_t size)
{
    if (cache->cold_count)
        return cache->cold[--cache->cold_count];
    if (!cache->fresh && add_slab(cache, size) < 0)
        return NULL;
    return cache->slabs->memory + (SLAB_BLOCKS - cache->fresh--) * size;
}

__attribute__((noinline)) static void *get_slowly(enum block_kind kind)
{
    struct cache *cache = caches ? caches : create_caches();

    if (!cache)
        return NULL;
    void *block = get_unused(&cache[kind], sizes[kind]);
    if (!block)
        return NULL;
    UNPOISON(block, sizes[kind]);
    cache[kind].out++;
    return block;
}

void *block_get(enum block_kind kind)
{
    struct cache *mine = caches;

    if (!mine || !mine[kind].hot_count)
        return get_slowly(kind);
    void *block = mine[kind].hot[--mine[kind].hot_count];
    UNPOISON(block, sizes[kind]);
    mine[kind].out++;
    return block;
}

__attribute__((noinline)) static void cool(struct cache *cache, void *block, size_t size)
{
    int error = errno;

    madvise(block, size, MADV_DONTNEED);
    errno = error;
    cache->cold[cache->cold_count++] = block;
}

void block_put(enum block_kind kind, void *block)
{
    if (!block)
        return;
    struct cache *cache = caches + kind;
    cache->out--;
    if (cache->hot_count < HOT)
        cache->hot[cache->hot_count++] = block;
    else
        cool(cache, block, sizes[kind]);
    POISON(block, sizes[kind]);
}

size_t block_count_out(enum block_kind kind)
{
    return caches ? caches[kind].out : 0;
}

size_t block_count_hot(enum block_kind kind)
{
    return caches ? caches[kind].hot_count : 0;
}
