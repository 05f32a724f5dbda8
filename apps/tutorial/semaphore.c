/* At most two workers at a time hold a semaphore of two places.
 *
 * A released place goes straight to whoever has waited longest. Releasing more
 * than was acquired is misuse of a bounded semaphore: an error, or, in a debug build of
 * cress (CRESS_DEBUG=0 and 1 choose), the end of the program, which names the place.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cress_semaphore places = CRESS_BOUNDED_SEMAPHORE_INIT(2);

static void *work(void *arg)
{
    int worker = *(int *)arg;

    if (cress_semaphore_acquire(&places, CRESS_FOREVER) < 0)
        return cress_fail(errno);
    printf("Worker %d acquired semaphore\n", worker);
    int result = cress_sleep(0);
    cress_semaphore_release(&places);
    printf("Worker %d released semaphore\n", worker);
    return result < 0 ? cress_fail(errno) : NULL;
}

static void *program(void *unused)
{
    (void)unused;
    static cress_group group = CRESS_GROUP_INIT;
    int early[] = { 0, 1 }, late[] = { 3, 4, 5 };

    if (cress_pool_map(&group, work, early, 2, sizeof early[0]) < 0 ||
        cress_pool_map(&group, work, late, 3, sizeof late[0]) < 0)
        return cress_fail(errno);
    if (cress_semaphore_release(&places) < 0)
        fprintf(stderr, "one release too many: %s\n", strerror(errno));
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
