#include "hub_test.h"
#include "other_hub.h"
#include "stress.h"

#include "../../greenlet/symbol.h"

#include <cress/local.h>
#include <cress/rlock.h>
#include <cress/timeout.h>

static cress_rlock lock;

static void *take(void *arg)
{
    int result = cress_rlock_acquire(&lock, CRESS_FOREVER);

    trace("%s: %d (%d)", (char *)arg, result, result < 0 ? errno : 0);
    if (result == 0) {
        assert_ptr_equal(cress_rlock_owner(&lock), cress_self());
        assert_ok(cress_rlock_release(&lock));
    }
    return NULL;
}

static void *hold_a_second(void *arg)
{
    assert_ok(cress_rlock_acquire(&lock, CRESS_FOREVER));
    trace("%s has it", (char *)arg);
    cress_sleep(1);
    trace("%s lets go", (char *)arg);
    assert_ok(cress_rlock_release(&lock));
    return NULL;
}

static void test_zeroed_is_free(void)
{
    cress_rlock zeroed = { 0 }, made = CRESS_RLOCK_INIT;

    assert_null(cress_rlock_owner(&zeroed));
    assert_ok(cress_rlock_acquire(&zeroed, 0));
    assert_ok(cress_rlock_acquire(&made, 0));
    assert_ptr_equal(cress_rlock_owner(&zeroed), cress_self());
    assert_ok(cress_rlock_release(&zeroed));
    assert_ok(cress_rlock_release(&made));
    assert_null(cress_rlock_owner(&zeroed));
}

static void test_owner_may_take_it_again(void)
{
    for (int i = 0; i < 3; i++)
        assert_ok(cress_rlock_acquire(&lock, 0));
    spawn(take, "a");
    settle();
    for (int i = 0; i < 3; i++) {
        assert_trace("");
        assert_ok(cress_rlock_release(&lock));
        settle();
    }
    assert_trace("a: 0 (0)\n");
    assert_null(cress_rlock_owner(&lock));
}

static void test_goes_to_the_oldest(void)
{
    assert_ok(cress_rlock_acquire(&lock, 0));
    spawn(hold_a_second, "a");
    spawn(hold_a_second, "b");
    settle();
    assert_ok(cress_rlock_release(&lock));
    assert_true(cress_rlock_owner(&lock) != NULL);            /* a's already */
    assert_errno(ETIMEDOUT, cress_rlock_acquire(&lock, 0));   /* nobody overtakes */
    assert_errno(ETIMEDOUT, cress_rlock_acquire(&lock, 1.5)); /* b was first */
    assert_ok(cress_rlock_acquire(&lock, CRESS_FOREVER));
    assert_time(2);
    assert_ok(cress_rlock_release(&lock));
    assert_trace("a has it\na lets go\nb has it\nb lets go\n");
}

static void test_killed_waiter_is_passed_over(void)
{
    assert_ok(cress_rlock_acquire(&lock, 0));

    cress_greenlet *a = cress_spawn(take, "a");

    spawn(take, "b");
    settle();
    cress_cancel(a);
    assert_ok(cress_rlock_release(&lock)); /* before a has run */
    settle();
    assert_trace("a: -1 (125)\nb: 0 (0)\n");
    cress_release(a);
}

static void test_handed_over_survives_a_kill(void)
{
    assert_ok(cress_rlock_acquire(&lock, 0));

    cress_greenlet *a = cress_spawn(take, "a");

    settle();
    assert_ok(cress_rlock_release(&lock));
    cress_cancel(a);
    assert_ptr_equal(cress_rlock_owner(&lock), a);
    settle();
    assert_trace("a: 0 (0)\n");
    assert_null(cress_rlock_owner(&lock));
    cress_release(a);
}

static void test_handed_over_at_its_limit(void)
{
    cress_timeout limit;

    spawn(hold_a_second, "a");
    settle();
    cress_timeout_start(&limit, 1);
    /* a's sleep was armed first: it releases at 1 s, before the limit is looked at. */
    int result = cress_rlock_acquire(&lock, CRESS_FOREVER);

    assert_true(result == 0 || errno == ETIMEDOUT);
    if (result == 0)
        assert_ok(cress_rlock_release(&lock));
    assert_errno(ETIMEDOUT, cress_rlock_acquire(&lock, CRESS_FOREVER)); /* the limit holds */
    cress_timeout_close(&limit);
    assert_trace("a has it\na lets go\n");
    assert_ok(cress_rlock_acquire(&lock, CRESS_FOREVER));
    assert_ok(cress_rlock_release(&lock));
}

static void *release_when_killed(void *arg)
{
    assert_ok(cress_rlock_acquire(&lock, 0));
    assert_errno(ECANCELED, cress_sleep(CRESS_FOREVER));
    assert_errno(ECANCELED, cress_rlock_acquire(&lock, 0)); /* though it is the owner */
    assert_ok(cress_rlock_release(&lock));
    return arg;
}

