#include "stress.h"

#include "hub_test.h"

#include <cress/simulation.h>

enum { SEEDS = 200 };

void stress_seeds(cress_fn *fn)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        assert_ok(run_virtual(fn, &seed));
        assert_ok(cress_simulate(seed, fn, &seed));
    }
}

/* splitmix64 */
uint64_t stress_random(uint64_t *random)
{
    uint64_t n = *random += 0x9e3779b97f4a7c15;

    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9;
    n = (n ^ (n >> 27)) * 0x94d049bb133111eb;
    return n ^ (n >> 31);
}

unsigned stress_below(uint64_t *random, unsigned limit)
{
    return (unsigned)(stress_random(random) % limit);
}

cress_seconds stress_span(uint64_t *random)
{
    return stress_below(random, 3) == 0 ? 0.001 * stress_below(random, 8) : 0;
}

cress_seconds stress_timeout(uint64_t *random)
{
    switch (stress_below(random, 4)) {
    case 0:
        return 0;
    case 1:
        return 0.001 * stress_below(random, 8);
    default:
        return CRESS_FOREVER;
    }
}

void stress_crew(cress_greenlet *crew[], unsigned count, uint64_t *random)
{
    for (unsigned kills = stress_below(random, count); kills > 0; kills--) {
        assert_ok(cress_sleep(stress_span(random)));
        cress_cancel(crew[stress_below(random, count)]);
    }
    assert_ok(cress_joinall(crew, count, CRESS_FOREVER));
    for (unsigned i = 0; i < count; i++)
        cress_release(crew[i]);
}
