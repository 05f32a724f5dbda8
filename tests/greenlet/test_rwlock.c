#include "hub_test.h"
#include "other_hub.h"
#include "stress.h"

#include <cress/rwlock.h>

static cress_rwlock lock;

static void *read_a_second(void *arg)
{
    int result = cress_rwlock_acquire_read(&lock, CRESS_FOREVER);

    trace("%s reads: %d (%d)", (char *)arg, result, result < 0 ? errno : 0);
    if (result < 0)
        return NULL;
    cress_sleep(1);
    assert_ok(cress_rwlock_release(&lock));
    return NULL;
}

static void *write_a_second(void *arg)
{
    int result = cress_rwlock_acquire_write(&lock, CRESS_FOREVER);

    trace("%s writes: %d (%d)", (char *)arg, result, result < 0 ? errno : 0);
    if (result < 0)
        return NULL;
    cress_sleep(1);
    assert_ok(cress_rwlock_release(&lock));
    return NULL;
}

static void assert_free(void)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));
    assert_ok(cress_rwlock_release(&lock));
}

static void test_zeroed_is_free(void)
{
    cress_rwlock zeroed = { 0 }, made = CRESS_RWLOCK_INIT;

    assert_ok(cress_rwlock_acquire_write(&zeroed, 0));
    assert_ok(cress_rwlock_release(&zeroed));
    assert_ok(cress_rwlock_acquire_read(&made, 0));
    assert_ok(cress_rwlock_release(&made));
}

static void test_readers_together(void)
{
    spawn(read_a_second, "a");
    spawn(read_a_second, "b");
    settle();
    assert_trace("a reads: 0 (0)\nb reads: 0 (0)\n");
    assert_ok(cress_rwlock_acquire_read(&lock, 0));
    assert_ok(cress_rwlock_release(&lock));
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_write(&lock, 0));
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_write(&lock, 0.5));
    assert_ok(cress_rwlock_acquire_write(&lock, CRESS_FOREVER));
    assert_time(1);
    assert_ok(cress_rwlock_release(&lock));
}

static void test_writer_alone(void)
{
    spawn(write_a_second, "a");
    spawn(write_a_second, "b");
    settle();
    assert_trace("a writes: 0 (0)\n");
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_read(&lock, 0));
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_write(&lock, 0.5));
    assert_ok(cress_rwlock_acquire_read(&lock, CRESS_FOREVER));
    assert_time(2);
    assert_ok(cress_rwlock_release(&lock));
    assert_trace("b writes: 0 (0)\n");
}

static void test_in_order_of_coming(void)
{
    spawn(read_a_second, "a");
    spawn(read_a_second, "b");
    spawn(write_a_second, "c");
    spawn(read_a_second, "d"); /* behind the writer, though a and b read */
    spawn(read_a_second, "e");
    spawn(write_a_second, "f");
    spawn(read_a_second, "g");
    assert_ok(cress_sleep(0.5));
    assert_trace("a reads: 0 (0)\nb reads: 0 (0)\n");
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_read(&lock, 0));
    assert_ok(cress_sleep(1));
    assert_trace("c writes: 0 (0)\n");
    assert_ok(cress_sleep(1));
    assert_trace("d reads: 0 (0)\ne reads: 0 (0)\n");
    assert_ok(cress_sleep(1));
    assert_trace("f writes: 0 (0)\n");
    assert_ok(cress_sleep(1));
    assert_trace("g reads: 0 (0)\n");
    assert_ok(cress_sleep(1));
    assert_free();
}

static void test_killed_writer_lets_readers_in(void)
{
    spawn(read_a_second, "a");
    settle();

    cress_greenlet *b = cress_spawn(write_a_second, "b");

    spawn(read_a_second, "c");
    spawn(read_a_second, "d");
    settle();
    assert_trace("a reads: 0 (0)\n");
    cress_cancel(b);
    settle();
    assert_trace("b writes: -1 (125)\nc reads: 0 (0)\nd reads: 0 (0)\n");
    assert_time(0);
    cress_release(b);
    assert_ok(cress_sleep(2));
    assert_free();
}

