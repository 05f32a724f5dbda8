/* Scenarios: random work on a primitive, under random orders and faults, with what
 * must hold in any of them.
 *
 *     test_seeds_queue                            a few hundred seeds of each scenario
 *     test_seeds_queue --seeds 10000              more, in child processes
 *     test_seeds_queue --seeds 1 --first 4711 bounded       one of them, here
 *
 * A scenario is a function that runs as the first greenlet of a simulation. It draws
 * its work with pick, and says what must hold with check.
 */
#ifndef CRESS_TEST_SEEDS_H
#define CRESS_TEST_SEEDS_H

#include <cress/greenlet.h>
#include <cress/simulation.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scenario {
    const char *name;
    void (*run)(void);
    double fault_rate, reset_rate; /* 0: the usual ones */
};

int seeds_main(int argc, char *argv[], const struct scenario *scenarios, size_t count);

/* Ends the program, naming scenario and seed. */
#define check(condition) ((condition) ? (void)0 : seeds_failed(#condition, __FILE__, __LINE__))
_Noreturn void seeds_failed(const char *condition, const char *file, int line);

/* From 0 to below limit. */
unsigned pick(unsigned limit);
bool coin(void);
/* From least to most, both included. */
unsigned pick_between(unsigned least, unsigned most);
/* Short and long spans that often coincide; sometimes 0, seldom for ever. */
cress_seconds pick_span(void);
cress_seconds pick_timeout(void);

/* Greenlets that are spawned, killed and waited for together. */
enum { CROWD_MAX = 24 };
struct crowd {
    cress_greenlet *members[CROWD_MAX];
    unsigned count;
};
cress_greenlet *crowd_spawn(struct crowd *crowd, cress_fn *fn, void *arg);
/* Kills so many of them, at random moments; some may be hit twice, or have ended. */
void crowd_harass(struct crowd *crowd, unsigned kills);
/* Waits for all; they end within a day. */
void crowd_join(struct crowd *crowd);

#endif
