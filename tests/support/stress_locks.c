#include "stress.h"

#include "hub_test.h"

#include <cress/condition.h>
#include <cress/rwlock.h>
#include <cress/semaphore.h>

enum { CREW = 8, ROUNDS = 6, DEPTH = 3, ROOM = 2 };

static void check_error(int result)
{
    assert_true(result == 0 || errno == ETIMEDOUT || errno == ECANCELED);
}

static void play(cress_fn *fn, void *arg, uint64_t *random)
{
    cress_greenlet *crew[CREW];

    for (unsigned i = 0; i < CREW; i++)
        assert_non_null(crew[i] = cress_spawn(fn, arg));
    stress_crew(crew, CREW, random);
}

/* Rounds of `act`, until a kill. */
static void repeat(void (*act)(void *), void *arg, uint64_t *random)
{
    for (unsigned i = 0; i < ROUNDS && cress_sleep(stress_span(random)) == 0; i++)
        act(arg);
}

/* ---- semaphore --------------------------------------------------------------------- */

struct places {
    cress_semaphore semaphore;
    uint64_t random;
    unsigned count, used;
};

static void use_place(void *arg)
{
    struct places *p = arg;
    int result = cress_semaphore_acquire(&p->semaphore, stress_timeout(&p->random));

    check_error(result);
    if (result < 0)
        return;
    assert_true(++p->used <= p->count);
    cress_sleep(stress_span(&p->random));
    p->used--;
    assert_ok(cress_semaphore_release(&p->semaphore));
}

static void *use_places(void *arg)
{
    struct places *p = arg;

    repeat(use_place, p, &p->random);
    return NULL;
}

void *stress_semaphore(void *seed)
{
    struct places p = { .random = *(const uint64_t *)seed };

    p.count = 1 + stress_below(&p.random, 3);
    p.semaphore = (cress_semaphore)CRESS_BOUNDED_SEMAPHORE_INIT(p.count);
    play(use_places, &p, &p.random);
    assert_int_equal(cress_semaphore_free_count(&p.semaphore), p.count);
    assert_null(p.semaphore.waitable.first);
    assert_true(p.semaphore.waitable.ready);
    return NULL;
}

/* ---- recursive lock ------------------------------------------------------------------ */

struct locked {
    cress_rlock lock;
    uint64_t random;
    const cress_greenlet *inside;
};

static void lock_deeper(struct locked *l, unsigned depth)
{
    int result = cress_rlock_acquire(&l->lock, stress_timeout(&l->random));

    check_error(result);
    if (result < 0)
        return;
    assert_true(!l->inside || l->inside == cress_self());
    assert_ptr_equal(cress_rlock_owner(&l->lock), cress_self());

    const cress_greenlet *outer = l->inside;

    l->inside = cress_self();
    cress_sleep(stress_span(&l->random));
    if (depth > 1)
        lock_deeper(l, depth - 1);
    l->inside = outer;
    assert_ok(cress_rlock_release(&l->lock));
}

static void lock_once(void *arg)
{
    struct locked *l = arg;

    lock_deeper(l, 1 + stress_below(&l->random, DEPTH));
}

static void *lock_often(void *arg)
{
    struct locked *l = arg;

    repeat(lock_once, l, &l->random);
    return NULL;
}

void *stress_rlock(void *seed)
{
    struct locked l = { .random = *(const uint64_t *)seed };

    play(lock_often, &l, &l.random);
    assert_null(cress_rlock_owner(&l.lock));
    assert_null(l.lock.waiters.first);
    return NULL;
}

/* ---- condition ----------------------------------------------------------------------- */

/* A buffer of ROOM, with two conditions over one lock. */
struct buffer {
    cress_rlock lock;
    cress_condition filled, emptied;
    uint64_t random;
    unsigned count, put, got, begun;
};

static bool wait_until(struct buffer *b, cress_condition *condition, unsigned unwanted)
{
    while (b->count == unwanted) {
        int result = cress_condition_wait(condition, stress_timeout(&b->random));

        check_error(result);
        assert_ptr_equal(cress_rlock_owner(&b->lock), cress_self());
        assert_true(b->count <= ROOM);
        if (result < 0)
            return false;
    }
    return true;
}

