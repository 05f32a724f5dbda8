/* Locks under simulation: whoever holds one holds it alone, or with readers only;
 * notifications reach somebody who waits; all end up free. */
#include "seeds.h"

#include "../../greenlet/waiter.h"

#include <cress/condition.h>
#include <cress/rlock.h>
#include <cress/rwlock.h>
#include <cress/timeout.h>

enum { DEEPEST = 4 };

/* ---- the recursive lock ----------------------------------------------------------- */

static cress_rlock lock;
static cress_greenlet *inside;

static void *lock_and_wait(void *unused)
{
    cress_timeout limit;
    unsigned depth = 0;

    (void)unused;
    cress_timeout_start(&limit, pick_timeout());
    for (unsigned steps = pick_between(2, 12); steps > 0; steps--) {
        if (depth < DEEPEST && coin() && cress_rlock_acquire(&lock, pick_timeout()) == 0) {
            check(depth > 0 ? inside == cress_self() : !inside);
            inside = cress_self();
            depth++;
        } else if (depth > 0 && coin()) {
            inside = --depth > 0 ? inside : NULL;
            check(cress_rlock_release(&lock) == 0);
        } else {
            cress_sleep(pick_span());
        }
        check((depth > 0) == (cress_rlock_owner(&lock) == cress_self()));
        check(depth == 0 || lock.depth == depth);
    }
    for (inside = depth > 0 ? NULL : inside; depth > 0; depth--)
        check(cress_rlock_release(&lock) == 0);
    cress_timeout_close(&limit);
    return NULL;
}

static void rlock(void)
{
    struct crowd crowd = { .count = 0 };

    lock = (cress_rlock)CRESS_RLOCK_INIT;
    inside = NULL;
    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, lock_and_wait, NULL);
    crowd_harass(&crowd, pick(8));
    crowd_join(&crowd);
    check(!cress_rlock_owner(&lock) && !lock.waiters.first && lock.depth == 0);
}

/* ---- the read-write lock ---------------------------------------------------------------- */

static cress_rwlock rwlock;
static unsigned readers, writers;

/* Whoever stands at the head of the line has a reason to: slot tells who would write.
 * Holds right after a call that has looked at the line. */
static void check_line(void)
{
    const struct cress_waiter *first = waiter_first(&rwlock.waiters);

    check(!first || rwlock.writer || (first->slot && rwlock.readers > 0));
}

/* Nobody overtakes. (A reader behind a writer who has just given up goes in, too.) */
static bool must_wait(void)
{
    const struct cress_waiter *first = waiter_first(&rwlock.waiters);

    return rwlock.writer || (first && first->slot && rwlock.readers > 0);
}

static void read_for_a_while(void)
{
    cress_seconds timeout = pick_timeout();
    bool in_line = must_wait(), tries = cress_check() == 0;
    int result = cress_rwlock_acquire_read(&rwlock, timeout);

    if (tries && result < 0)
        check_line();
    check(result < 0 || !in_line || timeout > 0);
    if (result < 0)
        return;
    readers++;
    check(writers == 0);
    cress_sleep(pick_span());
    check(writers == 0);
    readers--;
    check(cress_rwlock_release(&rwlock) == 0);
    check_line();
}

static void write_for_a_while(void)
{
    bool tries = cress_check() == 0;
    int result = cress_rwlock_acquire_write(&rwlock, pick_timeout());

    if (tries && result < 0)
        check_line();
    if (result < 0)
        return;
    check(++writers == 1 && readers == 0);
    cress_sleep(pick_span());
    check(writers == 1 && readers == 0);
    writers--;
    check(cress_rwlock_release(&rwlock) == 0);
    check_line();
}

static void *read_and_write(void *unused)
{
    (void)unused;
    for (unsigned steps = pick_between(1, 6); steps > 0 && cress_check() == 0; steps--) {
        if (pick(3))
            read_for_a_while();
        else
            write_for_a_while();
        if (coin())
            cress_sleep(pick_span());
    }
    return NULL;
}

