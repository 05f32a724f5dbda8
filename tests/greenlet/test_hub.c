#define _GNU_SOURCE
#include "capture.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/io.h>
#include <cress/pool.h>
#include <cress/queue.h>
#include <cress/simulation.h>
#include <cress/timeout.h>
#include <cress/watch.h>

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a hub's life ------------------------------------------------------------------------- */

static void *return_it(void *arg)
{
    return arg;
}

static void *fail_it(void *arg)
{
    return cress_fail(*(int *)arg);
}

static void *kill_self(void *arg)
{
    cress_cancel(cress_self());
    assert_errno(ECANCELED, cress_sleep(0));
    return arg;
}

static void *run_another(void *arg)
{
    assert_errno(EBUSY, cress_run(return_it, NULL));
    return arg;
}

static void test_results_of_run(void **state)
{
    int error = ENOTTY;

    (void)state;
    assert_false(cress_running());
    assert_ok(cress_run(return_it, NULL));
    capture_start(2);
    assert_errno(ENOTTY, cress_run(fail_it, &error));

    char *text = capture_end();

    assert_string_equal(text, "cress: greenlet main failed: Inappropriate ioctl for device\n");
    free(text);
    assert_errno(ECANCELED, cress_run(kill_self, NULL));
    assert_ok(cress_run(run_another, NULL));
    assert_false(cress_running());
}

static void *clean_up(void *arg)
{
    int result = cress_sleep(1000);

    trace("%s: %d, %s", (char *)arg, result, result < 0 ? strerror(errno) : "");
    assert_null(cress_spawn(return_it, NULL)); /* too late for new ones */
    assert_int_equal(errno, ECANCELED);
    return NULL;
}

static void *leave_others(void *arg)
{
    spawn(clean_up, "a");
    spawn(clean_up, "b");
    assert_ok(cress_sleep(0));
    spawn(clean_up, "c"); /* is in the queue before main's end is */
    cress_release(cress_spawn_later(5, clean_up, "never started"));
    trace("main returns");
    return arg;
}

static void test_others_are_killed_at_the_end(void **state)
{
    (void)state;
    assert_ok(run_virtual(leave_others, NULL));
    assert_trace("main returns\na: -1, Operation canceled\nb: -1, Operation canceled\n"
                 "c: -1, Operation canceled\n");
}

static void *say_goodbye(void *arg)
{
    cress_timeout shield;

    assert_errno(ECANCELED, cress_sleep(1000));
    cress_timeout_start_shielded(&shield, 10);
    assert_ok(cress_sleep(3));
    cress_timeout_close(&shield);
    trace("goodbye at %g", cress_now());
    return arg;
}

static void *leave_one_with_a_goodbye(void *arg)
{
    spawn(say_goodbye, NULL);
    return cress_sleep(1) < 0 ? cress_fail(errno) : arg;
}

static void test_goodbyes_are_waited_for(void **state)
{
    (void)state;
    assert_ok(run_virtual(leave_one_with_a_goodbye, NULL));
    assert_trace("goodbye at 4\n");
}

static void *sleep_for_hours(void *arg)
{
    assert_ok(cress_sleep(10 * 3600));
    return arg;
}

static void test_environment_chooses_the_clock(void **state)
{
    (void)state;
    setenv("CRESS_CLOCK", "virtual", 1);

    int result = cress_run(sleep_for_hours, NULL);

    unsetenv("CRESS_CLOCK");
    assert_ok(result);
}

/* ---- clocks ----------------------------------------------------------------------------------- */

static void test_virtual_time_jumps(void)
{
    assert_time(0);
    assert_ok(cress_sleep(3600));
    assert_time(3600);
    assert_ok(cress_sleep(1e-9));
    assert_true(cress_now() > 3600);
    for (int i = 0; i < 1000; i++)
        assert_ok(cress_sleep(0)); /* it stands while anything can run */
    assert_true(cress_now() < 3601);
}

struct sleeper {
    double span;
    int number;
};

static void *sleep_and_trace(void *arg)
{
    struct sleeper *sleeper = arg;

    assert_ok(cress_sleep(sleeper->span));
    trace("%d at %g", sleeper->number, cress_now());
    return NULL;
}

static void test_deadlines_in_order(void)
{
    struct sleeper sleepers[] = { { 2, 0 }, { 1, 1 }, { 2, 2 }, { 0.5, 3 }, { 1, 4 } };

    for (size_t i = 0; i < 5; i++)
        spawn(sleep_and_trace, &sleepers[i]);
    assert_ok(cress_sleep(10));
    assert_trace("3 at 0.5\n1 at 1\n4 at 1\n0 at 2\n2 at 2\n");
}

