/* What a dump says of each greenlet. */
#define _GNU_SOURCE
#include "hub_test.h"

#include "../../greenlet/symbol.h"
#include "../../greenlet/unwind.h"

#include <cress/async_result.h>
#include <cress/event.h>
#include <cress/io.h>
#include <cress/monitor.h>
#include <cress/queue.h>
#include <cress/semaphore.h>
#include <cress/signal.h>
#include <cress/timeout.h>
#include <cress/watch.h>

#include "capture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dump(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    cress_print_greenlets(out);
    assert_ok(fclose(out));
    return text;
}

static void assert_says(const char *text, const char *expected)
{
    if (!strstr(text, expected))
        fail_msg("no '%s' in:\n%s", expected, text);
}

static bool knows_names(void)
{
    return UNWIND_WORKS && symbols_complete();
}

/* ---- one wait each ------------------------------------------------------------------ */

static cress_event board_changed;
static cress_async_result answer;
static cress_semaphore places;
static cress_queue jobs;
static int ends[2], full[2];

static void *wait_event(void *arg)
{
    cress_event_wait(&board_changed, CRESS_FOREVER);
    return arg;
}

static void *wait_event_at_most(void *arg)
{
    cress_event_wait(&board_changed, 30);
    return arg;
}

static void *wait_event_under_limit(void *arg)
{
    cress_timeout limit;

    cress_timeout_start(&limit, 20);
    cress_event_wait(&board_changed, CRESS_FOREVER);
    cress_timeout_close(&limit);
    return arg;
}

static void *wait_result(void *arg)
{
    cress_async_result_get(&answer, NULL, CRESS_FOREVER);
    return arg;
}

static void *wait_place(void *arg)
{
    cress_semaphore_acquire(&places, CRESS_FOREVER);
    return arg;
}

static void *wait_job(void *arg)
{
    void *job;

    cress_queue_get(&jobs, &job, CRESS_FOREVER);
    return arg;
}

static void *wait_to_read(void *arg)
{
    char byte;

    cress_read(ends[0], &byte, 1);
    return arg;
}

static void *wait_to_write(void *arg)
{
    cress_wait_fd(full[1], POLLOUT, CRESS_FOREVER);
    return arg;
}

static void *poll_one(void *arg)
{
    cress_poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, CRESS_FOREVER);
    return arg;
}

static void *poll_two(void *arg)
{
    struct pollfd fds[] = { { .fd = ends[0], .events = POLLIN },
                            { .fd = full[1], .events = POLLOUT } };

    cress_poll(fds, 2, CRESS_FOREVER);
    return arg;
}

static void *wait_any(void *arg)
{
    cress_waitable *objects[] = { NULL, &board_changed.waitable, &answer.waitable };

    cress_wait_any(objects, 3, CRESS_FOREVER);
    return arg;
}

static void *join(void *arg)
{
    cress_join(arg, CRESS_FOREVER);
    return NULL;
}

static void *sleep_for_long(void *arg)
{
    cress_sleep(100);
    return arg;
}

static void *rest_once(void *arg)
{
    static bool rested;

    if (rested)
        return NULL;
    rested = true;
    return cress_rest(arg);
}

static void name_and_drop(cress_greenlet *g, const char *name)
{
    assert_non_null(g);
    assert_ok(cress_set_name(g, "%s", name));
    cress_release(g);
}

/* "  name: waits on what 0x... (variable), since 2.000 s" */
static void assert_object(const char *text, const char *name, const char *what, const void *object,
                          const char *variable)
{
    char expected[256];

    snprintf(expected, sizeof expected, "  %s: waits on %s %p", name, what, object);
    assert_says(text, expected);
    if (!knows_names())
        return;
    snprintf(expected, sizeof expected, "  %s: waits on %s %p (%s), since 2.000 s", name, what,
             object, variable);
    assert_says(text, expected);
}

static void assert_descriptor(const char *text, const char *name, const char *before, int number,
                              const char *after)
{
    char expected[256];

    snprintf(expected, sizeof expected, "  %s: %s %d%s, since 2.000 s\n", name, before, number,
             after);
    assert_says(text, expected);
}

static void fill(int fd)
{
    char bytes[4096] = { 0 };
    struct pollfd writable = { .fd = fd, .events = POLLOUT };

    while (poll(&writable, 1, 0) == 1)
        assert_true(write(fd, bytes, sizeof bytes) > 0);
}

