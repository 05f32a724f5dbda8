#include "hub_test.h"

#include <cress/async_result.h>
#include <cress/event.h>
#include <cress/queue.h>
#include <cress/semaphore.h>
#include <cress/timeout.h>

static void test_limit_over_a_sleep(void)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 5);
    assert_ok(cress_sleep(2));
    assert_false(cress_timeout_expired(&limit));
    assert_errno(ETIMEDOUT, cress_sleep(10));
    assert_time(5);
    assert_true(cress_timeout_expired(&limit));
    cress_timeout_close(&limit);
    assert_true(cress_timeout_expired(&limit)); /* also after close */
    assert_ok(cress_sleep(1));
    assert_time(6);
}

static void test_limit_that_does_not_pass(void)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 5);
    assert_ok(cress_sleep(1));
    cress_timeout_close(&limit);
    assert_ok(cress_sleep(100));
    assert_false(cress_timeout_expired(&limit)); /* closed in time */
}

static void *return_value(void *arg)
{
    return arg;
}

static void test_stays_in_force(void)
{
    cress_event set = { .waitable.ready = true };
    cress_queue queue = { 0 };
    cress_semaphore semaphore = CRESS_SEMAPHORE_INIT(1);
    cress_async_result result = { 0 };
    cress_greenlet *ended = cress_spawn(return_value, NULL);
    cress_waitable *objects[] = { &set.waitable };
    cress_timeout limit;
    void *item;

    cress_async_result_set(&result, "x");
    assert_ok(cress_join(ended, CRESS_FOREVER));
    cress_timeout_start(&limit, 1);
    assert_ok(cress_check());
    assert_errno(ETIMEDOUT, cress_sleep(2));
    /* From now on even what would not have to wait fails. */
    assert_errno(ETIMEDOUT, cress_check());
    assert_errno(ETIMEDOUT, cress_sleep(0));
    assert_errno(ETIMEDOUT, cress_event_wait(&set, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, "x", CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_queue_get(&queue, &item, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_semaphore_acquire(&semaphore, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_async_result_get(&result, &item, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 1, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_join(ended, CRESS_FOREVER));
    cress_timeout_close(&limit);
    assert_time(1);
    assert_ok(cress_event_wait(&set, CRESS_FOREVER));
    assert_ok(cress_join(ended, CRESS_FOREVER));
    assert_int_equal(cress_queue_size(&queue), 0);
    assert_int_equal(cress_semaphore_free_count(&semaphore), 1);
    cress_release(ended);
}

static void test_deadline_set_anew(void)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 2);
    limit.deadline = cress_now() + 5;
    assert_ok(cress_sleep(3));
    limit.deadline = cress_now() + 1;
    assert_errno(ETIMEDOUT, cress_sleep(3));
    assert_time(4);
    cress_timeout_close(&limit);
    assert_ok(cress_sleep(1));
}

/* Whether or not there is one further out. */
static void test_deadline_set_anew_after_it_has_passed(void)
{
    cress_timeout outer, limit;

    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_sleep(2));
    limit.deadline = cress_now() + 5;
    assert_true(cress_timeout_expired(&limit));
    assert_errno(ETIMEDOUT, cress_check());
    assert_errno(ETIMEDOUT, cress_sleep(1));
    cress_timeout_close(&limit);
    assert_time(1);

    cress_timeout_start(&outer, 100);
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_sleep(2));
    limit.deadline = CRESS_FOREVER;
    assert_errno(ETIMEDOUT, cress_sleep(1));
    cress_timeout_close(&limit);
    assert_ok(cress_sleep(1));
    cress_timeout_close(&outer);
    assert_time(3);
}

/* No call has been told of it: as if it had been closed and another one opened. */
static void test_deadline_set_anew_before_anybody_was_told(void)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 0);
    assert_true(cress_timeout_expired(&limit));
    limit.deadline = cress_now() + 5;
    assert_false(cress_timeout_expired(&limit));
    assert_ok(cress_sleep(1));
    cress_timeout_close(&limit);
    assert_false(cress_timeout_expired(&limit));
}

static void test_inner_passes_first(void)
{
    cress_timeout outer, inner;

    cress_timeout_start(&outer, 5);
    cress_timeout_start(&inner, 2);
    assert_errno(ETIMEDOUT, cress_sleep(10));
    assert_time(2);
    assert_true(cress_timeout_expired(&inner));
    assert_false(cress_timeout_expired(&outer));
    cress_timeout_close(&inner);
    assert_ok(cress_sleep(1));
    assert_errno(ETIMEDOUT, cress_sleep(10));
    assert_time(5);
    cress_timeout_close(&outer);
    assert_true(cress_timeout_expired(&outer));
}

static void test_outer_passes_first(void)
{
    cress_timeout outer, inner;

    cress_timeout_start(&outer, 2);
    cress_timeout_start(&inner, 5);
    assert_errno(ETIMEDOUT, cress_sleep(10));
    assert_time(2);
    assert_false(cress_timeout_expired(&inner));
    assert_true(cress_timeout_expired(&outer));
    assert_errno(ETIMEDOUT, cress_sleep(0));
    cress_timeout_close(&inner);
    assert_false(cress_timeout_expired(&inner));
    assert_errno(ETIMEDOUT, cress_sleep(0));
    cress_timeout_close(&outer);
    assert_ok(cress_sleep(0));
}

static void test_calls_own_limit_is_no_open_one(void)
{
    cress_event event = { 0 };
    cress_timeout limit;

    cress_timeout_start(&limit, 5);
    assert_errno(ETIMEDOUT, cress_event_wait(&event, 1));
    assert_time(1);
    assert_false(cress_timeout_expired(&limit));
    assert_ok(cress_sleep(1));
    cress_timeout_close(&limit);
}

