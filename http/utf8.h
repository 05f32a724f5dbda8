/* UTF-8: RFC 3629. */
#ifndef CRESS_HTTP_UTF8_H
#define CRESS_HTTP_UTF8_H

#include <cress/str.h>

/* Bytes of the character that data begins with; 0: it is none. len is at least 1. */
size_t utf8_char(const char *data, size_t len);
bool utf8_is_valid(cress_str text);

#endif
