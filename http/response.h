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

/* ---- what lies behind hooks: see hook.c ------------------------------------------------ */

/* May len more bytes be written, apart from the Content-Length? */
int response_check_open(cress_response *res, size_t len);
/* The app gave more than its Content-Length: -1. */
int response_too_long(cress_response *res);
/* -1 with EIO: the file is known to be shorter. */
int response_check_file(int fd, off_t offset, size_t len);
/* Is the body dropped: the answer to HEAD, 304? */
bool response_drops_body(const cress_response *res);
/* [waits] Framed, into the output. len is not 0. */
int response_write_body(cress_response *res, const void *data, size_t len);
int response_send_body(cress_response *res, int fd, off_t offset, size_t len);
/* [waits] cress_response_send_file of what is known to be there. */
int response_send_known_file(cress_response *res, int fd, off_t offset, size_t len);
int response_flush_body(cress_response *res);

/* [waits] 101: the connection speaks this protocol from now on. Errors as
 * cress_start_response, and of the write. */
int response_switch(cress_response *res, const char *protocol, const cress_header headers[]);

#endif
