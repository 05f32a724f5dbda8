#include "capture.h"
#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/event.h>
#include <cress/imap.h>
#include <cress/queue.h>
#include <cress/timeout.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static cress_pool *the_pool;
static cress_imap *the_imap;
static size_t running, most_running;

static void enter(void)
{
    running++;
    if (running > most_running)
        most_running = running;
}

/* An item is a number: sleeps so many seconds, returns its item. */
static void *sleep_for(void *arg)
{
    enter();
    int result = cress_sleep(*(int *)arg);
    running--;
    return result < 0 ? cress_fail(errno) : arg;
}

static void init(cress_imap *it, cress_pool *p, cress_fn *fn, int items[], size_t count)
{
    running = most_running = 0;
    assert_ok(cress_imap_init(
        it, p, fn,
        &(cress_imap_options){ .items = items, .count = count, .item_size = sizeof items[0] }));
}

static void init_unordered(cress_imap *it, cress_pool *p, cress_fn *fn, int items[], size_t count)
{
    running = most_running = 0;
    assert_ok(cress_imap_init(it, p, fn,
                              &(cress_imap_options){
                                  .items = items,
                                  .count = count,
                                  .item_size = sizeof items[0],
                                  .unordered = true,
                              }));
}

/* Reads to the end. */
static void trace_results(cress_imap *it)
{
    void *value = NULL;
    int got;

    while ((got = cress_imap_next(it, &value, CRESS_FOREVER)) != 0) {
        if (got > 0)
            trace("#%zu: %d at %g", cress_imap_index(it), *(int *)value, cress_now());
        else if (cress_imap_index(it) != CRESS_IMAP_NONE)
            trace("#%zu: %s at %g", cress_imap_index(it), strerror(errno), cress_now());
        else
            trace("%s at %g", strerror(errno), cress_now());
    }
}

/* ---- order ------------------------------------------------------------------------------ */

static void test_in_order(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 3, 1, 2 };
    cress_imap it;
    void *value;

    init(&it, &group, sleep_for, items, 3);
    trace_results(&it);
    assert_trace("#0: 3 at 3\n#1: 1 at 3\n#2: 2 at 3\n");
    assert_int_equal(cress_imap_next(&it, &value, 0), 0); /* and again */
    assert_int_equal(cress_imap_index(&it), CRESS_IMAP_NONE);
    assert_null(cress_imap_item(&it));
    cress_imap_finish(&it);
}

static void test_as_they_end(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 3, 1, 2 };
    cress_imap it;

    init_unordered(&it, &group, sleep_for, items, 3);
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("#1: 1 at 1\n#2: 2 at 2\n#0: 3 at 3\n");
}

static void test_a_pool_bounds_how_many_run(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    int items[] = { 1, 1, 1, 1, 1 };
    cress_imap it;

    init(&it, &pool, sleep_for, items, 5);
    trace_results(&it);
    cress_imap_finish(&it);
    assert_int_equal(most_running, 2);
    assert_trace("#0: 1 at 1\n#1: 1 at 1\n#2: 1 at 2\n#3: 1 at 2\n#4: 1 at 3\n");
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *trace_begin(void *arg)
{
    trace("begins");
    return arg;
}

static void test_items_begin_when_the_caller_waits(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 7 };
    cress_imap it;

    init(&it, &group, trace_begin, items, 1);
    trace("made");
    assert_ok(cress_sleep(1)); /* nobody reads: it runs all the same */
    trace("read");
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("made\nbegins\nread\n#0: 7 at 1\n");
}

static void test_nothing_to_do(void)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_imap it = { 0 }, zeroed = { 0 };

    assert_int_equal(cress_imap_next(&zeroed, NULL, 0), 0);
    assert_int_equal(cress_imap_index(&zeroed), CRESS_IMAP_NONE);
    cress_imap_finish(&zeroed);
    cress_imap_finish(NULL);
    init(&it, &group, sleep_for, NULL, 0);
    assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 0);
    cress_imap_finish(&it);
    cress_imap_finish(&it);
    assert_int_equal(cress_imap_next(&it, NULL, 0), 0);
}

/* ---- sources ------------------------------------------------------------------------------ */

struct counter {
    int next, end;
    int error; /* instead of an end */
    cress_seconds pause;
    int numbers[64];
};

