/* See iov.h. */
#include "iov.h"

void iov_advance(struct iov_cursor *c, size_t done)
{
    c->left -= done;
    done += c->skip;
    while (c->count > 0 && done >= c->iov->iov_len) {
        done -= c->iov->iov_len;
        c->iov++;
        c->count--;
    }
    c->skip = done;
}

void iov_init(struct iov_cursor *c, const struct iovec *iov, size_t count)
{
    c->iov = iov;
    c->count = count;
    c->skip = c->left = 0;
    for (size_t i = 0; i < count; i++)
        c->left += iov[i].iov_len;
}

const struct iovec *iov_load(struct iov_cursor *c, size_t limit, size_t *ret_count)
{
    size_t count = 0, skip = c->skip;

    *ret_count = c->count;
    if (skip == 0 && c->left <= limit)
        return c->iov;
    for (; count < IOV_PARTS && count < c->count && limit > 0; count++, skip = 0) {
        size_t len = c->iov[count].iov_len - skip;

        if (len > limit)
            len = limit;
        c->parts[count] = (struct iovec){ c->iov[count].iov_base, len };
        if (skip > 0)
            c->parts[count].iov_base = (char *)c->parts[count].iov_base + skip;
        limit -= len;
    }
    *ret_count = count;
    return c->parts;
}
