/* How a call reports an error: errno, and -1. */
#ifndef CRESS_HTTP_FAIL_H
#define CRESS_HTTP_FAIL_H

#include <errno.h>

static inline int fail_with(int error)
{
    errno = error;
    return -1;
}

#endif