static int count_up(void *arg, void **ret_item)
{
    struct counter *counter = arg;

    if (counter->pause > 0 && cress_sleep(counter->pause) < 0)
        return -1;
    if (counter->next == counter->end) {
        errno = counter->error;
        return counter->error ? -1 : 0;
    }
    counter->numbers[counter->next] = counter->next;
    *ret_item = &counter->numbers[counter->next++];
    return 1;
}

static void *return_item(void *arg)
{
    return arg;
}

static void test_a_source(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    struct counter counter = { .end = 3 };
    cress_imap it;

    assert_ok(cress_imap_init(&it, &pool, return_item,
                              &(cress_imap_options){ .next_item = count_up, .source = &counter }));
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("#0: 0 at 0\n#1: 1 at 0\n#2: 2 at 0\n");
}

static void test_a_source_that_waits(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    struct counter counter = { .end = 3, .pause = 2 };
    cress_imap it;

    assert_ok(cress_imap_init(&it, &pool, return_item,
                              &(cress_imap_options){ .next_item = count_up, .source = &counter }));
    trace_results(&it);
    assert_time(8); /* the end, too, is waited for */
    cress_imap_finish(&it);
    assert_trace("#0: 0 at 2\n#1: 1 at 4\n#2: 2 at 6\n");
}

static void test_a_source_that_fails(void)
{
    cress_group group = CRESS_GROUP_INIT;
    struct counter counter = { .end = 2, .error = EBADMSG };
    cress_imap it;

    assert_ok(cress_imap_init(&it, &group, sleep_for,
                              &(cress_imap_options){ .next_item = count_up, .source = &counter }));
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("#0: 0 at 0\n#1: 1 at 1\nBad message at 1\n"); /* last, and once */
}

static int endless(void *arg, void **ret_item)
{
    size_t *taken = arg;

    *ret_item = NULL;
    ++*taken;
    return 1;
}

static void test_an_endless_source(void)
{
    cress_group group = CRESS_GROUP_INIT;
    size_t taken = 0;
    cress_imap it;

    assert_ok(cress_imap_init(
        &it, &group, return_item,
        &(cress_imap_options){ .next_item = endless, .source = &taken, .unordered = true }));
    assert_ok(cress_sleep(1));
    assert_int_equal(taken, CRESS_IMAP_MAX_UNREAD);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 1);
    assert_true(taken >= 5000 && taken <= 5000 + CRESS_IMAP_MAX_UNREAD);
    cress_imap_finish(&it);
    assert_int_equal(cress_pool_size(&group), 0);
}

/* ---- the bound on unread results ------------------------------------------------------------- */

static void test_a_bound_on_the_unread(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1, 1, 1, 1, 1, 1 };
    cress_imap it;

    running = most_running = 0;
    assert_ok(cress_imap_init(&it, &group, sleep_for,
                              &(cress_imap_options){
                                  .items = items,
                                  .count = 6,
                                  .item_size = sizeof items[0],
                                  .max_unread = 2,
                              }));
    assert_ok(cress_sleep(10)); /* two have ended; nobody reads: no more begin */
    assert_int_equal(running, 0);
    assert_int_equal(most_running, 2);
    assert_int_equal(cress_imap_next(&it, NULL, 0), 1);
    settle();
    assert_int_equal(running, 1); /* one read, one begun */
    trace_results(&it);
    cress_imap_finish(&it);
    assert_int_equal(most_running, 2);
    assert_trace("#1: 1 at 10\n#2: 1 at 11\n#3: 1 at 11\n#4: 1 at 12\n#5: 1 at 12\n");
}

static void test_one_at_a_time(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 2, 1, 1 };
    cress_imap it;

    running = most_running = 0;
    assert_ok(cress_imap_init(&it, &group, sleep_for,
                              &(cress_imap_options){
                                  .items = items,
                                  .count = 3,
                                  .item_size = sizeof items[0],
                                  .max_unread = 1,
                                  .unordered = true,
                              }));
    trace_results(&it);
    cress_imap_finish(&it);
    assert_int_equal(most_running, 1);
    assert_trace("#0: 2 at 2\n#1: 1 at 3\n#2: 1 at 4\n");
}

/* ---- failures ----------------------------------------------------------------------------------- */

static void *fail_if_odd(void *arg)
{
    assert_ok(cress_sleep(1));
    return *(int *)arg % 2 ? cress_fail(EXDEV) : arg;
}

