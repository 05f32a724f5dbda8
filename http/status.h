/* Status codes and their lines. */
#ifndef CRESS_HTTP_STATUS_H
#define CRESS_HTTP_STATUS_H

#include <stdbool.h>

enum { STATUS_ROOM = 48 };

/* "HTTP/1.1 200 OK\r\n"; the end of it. Writes somewhere in STATUS_ROOM bytes at `to`. */
char *status_put_line(char *to, int status);

/* Responses that have no content: RFC 9110 6.4.1, 15.3.6. */
static inline bool status_is_bodiless(int status)
{
    return status == 204 || status == 304 || status < 200;
}

#endif
