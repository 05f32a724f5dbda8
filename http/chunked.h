/* Chunked bodies and their trailer fields. */
#ifndef CRESS_HTTP_CHUNKED_H
#define CRESS_HTTP_CHUNKED_H

#include "exchange.h"

/* The body that follows the head is chunked. */
void chunked_begin(struct http_exchange *x);
/* Goes on with a chunked body, from x->pos, as far as the next piece of content, which is
 * then x->input.span, or its end, or all that is there. -1: EBADMSG (malformed), EMSGSIZE
 * (a chunk that says it will go beyond the limit), ENOMEM. */
int chunked_decode(struct http_exchange *x);

/* RFC 9110 6.5.1: a field that means something for how a message is read, where it goes
 * or who sent it, and has none of that meaning behind it. */
bool chunked_is_no_trailer(cress_str name);

#endif
