/* Ten tasks of random length, first in turn, then all at once.
 *
 * In turn they take as long as all of them together, at once as long as the
 * longest. Usage: tasks [SEED]
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 10 };

struct task {
    int number;
    cress_seconds length;
};

static void *run_task(void *arg)
{
    struct task *task = arg;

    if (cress_sleep(task->length) < 0)
        return cress_fail(errno);
    printf("Task %d done\n", task->number);
    return NULL;
}

static void run_in_turn(struct task tasks[])
{
    for (size_t i = 0; i < TASKS; i++)
        run_task(&tasks[i]);
}

static void run_at_once(struct task tasks[])
{
    cress_greenlet *greenlets[TASKS];

    for (size_t i = 0; i < TASKS; i++)
        greenlets[i] = cress_spawn(run_task, &tasks[i]);
    cress_joinall(greenlets, TASKS, CRESS_FOREVER);
    for (size_t i = 0; i < TASKS; i++)
        cress_release(greenlets[i]);
}

static void *program(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    struct task tasks[TASKS];
    cress_seconds sum = 0, longest = 0;

    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (struct task){ .number = i, .length = 0.01 * (rand_r(&seed) % 3) };
        sum += tasks[i].length;
        longest = fmax(longest, tasks[i].length);
    }

    cress_seconds start = cress_now();
    puts("Synchronous:");
    run_in_turn(tasks);
    cress_seconds middle = cress_now();
    puts("Asynchronous:");
    run_at_once(tasks);
    fprintf(stderr, "in turn %.0f ms (all of them: %.0f ms), at once %.0f ms (longest: %.0f ms)\n",
            1e3 * (middle - start), 1e3 * sum, 1e3 * (cress_now() - middle), 1e3 * longest);
    return NULL;
}

int main(int argc, char *argv[])
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;

    return cress_run(program, &seed) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
