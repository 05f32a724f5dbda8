#include "capture.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/timeout.h>

#include <stdlib.h>
#include <string.h>

static void *say(void *arg)
{
    trace("%s at %g", (char *)arg, cress_now());
    return arg;
}

static void *sleep_for(void *arg)
{
    return cress_sleep(*(double *)arg) < 0 ? cress_fail(errno) : arg;
}

static double one = 1, two = 2, three = 3;

/* ---- beginning ------------------------------------------------------------------------ */

static void test_spawn_does_not_switch(void)
{
    spawn(say, "a");
    spawn(say, "b");
    trace("main");
    assert_ok(cress_sleep(0));
    trace("main again");
    assert_trace("main\na at 0\nb at 0\nmain again\n");
}

static void test_spawn_later(void)
{
    cress_greenlet *late = cress_spawn_later(2, say, "at two");
    cress_greenlet *early = cress_spawn_later(1, say, "at one");
    cress_greenlet *now = cress_spawn_later(0, say, "at once");

    assert_false(cress_started(late));
    assert_true(cress_started(now));
    assert_ok(cress_sleep(1.5));
    assert_false(cress_started(late));
    assert_true(cress_ready(early));
    assert_ok(cress_join(late, CRESS_FOREVER));
    assert_true(cress_started(late));
    assert_trace("at once at 0\nat one at 1\nat two at 2\n");
    cress_release(late);
    cress_release(early);
    cress_release(now);
}

static void test_outside_a_hub(void **state)
{
    (void)state;
    assert_null(cress_self());
    assert_false(cress_running());
    assert_null(cress_spawn(say, "x"));
    assert_int_equal(errno, EPERM);
    assert_errno(EPERM, cress_sleep(0));
    assert_errno(EPERM, cress_check());
    assert_null(cress_retain(NULL));
    cress_release(NULL);
    cress_cancel(NULL);
}

