/* Two greenlets take turns: cress_sleep(0) lets whoever is ready run once.
 *
 * Spawning does not switch: both wait in the ready queue, in the order in which
 * they were spawned, until the spawning greenlet waits for them.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void *foo(void *unused)
{
    (void)unused;
    puts("Running in foo");
    cress_sleep(0);
    puts("Explicit context switch to foo again");
    return NULL;
}

static void *bar(void *unused)
{
    (void)unused;
    puts("Explicit context to bar");
    cress_sleep(0);
    puts("Implicit context switch back to bar");
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    cress_greenlet *both[] = { cress_spawn(foo, NULL), cress_spawn(bar, NULL) };
    int result = cress_joinall(both, 2, CRESS_FOREVER);

    for (size_t i = 0; i < 2; i++)
        cress_release(both[i]);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
