/* Three ways to wait for at most a second: a limit over whatever is called while
 * it is open, a call's own limit, and a function run under a limit.
 *
 * A limit ends the wait, not what is waited for: both greenlets go on and sleep
 * their two seconds out.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static cress_seconds start;

static void *nap(void *unused)
{
    (void)unused;
    return cress_sleep(2) < 0 ? NULL : "rested";
}

static void report(int thread)
{
    printf("Thread %d timed out\n", thread);
    fprintf(stderr, "at %.1f seconds\n", cress_now() - start);
}

static cress_greenlet *limit_over_join(void)
{
    cress_greenlet *g = cress_spawn(nap, NULL);
    cress_timeout limit;

    cress_timeout_start(&limit, 1);
    if (cress_join(g, CRESS_FOREVER) < 0 && cress_timeout_expired(&limit))
        report(1);
    cress_timeout_close(&limit);
    return g;
}

static cress_greenlet *limit_of_get(void)
{
    cress_greenlet *g = cress_spawn(nap, NULL);

    if (cress_get(g, NULL, 1) < 0 && errno == ETIMEDOUT)
        report(2);
    return g;
}

static void *program(void *unused)
{
    (void)unused;
    start = cress_now();
    cress_greenlet *first = limit_over_join();
    cress_greenlet *second = limit_of_get();
    if (!cress_with_timeout(1, nap, NULL, NULL))
        report(3);

    cress_greenlet *both[] = { first, second };
    if (cress_joinall(both, 2, CRESS_FOREVER) < 0)
        return cress_fail(errno);
    for (int i = 0; i < 2; i++) {
        fprintf(stderr, "thread %d has %s\n", i + 1, (char *)cress_value(both[i]));
        cress_release(both[i]);
    }
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
