/* Deadlines against a plain list of them: what comes first, whatever joins and leaves. */
#include "../../greenlet/hub.h"

#include "hub_test.h"

#include <stdlib.h>
#include <string.h>

enum { GREENLETS = 200, STEPS = 20000 };

static struct timers timers;
static cress_greenlet greenlets[GREENLETS];
static struct timer model[GREENLETS]; /* in the order in which they were armed */
static size_t count;

static int begin(void **state)
{
    (void)state;
    for (size_t i = 0; i < GREENLETS; i++)
        greenlets[i] = (cress_greenlet){ .timer = TIMER_NONE };
    count = 0;
    return timers_reserve(&timers, 1);
}

static int end(void **state)
{
    (void)state;
    timers_finish(&timers);
    return 0;
}

static void add(cress_greenlet *g, cress_seconds deadline)
{
    timers_add(&timers, g, deadline);
    assert_int_not_equal(g->timer, TIMER_NONE);
    model[count++] = (struct timer){ .deadline = deadline, .greenlet = g };
}

static void take(size_t i)
{
    timers_remove(&timers, model[i].greenlet);
    assert_int_equal(model[i].greenlet->timer, TIMER_NONE);
    memmove(model + i, model + i + 1, (--count - i) * sizeof *model);
}

static size_t first_of_model(void)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (model[i].deadline < model[best].deadline)
            best = i;
    return best;
}

static void check(void)
{
    const struct timer *first = timers_first(&timers);

    if (count == 0) {
        assert_null(first);
        assert_true(timers_next(&timers) == CRESS_FOREVER);
        return;
    }
    assert_non_null(first);
    assert_ptr_equal(first->greenlet, model[first_of_model()].greenlet);
    assert_true(timers_next(&timers) == model[first_of_model()].deadline);
    for (size_t i = 0; i < count; i++)
        assert_true(timers_deadline(&timers, model[i].greenlet) == model[i].deadline);
}

static cress_greenlet *unarmed(void)
{
    for (size_t i = 0; i < GREENLETS; i++)
        if (greenlets[i].timer == TIMER_NONE)
            return &greenlets[i];
    return NULL;
}

/* Deadlines of a few spans, one much longer than the others; some that wait are called off. */
static void run_steps(const cress_seconds *spans, size_t span_count, int called_off)
{
    cress_seconds now = 0;

    for (int step = 0; step < STEPS; step++) {
        cress_greenlet *g = unarmed();
        now += rand() % 3;
        if (g && rand() % 5 < 3) {
            assert_int_equal(timers_reserve(&timers, count + 1), 0);
            add(g, now + spans[(size_t)rand() % span_count]);
        } else if (count > 0 && rand() % 100 < called_off) {
            take((size_t)rand() % count);
        } else if (count > 0) {
            take(first_of_model());
        }
        check();
    }
    while (count > 0) {
        take(first_of_model());
        check();
    }
}

static void test_one_span(void **state)
{
    (void)state;
    run_steps((cress_seconds[]){ 100 }, 1, 0);
}

static void test_one_span_called_off(void **state)
{
    (void)state;
    run_steps((cress_seconds[]){ 100 }, 1, 90);
}

static void test_many_spans(void **state)
{
    (void)state;
    run_steps((cress_seconds[]){ 10, 10, 10, 20, 50, 50, 2000 }, 7, 40);
}

static void test_equal_deadlines(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, 5), 0);
    add(&greenlets[0], 2);
    add(&greenlets[1], 2);
    add(&greenlets[2], 1); /* not in the line */
    add(&greenlets[3], 2);
    add(&greenlets[4], 1);
    assert_int_equal(timers.line.count, 3);
    for (size_t i = 0; i < 5; i++) {
        check();
        take(first_of_model());
    }
    check();
}

/* Nobody is moved but when the line closes up: the heap stays empty. */
static void test_deadlines_in_order_never_reach_the_heap(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, GREENLETS / 4), 0);
    for (int step = 0; step < STEPS; step++) {
        if (count == GREENLETS / 4)
            take((size_t)rand() % count);
        add(unarmed(), step);
        assert_int_equal(timers.heap.count, 0);
    }
    check();
}

static void test_a_late_one_keeps_nobody_out(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, GREENLETS), 0);
    add(unarmed(), 2000);
    for (int i = 0; i < 100; i++) {
        if (i % 10 == 5)
            add(unarmed(), 2000 + i);
        add(unarmed(), i);
    }
    assert_int_equal(timers.line.count, 100);
    assert_int_equal(timers.heap.count, 11);
    check();
}

/* Those who left fill the line, with two who stay at its ends. */
static void test_full_line(void **state)
{
    size_t capacity;

    (void)state;
    assert_int_equal(timers_reserve(&timers, 2), 0);
    capacity = timers.line.capacity;
    add(&greenlets[0], 0);
    for (size_t i = 1; i < capacity; i++) {
        add(&greenlets[i], (double)i);
        if (i > 1)
            take(1);
    }
    assert_int_equal(timers.line.count, capacity);
    add(&greenlets[capacity], (double)capacity);
    assert_int_equal(timers.line.count, 3);
    assert_int_equal(timers.heap.count, 0);
    check();
}

static void test_full_line_of_those_who_stay(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, 1), 0);
    while (count < timers.line.capacity)
        add(unarmed(), (double)count);
    take(5);
    add(&greenlets[5], (double)count + 1);
    assert_int_equal(timers.heap.count, 1);
    check();
}

static void test_growing_keeps_places(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, 1), 0);
    for (int i = 0; i < 40; i++)
        add(unarmed(), i);
    for (int i = 0; i < 30; i++)
        take(0);
    for (int i = 40; i < 90; i++) /* around the end of the ring */
        add(unarmed(), i);
    take(7);
    assert_int_equal(timers_reserve(&timers, GREENLETS), 0);
    assert_int_equal(timers.line.count, count);
    check();
}

static void test_clear(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, 3), 0);
    add(&greenlets[0], 2);
    add(&greenlets[1], 1);
    timers_clear(&timers);
    assert_null(timers_first(&timers));
    count = 0;
    greenlets[0].timer = TIMER_NONE;
    add(&greenlets[0], 3);
    check();
}

static void test_too_many(void **state)
{
    (void)state;
    assert_int_equal(timers_reserve(&timers, (size_t)HEAP_PLACES), -1);
    assert_int_equal(errno, ENOMEM);
}

#define TIMERS_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIMERS_TEST(test_one_span),
        TIMERS_TEST(test_one_span_called_off),
        TIMERS_TEST(test_many_spans),
        TIMERS_TEST(test_equal_deadlines),
        TIMERS_TEST(test_deadlines_in_order_never_reach_the_heap),
        TIMERS_TEST(test_a_late_one_keeps_nobody_out),
        TIMERS_TEST(test_full_line),
        TIMERS_TEST(test_full_line_of_those_who_stay),
        TIMERS_TEST(test_growing_keeps_places),
        TIMERS_TEST(test_clear),
        TIMERS_TEST(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