static void test_references(void)
{
    cress_greenlet *g = cress_spawn(say, "a"), *h = cress_spawn(say, "b");

    assert_ptr_equal(cress_retain(g), g);
    cress_release(h); /* runs all the same */
    settle();
    assert_trace("a at 0\nb at 0\n");
    cress_release(g);
    assert_true(cress_ready(g));
    errno = EILSEQ;
    cress_release(g);
    assert_int_equal(errno, EILSEQ);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void test_join(void)
{
    cress_greenlet *g = cress_spawn(sleep_for, &one);

    assert_errno(ETIMEDOUT, cress_join(g, 0));
    assert_errno(ETIMEDOUT, cress_join(g, 0.5));
    assert_time(0.5);
    assert_ok(cress_join(g, 5));
    assert_time(1);
    assert_ok(cress_join(g, 0)); /* has ended */
    cress_release(g);
    assert_errno(EDEADLK, cress_join(cress_self(), CRESS_FOREVER));
}

static void test_joinall(void)
{
    cress_greenlet *gs[] = { cress_spawn(sleep_for, &three), NULL, cress_spawn(sleep_for, &one) };

    assert_errno(ETIMEDOUT, cress_joinall(gs, 3, 2));
    assert_time(2);
    assert_ok(cress_joinall(gs, 3, CRESS_FOREVER));
    assert_time(3);
    assert_ok(cress_joinall(NULL, 0, CRESS_FOREVER));
    cress_release(gs[0]);
    cress_release(gs[2]);
}

static void test_get(void)
{
    cress_greenlet *g = cress_spawn(sleep_for, &one);
    void *value = "untouched";

    assert_null(cress_value(g));
    assert_errno(ETIMEDOUT, cress_get(g, &value, 0.5));
    assert_string_equal(value, "untouched");
    assert_ok(cress_get(g, &value, 1));
    assert_ptr_equal(value, &one);
    assert_ptr_equal(cress_value(g), &one);
    assert_int_equal(cress_error(g), 0);
    assert_ok(cress_get(g, NULL, 0));
    cress_release(g);
}

static void *fail_with_eio(void *arg)
{
    (void)arg;
    return cress_fail(EIO);
}

static void test_failure_is_reported_once(void)
{
    capture_start(2);

    cress_greenlet *g = cress_spawn(fail_with_eio, NULL);
    void *value = "untouched";

    assert_ok(cress_set_name(g, "loser %d", 7));
    assert_ok(cress_join(g, CRESS_FOREVER)); /* join does not fail */
    assert_errno(EIO, cress_get(g, &value, CRESS_FOREVER));
    assert_errno(EIO, cress_get(g, NULL, CRESS_FOREVER));

    char *text = capture_end();

    assert_string_equal(text, "cress: greenlet loser 7 failed: Input/output error\n");
    free(text);
    assert_string_equal(value, "untouched");
    assert_true(cress_ready(g));
    assert_false(cress_successful(g));
    assert_false(cress_was_killed(g));
    assert_int_equal(cress_error(g), EIO);
    assert_null(cress_value(g));
    cress_release(g);
}

static void *win(void *arg)
{
    (void)arg;
    return "You win!";
}

static void test_state_of_a_winner(void)
{
    cress_greenlet *winner = cress_spawn(win, NULL);

    assert_true(cress_started(winner));
    assert_false(cress_ready(winner));
    assert_false(cress_successful(winner));
    assert_ok(cress_join(winner, CRESS_FOREVER));
    assert_true(cress_started(winner));
    assert_true(cress_ready(winner));
    assert_true(cress_successful(winner));
    assert_string_equal(cress_value(winner), "You win!");
    cress_release(winner);
}

/* ---- kill ----------------------------------------------------------------------------------- */

static void trace_result(const char *what, int result)
{
    trace("%s: %d %d", what, result, errno);
}

static void *clean_up_when_killed(void *arg)
{
    trace_result(arg, cress_sleep(1000));
    trace_result("again", cress_sleep(0));
    return "a value that nobody asks for";
}

static void test_kill(void)
{
    cress_greenlet *g = cress_spawn(clean_up_when_killed, "a");

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_trace("a: -1 125\nagain: -1 125\n");
    assert_true(cress_was_killed(g));
    assert_true(cress_ready(g));
    assert_false(cress_successful(g));
    assert_int_equal(cress_error(g), ECANCELED);
    assert_errno(ECANCELED, cress_get(g, NULL, CRESS_FOREVER));
    assert_ok(cress_kill(g, CRESS_FOREVER)); /* once more: nothing */
    assert_time(0);
    cress_release(g);
}

static void test_cancel_before_start(void)
{
    cress_greenlet *g = cress_spawn(say, "never"), *later = cress_spawn_later(5, say, "never");

    cress_cancel(g);
    cress_cancel(later);
    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_ok(cress_join(later, CRESS_FOREVER));
    assert_time(0);
    assert_trace("");
    assert_true(cress_was_killed(g));
    assert_true(cress_was_killed(later));
    cress_release(g);
    cress_release(later);
}

static cress_event event;

static void *return_when_set(void *arg)
{
    assert_ok(cress_event_wait(&event, CRESS_FOREVER));
    return arg;
}

/* It was woken before the kill came, and waits for nothing more. */
static void test_kill_that_no_wait_was_told_of(void)
{
    cress_greenlet *g = cress_spawn(return_when_set, "value");

    event = (cress_event){ 0 };
    settle();
    cress_event_set(&event);
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_true(cress_successful(g));
    assert_false(cress_was_killed(g));
    assert_string_equal(cress_value(g), "value");
    cress_cancel(g); /* has ended: nothing */
    assert_true(cress_successful(g));
    cress_release(g);
}

static void *fail_when_killed(void *arg)
{
    (void)arg;
    return cress_sleep(10) < 0 ? cress_fail(errno) : NULL;
}

static void test_failing_by_a_kill_is_not_reported(void)
{
    capture_start(2);

    cress_greenlet *g = cress_spawn(fail_when_killed, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));

    char *text = capture_end();

    assert_string_equal(text, "");
    free(text);
    assert_true(cress_was_killed(g));
    cress_release(g);
}

static void *die_slowly(void *arg)
{
    cress_timeout shield;

    assert_errno(ECANCELED, cress_sleep(1000));
    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    assert_ok(cress_sleep(2));
    cress_timeout_close(&shield);
    assert_errno(ECANCELED, cress_sleep(0));
    return arg;
}

static void test_kill_with_a_limit(void)
{
    cress_greenlet *g = cress_spawn(die_slowly, NULL);

    settle();
    assert_errno(ETIMEDOUT, cress_kill(g, 1));
    assert_false(cress_ready(g));
    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_time(2);
    cress_release(g);
}

