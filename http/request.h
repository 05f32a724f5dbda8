/* What a request's head means, once parser.c knows its parts. */
#ifndef CRESS_HTTP_REQUEST_H
#define CRESS_HTTP_REQUEST_H

#include "exchange.h"

/* Of a request line that is whole: 0, or the status to refuse it with. */
int request_take_method(struct http_exchange *x, cress_str method);

/* Of the head: PARSE_DONE, or a status. */
int request_finish(struct http_exchange *x);

#endif
