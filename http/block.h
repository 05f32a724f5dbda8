/* Fixed blocks of memory for requests in flight, cached per thread. */
#ifndef CRESS_HTTP_BLOCK_H
#define CRESS_HTTP_BLOCK_H

#include <stddef.h>

enum block_kind {
    BLOCK_EXCHANGE, /* a quarter of a page: an exchange; a head, or a piece of an arena */
    BLOCK_INPUT,    /* 8 KiB: received bytes, or a piece of an arena */
    BLOCK_OUTPUT,   /* 16 KiB: collected output */
};

enum {
    BLOCK_EXCHANGE_SIZE = 1008,
    BLOCK_INPUT_SIZE = 8 << 10,
    BLOCK_OUTPUT_SIZE = 16 << 10,
};

/* Aligned for anything, not zeroed; the one put back last comes first. NULL: ENOMEM. */
void *block_get(enum block_kind kind);
/* NULL is fine. Keeps errno. */
void block_put(enum block_kind kind, void *block);

/* For tests: how many are out, and how many stand ready with their memory. */
size_t block_count_out(enum block_kind kind);
size_t block_count_hot(enum block_kind kind);

#endif
