/* A signal ends a greenlet that would have slept for a thousand seconds, and with
 * it the program.
 *
 * A signal's handler is a greenlet like any other: it may call everything, here
 * cress_cancel, which makes the sleeper's wait fail with ECANCELED. Clean-up is
 * what stands behind that wait.
 */
#include <cress/cress.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *run_forever(void *unused)
{
    (void)unused;
    if (cress_sleep(1000) < 0) {
        printf("Woken early: %s\n", strerror(errno));
        return cress_fail(errno);
    }
    return NULL;
}

static void *stop(void *sleeper)
{
    cress_cancel(sleeper);
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    cress_greenlet *sleeper = cress_spawn(run_forever, NULL);
    if (!sleeper || cress_signal(SIGQUIT, stop, sleeper) < 0)
        return cress_fail(errno);

    printf("Asleep. To wake it: kill -QUIT %d\n", (int)getpid());
    fflush(stdout);
    int result = cress_join(sleeper, CRESS_FOREVER);
    cress_signal(SIGQUIT, NULL, NULL);
    cress_release(sleeper);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
