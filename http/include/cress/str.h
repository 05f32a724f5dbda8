/* <cress/str.h>: bytes with a length.
 *
 * data[len] is '\0', so data is a C string too (one that ends early if the bytes
 * hold a zero). Absent: data == NULL. A cress_str owns nothing.
 */
#ifndef CRESS_STR_H
#define CRESS_STR_H

#include <cress/api.h>

#include <string.h>
#include <strings.h>

typedef struct cress_str {
    const char *data;
    size_t len;
} cress_str;

#define CRESS_STR(literal) ((cress_str){ "" literal, sizeof(literal) - 1 })

static inline bool cress_str_equal(cress_str a, const char *b)
{
    return a.data && strlen(b) == a.len && memcmp(a.data, b, a.len) == 0;
}

static inline bool cress_str_equal_nocase(cress_str a, const char *b)
{
    return a.data && strlen(b) == a.len && strncasecmp(a.data, b, a.len) == 0;
}

#endif
