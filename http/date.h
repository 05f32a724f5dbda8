/* The text of dates. */
#ifndef CRESS_HTTP_DATE_H
#define CRESS_HTTP_DATE_H

#include <time.h>

enum { DATE_LEN = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), DATE_LEN bytes and a NUL. */
void date_format(char to[DATE_LEN + 1], time_t time);

#endif