static void test_failed_items(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1, 2, 3, 4 };
    cress_imap it;
    void *value = &group;

    capture_start(2);
    init(&it, &group, fail_if_odd, items, 4);
    assert_errno(EXDEV, cress_imap_next(&it, &value, CRESS_FOREVER));
    assert_ptr_equal(value, &group); /* not written */
    assert_int_equal(cress_imap_index(&it), 0);
    assert_ptr_equal(cress_imap_item(&it), &items[0]);
    trace_results(&it);
    cress_imap_finish(&it);
    free(capture_end());
    assert_trace("#1: 2 at 1\n#2: Invalid cross-device link at 1\n#3: 4 at 1\n");
}

static void *cancel_pool(void *arg)
{
    assert_ok(cress_pool_kill(arg, CRESS_FOREVER));
    return NULL;
}

static void test_killed_items(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);
    int items[] = { 0, 5, 5, 5 };
    cress_imap it;

    init(&it, &pool, sleep_for, items, 4);
    cress_greenlet *killer = cress_spawn_later(1, cancel_pool, &pool);
    trace_results(&it);
    cress_imap_finish(&it);
    assert_true(cress_ready(killer));
    cress_release(killer);
    assert_trace("#0: 0 at 0\n#1: Operation canceled at 1\n#2: Operation canceled at 1\n"
                 "#3: Operation canceled at 1\n"); /* the last one came in meanwhile */
}

/* ---- the reader's own limit and kill ---------------------------------------------------------------- */

static void test_a_limit_loses_nothing(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 2, 1 };
    cress_imap it;
    cress_timeout limit;
    void *value;

    init(&it, &group, sleep_for, items, 2);
    assert_errno(ETIMEDOUT, cress_imap_next(&it, &value, 0));
    assert_errno(ETIMEDOUT, cress_imap_next(&it, &value, 0.5));
    assert_int_equal(cress_imap_index(&it), CRESS_IMAP_NONE);
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_imap_next(&it, &value, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_imap_next(&it, &value, CRESS_FOREVER)); /* still in force */
    cress_timeout_close(&limit);
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("#0: 2 at 2\n#1: 1 at 2\n");
}

static void *read_all(void *arg)
{
    cress_imap *it = arg;

    while (cress_imap_next(it, NULL, CRESS_FOREVER) > 0)
        trace("#%zu", cress_imap_index(it));
    trace("reader: %s", strerror(errno));
    return NULL;
}

/* The kill comes when the result has been handed over: the reader still takes that. */
static void *sleep_and_cancel(void *arg)
{
    cress_sleep(1);
    cress_cancel(arg);
    return NULL;
}

static void test_a_killed_reader_loses_nothing(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1, 2 };
    cress_imap it;

    init(&it, &group, sleep_for, items, 2);
    assert_ok(cress_sleep(0)); /* the items begin, and wake first */

    cress_greenlet *reader = cress_spawn(read_all, &it);

    spawn(sleep_and_cancel, reader);
    assert_ok(cress_join(reader, CRESS_FOREVER));
    assert_time(1);
    cress_release(reader);
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("reader: Operation canceled\n#0: 1 at 1\n#1: 2 at 2\n");
}

/* ---- an early end ------------------------------------------------------------------------------------- */

static void trace_drop(void *item, void *value)
{
    trace("drop %d%s", *(int *)item, value ? " and its value" : "");
}

static void *sleep_and_trace(void *arg)
{
    int result = cress_sleep(*(int *)arg);

    trace("%d %s", *(int *)arg, result < 0 ? strerror(errno) : "ends");
    return arg;
}

static void finish_early(bool unordered)
{
    cress_pool pool = CRESS_POOL_INIT(3);
    int items[] = { 2, 1, 3, 1, 4, 1, 1 };
    cress_imap it;

    assert_ok(cress_imap_init(&it, &pool, sleep_and_trace,
                              &(cress_imap_options){
                                  .items = items,
                                  .count = 7,
                                  .item_size = sizeof items[0],
                                  .unordered = unordered,
                                  .drop = trace_drop,
                              }));
    assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 1);
    trace("read #%zu", cress_imap_index(&it));
    cress_imap_finish(&it);
    assert_int_equal(cress_pool_size(&pool), 0);
    assert_time(unordered ? 1 : 2);
    assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 0);
    assert_ok(cress_sleep(10)); /* nothing begins any more */
}

