/* Zstandard: RFC 8878. A window of 256 KiB bounds what a body under way takes, here and in the
 * client. */
#include "coding.h"

#include <zstd.h>

enum { WINDOW_BITS = 18 };

static void *create(int level)
{
    ZSTD_CCtx *state = ZSTD_createCCtx();

    if (!state)
        return NULL;
    ZSTD_CCtx_setParameter(state, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(state, ZSTD_c_windowLog, WINDOW_BITS);
    return state;
}

static void destroy(void *state)
{
    ZSTD_freeCCtx(state);
}

static bool reset(void *state)
{
    return !ZSTD_isError(ZSTD_CCtx_reset(state, ZSTD_reset_session_only));
}

static int run(void *state, enum coding_step step, struct coding_io *io)
{
    static const ZSTD_EndDirective directives[] = { ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end };
    ZSTD_inBuffer in = { io->in, io->in_len, 0 };
    ZSTD_outBuffer out = { io->out, io->out_len, 0 };
    size_t left = ZSTD_compressStream2(state, &out, &in, directives[step]);

    io->in += in.pos;
    io->in_len -= in.pos;
    io->out += out.pos;
    io->out_len -= out.pos;
    if (ZSTD_isError(left))
        return -1;
    return io->in_len == 0 && (step == CODING_TAKE || left == 0);
}

const struct coding coding_zstd = {
    .name = "zstd",
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .run = run,
};
