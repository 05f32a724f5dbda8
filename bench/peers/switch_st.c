/* What state-threads pays for a switch, and for starting a thread and joining it:
 * nanoseconds of CPU time. Printed as micro.c does. */
#include <st.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 5, MOST = 1000 };

static void *yield_often(void *arg)
{
    for (size_t left = *(size_t *)arg; left > 0; left--)
        st_usleep(0);
    return NULL;
}

static void *do_nothing(void *arg)
{
    return arg;
}

static st_thread_t spawn(void *(*fn)(void *), void *arg)
{
    st_thread_t thread = st_thread_create(fn, arg, 1, 0);

    if (!thread) {
        perror("st_thread_create");
        exit(1);
    }
    return thread;
}

static void yield_between(size_t threads, size_t count)
{
    st_thread_t all[MOST];
    size_t each = count / threads;

    for (size_t i = 0; i < threads; i++)
        all[i] = spawn(yield_often, &each);
    for (size_t i = 0; i < threads; i++)
        st_thread_join(all[i], NULL);
}

static void yield_two(size_t count)
{
    yield_between(2, count);
}

static void yield_crowd(size_t count)
{
    yield_between(MOST, count);
}

static void spawn_and_join(size_t count)
{
    while (count-- > 0)
        st_thread_join(spawn(do_nothing, NULL), NULL);
}

static double timed(void (*run)(size_t), size_t count)
{
    struct timespec a, b;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    run(count);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const char *name, const char *what, void (*run)(size_t))
{
    size_t count = 16000;
    double ns[RUNS];

    while (timed(run, count) < 200e6)
        count *= 2;
    for (int i = 0; i < RUNS; i++)
        ns[i] = timed(run, count) / (double)count;
    qsort(ns, RUNS, sizeof ns[0], compare);
    printf("%-16s %9.1f %9.1f  %s\n", name, ns[RUNS / 2], ns[0], what);
}

int main(void)
{
    if (st_init() < 0) {
        perror("st_init");
        return 1;
    }
    measure("st-switch-2", "state-threads: st_usleep(0), two threads", yield_two);
    measure("st-switch-1000", "state-threads: the same, 1,000 threads", yield_crowd);
    measure("st-spawn-join", "state-threads: create and join a thread", spawn_and_join);
    return 0;
}
