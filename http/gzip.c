/* gzip by zlib: RFC 1952. About 270 KB for each body under way. */
#include "coding.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { WINDOW_BITS = 15, GZIP_HEADER = 16, MEMORY_LEVEL = 8 };

static void *create(int level)
{
    z_stream *z = calloc(1, sizeof *z);

    if (z && deflateInit2(z, level, Z_DEFLATED, WINDOW_BITS + GZIP_HEADER, MEMORY_LEVEL,
                          Z_DEFAULT_STRATEGY) == Z_OK)
        return z;
    free(z);
    return NULL;
}

static void destroy(void *state)
{
    deflateEnd(state);
    free(state);
}

static bool reset(void *state)
{
    return deflateReset(state) == Z_OK;
}

static uInt clamp(size_t len)
{
    return len < UINT_MAX ? (uInt)len : UINT_MAX;
}

static int run(void *state, enum coding_step step, struct coding_io *io)
{
    static const int flushes[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH };
    z_stream *z = state;
    uInt in = clamp(io->in_len), out = clamp(io->out_len);

    z->next_in = (Bytef *)(size_t)io->in;
    z->avail_in = in;
    z->next_out = (Bytef *)io->out;
    z->avail_out = out;
    int result = deflate(z, flushes[step]);
    io->in += in - z->avail_in;
    io->in_len -= in - z->avail_in;
    io->out += out - z->avail_out;
    io->out_len -= out - z->avail_out;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return -1;
    if (step == CODING_END)
        return result == Z_STREAM_END;
    return io->in_len == 0 && z->avail_out > 0;
}

const struct coding coding_gzip = {
    .name = "gzip",
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .run = run,
};
