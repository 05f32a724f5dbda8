#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/queue.h>

#include <stdio.h>

static cress_queue queue;

static void renew_queue(size_t max)
{
    cress_queue_finish(&queue);
    queue = (cress_queue)CRESS_QUEUE_INIT(max);
}

static void *number(size_t n)
{
    return (void *)n;
}

static size_t get_number(void)
{
    void *item = NULL;

    assert_ok(cress_queue_get(&queue, &item, 0));
    return (size_t)item;
}

static void *get(void *arg)
{
    void *item = NULL;
    int result = cress_queue_get(&queue, &item, CRESS_FOREVER);

    trace("%s: %d %zu (%d)", (char *)arg, result, (size_t)item, result < 0 ? errno : 0);
    return NULL;
}

static void *put(void *arg)
{
    int result = cress_queue_put(&queue, arg, CRESS_FOREVER);

    trace("put %zu: %d (%d)", (size_t)arg, result, result < 0 ? errno : 0);
    return NULL;
}

static void test_fifo_while_it_grows(void)
{
    size_t next_put = 0, next_got = 0;

    renew_queue(0);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 7; i++)
            assert_ok(cress_queue_put(&queue, number(next_put++), 0));
        for (int i = 0; i < 4; i++)
            assert_int_equal(get_number(), next_got++);
    }
    assert_int_equal(cress_queue_size(&queue), 300);
    while (!cress_queue_empty(&queue))
        assert_int_equal(get_number(), next_got++);
    assert_int_equal(next_got, next_put);
}

static void test_bounds(void)
{
    renew_queue(3);
    for (size_t i = 0; i < 3; i++) {
        assert_false(cress_queue_full(&queue));
        assert_ok(cress_queue_put(&queue, number(i), 0));
    }
    assert_true(cress_queue_full(&queue));
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(9), 0));
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(9), 2));
    assert_time(2);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(get_number(), i);

    void *item = "untouched";

    assert_errno(ETIMEDOUT, cress_queue_get(&queue, &item, 1));
    assert_string_equal(item, "untouched");
    assert_time(3);
}

static void test_zeroed_is_unbounded(void)
{
    cress_queue q = { 0 };
    void *item;

    for (size_t i = 0; i < 1000; i++)
        assert_ok(cress_queue_put(&q, number(i), 0));
    assert_ok(cress_queue_get(&q, &item, 0));
    cress_queue_finish(&q);
    assert_true(cress_queue_empty(&q));
}

static void test_getters_are_served_in_order(void)
{
    renew_queue(0);
    spawn(get, "a");
    spawn(get, "b");
    spawn(get, "c");
    settle();
    for (size_t i = 1; i <= 3; i++)
        assert_ok(cress_queue_put(&queue, number(i), 0));
    assert_true(cress_queue_empty(&queue)); /* handed over already */
    settle();
    assert_trace("a: 0 1 (0)\nb: 0 2 (0)\nc: 0 3 (0)\n");
}

static void test_putters_come_in_in_order(void)
{
    renew_queue(1);
    assert_ok(cress_queue_put(&queue, number(1), 0));
    spawn(put, number(2));
    spawn(put, number(3));
    settle();
    assert_trace("");
    assert_int_equal(get_number(), 1);
    assert_true(cress_queue_full(&queue)); /* 2 has moved in */
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(9), 0));
    assert_int_equal(get_number(), 2);
    settle();
    assert_trace("put 2: 0 (0)\nput 3: 0 (0)\n");
    assert_int_equal(get_number(), 3);
}

static void test_killed_getter_takes_nothing(void)
{
    renew_queue(0);

    cress_greenlet *a = cress_spawn(get, "a");

    settle();
    cress_cancel(a);
    assert_ok(cress_queue_put(&queue, number(1), 0)); /* before a has run */
    settle();
    assert_trace("a: -1 0 (125)\n");
    assert_int_equal(get_number(), 1);
    cress_release(a);
}