static void test_killall(void)
{
    cress_greenlet *gs[] = { cress_spawn(clean_up_when_killed, "a"), NULL,
                             cress_spawn(clean_up_when_killed, "b"), cress_spawn(say, "unborn") };

    assert_ok(cress_sleep(0));
    cress_cancel(gs[3]);
    assert_trace("unborn at 0\n");
    assert_ok(cress_killall(gs, 4, CRESS_FOREVER));
    assert_trace("a: -1 125\nagain: -1 125\nb: -1 125\nagain: -1 125\n");
    for (size_t i = 0; i < 4; i++)
        cress_release(gs[i]);
}

static void *kill_self(void *arg)
{
    assert_errno(ECANCELED, cress_kill(cress_self(), CRESS_FOREVER));
    assert_errno(ECANCELED, cress_check());
    return arg;
}

static void test_suicide(void)
{
    cress_greenlet *g = cress_spawn(kill_self, NULL);

    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_true(cress_was_killed(g));
    cress_release(g);
}

static void *join_and_say(void *arg)
{
    trace_result("join", cress_join(arg, CRESS_FOREVER));
    return NULL;
}

static void test_killed_joiner_leaves_the_joined(void)
{
    cress_greenlet *g = cress_spawn(sleep_for, &one), *joiner = cress_spawn(join_and_say, g);

    settle();
    assert_ok(cress_kill(joiner, CRESS_FOREVER));
    assert_trace("join: -1 125\n");
    assert_ok(cress_get(g, NULL, CRESS_FOREVER));
    assert_time(1);
    cress_release(g);
    cress_release(joiner);
}

/* ---- links ------------------------------------------------------------------------------------- */

static void on_end(cress_greenlet *g, void *arg)
{
    assert_true(cress_ready(g));
    assert_null(cress_self()); /* in the hub */
    trace("link %s", (char *)arg);
}

static void test_links_run_in_order(void)
{
    cress_greenlet *g = cress_spawn(say, "it");

    assert_ok(cress_link(g, on_end, "1"));
    assert_ok(cress_link(g, on_end, "2"));
    assert_ok(cress_link(g, on_end, "3"));
    assert_ok(cress_link(g, on_end, "2"));
    cress_unlink(g, on_end, "2");
    cress_unlink(g, on_end, "none such");
    assert_ok(cress_join(g, CRESS_FOREVER));
    trace("joined");
    assert_trace("it at 0\nlink 1\nlink 3\nlink 2\njoined\n");
    assert_ok(cress_link(g, on_end, "late"));
    assert_trace("");
    settle();
    assert_trace("link late\n");
    assert_ok(cress_link(g, on_end, "taken back"));
    cress_unlink(g, on_end, "taken back");
    settle();
    cress_release(g);
}

static void release_it(cress_greenlet *g, void *arg)
{
    (void)arg;
    cress_release(g);
}

static void test_link_may_drop_the_last_reference(void)
{
    cress_greenlet *g = cress_spawn(say, "it");

    assert_ok(cress_link(g, release_it, NULL));
    assert_ok(cress_link(g, on_end, "after"));
    settle();
    assert_trace("it at 0\nlink after\n");
}

static void *keep_one(void *arg)
{
    cress_greenlet **ret_kept = arg;

    *ret_kept = cress_spawn(say, "it");
    assert_ok(cress_join(*ret_kept, CRESS_FOREVER));
    assert_trace("it at 0\n");
    return NULL;
}

static void test_no_link_after_the_hub(void **state)
{
    cress_greenlet *kept;

    (void)state;
    assert_ok(run_virtual(keep_one, &kept));
    assert_errno(EPERM, cress_link(kept, on_end, "never"));
    cress_release(kept);
}

/* ---- names ---------------------------------------------------------------------------------------- */

static void describe(void *arg, char *buf, size_t size)
{
    strncpy(buf, arg, size - 1);
    buf[size - 1] = '\0';
}

