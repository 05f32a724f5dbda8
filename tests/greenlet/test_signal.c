#define _GNU_SOURCE
#include "descriptors.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/signal.h>

#include <pthread.h>
#include <signal.h>

static cress_event arrived;

static void *on_arrival(void *arg)
{
    assert_non_null(cress_self()); /* a greenlet: it may wait */
    assert_ok(cress_sleep(0));
    trace("%s", (char *)arg);
    cress_event_set(&arrived);
    return NULL;
}

static void wait_for_arrival(void)
{
    assert_ok(cress_event_wait(&arrived, CRESS_FOREVER)); /* no deadlock: one may arrive */
    cress_event_clear(&arrived);
}

static void (*disposition(int signum))(int)
{
    struct sigaction action;

    assert_ok(sigaction(signum, NULL, &action));
    return action.sa_handler;
}

static void test_each_arrival_spawns(void)
{
    assert_ok(cress_signal(SIGUSR1, on_arrival, "one"));
    for (int i = 0; i < 2; i++) {
        assert_ok(raise(SIGUSR1));
        wait_for_arrival();
    }
    assert_trace("one\none\n");
    assert_ok(cress_signal(SIGUSR1, on_arrival, "another")); /* instead */
    assert_ok(raise(SIGUSR1));
    wait_for_arrival();
    assert_trace("another\n");
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
}

static void test_disposition_comes_back(void)
{
    signal(SIGUSR2, SIG_IGN);
    assert_ok(cress_signal(SIGUSR2, on_arrival, "x"));
    assert_true(disposition(SIGUSR2) != SIG_IGN);
    assert_ok(cress_signal(SIGUSR2, NULL, NULL));
    assert_true(disposition(SIGUSR2) == SIG_IGN);
    assert_ok(raise(SIGUSR2));
    settle();
    assert_ok(cress_signal(SIGUSR2, NULL, NULL)); /* none there: nothing */
    signal(SIGUSR2, SIG_DFL);
}

static void *leave_a_handler(void *arg)
{
    assert_ok(cress_signal(SIGUSR1, on_arrival, "x"));
    return arg;
}

static void test_ends_with_the_hub(void **state)
{
    (void)state;
    signal(SIGUSR1, SIG_IGN);
    assert_ok(run_virtual(leave_a_handler, NULL));
    assert_true(disposition(SIGUSR1) == SIG_IGN);
    assert_ok(raise(SIGUSR1));
    assert_ok(run_virtual(leave_a_handler, NULL)); /* free for the next */
    signal(SIGUSR1, SIG_DFL);
}

static void test_bad_arguments(void)
{
    assert_errno(EINVAL, cress_signal(0, on_arrival, NULL));
    assert_errno(EINVAL, cress_signal(-3, on_arrival, NULL));
    assert_errno(EINVAL, cress_signal(1000, on_arrival, NULL));
    assert_errno(EINVAL, cress_signal(SIGKILL, on_arrival, NULL));
    assert_errno(EINVAL, cress_signal(SIGSTOP, on_arrival, NULL));
}

static void *claim_usr1(void *arg)
{
    assert_errno(EBUSY, cress_signal(SIGUSR1, on_arrival, NULL));
    return arg;
}

static void *run_second_hub(void *arg)
{
    return run_virtual(claim_usr1, arg) < 0 ? "failed" : NULL;
}

static void test_one_hub_at_a_time(void)
{
    pthread_t thread;
    void *result;

    assert_ok(cress_signal(SIGUSR1, on_arrival, "x"));
    assert_ok(pthread_create(&thread, NULL, run_second_hub, NULL));
    assert_ok(pthread_join(thread, &result));
    assert_null(result);
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
}

static void test_outside_a_hub(void **state)
{
    (void)state;
    assert_errno(EPERM, cress_signal(SIGUSR1, on_arrival, NULL));
}

static void test_no_descriptor_is_left(void)
{
    descriptors_run_out();
    assert_errno(EMFILE, cress_signal(SIGUSR1, on_arrival, "x"));
    assert_true(disposition(SIGUSR1) == SIG_DFL);
    descriptors_are_back();
    assert_ok(cress_signal(SIGUSR1, on_arrival, "x"));
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
    descriptors_run_out();
    assert_ok(cress_signal(SIGUSR1, on_arrival, "x")); /* it has been opened */
    descriptors_are_back();
    assert_ok(raise(SIGUSR1));
    wait_for_arrival();
    assert_trace("x\n");
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
}

/* ---- the tutorial's ------------------------------------------------------------------------- */

static void *run_forever(void *arg)
{
    return cress_sleep(CRESS_FOREVER) < 0 ? cress_fail(errno) : arg;
}

static void *kill_it(void *arg)
{
    cress_cancel(arg);
    return NULL;
}

static void test_shutdown_tutorial(void)
{
    cress_greenlet *thread = cress_spawn(run_forever, NULL);

    assert_ok(cress_signal(SIGQUIT, kill_it, thread));
    assert_ok(raise(SIGQUIT));
    assert_ok(cress_join(thread, CRESS_FOREVER));
    assert_true(cress_was_killed(thread));
    cress_release(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_each_arrival_spawns),       HUB_TEST(test_disposition_comes_back),
        cmocka_unit_test(test_ends_with_the_hub), HUB_TEST(test_bad_arguments),
        HUB_TEST(test_one_hub_at_a_time),         cmocka_unit_test(test_outside_a_hub),
        HUB_TEST(test_no_descriptor_is_left),     HUB_TEST(test_shutdown_tutorial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
