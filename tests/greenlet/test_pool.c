#include "capture.h"
#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/imap.h>
#include <cress/pool.h>
#include <cress/timeout.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static cress_pool *the_pool;

static void *name_and_sleep(void *arg)
{
    trace("%s begins at %g", (char *)arg, cress_now());
    int result = cress_sleep(1);
    trace("%s ends: %d", (char *)arg, result);
    return NULL;
}

static void test_group_has_no_limit(void)
{
    cress_group group = CRESS_GROUP_INIT;

    assert_int_equal(cress_pool_free_count(&group), SIZE_MAX);
    assert_ok(cress_pool_join(&group, 0)); /* empty: nothing to wait for */
    for (int i = 0; i < 3; i++)
        assert_ok(cress_pool_spawn(&group, name_and_sleep, "x"));
    assert_int_equal(cress_pool_size(&group), 3);
    assert_false(cress_pool_full(&group));
    assert_errno(ETIMEDOUT, cress_pool_join(&group, 0.5));
    assert_ok(cress_pool_join(&group, CRESS_FOREVER));
    assert_time(1);
    assert_int_equal(cress_pool_size(&group), 0);
    assert_trace("x begins at 0\nx begins at 0\nx begins at 0\n"
                 "x ends: 0\nx ends: 0\nx ends: 0\n");
}

static void test_spawn_waits_for_a_place(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    assert_int_equal(cress_pool_free_count(&pool), 2);
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "b"));
    assert_true(cress_pool_full(&pool));
    assert_int_equal(cress_pool_free_count(&pool), 0);
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "c"));
    assert_time(1);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_time(2);
    assert_trace("a begins at 0\nb begins at 0\na ends: 0\nb ends: 0\nc begins at 1\nc ends: 0\n");
}

static void test_limit_while_waiting_for_a_place(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_timeout limit;

    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    cress_timeout_start(&limit, 0.5);
    assert_errno(ETIMEDOUT, cress_pool_spawn(&pool, name_and_sleep, "b"));
    cress_timeout_close(&limit);
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("a begins at 0\na ends: 0\n");
}

static void *spawn_in_pool(void *arg)
{
    int result = cress_pool_spawn(the_pool, name_and_sleep, arg);

    trace("spawn %s: %d", (char *)arg, result);
    return NULL;
}

static void test_places_go_in_order(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    spawn(spawn_in_pool, "b");
    spawn(spawn_in_pool, "c");

    cress_greenlet *killed = cress_spawn(spawn_in_pool, "d");

    spawn(spawn_in_pool, "e");
    settle();
    cress_cancel(killed);
    assert_ok(cress_sleep(10));
    cress_release(killed);
    assert_trace("a begins at 0\nspawn d: -1\na ends: 0\n"
                 "spawn b: 0\nb begins at 1\nb ends: 0\n"
                 "spawn c: 0\nc begins at 2\nc ends: 0\n"
                 "spawn e: 0\ne begins at 3\ne ends: 0\n");
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *add_up(void *arg)
{
    assert_ok(cress_sleep(1));
    return arg ? (char *)arg + 1 : NULL;
}

static void test_references(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    char bytes[2];
    void *value;
    cress_greenlet *mine = cress_pool_spawn_greenlet(&pool, add_up, bytes);
    cress_greenlet *added = cress_spawn(add_up, bytes);

    assert_ok(cress_pool_add(&pool, added));
    assert_int_equal(cress_pool_size(&pool), 2);
    assert_ok(cress_get(mine, &value, CRESS_FOREVER));
    assert_ptr_equal(value, bytes + 1);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_int_equal(cress_pool_size(&pool), 0);
    assert_true(cress_successful(added));
    assert_ok(cress_pool_add(&pool, added)); /* has ended: leaves at once */
    settle();
    assert_int_equal(cress_pool_size(&pool), 0);
    cress_release(mine);
    cress_release(added);
}

static void test_joiner_finds_the_member_gone(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_greenlet *g = cress_pool_spawn_greenlet(&pool, add_up, NULL);

    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_int_equal(cress_pool_size(&pool), 0);
    cress_release(g);
}

static void test_kill(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_sleep(0));
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "never started"));
    spawn(spawn_in_pool, "newcomer");
    spawn(spawn_in_pool, "another newcomer");
    assert_ok(cress_sleep(0));
    assert_trace("a begins at 0\nnever started begins at 0\n");
    assert_ok(cress_pool_kill(&pool, CRESS_FOREVER));
    assert_time(0);
    assert_int_equal(cress_pool_size(&pool), 0);
    assert_trace("a ends: -1\nnever started ends: -1\n"
                 "spawn newcomer: 0\nspawn another newcomer: 0\n");
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "later"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("later begins at 0\nlater ends: 0\n");
}

