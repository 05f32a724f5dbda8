/* A value that arrives later: one greenlet sets it after three seconds, another
 * waits for it. A second one brings an error instead of a value.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cress_async_result greeting, refusal;

static void *setter(void *unused)
{
    (void)unused;
    if (cress_sleep(3) < 0)
        return cress_fail(errno);
    cress_async_result_set(&greeting, "Hello!");
    cress_async_result_fail(&refusal, ECONNREFUSED);
    return NULL;
}

static void *waiter(void *unused)
{
    void *value;

    (void)unused;
    if (cress_async_result_get(&greeting, &value, CRESS_FOREVER) < 0)
        return cress_fail(errno);
    puts(value);
    if (cress_async_result_get(&refusal, &value, CRESS_FOREVER) < 0)
        fprintf(stderr, "cress_async_result_get: %s\n", strerror(errno));
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    cress_greenlet *both[] = { cress_spawn(setter, NULL), cress_spawn(waiter, NULL) };
    int result = cress_joinall(both, 2, CRESS_FOREVER);

    for (size_t i = 0; i < 2; i++)
        cress_release(both[i]);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