static void put_one(void *arg)
{
    struct buffer *b = arg;

    if (cress_rlock_acquire(&b->lock, CRESS_FOREVER) < 0)
        return;
    if (wait_until(b, &b->emptied, ROOM)) {
        b->count++;
        b->put++;
        assert_ok(cress_condition_notify(&b->filled, 1));
        cress_sleep(stress_span(&b->random));
    }
    assert_ok(cress_rlock_release(&b->lock));
}

static void get_one(void *arg)
{
    struct buffer *b = arg;

    if (cress_rlock_acquire(&b->lock, CRESS_FOREVER) < 0)
        return;
    if (wait_until(b, &b->filled, 0)) {
        b->count--;
        b->got++;
        assert_ok(cress_condition_notify(&b->emptied, 1));
        cress_sleep(stress_span(&b->random));
    }
    assert_ok(cress_rlock_release(&b->lock));
}

static void *trade(void *arg)
{
    struct buffer *b = arg;

    repeat(b->begun++ % 2 ? put_one : get_one, b, &b->random);
    return NULL;
}

/* Who is left when the others have gone waits for ever otherwise. */
static void *keep_it_moving(void *arg)
{
    struct buffer *b = arg;

    while (cress_sleep(0.01) == 0) {
        if (cress_rlock_acquire(&b->lock, CRESS_FOREVER) < 0)
            break;
        b->count = b->count == ROOM ? 0 : ROOM;
        assert_ok(cress_condition_notify_all(&b->filled));
        assert_ok(cress_condition_notify_all(&b->emptied));
        b->put = b->count;
        b->got = 0;
        assert_ok(cress_rlock_release(&b->lock));
    }
    return NULL;
}

void *stress_condition(void *seed)
{
    struct buffer b = { .random = *(const uint64_t *)seed };

    b.filled = b.emptied = (cress_condition)CRESS_CONDITION_INIT(&b.lock);

    cress_greenlet *mover = cress_spawn(keep_it_moving, &b);

    play(trade, &b, &b.random);
    assert_ok(cress_kill(mover, CRESS_FOREVER));
    cress_release(mover);
    assert_int_equal(b.count, b.put - b.got);
    assert_null(cress_rlock_owner(&b.lock));
    assert_null(b.lock.waiters.first);
    assert_null(b.filled.waiters.first);
    assert_null(b.emptied.waiters.first);
    return NULL;
}

/* ---- read-write lock -------------------------------------------------------------------- */

struct shelf {
    cress_rwlock lock;
    uint64_t random;
    unsigned readers, writers;
};

static void read_once(struct shelf *s)
{
    int result = cress_rwlock_acquire_read(&s->lock, stress_timeout(&s->random));

    check_error(result);
    if (result < 0)
        return;
    s->readers++;
    assert_int_equal(s->writers, 0);
    cress_sleep(stress_span(&s->random));
    assert_int_equal(s->writers, 0);
    s->readers--;
    assert_ok(cress_rwlock_release(&s->lock));
}

static void write_once(struct shelf *s)
{
    int result = cress_rwlock_acquire_write(&s->lock, stress_timeout(&s->random));

    check_error(result);
    if (result < 0)
        return;
    assert_int_equal(s->writers++, 0);
    assert_int_equal(s->readers, 0);
    cress_sleep(stress_span(&s->random));
    assert_int_equal(s->readers, 0);
    assert_int_equal(s->writers--, 1);
    assert_ok(cress_rwlock_release(&s->lock));
}

static void read_or_write(void *arg)
{
    struct shelf *s = arg;

    if (stress_below(&s->random, 3) == 0)
        write_once(s);
    else
        read_once(s);
}

static void *use_shelf(void *arg)
{
    struct shelf *s = arg;

    repeat(read_or_write, s, &s->random);
    return NULL;
}

void *stress_rwlock(void *seed)
{
    struct shelf s = { .random = *(const uint64_t *)seed };

    play(use_shelf, &s, &s.random);
    assert_int_equal(s.lock.readers, 0);
    assert_null(s.lock.writer);
    assert_null(s.lock.waiters.first);
    return NULL;
}