static void *join_own_pool(void *arg)
{
    assert_errno(EDEADLK, cress_pool_join(arg, CRESS_FOREVER));
    return NULL;
}

static void *kill_own_pool(void *arg)
{
    assert_errno(ECANCELED, cress_pool_kill(arg, CRESS_FOREVER));
    trace("killed with the others");
    return NULL;
}

static void test_from_inside(void)
{
    cress_pool pool = { 0 };

    assert_ok(cress_pool_spawn(&pool, join_own_pool, &pool));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_pool_spawn(&pool, kill_own_pool, &pool));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("a begins at 0\nkilled with the others\na ends: -1\n");
}

/* ---- limits on the wait for a place ------------------------------------------------- */

static void test_spawn_with_a_limit(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);

    assert_ok(cress_pool_spawn_timeout(&pool, name_and_sleep, "a", 0));
    assert_errno(ETIMEDOUT, cress_pool_spawn_timeout(&pool, name_and_sleep, "b", 0));
    assert_errno(ETIMEDOUT, cress_pool_spawn_timeout(&pool, name_and_sleep, "c", 0.5));
    assert_time(0.5);
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_ok(cress_pool_spawn_timeout(&pool, name_and_sleep, "d", 0.6));
    assert_time(1);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_time(2);
    assert_int_equal(cress_pool_size(&pool), 0);
    assert_trace("a begins at 0\na ends: 0\nd begins at 1\nd ends: 0\n");
}

static void test_add_with_a_limit(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_greenlet *first = cress_spawn(name_and_sleep, "a");
    cress_greenlet *second = cress_spawn(name_and_sleep, "b");

    assert_ok(cress_pool_add_timeout(&pool, first, 0));
    assert_errno(ETIMEDOUT, cress_pool_add_timeout(&pool, second, 0));
    assert_errno(ETIMEDOUT, cress_pool_add_timeout(&pool, second, 0.5));
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_false(cress_pool_contains(&pool, second));
    assert_ok(cress_pool_add_timeout(&pool, second, 2)); /* has ended by then */
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    cress_release(first);
    cress_release(second);
    assert_trace("a begins at 0\nb begins at 0\na ends: 0\nb ends: 0\n");
}

static void spawn_from_a_link(cress_greenlet *g, void *arg)
{
    cress_pool *pool = arg;

    (void)g;
    assert_ok(cress_pool_spawn_timeout(pool, name_and_sleep, "linked", 0));
    assert_errno(ETIMEDOUT, cress_pool_spawn_timeout(pool, name_and_sleep, "no", 0));
    assert_errno(EPERM, cress_pool_spawn(pool, name_and_sleep, "never"));
}

static void *return_at_once(void *arg)
{
    return arg;
}

static void test_spawn_outside_greenlets(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    assert_ok(cress_link(g, spawn_from_a_link, &pool));
    cress_release(g);
    settle();
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("linked begins at 0\nlinked ends: 0\n");
}

static void *wait_available(void *arg)
{
    int result = cress_pool_wait_available(the_pool, CRESS_FOREVER);

    trace("%s: %d with %zu free at %g", (char *)arg, result, cress_pool_free_count(the_pool),
          cress_now());
    return NULL;
}

static void test_wait_available(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_group group = CRESS_GROUP_INIT;

    the_pool = &pool;
    assert_ok(cress_pool_wait_available(&group, 0));
    assert_ok(cress_pool_wait_available(&pool, 0));
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_errno(ETIMEDOUT, cress_pool_wait_available(&pool, 0));
    assert_errno(ETIMEDOUT, cress_pool_wait_available(&pool, 0.5));
    spawn(wait_available, "first");
    spawn(spawn_in_pool, "b"); /* takes the place that a leaves: nothing is free then */
    spawn(wait_available, "second");

    cress_greenlet *killed = cress_spawn(wait_available, "killed");

    settle();
    cress_cancel(killed);
    cress_release(killed);
    assert_ok(cress_sleep(10));
    assert_trace("a begins at 0\nkilled: -1 with 0 free at 0.5\na ends: 0\n"
                 "spawn b: 0\nb begins at 1\nb ends: 0\n"
                 "first: 0 with 1 free at 2\nsecond: 0 with 1 free at 2\n");
}

/* ---- one of them ---------------------------------------------------------------------- */

static void test_discard(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_greenlet *g = cress_pool_spawn_greenlet(&pool, name_and_sleep, "a");

    the_pool = &pool;
    assert_true(cress_pool_contains(&pool, g));
    assert_false(cress_pool_contains(&pool, cress_self()));
    spawn(spawn_in_pool, "b"); /* waits for the place */
    settle();
    assert_ok(cress_pool_discard(&pool, g));
    assert_false(cress_pool_contains(&pool, g));
    assert_errno(ESRCH, cress_pool_discard(&pool, g));
    assert_errno(ESRCH, cress_pool_discard(&pool, cress_self()));
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_ok(cress_sleep(0.5));
    assert_ok(cress_pool_kill(&pool, CRESS_FOREVER));
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("a begins at 0\nspawn b: 0\nb begins at 0\nb ends: -1\na ends: 0\n");
    assert_time(1);
}

