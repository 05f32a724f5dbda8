/* An event with a value: who waited reads it when it runs. */
#include <cress/async_result.h>

#include "waiter.h"

#include <assert.h>
#include <errno.h>

static void settle(cress_async_result *r, void *value, int error)
{
    if (waiter_is_foreign(&r->waitable)) {
        waiter_refuse_foreign(__builtin_return_address(0));
        return;
    }
    r->value = value;
    r->error = error;
    r->waitable.ready = true;
    waiter_wake_all(&r->waitable, 0);
}

void cress_async_result_set(cress_async_result *r, void *value)
{
    settle(r, value, 0);
}

void cress_async_result_fail(cress_async_result *r, int error)
{
    assert(error > 0);
    settle(r, NULL, error);
}

bool cress_async_result_ready(const cress_async_result *r)
{
    return r->waitable.ready;
}

static int read_result(const cress_async_result *r, void **ret_value)
{
    if (r->error) {
        errno = r->error;
        return -1;
    }
    if (ret_value)
        *ret_value = r->value;
    return 0;
}

int cress_async_result_get(cress_async_result *r, void **ret_value, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (!r->waitable.ready && waiter_wait(&r->waitable, &waiter, timeout, "async result") < 0)
        return -1;
    return read_result(r, ret_value);
}