static void test_zero_and_forever(void)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 0);
    assert_true(cress_timeout_expired(&limit));
    assert_errno(ETIMEDOUT, cress_sleep(0));
    cress_timeout_close(&limit);
    cress_timeout_start(&limit, CRESS_FOREVER);
    assert_ok(cress_sleep(1e9));
    assert_false(cress_timeout_expired(&limit));
    cress_timeout_close(&limit);
    assert_false(cress_timeout_expired(&limit));
}

static void test_shield_hides_outer_limits(void)
{
    cress_timeout outer, shield, inside;

    cress_timeout_start(&outer, 1);
    assert_errno(ETIMEDOUT, cress_sleep(2));
    cress_timeout_start_shielded(&shield, 10);
    assert_ok(cress_sleep(5));
    assert_time(6);
    cress_timeout_start(&inside, 1);
    assert_errno(ETIMEDOUT, cress_sleep(2));
    cress_timeout_close(&inside);
    assert_ok(cress_sleep(1));
    assert_errno(ETIMEDOUT, cress_sleep(100)); /* the shield is a limit itself */
    assert_time(11);
    assert_true(cress_timeout_expired(&shield));
    cress_timeout_close(&shield);
    assert_errno(ETIMEDOUT, cress_sleep(0));
    cress_timeout_close(&outer);
    assert_ok(cress_sleep(0));
}

static void *shield_first(void *arg)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    trace("shielded: %d", cress_sleep(5));
    cress_timeout_close(&shield);
    assert_errno(ECANCELED, cress_sleep(0));
    trace("bare at %g", cress_now());
    return arg;
}

static void test_shield_hides_a_kill(void)
{
    cress_greenlet *g = cress_spawn(shield_first, NULL);

    assert_ok(cress_sleep(1));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_trace("shielded: 0\nbare at 5\n");
    assert_true(cress_was_killed(g));
    cress_release(g);
}

static cress_event event;

static void *set_event(void *arg)
{
    cress_event_set(&event);
    return arg;
}

/* Both in one turn of the loop: whoever comes first decides, and nothing is lost. */
static void test_wake_and_limit_together(void)
{
    cress_timeout limit;

    event = (cress_event){ 0 };
    cress_release(cress_spawn_later(1, set_event, NULL));
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_event_wait(&event, CRESS_FOREVER));
    cress_timeout_close(&limit);
    settle();
    assert_ok(cress_event_wait(&event, 0));
}

static void *sleep_10(void *arg)
{
    return cress_sleep(10) < 0 ? NULL : arg;
}

static void *sleep_1(void *arg)
{
    return cress_sleep(1) < 0 ? NULL : arg;
}

static void test_with_timeout(void)
{
    assert_string_equal(cress_with_timeout(5, sleep_10, "done", "too late"), "too late");
    assert_time(5);
    assert_string_equal(cress_with_timeout(5, sleep_1, "done", "too late"), "done");
    assert_time(6);
    assert_ok(cress_sleep(0));
}

static void test_tutorial(void)
{
    cress_greenlet *threads[2];
    cress_timeout limit;

    threads[0] = cress_spawn(sleep_10, NULL);
    cress_timeout_start(&limit, 1);
    if (cress_join(threads[0], CRESS_FOREVER) < 0)
        trace("Thread 1 timed out at %g", cress_now());
    cress_timeout_close(&limit);
    threads[1] = cress_spawn(sleep_10, NULL);
    cress_timeout_start(&limit, 1);
    if (cress_get(threads[1], NULL, CRESS_FOREVER) < 0)
        trace("Thread 2 timed out at %g", cress_now());
    cress_timeout_close(&limit);
    if (!cress_with_timeout(1, sleep_10, "slept", NULL))
        trace("Thread 3 timed out at %g", cress_now());
    assert_trace("Thread 1 timed out at 1\nThread 2 timed out at 2\nThread 3 timed out at 3\n");
    assert_false(cress_ready(threads[0])); /* those waited for go on */
    assert_ok(cress_joinall(threads, 2, CRESS_FOREVER));
    assert_time(11);
    cress_release(threads[0]);
    cress_release(threads[1]);
}

static void *limited_work(void *arg)
{
    cress_timeout limit;

    cress_timeout_start(&limit, *(double *)arg);
    assert_errno(ETIMEDOUT, cress_sleep(100));
    trace("%g until %g", *(double *)arg, cress_now());
    cress_timeout_close(&limit);
    return NULL;
}

static void test_each_greenlet_has_its_own(void)
{
    double spans[] = { 3, 1, 2 };

    for (size_t i = 0; i < 3; i++)
        spawn(limited_work, &spans[i]);
    assert_ok(cress_sleep(50));
    assert_trace("1 until 1\n2 until 2\n3 until 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_limit_over_a_sleep),
        HUB_TEST(test_limit_that_does_not_pass),
        HUB_TEST(test_stays_in_force),
        HUB_TEST(test_deadline_set_anew),
        HUB_TEST(test_deadline_set_anew_after_it_has_passed),
        HUB_TEST(test_deadline_set_anew_before_anybody_was_told),
        HUB_TEST(test_inner_passes_first),
        HUB_TEST(test_outer_passes_first),
        HUB_TEST(test_calls_own_limit_is_no_open_one),
        HUB_TEST(test_zero_and_forever),
        HUB_TEST(test_shield_hides_outer_limits),
        HUB_TEST(test_shield_hides_a_kill),
        HUB_TEST(test_wake_and_limit_together),
        HUB_TEST(test_with_timeout),
        HUB_TEST(test_tutorial),
        HUB_TEST(test_each_greenlet_has_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
