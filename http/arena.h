/* Memory that is freed all at once. */
#ifndef CRESS_HTTP_ARENA_H
#define CRESS_HTTP_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed: empty, without memory. One may begin with bytes of the owner's, from `at` to
 * `end`. */
struct arena {
    char *at, *end;
    struct arena_chunk *chunks; /* newest first */
};

/* Aligned for anything; NULL: ENOMEM. */
void *arena_alloc(struct arena *arena, size_t size);
/* Not aligned: for text. */
char *arena_alloc_text(struct arena *arena, size_t size);
/* Makes what was taken last as text longer, where it is; false: there is no room, or something was
 * taken since. */
static inline bool arena_extend_text(struct arena *arena, const char *text, size_t size,
                                     size_t wanted)
{
    if (arena->at != text + size || wanted - size > (size_t)(arena->end - arena->at))
        return false;
    arena->at += wanted - size;
    return true;
}

/* A NUL-terminated copy. */
char *arena_copy(struct arena *arena, const char *data, size_t len);
void arena_free_chunks(struct arena *arena);

/* Frees everything. */
static inline void arena_free(struct arena *arena)
{
    if (arena->chunks)
        arena_free_chunks(arena);
    arena->at = arena->end = NULL;
}

#endif
