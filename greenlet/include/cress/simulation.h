/* <cress/simulation.h>: the same program in another order, chosen by a number.
 *
 * A program of greenlets has one order of events in a test and another in
 * production. A simulation runs it in an order drawn from a seed:
 *
 *   - time is virtual: it stands while something can run, and jumps when nothing
 *     can. Deadlines are noticed a little late, so that close ones fall together,
 *     and time creeps on while others run;
 *   - any greenlet that is ready may be the next to run. So a sleep(0) need not let
 *     the others run, and those whose deadlines pass at once run in any order. Only
 *     what is promised holds: what a put, a release or an end hands over goes to
 *     whoever waited longest, and a link runs before those who wait for the end;
 *   - green I/O is disturbed at a chosen rate, as the kernel might disturb it: calls
 *     transfer less than they could, are interrupted (EINTR) or find nothing yet
 *     (EAGAIN). Both are answered inside cress; a program sees reads that are short,
 *     and DONTWAIT calls that fail. Connections are reset (ECONNRESET, EPIPE) only where
 *     that is asked for: no program can hide it;
 *   - cress_take_turns gives up its turn at random.
 *
 * The same seed gives the same run: nothing that decides depends on addresses or
 * on real time. That holds as long as the program itself is alone: it asks for
 * neither time nor randomness elsewhere (cress_now, cress_simulation_random), has
 * started from the same state, and whoever it talks to runs in the same hub, over
 * socketpairs, pipes or local sockets. What its threads and children do comes when it
 * comes, and until then time passes as it does for them; for other programs and
 * machines virtual time does not wait.
 *
 * Any program that calls cress_run can be simulated from outside:
 *   CRESS_SEED=4711     the seed: an integer
 *   CRESS_FAULTS=0.05   the rate of disturbed I/O calls, 0 to 0.9
 *   CRESS_RESETS=0.001  the rate of resets, 0 to 1
 * A value that is no such number makes cress_run fail with EINVAL.
 */
#ifndef CRESS_SIMULATION_H
#define CRESS_SIMULATION_H

#include <cress/hub.h>

/* Zeroed: seed 0, and the defaults. */
typedef struct cress_simulation_options {
    uint64_t seed;
    /* The share of I/O calls that is disturbed, at most 0.9. 0: CRESS_FAULTS, or 0.05
     * without it; less than 0: none. */
    double fault_rate;
    /* The share of calls on connected stream sockets that finds the connection reset:
     * what was on its way in is lost, and it is shut down both ways. 0: CRESS_RESETS, or
     * none without it; less than 0: none. */
    double reset_rate;
    /* How late a deadline may be noticed. 0: a millisecond; less than 0: never late, and
     * time does not creep. */
    cress_seconds lateness;
    /* For cress_simulate_seeds_with. 0: all seeds run in this process. Else each so many run in
     * a child process: a failed assertion, a crash, or a run that does not end costs only the
     * child, and its seed is named. The caller must be the process's only thread. */
    uint64_t seeds_per_child;
    /* And the real time that one seed may take in a child, by SIGALRM. 0: 60 s. */
    cress_seconds patience;
} cress_simulation_options;

/* cress_run in a simulation. 0; -1 as cress_run, or EDEADLK when the run came to a point
 * where it would have blocked for ever, even if fn returned well after that. */
CRESS_API int cress_simulate(uint64_t seed, cress_fn *fn, void *arg);
/* The same with all options. (For those of cress_hub_options as well: cress_run_with.) */
CRESS_API int cress_simulate_with(const cress_simulation_options *options, cress_fn *fn, void *arg);

/* Runs fn(arg) under the seeds first, first + 1 ... until one fails, which is named on stderr:
 *
 *     cress: failed with seed 4711 (Broken pipe): run again with CRESS_SEED=4711
 *
 * Nothing is printed otherwise. fn begins with a clean state each time. With CRESS_SEED in the
 * environment that seed alone runs, in this process: for the debugger. 0; -1: one failed, with its
 * errno. EBUSY: called inside a hub. */
CRESS_API int cress_simulate_seeds(uint64_t first, uint64_t count, cress_fn *fn, void *arg);
/* The same with all options, from options->seed. Stores the seed that failed, unless ret_seed
 * is NULL. Further errors: ECHILD, a child died or did not end; those of fork. */
CRESS_API int cress_simulate_seeds_with(const cress_simulation_options *options, uint64_t count,
                                        cress_fn *fn, void *arg, uint64_t *ret_seed);

/* Is this thread's hub a simulation? */
CRESS_API bool cress_simulating(void);
/* Its seed; 0: it is none. */
CRESS_API uint64_t cress_simulation_seed(void);
/* A number that stands for all that was decided so far (who ran, what time it was, what was
 * disturbed) in this thread's simulation; outside: in its last one. Equal runs have equal
 * ones. */
CRESS_API uint64_t cress_simulation_digest(void);
/* A number less than `below`, which is not 0: in a simulation from its seed, and the same whatever
 * the rates are; elsewhere from the kernel. */
CRESS_API uint64_t cress_simulation_random(uint64_t below);

#endif
