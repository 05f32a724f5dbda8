#include "capture.h"
#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/pool.h>
#include <cress/timeout.h>

#include <stdlib.h>

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
    return (char *)arg + 1;
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
        HUB_TEST(test_map_tutorial),
        HUB_TEST(test_map_bounds_and_order),
        HUB_TEST(test_map_reports_the_first_by_index),
        HUB_TEST(test_killed_map_outlives_its_items),
        HUB_TEST(test_limited_map_outlives_its_items),
        HUB_TEST(test_killed_map_leaves_other_members_alone),
        HUB_TEST(test_item_killed_by_another),
        HUB_TEST(test_members_map_over_their_own_pool),
        HUB_TEST(test_lent_place_and_a_free_one),
        HUB_TEST(test_map_that_would_block_for_ever),
        HUB_TEST(test_no_memory),
        HUB_TEST(test_no_memory_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