enum { MANY = 500 };

static int last_seen;
static double last_time;

static void *check_order(void *arg)
{
    struct sleeper *sleeper = arg;

    assert_ok(cress_sleep(sleeper->span));
    assert_true(cress_now() >= last_time);
    assert_true(cress_now() > last_time || sleeper->number > last_seen);
    last_time = cress_now();
    last_seen = sleeper->number;
    return NULL;
}

static void *sleep_until_killed(void *arg)
{
    assert_errno(ECANCELED, cress_sleep(((struct sleeper *)arg)->span));
    return NULL;
}

/* Equal deadlines in the order of the waits, whatever is taken out in between. */
static void test_many_deadlines(void)
{
    static struct sleeper sleepers[MANY];
    cress_greenlet *gs[MANY];
    unsigned seed = 1;

    last_seen = -1, last_time = 0;
    for (int i = 0; i < MANY; i++) {
        seed = seed * 1664525 + 1013904223;
        sleepers[i] = (struct sleeper){ 1 + (seed >> 16) % 50, i };
        gs[i] = cress_spawn(i % 3 ? check_order : sleep_until_killed, &sleepers[i]);
    }
    assert_ok(cress_sleep(0));
    for (int i = 0; i < MANY; i += 3)
        cress_cancel(gs[i]);
    for (int i = 0; i < MANY; i++)
        if (i % 3)
            assert_ok(cress_join(gs[i], CRESS_FOREVER));
    for (int i = 0; i < MANY; i++)
        cress_release(gs[i]);
    assert_time(50);
}

static void *measure_real_time(void *arg)
{
    cress_seconds before = cress_now();

    assert_ok(cress_sleep(0.02));
    assert_true(cress_now() - before >= 0.02);
    assert_errno(ETIMEDOUT, cress_event_wait(&(cress_event){ 0 }, 0.01));
    assert_true(cress_now() - before >= 0.03);
    return arg;
}

static void test_real_clock(void **state)
{
    (void)state;
    assert_ok(cress_run(measure_real_time, NULL));
}

/* ---- fairness ----------------------------------------------------------------------------------- */

static bool stop;

static void *spin(void *arg)
{
    while (!stop)
        assert_ok(cress_sleep(0));
    return arg;
}

