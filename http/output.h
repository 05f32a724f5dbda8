/* Collected output and its way into the stream. */
#ifndef CRESS_HTTP_OUTPUT_H
#define CRESS_HTTP_OUTPUT_H

#include "exchange.h"

enum { OUTPUT_SIZE = BLOCK_OUTPUT_SIZE };

/* output_begin, where nothing is collected; and [waits] where there is no room. */
char *output_begin_block(struct http_exchange *x);
char *output_make_room(struct http_exchange *x, size_t room);

/* [waits] Where `room` bytes (at most OUTPUT_SIZE) can be written; then tell how many
 * were, by output_end. NULL: ENOMEM, or as output_flush. */
static inline char *output_begin(struct http_exchange *x, size_t room)
{
    if (!x->out)
        return output_begin_block(x);
    return OUTPUT_SIZE - x->out_end >= room ? x->out + x->out_end : output_make_room(x, room);
}

static inline void output_end(struct http_exchange *x, const char *end)
{
    x->out_end = (size_t)(end - x->out);
}

static inline size_t output_pending(const struct http_exchange *x)
{
    return x->out_end - x->out_start;
}

/* [waits] Hands over what was collected. -1: EPIPE (the client left, or the message was
 * cut before), ETIMEDOUT, ECANCELED, EBUSY (another greenlet is at it). */
int output_flush(struct http_exchange *x);
/* The same at an answer's end, behind which others get their turn anyway. is_last: nothing but the
 * connection's end follows, and both may leave together. */
int output_flush_answer(struct http_exchange *x, bool is_last);
/* [waits] What was collected, then `data`, without copying, then `tail`. On failure the
 * message is cut. */
int output_send(struct http_exchange *x, const void *data, size_t len, const char *tail);
/* [waits] As cress_stream_writev, behind what is collected. -1: as output_flush, or EAGAIN; after
 * other errors nothing more goes out. */
ssize_t output_writev(struct http_exchange *x, const struct iovec *iov, int count, int flags);
/* [waits] Up to len bytes of a file, by the stream's own way if it has one. How many, at
 * least one; 0: the file ends; -1: nothing. */
ssize_t output_send_file(struct http_exchange *x, int fd, off_t offset, size_t len);
/* What goes out at once; the rest stays collected. */
void output_push(struct http_exchange *x);

#endif
