#define _GNU_SOURCE
#include "capture.h"
#include "hub_test.h"

#include "fail_alloc.h"

#include <cress/actor.h>
#include <cress/timeout.h>

#include <stdlib.h>
#include <string.h>

static cress_actor actor;

static const char *outcome(int result)
{
    return result == 0 ? "0" : strerrorname_np(errno);
}

static int note(cress_actor *a, void *message, void *self)
{
    assert_ptr_equal(a, &actor);
    (void)self;
    trace("%s at %g", (char *)message, cress_now());
    return 0;
}

/* "fail ..." fails; "1 ..." takes that many seconds. */
static int work(cress_actor *a, void *message, void *self)
{
    const char *text = message;

    (void)a, (void)self;
    if (*text >= '0' && *text <= '9' && cress_sleep(atof(text)) < 0) {
        trace("%s: %s at %g", text, strerrorname_np(errno), cress_now());
        return -1;
    }
    trace("%s at %g", text, cress_now());
    errno = EDOM;
    return strncmp(text, "fail", 4) == 0 ? -1 : 0;
}

static void drop(void *message)
{
    trace("dropped %s", (char *)message);
}

static void gave_up(cress_actor *a, int error, void *self)
{
    (void)self;
    assert_ptr_equal(a, &actor);
    trace("gave up at %g: %s", cress_now(), strerrorname_np(error));
}

static void start(cress_receive *receive)
{
    actor.receive = receive;
    actor.drop = drop;
    actor.gave_up = gave_up;
    assert_ok(cress_actor_start(&actor));
}

static void sends(const char *message)
{
    assert_ok(cress_actor_send(&actor, (void *)(uintptr_t)message, 0));
}

static void stop(void)
{
    assert_ok(cress_actor_stop(&actor, CRESS_FOREVER));
    assert_false(cress_actor_running(&actor));
    actor = (cress_actor){ 0 };
}

/* What failures say on stderr is not asked for here. */
static void hush(void)
{
    capture_start(2);
}

static void unhush(void)
{
    free(capture_end());
}

/* ---- messages ------------------------------------------------------------------------------ */

static void test_receives_in_order(void)
{
    actor.name = "noter";
    start(note);
    assert_true(cress_actor_running(&actor));
    sends("a");
    sends("b");
    sends("c");
    assert_int_equal(cress_actor_backlog(&actor), 3);
    assert_trace("");
    settle();
    assert_trace("a at 0\nb at 0\nc at 0\n");
    assert_int_equal(actor.received, 3);
    assert_int_equal(cress_actor_backlog(&actor), 0);
    sends("d");
    stop();
    assert_trace("d at 0\n");
}

static void test_one_at_a_time(void)
{
    start(work);
    sends("1 a");
    sends("2 b");
    stop();
    assert_trace("1 a at 1\n2 b at 3\n");
}

static void *send_and_tell(void *message)
{
    int result = cress_actor_send(&actor, message, CRESS_FOREVER);

    trace("sent %s: %s at %g", (char *)message, outcome(result), cress_now());
    return NULL;
}

static void test_inbox_is_bounded(void)
{
    actor.inbox_max = 2;
    start(work);
    sends("1 a");
    settle(); /* being received */
    sends("1 b");
    sends("1 c");
    assert_errno(ETIMEDOUT, cress_actor_send(&actor, "d", 0));
    assert_errno(ETIMEDOUT, cress_actor_send(&actor, "d", 0.5));
    assert_time(0.5);
    spawn(send_and_tell, "1 e");
    assert_ok(cress_sleep(1));
    stop();
    assert_trace("1 a at 1\nsent 1 e: 0 at 1\n1 b at 2\n1 c at 3\n1 e at 4\n");
}

