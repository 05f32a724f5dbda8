/* A request's own memory: handlers take and never free. It begins with a few hundred
 * bytes in the exchange, goes on in cached blocks, of which the first is a small one, and uses
 * malloc only for single pieces that are too large for a block. */
#include "arena.h"

#include "block.h"

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    alignas(max_align_t) struct arena_chunk *next;
    uint8_t source;
};

/* Of a chunk: the kind of a block, or else malloc. */
enum { HEAP = BLOCK_OUTPUT + 1 };

enum {
    SMALL = BLOCK_EXCHANGE_SIZE - sizeof(struct arena_chunk),
    LARGE = BLOCK_INPUT_SIZE / 2,
};

static void push(struct arena *arena, struct arena_chunk *chunk, uint8_t source)
{
    chunk->next = arena->chunks;
    chunk->source = source;
    arena->chunks = chunk;
}

static char *alloc_large(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct arena_chunk)) {
        errno = ENOMEM;
        return NULL;
    }
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        return NULL;
    push(arena, chunk, HEAP);
    return (char *)(chunk + 1);
}

static char *alloc_slow(struct arena *arena, size_t size)
{
    if (size >= LARGE)
        return alloc_large(arena, size);
    bool is_small = !arena->chunks && size <= SMALL;
    struct arena_chunk *chunk = block_get(is_small ? BLOCK_EXCHANGE : BLOCK_INPUT);
    if (!chunk)
        return NULL;
    push(arena, chunk, is_small ? BLOCK_EXCHANGE : BLOCK_INPUT);
    arena->at = (char *)(chunk + 1) + size;
    arena->end = (char *)chunk + (is_small ? BLOCK_EXCHANGE_SIZE : BLOCK_INPUT_SIZE);
    return (char *)(chunk + 1);
}

char *arena_alloc_text(struct arena *arena, size_t size)
{
    if (size > (size_t)(arena->end - arena->at))
        return alloc_slow(arena, size);
    char *memory = arena->at;
    arena->at += size;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t padding = -(uintptr_t)arena->at & (alignof(max_align_t) - 1);
    size_t room = (size_t)(arena->end - arena->at);

    if (size > room || padding > room - size)
        return alloc_slow(arena, size);
    char *memory = arena->at + padding;
    arena->at = memory + size;
    return memory;
}

char *arena_copy(struct arena *arena, const char *data, size_t len)
{
    char *copy = arena_alloc_text(arena, len + 1);

    if (copy) {
        memcpy(copy, data, len);
        copy[len] = '\0';
    }
    return copy;
}

void arena_free_chunks(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        if (chunk->source == HEAP)
            free(chunk);
        else
            block_put(chunk->source, chunk);
    }
    arena->chunks = NULL;
}
