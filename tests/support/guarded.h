/* Bytes that end where the mapping ends: reading one too many crashes. */
#ifndef GUARDED_H
#define GUARDED_H

#include <stddef.h>

/* A copy of len bytes of data, followed by a page that cannot be touched. */
char *guarded_copy(const void *data, size_t len);
void guarded_free(char *copy, size_t len);

#endif
