/* Three parties: a feeder that takes items and starts them, the items in the pool, and a
 * reader. The feeder needs a stack of its own since it waits, for room among the unread, for
 * places, and inside the source; the reader is whoever calls cress_imap_next.
 *
 * An item has a record from before it is taken from the source, so nothing that happens
 * later can lose it: one that cannot be started is a result like any other, with
 * an error. Records queue up in the order of reading: from the start when results are
 * wanted in order, and then the first may not have ended; from their end when not.
 *
 * The reader lends its place (see pool.c) from the moment it waits until an item's
 * end wakes it; that item's place is then its own again.
 */
#include <cress/imap.h>

#include "hub.h"
#include "misuse.h"
#include "pool.h"
#include "waiter.h"

#include <errno.h>
#include <stdlib.h>

struct cress_imap_result {
    struct cress_pool_member member; /* first */
    struct cress_imap_result *next;  /* to be read after this one */
    cress_imap *imap;
    size_t index;
    void *item, *value;
    int error;
    bool ended;
};

/* ---- results ---------------------------------------------------------------------- */

static void append(cress_imap *it, struct cress_imap_result *item)
{
    if (it->first)
        it->last->next = item;
    else
        it->first = item;
    it->last = item;
}

static bool is_over(const cress_imap *it)
{
    return !it->feeding && it->unread == 0;
}

/* Would cress_imap_next not wait? */
static bool is_readable(const cress_imap *it)
{
    return it->first ? it->first->ended : is_over(it);
}

static void wake(cress_waitable *line)
{
    struct cress_waiter *waiter = waiter_pop(line);

    if (waiter)
        hub_wake(waiter->greenlet, 0);
}

/* Is there now something to read? Then the reader goes on, and wants its place. */
static bool end_item(struct cress_imap_result *item, void *value, int error)
{
    cress_imap *it = item->imap;

    item->value = value;
    item->error = error;
    item->ended = true;
    if (it->options.unordered)
        append(it, item);
    if (!is_readable(it))
        return false;
    it->job.lends = false;
    return true;
}

static void item_left(struct cress_pool_member *member)
{
    struct cress_imap_result *item = (struct cress_imap_result *)(void *)member;
    cress_imap *it = item->imap;

    bool readable = end_item(item, cress_value(member->greenlet), cress_error(member->greenlet));

    pool_job_give(&it->job);
    if (readable)
        wake(&it->results);
    if (--it->running == 0)
        wake(&it->idle);
}

/* ---- the feeder ----------------------------------------------------------------------- */

static struct cress_imap_result *create_item(cress_imap *it)
{
    struct cress_imap_result *item = malloc(sizeof *item);

    if (item)
        *item = (struct cress_imap_result){
            .member = { .pool = it->job.pool, .job = &it->job, .left = item_left },
            .imap = it,
            .index = it->taken,
        };
    return item;
}

/* 1 and the next item, 0 or -1: as a cress_imap_source. */
static int ask_source(cress_imap *it, void **ret_item)
{
    const cress_imap_options *o = &it->options;

    if (o->next_item)
        return o->next_item(o->source, ret_item);
    if (it->taken == o->count)
        return 0;
    *ret_item = o->items ? (char *)o->items + it->taken * o->item_size : NULL;
    return 1;
}

static int wait_room(cress_imap *it)
{
    struct cress_waiter waiter;

    if (hub_check() < 0)
        return -1;
    if (!it->options.max_unread || it->unread < it->options.max_unread)
        return 0;
    return waiter_wait(&it->room, &waiter, CRESS_FOREVER, "room for results of imap");
}

static int take_item(cress_imap *it, struct cress_imap_result **ret_item)
{
    if (wait_room(it) < 0)
        return -1;

    struct cress_imap_result *item = create_item(it);
    int got = item ? ask_source(it, &item->item) : -1;

    if (got <= 0) {
        int saved = errno;

        free(item);
        errno = saved;
        return got;
    }
    it->taken++;
    it->unread++;
    if (!it->options.unordered)
        append(it, item);
    *ret_item = item;
    return 1;
}

static int start_item(cress_imap *it, struct cress_imap_result *item)
{
    if (pool_job_take(&it->job) < 0)
        return -1;
    if (pool_spawn_member(&item->member, it->fn, item->item, it->site) == 0) {
        it->running++;
        return 0;
    }

    int saved = errno;

    pool_job_give(&it->job);
    errno = saved;
    return -1;
}

static void *feed(void *arg)
{
    cress_imap *it = arg;
    struct cress_imap_result *item = NULL;
    int got;

    while ((got = take_item(it, &item)) > 0)
        if (start_item(it, item) < 0 && end_item(item, NULL, errno))
            wake(&it->results);
    it->error = got < 0 ? errno : 0;
    return NULL;
}

static void feeder_ended(cress_greenlet *g, void *arg)
{
    cress_imap *it = arg;

    it->feeding = false;
    if (!it->error)
        it->error = cress_error(g); /* killed before it began */
    if (is_readable(it))
        wake(&it->results);
    wake(&it->idle);
}

