/* A boss puts 24 tasks into a queue; then three workers take turns at it.
 *
 * A queue carries pointers, here to the elements of an array. Without a bound
 * putting never waits.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 24, WORKERS = 3 };

static cress_queue tasks = CRESS_QUEUE_INIT(0);
static int numbers[TASKS];

static void *boss(void *unused)
{
    (void)unused;
    for (int i = 0; i < TASKS; i++) {
        numbers[i] = i + 1;
        if (cress_queue_put(&tasks, &numbers[i], CRESS_FOREVER) < 0)
            return cress_fail(errno);
    }
    return NULL;
}

static void *worker(void *name)
{
    while (!cress_queue_empty(&tasks)) {
        void *task;

        if (cress_queue_get(&tasks, &task, CRESS_FOREVER) < 0)
            return cress_fail(errno);
        printf("Worker %s got task %d\n", (char *)name, *(int *)task);
        if (cress_sleep(0) < 0)
            return cress_fail(errno);
    }
    puts("Quitting time!");
    return NULL;
}

static void *program(void *unused)
{
    static char *const names[WORKERS] = { "steve", "john", "nancy" };
    cress_greenlet *workers[WORKERS];

    (void)unused;
    cress_greenlet *first = cress_spawn(boss, NULL);
    cress_joinall(&first, 1, CRESS_FOREVER);
    cress_release(first);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = cress_spawn(worker, names[i]);
    int result = cress_joinall(workers, WORKERS, CRESS_FOREVER);

    for (size_t i = 0; i < WORKERS; i++)
        cress_release(workers[i]);
    cress_queue_finish(&tasks);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
