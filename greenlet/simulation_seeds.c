/* One program under many seeds. A child process writes where it is into a page that
 * it shares with us, so that whatever it dies of is known by its seed. */
#include "simulation.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const cress_seconds DEFAULT_PATIENCE = 60;

/* Where a run of seeds is, or ended. */
struct progress {
    uint64_t seed;
    int error;
};

struct series {
    cress_simulation_options options;
    cress_fn *fn;
    void *arg;
};

static int report(const struct progress *at, const char *what)
{
    const char *faults = getenv("CRESS_FAULTS"), *resets = getenv("CRESS_RESETS");

    fprintf(stderr, "cress: failed with seed %" PRIu64 " (%s): run again with CRESS_SEED=%" PRIu64,
            at->seed, what, at->seed);
    if (faults && *faults)
        fprintf(stderr, " CRESS_FAULTS=%s", faults);
    if (resets && *resets)
        fprintf(stderr, " CRESS_RESETS=%s", resets);
    fputc('\n', stderr);
    errno = at->error;
    return -1;
}

static void set_alarm(cress_seconds span)
{
    struct itimerval when = { .it_value.tv_sec = (time_t)span };

    when.it_value.tv_usec = (suseconds_t)((span - floor(span)) * 1e6);
    setitimer(ITIMER_REAL, &when, NULL);
}

/* Stops at the first that fails, which `at` then tells. */
static int run_seeds(const struct series *series, uint64_t count, volatile struct progress *at,
                     cress_seconds patience)
{
    cress_simulation_options options = series->options;

    for (uint64_t i = 0; i < count; i++, options.seed++) {
        at->seed = options.seed;
        if (patience > 0)
            set_alarm(patience);
        if (cress_simulate_with(&options, series->fn, series->arg) < 0) {
            at->error = errno;
            return -1;
        }
    }
    return 0;
}

/* ---- in this process ------------------------------------------------------------- */

static int run_here(const struct series *series, uint64_t count, struct progress *at)
{
    if (run_seeds(series, count, at, 0) == 0)
        return 0;
    return report(at, strerror(at->error));
}

/* ---- in children -------------------------------------------------------------------- */

static int report_death(struct progress *at, int status)
{
    char what[64];

    if (at->error)
        return report(at, strerror(at->error));
    at->error = ECHILD;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return report(at, "did not end");
    if (WIFSIGNALED(status))
        return report(at, strsignal(WTERMSIG(status)));
    snprintf(what, sizeof what, "exit status %d", WEXITSTATUS(status));
    return report(at, what);
}

static void run_as_child(const struct series *series, uint64_t count, struct progress *at)
{
    cress_seconds patience = series->options.patience;

    signal(SIGALRM, SIG_DFL);
    int result = run_seeds(series, count, at, patience > 0 ? patience : DEFAULT_PATIENCE);
    fflush(NULL);
    _exit(result < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int run_in_child(const struct series *series, uint64_t count, struct progress *at)
{
    int status;

    *at = (struct progress){ .seed = series->options.seed };
    fflush(NULL); /* else the child would write it again */
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0)
        run_as_child(series, count, at);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status == 0 ? 0 : report_death(at, status);
}

static int run_in_children(struct series *series, uint64_t count, struct progress *ret_at)
{
    uint64_t batch = series->options.seeds_per_child;
    struct progress *at =
        mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int result = 0;

    if (at == MAP_FAILED)
        return -1;
    for (; count > 0 && result == 0; count -= batch, series->options.seed += batch) {
        if (batch > count)
            batch = count;
        result = run_in_child(series, batch, at);
    }
    *ret_at = *at;

    int saved = errno;

    munmap(at, sizeof *at);
    errno = saved;
    return result;
}

/* ---- both ---------------------------------------------------------------------------- */

int cress_simulate_seeds_with(const cress_simulation_options *options, uint64_t count, cress_fn *fn,
                              void *arg, uint64_t *ret_seed)
{
    struct series series = { *options, fn, arg };
    struct progress at = { 0 };
    int wanted = simulation_read_seed(&series.options.seed), result;

    if (wanted < 0)
        return -1;
    if (hub_current) {
        errno = EBUSY;
        return -1;
    }
    if (wanted || !options->seeds_per_child)
        result = run_here(&series, wanted ? 1 : count, &at);
    else
        result = run_in_children(&series, count, &at);
    if (result < 0 && ret_seed)
        *ret_seed = at.seed;
    return result;
}

int cress_simulate_seeds(uint64_t first, uint64_t count, cress_fn *fn, void *arg)
{
    return cress_simulate_seeds_with(&(cress_simulation_options){ .seed = first }, count, fn, arg,
                                     NULL);
}
