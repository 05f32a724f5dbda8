/* What is left of a vector that is read or written bit by bit.
 *
 * The caller's vector is only read: a piece that is partly done is described in
 * `parts`, with those that follow it.
 */
#ifndef CRESS_IOV_H
#define CRESS_IOV_H

#include <stddef.h>
#include <sys/uio.h>

enum { IOV_PARTS = 16 };

struct iov_cursor {
    const struct iovec *iov;
    size_t count, skip; /* bytes of iov[0] that are done */
    size_t left;        /* bytes in all */
    struct iovec parts[IOV_PARTS];
};

void iov_init(struct iov_cursor *c, const struct iovec *iov, size_t count);
/* So many more bytes are done. */
void iov_advance(struct iov_cursor *c, size_t done);
/* What comes next, at most `limit` bytes: the caller's own vector while it is whole. */
const struct iovec *iov_load(struct iov_cursor *c, size_t limit, size_t *ret_count);

#endif