static void *get_for_a_second(void *arg)
{
    void *item;

    (void)arg;
    assert_errno(ETIMEDOUT, cress_queue_get(&queue, &item, 1));
    trace("late");
    return NULL;
}

static void test_late_getter_takes_nothing(void)
{
    renew_queue(0);
    assert_non_null(cress_self());

    cress_greenlet *late = cress_spawn(get_for_a_second, NULL);

    /* Both wake at 1 s; this one, whose deadline is armed first, runs first and
     * finds the getter woken by its limit, but still in line. */
    assert_ok(cress_sleep(1));
    assert_ok(cress_queue_put(&queue, number(7), 0));
    assert_ok(cress_join(late, CRESS_FOREVER));
    cress_release(late);
    assert_trace("late\n");
    assert_int_equal(get_number(), 7);
}

static void test_item_handed_over_survives_a_kill(void)
{
    renew_queue(0);

    cress_greenlet *a = cress_spawn(get, "a");

    settle();
    assert_ok(cress_queue_put(&queue, number(1), 0));
    cress_cancel(a);
    settle();
    assert_trace("a: 0 1 (0)\n");
    cress_release(a);
}

static void test_killed_putter_puts_nothing(void)
{
    renew_queue(1);
    assert_ok(cress_queue_put(&queue, number(1), 0));

    cress_greenlet *a = cress_spawn(put, number(2));

    spawn(put, number(3));
    settle();
    cress_cancel(a);
    assert_int_equal(get_number(), 1);
    settle();
    assert_trace("put 2: -1 (125)\nput 3: 0 (0)\n");
    assert_int_equal(get_number(), 3);
    assert_true(cress_queue_empty(&queue));
    cress_release(a);
}

static void test_close_then_drain(void)
{
    void *item;

    renew_queue(2);
    assert_ok(cress_queue_put(&queue, number(1), 0));
    assert_ok(cress_queue_put(&queue, number(2), 0));
    spawn(put, number(3));
    settle();
    cress_queue_close(&queue);
    settle();
    assert_trace("put 3: -1 (32)\n");
    assert_int_equal(EPIPE, 32);
    assert_errno(EPIPE, cress_queue_put(&queue, number(4), CRESS_FOREVER));
    assert_int_equal(get_number(), 1);
    assert_int_equal(get_number(), 2);
    assert_errno(EPIPE, cress_queue_get(&queue, &item, CRESS_FOREVER));
    assert_errno(EPIPE, cress_queue_peek(&queue, &item, CRESS_FOREVER));
}

static void test_close_wakes_getters(void)
{
    renew_queue(0);
    spawn(get, "a");
    spawn(get, "b");
    settle();
    cress_queue_close(&queue);
    settle();
    assert_trace("a: -1 0 (32)\nb: -1 0 (32)\n");
}

static void *peek(void *arg)
{
    void *item = NULL;
    int result = cress_queue_peek(&queue, &item, CRESS_FOREVER);

    trace("%s sees: %d %zu (%d)", (char *)arg, result, (size_t)item, result < 0 ? errno : 0);
    return NULL;
}

static void test_peek_takes_nothing(void)
{
    void *item;

    renew_queue(0);
    assert_errno(ETIMEDOUT, cress_queue_peek(&queue, &item, 0));
    spawn(peek, "p");
    spawn(peek, "q");
    settle();
    assert_ok(cress_queue_put(&queue, number(1), 0));
    assert_ok(cress_queue_put(&queue, number(2), 0));
    settle();
    assert_trace("p sees: 0 1 (0)\nq sees: 0 1 (0)\n");
    assert_ok(cress_queue_peek(&queue, &item, 0));
    assert_int_equal(get_number(), 1);
    assert_int_equal(get_number(), 2);
}

