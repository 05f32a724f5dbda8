/* Calls that break a contract: what they return, and how a debug build stops. */
#include "hub_test.h"

#include "capture.h"

#include "../../greenlet/misuse.h"
#include "../../greenlet/symbol.h"
#include "../../greenlet/unwind.h"

#include <cress/async_result.h>
#include <cress/event.h>
#include <cress/io.h>
#include <cress/monitor.h>
#include <cress/semaphore.h>
#include <cress/timeout.h>
#include <cress/watch.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- timeouts --------------------------------------------------------------------- */

static void *leave_one_open(void *arg)
{
    static cress_timeout limit; /* not on the stack, which ends */

    cress_timeout_start(&limit, 1);
    return arg;
}

static void *rest_with_one_open(void *arg)
{
    leave_one_open(arg);
    return cress_rest(NULL);
}

static void check_left_open(cress_fn *fn)
{
    void *value = &value;

    capture_start(STDERR_FILENO);
    cress_greenlet *g = cress_spawn(fn, NULL);
    assert_errno(EINVAL, cress_get(g, &value, CRESS_FOREVER));
    char *text = capture_end();
    assert_non_null(
        strstr(text, "cress: greenlet greenlet-2 returned with a cress_timeout still open"));
    free(text);
    assert_true(cress_ready(g));
    assert_false(cress_successful(g));
    cress_release(g);
}

static void test_timeout_left_open(void)
{
    check_left_open(leave_one_open);
}

static void test_timeout_left_open_by_one_that_rests(void)
{
    check_left_open(rest_with_one_open);
}

static void *close_outer_first(void *arg)
{
    cress_timeout outer, inner;

    cress_timeout_start(&outer, 2);
    cress_timeout_start(&inner, 1);
    errno = 0;
    cress_timeout_close(&outer); /* and with it the inner one */
    assert_int_equal(errno, EINVAL);
    assert_ok(cress_sleep(3));
    errno = 0;
    cress_timeout_close(&inner);
    assert_int_equal(errno, EINVAL);
    assert_ok(cress_sleep(1));
    return arg;
}

static void *close_twice(void *arg)
{
    cress_timeout outer, inner;

    cress_timeout_start(&outer, 2);
    cress_timeout_start(&inner, 1);
    cress_timeout_close(&inner);
    errno = 0;
    cress_timeout_close(&inner);
    assert_int_equal(errno, EINVAL);
    assert_errno(ETIMEDOUT, cress_sleep(3)); /* the outer one is still there */
    cress_timeout_close(&outer);
    return arg;
}

__attribute__((noinline)) static void forget_to_close(void)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 1);
}

__attribute__((noinline)) static void overwrite_the_frame(void)
{
    volatile char bytes[512];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)0xa5;
}

static void *close_around_one_that_is_gone(void *arg)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 2);
    forget_to_close();
    overwrite_the_frame();
    errno = 0;
    cress_timeout_close(&limit);
    assert_int_equal(errno, EINVAL);
    assert_ok(cress_sleep(3));
    return arg;
}

static void test_timeouts_out_of_order(void)
{
    close_outer_first(NULL);
    close_twice(NULL);
    close_around_one_that_is_gone(NULL);
}

/* ---- oneself ------------------------------------------------------------------------ */

static void *join_oneself(void *arg)
{
    assert_errno(EDEADLK, cress_join(cress_self(), CRESS_FOREVER));
    assert_errno(EDEADLK, cress_get(cress_self(), NULL, 0));
    cress_greenlet *gs[] = { NULL, cress_self() };
    assert_errno(EDEADLK, cress_joinall(gs, 2, CRESS_FOREVER));
    return arg;
}

static void test_join_oneself(void)
{
    join_oneself(NULL);
}

static void test_debug_builds_stop(void **state)
{
    (void)state;
    assert_misuse(
        leave_one_open,
        "cress: greenlet main: misuse: its function returned with a cress_timeout still open");
    assert_misuse(close_outer_first, "misuse: cress_timeout_close: another cress_timeout is open");
    assert_misuse(close_twice, "misuse: cress_timeout_close: it is not open");
    assert_misuse(join_oneself, "misuse: cress_join: a greenlet cannot wait for its own end\n"
                                "    called from join_oneself");
}

/* It is not the site: only the backtrace names it. */
__attribute__((noinline)) static void *join_oneself_deep(void *arg)
{
    assert_ptr_equal(join_oneself(arg), arg);
    return arg;
}

