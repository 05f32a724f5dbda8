#define _GNU_SOURCE
#include "hub_test.h"

#include "../../greenlet/hub.h"

#include <cress/io.h>
#include <cress/watch.h>

#include <sys/epoll.h>
#include <unistd.h>

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

static bool is_full; /* fs.epoll.max_user_watches */

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (!is_full || operation != EPOLL_CTL_ADD)
        return __real_epoll_ctl(epoll, operation, fd, event);
    errno = ENOSPC;
    return -1;
}

static int ends[2];
static cress_watch watch;

static void open_watched(void (*on_idle)(cress_watch *w))
{
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    cress_watch_init(&watch, ends[0], on_idle);
    assert_int_equal(cress_watch_fd(&watch), ends[0]);
}

static void close_watched(void)
{
    cress_watch_finish(&watch);
    assert_ok(cress_close(ends[0]));
    assert_ok(cress_close(ends[1]));
}

static void *write_after_1(void *arg)
{
    assert_ok(cress_sleep(1));
    assert_int_equal(write(ends[1], "x", 1), 1);
    return arg;
}

static void drain(void)
{
    char bytes[16];

    assert_true(recv(ends[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0);
}

/* Time for descriptors to be looked at. */
static void look_around(void)
{
    assert_ok(cress_sleep(0.5));
    settle();
}

/* ---- waiting ---------------------------------------------------------------------------- */

static void test_wait(void)
{
    open_watched(NULL);
    assert_errno(ETIMEDOUT, cress_watch_wait(&watch, 0));
    assert_errno(ETIMEDOUT, cress_watch_wait(&watch, 2));
    assert_time(2);
    for (int i = 0; i < 3; i++) {
        spawn(write_after_1, NULL);
        assert_ok(cress_watch_wait(&watch, CRESS_FOREVER));
        drain();
    }
    assert_time(5);
    close_watched();
}

static void *wait_in_watch(void *arg)
{
    int result = cress_watch_wait(&watch, CRESS_FOREVER);

    trace("%s: %d %d", (char *)arg, result, result < 0 ? errno : 0);
    return NULL;
}

static void test_killed_and_finished(void)
{
    open_watched(NULL);

    cress_greenlet *g = cress_spawn(wait_in_watch, "a");

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    spawn(wait_in_watch, "b");
    settle();
    close_watched();
    settle();
    assert_trace("a: -1 125\nb: -1 9\n");
}

static void test_interrupted(void)
{
    open_watched(NULL);
    cress_watch_interrupt(&watch, ESHUTDOWN); /* nobody waits */
    spawn(wait_in_watch, "a");
    settle();
    cress_watch_interrupt(&watch, ESHUTDOWN);
    cress_watch_interrupt(&watch, EBADF);
    settle();
    assert_trace("a: -1 108\n");
    spawn(write_after_1, NULL); /* it can be waited for again */
    assert_ok(cress_watch_wait(&watch, CRESS_FOREVER));
    close_watched();
}

static int told;

static void count_and_stop(cress_watch *w)
{
    assert_null(cress_self()); /* in the hub */
    told++;
    cress_watch_stop(w);
}

static void count_and_drain(cress_watch *w)
{
    (void)w;
    told++;
    drain();
}

static void test_idle_one_is_told(void)
{
    told = 0;
    open_watched(count_and_stop);
    cress_watch_start(&watch);
    look_around();
    assert_int_equal(told, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    look_around();
    assert_int_equal(told, 1);
    look_around();
    assert_int_equal(told, 1); /* it has stopped */
    assert_ok(cress_watch_wait(&watch, 0.1));
    drain();
    close_watched();

    told = 0;
    open_watched(count_and_drain);
    cress_watch_start(&watch);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(ends[1], "x", 1), 1);
        look_around();
    }
    assert_int_equal(told, 3);
    close_watched();
}

static void test_unwatched_one_disarms_itself(void)
{
    open_watched(NULL);
    cress_watch_start(&watch);
    assert_int_equal(write(ends[1], "x", 1), 1);
    look_around();
    assert_int_equal(hub_awaited(hub_current), 0);
    close_watched();
}

/* ---- resting ------------------------------------------------------------------------------- */

static int calls;

static void *rest_between_bytes(void *arg)
{
    char byte;

    trace("call %d at %g", ++calls, cress_now());
    if (recv(ends[0], &byte, 1, MSG_DONTWAIT) == 1 && byte == 'q')
        return arg;
    return cress_rest(&watch);
}

static void test_rest_until_readable(void)
{
    calls = 0;
    open_watched(NULL);

    cress_greenlet *g = cress_spawn(rest_between_bytes, "done");
    size_t before = stacks_in_use();

    look_around();
    assert_int_equal(stacks_in_use(), before); /* it has none while it rests */
    assert_false(cress_ready(g));
    assert_true(cress_started(g));
    assert_int_equal(write(ends[1], "x", 1), 1);
    look_around();
    assert_int_equal(write(ends[1], "q", 1), 1);

    void *value;

    assert_ok(cress_get(g, &value, CRESS_FOREVER));
    assert_string_equal(value, "done");
    cress_release(g);
    close_watched();
    assert_trace("call 1 at 0\ncall 2 at 0.5\ncall 3 at 1\n");
}

static void test_rouse(void)
{
    calls = 0;
    open_watched(NULL);

    cress_greenlet *g = cress_spawn(rest_between_bytes, "done");

    settle();
    cress_rouse(g);
    cress_rouse(g); /* once is enough */
    settle();
    assert_trace("call 1 at 0\ncall 2 at 0\n");
    assert_int_equal(write(ends[1], "q", 1), 1);
    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_trace("call 3 at 0\n");
    cress_rouse(g); /* has ended */
    cress_release(g);
    cress_rouse(cress_self()); /* does not rest */
    close_watched();
}

static void *rest_until_killed(void *arg)
{
    trace("call %d: %d", ++calls, cress_check());
    return cress_check() < 0 ? arg : cress_rest(NULL);
}

static void test_cancel_a_resting_one(void)
{
    calls = 0;

    cress_greenlet *g = cress_spawn(rest_until_killed, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_true(cress_was_killed(g));
    cress_release(g);
    assert_trace("call 1: 0\ncall 2: -1\n");
}

static void *rest_for_ever(void *arg)
{
    (void)arg;
    return ++calls > 1 ? NULL : cress_rest(&watch);
}

static void test_resting_one_whose_watch_is_finished(void)
{
    calls = 0;
    open_watched(NULL);

    cress_greenlet *g = cress_spawn(rest_for_ever, NULL);

    settle();
    assert_int_equal(calls, 1);
    close_watched();
    assert_ok(cress_join(g, CRESS_FOREVER)); /* called again */
    assert_int_equal(calls, 2);
    cress_release(g);
}

static void *rest_until_a_byte(void *arg)
{
    unsigned *turns = arg;
    char byte;

    ++*turns;
    return recv(ends[0], &byte, 1, MSG_DONTWAIT) == 1 ? arg : cress_rest(&watch);
}

static void test_resting_one_that_the_kernel_does_not_watch(void)
{
    unsigned turns = 0;

    open_watched(NULL);
    is_full = true;
    cress_greenlet *g = cress_spawn(rest_until_a_byte, &turns);
    assert_ok(cress_sleep(1));
    assert_in_range(turns, 2, 11); /* now and then, not as fast as it can */
    is_full = false;
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    close_watched();
}

static cress_greenlet *resting;

static void rouse_resting(cress_watch *w)
{
    cress_watch_stop(w);
    cress_rouse(resting);
}

static void *rest_and_sleep(void *arg)
{
    if (++calls == 1)
        return cress_rest(&watch);
    assert_ok(cress_sleep(1));
    return arg;
}

/* It is not called again later for what it did not get while it rested. */
static void test_roused_before_the_kernel_refuses(void)
{
    cress_watch other;

    calls = 0;
    open_watched(NULL);
    cress_watch_init(&other, ends[1], rouse_resting);
    is_full = true;
    resting = cress_spawn(rest_and_sleep, NULL);
    assert_ok(cress_sleep(0));
    assert_int_equal(calls, 1);
    cress_watch_start(&other); /* is told first */

    cress_seconds begun = cress_now();
    assert_ok(cress_join(resting, CRESS_FOREVER));
    assert_int_equal(calls, 2);
    assert_true(cress_now() - begun >= 1);
    cress_release(resting);
    is_full = false;
    close_watched();
}

static void *leave_a_resting_one(void *arg)
{
    spawn(rest_until_killed, NULL);
    settle();
    return arg;
}

static void test_hub_ends_resting_ones(void **state)
{
    (void)state;
    calls = 0;
    assert_ok(run_virtual(leave_a_resting_one, NULL));
    assert_trace("call 1: 0\ncall 2: -1\n");
}

static void *leave_it_started(void *arg)
{
    open_watched(NULL);
    assert_errno(ETIMEDOUT, cress_watch_wait(&watch, 1));
    return arg;
}

static void *use_it_again(void *arg)
{
    spawn(write_after_1, NULL);
    assert_ok(cress_watch_wait(&watch, 2));
    close_watched();
    return arg;
}

static void test_one_outlives_its_hub(void **state)
{
    (void)state;
    assert_ok(run_virtual(leave_it_started, NULL));
    assert_ok(run_virtual(use_it_again, NULL));
}

enum { MANY = 2000 };

static void *rest_silently(void *arg)
{
    calls++;
    return cress_check() < 0 ? arg : cress_rest(NULL);
}

static void test_many_rest_without_stacks(void)
{
    cress_greenlet *gs[MANY];
    size_t before = stacks_in_use();

    calls = 0;
    for (int i = 0; i < MANY; i++)
        gs[i] = cress_spawn(rest_silently, NULL);
    settle();
    assert_int_equal(calls, MANY);
    assert_int_equal(stacks_in_use(), before);
    assert_ok(cress_killall(gs, MANY, CRESS_FOREVER));
    assert_int_equal(calls, 2 * MANY);
    for (int i = 0; i < MANY; i++)
        cress_release(gs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_wait),
        HUB_TEST(test_killed_and_finished),
        HUB_TEST(test_interrupted),
        HUB_TEST(test_idle_one_is_told),
        HUB_TEST(test_unwatched_one_disarms_itself),
        HUB_TEST(test_rest_until_readable),
        HUB_TEST(test_rouse),
        HUB_TEST(test_cancel_a_resting_one),
        HUB_TEST(test_resting_one_whose_watch_is_finished),
        HUB_TEST(test_resting_one_that_the_kernel_does_not_watch),
        HUB_TEST(test_roused_before_the_kernel_refuses),
        cmocka_unit_test(test_hub_ends_resting_ones),
        cmocka_unit_test(test_one_outlives_its_hub),
        HUB_TEST(test_many_rest_without_stacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
