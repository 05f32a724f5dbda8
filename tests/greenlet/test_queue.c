#include "fail_alloc.h"
#include "hub_test.h"
#include "other_hub.h"
#include "stress.h"

#include <cress/queue.h>

#include <stdio.h>

static cress_queue queue;

static void renew(cress_queue fresh)
{
    cress_queue_finish(&queue);
    queue = fresh;
}

static void renew_queue(size_t max)
{
    renew((cress_queue)CRESS_QUEUE_INIT(max));
}

static void renew_lifo(size_t max)
{
    renew((cress_queue)CRESS_LIFO_QUEUE_INIT(max));
}

static void renew_channel(void)
{
    renew((cress_queue)CRESS_CHANNEL_INIT);
}

/* Numbers are ranked by their tens: 23 and 29 are equal. */
static int compare_tens(const void *a, const void *b)
{
    size_t left = (size_t)a / 10, right = (size_t)b / 10;

    return (left > right) - (left < right);
}

static void renew_priority(size_t max)
{
    renew((cress_queue)CRESS_PRIORITY_QUEUE_INIT(max, compare_tens));
}

static void *number(size_t n)
{
    return (void *)n;
}

static void put_number(size_t n)
{
    assert_ok(cress_queue_put(&queue, number(n), 0));
}

static size_t peek_number(void)
{
    void *item = NULL;

    assert_ok(cress_queue_peek(&queue, &item, 0));
    return (size_t)item;
}

static bool is_ready(void)
{
    cress_waitable *objects[] = { cress_queue_waitable(&queue) };

    return cress_wait_any(objects, 1, 0) == 0;
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

/* ---- the other kinds --------------------------------------------------------------- */

static void test_lifo(void)
{
    size_t next = 0;

    renew_lifo(0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 5; i++)
            put_number(next++);
        assert_int_equal(peek_number(), next - 1);
        for (int i = 0; i < 2; i++)
            assert_int_equal(get_number(), --next);
    }
    while (next > 0)
        assert_int_equal(get_number(), --next);
    assert_true(cress_queue_empty(&queue));
    assert_false(is_ready());
}

static void test_lifo_putter_comes_in_on_top(void)
{
    renew_lifo(2);
    put_number(1);
    put_number(2);
    spawn(put, number(3));
    spawn(put, number(4));
    settle();
    assert_int_equal(get_number(), 2);
    assert_int_equal(get_number(), 3);
    assert_int_equal(get_number(), 4);
    assert_int_equal(get_number(), 1);
    settle();
    assert_trace("put 3: 0 (0)\nput 4: 0 (0)\n");
}

static void test_lifo_getters_are_served_in_order(void)
{
    renew_lifo(0);
    spawn(get, "a");
    spawn(get, "b");
    settle();
    put_number(1);
    put_number(2);
    settle();
    assert_trace("a: 0 1 (0)\nb: 0 2 (0)\n");
}

static void test_priority(void)
{
    static const size_t in[] = { 51, 12, 33, 19, 50, 11, 7, 32, 59, 10 };
    static const size_t out[] = { 7, 12, 19, 11, 10, 33, 32, 51, 50, 59 };

    renew_priority(0);
    for (size_t i = 0; i < 10; i++)
        put_number(in[i]);
    assert_int_equal(peek_number(), 7);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(get_number(), out[i]);
    assert_false(is_ready());
}

static void test_priority_of_many(void)
{
    enum { RANKS = 37, MANY = 3000 };
    size_t last = 0;

    renew_priority(0);
    for (size_t i = 0; i < MANY; i++) /* ranks up and down, each item another number */
        put_number(i * 7919 % RANKS * 100000 * 10 + i % 10);
    for (size_t i = 0; i < MANY; i++) {
        size_t n = get_number();

        assert_true(n / 10 >= last / 10);
        last = n;
    }
}

/* Equal ones come out as they were put, also when others come and go between. */
static void test_priority_is_stable(void)
{
    size_t next = 0;

    renew_priority(0);
    for (size_t i = 0; i < 10; i++) {
        put_number(100 + i);
        put_number(10 + i);
        put_number(200);
        assert_int_equal(get_number(), 10 + i);
    }
    while (cress_queue_size(&queue) > 10)
        assert_int_equal(get_number(), 100 + next++);
    assert_int_equal(next, 10);
}

