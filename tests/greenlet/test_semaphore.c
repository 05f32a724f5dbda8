#include "hub_test.h"
#include "other_hub.h"
#include "stress.h"

#include <cress/pool.h>
#include <cress/semaphore.h>

static cress_semaphore semaphore;

static void *acquire(void *arg)
{
    int result = cress_semaphore_acquire(&semaphore, CRESS_FOREVER);

    trace("%s: %d (%d)", (char *)arg, result, result < 0 ? errno : 0);
    return NULL;
}

static void test_zeroed_has_no_place_yet(void)
{
    cress_semaphore s = { 0 };

    assert_errno(ETIMEDOUT, cress_semaphore_acquire(&s, 0));
    assert_ok(cress_semaphore_release(&s));
    assert_ok(cress_semaphore_release(&s));
    assert_int_equal(cress_semaphore_free_count(&s), 2);
    assert_ok(cress_semaphore_acquire(&s, 0));
}

static void test_counts_places(void)
{
    cress_semaphore s = CRESS_SEMAPHORE_INIT(2);

    assert_int_equal(cress_semaphore_free_count(&s), 2);
    assert_ok(cress_semaphore_acquire(&s, 0));
    assert_ok(cress_semaphore_acquire(&s, CRESS_FOREVER));
    assert_int_equal(cress_semaphore_free_count(&s), 0);
    assert_errno(ETIMEDOUT, cress_semaphore_acquire(&s, 2));
    assert_time(2);
    for (int i = 0; i < 3; i++)
        assert_ok(cress_semaphore_release(&s));
    assert_int_equal(cress_semaphore_free_count(&s), 3);
}

static void test_bound(void)
{
    cress_semaphore s = CRESS_BOUNDED_SEMAPHORE_INIT(1);

    assert_errno(EOVERFLOW, cress_semaphore_release(&s));
    assert_ok(cress_semaphore_acquire(&s, 0));
    assert_ok(cress_semaphore_release(&s));
    assert_errno(EOVERFLOW, cress_semaphore_release(&s));
    assert_int_equal(cress_semaphore_free_count(&s), 1);
}

static void *release_above_the_bound(void *arg)
{
    test_bound();
    return arg;
}

static void *release_above_all_bounds(void *arg)
{
    cress_semaphore s = CRESS_SEMAPHORE_INIT(SIZE_MAX);

    assert_errno(EOVERFLOW, cress_semaphore_release(&s));
    assert_int_equal(cress_semaphore_free_count(&s), SIZE_MAX);
    return arg;
}

static void *use_from_outside(void *arg)
{
    assert_errno(EPERM, cress_semaphore_acquire(&semaphore, CRESS_FOREVER));
    assert_errno(EPERM, cress_semaphore_release(&semaphore));
    return arg;
}

static void *use_in_another_thread(void *arg)
{
    semaphore = (cress_semaphore){ 0 };
    spawn(acquire, "a");
    settle();
    run_in_other_hub(use_from_outside, NULL);
    assert_ok(cress_semaphore_release(&semaphore));
    settle();
    assert_trace("a: 0 (0)\n");
    return arg;
}

static void test_misuse_is_reported(void)
{
    use_in_another_thread(NULL);
    release_above_all_bounds(NULL);
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(use_in_another_thread, "misuse: greenlets of another thread wait");
    assert_misuse(release_above_the_bound,
                  "misuse: cress_semaphore_release: more often than it was acquired");
    assert_misuse(release_above_all_bounds,
                  "misuse: cress_semaphore_release: more often than it was acquired");
}

static void test_released_place_goes_to_the_oldest(void)
{
    semaphore = (cress_semaphore)CRESS_BOUNDED_SEMAPHORE_INIT(1);
    assert_ok(cress_semaphore_acquire(&semaphore, 0));
    spawn(acquire, "a");
    spawn(acquire, "b");
    settle();
    assert_ok(cress_semaphore_release(&semaphore));
    assert_errno(ETIMEDOUT, cress_semaphore_acquire(&semaphore, 0)); /* nobody overtakes */
    settle();
    assert_trace("a: 0 (0)\n");
    assert_ok(cress_semaphore_release(&semaphore));
    settle();
    assert_trace("b: 0 (0)\n");
    assert_ok(cress_semaphore_release(&semaphore));
}

static void test_killed_waiter_is_passed_over(void)
{
    semaphore = (cress_semaphore){ 0 };

    cress_greenlet *a = cress_spawn(acquire, "a");

    spawn(acquire, "b");
    settle();
    cress_cancel(a);
    assert_ok(cress_semaphore_release(&semaphore)); /* before a has run */
    settle();
    assert_trace("a: -1 (125)\nb: 0 (0)\n");
    assert_int_equal(cress_semaphore_free_count(&semaphore), 0);
    cress_release(a);
}