static void test_waits(void)
{
    cress_watch watch;

    assert_ok(pipe(ends));
    assert_ok(pipe(full));
    fill(full[1]);
    board_changed = (cress_event){ 0 };
    cress_watch_init(&watch, ends[0], NULL);

    cress_greenlet *sleeper = cress_spawn(sleep_for_long, NULL);
    assert_ok(cress_set_name(sleeper, "sleeper"));
    name_and_drop(cress_spawn(wait_event, NULL), "event");
    name_and_drop(cress_spawn(wait_event_at_most, NULL), "event, 30 s");
    name_and_drop(cress_spawn(wait_event_under_limit, NULL), "event, 20 s");
    name_and_drop(cress_spawn(wait_result, NULL), "result");
    name_and_drop(cress_spawn(wait_place, NULL), "semaphore");
    name_and_drop(cress_spawn(wait_job, NULL), "queue");
    name_and_drop(cress_spawn(wait_to_read, NULL), "reader");
    name_and_drop(cress_spawn(wait_to_write, NULL), "writer");
    name_and_drop(cress_spawn(poll_one, NULL), "poll 1");
    name_and_drop(cress_spawn(poll_two, NULL), "poll 2");
    name_and_drop(cress_spawn(wait_any, NULL), "any");
    name_and_drop(cress_spawn(join, sleeper), "joiner");
    name_and_drop(cress_spawn(rest_once, &watch), "rester");
    assert_ok(cress_sleep(2));

    char *text = dump();
    assert_says(text, "  main: runs\n");
    assert_says(text, "  sleeper: waits on sleep, since 2.000 s, for 98.000 s at most\n");
    assert_object(text, "event", "event", &board_changed, "board_changed");
    assert_object(text, "result", "async result", &answer, "answer");
    assert_object(text, "semaphore", "semaphore", &places, "places");
    assert_object(text, "queue", "item of queue", &jobs, "jobs");
    assert_object(text, "any", "any of several, the first at", &board_changed, "board_changed");
    assert_object(text, "joiner", "the end of", cress_greenlet_waitable(sleeper), "sleeper");
    assert_descriptor(text, "reader", "waits on descriptor", ends[0], " to read");
    assert_descriptor(text, "writer", "waits on descriptor", full[1], " to write");
    assert_descriptor(text, "poll 1", "waits on descriptor", ends[0], " by poll");
    assert_says(text, "  poll 2: waits on 2 descriptors by poll, since 2.000 s\n");
    assert_descriptor(text, "rester", "rests until descriptor", ends[0], " can be read");
    assert_says(text, ", since 2.000 s, for 28.000 s at most\n");
    assert_says(text, ", since 2.000 s, for 18.000 s at most\n");
    free(text);

    cress_watch_finish(&watch);
    cress_kill(sleeper, CRESS_FOREVER);
    cress_release(sleeper);
    close(ends[1]);
    close(full[0]);
    settle();
    close(ends[0]);
    close(full[1]);
}

/* ---- the rest of it ---------------------------------------------------------------------- */

__attribute__((noinline)) static void spawn_here(void)
{
    name_and_drop(cress_spawn(wait_event, NULL), "new");
}

static void test_details(void)
{
    board_changed = (cress_event){ 0 };
    spawn_here();

    char *text = dump();
    assert_says(text, "  new: not started\n    greenlet 2, spawned by ");
    free(text);
    name_and_drop(cress_spawn_later(9, wait_event, NULL), "later");
    settle();
    text = dump();
    assert_says(text, "  later: not started\n");
    assert_says(text, " KiB of stack touched\n");
    if (knows_names()) {
        assert_says(text, "    greenlet 2, spawned by spawn_here (greenlet/test_report.c:");
        assert_says(text, "    greenlet 3, spawned by test_details (greenlet/test_report.c:");
        assert_says(text, " wait_event (greenlet/test_report.c:");
        assert_says(text, " test_details (greenlet/test_report.c:"); /* where main runs */
    }
    free(text);
}

static void *wait_shielded(void *arg)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    cress_event_wait(&board_changed, CRESS_FOREVER);
    cress_timeout_close(&shield);
    return arg;
}

