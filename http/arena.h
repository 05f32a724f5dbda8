/* Memory that is freed all at once. */
#ifndef CRESS_HTTP_ARENA_H
#define CRESS_HTTP_ARENA_H

#include <stddef.h>

/* Zeroed: empty, without memory. */
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
/* Frees everything and begins again with `size` bytes at `first`, which stay the
 * caller's. */
void arena_reset(struct arena *arena, void *first, size_t size);

#endif