static void test_discard_after_the_end(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    cress_greenlet *g = cress_pool_spawn_greenlet(&pool, return_at_once, NULL);

    assert_ok(cress_sleep(0));
    assert_true(cress_ready(g)); /* but its link has not run yet */
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_ok(cress_pool_discard(&pool, g));
    assert_int_equal(cress_pool_size(&pool), 0);
    settle();
    assert_int_equal(cress_pool_size(&pool), 0);
    cress_release(g);
}

static void test_discard_ends_a_join(void)
{
    cress_group group = CRESS_GROUP_INIT, other = CRESS_GROUP_INIT;
    cress_greenlet *g = cress_pool_spawn_greenlet(&group, name_and_sleep, "a");

    assert_ok(cress_pool_add(&other, g)); /* a member of both */
    assert_ok(cress_pool_discard(&group, g));
    assert_ok(cress_pool_join(&group, 0));
    assert_true(cress_pool_contains(&other, g));
    assert_ok(cress_pool_add(&other, g)); /* twice: has two places */
    assert_int_equal(cress_pool_size(&other), 2);
    assert_ok(cress_pool_discard(&other, g));
    assert_int_equal(cress_pool_size(&other), 1);
    assert_ok(cress_pool_join(&other, CRESS_FOREVER));
    cress_release(g);
    assert_trace("a begins at 0\na ends: 0\n");
}

static void *discard_oneself(void *arg)
{
    assert_errno(EBUSY, cress_pool_discard(the_pool, cress_self()));
    return arg;
}

static void test_items_are_not_discarded(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);

    the_pool = &pool;
    assert_ok(cress_pool_map(&pool, discard_oneself, NULL, 2, 0));
    assert_ok(cress_pool_apply(&pool, discard_oneself, NULL, NULL));
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *sleep_under_shield(void *arg)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    assert_ok(cress_sleep(5));
    cress_timeout_close(&shield);
    return arg;
}

static void *kill_oneself(void *arg)
{
    assert_errno(ECANCELED, cress_pool_kill_one(arg, cress_self(), CRESS_FOREVER));
    return NULL;
}

static void test_kill_one(void)
{
    cress_pool pool = CRESS_POOL_INIT(3);
    cress_greenlet *a = cress_pool_spawn_greenlet(&pool, name_and_sleep, "a");
    cress_greenlet *slow = cress_pool_spawn_greenlet(&pool, sleep_under_shield, NULL);
    cress_greenlet *elsewhere = cress_spawn(name_and_sleep, "c");

    settle();
    assert_ok(cress_pool_kill_one(&pool, a, CRESS_FOREVER));
    assert_true(cress_was_killed(a));
    assert_int_equal(cress_pool_size(&pool), 1);
    assert_ok(cress_pool_kill_one(&pool, a, CRESS_FOREVER)); /* has ended already */
    assert_errno(ESRCH, cress_pool_kill_one(&pool, elsewhere, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_pool_kill_one(&pool, slow, 2));
    assert_time(2);
    assert_ok(cress_pool_kill_one(&pool, slow, CRESS_FOREVER));
    assert_time(5);
    assert_false(cress_pool_contains(&pool, slow));
    assert_ok(cress_pool_spawn(&pool, kill_oneself, &pool));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    cress_release(a);
    cress_release(slow);
    cress_release(elsewhere);
    assert_trace("a begins at 0\nc begins at 0\na ends: -1\nc ends: 0\n");
}

/* ---- members that spawn into their full pool ------------------------------------------- */

static const char *name_of_error(int result)
{
    return result == 0 ? "ok" : errno == EDEADLK ? "EDEADLK" : strerror(errno);
}

static void *spawn_inside(void *arg)
{
    int result = cress_pool_spawn(the_pool, name_and_sleep, arg);

    trace("spawn %s: %s at %g", (char *)arg, name_of_error(result), cress_now());
    return NULL;
}

static void *spawn_inside_within_a_second(void *arg)
{
    int result = cress_pool_spawn_timeout(the_pool, name_and_sleep, arg, 1);

    trace("timed spawn %s: %s at %g", (char *)arg, name_of_error(result), cress_now());
    return NULL;
}

static void *wait_available_inside(void *arg)
{
    trace("%s: %s", (char *)arg, name_of_error(cress_pool_wait_available(the_pool, CRESS_FOREVER)));
    return NULL;
}

static void test_the_only_member_spawns(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "a"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_ok(cress_pool_spawn(&pool, wait_available_inside, "b"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("spawn a: EDEADLK at 0\nb: EDEADLK\n");
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void test_the_last_member_that_spawns_is_refused(void)
{
    cress_pool pool = CRESS_POOL_INIT(3);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "a"));
    assert_ok(cress_pool_spawn(&pool, wait_available_inside, "b"));
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "c"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("spawn c: EDEADLK at 0\nspawn a: ok at 0\na begins at 0\nb: ok\na ends: 0\n");
}

static void test_a_member_waits_for_one_that_goes_on(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "b"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("a begins at 0\na ends: 0\nspawn b: ok at 1\nb begins at 1\nb ends: 0\n");
}

static void test_a_limit_is_no_deadlock(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, spawn_inside_within_a_second, "a"));
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "b"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("timed spawn a: Connection timed out at 1\nspawn b: ok at 1\n"
                 "b begins at 1\nb ends: 0\n");
}

