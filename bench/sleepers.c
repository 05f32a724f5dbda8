/* A crowd asleep: how many greenlets, each on a guarded stack of its own, one process
 * holds, and what each costs.
 *
 *     sleepers [--mprotect] [--on event|queue|sleep] [COUNT]
 *
 * Spawns COUNT greenlets (a million) that all wait at the same time, looks at the
 * process, and joins them. They wait half an hour for an event, or for a queue's item, or just
 * sleep. --mprotect guards stacks as kernels before 6.13 must.
 */
#include <cress/cress.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What they wait on, and how all are woken. */
struct bed {
    const char *name;
    int (*lie)(void);
    int (*wake)(void);
};

static struct crowd {
    size_t count, awake;
    cress_greenlet **greenlets;
    const struct bed *bed;
    cress_event wake_up;
    cress_queue queue;
} crowd = { .count = 1000000 };

static double clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* VmRSS and the like, in bytes. */
static size_t status_of(const char *field)
{
    FILE *status = fopen("/proc/self/status", "r");
    size_t kilobytes = 0, len = strlen(field);
    char line[256];

    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, field, len) == 0 && line[len] == ':')
            kilobytes = strtoul(line + len + 1, NULL, 10);
    if (status)
        fclose(status);
    return kilobytes * 1024;
}

static size_t count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;
    int c;

    while (maps && (c = getc(maps)) != EOF)
        lines += c == '\n';
    if (maps)
        fclose(maps);
    return lines;
}

static int await_event(void)
{
    return cress_event_wait(&crowd.wake_up, CRESS_FOREVER);
}

static int set_event(void)
{
    cress_event_set(&crowd.wake_up);
    return 0;
}

static int await_item(void)
{
    void *item;

    return cress_queue_get(&crowd.queue, &item, CRESS_FOREVER);
}

static int put_items(void)
{
    for (size_t i = 0; i < crowd.count; i++)
        if (cress_queue_put(&crowd.queue, &crowd, CRESS_FOREVER) < 0)
            return -1;
    return 0;
}

static int sleep_long(void)
{
    return cress_sleep(3600.0);
}

static int kill_all(void)
{
    return cress_killall(crowd.greenlets, crowd.count, CRESS_FOREVER);
}

static const struct bed beds[] = {
    { "event", await_event, set_event },
    { "queue", await_item, put_items },
    { "sleep", sleep_long, kill_all },
};

static const struct bed *find_bed(const char *name)
{
    for (size_t i = 0; i < sizeof beds / sizeof beds[0]; i++)
        if (strcmp(beds[i].name, name) == 0)
            return &beds[i];
    return NULL;
}

/* Half an hour, or until everybody has been looked at. */
static void *lie_down(void *arg)
{
    cress_timeout t;

    crowd.awake++;
    cress_timeout_start(&t, 1800.0);
    int result = crowd.bed->lie();
    cress_timeout_close(&t);
    return result == 0 ? arg : cress_fail(errno);
}

static bool spawn_all(void)
{
    for (size_t i = 0; i < crowd.count; i++) {
        crowd.greenlets[i] = cress_spawn(lie_down, NULL);
        if (!crowd.greenlets[i]) {
            fprintf(stderr, "sleepers: greenlet %zu: %s\n", i, strerror(errno));
            return false;
        }
    }
    while (crowd.awake < crowd.count)
        if (cress_sleep(0) < 0)
            return false;
    return true;
}

static void report(const char *what, double seconds)
{
    printf("%-24s %8.2f s, %6.0f ns each\n", what, seconds, seconds * 1e9 / (double)crowd.count);
}

static void *run(void *arg)
{
    size_t bytes = status_of("VmRSS"), mappings = count_mappings();
    double start = clock_now();

    if (!spawn_all())
        return cress_fail(errno);
    report("spawned, all asleep", clock_now() - start);
    printf("%-24s %8zu more\n", "mappings", count_mappings() - mappings);
    printf("%-24s %8zu bytes each, %.2f GiB in all\n", "resident",
           (status_of("VmRSS") - bytes) / crowd.count, (double)status_of("VmRSS") / (1 << 30));
    printf("%-24s %8zu bytes each\n", "page tables", status_of("VmPTE") / crowd.count);

    start = clock_now();
    if (crowd.bed->wake() < 0 || cress_joinall(crowd.greenlets, crowd.count, CRESS_FOREVER) < 0)
        return cress_fail(errno);
    report("woken, all joined", clock_now() - start);
    for (size_t i = 0; i < crowd.count; i++)
        cress_release(crowd.greenlets[i]);
    return arg;
}

static void parse(int argc, char *argv[], cress_hub_options *options)
{
    crowd.bed = &beds[0];
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--mprotect") == 0)
            options->guard_by_mprotect = true;
        else if (strcmp(argv[i], "--on") == 0)
            crowd.bed = ++i < argc ? find_bed(argv[i]) : NULL;
        else
            crowd.count = strtoul(argv[i], NULL, 10);
}

int main(int argc, char *argv[])
{
    cress_hub_options options = { 0 };

    parse(argc, argv, &options);
    crowd.greenlets = crowd.count > 0 ? calloc(crowd.count, sizeof(cress_greenlet *)) : NULL;
    if (!crowd.greenlets || !crowd.bed) {
        fprintf(stderr, "usage: sleepers [--mprotect] [--on event|queue|sleep] [COUNT]\n");
        free(crowd.greenlets);
        return 2;
    }
    if (cress_run_with(&options, run, NULL) < 0)
        perror("sleepers");
    free(crowd.greenlets);
    return 0;
}
