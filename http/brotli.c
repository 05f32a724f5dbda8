/* Brotli: RFC 7932. A window of 256 KiB bounds what a body under way takes, blocks of 64 KiB how
 * long one call does. */
#include "coding.h"

#include <brotli/encode.h>

enum { WINDOW_BITS = 18, BLOCK_BITS = 16 };

static void *create(int level)
{
    BrotliEncoderState *state = BrotliEncoderCreateInstance(NULL, NULL, NULL);

    if (!state)
        return NULL;
    BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, (uint32_t)level);
    BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, WINDOW_BITS);
    BrotliEncoderSetParameter(state, BROTLI_PARAM_LGBLOCK, BLOCK_BITS);
    return state;
}

static void destroy(void *state)
{
    BrotliEncoderDestroyInstance(state);
}

static int run(void *state, enum coding_step step, struct coding_io *io)
{
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS,
        BROTLI_OPERATION_FLUSH,
        BROTLI_OPERATION_FINISH,
    };
    const uint8_t *in = (const uint8_t *)io->in;
    uint8_t *out = (uint8_t *)io->out;
    BROTLI_BOOL done = BrotliEncoderCompressStream(state, operations[step], &io->in_len, &in,
                                                   &io->out_len, &out, NULL);

    io->in = (const char *)in;
    io->out = (char *)out;
    if (!done)
        return -1;
    if (io->in_len > 0 || BrotliEncoderHasMoreOutput(state))
        return 0;
    return step != CODING_END || BrotliEncoderIsFinished(state);
}

const struct coding coding_brotli = {
    .name = "br",
    .create = create,
    .destroy = destroy,
    .run = run,
};
