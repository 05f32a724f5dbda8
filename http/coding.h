/* Content codings, each over its library. */
#ifndef CRESS_HTTP_CODING_H
#define CRESS_HTTP_CODING_H

#include <stdbool.h>
#include <stddef.h>

enum coding_step {
    CODING_TAKE,  /* until all input is taken */
    CODING_FLUSH, /* until what was taken can be decoded */
    CODING_END,   /* until the last byte */
};

/* What is still to be read, and where to write. */
struct coding_io {
    const char *in;
    size_t in_len;
    char *out;
    size_t out_len;
};

struct coding {
    const char *name;
    /* level: 1 to 9. NULL: out of memory. */
    void *(*create)(int level);
    void (*destroy)(void *state);
    /* For another body, at the same level; NULL: it cannot be used again. */
    bool (*reset)(void *state);
    /* 1: the step is done; 0: call again with more room; -1: out of memory. A step that was
     * begun is done before another one begins. */
    int (*run)(void *state, enum coding_step step, struct coding_io *io);
};

extern const struct coding coding_gzip, coding_brotli, coding_zstd;

#endif
