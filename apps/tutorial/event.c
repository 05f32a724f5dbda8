/* One greenlet works for three seconds and then wakes all who wait for it.
 *
 * An event needs no making and no destroying. It wakes its waiters in the order
 * in which they came.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAITERS = 5 };

static cress_event done;

static void *setter(void *unused)
{
    (void)unused;
    puts("A: Hey wait for me, I have to do something");
    if (cress_sleep(3) < 0)
        return cress_fail(errno);
    puts("Ok, I'm done");
    cress_event_set(&done);
    return NULL;
}

static void *waiter(void *unused)
{
    (void)unused;
    puts("I'll wait for you");
    if (cress_event_wait(&done, CRESS_FOREVER) < 0)
        return cress_fail(errno);
    puts("It's about time");
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    cress_greenlet *all[1 + WAITERS] = { cress_spawn(setter, NULL) };
    for (size_t i = 1; i <= WAITERS; i++)
        all[i] = cress_spawn(waiter, NULL);

    int result = cress_joinall(all, 1 + WAITERS, CRESS_FOREVER);
    for (size_t i = 0; i <= WAITERS; i++)
        cress_release(all[i]);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
