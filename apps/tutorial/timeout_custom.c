/* A limit of five seconds over a sleep of ten, that fails with an error of the
 * caller's choice.
 *
 * cress_timeout_expired tells this limit from an outer one and from a kill: only
 * this one becomes TOO_LONG, the others pass through as they are.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOO_LONG ETIME

static int sleep_within(cress_seconds limit_span, cress_seconds span)
{
    cress_timeout limit;

    cress_timeout_start(&limit, limit_span);
    int result = cress_sleep(span);
    cress_timeout_close(&limit);
    if (result < 0 && cress_timeout_expired(&limit))
        errno = TOO_LONG;
    return result;
}

static void *program(void *unused)
{
    (void)unused;
    cress_seconds start = cress_now();

    if (sleep_within(5, 10) == 0)
        return NULL;
    if (errno != TOO_LONG)
        return cress_fail(errno);
    printf("Too long: %s at %.1f seconds\n", strerror(errno), cress_now() - start);
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