static void *map_a_spawner(void *arg)
{
    assert_ok(cress_pool_map(the_pool, spawn_inside, arg, 1, 0));
    return NULL;
}

static void test_an_item_in_a_lent_place_spawns(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, map_a_spawner, "a"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("spawn a: EDEADLK at 0\n");
}

/* After whoever ends at 1 s has left the pool, before those that this wakes have run. */
static void *sleep_then_spawn_inside(void *arg)
{
    settle();
    assert_ok(cress_sleep(1));
    assert_ok(cress_sleep(0));
    return spawn_inside(arg);
}

/* The place of a, who ends at 1 s, goes to an outsider (main), who has not run yet when b
 * asks: the only other member waits, but not for ever. */
static void test_a_place_on_its_way_is_no_deadlock(void)
{
    cress_pool pool = CRESS_POOL_INIT(3);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_pool_spawn(&pool, sleep_then_spawn_inside, "b"));
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "c"));
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "x"));
    assert_time(1);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_int_equal(cress_pool_size(&pool), 0);
    assert_trace("a begins at 0\na ends: 0\nx begins at 1\nx ends: 0\n"
                 "spawn c: ok at 2\nc begins at 2\nspawn b: ok at 2\nb begins at 2\n"
                 "c ends: 0\nb ends: 0\n");
}

static void *map_a_second(void *arg)
{
    assert_ok(cress_pool_map(the_pool, name_and_sleep, arg, 1, 0));
    return NULL;
}

/* The map is over when b asks, but its caller has not run yet. */
static void test_a_caller_on_its_way_is_no_deadlock(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, map_a_second, "item"));
    assert_ok(cress_pool_spawn(&pool, sleep_then_spawn_inside, "b"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("item begins at 0\nitem ends: 0\nspawn b: ok at 1\nb begins at 1\n"
                 "b ends: 0\n");
}

static void *end_soon(void *arg)
{
    settle();
    return arg;
}

static void *wait_inside_then_sleep(void *arg)
{
    assert_ok(cress_pool_map(the_pool, return_at_once, NULL, 1, 0));
    assert_ok(cress_pool_spawn(the_pool, return_at_once, NULL));
    return name_and_sleep(arg);
}

static void test_who_has_waited_is_no_deadlock(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    assert_ok(cress_pool_spawn(&pool, end_soon, NULL));
    assert_ok(cress_pool_spawn(&pool, wait_inside_then_sleep, "a"));
    settle();
    settle();
    assert_ok(cress_pool_spawn(&pool, spawn_inside, "b"));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_trace("a begins at 0\na ends: 0\nspawn b: ok at 1\nb begins at 1\nb ends: 0\n");
}

/* ---- misuse ------------------------------------------------------------------------------- */

static void *kill_own_pool_under_shield(void *arg)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    assert_errno(EDEADLK, cress_pool_kill(arg, CRESS_FOREVER));
    cress_timeout_close(&shield);
    return NULL;
}

static void test_shielded_member_kills_its_pool(void)
{
    cress_pool pool = { 0 };

    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_pool_spawn(&pool, kill_own_pool_under_shield, &pool));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_time(0);
    assert_trace("a begins at 0\na ends: -1\n");
}

static void *run_in_a_group(cress_fn *fn)
{
    static cress_group group;

    cress_pool_spawn(&group, fn, &group);
    cress_pool_join(&group, CRESS_FOREVER);
    return NULL;
}

static void *join_from_inside(void *unused)
{
    (void)unused;
    return run_in_a_group(join_own_pool);
}

static void *kill_from_inside(void *unused)
{
    (void)unused;
    return run_in_a_group(kill_own_pool_under_shield);
}