static void *write_it_soon(void *arg)
{
    for (int i = 0; i < 1000; i++)
        assert_ok(cress_sleep(0));
    assert_int_equal(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

static void *read_while_others_spin(void *arg)
{
    int ends[2];
    char byte;

    stop = false;
    spawn(spin, NULL);
    spawn(spin, NULL);
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    spawn(write_it_soon, &ends[1]);
    assert_int_equal(cress_read(ends[0], &byte, 1), 1); /* the queue never empties */
    stop = true;
    assert_ok(cress_close(ends[0]));
    assert_ok(cress_close(ends[1]));
    return arg;
}

static void *sleep_while_others_spin(void *arg)
{
    stop = false;
    spawn(spin, NULL);
    spawn(spin, NULL);
    assert_ok(cress_sleep(0.01));
    stop = true;
    return arg;
}

/* More are ready than one look takes, stay so, and others have something to do all the time. */
enum { MANY_READY = 700 };

static struct {
    cress_watch watches[MANY_READY];
    unsigned woken;
} many;

static void *wait_for_one(void *watch)
{
    assert_ok(cress_watch_wait(watch, CRESS_FOREVER));
    many.woken++;
    return NULL;
}

static void *wait_for_many(void *arg)
{
    many.woken = 0;
    for (int i = 0; i < MANY_READY; i++) {
        cress_watch_init(&many.watches[i], eventfd(1, EFD_CLOEXEC), NULL);
        spawn(wait_for_one, &many.watches[i]);
    }
    while (many.woken < MANY_READY)
        assert_ok(cress_sleep(0));
    for (int i = 0; i < MANY_READY; i++) {
        cress_watch_finish(&many.watches[i]);
        assert_ok(cress_close(cress_watch_fd(&many.watches[i])));
    }
    return arg;
}

static void test_many_descriptors_are_ready(void **state)
{
    (void)state;
    assert_ok(cress_run(wait_for_many, NULL));
    assert_ok(run_virtual(wait_for_many, NULL));
    assert_ok(cress_simulate(1, wait_for_many, NULL));
    uint64_t digest = cress_simulation_digest();
    assert_ok(cress_simulate(1, wait_for_many, NULL));
    assert_true(digest == cress_simulation_digest());
}

static void *expect_readable(void *fd)
{
    assert_int_equal(cress_wait_fd((int)(intptr_t)fd, POLLIN, 1), POLLIN);
    return NULL;
}

/* Nobody waits any more for what a look is full of, and time is not to jump past what is behind. */
static void *wait_behind_many(void *arg)
{
    int fds[MANY_READY];

    for (int i = 0; i < MANY_READY; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        assert_errno(ETIMEDOUT, cress_wait_fd(fds[i], POLLIN, 0.001));
    }
    cress_greenlet *g = cress_spawn(expect_readable, (void *)(intptr_t)fds[0]);
    assert_ok(cress_sleep(0.1));
    for (int i = MANY_READY - 1; i >= 0; i--)
        assert_ok(eventfd_write(fds[i], 1));
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    for (int i = 0; i < MANY_READY; i++)
        assert_ok(cress_close(fds[i]));
    return arg;
}

static void test_many_ready_that_nobody_wants(void **state)
{
    (void)state;
    assert_ok(cress_run(wait_behind_many, NULL));
    assert_ok(run_virtual(wait_behind_many, NULL));
    assert_ok(cress_simulate(1, wait_behind_many, NULL));
}

static void test_descriptors_and_deadlines_never_starve(void **state)
{
    (void)state;
    assert_ok(cress_run(read_while_others_spin, NULL));
    assert_ok(run_virtual(read_while_others_spin, NULL));
    assert_ok(cress_run(sleep_while_others_spin, NULL));
}

/* ---- what would block for ever --------------------------------------------------------------------- */

static cress_event never;
static cress_queue nothing;

static void *wait_in_vain(void *arg)
{
    void *item;

    assert_ok(cress_set_name(cress_self(), "vain %s", (char *)arg));
    if (*(char *)arg == 'e')
        assert_errno(ECANCELED, cress_event_wait(&never, CRESS_FOREVER));
    else
        assert_errno(ECANCELED, cress_queue_get(&nothing, &item, CRESS_FOREVER));
    trace("%s killed", (char *)arg);
    return NULL;
}

static void *block_for_ever(void *arg)
{
    cress_timeout shield;

    spawn(wait_in_vain, "event");
    spawn(wait_in_vain, "queue");
    assert_errno(EDEADLK, cress_event_wait(&never, CRESS_FOREVER));
    assert_errno(EDEADLK, cress_event_wait(&never, 5)); /* and every later one */
    cress_timeout_start_shielded(&shield, 1);
    assert_errno(ETIMEDOUT, cress_event_wait(&never, CRESS_FOREVER)); /* cleanup may wait */
    cress_timeout_close(&shield);
    return arg;
}

static void test_deadlock(void **state)
{
    char expected[512];

    (void)state;
    never = (cress_event){ 0 };
    nothing = (cress_queue){ 0 };
    capture_start(2);
    assert_ok(run_virtual(block_for_ever, NULL));

    char *text = capture_end();

    assert_non_null(strstr(text,
                           "cress: would block for ever: nothing is ready and nothing is awaited"
                           " from outside\n"));
    snprintf(expected, sizeof expected, "  main: waits on event %p", (void *)&never);
    assert_non_null(strstr(text, expected));
    snprintf(expected, sizeof expected, "  vain event: waits on event %p", (void *)&never);
    assert_non_null(strstr(text, expected));
    snprintf(expected, sizeof expected, "  vain queue: waits on item of queue %p",
             (void *)&nothing);
    assert_non_null(strstr(text, expected));
    free(text);
    assert_trace("event killed\nqueue killed\n");
}

static void test_deadlock_under_the_real_clock(void **state)
{
    (void)state;
    capture_start(2);
    assert_ok(cress_run(block_for_ever, NULL));

    char *text = capture_end();

    assert_non_null(strstr(text, "would block for ever"));
    free(text);
    assert_trace("event killed\nqueue killed\n");
}

static void *wait_shielded(void *arg)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    cress_event_wait(&never, CRESS_FOREVER);
    cress_timeout_close(&shield);
    return arg;
}

static void *map_for_ever(void *arg)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_timeout limit;

    cress_timeout_start(&limit, *(double *)arg);
    cress_pool_map(&group, wait_shielded, NULL, 1, 0);
    _exit(3); /* it has returned, although its item lives */
}

