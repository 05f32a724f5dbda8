/* Programs that use a primitive from many greenlets at once, with limits, kills and a
 * close at moments that a seed decides, and assert what must hold in whatever order the
 * greenlets run: no item, place or lock is lost, doubled or kept by somebody who left.
 *
 * Each is called in a greenlet with a `const uint64_t *` seed, leaves nothing behind,
 * and returns NULL; a failed assertion ends the program.
 */
#ifndef CRESS_TEST_STRESS_H
#define CRESS_TEST_STRESS_H

#include <cress/greenlet.h>

void *stress_queue(void *seed);
void *stress_lifo_queue(void *seed);
void *stress_priority_queue(void *seed);
void *stress_channel(void *seed);
void *stress_semaphore(void *seed);
void *stress_rlock(void *seed);
void *stress_condition(void *seed);
void *stress_rwlock(void *seed);

/* For a plain test, outside hubs: fn under many seeds, in the usual order of events and
 * in one that the seed shuffles. */
void stress_seeds(cress_fn *fn);

/* The next number of a stream that starts with any seed; one below limit; and a
 * timeout or span: often none, sometimes short, sometimes as long as it takes. */
uint64_t stress_random(uint64_t *random);
unsigned stress_below(uint64_t *random, unsigned limit);
cress_seconds stress_span(uint64_t *random);
cress_seconds stress_timeout(uint64_t *random);
/* [waits] A crew of greenlets: some are killed on the way, all are joined and released. */
void stress_crew(cress_greenlet *crew[], unsigned count, uint64_t *random);

#endif
