#include "hub_test.h"

#include <cress/event.h>

static cress_event event;

static void *wait_for_event(void *arg)
{
    trace("%s waits", (char *)arg);
    int result = cress_event_wait(&event, CRESS_FOREVER);
    trace("%s: %d at %g", (char *)arg, result, cress_now());
    return NULL;
}

static void test_zeroed_is_clear(void)
{
    cress_event zeroed = { 0 }, made = CRESS_EVENT_INIT;

    assert_false(cress_event_is_set(&zeroed));
    assert_false(cress_event_is_set(&made));
    assert_errno(ETIMEDOUT, cress_event_wait(&zeroed, 0));
    assert_errno(ETIMEDOUT, cress_event_wait(&zeroed, -1));
    assert_time(0);
}

static void test_set_wakes_all_in_order(void)
{
    event = (cress_event){ 0 };
    spawn(wait_for_event, "a");
    spawn(wait_for_event, "b");
    spawn(wait_for_event, "c");
    assert_ok(cress_sleep(3));
    cress_event_set(&event);
    trace("set");
    assert_true(cress_event_is_set(&event));
    settle();
    assert_trace("a waits\nb waits\nc waits\nset\na: 0 at 3\nb: 0 at 3\nc: 0 at 3\n");
    assert_ok(cress_event_wait(&event, 0));
}

static void test_set_and_clear_is_a_broadcast(void)
{
    event = (cress_event){ 0 };
    spawn(wait_for_event, "a");
    spawn(wait_for_event, "b");
    settle();
    cress_event_set(&event);
    cress_event_clear(&event);
    assert_errno(ETIMEDOUT, cress_event_wait(&event, 0));
    settle();
    assert_trace("a waits\nb waits\na: 0 at 0\nb: 0 at 0\n");
}

static void test_own_limit_passes(void)
{
    event = (cress_event){ 0 };
    assert_errno(ETIMEDOUT, cress_event_wait(&event, 2));
    assert_time(2);
    cress_event_set(&event);
    assert_ok(cress_event_wait(&event, 2));
    assert_time(2);
}

static void *wait_killed(void *arg)
{
    (void)arg;
    assert_errno(ECANCELED, cress_event_wait(&event, CRESS_FOREVER));
    trace("killed");
    cress_event_set(&event);
    assert_errno(ECANCELED, cress_event_wait(&event, CRESS_FOREVER)); /* set or not */
    return NULL;
}

static void test_kill_while_waiting(void)
{
    cress_greenlet *g = cress_spawn(wait_killed, NULL);

    event = (cress_event){ 0 };
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_true(cress_was_killed(g));
    cress_release(g);
    assert_trace("killed\n");
}

static void *wait_woken_and_killed(void *arg)
{
    (void)arg;
    trace("%d", cress_event_wait(&event, CRESS_FOREVER));
    assert_errno(ECANCELED, cress_sleep(0));
    return NULL;
}

static void test_kill_after_wake(void)
{
    cress_greenlet *g = cress_spawn(wait_woken_and_killed, NULL);

    event = (cress_event){ 0 };
    settle();
    cress_event_set(&event);
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("0\n");
}

static void *set_after_3(void *arg)
{
    (void)arg;
    trace("A: Hey wait for me, I have to do something");
    assert_ok(cress_sleep(3));
    trace("Ok, I'm done");
    cress_event_set(&event);
    return NULL;
}

static void *wait_patiently(void *arg)
{
    (void)arg;
    trace("I'll wait for you");
    assert_ok(cress_event_wait(&event, CRESS_FOREVER));
    trace("It's about time");
    return NULL;
}

static void test_tutorial(void)
{
    event = (cress_event){ 0 };
    spawn(set_after_3, NULL);
    spawn(wait_patiently, NULL);
    spawn(wait_patiently, NULL);
    assert_ok(cress_sleep(10));
    assert_trace("A: Hey wait for me, I have to do something\n"
                 "I'll wait for you\nI'll wait for you\n"
                 "Ok, I'm done\n"
                 "It's about time\nIt's about time\n");
}

static void test_outside_a_hub(void **state)
{
    cress_event e = CRESS_EVENT_INIT;

    (void)state;
    assert_errno(EPERM, cress_event_wait(&e, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_event_wait(&e, 0));
    cress_event_set(&e);
    assert_ok(cress_event_wait(&e, CRESS_FOREVER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_zeroed_is_clear),
        HUB_TEST(test_set_wakes_all_in_order),
        HUB_TEST(test_set_and_clear_is_a_broadcast),
        HUB_TEST(test_own_limit_passes),
        HUB_TEST(test_kill_while_waiting),
        HUB_TEST(test_kill_after_wake),
        HUB_TEST(test_tutorial),
        cmocka_unit_test(test_outside_a_hub),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
