/* Queues of every kind under simulation: no item is lost or comes twice, bounds hold,
 * each getter sees each producer's items in order, and everybody ends. */
#include "seeds.h"

#include "../../greenlet/waiter.h"

#include <cress/queue.h>

#include <stdlib.h>

enum { PRODUCERS = 4, ITEMS = 6, CONSUMERS = 4 };

struct item {
    unsigned producer, number, rank;
    bool put, got;
};

struct world {
    cress_queue queue;
    struct item items[PRODUCERS][ITEMS];
    size_t bound;
    bool in_order, joinable;
    unsigned putting; /* calls under way */
};
static struct world w;

static int compare_ranks(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Nobody stands in line for what is there: those who still wait cannot be served. */
static void check_state(void)
{
    size_t size = cress_queue_size(&w.queue);
    bool getter = waiter_first(&w.queue.getters), putter = waiter_first(&w.queue.putters);

    check(w.bound == 0 || size <= w.bound);
    check(size <= w.queue.unfinished);
    check(!getter || (size == 0 && !putter));
    check(!putter || (w.queue.kind == CRESS_QUEUE_CHANNEL || size == w.bound));
    check(!cress_queue_closed(&w.queue) || (!getter && !putter));
}

static void *produce(void *arg)
{
    struct item *items = arg;

    for (unsigned i = 0; i < ITEMS; i++) {
        if (cress_queue_closed(&w.queue))
            break;
        w.putting++;
        int result = cress_queue_put(&w.queue, &items[i], pick_timeout());
        int error = errno;
        w.putting--;
        check_state();
        items[i].put = result == 0;
        check(result == 0 || error == ETIMEDOUT || error == ECANCELED || error == EPIPE);
        if (coin() && cress_sleep(pick_span()) < 0)
            break;
    }
    return NULL;
}

static void note_got(struct item *item, unsigned next[PRODUCERS])
{
    check(item == &w.items[item->producer][item->number]);
    check(!item->got);
    item->got = true;
    if (w.in_order)
        check(item->number >= next[item->producer]);
    next[item->producer] = item->number + 1;
    check(cress_queue_task_done(&w.queue) == 0);
}

static void *consume(void *unused)
{
    unsigned next[PRODUCERS] = { 0 };
    void *item;

    (void)unused;
    for (;;) {
        int result = cress_queue_get(&w.queue, &item, pick_timeout());
        int error = errno;
        check_state();
        if (result == 0)
            note_got(item, next);
        else if (error == EPIPE || error == ECANCELED)
            return NULL;
        else
            check(error == ETIMEDOUT);
        if (cress_sleep(pick_span()) < 0)
            return NULL;
    }
}

static void *peek(void *unused)
{
    void *item;

    (void)unused;
    for (int i = 0; i < 8; i++) {
        if (cress_queue_peek(&w.queue, &item, pick_timeout()) == 0)
            check(!((struct item *)item)->got);
        else if (errno != ETIMEDOUT)
            return NULL;
        if (cress_sleep(pick_span()) < 0)
            return NULL;
    }
    return NULL;
}

static void *join(void *unused)
{
    (void)unused;
    if (cress_queue_join(&w.queue, pick_timeout()) < 0)
        check(errno == ETIMEDOUT || errno == ECANCELED);
    return NULL;
}

static void begin(cress_queue queue, bool in_order)
{
    w = (struct world){ .queue = queue, .bound = queue.max, .in_order = in_order };
    for (unsigned p = 0; p < PRODUCERS; p++)
        for (unsigned i = 0; i < ITEMS; i++)
            w.items[p][i] = (struct item){ .producer = p, .number = i, .rank = pick(3) };
}

static void drain(void)
{
    unsigned next[PRODUCERS] = { 0 };
    void *item;

    while (cress_queue_get(&w.queue, &item, 0) == 0)
        note_got(item, next);
    check(errno == EPIPE);
}

static void check_items(void)
{
    for (unsigned p = 0; p < PRODUCERS; p++)
        for (unsigned i = 0; i < ITEMS; i++)
            check(w.items[p][i].put == w.items[p][i].got);
    check(w.queue.unfinished == 0 && w.putting == 0);
    check(!w.queue.getters.first && !w.queue.putters.first && !w.queue.joiners.first);
}

/* An item that close_now drops. */
static void drop(void *arg)
{
    struct item *item = arg;

    check(!item->got);
    item->got = true;
}

static void work(void)
{
    struct crowd crowd = { .count = 0 };
    unsigned producers = pick_between(1, PRODUCERS), consumers = pick_between(1, CONSUMERS);

    for (unsigned i = 0; i < producers; i++)
        crowd_spawn(&crowd, produce, w.items[i]);
    for (unsigned i = 0; i < consumers; i++)
        crowd_spawn(&crowd, consume, NULL);
    for (unsigned i = pick(3); i > 0; i--)
        crowd_spawn(&crowd, peek, NULL);
    for (unsigned i = pick(3); i > 0; i--)
        crowd_spawn(&crowd, join, NULL);
    crowd_harass(&crowd, pick(6));
    check(cress_sleep(pick(60)) == 0);
    if (coin())
        cress_queue_close(&w.queue);
    else
        cress_queue_close_now(&w.queue, drop);
    if (pick(4) == 0)
        cress_queue_close_now(&w.queue, drop);
    drain();
    crowd_join(&crowd);
    check_items();
    cress_queue_finish(&w.queue);
}

static void unbounded(void)
{
    begin((cress_queue)CRESS_QUEUE_INIT(0), true);
    work();
}

static void bounded(void)
{
    begin((cress_queue)CRESS_QUEUE_INIT(pick_between(1, 3)), true);
    work();
}

static void lifo(void)
{
    begin((cress_queue)CRESS_LIFO_QUEUE_INIT(pick(4)), false);
    work();
}

static void priority(void)
{
    begin((cress_queue)CRESS_PRIORITY_QUEUE_INIT(pick(4), compare_ranks), false);
    work();
}

static void channel(void)
{
    begin((cress_queue)CRESS_CHANNEL_INIT, true);
    work();
}

/* Nobody kills, times out or closes early: all that was put is got, and a join ends
 * when it is done. */
static void *produce_all(void *arg)
{
    struct item *items = arg;

    for (unsigned i = 0; i < ITEMS; i++) {
        check(cress_queue_put(&w.queue, &items[i], CRESS_FOREVER) == 0);
        items[i].put = true;
    }
    return NULL;
}

static void *consume_all(void *unused)
{
    unsigned next[PRODUCERS] = { 0 };
    void *item;

    (void)unused;
    while (cress_queue_get(&w.queue, &item, CRESS_FOREVER) == 0) {
        if (coin())
            check(cress_sleep(pick_span()) == 0);
        note_got(item, next);
    }
    check(errno == EPIPE);
    return NULL;
}

static void joined(void)
{
    struct crowd producers = { .count = 0 }, consumers = { .count = 0 };

    begin(coin() ? (cress_queue)CRESS_CHANNEL_INIT : (cress_queue)CRESS_QUEUE_INIT(pick(3)), false);
    for (unsigned i = 0; i < PRODUCERS; i++)
        crowd_spawn(&producers, produce_all, w.items[i]);
    for (unsigned i = pick_between(1, CONSUMERS); i > 0; i--)
        crowd_spawn(&consumers, consume_all, NULL);
    crowd_join(&producers);
    check(cress_queue_join(&w.queue, CRESS_FOREVER) == 0);
    for (unsigned p = 0; p < PRODUCERS; p++)
        for (unsigned i = 0; i < ITEMS; i++)
            check(w.items[p][i].got);
    cress_queue_close(&w.queue);
    crowd_join(&consumers);
    check_items();
    cress_queue_finish(&w.queue);
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "unbounded", unbounded, 0, 0 }, { "bounded", bounded, 0, 0 }, { "lifo", lifo, 0, 0 },
        { "priority", priority, 0, 0 },   { "channel", channel, 0, 0 }, { "joined", joined, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
