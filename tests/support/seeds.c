#include "seeds.h"

#include "../../greenlet/misuse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ThreadSanitizer takes its time with each stack. */
#ifdef __SANITIZE_THREAD__
enum { USUAL_SEEDS = 20, REPEATED = 3 };
#else
enum { USUAL_SEEDS = 500, REPEATED = 20 };
#endif
enum { SEEDS_PER_CHILD = 1000 };

static const struct scenario *current;

_Noreturn void seeds_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s: seed %" PRIu64 ": %s does not hold\n", file, line, current->name,
            cress_simulation_seed(), condition);
    abort();
}

unsigned pick(unsigned limit)
{
    return (unsigned)cress_simulation_random(limit);
}

bool coin(void)
{
    return pick(2);
}

unsigned pick_between(unsigned least, unsigned most)
{
    return least + pick(most - least + 1);
}

cress_seconds pick_span(void)
{
    switch (pick(4)) {
    case 0:
        return 0;
    case 1:
        return 0.0001 * pick(10);
    default:
        return pick(5);
    }
}

cress_seconds pick_timeout(void)
{
    return pick(4) == 0 ? CRESS_FOREVER : pick_span();
}

/* ---- crowds ------------------------------------------------------------------- */

cress_greenlet *crowd_spawn(struct crowd *crowd, cress_fn *fn, void *arg)
{
    check(crowd->count < CROWD_MAX);
    cress_greenlet *g = pick(4) ? cress_spawn(fn, arg) : cress_spawn_later(pick_span(), fn, arg);
    check(g);
    return crowd->members[crowd->count++] = g;
}

void crowd_harass(struct crowd *crowd, unsigned kills)
{
    while (kills-- > 0) {
        check(cress_sleep(pick_span()) == 0);
        cress_cancel(crowd->members[pick(crowd->count)]);
    }
}

void crowd_join(struct crowd *crowd)
{
    check(cress_joinall(crowd->members, crowd->count, 86400) == 0);
    for (unsigned i = 0; i < crowd->count; i++) {
        check(cress_ready(crowd->members[i]));
        cress_release(crowd->members[i]);
    }
    crowd->count = 0;
}

/* ---- runs ------------------------------------------------------------------------ */

static void *run_scenario(void *unused)
{
    cress_hub_stats stats;

    (void)unused;
    current->run();
    cress_get_hub_stats(&stats);
    check(stats.greenlets == 1); /* everybody has ended */
    return NULL;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The same seed again is the same run. */
static int repeat(const cress_simulation_options *options)
{
    uint64_t digests[2];

    for (int i = 0; i < 2; i++) {
        if (cress_simulate_with(options, run_scenario, NULL) < 0)
            return -1;
        digests[i] = cress_simulation_digest();
    }
    if (digests[0] == digests[1])
        return 0;
    fprintf(stderr, "%s: seed %" PRIu64 " gives two different runs\n", current->name,
            options->seed);
    return -1;
}

struct wanted {
    uint64_t first, seeds, per_child;
};

static int run(const struct scenario *scenario, const struct wanted *wanted)
{
    cress_simulation_options options = {
        .seed = wanted->first,
        .fault_rate = scenario->fault_rate,
        .reset_rate = scenario->reset_rate,
        .seeds_per_child = wanted->per_child,
    };
    double started = now();

    current = scenario;
    for (uint64_t i = 0; i < REPEATED && i < wanted->seeds; i++, options.seed++)
        if (repeat(&options) < 0)
            return -1;
    options.seed = wanted->first;
    if (cress_simulate_seeds_with(&options, wanted->seeds, run_scenario, NULL, NULL) < 0)
        return -1;
    printf("%-24s %8" PRIu64 " seeds %8.2f s\n", scenario->name, wanted->seeds, now() - started);
    return 0;
}

static bool is_wanted(const char *name, char *names[])
{
    if (!names[0])
        return true;
    for (; names[0]; names++)
        if (strcmp(name, names[0]) == 0)
            return true;
    return false;
}

static char **read_options(char *argv[], struct wanted *wanted)
{
    char **at = argv + 1;

    for (; *at && strncmp(*at, "--", 2) == 0 && at[1]; at += 2) {
        uint64_t number = strtoull(at[1], NULL, 0);
        if (strcmp(*at, "--seeds") == 0)
            wanted->seeds = number;
        else if (strcmp(*at, "--first") == 0)
            wanted->first = number;
        else
            break;
        wanted->per_child = wanted->seeds > 1 ? SEEDS_PER_CHILD : 0;
    }
    return at;
}

int seeds_main(int argc, char *argv[], const struct scenario *scenarios, size_t count)
{
    struct wanted wanted = { .first = 1, .seeds = USUAL_SEEDS };
    char **names = read_options(argv, &wanted);
    int status = EXIT_SUCCESS;
    bool found = false;

    (void)argc;
    misuse_set_stops(true); /* misuse is a bug of the scenario's, or of ours */
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(scenarios[i].name, names))
            continue;
        found = true;
        if (run(&scenarios[i], &wanted) < 0) {
            fprintf(stderr, "scenario %s failed\n", scenarios[i].name);
            status = EXIT_FAILURE;
        }
    }
    if (!found)
        fprintf(stderr, "no such scenario\n");
    return found ? status : EXIT_FAILURE;
}