/* 2, 1 and 3 begin, then the second 1; 4 has been taken and waits for a place: it never begins. */
static void test_finish_early_unordered(void)
{
    finish_early(true);
    assert_trace("1 ends\nread #1\n"
                 "2 Operation canceled\n3 Operation canceled\n1 Operation canceled\n"
                 "drop 4\ndrop 2\ndrop 3\ndrop 1\n");
}

static void test_finish_early_in_order(void)
{
    finish_early(false);
    assert_trace("1 ends\n2 ends\n1 ends\nread #0\n"
                 "3 Operation canceled\n4 Operation canceled\n1 Operation canceled\n"
                 "drop 1 and its value\ndrop 3\ndrop 1 and its value\n"
                 "drop 4\ndrop 1\ndrop 1\n");
}

static void *sleep_under_shield(void *arg)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    assert_ok(cress_sleep(*(int *)arg));
    cress_timeout_close(&shield);
    trace("gone at %g", cress_now());
    return NULL;
}

static void *finish_on_own_stack(void *arg)
{
    int items[] = { 5, 6, 7 };
    cress_imap it;

    init(&it, arg, sleep_under_shield, items, 3);
    assert_errno(ECANCELED, cress_imap_next(&it, NULL, CRESS_FOREVER));
    errno = EXDEV;
    cress_imap_finish(&it); /* whatever happens to the caller */
    assert_int_equal(errno, EXDEV);
    trace("finished at %g", cress_now());
    return NULL;
}

static void test_a_killed_reader_outlives_its_items(void)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_greenlet *g = cress_spawn(finish_on_own_stack, &group);

    assert_ok(cress_sleep(1));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("gone at 5\ngone at 6\ngone at 7\nfinished at 7\n");
}

static void test_finish_before_anything_ran(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1, 2 };
    cress_imap it;

    init(&it, &group, sleep_and_trace, items, 2);
    cress_imap_finish(&it);
    assert_time(0);
    assert_ok(cress_sleep(10));
}

static int wait_on_queue(void *arg, void **ret_item)
{
    if (cress_queue_get(arg, ret_item, CRESS_FOREVER) == 0)
        return 1;
    trace("source: %s", strerror(errno));
    return errno == EPIPE ? 0 : -1;
}

static void test_finish_while_the_source_waits(void)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_queue queue = CRESS_QUEUE_INIT(0);
    int item = 0;
    cress_imap it;

    assert_ok(
        cress_imap_init(&it, &group, sleep_for,
                        &(cress_imap_options){ .next_item = wait_on_queue, .source = &queue }));
    assert_ok(cress_queue_put(&queue, &item, 0));
    assert_int_equal(cress_imap_next(&it, NULL, CRESS_FOREVER), 1);
    assert_errno(ETIMEDOUT, cress_imap_next(&it, NULL, 1));
    cress_imap_finish(&it);
    assert_time(1);
    assert_trace("source: Operation canceled\n");

    assert_ok(
        cress_imap_init(&it, &group, sleep_for,
                        &(cress_imap_options){ .next_item = wait_on_queue, .source = &queue }));
    assert_ok(cress_queue_put(&queue, &item, 0));
    cress_queue_close(&queue);
    trace_results(&it);
    cress_imap_finish(&it);
    cress_queue_finish(&queue);
    assert_trace("source: Broken pipe\n#0: 0 at 1\n");
}

static void *read_for_ever(void *arg)
{
    int items[] = { 1000, 1000 };
    cress_imap it;

    init(&it, arg, sleep_for, items, 2);
    assert_errno(ECANCELED, cress_imap_next(&it, NULL, CRESS_FOREVER));
    cress_imap_finish(&it);
    trace("finished");
    return NULL;
}

static void *leave_a_reader_behind(void *unused)
{
    static cress_group group;

    (void)unused;
    spawn(read_for_ever, &group);
    assert_ok(cress_sleep(1));
    return NULL;
}

static void test_the_hub_ends(void **state)
{
    (void)state;
    assert_ok(run_virtual(leave_a_reader_behind, NULL));
    assert_trace("finished\n");
}

static cress_event never;

static void *wait_for_ever(void *arg)
{
    assert_errno(ECANCELED, cress_event_wait(&never, CRESS_FOREVER));
    return arg;
}