static void *use_the_pool(void *arg)
{
    cress_pool *pool = arg;
    cress_greenlet *own = cress_spawn(return_at_once, NULL);

    assert_errno(EPERM, cress_pool_spawn(pool, return_at_once, NULL));
    assert_null(cress_pool_spawn_greenlet(pool, return_at_once, NULL));
    assert_errno(EPERM, cress_pool_add(pool, own));
    assert_errno(EPERM, cress_pool_discard(pool, own));
    assert_errno(EPERM, cress_pool_wait_available(pool, 0));
    assert_errno(EPERM, cress_pool_join(pool, CRESS_FOREVER));
    assert_errno(EPERM, cress_pool_kill(pool, CRESS_FOREVER));
    assert_errno(EPERM, cress_pool_kill_one(pool, own, CRESS_FOREVER));
    assert_errno(EPERM, cress_pool_map(pool, return_at_once, NULL, 1, 0));
    assert_errno(EPERM, cress_pool_apply(pool, return_at_once, NULL, NULL));
    cress_release(own);
    return NULL;
}

static void *another_hub(void *arg)
{
    assert_ok(run_virtual(use_the_pool, arg));
    return NULL;
}

static void use_in_another_thread(cress_pool *pool)
{
    pthread_t thread;

    assert_ok(pthread_create(&thread, NULL, another_hub, pool));
    assert_ok(pthread_join(thread, NULL));
}

static void test_from_another_thread(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_sleep(0));
    use_in_another_thread(&pool);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_time(1);
    assert_trace("a begins at 0\na ends: 0\n");
}

static void *spawn_and_use_in_another_thread(void *unused)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    (void)unused;
    cress_pool_spawn(&pool, name_and_sleep, "a");
    use_in_another_thread(&pool);
    return NULL;
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(join_from_inside, "cress_pool_join: a member cannot wait");
    assert_misuse(kill_from_inside, "cress_pool_kill: a shielded member");
    assert_misuse(spawn_and_use_in_another_thread, "greenlets of another thread");
}

/* ---- apply -------------------------------------------------------------------------------- */

static void *double_after_a_second(void *arg)
{
    if (cress_sleep(1) < 0) {
        trace("killed at %g", cress_now());
        return cress_fail(errno);
    }
    return (char *)arg + (size_t)arg;
}

static void test_apply(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    void *value = NULL;

    assert_ok(cress_pool_apply(&pool, double_after_a_second, (void *)21, &value));
    assert_int_equal((size_t)value, 42);
    assert_time(1);
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "a"));
    assert_ok(cress_pool_apply(&pool, double_after_a_second, (void *)4, NULL)); /* after a */
    assert_time(3);
    assert_trace("a begins at 1\na ends: 0\n");
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *fail_at_once(void *arg)
{
    (void)arg;
    return cress_fail(EXDEV);
}

static void test_apply_fails_as_the_function_does(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    void *value = &pool;

    capture_start(2);
    assert_errno(EXDEV, cress_pool_apply(&pool, fail_at_once, NULL, &value));
    free(capture_end());
    assert_ptr_equal(value, &pool); /* not written */
}

static void test_limited_apply_outlives_its_argument(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    cress_timeout limit;

    cress_timeout_start(&limit, 0.5);
    assert_errno(ETIMEDOUT, cress_pool_apply(&pool, double_after_a_second, NULL, NULL));
    assert_int_equal(cress_pool_size(&pool), 0);
    cress_timeout_close(&limit);
    assert_trace("killed at 0.5\n");
}

static void *factorial(void *arg)
{
    size_t n = (size_t)arg;
    void *rest = NULL;

    assert_int_equal(cress_pool_size(the_pool), 1);
    if (n == 0)
        return (void *)1;
    assert_ok(cress_pool_apply(the_pool, factorial, (void *)(n - 1), &rest));
    return (void *)(n * (size_t)rest);
}

static void test_apply_from_inside(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);
    void *value = NULL;

    the_pool = &pool;
    assert_ok(cress_pool_apply(&pool, factorial, (void *)10, &value));
    assert_int_equal((size_t)value, 3628800);
    assert_int_equal(cress_pool_size(&pool), 0);
}

/* ---- map --------------------------------------------------------------------------- */

static void *show_size(void *arg)
{
    (void)arg;
    trace("Size of pool %zu", cress_pool_size(the_pool));
    return NULL;
}

static void test_map_tutorial(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    int items[3];

    the_pool = &pool;
    assert_ok(cress_pool_map(&pool, show_size, items, 3, sizeof items[0]));
    assert_trace("Size of pool 2\nSize of pool 2\nSize of pool 1\n");
}

static size_t running, most_running;

static void *square(void *arg)
{
    int *item = arg;

    running++;
    if (running > most_running)
        most_running = running;
    if (cress_sleep(1) == 0)
        *item *= *item;
    running--;
    return NULL;
}

