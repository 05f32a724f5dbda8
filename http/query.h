/* Percent-encoding, queries and forms. */
#ifndef CRESS_HTTP_QUERY_H
#define CRESS_HTTP_QUERY_H

#include "arena.h"

#include <cress/str.h>

/* RFC 3986 2.1. Decodes from into to, which may be the same and has room for as many
 * bytes. The length; -1 for a malformed escape or an encoded zero byte. */
ssize_t query_decode_path(char *to, const char *from, size_t len);

/* The first value of a name among name=value pairs that are joined by '&' and encoded
 * as forms are; decoded, in the arena. Absent, or (errno ENOMEM) out of memory: data
 * == NULL. */
cress_str query_find(struct arena *arena, cress_str pairs, const char *name);

/* Takes the first pair off the rest, decoded, in the arena. 1; 0: there is none; -1: ENOMEM. */
int query_next(struct arena *arena, cress_str *rest, cress_str *ret_name, cress_str *ret_value);

#endif