static void test_what_it_says(void **state)
{
    (void)state;
    if (!UNWIND_WORKS || !symbols_complete())
        skip();
    assert_misuse(join_oneself, "\n    called from join_oneself (greenlet/test_misuse.c:");
    assert_misuse(join_oneself_deep, " join_oneself_deep (greenlet/test_misuse.c:");
}

/* ---- outside greenlets ------------------------------------------------------------------ */

/* These have no way to say so: any build stops. */
static void begin_limit(void)
{
    cress_timeout limit;

    misuse_set_stops(false);
    cress_timeout_start(&limit, 1);
}

static void begin_shield(void)
{
    cress_timeout limit;

    misuse_set_stops(false);
    cress_timeout_start_shielded(&limit, 1);
}

static void call_under_limit(void)
{
    misuse_set_stops(false);
    cress_with_timeout(1, join_oneself, NULL, NULL);
}

static void begin_block(void)
{
    cress_assert_switches block;

    misuse_set_stops(false);
    cress_assert_switches_begin(&block, 1);
}

static void *begin_limit_in_hub(void *arg)
{
    run_in_hub(begin_limit);
    return arg;
}

static void *begin_shield_in_hub(void *arg)
{
    run_in_hub(begin_shield);
    return arg;
}

static void *call_under_limit_in_hub(void *arg)
{
    run_in_hub(call_under_limit);
    return arg;
}

static void *begin_block_in_hub(void *arg)
{
    run_in_hub(begin_block);
    return arg;
}

static void test_outside_greenlets(void **state)
{
    (void)state;
    assert_misuse(begin_limit_in_hub, "cress: outside greenlets: misuse: cress_timeout_start: only"
                                      " greenlets may call it\n    called from ");
    assert_misuse(begin_shield_in_hub, "misuse: cress_timeout_start_shielded: only greenlets");
    assert_misuse(call_under_limit_in_hub, "misuse: cress_with_timeout: only greenlets");
    assert_misuse(begin_block_in_hub, "misuse: cress_assert_switches_begin: only greenlets");
}

/* ---- another thread --------------------------------------------------------------------- */

/* A hub whose first greenlet waits in each line, while another thread, with a hub or none,
 * touches them. */
struct parked {
    pthread_barrier_t both;
    cress_event event;
    cress_async_result result;
    cress_semaphore semaphore;
    cress_greenlet *waiters[3], *main;
    int ends[2];
};

static void *wait_event(void *arg)
{
    struct parked *parked = arg;

    assert_errno(ECANCELED, cress_event_wait(&parked->event, CRESS_FOREVER));
    return NULL;
}

static void *wait_result(void *arg)
{
    struct parked *parked = arg;

    assert_errno(ECANCELED, cress_async_result_get(&parked->result, NULL, CRESS_FOREVER));
    return NULL;
}

static void *wait_semaphore(void *arg)
{
    struct parked *parked = arg;

    assert_errno(ECANCELED, cress_semaphore_acquire(&parked->semaphore, CRESS_FOREVER));
    return NULL;
}

static void *park_all(void *arg)
{
    cress_fn *const fns[] = { wait_event, wait_result, wait_semaphore };
    struct parked *parked = arg;
    char byte;

    parked->main = cress_self();
    for (size_t i = 0; i < 3; i++)
        parked->waiters[i] = cress_spawn(fns[i], parked);
    settle();
    pthread_barrier_wait(&parked->both);
    assert_int_equal(cress_read(parked->ends[0], &byte, 1), 1); /* until the other is done */
    for (size_t i = 0; i < 3; i++) {
        assert_false(cress_ready(parked->waiters[i]));
        cress_kill(parked->waiters[i], CRESS_FOREVER);
        cress_release(parked->waiters[i]);
    }
    return NULL;
}

static void *run_parked(void *arg)
{
    cress_run(park_all, arg);
    return NULL;
}

static void ignore_end(cress_greenlet *g, void *arg)
{
    (void)g, (void)arg;
}

static void touch_greenlets(const struct parked *parked)
{
    cress_greenlet *g = parked->waiters[0];

    assert_errno(EPERM, cress_link(g, ignore_end, NULL));
    errno = 0;
    cress_cancel(g);
    assert_int_equal(errno, EPERM);
    errno = 0;
    cress_unlink(g, ignore_end, NULL);
    assert_int_equal(errno, EPERM);
    assert_errno(EPERM, cress_kill(g, CRESS_FOREVER));
    errno = 0;
    cress_rouse(g);
    assert_int_equal(errno, EPERM);
}