static void test_map_bounds_and_order(void)
{
    cress_pool pool = CRESS_POOL_INIT(3);
    int items[] = { 1, 2, 3, 4, 5, 6, 7 };

    running = most_running = 0;
    assert_ok(cress_pool_map(&pool, square, items, 7, sizeof items[0]));
    assert_time(3);
    assert_int_equal(most_running, 3);
    for (int i = 0; i < 7; i++)
        assert_int_equal(items[i], (i + 1) * (i + 1));
    assert_ok(cress_pool_map(&pool, square, NULL, 0, 1));
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *fail_if_odd(void *arg)
{
    int n = *(int *)arg;

    assert_ok(cress_sleep(10 - n)); /* the later ones fail earlier */
    trace("%d", n);
    return n % 2 ? cress_fail(n == 1 ? EIO : ENOENT) : NULL;
}

static void test_map_reports_the_first_by_index(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 0, 1, 2, 3 };

    capture_start(2);
    assert_errno(EIO, cress_pool_map(&group, fail_if_odd, items, 4, sizeof items[0]));

    char *text = capture_end();

    assert_string_equal(text, "cress: greenlet greenlet-5 failed: No such file or directory\n"
                              "cress: greenlet greenlet-3 failed: Input/output error\n");
    free(text);
    assert_trace("3\n2\n1\n0\n"); /* every one was tried */
}

static void *square_slow_to_die(void *arg)
{
    square(arg);

    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    assert_ok(cress_sleep(5));
    cress_timeout_close(&shield);
    trace("gone at %g", cress_now());
    return NULL;
}

static void *map_on_own_stack(void *arg)
{
    int items[] = { 1, 2, 3, 4 };

    running = 0;
    assert_int_equal(cress_pool_map(arg, square_slow_to_die, items, 4, sizeof items[0]), -1);
    trace("map: %d with %zu running at %g", errno, running, cress_now());
    return NULL;
}

static void test_killed_map_outlives_its_items(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    cress_greenlet *g = cress_spawn(map_on_own_stack, &pool);

    assert_ok(cress_sleep(0.5));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_true(cress_was_killed(g));
    cress_release(g);
    assert_trace("gone at 5.5\ngone at 5.5\nmap: 125 with 0 running at 5.5\n");
}

static void test_limited_map_outlives_its_items(void)
{
    cress_pool pool = CRESS_POOL_INIT(3);
    cress_timeout limit;

    cress_timeout_start(&limit, 0.5);
    map_on_own_stack(&pool);
    assert_errno(ETIMEDOUT, cress_sleep(0)); /* still in force */
    cress_timeout_close(&limit);
    assert_true(cress_timeout_expired(&limit));
    assert_trace("gone at 5.5\ngone at 5.5\ngone at 5.5\nmap: 110 with 0 running at 5.5\n");
    assert_ok(cress_sleep(1));
}

static void *map_and_be_killed(void *arg)
{
    int items[] = { 1, 2 };

    assert_errno(ECANCELED, cress_pool_map(arg, square, items, 2, sizeof items[0]));
    return NULL;
}

static void test_killed_map_leaves_other_members_alone(void)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_greenlet *g = cress_spawn(map_and_be_killed, &group);

    assert_ok(cress_pool_spawn(&group, name_and_sleep, "other"));
    settle();
    assert_int_equal(cress_pool_size(&group), 3);
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_int_equal(cress_pool_size(&group), 1);
    assert_ok(cress_pool_join(&group, CRESS_FOREVER));
    cress_release(g);
    assert_trace("other begins at 0\nother ends: 0\n");
}

static void *kill_first_member(void *arg)
{
    cress_cancel(arg);
    return NULL;
}

static void *start_killer(void *arg)
{
    if (*(int *)arg == 2)
        spawn(kill_first_member, cress_self());
    return cress_sleep(1) < 0 ? cress_fail(errno) : NULL;
}

static void test_item_killed_by_another(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1, 2, 3 };

    assert_errno(ECANCELED, cress_pool_map(&group, start_killer, items, 3, sizeof items[0]));
    assert_ok(cress_sleep(0)); /* the caller itself is not being killed */
    assert_time(1);
}

struct branch {
    cress_pool *pool;
    int depth;
};

static int leaves;

static void *branch(void *arg)
{
    struct branch *self = arg;
    struct branch twigs[2] = { { self->pool, self->depth - 1 }, { self->pool, self->depth - 1 } };

    assert_true(cress_pool_size(self->pool) <= 2);
    assert_ok(cress_sleep(1));
    if (self->depth == 0)
        leaves++;
    else
        assert_ok(cress_pool_map(self->pool, branch, twigs, 2, sizeof twigs[0]));
    return NULL;
}

