/* Pools under simulation: never more members than places, every item runs once, a map
 * that has returned has nothing running, and all places come back. */
#include "seeds.h"

#include <cress/pool.h>
#include <cress/timeout.h>

enum { ITEMS = 6, MAPPERS = 3 };

static cress_pool pool;
static unsigned running; /* of what runs in a place of its own */

struct item {
    unsigned runs;
    bool under_way, fails;
    int *map_open; /* of the map that it belongs to */
};

static void *run_item(void *arg)
{
    struct item *item = arg;

    check(item->runs++ == 0 && *item->map_open);
    item->under_way = true;
    check(++running <= pool.max || pool.max == 0);
    if (coin())
        cress_sleep(pick_span());
    running--;
    check(*item->map_open);
    item->under_way = false;
    return NULL;
}

static void check_map(struct item *items, unsigned count, int outcome, int error)
{
    for (unsigned i = 0; i < count; i++) {
        check(!items[i].under_way && items[i].runs <= 1);
        if (outcome == 0)
            check(items[i].runs == 1);
    }
    if (outcome < 0)
        check(error == ECANCELED || error == ETIMEDOUT);
}

/* A map over the pool; its items' places are all that run. */
static void map_once(void)
{
    struct item items[ITEMS];
    unsigned count = pick(ITEMS + 1);
    int open = 1;

    for (unsigned i = 0; i < count; i++)
        items[i] = (struct item){ .map_open = &open };

    int outcome = cress_pool_map(&pool, run_item, items, count, sizeof items[0]);
    int error = errno;

    open = 0;
    check_map(items, count, outcome, error);
}

static void *map_from_outside(void *unused)
{
    cress_timeout limit;

    (void)unused;
    cress_timeout_start(&limit, pick_timeout());
    map_once();
    cress_timeout_close(&limit);
    map_once();
    return NULL;
}

static void end_pool(void)
{
    check(cress_pool_join(&pool, 86400) == 0);
    check(running == 0 && cress_pool_size(&pool) == 0);
    check(pool.count == 0 && !pool.members);
    check(!pool.slots.first && !pool.empty.first && pool.kills == 0);
}

static void begin(void)
{
    pool = (cress_pool)CRESS_POOL_INIT(pick(4));
    running = 0;
}

static void map(void)
{
    struct crowd crowd = { .count = 0 };

    begin();
    for (unsigned i = pick_between(1, MAPPERS); i > 0; i--)
        crowd_spawn(&crowd, map_from_outside, NULL);
    crowd_harass(&crowd, pick(4));
    crowd_join(&crowd);
    end_pool();
}

/* Members that map over their own pool do nothing else meanwhile. */
static void *map_from_inside(void *unused)
{
    (void)unused;
    check(++running <= pool.max || pool.max == 0);
    if (coin())
        cress_sleep(pick_span());
    running--; /* while it waits, an item runs in its place */
    map_once();
    return NULL;
}

static void map_own_pool(void)
{
    begin();
    for (unsigned i = pick_between(1, MAPPERS); i > 0; i--)
        check(cress_pool_spawn(&pool, map_from_inside, NULL) == 0);
    if (coin())
        check(cress_sleep(pick_span()) == 0);
    if (pick(3) == 0)
        check(cress_pool_kill(&pool, 86400) == 0);
    end_pool();
}

/* ---- members ------------------------------------------------------------------------ */

static unsigned spawned, left;

static void *be_member(void *unused)
{
    (void)unused;
    check(++running <= pool.max || pool.max == 0);
    cress_sleep(pick_span());
    running--;
    return NULL;
}

static void count_end(cress_greenlet *g, void *arg)
{
    if (arg) /* it came while the pool was being killed */
        check(cress_was_killed(g));
    left++;
}

static void *spawn_some(void *unused)
{
    (void)unused;
    for (unsigned i = pick_between(1, 6); i > 0; i--) {
        cress_greenlet *g = cress_pool_spawn_greenlet(&pool, be_member, NULL);
        if (!g) {
            check(errno == ECANCELED);
            return NULL;
        }
        spawned++;
        check(cress_link(g, count_end, pool.kills ? &pool : NULL) == 0);
        if (pick(4) == 0)
            cress_cancel(g);
        cress_release(g);
        if (coin() && cress_sleep(pick_span()) < 0)
            return NULL;
    }
    return NULL;
}