static void test_names(void)
{
    const cress_greenlet_hooks hooks = { .describe = describe };
    cress_greenlet *g = cress_spawn(say, "x");
    char name[64], small[6];

    assert_string_equal(cress_name(cress_self(), name, sizeof name), "main");
    assert_int_equal(cress_id(cress_self()), 1);
    assert_int_equal(cress_id(g), 2);
    assert_string_equal(cress_name(g, name, sizeof name), "greenlet-2");
    assert_ok(cress_set_name(g, "worker %d of %s", 3, "pool"));
    assert_string_equal(cress_name(g, name, sizeof name), "worker 3 of pool");
    assert_string_equal(cress_name(g, small, sizeof small), "worke");
    assert_ok(cress_set_name(g, "%0100d", 0));
    assert_int_equal(strlen(cress_name(g, name, sizeof name)), 63);
    cress_set_hooks(g, &hooks, "GET /chat");
    assert_string_equal(cress_name(g, name, sizeof name), "GET /chat");
    cress_set_hooks(g, &hooks, "");
    assert_ok(cress_set_name(g, "plain"));
    assert_string_equal(cress_name(g, name, sizeof name), "greenlet-2"); /* described as nothing */
    cress_set_hooks(g, NULL, NULL);
    assert_string_equal(cress_name(g, name, sizeof name), "plain");
    settle();
    cress_release(g);
    assert_trace("x at 0\n");
}

static void count_parking(void *arg)
{
    ++*(int *)arg;
}

static void test_before_wait(void)
{
    const cress_greenlet_hooks hooks = { .before_wait = count_parking };
    cress_event set = { .waitable.ready = true };
    int parked = 0;

    cress_set_hooks(cress_self(), &hooks, &parked);
    assert_ok(cress_event_wait(&set, 1)); /* does not wait */
    assert_int_equal(parked, 0);
    assert_ok(cress_sleep(1));
    assert_int_equal(parked, 1);
    assert_ok(cress_sleep(0));
    assert_int_equal(parked, 2);
    cress_set_hooks(cress_self(), NULL, NULL);
}

/* ---- many -------------------------------------------------------------------------------------------- */

static size_t ended;

static void *sleep_and_count(void *arg)
{
    assert_ok(cress_sleep(two));
    ended++;
    return arg;
}

static void test_ten_thousand(void)
{
    const size_t count = SANITIZED ? 1000 : 10000;
    cress_greenlet **gs = calloc(count, sizeof(cress_greenlet *));

    ended = 0;
    for (size_t i = 0; i < count; i++) {
        gs[i] = cress_spawn(sleep_and_count, NULL);
        assert_non_null(gs[i]);
    }
    assert_ok(cress_joinall(gs, count, CRESS_FOREVER));
    assert_int_equal(ended, count);
    assert_time(2);
    for (size_t i = 0; i < count; i++)
        cress_release(gs[i]);
    free(gs);
}

static void *foo(void *arg)
{
    trace("Running in foo");
    assert_ok(cress_sleep(0));
    trace("Explicit context switch to foo again");
    return arg;
}

static void *bar(void *arg)
{
    trace("Explicit context to bar");
    assert_ok(cress_sleep(0));
    trace("Implicit context switch back to bar");
    return arg;
}

static void test_sync_async_tutorial(void)
{
    spawn(foo, NULL);
    spawn(bar, NULL);
    settle();
    assert_trace("Running in foo\nExplicit context to bar\n"
                 "Explicit context switch to foo again\nImplicit context switch back to bar\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_spawn_does_not_switch),
        HUB_TEST(test_spawn_later),
        cmocka_unit_test(test_outside_a_hub),
        HUB_TEST(test_references),
        HUB_TEST(test_join),
        HUB_TEST(test_joinall),
        HUB_TEST(test_get),
        HUB_TEST(test_failure_is_reported_once),
        HUB_TEST(test_state_of_a_winner),
        HUB_TEST(test_kill),
        HUB_TEST(test_cancel_before_start),
        HUB_TEST(test_kill_that_no_wait_was_told_of),
        HUB_TEST(test_failing_by_a_kill_is_not_reported),
        HUB_TEST(test_kill_with_a_limit),
        HUB_TEST(test_killall),
        HUB_TEST(test_suicide),
        HUB_TEST(test_killed_joiner_leaves_the_joined),
        HUB_TEST(test_links_run_in_order),
        HUB_TEST(test_link_may_drop_the_last_reference),
        cmocka_unit_test(test_no_link_after_the_hub),
        HUB_TEST(test_names),
        HUB_TEST(test_before_wait),
        HUB_TEST(test_ten_thousand),
        HUB_TEST(test_sync_async_tutorial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