static void test_members_map_over_their_own_pool(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    struct branch roots[2] = { { &pool, 3 }, { &pool, 3 } };

    leaves = 0;
    assert_ok(cress_pool_map(&pool, branch, roots, 2, sizeof roots[0]));
    assert_int_equal(leaves, 16);
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *map_three_in_own_pool(void *arg)
{
    int items[] = { 1, 2, 3 };

    (void)arg;
    trace("%d", cress_pool_map(the_pool, square, items, 3, sizeof items[0]));
    return NULL;
}

static void test_lent_place_and_a_free_one(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    running = most_running = 0;
    /* The mapping member holds one of two places, the sleeper the other until 1.5 s:
     * items run at 0..1 and 1..2 in the lent one and at 1.5..2.5 in the sleeper's. */
    assert_ok(cress_pool_spawn(&pool, map_three_in_own_pool, NULL));

    cress_greenlet *sleeper = cress_pool_spawn_greenlet(&pool, name_and_sleep, "s");

    assert_ok(cress_join(sleeper, CRESS_FOREVER));
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    cress_release(sleeper);
    assert_trace("s begins at 0\ns ends: 0\n0\n");
    assert_int_equal(most_running, 2);
    assert_time(2);
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *map_six_in_own_pool(void *arg)
{
    int items[6] = { 0 };

    trace("%d", cress_pool_map(arg, square, items, 6, sizeof items[0]));
    return NULL;
}

/* Who stands in line gets a turn although a member's map goes on for long. */
static void test_map_does_not_keep_places_from_others(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    running = 0;
    assert_ok(cress_pool_spawn(&pool, map_six_in_own_pool, &pool));
    settle();
    assert_int_equal(running, 2); /* in the free place and in the lent one */
    assert_int_equal(cress_pool_size(&pool), 2);
    assert_ok(cress_pool_spawn(&pool, name_and_sleep, "other"));
    assert_time(2);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_time(4);
    assert_trace("other begins at 2\nother ends: 0\n0\n");
}

static cress_event never;

static void *wait_for_ever(void *arg)
{
    (void)arg;
    assert_errno(ECANCELED, cress_event_wait(&never, CRESS_FOREVER));
    trace("item killed");
    return NULL;
}

static void test_map_that_would_block_for_ever(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[2];

    capture_start(2);
    assert_errno(EDEADLK, cress_pool_map(&group, wait_for_ever, items, 2, sizeof items[0]));
    free(capture_end());
    assert_trace("item killed\nitem killed\n");
    assert_int_equal(cress_pool_size(&group), 0);
}

/* ---- who spawned it ------------------------------------------------------------------- */

static void *print_all_greenlets(void *arg)
{
    cress_print_greenlets(stderr);
    return arg;
}

static int next_none(void *arg, void **ret_item)
{
    (void)arg, (void)ret_item;
    print_all_greenlets(NULL);
    return 0;
}

/* Seven times all greenlets are printed: main, and the one that prints. */
static __attribute__((noinline)) void spawn_in_every_way(cress_group *group)
{
    cress_imap it;

    assert_ok(cress_pool_spawn(group, print_all_greenlets, NULL));
    assert_ok(cress_pool_join(group, CRESS_FOREVER));
    assert_ok(cress_pool_spawn_timeout(group, print_all_greenlets, NULL, 0));
    assert_ok(cress_pool_join(group, CRESS_FOREVER));
    cress_release(cress_pool_spawn_greenlet(group, print_all_greenlets, NULL));
    assert_ok(cress_pool_join(group, CRESS_FOREVER));
    assert_ok(cress_pool_map(group, print_all_greenlets, NULL, 1, 0));
    assert_ok(cress_pool_apply(group, print_all_greenlets, NULL, NULL));
    assert_ok(cress_imap_init(&it, group, print_all_greenlets,
                              &(cress_imap_options){ .next_item = next_none }));
    assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 0);
    cress_imap_finish(&it);
    assert_ok(
        cress_imap_init(&it, group, print_all_greenlets, &(cress_imap_options){ .count = 1 }));
    assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 1);
    cress_imap_finish(&it);
}

static void test_spawn_site(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int count = 0;

    capture_start(2);
    spawn_in_every_way(&group);

    char *text = capture_end();

    for (const char *at = text; (at = strstr(at, "spawned by spawn_in_every_way")); at++)
        count++;
    free(text);
    assert_int_equal(count, 7);
}

/* ---- out of memory ------------------------------------------------------------------------ */

static int tries(void (*attempt)(cress_pool *))
{
    cress_pool pool = CRESS_POOL_INIT(2);

    for (int n = 0;; n++) {
        allocations_left = n;
        attempt(&pool);
        if (!end_failing())
            return n;
        assert_int_equal(cress_pool_size(&pool), 0);
    }
}

static int started;

static void *count_start(void *arg)
{
    started++;
    return arg;
}

static void attempt_spawn(cress_pool *pool)
{
    started = 0;
    if (cress_pool_spawn(pool, count_start, NULL) == 0) {
        assert_ok(cress_pool_join(pool, CRESS_FOREVER));
        assert_int_equal(started, 1);
        return;
    }
    assert_int_equal(errno, ENOMEM);
    settle();
    assert_int_equal(started, 0); /* nothing half begun */
}

