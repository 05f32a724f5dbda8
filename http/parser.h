/* Request heads, by llhttp and our own refusals. */
#ifndef CRESS_HTTP_PARSER_H
#define CRESS_HTTP_PARSER_H

#include "exchange.h"

enum {
    PARSE_MORE = 0, /* all that is there was understood; the head is not whole */
    PARSE_DONE = 1, /* x->env and x->input are filled in */
    /* others: the status to refuse the request with */
};

/* Goes on with the bytes from x->pos to x->fill. */
int parser_head(struct http_exchange *x);

/* RFC 9110 7.2, RFC 3986 3.2: a host, perhaps with a port. */
bool parser_is_host(cress_str host);

#endif