static void test_place_handed_over_survives_a_kill(void)
{
    semaphore = (cress_semaphore){ 0 };

    cress_greenlet *a = cress_spawn(acquire, "a");

    settle();
    assert_ok(cress_semaphore_release(&semaphore));
    cress_cancel(a);
    settle();
    assert_trace("a: 0 (0)\n");
    cress_release(a);
}

static void *acquire_for_a_second(void *arg)
{
    assert_errno(ETIMEDOUT, cress_semaphore_acquire(&semaphore, 1));
    trace("%s: late", (char *)arg);
    return NULL;
}

static void test_late_waiter_is_passed_over(void)
{
    semaphore = (cress_semaphore){ 0 };
    spawn(acquire_for_a_second, "a");
    spawn(acquire, "b");
    assert_ok(cress_sleep(1)); /* its deadline is armed first: a has been woken, and not run */
    assert_ok(cress_semaphore_release(&semaphore));
    settle();
    assert_trace("a: late\nb: 0 (0)\n");
}

static void *acquire_when_cancelled(void *arg)
{
    assert_errno(ECANCELED, cress_sleep(1));
    assert_errno(ECANCELED, cress_semaphore_acquire(&semaphore, 0)); /* though one is free */
    assert_ok(cress_semaphore_release(&semaphore));
    return arg;
}

static void test_killed_greenlet_can_release(void)
{
    semaphore = (cress_semaphore)CRESS_SEMAPHORE_INIT(1);

    cress_greenlet *g = cress_spawn(acquire_when_cancelled, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_int_equal(cress_semaphore_free_count(&semaphore), 2);
    cress_release(g);
}

static void release_when_ended(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_ok(cress_semaphore_release(arg)); /* to who waits */
    assert_errno(ETIMEDOUT, cress_semaphore_acquire(arg, 0));
    assert_ok(cress_semaphore_release(arg));
    assert_ok(cress_semaphore_acquire(arg, CRESS_FOREVER));
    assert_errno(EPERM, cress_semaphore_acquire(arg, CRESS_FOREVER));
}

static void *return_at_once(void *arg)
{
    return arg;
}

static void test_from_a_link(void)
{
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    semaphore = (cress_semaphore){ 0 };
    assert_ok(cress_link(g, release_when_ended, &semaphore));
    assert_ok(cress_semaphore_acquire(&semaphore, CRESS_FOREVER));
    cress_release(g);
}

static void test_wait_any_takes_no_place(void)
{
    cress_waitable *objects[] = { &semaphore.waitable };

    semaphore = (cress_semaphore)CRESS_SEMAPHORE_INIT(1);
    assert_int_equal(cress_wait_any(objects, 1, 0), 0);
    assert_ok(cress_semaphore_acquire(&semaphore, 0));
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 1, 1));
}

static void test_stress(void **state)
{
    (void)state;
    stress_seeds(stress_semaphore);
}

static void work(long n)
{
    assert_ok(cress_semaphore_acquire(&semaphore, CRESS_FOREVER));
    trace("Worker %ld acquired semaphore", n);
    assert_ok(cress_sleep(0));
    assert_ok(cress_semaphore_release(&semaphore));
    trace("Worker %ld released semaphore", n);
}

static void *work_item(void *arg)
{
    work(*(long *)arg);
    return NULL;
}

static void test_tutorial(void)
{
    cress_group group = CRESS_GROUP_INIT;
    long first[] = { 0, 1 }, second[] = { 3, 4, 5 };

    semaphore = (cress_semaphore)CRESS_BOUNDED_SEMAPHORE_INIT(2);
    assert_ok(cress_pool_map(&group, work_item, first, 2, sizeof first[0]));
    assert_ok(cress_pool_map(&group, work_item, second, 3, sizeof second[0]));
    assert_trace("Worker 0 acquired semaphore\nWorker 1 acquired semaphore\n"
                 "Worker 0 released semaphore\nWorker 1 released semaphore\n"
                 "Worker 3 acquired semaphore\nWorker 4 acquired semaphore\n"
                 "Worker 3 released semaphore\nWorker 4 released semaphore\n"
                 "Worker 5 acquired semaphore\nWorker 5 released semaphore\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_zeroed_has_no_place_yet),
        HUB_TEST(test_counts_places),
        HUB_TEST(test_bound),
        HUB_TEST(test_misuse_is_reported),
        HUB_TEST(test_released_place_goes_to_the_oldest),
        HUB_TEST(test_killed_waiter_is_passed_over),
        HUB_TEST(test_place_handed_over_survives_a_kill),
        HUB_TEST(test_late_waiter_is_passed_over),
        HUB_TEST(test_killed_greenlet_can_release),
        HUB_TEST(test_from_a_link),
        HUB_TEST(test_wait_any_takes_no_place),
        cmocka_unit_test(test_stress),
        HUB_TEST(test_tutorial),
        cmocka_unit_test(test_misuse_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