/* A reader who comes after the kill, before the killed writer has run. */
static void test_killed_writer_keeps_nobody_out(void)
{
    spawn(read_a_second, "a");
    settle();

    cress_greenlet *b = cress_spawn(write_a_second, "b");

    spawn(read_a_second, "c");
    settle();
    cress_cancel(b);
    assert_ok(cress_rwlock_acquire_read(&lock, 0));
    assert_int_equal(lock.readers, 3); /* c went first */
    settle();
    assert_trace("a reads: 0 (0)\nb writes: -1 (125)\nc reads: 0 (0)\n");
    assert_ok(cress_rwlock_release(&lock));
    cress_release(b);
    assert_ok(cress_sleep(2));
    assert_free();
}

static void *write_within_a_half(void *arg)
{
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_write(&lock, 0.5));
    trace("%s gives up at %g", (char *)arg, cress_now());
    return NULL;
}

static void test_late_writer_lets_readers_in(void)
{
    spawn(read_a_second, "a");
    spawn(write_within_a_half, "b");
    spawn(read_a_second, "c");
    assert_ok(cress_sleep(0.75));
    assert_trace("a reads: 0 (0)\nb gives up at 0.5\nc reads: 0 (0)\n");
    assert_ok(cress_sleep(2));
    assert_free();
}

static void test_handed_over_survives_a_kill(void)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));

    cress_greenlet *a = cress_spawn(read_a_second, "a"), *b = cress_spawn(write_a_second, "b");

    settle();
    assert_ok(cress_rwlock_release(&lock));
    cress_cancel(a); /* it is a's already */
    assert_int_equal(lock.readers, 1);
    cress_cancel(b); /* it is not b's yet */
    settle();
    assert_trace("a reads: 0 (0)\nb writes: -1 (125)\n");
    assert_free();
    cress_release(a);
    cress_release(b);
}

static void *release_when_killed(void *arg)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));
    assert_errno(ECANCELED, cress_sleep(CRESS_FOREVER));
    assert_ok(cress_rwlock_release(&lock));
    assert_errno(ECANCELED, cress_rwlock_acquire_write(&lock, 0));
    assert_errno(ECANCELED, cress_rwlock_acquire_read(&lock, 0));
    return arg;
}

static void test_killed_owner_can_release(void)
{
    cress_greenlet *g = cress_spawn(release_when_killed, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_free();
    cress_release(g);
}

static void use_outside_greenlets(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_errno(EPERM, cress_rwlock_acquire_read(arg, 0));
    assert_errno(EPERM, cress_rwlock_acquire_write(arg, 0));
    assert_errno(EPERM, cress_rwlock_release(arg));
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

/* ---- misuse ---------------------------------------------------------------------------- */

static void *release_what_is_free(void *arg)
{
    assert_errno(EPERM, cress_rwlock_release(&lock));
    return arg;
}

static void *release_anothers(void *arg)
{
    spawn(read_a_second, "a");
    settle();
    assert_errno(EPERM, cress_rwlock_release(&lock));
    assert_ok(cress_sleep(2));
    assert_trace("a reads: 0 (0)\n");
    return arg;
}

static void *write_twice(void *arg)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));
    assert_errno(EDEADLK, cress_rwlock_acquire_write(&lock, CRESS_FOREVER));
    assert_ok(cress_rwlock_release(&lock));
    return arg;
}

static void *read_as_the_writer(void *arg)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));
    assert_errno(EDEADLK, cress_rwlock_acquire_read(&lock, CRESS_FOREVER));
    assert_ok(cress_rwlock_release(&lock));
    return arg;
}

static void *end_writing(void *arg)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));
    assert_ok(cress_sleep(1));
    return arg;
}

