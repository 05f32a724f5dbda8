/* What http1.c needs of a response, beyond <cress/response.h>. */
#ifndef CRESS_HTTP_RESPONSE_H
#define CRESS_HTTP_RESPONSE_H

#include "exchange.h"

/* [waits] Completes the framing after the app returned 0: what it did wrong, or NULL. */
const char *response_complete(cress_response *res);

/* [waits] Answers with an error page if no byte is out yet; else cuts the message, so that
 * the client sees that it is not whole: false.
 * extra: whole field lines ("Retry-After: 1\r\n"), or "". */
bool response_error(cress_response *res, int status, cress_str extra);

/* Will the connection close behind this response? */
bool response_closes(const struct http_exchange *x);

#endif
