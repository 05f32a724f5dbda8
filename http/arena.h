/* Memory that is freed all at once. */
#ifndef CRESS_HTTP_ARENA_H
#define CRESS_HTTP_ARENA_H

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