static void test_priority_with_a_bound(void)
{
    renew_priority(2);
    put_number(50);
    put_number(60);
    spawn(put, number(70));
    spawn(put, number(10)); /* the smallest of all, yet it waits its turn */
    settle();
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(1), 0));
    assert_int_equal(get_number(), 50);
    assert_int_equal(get_number(), 60);
    assert_int_equal(get_number(), 10);
    assert_int_equal(get_number(), 70);
    settle();
    assert_trace("put 70: 0 (0)\nput 10: 0 (0)\n");
}

static void test_priority_hands_over(void)
{
    renew_priority(0);
    spawn(get, "a");
    spawn(get, "b");
    settle();
    put_number(90);
    put_number(10);
    put_number(50);
    put_number(20);
    settle();
    assert_trace("a: 0 90 (0)\nb: 0 10 (0)\n");
    assert_int_equal(get_number(), 20);
    assert_int_equal(get_number(), 50);
}

static void test_priority_has_no_memory(void)
{
    size_t count = 0;

    renew_priority(0);
    allocations_left = 1;
    while (cress_queue_put(&queue, number(1000 - count), 0) == 0)
        count++;
    assert_int_equal(errno, ENOMEM);
    assert_true(end_failing());
    assert_int_equal(cress_queue_size(&queue), count);
    assert_int_equal(cress_queue_unfinished(&queue), count);
    put_number(0);
    assert_int_equal(get_number(), 0);
}

static void test_channel_putter_waits_for_a_getter(void)
{
    renew_channel();
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(1), 0));
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(1), 2));
    assert_time(2);
    assert_false(is_ready());
    spawn(put, number(2));
    spawn(put, number(3));
    settle();
    assert_trace("");
    assert_true(cress_queue_empty(&queue) && cress_queue_full(&queue));
    assert_int_equal(get_number(), 2);
    assert_true(is_ready());
    settle();
    assert_trace("put 2: 0 (0)\n");
    assert_int_equal(get_number(), 3);
    assert_false(is_ready());
    settle();
    assert_trace("put 3: 0 (0)\n");
}

static void test_channel_getter_waits_for_a_putter(void)
{
    void *item;

    renew_channel();
    assert_errno(ETIMEDOUT, cress_queue_get(&queue, &item, 0));
    spawn(get, "a");
    spawn(get, "b");
    settle();
    put_number(1); /* a takes it at once: nothing to wait for */
    put_number(2);
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(3), 0));
    settle();
    assert_trace("a: 0 1 (0)\nb: 0 2 (0)\n");
}

static void test_channel_putter_who_leaves(void)
{
    void *item;

    renew_channel();

    cress_greenlet *a = cress_spawn(put, number(1)), *b = cress_spawn(put, number(2));

    settle();
    cress_cancel(a);
    assert_int_equal(get_number(), 2); /* before a has run */
    cress_cancel(b);                   /* too late */
    assert_errno(ETIMEDOUT, cress_queue_get(&queue, &item, 0));
    settle();
    assert_trace("put 1: -1 (125)\nput 2: 0 (0)\n");
    cress_release(a);
    cress_release(b);

    cress_greenlet *c = cress_spawn(put, number(3));

    settle();
    assert_true(is_ready());
    assert_ok(cress_kill(c, CRESS_FOREVER));
    assert_false(is_ready());
    assert_trace("put 3: -1 (125)\n");
    cress_release(c);
}

static void test_channel_getter_who_leaves(void)
{
    renew_channel();

    cress_greenlet *a = cress_spawn(get, "a"), *b = cress_spawn(get, "b");

    settle();
    cress_cancel(a);
    put_number(1);
    cress_cancel(b);
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(2), 0));
    settle();
    assert_trace("a: -1 0 (125)\nb: 0 1 (0)\n");
    cress_release(a);
    cress_release(b);
}

static void test_channel_peek(void)
{
    renew_channel();
    spawn(peek, "p");
    settle();
    spawn(put, number(1));
    spawn(put, number(2));
    settle();
    assert_trace("p sees: 0 1 (0)\n");
    assert_int_equal(peek_number(), 1);
    assert_int_equal(get_number(), 1);
    assert_int_equal(peek_number(), 2);
    assert_int_equal(get_number(), 2);
    settle();
    assert_trace("put 1: 0 (0)\nput 2: 0 (0)\n");
}