/* Neither the first greenlet can be told, since a map never leaves its items, nor
 * its item, which hides from its kill. */
static void check_aborts(cress_seconds limit)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        close(STDERR_FILENO);
        run_virtual(map_for_ever, &limit);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_deadlock_that_nobody_can_be_told_of(void **state)
{
    (void)state;
    check_aborts(CRESS_FOREVER); /* stuck before it is told to stop its item */
    check_aborts(1);             /* and after */
}

static void *sleep_7(void *arg)
{
    return cress_sleep(7) < 0 ? NULL : arg; /* killed with the hub */
}

static void test_print_greenlets(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    spawn(sleep_7, NULL);
    assert_ok(cress_sleep(1));
    spawn(sleep_7, NULL);
    cress_release(cress_spawn_later(9, sleep_7, NULL));
    cress_print_greenlets(out);
    fclose(out);
    assert_non_null(strstr(text, "main: runs\n"));
    assert_non_null(strstr(text, "greenlet-2: waits on "));
    assert_non_null(strstr(text, ", for 6.000 s at most\n"));
    assert_non_null(strstr(text, "greenlet-3: not started\n"));
    assert_non_null(strstr(text, "greenlet-4: not started\n"));
    free(text);
}

static void *ignore_the_kill(void *arg)
{
    int failures = 0;

    while (failures < 2000)
        failures += cress_sleep(1) < 0;
    return arg;
}

static void test_stubborn_one_is_named(void)
{
    cress_greenlet *g = cress_spawn(ignore_the_kill, NULL);

    assert_ok(cress_set_name(g, "zombie"));
    settle();
    capture_start(2);
    assert_ok(cress_kill(g, CRESS_FOREVER));

    char *text = capture_end(), *first = strstr(text, "zombie");

    assert_non_null(first);
    assert_null(strstr(first + 1, "zombie")); /* once */
    free(text);
    cress_release(g);
}

/* ---- what a switch keeps ------------------------------------------------------------------------------ */

static void *scramble(void *arg)
{
    for (int i = 0; i < 10; i++) {
        errno = 1000 + i;
        assert_ok(cress_sleep(0));
        assert_int_equal(errno, 1000 + i);
    }
    return arg;
}

static void test_errno_is_each_ones_own(void)
{
    spawn(scramble, NULL);
    for (int i = 0; i < 10; i++) {
        errno = 2000 + i;
        assert_ok(cress_sleep(0));
        assert_int_equal(errno, 2000 + i);
    }
}

#if defined(CRESS_DEBUG) && defined(__x86_64__) && !defined(CRESS_BOOST_CONTEXT)
static void *round_upwards(void *arg)
{
    fesetround(FE_UPWARD);
    cress_sleep(0);
    return arg;
}

static void test_waiting_with_another_rounding_mode_is_misuse(void **state)
{
    (void)state;
    assert_misuse(round_upwards, "rounding mode");
}
#endif

/* Real time: a greenlet that computes for long, and lets others run between, does not hold up
 * who waits for a descriptor. */
struct reader {
    int fd;
    bool read;
};

static void *note_byte(void *arg)
{
    struct reader *reader = arg;
    char byte;

    reader->read = cress_read(reader->fd, &byte, 1) == 1;
    return NULL;
}

static double real_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void compute(double seconds)
{
    double end = real_now() + seconds;

    while (real_now() < end)
        continue;
}

static void *compute_politely(void *arg)
{
    struct reader reader = { 0 };
    int ends[2], turns = 0;

    assert_ok(pipe(ends));
    reader.fd = ends[0];
    spawn(note_byte, &reader);
    assert_ok(cress_sleep(0));
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (; !reader.read && turns < 100; turns++) {
        compute(0.002);
        assert_ok(cress_sleep(0));
    }
    assert_true(turns < 12); /* looks at descriptors are 10 ms apart at most */
    close(ends[0]);
    close(ends[1]);
    return arg;
}

static void test_computing_politely_does_not_starve_others(void **state)
{
    (void)state;
    assert_ok(cress_run(compute_politely, NULL));
}

static void *count_switches(void *arg)
{
    for (int i = 0; i < 100; i++)
        assert_ok(cress_sleep(0));
    return arg;
}

static void test_stats(void)
{
    cress_hub_stats before, after;

    cress_get_hub_stats(&before);
    assert_int_equal(before.greenlets, 1);
    spawn(count_switches, NULL);
    count_switches(NULL);
    cress_get_hub_stats(&after);
    assert_true(after.switches - before.switches >= 200);
    assert_true(after.stacks >= 2);
}