static void test_would_block_for_ever(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[2];
    cress_imap it;

    init(&it, &group, wait_for_ever, items, 2);
    capture_start(2);
    assert_errno(EDEADLK, cress_imap_next(&it, NULL, CRESS_FOREVER));
    free(capture_end());
    cress_imap_finish(&it);
    assert_int_equal(cress_pool_size(&group), 0);
}

/* ---- over one's own pool -------------------------------------------------------------------------------- */

static void *iterate_in_own_pool(void *arg)
{
    int items[] = { 2, 1, 1, 1 };
    cress_imap it;
    int got;

    (void)arg;
    enter();
    assert_ok(cress_imap_init(&it, the_pool, sleep_for,
                              &(cress_imap_options){
                                  .items = items,
                                  .count = 4,
                                  .item_size = sizeof items[0],
                                  .unordered = the_pool->max % 2 == 0,
                              }));
    running--;
    while ((got = cress_imap_next(&it, NULL, CRESS_FOREVER)) > 0) {
        enter(); /* beside its items: in its own place again */
        trace("#%zu at %g", cress_imap_index(&it), cress_now());
        assert_ok(cress_sleep(0.25));
        running--;
    }
    assert_int_equal(got, 0);
    cress_imap_finish(&it);
    return NULL;
}

static void iterate_in_a_pool_of(size_t max)
{
    cress_pool pool = CRESS_POOL_INIT(max);

    the_pool = &pool;
    running = most_running = 0;
    assert_ok(cress_pool_apply(&pool, iterate_in_own_pool, NULL, NULL));
    assert_int_equal(most_running, max);
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void test_over_own_pool_of_one(void)
{
    iterate_in_a_pool_of(1);
    assert_trace("#0 at 2\n#1 at 3.25\n#2 at 4.5\n#3 at 5.75\n");
}

/* #0 and #1 begin, one of them in the lent place. When #1 ends the reader has its own
 * back, although #0 goes on; its next wait lends it to #2. */
static void test_over_own_pool_of_two_unordered(void)
{
    iterate_in_a_pool_of(2);
    assert_trace("#1 at 1\n#0 at 2\n#2 at 2.25\n#3 at 3.25\n");
}

static void test_over_own_pool_of_three(void)
{
    iterate_in_a_pool_of(3);
    assert_trace("#0 at 2\n#1 at 2.25\n#2 at 2.5\n#3 at 2.75\n");
}

static void *iterate_nested(void *arg)
{
    int depth = *(int *)arg, items[] = { depth - 1, depth - 1 };
    cress_imap it;
    int results = 0;

    assert_true(cress_pool_size(the_pool) <= the_pool->max);
    assert_ok(cress_sleep(1));
    if (depth == 0)
        return arg;
    init(&it, the_pool, iterate_nested, items, 2);
    while (cress_imap_next(&it, NULL, CRESS_FOREVER) > 0)
        results++;
    cress_imap_finish(&it);
    assert_int_equal(results, 2);
    return arg;
}

static void test_members_iterate_over_their_own_pool(void)
{
    for (size_t max = 1; max < 5; max++) {
        cress_pool pool = CRESS_POOL_INIT(max);
        int depth = 4;

        the_pool = &pool;
        assert_ok(cress_pool_apply(&pool, iterate_nested, &depth, NULL));
        assert_int_equal(cress_pool_size(&pool), 0);
    }
}

static void *lose_patience_in_own_pool(void *arg)
{
    int items[] = { 2, 1 };
    cress_imap it;

    (void)arg;
    init(&it, the_pool, sleep_for, items, 2);
    assert_errno(ETIMEDOUT, cress_imap_next(&it, NULL, 0.5));
    assert_int_equal(running, 1); /* in the lent place, beside us */
    assert_ok(cress_sleep(3));
    trace_results(&it);
    cress_imap_finish(&it);
    return NULL;
}

static void test_a_lent_place_that_is_wanted_back(void)
{
    cress_pool pool = CRESS_POOL_INIT(1);

    the_pool = &pool;
    assert_ok(cress_pool_apply(&pool, lose_patience_in_own_pool, NULL, NULL));
    assert_trace("#0: 2 at 3.5\n#1: 1 at 4.5\n"); /* the second not while we slept */
    assert_int_equal(cress_pool_size(&pool), 0);
}

static void *begin_and_sleep(void *arg)
{
    trace("%d begins at %g", *(int *)arg, cress_now());
    return sleep_for(arg);
}

static void *leave_a_gap_between_waits(void *arg)
{
    int items[] = { 4, 1, 2 };
    cress_imap it;

    (void)arg;
    init(&it, the_pool, begin_and_sleep, items, 3);
    assert_errno(ETIMEDOUT, cress_imap_next(&it, NULL, 0.5));
    assert_ok(cress_sleep(1)); /* meanwhile the second ends, and nothing to read comes of it */
    trace_results(&it);
    cress_imap_finish(&it);
    return NULL;
}

/* In a pool of two, one of the first two items runs in the lent place. */
static void test_a_place_is_lent_only_during_a_wait(void)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    the_pool = &pool;
    assert_ok(cress_pool_apply(&pool, leave_a_gap_between_waits, NULL, NULL));
    assert_trace("4 begins at 0\n1 begins at 0\n2 begins at 1.5\n"
                 "#0: 4 at 4\n#1: 1 at 4\n#2: 2 at 4\n");
    assert_int_equal(cress_pool_size(&pool), 0);
}

