#include "hub_test.h"
#include "stress.h"

#include <cress/condition.h>
#include <cress/timeout.h>

static cress_condition condition;

static void acquire(void)
{
    assert_ok(cress_rlock_acquire(cress_condition_lock(&condition), CRESS_FOREVER));
}

static void release(void)
{
    assert_ok(cress_rlock_release(cress_condition_lock(&condition)));
}

static bool is_held(void)
{
    return cress_rlock_owner(cress_condition_lock(&condition)) == cress_self();
}

static void notify(size_t n)
{
    acquire();
    assert_ok(cress_condition_notify(&condition, n));
    release();
}

/* Waits, after `depth` acquires. */
static void wait_deep(const char *name, int depth, cress_seconds timeout)
{
    for (int i = 0; i < depth; i++)
        acquire();

    int result = cress_condition_wait(&condition, timeout);

    trace("%s: %d (%d)", name, result, result < 0 ? errno : 0);
    for (int i = 0; i < depth; i++) {
        assert_true(is_held());
        release();
    }
    assert_false(is_held());
}

static void *wait_once(void *arg)
{
    wait_deep(arg, 1, CRESS_FOREVER);
    return NULL;
}

static void *wait_thrice_held(void *arg)
{
    wait_deep(arg, 3, CRESS_FOREVER);
    return NULL;
}

static void *hold_a_second(void *arg)
{
    acquire();
    trace("%s has it", (char *)arg);
    cress_sleep(1);
    trace("%s lets go", (char *)arg);
    release();
    return NULL;
}

static void test_own_lock_or_anothers(void)
{
    cress_condition own = { 0 };
    cress_rlock lock = CRESS_RLOCK_INIT;
    cress_condition another = CRESS_CONDITION_INIT(&lock);

    assert_ptr_equal(cress_condition_lock(&own), &own.own);
    assert_ptr_equal(cress_condition_lock(&another), &lock);
}

static void test_notified_in_order(void)
{
    spawn(wait_once, "a");
    spawn(wait_once, "b");
    spawn(wait_once, "c");
    settle();
    notify(0);
    settle();
    assert_trace("");
    notify(2);
    settle();
    assert_trace("a: 0 (0)\nb: 0 (0)\n");
    notify(2); /* only c is left: the second one is not saved up */
    settle();
    assert_trace("c: 0 (0)\n");
    spawn(wait_once, "d");
    settle();
    assert_trace("");
    notify(1);
    settle();
    assert_trace("d: 0 (0)\n");
}

static void test_notify_all(void)
{
    acquire();
    assert_ok(cress_condition_notify_all(&condition)); /* nobody */
    release();
    spawn(wait_once, "a");
    spawn(wait_once, "b");
    settle();
    acquire();
    assert_ok(cress_condition_notify_all(&condition));
    settle();
    assert_trace(""); /* they want the lock */
    release();
    settle();
    assert_trace("a: 0 (0)\nb: 0 (0)\n");
}

static void test_all_levels_are_released(void)
{
    spawn(wait_thrice_held, "a");
    settle();
    notify(1);
    settle();
    assert_trace("a: 0 (0)\n");
    assert_null(cress_rlock_owner(cress_condition_lock(&condition)));
}

static void test_released_lock_goes_to_the_oldest(void)
{
    acquire();
    spawn(hold_a_second, "a");
    settle();
    assert_errno(ETIMEDOUT, cress_condition_wait(&condition, 0.5));
    assert_time(1); /* the limit passed at 0.5, the lock came at 1 */
    assert_true(is_held());
    release();
    assert_trace("a has it\na lets go\n");
}

static void test_timeout_0_keeps_the_lock(void)
{
    acquire();
    spawn(hold_a_second, "a");
    settle();
    assert_errno(ETIMEDOUT, cress_condition_wait(&condition, 0));
    assert_errno(ETIMEDOUT, cress_condition_wait(&condition, -1));
    assert_true(is_held());
    assert_trace("");
    release();
    assert_ok(cress_sleep(2));
    assert_trace("a has it\na lets go\n");
}

static void test_killed_waiter_gets_the_lock(void)
{
    cress_greenlet *a = cress_spawn(wait_thrice_held, "a");

    settle();
    acquire();
    cress_cancel(a);
    settle();
    assert_trace(""); /* it waits for the lock, kill or not */
    release();
    settle();
    assert_trace("a: -1 (125)\n");
    assert_null(cress_rlock_owner(cress_condition_lock(&condition)));
    cress_release(a);
}

static void test_killed_waiter_is_passed_over(void)
{
    cress_greenlet *a = cress_spawn(wait_once, "a");

    spawn(wait_once, "b");
    settle();
    cress_cancel(a);
    notify(1); /* before a has run */
    settle();
    assert_trace("a: -1 (125)\nb: 0 (0)\n");
    cress_release(a);
}

static void test_notified_then_killed(void)
{
    cress_greenlet *a = cress_spawn(wait_once, "a"), *b = cress_spawn(wait_once, "b");

    settle();
    acquire();
    assert_ok(cress_condition_notify(&condition, 2));
    cress_cancel(a); /* before it runs */
    settle();
    cress_cancel(b); /* while it waits for the lock */
    settle();
    release();
    settle();
    assert_trace("a: 0 (0)\nb: 0 (0)\n");
    cress_release(a);
    cress_release(b);
}

