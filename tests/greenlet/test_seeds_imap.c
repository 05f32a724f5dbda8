/* imap under simulation: each item that was taken ends once, read or dropped; no more are
 * unread than may be; order where order is promised; nothing runs after finish. */
#include "seeds.h"

#include <cress/imap.h>
#include <cress/timeout.h>

enum { ITEMS = 10, READERS = 3 };

struct item {
    unsigned runs, ends;
    bool under_way;
    struct reading *reading;
};

struct reading {
    struct item items[ITEMS];
    unsigned count, taken, read, dropped;
    size_t max_unread;
    bool finished, unordered, from_source;
};

static cress_pool pool;
static unsigned running;

static void *run_item(void *arg)
{
    struct item *item = arg;

    check(!item->reading->finished && item->runs++ == 0);
    item->under_way = true;
    check(++running <= pool.max || pool.max == 0);
    if (coin())
        cress_sleep(pick_span());
    running--;
    item->under_way = false;
    return item;
}

static int next_item(void *arg, void **ret_item)
{
    struct reading *r = arg;

    check(!r->finished);
    if (coin() && cress_sleep(pick_span()) < 0)
        return -1;
    if (r->taken == r->count)
        return 0;
    *ret_item = &r->items[r->taken++];
    check(r->taken - r->read <= r->max_unread);
    return 1;
}

static void drop(void *arg, void *value)
{
    struct item *item = arg;

    check(item->ends++ == 0 && (value == item || !value) && !item->under_way);
    item->reading->dropped++;
}

/* True: go on. */
static bool read_next(struct reading *r, cress_imap *it)
{
    void *value = NULL;
    int got = cress_imap_next(it, &value, pick_timeout());
    int error = errno;
    struct item *item = cress_imap_item(it);

    if (got == 0) {
        check(r->read == r->count);
        return false;
    }
    if (!item) {
        check(got < 0 && (error == ETIMEDOUT || error == ECANCELED));
        return error == ETIMEDOUT && cress_check() == 0;
    }
    check(item->ends++ == 0 && !item->under_way);
    check(r->unordered || item == &r->items[r->read]);
    check(got < 0 || value == item);
    check(got > 0 || error == ECANCELED);
    r->read++;
    return cress_check() == 0;
}

static void check_all(const struct reading *r)
{
    unsigned ended = 0;

    for (unsigned i = 0; i < r->count; i++) {
        check(!r->items[i].under_way && r->items[i].runs <= 1);
        ended += r->items[i].ends;
    }
    check(ended == r->read + r->dropped);
    if (r->from_source)
        check(ended == r->taken);
}

static void *read_results(void *unused)
{
    struct reading r = { .count = pick(ITEMS + 1),
                         .unordered = coin(),
                         .from_source = coin(),
                         .max_unread = pick_between(1, 4) };
    cress_imap it = { 0 };
    cress_timeout limit;

    (void)unused;
    for (unsigned i = 0; i < r.count; i++)
        r.items[i] = (struct item){ .reading = &r };
    cress_imap_options options = { .unordered = r.unordered,
                                   .max_unread = r.max_unread,
                                   .drop = drop,
                                   .items = r.items,
                                   .count = r.count,
                                   .item_size = sizeof r.items[0] };
    if (r.from_source)
        options = (cress_imap_options){ .unordered = r.unordered,
                                        .max_unread = r.max_unread,
                                        .drop = drop,
                                        .next_item = next_item,
                                        .source = &r };
    cress_timeout_start(&limit, pick_timeout());
    if (cress_imap_init(&it, &pool, run_item, &options) == 0) {
        for (unsigned i = pick(20); i > 0 && read_next(&r, &it); i--)
            if (pick(4) == 0)
                cress_sleep(pick_span());
        cress_imap_finish(&it);
    }
    cress_timeout_close(&limit);
    r.finished = true;
    check_all(&r);
    return NULL;
}

static void end_pool(void)
{
    check(cress_pool_join(&pool, 86400) == 0);
    check(running == 0 && pool.count == 0 && !pool.members);
    check(!pool.slots.first && !pool.empty.first);
}

static void from_outside(void)
{
    struct crowd crowd = { .count = 0 };

    pool = (cress_pool)CRESS_POOL_INIT(pick(4));
    running = 0;
    for (unsigned i = pick_between(1, READERS); i > 0; i--)
        crowd_spawn(&crowd, read_results, NULL);
    crowd_harass(&crowd, pick(4));
    crowd_join(&crowd);
    end_pool();
}

/* Readers that are members of the pool themselves; they do not count as running. */
static void from_inside(void)
{
    pool = (cress_pool)CRESS_POOL_INIT(pick(4));
    running = 0;
    for (unsigned i = pick_between(1, READERS); i > 0; i--)
        if (pool.max == 0 || pool.count < pool.max)
            check(cress_pool_spawn(&pool, read_results, NULL) == 0);
    if (pick(3) == 0) {
        check(cress_sleep(pick_span()) == 0);
        check(cress_pool_kill(&pool, 86400) == 0);
    }
    end_pool();
}

/* A reader's place is lent to one item while it waits, and its own again when it goes on. */
static void *read_all(void *unused)
{
    struct reading r = { .count = pick(ITEMS + 1), .unordered = coin() };
    cress_imap it;
    void *value;
    int got;

    (void)unused;
    for (unsigned i = 0; i < r.count; i++)
        r.items[i] = (struct item){ .reading = &r };
    check(++running <= pool.max || pool.max == 0);
    check(cress_imap_init(&it, &pool, run_item,
                          &(cress_imap_options){ .items = r.items,
                                                 .count = r.count,
                                                 .item_size = sizeof r.items[0],
                                                 .max_unread = pick(4),
                                                 .unordered = r.unordered }) == 0);
    do {
        running--;
        got = cress_imap_next(&it, &value, CRESS_FOREVER);
        check(++running <= pool.max || pool.max == 0);
        if (coin())
            check(cress_sleep(pick_span()) == 0);
    } while (got > 0);
    check(got == 0);
    cress_imap_finish(&it);
    r.finished = true;
    running--;
    return NULL;
}

static void lent_place(void)
{
    pool = (cress_pool)CRESS_POOL_INIT(pick(4));
    running = 0;
    for (unsigned i = pick_between(1, READERS + 2); i > 0; i--)
        check(cress_pool_spawn(&pool, read_all, NULL) == 0);
    end_pool();
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "from_outside", from_outside, 0, 0 },
        { "from_inside", from_inside, 0, 0 },
        { "lent_place", lent_place, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