/* ---- misuse ----------------------------------------------------------------------------------------------- */

static void read_twice(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1 };
    cress_imap it;

    init(&it, &group, sleep_for, items, 1);
    cress_greenlet *reader = cress_spawn(read_all, &it);
    assert_ok(cress_sleep(0));
    assert_ok(cress_sleep(0));
    assert_errno(EBUSY, cress_imap_next(&it, NULL, CRESS_FOREVER));
    errno = 0;
    cress_imap_finish(&it);
    assert_int_equal(errno, EBUSY);
    errno = 0;
    assert_ok(cress_join(reader, CRESS_FOREVER));
    cress_release(reader);
    cress_imap_finish(&it);
}

static void test_two_readers(void)
{
    read_twice();
    assert_trace("#0\nreader: Success\n");
}

static void *finish_own(void *arg)
{
    errno = 0;
    cress_imap_finish(the_imap);
    assert_int_equal(errno, EDEADLK);
    return arg;
}

static int finish_as_source(void *arg, void **ret_item)
{
    *ret_item = NULL;
    return finish_own(arg) ? 1 : 0;
}

static void test_finished_by_its_own(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int items[] = { 1 };
    cress_imap it;

    the_imap = &it;
    init(&it, &group, finish_own, items, 1);
    trace_results(&it);
    cress_imap_finish(&it);
    assert_ok(cress_imap_init(&it, &group, finish_own,
                              &(cress_imap_options){ .next_item = finish_as_source }));
    trace_results(&it);
    cress_imap_finish(&it);
    assert_trace("#0: 1 at 0\n");
}

static void test_without_a_pool_or_a_function(void)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_imap it;

    assert_errno(EINVAL, cress_imap_init(&it, NULL, sleep_for, &(cress_imap_options){ 0 }));
    assert_int_equal(cress_imap_next(&it, NULL, 0), 0);
    assert_errno(EINVAL, cress_imap_init(&it, &group, NULL, &(cress_imap_options){ 0 }));
    cress_imap_finish(&it);
}

static void *init_foreign(void *arg)
{
    cress_imap it;

    assert_errno(EPERM, cress_imap_init(&it, arg, sleep_for, &(cress_imap_options){ 0 }));
    cress_imap_finish(&it);
    return NULL;
}

static void *another_hub(void *arg)
{
    assert_ok(run_virtual(init_foreign, arg));
    return NULL;
}

static void test_from_another_thread(void)
{
    cress_group group = CRESS_GROUP_INIT;
    int second = 1;
    pthread_t thread;

    assert_ok(cress_pool_spawn(&group, sleep_for, &second));
    assert_ok(pthread_create(&thread, NULL, another_hub, &group));
    assert_ok(pthread_join(thread, NULL));
    assert_ok(cress_pool_join(&group, CRESS_FOREVER));
}

static void *read_twice_for_misuse(void *unused)
{
    read_twice();
    return unused;
}

static void *finish_while_somebody_reads(void *unused)
{
    static cress_group group;
    static int item = 1;
    cress_imap it;

    cress_imap_init(&it, &group, sleep_for, &(cress_imap_options){ .items = &item, .count = 1 });
    cress_spawn(read_all, &it);
    cress_sleep(0.5);
    cress_imap_finish(&it);
    return unused;
}