static void attempt_spawn_greenlet(cress_pool *pool)
{
    cress_greenlet *g = cress_pool_spawn_greenlet(pool, count_start, NULL);

    if (g)
        assert_ok(cress_join(g, CRESS_FOREVER));
    else
        assert_int_equal(errno, ENOMEM);
    cress_release(g);
}

static void attempt_add(cress_pool *pool)
{
    cress_greenlet *g = cress_spawn(count_start, NULL);

    if (g && cress_pool_add(pool, g) < 0)
        assert_int_equal(errno, ENOMEM);
    settle();
    cress_release(g);
}

static void attempt_apply(cress_pool *pool)
{
    char bytes[2];
    void *value = NULL;

    if (cress_pool_apply(pool, add_up, bytes, &value) < 0)
        assert_int_equal(errno, ENOMEM);
    else
        assert_ptr_equal(value, bytes + 1);
}

static void attempt_map(cress_pool *pool)
{
    int items[5] = { 1, 2, 3, 4, 5 };

    running = 0;
    if (cress_pool_map(pool, square, items, 5, sizeof items[0]) < 0)
        assert_int_equal(errno, ENOMEM);
    else
        assert_int_equal(items[4], 25);
    assert_int_equal(running, 0);
}

static void test_no_memory(void)
{
    assert_true(tries(attempt_spawn) >= 2);
    assert_true(tries(attempt_spawn_greenlet) >= 2);
    assert_true(tries(attempt_add) >= 2);
    assert_true(tries(attempt_map) >= 10);
    assert_true(tries(attempt_apply) >= 2);
}

static void *map_from_inside(void *arg)
{
    attempt_map(arg);
    return NULL;
}

/* A lent place comes back too. */
static void attempt_map_from_inside(cress_pool *pool)
{
    int left = allocations_left;

    allocations_left = INT_MAX;
    assert_ok(cress_pool_spawn(pool, map_from_inside, pool));
    allocations_left = left;
    assert_ok(cress_pool_join(pool, CRESS_FOREVER));
}

static void test_no_memory_inside(void)
{
    assert_true(tries(attempt_map_from_inside) >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_group_has_no_limit),
        HUB_TEST(test_spawn_waits_for_a_place),
        HUB_TEST(test_limit_while_waiting_for_a_place),
        HUB_TEST(test_places_go_in_order),
        HUB_TEST(test_references),
        HUB_TEST(test_joiner_finds_the_member_gone),
        HUB_TEST(test_kill),
        HUB_TEST(test_from_inside),
        HUB_TEST(test_spawn_with_a_limit),
        HUB_TEST(test_add_with_a_limit),
        HUB_TEST(test_spawn_outside_greenlets),
        HUB_TEST(test_wait_available),
        HUB_TEST(test_discard),
        HUB_TEST(test_discard_after_the_end),
        HUB_TEST(test_discard_ends_a_join),
        HUB_TEST(test_items_are_not_discarded),
        HUB_TEST(test_kill_one),
        HUB_TEST(test_the_only_member_spawns),
        HUB_TEST(test_the_last_member_that_spawns_is_refused),
        HUB_TEST(test_a_member_waits_for_one_that_goes_on),
        HUB_TEST(test_a_limit_is_no_deadlock),
        HUB_TEST(test_an_item_in_a_lent_place_spawns),
        HUB_TEST(test_a_place_on_its_way_is_no_deadlock),
        HUB_TEST(test_a_caller_on_its_way_is_no_deadlock),
        HUB_TEST(test_who_has_waited_is_no_deadlock),
        HUB_TEST(test_shielded_member_kills_its_pool),
        HUB_TEST(test_from_another_thread),
        HUB_TEST(test_apply),
        HUB_TEST(test_apply_fails_as_the_function_does),
        HUB_TEST(test_limited_apply_outlives_its_argument),
        HUB_TEST(test_apply_from_inside),
        HUB_TEST(test_map_tutorial),
        HUB_TEST(test_map_bounds_and_order),
        HUB_TEST(test_map_reports_the_first_by_index),
        HUB_TEST(test_killed_map_outlives_its_items),
        HUB_TEST(test_limited_map_outlives_its_items),
        HUB_TEST(test_killed_map_leaves_other_members_alone),
        HUB_TEST(test_item_killed_by_another),
        HUB_TEST(test_members_map_over_their_own_pool),
        HUB_TEST(test_lent_place_and_a_free_one),
        HUB_TEST(test_map_does_not_keep_places_from_others),
        HUB_TEST(test_map_that_would_block_for_ever),
        HUB_TEST(test_spawn_site),
        HUB_TEST(test_no_memory),
        HUB_TEST(test_no_memory_inside),
        cmocka_unit_test(test_misuse_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