static void *orphan_the_lock(void *arg)
{
    spawn(end_writing, NULL);
    spawn(read_a_second, "a");
    spawn(write_a_second, "b");
    assert_ok(cress_sleep(2));
    assert_trace("a reads: -1 (130)\nb writes: -1 (130)\n");
    assert_int_equal(EOWNERDEAD, 130);
    assert_errno(EOWNERDEAD, cress_rwlock_acquire_read(&lock, CRESS_FOREVER));
    assert_errno(EOWNERDEAD, cress_rwlock_acquire_write(&lock, CRESS_FOREVER));
    cress_release(lock.writer); /* nobody else ever will */
    lock = (cress_rwlock)CRESS_RWLOCK_INIT;
    return arg;
}

static void *end_reading(void *arg)
{
    assert_ok(cress_rwlock_acquire_read(&lock, 0));
    return arg;
}

static void *leave_a_reader(void *arg)
{
    spawn(end_reading, NULL);
    settle();
    assert_errno(ETIMEDOUT, cress_rwlock_acquire_write(&lock, 1));
    lock = (cress_rwlock)CRESS_RWLOCK_INIT;
    return arg;
}

static void *use_from_outside(void *arg)
{
    assert_errno(EPERM, cress_rwlock_acquire_read(&lock, CRESS_FOREVER));
    assert_errno(EPERM, cress_rwlock_acquire_write(&lock, CRESS_FOREVER));
    assert_errno(EPERM, cress_rwlock_release(&lock));
    return arg;
}

static void *use_in_another_thread(void *arg)
{
    assert_ok(cress_rwlock_acquire_write(&lock, 0));
    run_in_other_hub(use_from_outside, NULL);
    assert_ok(cress_rwlock_release(&lock));
    assert_ok(cress_rwlock_acquire_read(&lock, 0));
    spawn(write_a_second, "a");
    settle();
    run_in_other_hub(use_from_outside, NULL);
    assert_ok(cress_rwlock_release(&lock));
    assert_ok(cress_sleep(2));
    assert_trace("a writes: 0 (0)\n");
    return arg;
}

static void test_misuse_is_reported(void)
{
    use_in_another_thread(NULL);
    release_what_is_free(NULL);
    release_anothers(NULL);
    write_twice(NULL);
    read_as_the_writer(NULL);
    orphan_the_lock(NULL);
    leave_a_reader(NULL);
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(use_in_another_thread, "misuse: a greenlet of another thread holds the lock");
    assert_misuse(release_what_is_free,
                  "misuse: cress_rwlock_release: by one who does not hold it");
    assert_misuse(release_anothers, "misuse: cress_rwlock_release: by one who does not hold it");
    assert_misuse(write_twice, "misuse: cress_rwlock_acquire_write: by its writer");
    assert_misuse(read_as_the_writer, "misuse: cress_rwlock_acquire_read: by its writer");
    assert_misuse(orphan_the_lock, "misuse: it ends while it holds 1 lock\n");
    assert_misuse(leave_a_reader, "misuse: it ends while it holds 1 lock\n");
}

static void test_stress(void **state)
{
    (void)state;
    stress_seeds(stress_rwlock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_zeroed_is_free),
        HUB_TEST(test_readers_together),
        HUB_TEST(test_writer_alone),
        HUB_TEST(test_in_order_of_coming),
        HUB_TEST(test_killed_writer_lets_readers_in),
        HUB_TEST(test_killed_writer_keeps_nobody_out),
        HUB_TEST(test_late_writer_lets_readers_in),
        HUB_TEST(test_handed_over_survives_a_kill),
        HUB_TEST(test_killed_owner_can_release),
        HUB_TEST(test_only_for_greenlets),
        HUB_TEST(test_misuse_is_reported),
        cmocka_unit_test(test_misuse_stops),
        cmocka_unit_test(test_stress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