static void *join_or_kill(void *unused)
{
    (void)unused;
    int outcome =
        coin() ? cress_pool_join(&pool, pick_timeout()) : cress_pool_kill(&pool, pick_timeout());
    if (outcome < 0)
        check(errno == ETIMEDOUT || errno == ECANCELED);
    return NULL;
}

static void members(void)
{
    struct crowd crowd = { .count = 0 };

    begin();
    spawned = left = 0;
    for (unsigned i = pick_between(1, 5); i > 0; i--)
        crowd_spawn(&crowd, spawn_some, NULL);
    for (unsigned i = pick(4); i > 0; i--)
        crowd_spawn(&crowd, join_or_kill, NULL);
    crowd_harass(&crowd, pick(5));
    crowd_join(&crowd);
    end_pool();
    check(spawned == left);
}

/* ---- members that use their own pool ----------------------------------------------------- */

static void *give_back(void *arg)
{
    be_member(NULL);
    return arg;
}

/* While a member does nothing but wait for its call, that runs in its place. */
static void apply_once(void)
{
    void *value = NULL;

    running--;
    int outcome = cress_pool_apply(&pool, give_back, &value, &value), error = errno;
    check(++running <= pool.max || pool.max == 0);
    if (outcome == 0)
        check(value == &value);
    else
        check(error == ECANCELED || error == ETIMEDOUT);
}

static void spawn_once(void)
{
    cress_seconds timeout = pick_span();

    if (cress_pool_spawn_timeout(&pool, be_member, NULL, timeout) == 0)
        spawned++;
    else
        check(errno == ECANCELED || errno == ETIMEDOUT);
}

static void wait_once(void)
{
    if (cress_pool_wait_available(&pool, pick_span()) < 0)
        check(errno == ECANCELED || errno == ETIMEDOUT);
}

static void *use_own_pool(void *unused)
{
    cress_timeout limit;

    (void)unused;
    check(++running <= pool.max || pool.max == 0);
    cress_timeout_start(&limit, pick_timeout());
    for (unsigned steps = pick_between(1, 6); steps > 0 && cress_check() == 0; steps--) {
        switch (pick(4)) {
        case 0:
            spawn_once();
            break;
        case 1:
            wait_once();
            break;
        case 2:
            cress_sleep(pick_span());
            break;
        default:
            apply_once();
        }
    }
    cress_timeout_close(&limit);
    running--;
    return NULL;
}

static void verbs(void)
{
    struct crowd crowd = { .count = 0 };

    begin();
    for (unsigned i = pick_between(1, 6); i > 0; i--) {
        cress_greenlet *g = cress_pool_spawn_greenlet(&pool, use_own_pool, NULL);
        check(g && cress_pool_size(&pool) > 0);
        crowd.members[crowd.count++] = g;
    }
    crowd_harass(&crowd, pick(5));
    if (coin())
        check(cress_pool_kill_one(&pool, crowd.members[pick(crowd.count)], 86400) == 0);
    crowd_join(&crowd);
    end_pool();
}

/* Members that spawn into their own pool, without a limit: who would close the circle
 * is told, and all come to an end. */
static void *spawn_more(void *arg)
{
    intptr_t generations = (intptr_t)arg;

    check(cress_pool_size(&pool) <= pool.max);
    for (unsigned i = pick(3); i > 0 && generations > 0; i--) {
        int outcome = pick(3) ? cress_pool_spawn(&pool, spawn_more, (void *)(generations - 1))
                              : cress_pool_wait_available(&pool, CRESS_FOREVER);
        check(outcome == 0 || errno == EDEADLK || errno == ECANCELED);
        if (coin())
            cress_sleep(pick_span());
    }
    return NULL;
}

static void circle(void)
{
    struct crowd crowd = { .count = 0 };

    pool = (cress_pool)CRESS_POOL_INIT(pick_between(1, 4));
    running = 0;
    for (unsigned i = pick_between(1, 6); i > 0; i--)
        crowd.members[crowd.count++] =
            cress_pool_spawn_greenlet(&pool, spawn_more, (void *)(intptr_t)pick_between(1, 4));
    crowd_harass(&crowd, pick(3));
    crowd_join(&crowd);
    end_pool();
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "map", map, 0, 0 },         { "map_own_pool", map_own_pool, 0, 0 },
        { "members", members, 0, 0 }, { "verbs", verbs, 0, 0 },
        { "circle", circle, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
