/* Status codes and their lines. */
#ifndef CRESS_HTTP_STATUS_H
#define CRESS_HTTP_STATUS_H

#include <cress/str.h>

/* "HTTP/1.1 200 OK\r\n" of a code that has a reason phrase of its own; else absent. */
cress_str status_line(int status);

/* Responses that have no content: RFC 9110 6.4.1, 15.3.6. */
static inline bool status_is_bodiless(int status)
{
    return status == 204 || status == 304 || status < 200;
}

#endif
