/* <cress/async_result.h>: a value, or an error, that arrives once.
 *
 * gevent: gevent.event.AsyncResult.
 */
#ifndef CRESS_ASYNC_RESULT_H
#define CRESS_ASYNC_RESULT_H

#include <cress/waitable.h>

typedef struct cress_async_result {
    cress_waitable waitable; /* ready: set or failed */
    void *value;
    int error;
} cress_async_result;

/* clang-format off */
#define CRESS_ASYNC_RESULT_INIT { .value = NULL }
/* clang-format on */

/* Set again: later readers see the new value, as in gevent. */
CRESS_API void cress_async_result_set(cress_async_result *r, void *value);
/* error > 0 is what cress_async_result_get then reports. gevent: set_exception. */
CRESS_API void cress_async_result_fail(cress_async_result *r, int error);
CRESS_API bool cress_async_result_ready(const cress_async_result *r);
/* [waits] The value (ret_value may be NULL); or -1 with the error it failed by. */
CRESS_API int cress_async_result_get(cress_async_result *r, void **ret_value,
                                     cress_seconds timeout);

#endif
