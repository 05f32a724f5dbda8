/* Two greenlets sit in cress_select for two seconds, and a third works meanwhile:
 * all of it takes two seconds, not four.
 *
 * With select(2) itself the first would have kept the whole thread for its wait.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static cress_seconds start;

static void *poll_nothing(void *unused)
{
    (void)unused;
    printf("Started Polling: at %1.1f seconds\n", cress_now() - start);
    if (cress_select(0, NULL, NULL, NULL, 2) < 0)
        return cress_fail(errno);
    printf("Ended Polling: at %1.1f seconds\n", cress_now() - start);
    return NULL;
}

static void *work(void *unused)
{
    (void)unused;
    printf("Hey lets do some stuff while the greenlets poll, at %1.1f seconds\n",
           cress_now() - start);
    cress_sleep(1);
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    start = cress_now();
    cress_greenlet *all[] = {
        cress_spawn(poll_nothing, NULL),
        cress_spawn(poll_nothing, NULL),
        cress_spawn(work, NULL),
    };
    int result = cress_joinall(all, 3, CRESS_FOREVER);

    for (size_t i = 0; i < 3; i++)
        cress_release(all[i]);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