static void *finish_inside(void *unused)
{
    test_finished_by_its_own();
    return unused;
}

static cress_imap in_flight;

static void finish_in_flight(void)
{
    cress_imap *it = &in_flight;

    errno = 0;
    cress_imap_finish(it);
    assert_int_equal(errno, EPERM);
    assert_non_null(it->feeder);
}

static void finish_at_the_end(void)
{
    cress_imap_finish(&in_flight);
    assert_null(in_flight.feeder);
}

static void *finish_in_the_hub(void *unused)
{
    static cress_group group;
    static double item = 1;

    assert_ok(cress_imap_init(&in_flight, &group, sleep_for,
                              &(cress_imap_options){ .items = &item, .count = 1 }));
    run_in_hub(finish_in_flight);
    assert_int_equal(cress_imap_next(&in_flight, NULL, CRESS_FOREVER), 1);
    assert_int_equal(cress_imap_next(&in_flight, NULL, CRESS_FOREVER), 0);
    run_in_hub(finish_at_the_end); /* nothing to wait for */
    return unused;
}

static void test_finished_in_the_hub(void)
{
    finish_in_the_hub(NULL);
}

static void *init_without_a_pool(void *unused)
{
    cress_imap it;

    cress_imap_init(&it, NULL, sleep_for, &(cress_imap_options){ 0 });
    return unused;
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(read_twice_for_misuse, "cress_imap_next: another greenlet waits");
    assert_misuse(finish_while_somebody_reads, "cress_imap_finish: a greenlet still waits");
    assert_misuse(finish_inside, "cress_imap_finish: called by one that it would have to wait");
    assert_misuse(finish_in_the_hub, "cress_imap_finish: items run, and the caller cannot wait");
    assert_misuse(init_without_a_pool, "cress_imap_init: without a pool or a function");
}

/* ---- out of memory ----------------------------------------------------------------------------------------- */

static size_t begun;

static void *count_item(void *arg)
{
    begun++;
    assert_ok(cress_sleep(1));
    return arg;
}

static size_t dropped;

static void count_drop(void *item, void *value)
{
    (void)item, (void)value;
    dropped++;
}

/* Whatever fails, each item that was taken is read, once. */
static void attempt(cress_pool *pool, bool unordered)
{
    struct counter counter = { .end = 4 };
    cress_imap it;
    int read = 0, got;

    begun = dropped = 0;
    if (cress_imap_init(&it, pool, count_item,
                        &(cress_imap_options){
                            .next_item = count_up,
                            .source = &counter,
                            .unordered = unordered,
                            .drop = count_drop,
                        }) < 0) {
        assert_int_equal(errno, ENOMEM);
        settle();
        assert_int_equal(counter.next, 0);
        return;
    }
    while ((got = cress_imap_next(&it, NULL, CRESS_FOREVER)) != 0) {
        if (got < 0)
            assert_int_equal(errno, ENOMEM);
        if (cress_imap_index(&it) != CRESS_IMAP_NONE)
            read++;
    }
    cress_imap_finish(&it);
    assert_int_equal(read, counter.next);
    assert_true(begun + 1 >= (size_t)counter.next);
    assert_int_equal(dropped, 0);
}

static int tries(bool unordered)
{
    cress_pool pool = CRESS_POOL_INIT(2);

    for (int n = 0;; n++) {
        allocations_left = n;
        attempt(&pool, unordered);
        assert_int_equal(cress_pool_size(&pool), 0);
        if (!end_failing())
            return n;
    }
}

static void test_no_memory(void)
{
    assert_true(tries(false) >= 10);
    assert_true(tries(true) >= 10);
}

/* ---- anything at any time --------------------------------------------------------------------------------- */

enum { SEEDS = SANITIZED ? 300 : 2000 };

static unsigned seed;
static size_t living;

static unsigned pick(unsigned bound)
{
    return (unsigned)rand_r(&seed) % bound;
}

static void *random_item(void *arg);

static void count_given(void *item, void *value)
{
    (void)item, (void)value;
    living--;
}

