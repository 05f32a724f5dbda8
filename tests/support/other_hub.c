#include "other_hub.h"

#include "hub_test.h"

#include <pthread.h>

struct call {
    cress_fn *fn;
    void *arg;
};

static void *run(void *arg)
{
    const struct call *call = arg;

    assert_ok(run_virtual(call->fn, call->arg));
    return NULL;
}

void run_in_other_hub(cress_fn *fn, void *arg)
{
    struct call call = { fn, arg };
    pthread_t thread;

    assert_ok(pthread_create(&thread, NULL, run, &call));
    assert_ok(pthread_join(thread, NULL));
}
