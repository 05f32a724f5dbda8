/* What http1.c and response.c need of a request's body, beyond <cress/environ.h>. */
#ifndef CRESS_HTTP_INPUT_H
#define CRESS_HTTP_INPUT_H

#include "exchange.h"

enum { INPUT_MAX_DRAIN = 64 << 10 };

/* The same for a body that has not ended. */
bool input_blocks_next_request(const struct http_exchange *x);
/* Is so much of the body unread that no further request will be read behind it? */
static inline bool input_blocks_next(const struct http_exchange *x)
{
    return !x->input.ended && input_blocks_next_request(x);
}
/* [waits] The same, whatever the client was told, before a change of protocol. -1: EMSGSIZE (it is
 * too much), or as cress_input_read. */
int input_skip(struct http_exchange *x);
/* [waits] Reads and drops the rest; false: it is too much or does not come. */
bool input_drain(struct http_exchange *x);

#endif
