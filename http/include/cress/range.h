/* <cress/range.h>: requests for parts of a representation.
 *
 * RFC 9110 14. Ranges are of bytes; a file is answered with all that belongs to it
 * by cress_respond_file (<cress/file.h>).
 */
#ifndef CRESS_RANGE_H
#define CRESS_RANGE_H

#include <cress/conditional.h>

/* `len` bytes, at least one, from `offset`. */
typedef struct cress_byte_range {
    uint64_t offset, len;
} cress_byte_range;

enum { CRESS_MAX_RANGES = 64 };

/* What of a representation of `size` bytes is asked for, as the client ordered it.
 *   0   all of it, with 200: there is no Range, or it does not count (a method other than
 *       GET, a unit other than bytes, an If-Range that is not `current` any more), or it
 *       asks for more than there is (ranges that overlap, more than CRESS_MAX_RANGES), or
 *       there are no bytes to take a part of
 *   n   so many ranges, with 206: one with Content-Range, several as multipart/byteranges
 *   -1  ERANGE: none can be had; EINVAL: it is malformed: answer either with 416 and
 *       "Content-Range: bytes * /SIZE" (without the blank). ENOMEM
 * `current` may be NULL: then every If-Range fails, and all of it is sent. */
CRESS_API int cress_range(const cress_environ *env, const cress_validators *current, uint64_t size,
                          cress_byte_range ranges[CRESS_MAX_RANGES]);

/* The same of the field's value alone. */
CRESS_API int cress_parse_range(cress_str field, uint64_t size,
                                cress_byte_range ranges[CRESS_MAX_RANGES]);

#endif