static int random_source(void *arg, void **ret_item)
{
    int *left = arg;

    if (pick(4) == 0 && cress_sleep(pick(3)) < 0)
        return -1;
    if (*left == 0)
        return 0;
    --*left;
    living++;
    *ret_item = arg;
    return 1;
}

/* Reads some or all, with and without patience. */
static void random_iteration(int items)
{
    cress_imap it;
    int got = 1;

    if (cress_imap_init(&it, the_pool, random_item,
                        &(cress_imap_options){
                            .next_item = random_source,
                            .source = &items,
                            .unordered = pick(2),
                            .max_unread = pick(4),
                            .drop = count_given,
                        }) < 0)
        return;
    while (got != 0 && pick(12) != 0 && cress_check() == 0) {
        got = cress_imap_next(&it, NULL, pick(3) ? CRESS_FOREVER : pick(3));
        if (cress_imap_index(&it) != CRESS_IMAP_NONE)
            living--;
        if (pick(4) == 0)
            cress_sleep(pick(3));
    }
    cress_imap_finish(&it);
}

static void *random_item(void *arg)
{
    int left = *(int *)arg;

    assert_true(cress_pool_size(the_pool) <= the_pool->max);
    if (pick(3))
        cress_sleep(pick(4));
    if (pick(10) == 0)
        cress_cancel(cress_self());
    if (left > 0 && pick(3) == 0)
        random_iteration(left / 2);
    return NULL;
}

static void *random_kill(void *arg)
{
    (void)arg;
    while (cress_sleep(1 + pick(5)) == 0)
        cress_pool_kill(the_pool, pick(3));
    return NULL;
}

static void *random_run(void *arg)
{
    cress_pool pool = CRESS_POOL_INIT(1 + pick(4));

    (void)arg;
    the_pool = &pool;
    living = 0;

    cress_greenlet *killer = pick(3) ? NULL : cress_spawn(random_kill, NULL);

    random_iteration((int)(3 + pick(8)));
    cress_kill(killer, CRESS_FOREVER);
    cress_release(killer);
    assert_ok(cress_pool_join(&pool, CRESS_FOREVER));
    assert_int_equal(cress_pool_size(&pool), 0);
    assert_int_equal(pool.arriving, 0);
    assert_null(pool.members);
    assert_int_equal(living, 0); /* each was read or dropped */
    return NULL;
}

static void test_anything_at_any_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SEEDS; i++) {
        seed = i;
        assert_ok(run_virtual(random_run, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_in_order),
        HUB_TEST(test_as_they_end),
        HUB_TEST(test_a_pool_bounds_how_many_run),
        HUB_TEST(test_items_begin_when_the_caller_waits),
        HUB_TEST(test_nothing_to_do),
        HUB_TEST(test_a_source),
        HUB_TEST(test_a_source_that_waits),
        HUB_TEST(test_a_source_that_fails),
        HUB_TEST(test_an_endless_source),
        HUB_TEST(test_a_bound_on_the_unread),
        HUB_TEST(test_one_at_a_time),
        HUB_TEST(test_failed_items),
        HUB_TEST(test_killed_items),
        HUB_TEST(test_a_limit_loses_nothing),
        HUB_TEST(test_a_killed_reader_loses_nothing),
        HUB_TEST(test_finish_early_unordered),
        HUB_TEST(test_finish_early_in_order),
        HUB_TEST(test_a_killed_reader_outlives_its_items),
        HUB_TEST(test_finish_before_anything_ran),
        HUB_TEST(test_finish_while_the_source_waits),
        cmocka_unit_test(test_the_hub_ends),
        HUB_TEST(test_would_block_for_ever),
        HUB_TEST(test_over_own_pool_of_one),
        HUB_TEST(test_over_own_pool_of_two_unordered),
        HUB_TEST(test_over_own_pool_of_three),
        HUB_TEST(test_members_iterate_over_their_own_pool),
        HUB_TEST(test_a_lent_place_that_is_wanted_back),
        HUB_TEST(test_a_place_is_lent_only_during_a_wait),
        HUB_TEST(test_two_readers),
        HUB_TEST(test_finished_by_its_own),
        HUB_TEST(test_without_a_pool_or_a_function),
        HUB_TEST(test_from_another_thread),
        HUB_TEST(test_finished_in_the_hub),
        cmocka_unit_test(test_misuse_stops),
        HUB_TEST(test_no_memory),
        cmocka_unit_test(test_anything_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
