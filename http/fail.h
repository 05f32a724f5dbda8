/* How a call reports an error: errno, and -1. And what keeps errors out of the way. */
#ifndef CRESS_HTTP_FAIL_H
#define CRESS_HTTP_FAIL_H

#include <errno.h>

/* Seldom called: not inlined, and the branch to it is not the straight one. */
#define COLD __attribute__((cold, noinline))
/* A step of every answer, apart only to be read. */
#define HOT inline __attribute__((always_inline))

static inline int fail_with(int error)
{
    errno = error;
    return -1;
}

#endif
