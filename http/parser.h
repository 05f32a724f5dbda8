/* Request heads: where their parts lie. */
#ifndef CRESS_HTTP_PARSER_H
#define CRESS_HTTP_PARSER_H

#include "exchange.h"

enum {
    PARSE_MORE = 0, /* all that is there was understood; the head is not whole */
    PARSE_DONE = 1, /* x->env and x->input are filled in */
    /* others: the status to refuse the request with */
};

/* Is a head under way? An empty line before it does not count. */
static inline bool parser_has_begun(const struct http_exchange *x)
{
    return x->state != 0;
}

/* Is one of the limits of heads less than small heads of the usual form may have? */
bool parser_is_narrow(const cress_http1_config *config);

/* Goes on with the bytes from x->pos to x->fill. */
int parser_head(struct http_exchange *x);

#endif