static void describe_feeder(void *arg, char *buf, size_t size)
{
    static const char name[] = "feeder of imap";

    (void)arg;
    for (size_t i = 0; i < sizeof name && i < size; i++)
        buf[i] = name[i];
    buf[size - 1] = '\0';
}

static const cress_greenlet_hooks feeder_hooks = { .describe = describe_feeder };

/* ---- life ------------------------------------------------------------------------------ */

static int start_feeder(cress_imap *it)
{
    it->feeder = greenlet_spawn_at(feed, it, it->site);
    if (!it->feeder)
        return -1;
    if (cress_link(it->feeder, feeder_ended, it) < 0) {
        cress_cancel(it->feeder); /* it never runs */
        cress_release(it->feeder);
        return -1;
    }
    cress_set_hooks(it->feeder, &feeder_hooks, it);
    it->feeding = true;
    return 0;
}

int cress_imap_init(cress_imap *it, cress_pool *p, cress_fn *fn, const cress_imap_options *options)
{
    *it = (cress_imap){ .feeder = NULL };
    if (!p || !fn)
        return misuse(EINVAL, "cress_imap_init: without a pool or a function");
    if (pool_check(p, __builtin_return_address(0)) < 0)
        return -1;
    it->fn = fn;
    it->options = *options;
    it->job.pool = p;
    it->site = __builtin_return_address(0);
    if (options->next_item && options->max_unread == 0)
        it->options.max_unread = CRESS_IMAP_MAX_UNREAD;
    if (start_feeder(it) == 0)
        return 0;
    *it = (cress_imap){ .feeder = NULL };
    return -1;
}

static bool works_for(const cress_imap *it, const cress_greenlet *g)
{
    const struct cress_pool_member *member = pool_member_of(it->job.pool, g);

    return g == it->feeder || (member && member->job == &it->job);
}

static void wait_idle(cress_imap *it)
{
    struct cress_waiter waiter;

    while (it->feeding || it->running > 0)
        waiter_wait(&it->idle, &waiter, CRESS_FOREVER, "end of imap");
}

/* The feeder first: until it has ended it may start one more. */
static void stop(cress_imap *it)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    cress_cancel(it->feeder);
    cress_joinall(&it->feeder, 1, CRESS_FOREVER);
    pool_cancel(it->job.pool, &it->job);
    wait_idle(it);
    cress_timeout_close(&shield);
}

static void drop_results(cress_imap *it)
{
    struct cress_imap_result *item;

    while ((item = it->first)) {
        it->first = item->next;
        if (it->options.drop)
            it->options.drop(item->item, item->value);
        free(item);
    }
}

void cress_imap_finish(cress_imap *it)
{
    int saved = errno;

    if (!it || !it->feeder)
        return;
    if (works_for(it, cress_self())) {
        misuse(EDEADLK, "cress_imap_finish: called by one that it would have to wait for");
        return;
    }
    if (!cress_self() && (it->feeding || it->running > 0)) {
        misuse(EPERM, "cress_imap_finish: items run, and the caller cannot wait");
        return;
    }
    if (it->reading) {
        misuse(EBUSY, "cress_imap_finish: a greenlet still waits for a result");
        return;
    }
    if (it->feeding || it->running > 0)
        stop(it);
    drop_results(it);
    cress_release(it->feeder);
    *it = (cress_imap){ .feeder = NULL };
    errno = saved;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int wait_result(cress_imap *it, cress_seconds timeout)
{
    struct cress_waiter waiter;

    it->reading = true;
    pool_job_lend(&it->job);

    int result = waiter_wait(&it->results, &waiter, timeout, "result of imap");

    it->job.lends = false;
    it->reading = false;
    return result;
}

static int give_result(cress_imap *it, void **ret_value)
{
    struct cress_imap_result *item = it->first;
    int error = item->error;

    it->first = item->next;
    it->given = item->index + 1;
    it->item = item->item;
    it->unread--;
    wake(&it->room);
    if (!error && ret_value)
        *ret_value = item->value;
    free(item);
    return error ? fail_with(error) : 1;
}

static int tell_end(cress_imap *it)
{
    int error = it->error;

    it->error = 0;
    return error ? fail_with(error) : 0;
}

int cress_imap_next(cress_imap *it, void **ret_value, cress_seconds timeout)
{
    if (it->reading)
        return misuse(EBUSY, "cress_imap_next: another greenlet waits for a result");
    it->given = 0;
    it->item = NULL;
    if (hub_check() < 0)
        return -1;
    if (!is_readable(it) && wait_result(it, timeout) < 0)
        return -1;
    return it->first ? give_result(it, ret_value) : tell_end(it);
}

void *cress_imap_item(const cress_imap *it)
{
    return it->item;
}

size_t cress_imap_index(const cress_imap *it)
{
    return it->given - 1;
}