static void test_open_limit(void)
{
    cress_timeout limit;

    acquire();
    spawn(hold_a_second, "a");
    settle();
    cress_timeout_start(&limit, 0.25);
    assert_errno(ETIMEDOUT, cress_condition_wait(&condition, CRESS_FOREVER));
    assert_time(1);
    assert_true(cress_timeout_expired(&limit));
    assert_true(is_held());
    assert_errno(ETIMEDOUT, cress_condition_wait(&condition, CRESS_FOREVER)); /* it holds */
    assert_true(is_held());
    cress_timeout_close(&limit);
    release();
    assert_trace("a has it\na lets go\n");
}

/* A buffer of one, with two conditions over one lock. */
static cress_rlock shared;
static cress_condition filled = CRESS_CONDITION_INIT(&shared);
static cress_condition emptied = CRESS_CONDITION_INIT(&shared);
static int content;

static void *fill(void *arg)
{
    for (int i = 1; i <= 3; i++) {
        assert_ok(cress_rlock_acquire(&shared, CRESS_FOREVER));
        while (content)
            assert_ok(cress_condition_wait(&emptied, CRESS_FOREVER));
        trace("filled %d", content = i);
        assert_ok(cress_condition_notify(&filled, 1));
        assert_ok(cress_rlock_release(&shared));
    }
    return arg;
}

static void *empty(void *arg)
{
    for (int i = 1; i <= 3; i++) {
        assert_ok(cress_rlock_acquire(&shared, CRESS_FOREVER));
        while (!content)
            assert_ok(cress_condition_wait(&filled, CRESS_FOREVER));
        trace("emptied %d", content);
        content = 0;
        assert_ok(cress_condition_notify(&emptied, 1));
        assert_ok(cress_rlock_release(&shared));
    }
    return arg;
}

static void test_two_conditions_of_one_lock(void)
{
    spawn(empty, NULL);
    spawn(fill, NULL);
    assert_ok(cress_sleep(1));
    assert_trace("filled 1\nemptied 1\nfilled 2\nemptied 2\nfilled 3\nemptied 3\n");
}

/* ---- misuse ---------------------------------------------------------------------------- */

static void *wait_without_lock(void *arg)
{
    assert_errno(EPERM, cress_condition_wait(&condition, CRESS_FOREVER));
    return arg;
}

static void *wait_with_anothers_lock(void *arg)
{
    spawn(hold_a_second, "a");
    settle();
    assert_errno(EPERM, cress_condition_wait(&condition, CRESS_FOREVER));
    assert_errno(EPERM, cress_condition_notify(&condition, 1));
    assert_ok(cress_sleep(2));
    assert_trace("a has it\na lets go\n");
    return arg;
}

static void *notify_without_lock(void *arg)
{
    assert_errno(EPERM, cress_condition_notify(&condition, 1));
    return arg;
}

static void *notify_all_without_lock(void *arg)
{
    assert_errno(EPERM, cress_condition_notify_all(&condition));
    return arg;
}

static void *end_with_it(void *arg)
{
    acquire();
    assert_ok(cress_condition_notify_all(&condition));
    assert_ok(cress_sleep(1));
    return arg;
}

static void *wait_for_an_orphan(void *arg)
{
    acquire();

    int result = cress_condition_wait(&condition, CRESS_FOREVER);

    trace("%s: %d (%d)", (char *)arg, result, errno);
    assert_false(is_held());
    return NULL;
}

static void *orphan_the_lock(void *arg)
{
    spawn(wait_for_an_orphan, "a");
    settle();
    spawn(end_with_it, NULL);
    assert_ok(cress_sleep(2));
    assert_trace("a: -1 (130)\n");
    cress_release(condition.own.owner); /* nobody else ever will */
    condition = (cress_condition){ 0 };
    return arg;
}

static void notify_outside_greenlets(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_errno(EPERM, cress_condition_notify(arg, 1));
    assert_errno(EPERM, cress_condition_notify_all(arg));
    assert_errno(EPERM, cress_condition_wait(arg, 1));
}

static void *return_at_once(void *arg)
{
    return arg;
}

static void test_misuse_is_reported(void)
{
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    wait_without_lock(NULL);
    wait_with_anothers_lock(NULL);
    notify_without_lock(NULL);
    notify_all_without_lock(NULL);
    orphan_the_lock(NULL);
    assert_ok(cress_link(g, notify_outside_greenlets, &condition));
    settle();
    cress_release(g);
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(wait_without_lock,
                  "misuse: cress_condition_wait: by one who does not hold its lock");
    assert_misuse(wait_with_anothers_lock,
                  "misuse: cress_condition_wait: by one who does not hold its lock");
    assert_misuse(notify_without_lock,
                  "misuse: cress_condition_notify: by one who does not hold its lock");
    assert_misuse(notify_all_without_lock,
                  "misuse: cress_condition_notify_all: by one who does not hold its lock");
    assert_misuse(orphan_the_lock, "misuse: it ends while it holds 1 lock\n");
}

static void test_stress(void **state)
{
    (void)state;
    stress_seeds(stress_condition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_own_lock_or_anothers),
        HUB_TEST(test_notified_in_order),
        HUB_TEST(test_notify_all),
        HUB_TEST(test_all_levels_are_released),
        HUB_TEST(test_released_lock_goes_to_the_oldest),
        HUB_TEST(test_timeout_0_keeps_the_lock),
        HUB_TEST(test_killed_waiter_gets_the_lock),
        HUB_TEST(test_killed_waiter_is_passed_over),
        HUB_TEST(test_notified_then_killed),
        HUB_TEST(test_open_limit),
        HUB_TEST(test_two_conditions_of_one_lock),
        HUB_TEST(test_misuse_is_reported),
        cmocka_unit_test(test_misuse_stops),
        cmocka_unit_test(test_stress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