static void readers_and_writers(void)
{
    struct crowd crowd = { .count = 0 };

    rwlock = (cress_rwlock)CRESS_RWLOCK_INIT;
    readers = writers = 0;
    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, read_and_write, NULL);
    crowd_harass(&crowd, pick(8));
    crowd_join(&crowd);
    check(readers == 0 && writers == 0);
    check(rwlock.readers == 0 && !rwlock.writer && !rwlock.waiters.first);
}

/* ---- the condition ----------------------------------------------------------------------- */

static cress_condition filled;
static unsigned stock, made, taken;
static bool closed;

static bool enter(cress_seconds timeout)
{
    if (cress_rlock_acquire(cress_condition_lock(&filled), timeout) < 0)
        return false;
    check(!inside);
    inside = cress_self();
    return true;
}

static void leave(void)
{
    check(inside == cress_self());
    inside = NULL;
    check(cress_rlock_release(cress_condition_lock(&filled)) == 0);
}

/* The lock is let go of meanwhile, and held again afterwards whatever comes. */
static int wait_for_stock(void)
{
    cress_rlock *its_lock = cress_condition_lock(&filled);
    unsigned again = pick(3);
    size_t depth = 1;

    while (depth <= again && cress_rlock_acquire(its_lock, 0) == 0)
        depth++;
    inside = NULL;
    int result = cress_condition_wait(&filled, pick_timeout()), error = errno;
    check(!inside && cress_rlock_owner(its_lock) == cress_self() && its_lock->depth == depth);
    inside = cress_self();
    while (depth-- > 1)
        check(cress_rlock_release(its_lock) == 0);
    errno = error;
    return result;
}

static void *take_stock(void *unused)
{
    (void)unused;
    while (enter(CRESS_FOREVER)) {
        int result = 0;
        while (stock == 0 && !closed && result == 0)
            result = wait_for_stock();
        bool stops = (result < 0 && errno != ETIMEDOUT) || (closed && stock == 0);
        if (stock > 0) {
            stock--;
            taken++;
        }
        if (stops && stock > 0) /* it may have been told in a taker's place */
            check(cress_condition_notify(&filled, 1) == 0);
        leave();
        if (stops || cress_sleep(pick_span()) < 0)
            break;
    }
    return NULL;
}

static void *make_stock(void *unused)
{
    (void)unused;
    for (unsigned i = pick_between(1, 6); i > 0 && enter(CRESS_FOREVER); i--) {
        unsigned count = pick_between(1, 3);
        if (coin())
            cress_sleep(pick_span());
        stock += count;
        made += count;
        check(cress_condition_notify(&filled, count) == 0);
        leave();
        if (coin() && cress_sleep(pick_span()) < 0)
            break;
    }
    return NULL;
}

static void close_shop(void)
{
    check(enter(CRESS_FOREVER));
    closed = true;
    check(cress_condition_notify_all(&filled) == 0);
    leave();
}

static void condition(void)
{
    struct crowd crowd = { .count = 0 }, last = { .count = 0 };

    filled = (cress_condition){ .lock = coin() ? &lock : NULL };
    lock = (cress_rlock)CRESS_RLOCK_INIT;
    inside = NULL;
    stock = made = taken = 0;
    closed = false;
    for (unsigned i = pick_between(1, 5); i > 0; i--)
        crowd_spawn(&crowd, take_stock, NULL);
    for (unsigned i = pick_between(1, 4); i > 0; i--)
        crowd_spawn(&crowd, make_stock, NULL);
    crowd_harass(&crowd, pick(6));
    crowd_spawn(&last, take_stock, NULL); /* one whom nobody kills */
    check(cress_sleep(1000) == 0);
    check(stock == 0);
    close_shop();
    crowd_join(&crowd);
    crowd_join(&last);
    check(made == taken && !inside);
    check(!filled.waiters.first && !cress_rlock_owner(cress_condition_lock(&filled)));
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "rlock", rlock, 0, 0 },
        { "readers_and_writers", readers_and_writers, 0, 0 },
        { "condition", condition, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
