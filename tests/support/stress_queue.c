#include "stress.h"

#include "hub_test.h"

#include <cress/queue.h>

enum { PRODUCERS = 4, CONSUMERS = 3, ITEMS = 12 };

enum fate { KEPT, PUT, GOT, DROPPED };

struct item {
    struct story *story;
    unsigned producer, number;
    enum fate fate; /* GOT can come before the put has returned */
};

struct story {
    cress_queue queue;
    uint64_t random;
    unsigned consumers;
    struct item items[PRODUCERS][ITEMS];
    unsigned accepted, taken; /* puts that returned 0; items out of the queue */
    unsigned producers_begun;
};

static int compare_numbers(const void *a, const void *b)
{
    unsigned left = ((const struct item *)a)->number / 3;
    unsigned right = ((const struct item *)b)->number / 3;

    return (left > right) - (left < right);
}

static void check_bounds(const struct story *s)
{
    const cress_queue *q = &s->queue;

    assert_true(!q->max || cress_queue_size(q) <= q->max);
    assert_true(cress_queue_unfinished(q) >= cress_queue_size(q));
}

/* ---- those who put --------------------------------------------------------------- */

static int put_item(struct story *s, struct item *item)
{
    int result = cress_queue_put(&s->queue, item, stress_timeout(&s->random));
    int error = errno;

    check_bounds(s);
    if (result == 0) {
        s->accepted++;
        item->fate = item->fate == KEPT ? PUT : item->fate;
        return 0;
    }
    assert_int_equal(item->fate, KEPT); /* nobody else has it */
    assert_true(error == ETIMEDOUT || error == ECANCELED || error == EPIPE);
    return error == ETIMEDOUT ? 0 : -1;
}

static void *produce(void *arg)
{
    struct story *s = arg;
    unsigned self = s->producers_begun++;

    for (unsigned i = 0; i < ITEMS && !cress_queue_closed(&s->queue); i++)
        if (put_item(s, &s->items[self][i]) < 0 || cress_sleep(stress_span(&s->random)) < 0)
            break;
    return NULL;
}

/* ---- those who take -------------------------------------------------------------- */

static void take_out(struct item *item, enum fate fate)
{
    assert_true(item->fate == KEPT || item->fate == PUT);
    item->fate = fate;
    item->story->taken++;
}

/* What has just been taken goes before all that lay there with it. */
static void check_rank(struct story *s, const struct item *item)
{
    void *next;

    if (s->queue.kind == CRESS_QUEUE_PRIORITY && !s->queue.max &&
        cress_queue_peek(&s->queue, &next, 0) == 0)
        assert_true(compare_numbers(item, next) <= 0);
}

/* One consumer sees each producer's items in order. */
static void check_order(const struct story *s, const struct item *item)
{
    if (s->queue.kind == CRESS_QUEUE_FIFO && s->consumers == 1)
        for (unsigned i = item->number + 1; i < ITEMS; i++)
            assert_true(s->items[item->producer][i].fate <= PUT);
}

static int get_item(struct story *s)
{
    bool lies_there = !cress_queue_empty(&s->queue);
    void *got = NULL;
    int result = cress_queue_get(&s->queue, &got, stress_timeout(&s->random));
    int error = errno;

    if (result == 0) {
        take_out(got, GOT);
        check_order(s, got);
        if (lies_there)
            check_rank(s, got);
        assert_ok(cress_queue_task_done(&s->queue));
    }
    check_bounds(s);
    return result < 0 && error != ETIMEDOUT ? -1 : 0;
}

static void *consume(void *arg)
{
    struct story *s = arg;

    while (get_item(s) == 0)
        if (cress_sleep(stress_span(&s->random)) < 0)
            break;
    return NULL;
}

/* One who only looks. */
static void *look_on(void *arg)
{
    struct story *s = arg;
    cress_waitable *objects[] = { cress_queue_waitable(&s->queue) };
    void *item;

    while (!cress_queue_closed(&s->queue)) {
        if (cress_wait_any(objects, 1, stress_timeout(&s->random)) == 0 &&
            cress_queue_peek(&s->queue, &item, 0) == 0)
            assert_true(((struct item *)item)->fate <= PUT);
        if (cress_sleep(0.0005) < 0)
            break;
    }
    return NULL;
}

static void *close_it(void *arg)
{
    struct story *s = arg;

    cress_sleep(0.001 * stress_below(&s->random, 60)); /* or until it is killed */
    cress_queue_close(&s->queue);
    return NULL;
}

static void *join_it(void *arg)
{
    struct story *s = arg;

    if (cress_queue_join(&s->queue, stress_timeout(&s->random)) < 0)
        assert_true(errno == ETIMEDOUT || errno == ECANCELED);
    return NULL;
}

/* ---- the story ---------------------------------------------------------------------- */

static void drop(void *item)
{
    take_out(item, DROPPED);
}

static void begin(struct story *s, const void *seed, unsigned kind)
{
    s->random = *(const uint64_t *)seed * 4 + kind;
    s->consumers = 1 + stress_below(&s->random, CONSUMERS);
    for (unsigned i = 0; i < PRODUCERS; i++)
        for (unsigned j = 0; j < ITEMS; j++)
            s->items[i][j] = (struct item){ .story = s, .producer = i, .number = j };
}

static void play(struct story *s)
{
    cress_greenlet *crew[PRODUCERS + CONSUMERS + 3];
    unsigned count = 0;

    for (unsigned i = 0; i < PRODUCERS; i++)
        crew[count++] = cress_spawn(produce, s);
    for (unsigned i = 0; i < s->consumers; i++)
        crew[count++] = cress_spawn(consume, s);
    crew[count++] = cress_spawn(look_on, s);

    cress_greenlet *closer = cress_spawn(close_it, s), *joiner = cress_spawn(join_it, s);

    stress_crew(crew, count, &s->random);
    assert_ok(cress_kill(closer, CRESS_FOREVER));
    cress_release(closer);
    cress_queue_close_now(&s->queue, drop);
    assert_ok(cress_join(joiner, CRESS_FOREVER)); /* nothing is left to join */
    cress_release(joiner);
}

static void end(struct story *s)
{
    assert_true(cress_queue_empty(&s->queue));
    assert_int_equal(cress_queue_unfinished(&s->queue), 0);
    assert_int_equal(s->taken, s->accepted); /* each once: take_out sees to that */
    assert_ok(cress_queue_join(&s->queue, 0));
    assert_null(s->queue.getters.first);
    assert_null(s->queue.putters.first);
    assert_null(s->queue.joiners.first);
    cress_queue_finish(&s->queue);
}

static unsigned some_bound(const void *seed)
{
    return (unsigned)(*(const uint64_t *)seed % 5);
}

void *stress_queue(void *seed)
{
    struct story s = { .queue = CRESS_QUEUE_INIT(some_bound(seed)) };

    begin(&s, seed, 0);
    play(&s);
    end(&s);
    return NULL;
}

void *stress_lifo_queue(void *seed)
{
    struct story s = { .queue = CRESS_LIFO_QUEUE_INIT(some_bound(seed)) };

    begin(&s, seed, 1);
    play(&s);
    end(&s);
    return NULL;
}

void *stress_priority_queue(void *seed)
{
    struct story s = { .queue = CRESS_PRIORITY_QUEUE_INIT(some_bound(seed), compare_numbers) };

    begin(&s, seed, 2);
    play(&s);
    end(&s);
    return NULL;
}

void *stress_channel(void *seed)
{
    struct story s = { .queue = CRESS_CHANNEL_INIT };

    begin(&s, seed, 3);
    play(&s);
    end(&s);
    return NULL;
}