static void touch_lines(struct parked *parked)
{
    errno = 0;
    cress_event_set(&parked->event);
    assert_int_equal(errno, EPERM);
    errno = 0;
    cress_async_result_set(&parked->result, parked);
    assert_int_equal(errno, EPERM);
    assert_errno(EPERM, cress_semaphore_release(&parked->semaphore));
}

static void wait_in_lines(struct parked *parked)
{
    cress_waitable *objects[] = { NULL, &parked->event.waitable };

    assert_errno(EPERM, cress_event_wait(&parked->event, CRESS_FOREVER));
    assert_errno(EPERM, cress_async_result_get(&parked->result, NULL, CRESS_FOREVER));
    assert_errno(EPERM, cress_semaphore_acquire(&parked->semaphore, CRESS_FOREVER));
    assert_errno(EPERM, cress_wait_any(objects, 2, CRESS_FOREVER));
    assert_errno(EPERM, cress_join(parked->waiters[0], CRESS_FOREVER));
    assert_errno(EPERM, cress_get(parked->waiters[0], NULL, CRESS_FOREVER));
}

static void *touch_all(void *arg)
{
    touch_greenlets(arg);
    touch_lines(arg);
    wait_in_lines(arg);
    return NULL;
}

static void *touch_from_a_hub(void *arg)
{
    assert_ok(cress_run(touch_all, arg));
    return NULL;
}

static void *touch_from_none(void *arg)
{
    touch_greenlets(arg);
    touch_lines(arg);
    return NULL;
}

static void touch_from_another_thread(void *(*touch)(void *))
{
    struct parked parked = { 0 };
    pthread_t thread;

    pthread_barrier_init(&parked.both, NULL, 2);
    assert_ok(pipe(parked.ends));
    assert_ok(pthread_create(&thread, NULL, run_parked, &parked));
    pthread_barrier_wait(&parked.both);
    touch(&parked);
    assert_int_equal(write(parked.ends[1], "x", 1), 1);
    assert_ok(pthread_join(thread, NULL));
    pthread_barrier_destroy(&parked.both);
    close(parked.ends[0]);
    close(parked.ends[1]);
}

static void test_another_threads_hub(void **state)
{
    (void)state;
    touch_from_another_thread(touch_from_a_hub);
    touch_from_another_thread(touch_from_none);
}

static void *set_foreign_event(void *arg)
{
    struct parked *parked = arg;

    cress_event_set(&parked->event);
    return NULL;
}

static void *kill_foreign_greenlet(void *arg)
{
    struct parked *parked = arg;

    cress_kill(parked->waiters[0], CRESS_FOREVER);
    return NULL;
}

static void *foreign_event(void *arg)
{
    (void)arg;
    touch_from_another_thread(set_foreign_event);
    return NULL;
}

static void *foreign_greenlet(void *arg)
{
    (void)arg;
    touch_from_another_thread(kill_foreign_greenlet);
    return NULL;
}

static void test_another_threads_hub_stops_a_debug_build(void **state)
{
    (void)state;
    assert_misuse(foreign_event,
                  "cress: greenlet main: misuse: greenlets of another thread wait on what this call"
                  " touches\n    called from set_foreign_event");
    assert_misuse(foreign_greenlet,
                  "cress: greenlet main: misuse: cress_kill: the greenlet is not one"
                  " of this thread's hub\n    called from kill_foreign_greenlet");
}

static void *nothing(void *arg)
{
    return arg;
}

static void *keep(void *arg)
{
    cress_greenlet **ret_kept = arg;

    *ret_kept = cress_spawn(nothing, NULL);
    return NULL;
}

static void test_one_that_has_ended_may_be_cancelled_anywhere(void **state)
{
    cress_greenlet *kept;

    (void)state;
    assert_ok(run_virtual(keep, &kept));
    errno = 0;
    cress_cancel(kept);
    assert_int_equal(errno, 0);
    cress_release(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_timeout_left_open),
        HUB_TEST(test_timeout_left_open_by_one_that_rests),
        HUB_TEST(test_timeouts_out_of_order),
        HUB_TEST(test_join_oneself),
        cmocka_unit_test(test_debug_builds_stop),
        cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_outside_greenlets),
        cmocka_unit_test(test_another_threads_hub),
        cmocka_unit_test(test_another_threads_hub_stops_a_debug_build),
        cmocka_unit_test(test_one_that_has_ended_may_be_cancelled_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