static void test_killed_owner_can_release(void)
{
    cress_greenlet *g = cress_spawn(release_when_killed, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_null(cress_rlock_owner(&lock));
    cress_release(g);
}

static void release_finally(void *arg)
{
    assert_ok(cress_rlock_release(arg));
}

static cress_local held = { .finish = release_finally };

static void *leave_it_to_a_local(void *arg)
{
    assert_ok(cress_rlock_acquire(&lock, 0));
    assert_ok(cress_local_set(&held, &lock));
    return arg;
}

static void test_released_by_a_local(void)
{
    spawn(leave_it_to_a_local, NULL);
    settle();
    assert_ok(cress_rlock_acquire(&lock, 0));
    assert_ok(cress_rlock_release(&lock));
}

static void use_outside_greenlets(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_errno(EPERM, cress_rlock_acquire(arg, 0));
    assert_errno(EPERM, cress_rlock_release(arg));
}

static void *return_at_once(void *arg)
{
    return arg;
}

static void test_only_for_greenlets(void)
{
    cress_greenlet *g = cress_spawn(return_at_once, NULL);

    assert_ok(cress_link(g, use_outside_greenlets, &lock));
    settle();
    cress_release(g);
}

/* ---- misuse ------------------------------------------------------------------------- */

static void *release_what_is_free(void *arg)
{
    assert_errno(EPERM, cress_rlock_release(&lock));
    assert_ok(cress_rlock_acquire(&lock, 0));
    assert_ok(cress_rlock_release(&lock));
    assert_errno(EPERM, cress_rlock_release(&lock));
    return arg;
}

static void *release_anothers(void *arg)
{
    spawn(hold_a_second, "a");
    settle();
    assert_errno(EPERM, cress_rlock_release(&lock));
    assert_ok(cress_sleep(2));
    assert_trace("a has it\na lets go\n");
    return arg;
}

static void *end_with_it(void *arg)
{
    assert_ok(cress_rlock_acquire(&lock, CRESS_FOREVER));
    assert_ok(cress_rlock_acquire(&lock, CRESS_FOREVER));
    assert_ok(cress_sleep(1));
    return arg;
}

static void *orphan_the_lock(void *arg)
{
    cress_greenlet *careless = cress_spawn(end_with_it, NULL);

    settle();
    spawn(take, "a");
    spawn(take, "b");
    assert_ok(cress_join(careless, CRESS_FOREVER));
    settle();
    assert_trace("a: -1 (130)\nb: -1 (130)\n");
    assert_int_equal(EOWNERDEAD, 130);
    assert_errno(EOWNERDEAD, cress_rlock_acquire(&lock, CRESS_FOREVER));
    assert_ptr_equal(cress_rlock_owner(&lock), careless);
    cress_release(careless);
    cress_release(lock.owner); /* nobody else ever will */
    lock = (cress_rlock)CRESS_RLOCK_INIT;
    return arg;
}

static void *use_from_outside(void *arg)
{
    assert_errno(EPERM, cress_rlock_acquire(&lock, CRESS_FOREVER));
    assert_errno(EPERM, cress_rlock_release(&lock));
    return arg;
}

static void *use_in_another_thread(void *arg)
{
    assert_ok(cress_rlock_acquire(&lock, 0));
    run_in_other_hub(use_from_outside, NULL);
    assert_ptr_equal(cress_rlock_owner(&lock), cress_self());
    assert_ok(cress_rlock_release(&lock));
    return arg;
}

static void test_misuse_is_reported(void)
{
    use_in_another_thread(NULL);
    release_what_is_free(NULL);
    release_anothers(NULL);
    orphan_the_lock(NULL);
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(use_in_another_thread, "misuse: a greenlet of another thread holds the lock");
    assert_misuse(release_what_is_free, "misuse: cress_rlock_release: by one who does not hold it");
    assert_misuse(release_anothers, "misuse: cress_rlock_release: by one who does not hold it");
    assert_misuse(orphan_the_lock, "greenlet greenlet-2: misuse: it ends while it holds 1 lock\n");
    if (symbols_complete())
        assert_misuse(orphan_the_lock,
                      "1 lock\n    called from end_with_it (greenlet/test_rlock.c:");
}

static void test_stress(void **state)
{
    (void)state;
    stress_seeds(stress_rlock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_zeroed_is_free),
        HUB_TEST(test_owner_may_take_it_again),
        HUB_TEST(test_goes_to_the_oldest),
        HUB_TEST(test_killed_waiter_is_passed_over),
        HUB_TEST(test_handed_over_survives_a_kill),
        HUB_TEST(test_handed_over_at_its_limit),
        HUB_TEST(test_killed_owner_can_release),
        HUB_TEST(test_released_by_a_local),
        HUB_TEST(test_only_for_greenlets),
        HUB_TEST(test_misuse_is_reported),
        cmocka_unit_test(test_misuse_stops),
        cmocka_unit_test(test_stress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
