/* A boss hands out 19 tasks through a queue that holds three: he waits whenever
 * the workers are behind, and they leave when nothing came for a second.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 19, WORKERS = 3 };

static cress_queue tasks = CRESS_QUEUE_INIT(3);
static int numbers[TASKS + 1];

static int assign(int first, int last, int iteration)
{
    for (int i = first; i <= last; i++) {
        numbers[i] = i;
        printf("Assigned work %d in iteration %d\n", i, iteration);
        if (cress_queue_put(&tasks, &numbers[i], CRESS_FOREVER) < 0)
            return -1;
    }
    printf("Assigned all work in iteration %d\n", iteration);
    return 0;
}

static void *boss(void *unused)
{
    (void)unused;
    if (assign(1, 9, 1) < 0 || assign(10, TASKS, 2) < 0)
        return cress_fail(errno);
    return NULL;
}

static void *worker(void *name)
{
    void *task;

    while (cress_queue_get(&tasks, &task, 1) == 0) {
        printf("Worker %s got task %d\n", (char *)name, *(int *)task);
        if (cress_sleep(0) < 0)
            break;
    }
    if (errno != ETIMEDOUT)
        return cress_fail(errno);
    puts("Quitting time!");
    return NULL;
}

static void *program(void *unused)
{
    static char *const names[WORKERS] = { "steve", "john", "bob" };
    cress_greenlet *all[1 + WORKERS] = { cress_spawn(boss, NULL) };

    (void)unused;
    for (size_t i = 0; i < WORKERS; i++)
        all[1 + i] = cress_spawn(worker, names[i]);
    int result = cress_joinall(all, 1 + WORKERS, CRESS_FOREVER);

    for (size_t i = 0; i <= WORKERS; i++)
        cress_release(all[i]);
    cress_queue_finish(&tasks);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
