/* <cress/compress.h>: a layer that compresses responses. RFC 9110 8.4, 12.5.3.
 *
 *     static cress_compress_options compression = { .level = 5 };
 *
 *     static const cress_layer layers[] = {
 *         { cress_compress, &compression },
 *         { application, NULL },
 *         { NULL, NULL },
 *     };
 *
 * The coding is the one that the client prefers, of those that this build has: zstd, br, gzip, in this
 * order where the client has no preference. What was written leaves the compressor whenever
 * the application flushes or waits, so that events and long polls are not held back.
 *
 * Left as they are: bodies below `min_size` (but not one that was flushed, or waited in, before it
 * came to that), bodies that have a Content-Encoding, a Content-Range or a
 * digest, those of types that do not get smaller (images, archives, video ...), and those with Cache-Control:
 * no-transform. What could be compressed says Vary: Accept-Encoding, whether it was or not.
 * What is compressed loses its Content-Length, unless it is small, and Accept-Ranges, and its ETag
 * becomes a weak one; the answers to HEAD say the same and compress nothing.
 *
 * Secrets beside text that a client chooses can be guessed from the length of what is compressed
 * (BREACH): leave such responses alone by Cache-Control: no-transform.
 */
#ifndef CRESS_COMPRESS_H
#define CRESS_COMPRESS_H

#include <cress/middleware.h>

/* Zeroed: the defaults. Used by requests of one hub (one thread) only. */
typedef struct cress_compress_options {
    int level;       /* 1 (fast) to 9 (small; brotli takes 20 ms for 64 KiB there); 0: 5 */
    size_t min_size; /* bytes; 0: 256; at most 3000 */
    /* What else is compressed besides text, JSON, XML, JavaScript, WebAssembly, SVG and fonts that are
     * not: media types, up to NULL. */
    const char *const *types;
    /* The library's: compressors that wait to be used again, each of some hundred KiB. */
    struct cress_compressor *idle;
    unsigned idle_count;
} cress_compress_options;

/* Layer. self: cress_compress_options, or NULL. */
CRESS_API cress_app cress_compress;

/* Frees what was kept to be used again; when no request is under way. */
CRESS_API void cress_compress_finish(cress_compress_options *options);

#endif