static void *await_ready(void *arg)
{
    cress_waitable *objects[] = { cress_queue_waitable(&queue) };

    trace("%s: %zd", (char *)arg, cress_wait_any(objects, 1, CRESS_FOREVER));
    return NULL;
}

static void test_channel_in_wait_any(void)
{
    renew_channel();
    spawn(await_ready, "w");
    settle();
    assert_errno(ETIMEDOUT, cress_queue_put(&queue, number(1), 0)); /* offers nothing */
    settle();
    assert_trace("");
    spawn(put, number(2));
    settle();
    assert_trace("w: 0\n");
    assert_int_equal(get_number(), 2);
    settle();
    assert_trace("put 2: 0 (0)\n");
}

static void test_channel_closes(void)
{
    void *item;

    renew_channel();
    spawn(put, number(1));
    settle();
    cress_queue_close(&queue);
    assert_errno(EPIPE, cress_queue_get(&queue, &item, CRESS_FOREVER)); /* it kept its item */
    assert_errno(EPIPE, cress_queue_peek(&queue, &item, CRESS_FOREVER));
    assert_true(is_ready());
    settle();
    assert_trace("put 1: -1 (32)\n");
    renew_channel();
    spawn(get, "a");
    settle();
    cress_queue_close_now(&queue, NULL);
    settle();
    assert_trace("a: -1 0 (32)\n");
}