static void test_peek_ahead_of_a_getter(void)
{
    renew_queue(0);
    spawn(peek, "p");
    spawn(get, "a");
    settle();
    assert_ok(cress_queue_put(&queue, number(1), 0)); /* a takes it: p sees nothing */
    settle();
    assert_trace("a: 0 1 (0)\n");
    assert_ok(cress_queue_put(&queue, number(2), 0));
    assert_int_equal(get_number(), 2); /* gone before p runs: it waits on */
    settle();
    assert_trace("");
    cress_queue_close(&queue);
    settle();
    assert_trace("p sees: -1 0 (32)\n");
}

static void *peek_for_2_seconds(void *arg)
{
    void *item;

    (void)arg;
    assert_errno(ETIMEDOUT, cress_queue_peek(&queue, &item, 2));
    trace("saw nothing until %g", cress_now());
    return NULL;
}

static void test_peek_keeps_its_deadline(void)
{
    renew_queue(0);
    spawn(peek_for_2_seconds, NULL);
    assert_ok(cress_sleep(1));
    assert_ok(cress_queue_put(&queue, number(1), 0));
    assert_int_equal(get_number(), 1);
    assert_ok(cress_sleep(5));
    assert_trace("saw nothing until 2\n");
}

/* Outside greenlets a put may be made, as long as it need not wait. */
static void put_when_ended(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_ok(cress_queue_put(arg, number(5), CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_queue_put(arg, number(6), 0));
    assert_errno(EPERM, cress_queue_put(arg, number(6), CRESS_FOREVER));
}

static void *return_at_once(void *arg)
{
    return arg;
}

static void test_put_from_a_link(void)
{
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    renew_queue(1);
    assert_ok(cress_link(g, put_when_ended, &queue));
    settle();
    assert_int_equal(get_number(), 5);
    cress_release(g);
}

static void *get_when_cancelled(void *arg)
{
    void *item;

    (void)arg;
    assert_errno(ECANCELED, cress_sleep(1));
    assert_errno(ECANCELED, cress_queue_get(&queue, &item, 0)); /* though there is one */
    assert_errno(ECANCELED, cress_queue_peek(&queue, &item, 0));
    assert_errno(ECANCELED, cress_queue_put(&queue, NULL, 0));
    return NULL;
}

static void test_killed_greenlet_gets_nothing_more(void)
{
    cress_greenlet *g = cress_spawn(get_when_cancelled, NULL);

    renew_queue(0);
    assert_ok(cress_queue_put(&queue, number(1), 0));
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_int_equal(cress_queue_size(&queue), 1);
}

static void test_no_memory_to_grow(void)
{
    size_t count = 0;

    renew_queue(0);
    allocations_left = 1;
    while (cress_queue_put(&queue, number(count), CRESS_FOREVER) == 0)
        count++;
    assert_int_equal(errno, ENOMEM);
    assert_true(end_failing());
    assert_int_equal(cress_queue_size(&queue), count);
    assert_ok(cress_queue_put(&queue, number(count), CRESS_FOREVER)); /* nothing is broken */
    for (size_t i = 0; i <= count; i++)
        assert_int_equal(get_number(), i);
}

/* ---- the tutorial's -------------------------------------------------------------- */

static void *worker(void *arg)
{
    void *item;

    while (cress_queue_get(&queue, &item, 1) == 0) {
        trace("Worker %s got task %zu", (char *)arg, (size_t)item);
        assert_ok(cress_sleep(0));
    }
    trace("Quitting time!");
    return NULL;
}

static void assign(size_t from, size_t to, int iteration)
{
    for (size_t i = from; i <= to; i++) {
        trace("Assigned work %zu in iteration %d", i, iteration);
        assert_ok(cress_queue_put(&queue, number(i), CRESS_FOREVER));
    }
    trace("Assigned all work in iteration %d", iteration);
}

static void *boss(void *arg)
{
    assign(1, 9, 1);
    assign(10, 19, 2);
    return arg;
}

static const char bounded_output[] = "Assigned work 1 in iteration 1\n"
                                     "Assigned work 2 in iteration 1\n"
                                     "Assigned work 3 in iteration 1\n"
                                     "Assigned work 4 in iteration 1\n"
                                     "Worker steve got task 1\n"
                                     "Worker john got task 2\n"
                                     "Worker bob got task 3\n"
                                     "Assigned work 5 in iteration 1\n"
                                     "Assigned work 6 in iteration 1\n"
                                     "Assigned work 7 in iteration 1\n"
                                     "Worker steve got task 4\n"
                                     "Worker john got task 5\n"
                                     "Worker bob got task 6\n"
                                     "Assigned work 8 in iteration 1\n"
                                     "Assigned work 9 in iteration 1\n"
                                     "Assigned all work in iteration 1\n"
                                     "Assigned work 10 in iteration 2\n"
                                     "Worker steve got task 7\n"
                                     "Worker john got task 8\n"
                                     "Worker bob got task 9\n"
                                     "Assigned work 11 in iteration 2\n"
                                     "Assigned work 12 in iteration 2\n"
                                     "Assigned work 13 in iteration 2\n"
                                     "Worker steve got task 10\n"
                                     "Worker john got task 11\n"
                                     "Worker bob got task 12\n"
                                     "Assigned work 14 in iteration 2\n"
                                     "Assigned work 15 in iteration 2\n"
                                     "Assigned work 16 in iteration 2\n"
                                     "Worker steve got task 13\n"
                                     "Worker john got task 14\n"
                                     "Worker bob got task 15\n"
                                     "Assigned work 17 in iteration 2\n"
                                     "Assigned work 18 in iteration 2\n"
                                     "Assigned work 19 in iteration 2\n"
                                     "Worker steve got task 16\n"
                                     "Worker john got task 17\n"
                                     "Worker bob got task 18\n"
                                     "Assigned all work in iteration 2\n"
                                     "Worker steve got task 19\n"
                                     "Quitting time!\n"
                                     "Quitting time!\n"
                                     "Quitting time!\n";

static void test_tutorial_bounded(void)
{
    renew_queue(3);
    spawn(boss, NULL);
    spawn(worker, "steve");
    spawn(worker, "john");
    spawn(worker, "bob");
    assert_ok(cress_sleep(10));
    assert_trace(bounded_output);
}

static void test_tutorial_unbounded(void)
{
    renew_queue(0);
    for (size_t i = 1; i <= 4; i++)
        assert_ok(cress_queue_put(&queue, number(i), 0));
    spawn(worker, "steve");
    spawn(worker, "john");
    spawn(worker, "nancy");
    assert_ok(cress_sleep(10));
    assert_trace("Worker steve got task 1\nWorker john got task 2\nWorker nancy got task 3\n"
                 "Worker steve got task 4\nQuitting time!\nQuitting time!\nQuitting time!\n");
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
        HUB_TEST(test_fifo_while_it_grows),
        HUB_TEST(test_bounds),
        HUB_TEST(test_zeroed_is_unbounded),
        HUB_TEST(test_getters_are_served_in_order),
        HUB_TEST(test_putters_come_in_in_order),
        HUB_TEST(test_killed_getter_takes_nothing),
        HUB_TEST(test_late_getter_takes_nothing),
        HUB_TEST(test_item_handed_over_survives_a_kill),
        HUB_TEST(test_killed_putter_puts_nothing),
        HUB_TEST(test_close_then_drain),
        HUB_TEST(test_close_wakes_getters),
        HUB_TEST(test_peek_takes_nothing),
        HUB_TEST(test_peek_ahead_of_a_getter),
        HUB_TEST(test_peek_keeps_its_deadline),
        HUB_TEST(test_put_from_a_link),
        HUB_TEST(test_killed_greenlet_gets_nothing_more),
        HUB_TEST(test_no_memory_to_grow),
        HUB_TEST(test_tutorial_bounded),
        HUB_TEST(test_tutorial_unbounded),
    };

    return cmocka_run_group_tests(tests, NULL, finish_queue);
}
