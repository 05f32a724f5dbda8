#include "hub_test.h"

#include <cress/event.h>
#include <cress/io.h>
#include <cress/watch.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static bool refuses_maps;
static size_t refused;

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (!refuses_maps)
        return __real_mmap(addr, len, prot, flags, fd, offset);
    refused++;
    errno = ENOMEM;
    return MAP_FAILED;
}

static cress_event go;
static size_t gone;

static void *wait_for_go(void *arg)
{
    assert_ok(cress_event_wait(&go, CRESS_FOREVER));
    gone++;
    return arg;
}

enum { STARVED = 10 };

static void *rest_once(void *arg)
{
    size_t *calls = arg;

    return ++*calls <= STARVED ? cress_rest(NULL) : NULL;
}

static void spawn_all(cress_greenlet *gs[STARVED], cress_fn *fn, void *arg)
{
    for (size_t i = 0; i < STARVED; i++) {
        gs[i] = cress_spawn(fn, arg);
        assert_non_null(gs[i]);
    }
}

static void join_all(cress_greenlet *gs[STARVED])
{
    assert_ok(cress_joinall(gs, STARVED, CRESS_FOREVER));
    for (size_t i = 0; i < STARVED; i++)
        cress_release(gs[i]);
}

/* All stacks but one are taken: what is spawned now competes for that. */
static void take_all_but_one(void)
{
    cress_hub_stats stats;

    for (;;) {
        cress_get_hub_stats(&stats);
        if (stats.stacks_cached == 1)
            break;
        spawn(wait_for_go, NULL);
        assert_ok(cress_sleep(0));
    }
}

static void *starve(void *arg)
{
    cress_greenlet *resting[STARVED], *new[STARVED];
    size_t calls = 0;

    go = (cress_event){ 0 };
    gone = refused = 0;
    spawn_all(resting, rest_once, &calls);
    assert_ok(cress_sleep(0));
    assert_int_equal(calls, STARVED);
    take_all_but_one();
    size_t parked = stacks_in_use() - 1;
    spawn_all(new, wait_for_go, NULL);
    refuses_maps = true;
    assert_ok(cress_sleep(0.4)); /* the virtual clock advances when nothing is ready */
    for (size_t i = 0; i < STARVED; i++)
        cress_rouse(resting[i]);
    cress_cancel(new[STARVED - 1]);
    assert_ok(cress_sleep(0.4));
    assert_int_equal(calls, STARVED);
    assert_true(refused > STARVED);
    cress_event_set(&go);
    join_all(resting);
    assert_true(cress_was_killed(new[STARVED - 1]));
    join_all(new);
    refuses_maps = false;
    assert_int_equal(calls, 2 * STARVED);
    assert_int_equal(gone, parked + STARVED - 1);
    assert_int_equal(stacks_in_use(), 1);
    return arg;
}

static void check_within_time(cress_fn *fn)
{
    alarm(30); /* a hub that is busy would be for ever */
    assert_ok(run_virtual(fn, NULL));
    alarm(0);
}

/* Greenlets for which there is no stack wait for one, and nothing is busy meanwhile. */
static void test_without_stacks(void **state)
{
    (void)state;
    check_within_time(starve);
}

/* In a hub whose stacks are all taken: spawned while memory could be had, they find none. */
static void spawn_starved(cress_greenlet *gs[STARVED])
{
    go = (cress_event){ 0 };
    take_all_but_one();
    spawn_all(gs, wait_for_go, NULL);
    refuses_maps = true;
    assert_ok(cress_sleep(0.1));
    for (size_t i = 0; i < STARVED; i++)
        assert_true(cress_started(gs[i]));
}

static void *starve_to_the_end(void *arg)
{
    cress_greenlet *gs[STARVED];

    spawn_starved(gs);
    cress_cancel(gs[STARVED - 1]);
    assert_ok(cress_join(gs[STARVED - 1], 0.1)); /* needs no stack to end */
    assert_true(cress_was_killed(gs[STARVED - 1]));
    assert_null(cress_spawn(wait_for_go, NULL));
    assert_int_equal(errno, ENOMEM);
    assert_ok(cress_sleep(1));
    for (size_t i = 1; i < STARVED - 1; i++)
        assert_int_equal(cress_error(gs[i]), ENOMEM);
    cress_event_set(&go);
    join_all(gs);
    refuses_maps = false;
    return arg;
}

static void test_who_gets_no_stack_ends(void **state)
{
    (void)state;
    assert_ok(run_virtual(starve_to_the_end, NULL));
}

static void *starve_for_a_while(void *arg)
{
    cress_greenlet *gs[STARVED];

    spawn_starved(gs);
    refuses_maps = false;
    assert_ok(cress_sleep(0.5)); /* nobody ends meanwhile */
    cress_event_set(&go);
    join_all(gs);
    for (size_t i = 0; i < STARVED; i++)
        assert_int_equal(cress_error(gs[i]), 0);
    return arg;
}

static void test_memory_comes_back(void **state)
{
    (void)state;
    assert_ok(run_virtual(starve_for_a_while, NULL));
}

static int ends[2];
static cress_watch watch;
static unsigned told;

/* Somebody has been woken for it, and will read. */
static void note_idle(cress_watch *w)
{
    assert_ptr_equal(w, &watch);
    told++;
}

static void *rest_until_readable(void *arg)
{
    char byte;

    return recv(ends[0], &byte, 1, MSG_DONTWAIT) == 1 ? arg : cress_rest(&watch);
}

static void *starve_one_with_input(void *arg)
{
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    cress_watch_init(&watch, ends[0], note_idle);
    cress_greenlet *g = cress_spawn(rest_until_readable, arg);
    go = (cress_event){ 0 };
    assert_ok(cress_sleep(0));
    take_all_but_one();
    cress_release(cress_spawn(wait_for_go, NULL)); /* the last one */
    assert_ok(cress_sleep(0));
    refuses_maps = true;
    told = 0;
    assert_int_equal(send(ends[1], "xy", 2, 0), 2);
    assert_ok(cress_sleep(0.5));
    assert_int_equal(told, 0);
    assert_false(cress_ready(g));
    cress_event_set(&go);
    assert_ok(cress_join(g, CRESS_FOREVER));
    refuses_maps = false;
    cress_watch_finish(&watch);
    cress_close(ends[0]);
    cress_close(ends[1]);
    cress_release(g);
    return arg;
}

/* Its descriptor stays readable, and nobody can take what is there. */
static void test_input_that_waits_for_a_stack(void **state)
{
    (void)state;
    check_within_time(starve_one_with_input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_stacks),
        cmocka_unit_test(test_who_gets_no_stack_ends),
        cmocka_unit_test(test_memory_comes_back),
        cmocka_unit_test(test_input_that_waits_for_a_stack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