static void test_default_bound(void)
{
    actor.receive = note;
    assert_ok(cress_actor_start(&actor));
    for (int i = 0; i < 1000; i++)
        sends("x");
    assert_errno(ETIMEDOUT, cress_actor_send(&actor, "x", 0));
    assert_errno(ECANCELED, cress_actor_kill(&actor, CRESS_FOREVER));
    actor = (cress_actor){ .inbox_max = SIZE_MAX, .receive = note };
    assert_ok(cress_actor_start(&actor));
    for (int i = 0; i < 5000; i++)
        sends("x");
    assert_errno(ECANCELED, cress_actor_kill(&actor, CRESS_FOREVER));
    actor = (cress_actor){ 0 };
}

static int send_to_self(cress_actor *a, void *message, void *self)
{
    (void)self;
    trace("%s", (char *)message);
    if (*(char *)message != 'a')
        return 0;
    assert_ok(cress_actor_send(a, "b", CRESS_FOREVER));
    assert_ok(cress_actor_send(a, "c", CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_actor_send(a, "d", 0));
    assert_errno(EDEADLK, cress_actor_send(a, "d", CRESS_FOREVER));
    return 0;
}

static void test_sends_to_itself(void)
{
    actor.inbox_max = 2;
    start(send_to_self);
    sends("a");
    settle();
    assert_trace("a\nb\nc\n");
    stop();
}

static int setup(cress_actor *a, void *self)
{
    int *count = self;

    (void)a;
    trace("setup %d at %g", ++*count, cress_now());
    return 0;
}

static void test_setup_comes_first(void)
{
    int count = 0;

    actor.setup = setup;
    actor.self = &count;
    start(note);
    sends("a");
    stop();
    assert_trace("setup 1 at 0\na at 0\n");
}

/* ---- the end -------------------------------------------------------------------------------- */

static void test_close_drains(void)
{
    start(work);
    sends("1 a");
    sends("1 b");
    cress_actor_close(&actor);
    assert_errno(EPIPE, cress_actor_send(&actor, "c", 0));
    assert_true(cress_actor_running(&actor));
    assert_ok(cress_actor_join(&actor, CRESS_FOREVER));
    assert_trace("1 a at 1\n1 b at 2\n");
    assert_errno(EPIPE, cress_actor_send(&actor, "c", 0));
    assert_ok(cress_actor_join(&actor, 0));
    actor = (cress_actor){ 0 };
}

static void test_close_wakes_senders(void)
{
    actor.inbox_max = 1;
    start(work);
    sends("1 a");
    settle();
    sends("1 b");
    spawn(send_and_tell, "c");
    settle();
    cress_actor_close(&actor);
    settle();
    assert_trace("sent c: EPIPE at 0\n");
    stop();
    assert_trace("1 a at 1\n1 b at 2\n");
}

static int close_own(cress_actor *a, void *message, void *self)
{
    (void)self;
    trace("%s", (char *)message);
    cress_actor_close(a);
    return 0;
}

static void test_closes_itself(void)
{
    start(close_own);
    sends("a");
    sends("b");
    assert_ok(cress_actor_join(&actor, CRESS_FOREVER));
    assert_trace("a\nb\n");
    actor = (cress_actor){ 0 };
}

static void test_stop_kills_after_its_time(void)
{
    start(work);
    sends("1 a");
    sends("5 b");
    sends("1 c");
    assert_ok(cress_actor_stop(&actor, 3));
    assert_time(3);
    assert_trace("1 a at 1\n5 b: ECANCELED at 3\ndropped 1 c\n");
    assert_errno(ECANCELED, cress_actor_join(&actor, 0));
    assert_int_equal(actor.failures, 0);
    actor = (cress_actor){ 0 };
}

static void test_kill(void)
{
    start(work);
    sends("5 a");
    sends("b");
    assert_ok(cress_sleep(1));
    assert_errno(ECANCELED, cress_actor_kill(&actor, CRESS_FOREVER));
    assert_trace("5 a: ECANCELED at 1\ndropped b\n");
    assert_false(cress_actor_running(&actor));
    assert_errno(EPIPE, cress_actor_send(&actor, "c", 0));
    assert_errno(ECANCELED, cress_actor_kill(&actor, CRESS_FOREVER));
    actor = (cress_actor){ 0 };
}

static void test_kill_before_it_runs(void)
{
    start(work);
    sends("a");
    assert_errno(ECANCELED, cress_actor_kill(&actor, CRESS_FOREVER));
    assert_trace("dropped a\n");
    actor = (cress_actor){ 0 };
}

/* One that fails by itself when it is killed is not started anew. */
static int fail_when_killed(cress_actor *a, void *message, void *self)
{
    (void)a, (void)message, (void)self;
    if (cress_sleep(CRESS_FOREVER) < 0)
        cress_fail(EDOM);
    return 0;
}

static void test_kill_of_one_that_fails(void)
{
    hush();
    start(fail_when_killed);
    sends("a");
    settle();
    assert_errno(EDOM, cress_actor_kill(&actor, CRESS_FOREVER));
    assert_false(cress_actor_running(&actor));
    unhush();
    actor = (cress_actor){ 0 };
}

static int kill_own(cress_actor *a, void *message, void *self)
{
    (void)self;
    trace("%s", (char *)message);
    assert_errno(ECANCELED, cress_actor_kill(a, CRESS_FOREVER));
    errno = ECANCELED;
    return -1;
}

static void test_kills_itself(void)
{
    start(kill_own);
    sends("a");
    sends("b");
    assert_errno(ECANCELED, cress_actor_join(&actor, CRESS_FOREVER));
    assert_trace("a\ndropped b\n");
    actor = (cress_actor){ 0 };
}

static void *stop_and_tell(void *arg)
{
    int result = cress_actor_stop(&actor, CRESS_FOREVER);

    trace("stop: %s at %g", outcome(result), cress_now());
    return arg;
}

static void test_a_killed_stop_kills(void)
{
    start(work);
    sends("5 a");

    cress_greenlet *g = cress_spawn(stop_and_tell, NULL);

    assert_ok(cress_sleep(1));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("5 a: ECANCELED at 1\nstop: ECANCELED at 1\n");
    actor = (cress_actor){ 0 };
}

static void test_join_has_a_limit(void)
{
    cress_timeout limit;

    start(work);
    assert_errno(ETIMEDOUT, cress_actor_join(&actor, 1));
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_actor_join(&actor, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_actor_send(&actor, "a", CRESS_FOREVER));
    cress_timeout_close(&limit);
    assert_time(2);
    stop();
}

static void test_waitable(void)
{
    cress_waitable *objects[] = { cress_actor_waitable(&actor) };

    start(work);
    sends("1 a");
    assert_errno(ETIMEDOUT, cress_wait_any(objects, 1, 0.5));
    cress_actor_close(&actor);
    assert_int_equal(cress_wait_any(objects, 1, CRESS_FOREVER), 0);
    assert_time(1);
    assert_trace("1 a at 1\n");
    actor = (cress_actor){ 0 };
}

static void test_starts_again(void)
{
    for (int i = 0; i < 3; i++) {
        assert_ok(cress_actor_stop(&actor, 0)); /* one that does not run */
        actor.receive = note;
        assert_ok(cress_actor_start(&actor));
        sends("a");
        assert_ok(cress_actor_stop(&actor, CRESS_FOREVER));
        assert_int_equal(actor.received, 1);
    }
    assert_trace("a at 0\na at 0\na at 0\n");
    actor = (cress_actor){ 0 };
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_failed_message_is_gone(void)
{
    int count = 0;

    actor.name = "worker";
    actor.setup = setup;
    actor.self = &count;
    capture_start(2);
    start(work);
    sends("a");
    sends("fail b");
    sends("c");
    stop();

    char *said = capture_end();

    assert_string_equal(said, "cress: greenlet worker failed: Numerical argument out of domain\n");
    free(said);
    assert_trace("setup 1 at 0\na at 0\nfail b at 0\nsetup 2 at 0.1\nc at 0.1\n");
}

static int call_fail(cress_actor *a, void *message, void *self)
{
    (void)a, (void)self;
    trace("%s at %g", (char *)message, cress_now());
    if (*(char *)message == 'f')
        cress_fail(EDOM);
    return 0;
}

static void test_cress_fail_counts(void)
{
    hush();
    start(call_fail);
    sends("f");
    sends("b");
    assert_ok(cress_sleep(1));
    assert_trace("f at 0\nb at 0.1\n");
    assert_int_equal(actor.failures, 1);
    stop();
    unhush();
}

static void test_pauses_grow(void)
{
    actor.restart_min = 1;
    actor.restart_max = 5;
    actor.restart_factor = 3;
    hush();
    start(work);
    for (int i = 0; i < 5; i++)
        sends("fail");
    sends("a");
    stop();
    unhush();
    assert_trace("fail at 0\nfail at 1\nfail at 4\nfail at 9\nfail at 14\na at 19\n");
}

static void test_calm_resets_them(void)
{
    actor.restart_min = 1;
    actor.restart_calm = 10;
    hush();
    start(work);
    sends("fail");
    sends("fail"); /* at 1 */
    assert_ok(cress_sleep(3));
    sends("9.5 fine"); /* begins at 3, without calm until 13 */
    sends("fail");     /* at 12.5: too early to be calm */
    assert_ok(cress_sleep(20));
    sends("a");
    sends("11 fine"); /* from 23 */
    sends("fail");
    sends("b");
    stop();
    unhush();
    assert_trace("fail at 0\nfail at 1\n9.5 fine at 12.5\nfail at 12.5\na at 23\n"
                 "11 fine at 34\nfail at 34\nb at 35\n");
}

static void test_gives_up(void)
{
    actor.restart_limit = 2;
    hush();
    start(work);
    sends("fail 1");
    sends("fail 2");
    sends("fail 3");
    sends("a");
    assert_errno(EDOM, cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    assert_trace("fail 1 at 0\nfail 2 at 0.1\nfail 3 at 0.3\ndropped a\ngave up at 0.3: EDOM\n");
    assert_int_equal(actor.failures, 3);
    assert_errno(EPIPE, cress_actor_send(&actor, "b", 0));
    assert_errno(EDOM, cress_actor_kill(&actor, CRESS_FOREVER));
    assert_ok(cress_actor_stop(&actor, 0));
    actor = (cress_actor){ 0 };
}

static int fail_always(cress_actor *a, void *message, void *self)
{
    (void)a, (void)message, (void)self;
    errno = EDOM;
    return -1;
}

static void test_gives_up_within_a_span_only(void)
{
    actor.restart_limit = 2;
    actor.restart_span = 10;
    actor.restart_factor = 1;
    hush();
    start(fail_always);
    for (int i = 0; i < 6; i++) {
        sends("fail");
        assert_ok(cress_sleep(6));
    }
    assert_int_equal(actor.failures, 6); /* never three in ten seconds */
    sends("fail");
    sends("fail");
    assert_errno(EDOM, cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    assert_int_equal(actor.failures, 8);
    assert_trace("gave up at 36.1: EDOM\n");
    actor = (cress_actor){ 0 };
}

static void test_never_restarted(void)
{
    actor.restart_limit = -1;
    hush();
    start(work);
    sends("fail");
    sends("a");
    assert_errno(EDOM, cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    assert_trace("fail at 0\ndropped a\ngave up at 0: EDOM\n");
    actor = (cress_actor){ 0 };
}

static int fail_setup(cress_actor *a, void *self)
{
    (void)a, (void)self;
    trace("setup at %g", cress_now());
    errno = EACCES;
    return -1;
}

static void test_setup_that_fails(void)
{
    actor.setup = fail_setup;
    actor.restart_limit = 1;
    hush();
    start(work);
    sends("a");
    assert_errno(EACCES, cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    assert_trace("setup at 0\nsetup at 0.1\ndropped a\ngave up at 0.1: EACCES\n");
    actor = (cress_actor){ 0 };
}

static void test_senders_hear_that_it_was_given_up(void)
{
    actor.restart_limit = -1;
    actor.inbox_max = 1;
    hush();
    start(work);
    sends("fail");
    spawn(send_and_tell, "a");
    assert_errno(EDOM, cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    assert_trace("fail at 0\nsent a: 0 at 0\ndropped a\ngave up at 0: EDOM\n");

    actor = (cress_actor){ .restart_limit = -1, .inbox_max = 1 };
    hush();
    start(work);
    sends("1 a");
    settle();
    sends("fail");
    spawn(send_and_tell, "b");
    spawn(send_and_tell, "c");
    settle();
    assert_errno(EDOM, cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    /* b came in when `fail` was taken out; c never did, and is still its sender's. */
    assert_trace("1 a at 1\nfail at 1\nsent b: 0 at 1\ndropped b\ngave up at 1: EDOM\n"
                 "sent c: EPIPE at 1\n");
    actor = (cress_actor){ 0 };
}

static void test_killed_during_a_pause(void)
{
    actor.restart_min = 100;
    hush();
    start(work);
    sends("fail");
    sends("a");
    assert_ok(cress_sleep(1));
    assert_errno(ECANCELED, cress_actor_kill(&actor, CRESS_FOREVER));
    unhush();
    assert_time(1);
    assert_trace("fail at 0\ndropped a\n");
    actor = (cress_actor){ 0 };
}

static void test_closed_during_a_pause(void)
{
    hush();
    start(work);
    sends("fail");
    sends("a");
    settle();
    cress_actor_close(&actor);
    assert_ok(cress_actor_join(&actor, CRESS_FOREVER));
    unhush();
    assert_trace("fail at 0\na at 0.1\n");
    actor = (cress_actor){ 0 };
}

/* ---- memory ----------------------------------------------------------------------------------- */

static void test_start_without_memory(void)
{
    int result;

    actor = (cress_actor){ .receive = note, .name = "noter" };
    for (int left = 0;; left++) {
        allocations_left = left;
        result = cress_actor_start(&actor);
        if (!end_failing())
            break;
        if (result == 0) { /* it has no name */
            assert_ok(cress_actor_stop(&actor, CRESS_FOREVER));
            continue;
        }
        assert_int_equal(errno, ENOMEM);
        assert_false(cress_actor_running(&actor));
        settle();
    }
    assert_ok(result);
    stop();
}

static void test_send_without_memory(void)
{
    start(note);
    allocations_left = 0;
    assert_errno(ENOMEM, cress_actor_send(&actor, "a", 0));
    assert_true(end_failing());
    sends("b");
    stop();
    assert_trace("b at 0\n");
}

static int fail_and_leave_no_memory(cress_actor *a, void *message, void *self)
{
    (void)a, (void)message, (void)self;
    errno = EDOM;
    allocations_left = 0;
    return -1;
}

static void test_restart_without_memory(void)
{
    actor.name = NULL;
    hush();
    start(fail_and_leave_no_memory);
    sends("a");
    sends("b");
    assert_errno(ENOMEM, cress_actor_join(&actor, CRESS_FOREVER));
    assert_true(end_failing());
    unhush();
    assert_trace("dropped b\ngave up at 0: ENOMEM\n");
    actor = (cress_actor){ 0 };
}

/* ---- misuse ----------------------------------------------------------------------------------- */

static void *start_twice(void *arg)
{
    actor = (cress_actor){ .receive = note };
    assert_ok(cress_actor_start(&actor));
    assert_errno(EBUSY, cress_actor_start(&actor));
    stop();
    return arg;
}

static void *start_without_receive(void *arg)
{
    actor = (cress_actor){ 0 };
    assert_errno(EINVAL, cress_actor_start(&actor));
    return arg;
}

static void *send_before_start(void *arg)
{
    actor = (cress_actor){ .receive = note };
    assert_errno(EINVAL, cress_actor_send(&actor, "a", 0));
    return arg;
}

static int join_own(cress_actor *a, void *message, void *self)
{
    (void)message, (void)self;
    assert_errno(EDEADLK, cress_actor_join(a, 1));
    return 0;
}

static int stop_own(cress_actor *a, void *message, void *self)
{
    (void)message, (void)self;
    assert_errno(EDEADLK, cress_actor_stop(a, 1));
    return 0;
}

static void *join_by_itself(void *arg)
{
    start(join_own);
    sends("a");
    stop();
    return arg;
}

static void *stop_by_itself(void *arg)
{
    start(stop_own);
    sends("a");
    stop();
    return arg;
}

static void stop_in_hub(void)
{
    assert_errno(EPERM, cress_actor_stop(&actor, 1));
    assert_true(cress_actor_running(&actor));
}

static void *stop_by_the_hub(void *arg)
{
    start(note);
    run_in_hub(stop_in_hub);
    stop();
    return arg;
}

static void stop_what_does_not_run(void)
{
    actor = (cress_actor){ .receive = note };
    assert_ok(cress_actor_stop(&actor, 1));
}

static void *stop_one_that_never_ran(void *arg)
{
    stop_what_does_not_run();
    run_in_hub(stop_what_does_not_run);
    return arg;
}

static void test_stop_of_one_that_never_ran(void **state)
{
    (void)state;
    stop_what_does_not_run(); /* outside a hub */
    assert_ok(run_virtual(stop_one_that_never_ran, NULL));
}

static void test_misuse(void **state)
{
    (void)state;
    assert_ok(run_virtual(stop_by_the_hub, NULL));
    assert_misuse(stop_by_the_hub, "cress_actor_stop: the actor runs, and the caller cannot wait");
    assert_ok(run_virtual(start_twice, NULL));
    assert_ok(run_virtual(start_without_receive, NULL));
    assert_ok(run_virtual(send_before_start, NULL));
    assert_ok(run_virtual(join_by_itself, NULL));
    assert_ok(run_virtual(stop_by_itself, NULL));
    assert_misuse(start_twice, "cress_actor_start: it runs already");
    assert_misuse(start_without_receive, "cress_actor_start: no receive");
    assert_misuse(send_before_start, "cress_actor_send: the actor was not started");
    assert_misuse(join_by_itself, "cress_actor_join: called by the actor itself");
    assert_misuse(stop_by_itself, "cress_actor_stop: called by the actor itself");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_receives_in_order),
        HUB_TEST(test_one_at_a_time),
        HUB_TEST(test_inbox_is_bounded),
        HUB_TEST(test_default_bound),
        HUB_TEST(test_sends_to_itself),
        HUB_TEST(test_setup_comes_first),
        HUB_TEST(test_close_drains),
        HUB_TEST(test_close_wakes_senders),
        HUB_TEST(test_closes_itself),
        HUB_TEST(test_stop_kills_after_its_time),
        HUB_TEST(test_kill),
        HUB_TEST(test_kill_before_it_runs),
        HUB_TEST(test_kill_of_one_that_fails),
        HUB_TEST(test_kills_itself),
        HUB_TEST(test_a_killed_stop_kills),
        HUB_TEST(test_join_has_a_limit),
        HUB_TEST(test_waitable),
        HUB_TEST(test_starts_again),
        HUB_TEST(test_failed_message_is_gone),
        HUB_TEST(test_cress_fail_counts),
        HUB_TEST(test_pauses_grow),
        HUB_TEST(test_calm_resets_them),
        HUB_TEST(test_gives_up),
        HUB_TEST(test_gives_up_within_a_span_only),
        HUB_TEST(test_never_restarted),
        HUB_TEST(test_setup_that_fails),
        HUB_TEST(test_senders_hear_that_it_was_given_up),
        HUB_TEST(test_killed_during_a_pause),
        HUB_TEST(test_closed_during_a_pause),
        HUB_TEST(test_start_without_memory),
        HUB_TEST(test_send_without_memory),
        HUB_TEST(test_restart_without_memory),
        cmocka_unit_test(test_stop_of_one_that_never_ran),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
