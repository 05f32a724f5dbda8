#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/async_result.h>
#include <cress/event.h>
#include <cress/queue.h>
#include <cress/semaphore.h>

static cress_event one, two, three;
static cress_queue queue;
static cress_semaphore semaphore;

static void reset(void)
{
    one = two = three = (cress_event){ 0 };
    cress_queue_finish(&queue);
    queue = (cress_queue){ 0 };
    semaphore = (cress_semaphore){ 0 };
}

static void *wait_for_events(void *arg)
{
    cress_waitable *objects[] = { &one.waitable, NULL, &two.waitable, &three.waitable };
    ssize_t index = cress_wait_any(objects, 4, CRESS_FOREVER);

    (void)arg;
    trace("%zd (%d)", index, index < 0 ? errno : 0);
    return NULL;
}

static void test_ready_at_once(void)
{
    cress_waitable *objects[] = { &one.waitable, NULL, &two.waitable, &three.waitable };

    reset();
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 4, 0));
    cress_event_set(&three);
    assert_int_equal(cress_wait_any(objects, 4, 0), 3);
    cress_event_set(&two);
    assert_int_equal(cress_wait_any(objects, 4, CRESS_FOREVER), 2);
}

static void test_woken_by_one(void)
{
    reset();
    spawn(wait_for_events, NULL);
    settle();
    cress_event_set(&two);
    settle();
    assert_trace("2 (0)\n");
}

static void test_lowest_of_several(void)
{
    reset();
    spawn(wait_for_events, NULL);
    settle();
    cress_event_set(&three);
    cress_event_set(&one);
    settle();
    assert_trace("0 (0)\n");
}

static void test_broadcast_is_seen(void)
{
    reset();
    spawn(wait_for_events, NULL);
    settle();
    cress_event_set(&three);
    cress_event_clear(&three);
    settle();
    assert_trace("3 (0)\n");
}

static void test_limits_and_kill(void)
{
    cress_waitable *objects[] = { &one.waitable };

    reset();
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 1, 2));
    assert_time(2);

    cress_greenlet *g = cress_spawn(wait_for_events, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_trace("-1 (125)\n");
    cress_release(g);
    cress_event_set(&one); /* nobody stands there any more */
}

static void test_nothing_to_wait_for(void)
{
    cress_waitable *objects[] = { NULL, NULL };

    assert_errno(EINVAL, cress_wait_any(objects, 2, CRESS_FOREVER));
    assert_errno(EINVAL, cress_wait_any(NULL, 0, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 2, 1));
    assert_time(1);
}

static void test_takes_nothing(void)
{
    cress_waitable *objects[] = { &semaphore.waitable, cress_queue_waitable(&queue) };
    void *item;

    reset();
    assert_ok(cress_queue_put(&queue, "item", 0));
    assert_int_equal(cress_wait_any(objects, 2, 0), 1);
    assert_int_equal(cress_wait_any(objects, 2, 0), 1);
    assert_ok(cress_semaphore_release(&semaphore));
    assert_int_equal(cress_wait_any(objects, 2, 0), 0);
    assert_ok(cress_semaphore_acquire(&semaphore, 0));
    assert_ok(cress_queue_get(&queue, &item, 0));
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 2, 0));
    cress_queue_close(&queue);
    assert_int_equal(cress_wait_any(objects, 2, 0), 1); /* a get would not wait */
}

static void *watch_both(void *arg)
{
    cress_waitable *objects[] = { &semaphore.waitable, cress_queue_waitable(&queue) };

    (void)arg;
    trace("watcher: %zd", cress_wait_any(objects, 2, CRESS_FOREVER));
    return NULL;
}

static void *take_both(void *arg)
{
    void *item;

    (void)arg;
    assert_ok(cress_queue_get(&queue, &item, CRESS_FOREVER));
    trace("taker: %s", (char *)item);
    assert_ok(cress_semaphore_acquire(&semaphore, CRESS_FOREVER));
    trace("taker: a place");
    return NULL;
}

static void test_takers_are_served_first(void)
{
    reset();
    spawn(watch_both, NULL);
    spawn(take_both, NULL);
    settle();
    assert_ok(cress_queue_put(&queue, "item", 0));
    settle();
    assert_ok(cress_semaphore_release(&semaphore));
    settle();
    assert_trace("taker: item\ntaker: a place\n");
    assert_ok(cress_semaphore_release(&semaphore));
    settle();
    assert_trace("watcher: 0\n");
    assert_int_equal(cress_semaphore_free_count(&semaphore), 1);
}

static void test_closed_queue_wakes_watchers(void)
{
    reset();
    spawn(watch_both, NULL);
    settle();
    cress_queue_close(&queue);
    settle();
    assert_trace("watcher: 1\n");
}

static void *sleep_a_second(void *arg)
{
    assert_ok(cress_sleep(1));
    return arg;
}

static void test_greenlets_and_results(void)
{
    cress_async_result result = CRESS_ASYNC_RESULT_INIT;
    cress_greenlet *g = cress_spawn(sleep_a_second, NULL);
    cress_waitable *objects[] = { &result.waitable, cress_greenlet_waitable(g) };

    assert_int_equal(cress_wait_any(objects, 2, CRESS_FOREVER), 1);
    assert_time(1);
    cress_async_result_fail(&result, EIO);
    assert_int_equal(cress_wait_any(objects, 2, CRESS_FOREVER), 0);
    cress_release(g);
}

enum { MANY = 100 };

static void *set_last(void *arg)
{
    cress_event_set((cress_event *)arg + MANY - 1);
    return NULL;
}

static void test_many(void)
{
    cress_event events[MANY] = { 0 };
    cress_waitable *objects[MANY];

    for (size_t i = 0; i < MANY; i++)
        objects[i] = &events[i].waitable;
    spawn(set_last, events);
    assert_int_equal(cress_wait_any(objects, MANY, CRESS_FOREVER), MANY - 1);
    for (size_t i = 0; i < MANY; i++)
        assert_null(events[i].waitable.first);
}

static void test_no_memory_for_many(void)
{
    cress_event events[MANY] = { 0 };
    cress_waitable *objects[MANY];

    for (size_t i = 0; i < MANY; i++)
        objects[i] = &events[i].waitable;
    allocations_left = 0;
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 16, 1)); /* few need none */
    assert_errno(ENOMEM, cress_wait_any(objects, MANY, 1));
    assert_true(end_failing());
    assert_time(1);
}

static int finish_queue(void **state)
{
    (void)state;
    cress_queue_finish(&queue);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_ready_at_once),
        HUB_TEST(test_woken_by_one),
        HUB_TEST(test_lowest_of_several),
        HUB_TEST(test_broadcast_is_seen),
        HUB_TEST(test_limits_and_kill),
        HUB_TEST(test_nothing_to_wait_for),
        HUB_TEST(test_takes_nothing),
        HUB_TEST(test_takers_are_served_first),
        HUB_TEST(test_closed_queue_wakes_watchers),
        HUB_TEST(test_greenlets_and_results),
        HUB_TEST(test_many),
        HUB_TEST(test_no_memory_for_many),
    };

    return cmocka_run_group_tests(tests, NULL, finish_queue);
}