static void put_into_channel_when_ended(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_ok(cress_queue_put(arg, number(5), CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_queue_put(arg, number(6), 0));
    assert_errno(EPERM, cress_queue_put(arg, number(6), CRESS_FOREVER));
    assert_false(cress_queue_waitable(arg)->ready);
}

static void test_channel_put_from_a_link(void)
{
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    renew_channel();
    spawn(get, "a");
    settle();
    assert_ok(cress_link(g, put_into_channel_when_ended, &queue));
    settle();
    assert_trace("a: 0 5 (0)\n");
    cress_release(g);
}

/* ---- closing at once ----------------------------------------------------------------- */

static void drop(void *item)
{
    trace("dropped %zu", (size_t)item);
}

static void test_close_now_drops(void)
{
    void *item;

    renew_queue(2);
    put_number(1);
    put_number(2);
    spawn(put, number(3));
    settle();
    assert_false(cress_queue_closed(&queue));
    cress_queue_close_now(&queue, drop);
    assert_true(cress_queue_closed(&queue));
    assert_true(cress_queue_empty(&queue));
    assert_int_equal(cress_queue_unfinished(&queue), 0);
    assert_errno(EPIPE, cress_queue_get(&queue, &item, CRESS_FOREVER));
    assert_true(is_ready());
    settle();
    assert_trace("dropped 1\ndropped 2\nput 3: -1 (32)\n");
}

static void test_close_now_drops_in_order_of_gets(void)
{
    renew_priority(0);
    put_number(30);
    put_number(10);
    put_number(20);
    cress_queue_close_now(&queue, drop);
    assert_trace("dropped 10\ndropped 20\ndropped 30\n");
    renew_lifo(0);
    put_number(1);
    put_number(2);
    cress_queue_close_now(&queue, NULL);
    assert_true(cress_queue_empty(&queue));
}

static void test_close_now_after_close(void)
{
    renew_queue(0);
    put_number(1);
    put_number(2);
    cress_queue_close(&queue);
    cress_queue_close(&queue);
    assert_true(cress_queue_closed(&queue));
    assert_int_equal(get_number(), 1);
    cress_queue_close_now(&queue, drop);
    cress_queue_close_now(&queue, drop);
    assert_trace("dropped 2\n");
    assert_int_equal(cress_queue_unfinished(&queue), 1); /* the one that was got */
}

static void test_close_now_of_what_is_done(void)
{
    renew_queue(0);
    put_number(1);
    put_number(2);
    assert_ok(cress_queue_task_done(&queue)); /* done with 1, which was peeked at */
    assert_ok(cress_queue_task_done(&queue));
    cress_queue_close_now(&queue, drop);
    assert_trace("dropped 1\ndropped 2\n");
    assert_int_equal(cress_queue_unfinished(&queue), 0);
    assert_ok(cress_queue_join(&queue, CRESS_FOREVER));
}

static void drop_and_get(void *item)
{
    void *other;

    trace("dropped %zu", (size_t)item);
    if (cress_queue_get(&queue, &other, 0) == 0)
        trace("and got %zu", (size_t)other);
}

static void test_drop_may_use_the_queue(void)
{
    renew_queue(0);
    for (size_t i = 1; i <= 3; i++)
        put_number(i);
    cress_queue_close_now(&queue, drop_and_get);
    assert_trace("dropped 1\nand got 2\ndropped 3\n");
    assert_int_equal(cress_queue_unfinished(&queue), 1);
}

/* ---- joining --------------------------------------------------------------------------- */

static void *join(void *arg)
{
    int result = cress_queue_join(&queue, CRESS_FOREVER);

    trace("%s joined: %d (%d)", (char *)arg, result, result < 0 ? errno : 0);
    return NULL;
}

static void test_join(void)
{
    renew_queue(0);
    assert_ok(cress_queue_join(&queue, 0)); /* nothing was ever put */
    put_number(1);
    put_number(2);
    assert_errno(ETIMEDOUT, cress_queue_join(&queue, 0));
    assert_errno(ETIMEDOUT, cress_queue_join(&queue, 2));
    assert_time(2);
    spawn(join, "a");
    spawn(join, "b");
    settle();
    get_number();
    assert_ok(cress_queue_task_done(&queue));
    get_number();
    settle();
    assert_trace(""); /* the second is in the works */
    assert_ok(cress_queue_task_done(&queue));
    settle();
    assert_trace("a joined: 0 (0)\nb joined: 0 (0)\n");
}

static void test_join_counts_what_was_handed_over(void)
{
    renew_queue(0);
    spawn(get, "a");
    settle();
    put_number(1);
    assert_int_equal(cress_queue_unfinished(&queue), 1);
    assert_errno(ETIMEDOUT, cress_queue_join(&queue, 0));
    settle();
    assert_trace("a: 0 1 (0)\n");
    assert_ok(cress_queue_task_done(&queue));
    assert_ok(cress_queue_join(&queue, 0));
}

static void test_join_counts_putters_when_they_come_in(void)
{
    renew_queue(1);
    put_number(1);

    cress_greenlet *a = cress_spawn(put, number(2));

    spawn(put, number(3));
    settle();
    assert_int_equal(cress_queue_unfinished(&queue), 1);
    assert_ok(cress_kill(a, CRESS_FOREVER));
    assert_int_equal(get_number(), 1);
    assert_int_equal(cress_queue_unfinished(&queue), 2);
    settle();
    assert_trace("put 2: -1 (125)\nput 3: 0 (0)\n");
    cress_release(a);
}

static void test_join_of_a_channel(void)
{
    renew_channel();
    spawn(put, number(1));
    settle();
    assert_ok(cress_queue_join(&queue, 0)); /* its item is not in yet */
    assert_int_equal(get_number(), 1);
    spawn(join, "a");
    settle();
    assert_trace("put 1: 0 (0)\n");
    assert_ok(cress_queue_task_done(&queue));
    settle();
    assert_trace("a joined: 0 (0)\n");
}

static void test_join_while_it_closes(void)
{
    renew_queue(0);
    put_number(1);
    put_number(2);
    assert_int_equal(get_number(), 1);
    spawn(join, "a");
    settle();
    cress_queue_close(&queue);
    settle();
    assert_trace("");
    cress_queue_close_now(&queue, NULL); /* 2 will never be done */
    settle();
    assert_trace("");
    assert_ok(cress_queue_task_done(&queue));
    settle();
    assert_trace("a joined: 0 (0)\n");
}

static void test_close_now_wakes_joiners(void)
{
    renew_queue(0);
    put_number(1);
    spawn(join, "a");
    settle();
    cress_queue_close_now(&queue, NULL);
    settle();
    assert_trace("a joined: 0 (0)\n");
}

static void test_joined_though_more_came(void)
{
    renew_queue(0);
    put_number(1);
    spawn(join, "a");
    settle();
    assert_ok(cress_queue_task_done(&queue));
    put_number(2); /* before a has run */
    settle();
    assert_trace("a joined: 0 (0)\n");
}

static void test_killed_joiner(void)
{
    renew_queue(0);
    put_number(1);

    cress_greenlet *a = cress_spawn(join, "a");

    spawn(join, "b");
    settle();
    cress_cancel(a);
    assert_ok(cress_queue_task_done(&queue));
    settle();
    assert_trace("a joined: -1 (125)\nb joined: 0 (0)\n");
    cress_release(a);
}

static void task_done_when_ended(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_ok(cress_queue_task_done(arg));
    assert_ok(cress_queue_join(arg, CRESS_FOREVER));
}

static void test_task_done_from_a_link(void)
{
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    renew_queue(0);
    put_number(1);
    spawn(join, "a");
    assert_ok(cress_link(g, task_done_when_ended, &queue));
    settle();
    assert_trace("a joined: 0 (0)\n");
    cress_release(g);
}

/* ---- misuse ---------------------------------------------------------------------------- */

static void *put_on_closed(void *arg)
{
    renew_queue(0);
    cress_queue_close(&queue);
    assert_errno(EPIPE, cress_queue_put(&queue, number(1), CRESS_FOREVER));
    return arg;
}

static void *rank_without_comparison(void *arg)
{
    renew((cress_queue)CRESS_PRIORITY_QUEUE_INIT(0, NULL));
    assert_errno(EINVAL, cress_queue_put(&queue, number(1), CRESS_FOREVER));
    return arg;
}

static void *do_more_than_was_put(void *arg)
{
    renew_queue(0);
    assert_errno(EINVAL, cress_queue_task_done(&queue));
    put_number(1);
    assert_ok(cress_queue_task_done(&queue));
    assert_errno(EINVAL, cress_queue_task_done(&queue));
    assert_int_equal(get_number(), 1);
    return arg;
}

static void *finish_with_a_getter(void *arg)
{
    renew_queue(0);
    spawn(get, "a");
    settle();
    errno = EXDEV;
    cress_queue_finish(&queue);
    assert_int_equal(errno, EXDEV);
    cress_queue_close(&queue);
    settle();
    assert_trace("a: -1 0 (32)\n");
    return arg;
}

static void *use_from_outside(void *arg)
{
    void *item;

    assert_errno(EPERM, cress_queue_put(&queue, number(1), CRESS_FOREVER));
    assert_errno(EPERM, cress_queue_get(&queue, &item, CRESS_FOREVER));
    assert_errno(EPERM, cress_queue_peek(&queue, &item, CRESS_FOREVER));
    cress_queue_close(&queue);
    cress_queue_close_now(&queue, NULL);
    return arg;
}

static void *use_in_another_thread(void *arg)
{
    renew_queue(0);
    spawn(get, "a");
    settle();
    run_in_other_hub(use_from_outside, NULL);
    assert_false(cress_queue_closed(&queue));
    put_number(1);
    settle();
    assert_trace("a: 0 1 (0)\n");
    return arg;
}

static void *join_from_outside(void *arg)
{
    assert_errno(EPERM, cress_queue_task_done(&queue));
    assert_errno(EPERM, cress_queue_join(&queue, CRESS_FOREVER));
    assert_int_equal(cress_queue_unfinished(&queue), 1);
    return arg;
}

static void *join_in_another_thread(void *arg)
{
    renew_queue(0);
    put_number(1);
    spawn(join, "a");
    settle();
    run_in_other_hub(join_from_outside, NULL);
    assert_ok(cress_queue_task_done(&queue));
    settle();
    assert_trace("a joined: 0 (0)\n");
    return arg;
}

static void *use_channel_from_outside(void *arg)
{
    void *item;

    assert_errno(EPERM, cress_queue_get(&queue, &item, CRESS_FOREVER));
    assert_errno(EPERM, cress_queue_peek(&queue, &item, CRESS_FOREVER));
    assert_errno(EPERM, cress_queue_put(&queue, number(2), CRESS_FOREVER));
    return arg;
}

static void *use_channel_in_another_thread(void *arg)
{
    renew_channel();
    spawn(put, number(1));
    settle();
    run_in_other_hub(use_channel_from_outside, NULL);
    assert_true(is_ready());
    assert_int_equal(get_number(), 1);
    assert_false(is_ready());
    settle();
    assert_trace("put 1: 0 (0)\n");
    return arg;
}

static void *close_from_outside(void *arg)
{
    cress_queue_close(&queue);
    return arg;
}

static void *close_in_another_thread(void *arg)
{
    renew_queue(0);
    spawn(get, "a");
    settle();
    run_in_other_hub(close_from_outside, NULL);
    return arg;
}

static void test_misuse_is_reported(void)
{
    use_in_another_thread(NULL);
    join_in_another_thread(NULL);
    use_channel_in_another_thread(NULL);
    put_on_closed(NULL);
    rank_without_comparison(NULL);
    do_more_than_was_put(NULL);
    finish_with_a_getter(NULL);
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(put_on_closed, "greenlet main: misuse: cress_queue_put: the queue is closed");
    assert_misuse(use_in_another_thread, "misuse: greenlets of another thread wait");
    assert_misuse(join_in_another_thread, "misuse: greenlets of another thread wait");
    assert_misuse(use_channel_in_another_thread, "misuse: greenlets of another thread wait");
    assert_misuse(close_in_another_thread, "misuse: greenlets of another thread wait");
    assert_misuse(rank_without_comparison,
                  "misuse: cress_queue_put: a priority queue without a comparison");
    assert_misuse(do_more_than_was_put,
                  "misuse: cress_queue_task_done: called more often than items were put");
    assert_misuse(finish_with_a_getter, "misuse: cress_queue_finish: somebody waits in the queue");
}

static void test_finish_nothing(void)
{
    errno = EXDEV;
    cress_queue_finish(NULL);
    assert_int_equal(errno, EXDEV);
}

/* ---- in any order ------------------------------------------------------------------------ */

static void test_stress(void **state)
{
    (void)state;
    stress_seeds(stress_queue);
    stress_seeds(stress_lifo_queue);
    stress_seeds(stress_priority_queue);
    stress_seeds(stress_channel);
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
        HUB_TEST(test_lifo),
        HUB_TEST(test_lifo_putter_comes_in_on_top),
        HUB_TEST(test_lifo_getters_are_served_in_order),
        HUB_TEST(test_priority),
        HUB_TEST(test_priority_of_many),
        HUB_TEST(test_priority_is_stable),
        HUB_TEST(test_priority_with_a_bound),
        HUB_TEST(test_priority_hands_over),
        HUB_TEST(test_priority_has_no_memory),
        HUB_TEST(test_channel_putter_waits_for_a_getter),
        HUB_TEST(test_channel_getter_waits_for_a_putter),
        HUB_TEST(test_channel_putter_who_leaves),
        HUB_TEST(test_channel_getter_who_leaves),
        HUB_TEST(test_channel_peek),
        HUB_TEST(test_channel_in_wait_any),
        HUB_TEST(test_channel_closes),
        HUB_TEST(test_channel_put_from_a_link),
        HUB_TEST(test_close_now_drops),
        HUB_TEST(test_close_now_drops_in_order_of_gets),
        HUB_TEST(test_close_now_after_close),
        HUB_TEST(test_close_now_of_what_is_done),
        HUB_TEST(test_drop_may_use_the_queue),
        HUB_TEST(test_join),
        HUB_TEST(test_join_counts_what_was_handed_over),
        HUB_TEST(test_join_counts_putters_when_they_come_in),
        HUB_TEST(test_join_of_a_channel),
        HUB_TEST(test_join_while_it_closes),
        HUB_TEST(test_close_now_wakes_joiners),
        HUB_TEST(test_joined_though_more_came),
        HUB_TEST(test_killed_joiner),
        HUB_TEST(test_task_done_from_a_link),
        HUB_TEST(test_misuse_is_reported),
        HUB_TEST(test_finish_nothing),
        cmocka_unit_test(test_stress),
        HUB_TEST(test_tutorial_bounded),
        HUB_TEST(test_tutorial_unbounded),
        cmocka_unit_test(test_misuse_stops),
    };

    return cmocka_run_group_tests(tests, NULL, finish_queue);
}