static void test_being_killed(void)
{
    board_changed = (cress_event){ 0 };
    cress_greenlet *g = cress_spawn(wait_shielded, NULL);
    settle();
    cress_cancel(g);

    char *text = dump();
    assert_says(text, ", since 0.000 s (being killed)\n");
    free(text);
    cress_event_set(&board_changed);
    assert_ok(cress_sleep(0));
    cress_release(g);
}

static void test_outside(void **state)
{
    (void)state;
    char *text = dump();
    assert_string_equal(text, "");
    free(text);
}

/* ---- many ----------------------------------------------------------------------------------- */

enum { MANY = 2000 };

static void spawn_many(void)
{
    board_changed = (cress_event){ 0 };
    for (int i = 0; i < MANY; i++)
        spawn(wait_event, NULL);
    settle();
}

static size_t count_of(const char *text, const char *piece)
{
    size_t count = 0;

    for (; (text = strstr(text, piece)); text++)
        count++;
    return count;
}

/* Who stands where another does is not written out again. */
static void test_many_at_one_place(void)
{
    spawn_many();
    char *text = dump();
    assert_int_equal(count_of(text, ": waits on event "), MANY);
    if (UNWIND_WORKS) {
        assert_int_equal(count_of(text, "    stands where greenlet 2 does\n"), MANY - 1);
        assert_true(strlen(text) < MANY * 400);
    }
    free(text);
    cress_event_set(&board_changed);
}

struct collected {
    char *text;
    size_t len, most, calls;
    size_t fail_after; /* calls */
};

static int collect(const char *text, size_t len, void *arg)
{
    struct collected *collected = arg;

    if (collected->fail_after && collected->calls == collected->fail_after) {
        errno = ENOSPC;
        return -1;
    }
    collected->text = realloc(collected->text, collected->len + len + 1);
    memcpy(collected->text + collected->len, text, len);
    collected->len += len;
    collected->text[collected->len] = '\0';
    collected->calls++;
    if (len > collected->most)
        collected->most = len;
    return 0;
}

static unsigned turns;
static bool dumped;

static void *count_turns(void *arg)
{
    while (!dumped) {
        turns++;
        assert_ok(cress_sleep(0));
    }
    return arg;
}

static void test_dump_in_turns(void)
{
    struct collected collected = { 0 };

    turns = 0;
    dumped = false;
    spawn_many();
    spawn(count_turns, NULL);
    assert_ok(cress_dump_greenlets(collect, &collected));
    dumped = true;
    assert_int_equal(count_of(collected.text, ": waits on event "), MANY);
    assert_true(turns > MANY / 50);      /* the others had theirs */
    assert_true(collected.most < 65536); /* and memory is bounded */
    assert_true(collected.calls > MANY / 50);
    free(collected.text);
    cress_event_set(&board_changed);
}

static cress_greenlet *victims[64];

static int collect_and_kill(const char *text, size_t len, void *arg)
{
    struct collected *collected = arg;

    if (collected->calls == 1) {
        for (int i = 0; i < 64; i++)
            cress_cancel(victims[i]);
        assert_ok(cress_sleep(0));
    }
    return collect(text, len, arg);
}

/* The one after which it went on has ended meanwhile, and so have those that follow. */
static void test_dump_while_greenlets_end(void)
{
    struct collected collected = { 0 };

    board_changed = (cress_event){ 0 };
    for (int i = 0; i < 64; i++)
        victims[i] = cress_spawn(wait_event, NULL);
    cress_greenlet *last = cress_spawn(sleep_for_long, NULL);
    assert_ok(cress_set_name(last, "last one"));
    settle();
    assert_ok(cress_dump_greenlets(collect_and_kill, &collected));
    assert_says(collected.text, "  last one: waits on sleep");
    assert_true(count_of(collected.text, ": waits on event ") < 64);
    free(collected.text);
    for (int i = 0; i < 64; i++) {
        assert_true(cress_ready(victims[i]));
        cress_release(victims[i]);
    }
    cress_release(last);
}

static void test_dump_that_is_not_taken(void)
{
    struct collected collected = { .fail_after = 1 };

    spawn_many();
    assert_errno(ENOSPC, cress_dump_greenlets(collect, &collected));
    assert_int_equal(collected.calls, 1);
    free(collected.text);
    cress_event_set(&board_changed);
}

