#include "hub_test.h"

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
        HUB_TEST(test_released_place_goes_to_the_oldest),
        HUB_TEST(test_killed_waiter_is_passed_over),
        HUB_TEST(test_place_handed_over_survives_a_kill),
        HUB_TEST(test_tutorial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