/* ---- two at once ------------------------------------------------------------------------------------------ */

static void *talk(void *arg)
{
    cress_queue *queue = arg;
    void *item;

    for (int i = 0; i < 100; i++) {
        assert_ok(cress_queue_put(queue, "x", CRESS_FOREVER));
        assert_ok(cress_sleep(i % 3 ? 0 : 0.1));
        assert_ok(cress_queue_get(queue, &item, CRESS_FOREVER));
    }
    return NULL;
}

static void *fork_and_join(void *arg)
{
    cress_queue queue = CRESS_QUEUE_INIT(2);
    cress_group group = CRESS_GROUP_INIT;

    for (int i = 0; i < 20; i++)
        assert_ok(cress_pool_spawn(&group, talk, &queue));
    assert_ok(cress_pool_join(&group, CRESS_FOREVER));
    cress_queue_finish(&queue);
    return arg;
}

static void *run_in_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        if (run_virtual(fork_and_join, NULL) < 0)
            return "failed";
    return NULL;
}

static void test_a_hub_in_each_of_two_threads(void **state)
{
    pthread_t threads[2];
    void *result;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_ok(pthread_create(&threads[i], NULL, run_in_thread, NULL));
    for (size_t i = 0; i < 2; i++) {
        assert_ok(pthread_join(threads[i], &result));
        assert_null(result);
    }
}

/* ---- turns --------------------------------------------------------------------------------- */

static int turns;

static void count_turn(void *arg)
{
    (void)arg;
    turns++;
}

static const cress_greenlet_hooks turn_hooks = { .before_wait = count_turn };

static void *call_straight_on(void *arg)
{
    int *rounds = arg;

    for (int i = 0; i < 40; i++)
        cress_take_turns();
    return --*rounds > 0 ? cress_rest(NULL) : NULL;
}

static void test_turns_without_a_wait(void)
{
    int rounds = 1;
    cress_greenlet *g = cress_spawn(call_straight_on, &rounds);

    turns = 0;
    cress_set_hooks(g, &turn_hooks, NULL);
    settle();
    assert_int_equal(turns, 0);
    rounds = 1;
    assert_null(call_straight_on(&rounds));
    rounds = 1;
    cress_set_hooks(cress_self(), &turn_hooks, NULL);
    assert_null(call_straight_on(&rounds));
    cress_set_hooks(cress_self(), NULL, NULL);
    assert_int_equal(turns, 1);
    cress_release(g);
}

/* Who has rested has let others run. */
static void test_turns_begin_anew_with_a_rest(void)
{
    int rounds = 5;
    cress_greenlet *g = cress_spawn(call_straight_on, &rounds);

    turns = 0;
    cress_set_hooks(g, &turn_hooks, NULL);
    while (rounds > 0) {
        settle();
        cress_rouse(g);
    }
    assert_int_equal(turns, 0);
    cress_release(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_of_run),
        cmocka_unit_test(test_others_are_killed_at_the_end),
        cmocka_unit_test(test_goodbyes_are_waited_for),
        cmocka_unit_test(test_environment_chooses_the_clock),
        HUB_TEST(test_virtual_time_jumps),
        HUB_TEST(test_deadlines_in_order),
        HUB_TEST(test_many_deadlines),
        cmocka_unit_test(test_real_clock),
        cmocka_unit_test(test_descriptors_and_deadlines_never_starve),
        cmocka_unit_test(test_many_descriptors_are_ready),
        cmocka_unit_test(test_many_ready_that_nobody_wants),
        cmocka_unit_test(test_deadlock),
        cmocka_unit_test(test_deadlock_under_the_real_clock),
        cmocka_unit_test(test_deadlock_that_nobody_can_be_told_of),
        HUB_TEST(test_print_greenlets),
        HUB_TEST(test_stubborn_one_is_named),
        HUB_TEST(test_errno_is_each_ones_own),
        cmocka_unit_test(test_computing_politely_does_not_starve_others),
#if defined(CRESS_DEBUG) && defined(__x86_64__) && !defined(CRESS_BOOST_CONTEXT)
        cmocka_unit_test(test_waiting_with_another_rounding_mode_is_misuse),
#endif
        HUB_TEST(test_stats),
        cmocka_unit_test(test_a_hub_in_each_of_two_threads),
        HUB_TEST(test_turns_without_a_wait),
        HUB_TEST(test_turns_begin_anew_with_a_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