static void *dump_killed(void *arg)
{
    struct collected *collected = arg;

    assert_errno(ECANCELED, cress_dump_greenlets(collect, collected));
    return NULL;
}

static void test_dump_that_is_killed(void)
{
    struct collected collected = { 0 };

    spawn_many();
    cress_greenlet *g = cress_spawn(dump_killed, &collected);
    assert_ok(cress_sleep(0));
    cress_kill(g, CRESS_FOREVER);
    assert_true(collected.calls > 0 && collected.calls < 10);
    free(collected.text);
    cress_release(g);
    cress_event_set(&board_changed);
}

static void *dump_by_signal(void *arg)
{
    assert_ok(cress_dump_on_signal(SIGUSR2));
    spawn(sleep_for_long, NULL);
    assert_ok(cress_sleep(1));
    assert_ok(raise(SIGUSR2));
    assert_ok(cress_sleep(1));
    assert_ok(cress_signal(SIGUSR2, NULL, NULL));
    return arg;
}

static void test_dump_on_signal(void **state)
{
    (void)state;
    capture_start(STDERR_FILENO);
    assert_ok(run_virtual(dump_by_signal, NULL));
    char *text = capture_end();
    assert_says(text, "  main: waits on sleep, since ");
    assert_says(text, "  greenlet-2: waits on sleep, since ");
    assert_says(text, "  dump: runs\n");
    free(text);
    assert_errno(EPERM, cress_dump_on_signal(SIGUSR2)); /* outside a hub */
}

static unsigned count_in(const char *text, const char *wanted)
{
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, wanted)); at++)
        count++;
    return count;
}

static const int many_signals[] = { SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH };

static void ask_many_times(void)
{
    for (size_t i = 0; i < sizeof many_signals / sizeof many_signals[0]; i++)
        assert_ok(cress_dump_on_signal(many_signals[i]));
    for (int i = 0; i < 40; i++) /* so that a dump takes some turns */
        spawn(sleep_for_long, NULL);
    assert_ok(cress_sleep(1));
    for (size_t i = 0; i < sizeof many_signals / sizeof many_signals[0]; i++)
        assert_ok(raise(many_signals[i]));
}

static void *dump_by_many_signals(void *arg)
{
    ask_many_times();
    assert_ok(cress_sleep(1));
    return arg;
}

/* The others come while the first one's dump is under way: one more follows. */
static void test_one_dump_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        capture_start(STDERR_FILENO);
        assert_ok(run_virtual(dump_by_many_signals, NULL));
        char *text = capture_end();
        assert_int_equal(count_in(text, "  dump: runs\n"), 2);
        free(text);
    }
}

static cress_event has_begun;

static void *tell_begun(void *arg)
{
    cress_event_set(&has_begun);
    return arg;
}

static void *end_during_a_dump(void *arg)
{
    cress_event_clear(&has_begun);
    ask_many_times();
    assert_ok(cress_signal(SIGUSR1, tell_begun, NULL)); /* instead: the first is on its way */
    assert_ok(cress_event_wait(&has_begun, CRESS_FOREVER));
    return arg;
}

static void test_a_dump_that_was_cut_short_is_over(void **state)
{
    (void)state;
    capture_start(STDERR_FILENO);
    assert_ok(run_virtual(end_during_a_dump, NULL));
    char *text = capture_end();
    assert_says(text, "  main: ");
    assert_null(strstr(text, "  greenlet-41: "));
    free(text);
    capture_start(STDERR_FILENO);
    assert_ok(run_virtual(dump_by_signal, NULL));
    text = capture_end();
    assert_int_equal(count_in(text, "  dump: runs\n"), 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_waits),
        HUB_TEST(test_details),
        HUB_TEST(test_being_killed),
        cmocka_unit_test(test_outside),
        HUB_TEST(test_many_at_one_place),
        HUB_TEST(test_dump_in_turns),
        HUB_TEST(test_dump_while_greenlets_end),
        HUB_TEST(test_dump_that_is_not_taken),
        HUB_TEST(test_dump_that_is_killed),
        cmocka_unit_test(test_dump_on_signal),
        cmocka_unit_test(test_one_dump_at_a_time),
        cmocka_unit_test(test_a_dump_that_was_cut_short_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
