/* Counting greenlets: a place each, taken before one is spawned and given back by
 * a link when it ends, straight to the oldest who waits for one.
 *
 * A map is a pool's user that keeps its own count beside the pool's. One whose
 * caller is itself a member would wait for ever on a pool that is full of such
 * callers; since the caller does nothing but wait, its own place is lent to the
 * items, one at a time, whenever no other is free.
 */
#include <cress/pool.h>

#include "hub.h"
#include "waiter.h"

#include <errno.h>
#include <stdlib.h>

struct map {
    cress_pool *pool;
    cress_fn *fn;
    char *items;
    size_t count, item_size;
    size_t running;
    size_t failed;              /* the first item that did, by index */
    int error;                  /* and by what */
    bool lends;                 /* the caller's own place is free */
    struct cress_waiter waiter; /* for a place; slot: it is the caller's own */
    cress_waitable progress;    /* for the caller, who waits for the last */
};

struct cress_pool_member {
    struct cress_pool_member *next, *prev;
    cress_pool *pool;
    cress_greenlet *greenlet;
    struct map *map; /* NULL: not an item */
    size_t index;
    bool lent; /* runs in the place of the map's caller */
};

/* ---- the ring of members ------------------------------------------------------ */

static void insert(struct cress_pool_member *member)
{
    cress_pool *p = member->pool;
    struct cress_pool_member *first = p->members;

    if (!first) {
        member->next = member->prev = p->members = member;
        return;
    }
    member->next = first;
    member->prev = first->prev;
    first->prev->next = member;
    first->prev = member;
}

static void withdraw(struct cress_pool_member *member)
{
    cress_pool *p = member->pool;

    if (p->members == member)
        p->members = member->next == member ? NULL : member->next;
    member->next->prev = member->prev;
    member->prev->next = member->next;
}

static struct cress_pool_member *next_of(const cress_pool *p,
                                         const struct cress_pool_member *member)
{
    return member->next == p->members ? NULL : member->next;
}

static bool is_member(const cress_pool *p, const cress_greenlet *g)
{
    for (struct cress_pool_member *m = p->members; m; m = next_of(p, m))
        if (m->greenlet == g)
            return true;
    return false;
}

/* ---- places --------------------------------------------------------------------- */

static int take_place(cress_pool *p)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    if (cress_pool_full(p))
        return waiter_wait(&p->slots, &waiter, CRESS_FOREVER, "place in pool");
    p->count++;
    return 0;
}

static void give_place(cress_pool *p)
{
    struct cress_waiter *waiter = waiter_pop(&p->slots);

    if (waiter)
        hub_wake(waiter->greenlet, 0);
    else
        p->count--;
    if (p->count == 0)
        waiter_wake_all(&p->empty, 0);
}

/* The caller's own place is free again; it may be waiting for just any. */
static void give_lent_place(struct map *map)
{
    struct cress_waiter *waiter = &map->waiter;

    if (!waiter->line || !waiter->greenlet->parked) {
        map->lends = true;
        return;
    }
    waiter_remove(waiter);
    waiter->slot = map;
    hub_wake(waiter->greenlet, 0);
}

/* ---- members ---------------------------------------------------------------------- */

static void note_end(struct map *map, size_t index, int error)
{
    if (error && (!map->error || index < map->failed)) {
        map->error = error;
        map->failed = index;
    }
    if (--map->running == 0)
        waiter_wake_all(&map->progress, 0);
}

static void leave(cress_greenlet *g, void *arg)
{
    struct cress_pool_member *member = arg;

    withdraw(member);
    if (member->lent)
        give_lent_place(member->map);
    else
        give_place(member->pool);
    if (member->map)
        note_end(member->map, member->index, cress_error(g));
    cress_release(g);
    free(member);
}

/* Makes g a member in the place that was taken. */
static struct cress_pool_member *enter(cress_pool *p, cress_greenlet *g)
{
    struct cress_pool_member *member = malloc(sizeof *member);

    if (!member)
        return NULL;
    *member = (struct cress_pool_member){ .pool = p, .greenlet = g };
    if (cress_link(g, leave, member) < 0) {
        free(member);
        return NULL;
    }
    cress_retain(g);
    insert(member);
    if (p->kills)
        cress_cancel(g);
    return member;
}

/* Spawns in the place that was taken; on failure the place is still the caller's. */
static struct cress_pool_member *spawn(cress_pool *p, cress_fn *fn, void *arg)
{
    cress_greenlet *g = cress_spawn(fn, arg);

    if (!g)
        return NULL;

    struct cress_pool_member *member = enter(p, g);

    if (!member)
        cress_cancel(g); /* it never runs */
    cress_release(g);
    return member;
}

static void give_place_back(cress_pool *p)
{
    int saved = errno;

    give_place(p);
    errno = saved;
}

int cress_pool_spawn(cress_pool *p, cress_fn *fn, void *arg)
{
    if (take_place(p) < 0)
        return -1;
    if (spawn(p, fn, arg))
        return 0;
    give_place_back(p);
    return -1;
}

cress_greenlet *cress_pool_spawn_greenlet(cress_pool *p, cress_fn *fn, void *arg)
{
    if (take_place(p) < 0)
        return NULL;

    struct cress_pool_member *member = spawn(p, fn, arg);

    if (member)
        return cress_retain(member->greenlet);
    give_place_back(p);
    return NULL;
}

int cress_pool_add(cress_pool *p, cress_greenlet *g)
{
    if (take_place(p) < 0)
        return -1;
    if (enter(p, g))
        return 0;
    give_place_back(p);
    return -1;
}

/* ---- all of them -------------------------------------------------------------------- */

static int wait_empty(cress_pool *p, cress_seconds timeout)
{
    struct cress_waiter waiter;

    return p->count > 0 ? waiter_wait(&p->empty, &waiter, timeout, "end of pool") : 0;
}

int cress_pool_join(cress_pool *p, cress_seconds timeout)
{
    if (waiter_check() < 0)
        return -1;
    if (is_member(p, cress_self())) {
        errno = EDEADLK;
        return -1;
    }
    return wait_empty(p, timeout);
}

static void cancel_all(cress_pool *p, const struct map *map)
{
    for (struct cress_pool_member *m = p->members; m; m = next_of(p, m))
        if (!map || m->map == map)
            cress_cancel(m->greenlet);
}

int cress_pool_kill(cress_pool *p, cress_seconds timeout)
{
    cancel_all(p, NULL);
    if (waiter_check() < 0)
        return -1;
    p->kills++;

    int result = wait_empty(p, timeout);

    p->kills--;
    return result;
}

size_t cress_pool_size(const cress_pool *p)
{
    return p->count;
}

size_t cress_pool_free_count(const cress_pool *p)
{
    return p->max ? p->max - p->count : SIZE_MAX;
}

bool cress_pool_full(const cress_pool *p)
{
    return p->max && p->count >= p->max;
}

/* ---- map ------------------------------------------------------------------------------ */

/* A place of the pool's, or the caller's own. */
static int take_map_place(struct map *map, bool *ret_lent)
{
    struct cress_waiter *waiter = &map->waiter;

    *ret_lent = cress_pool_full(map->pool) && map->lends;
    if (*ret_lent) {
        map->lends = false;
        return hub_check();
    }
    if (!cress_pool_full(map->pool))
        return take_place(map->pool);
    waiter->slot = NULL;
    if (waiter_wait(&map->pool->slots, waiter, CRESS_FOREVER, "place in pool") < 0)
        return -1;
    *ret_lent = waiter->slot != NULL;
    return 0;
}

static void give_map_place(struct map *map, bool lent)
{
    int saved = errno;

    if (lent)
        map->lends = true;
    else
        give_place(map->pool);
    errno = saved;
}

static int start_item(struct map *map, size_t index)
{
    bool lent;

    if (take_map_place(map, &lent) < 0)
        return -1;

    struct cress_pool_member *member =
        spawn(map->pool, map->fn, map->items + index * map->item_size);

    if (!member) {
        give_map_place(map, lent);
        return -1;
    }
    member->map = map;
    member->index = index;
    member->lent = lent;
    map->running++;
    return 0;
}

static int wait_items(struct map *map)
{
    struct cress_waiter waiter;

    if (map->running == 0)
        return 0;
    return waiter_wait(&map->progress, &waiter, CRESS_FOREVER, "items of pool");
}

static int run_items(struct map *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (start_item(map, i) < 0)
            return -1;
    return wait_items(map);
}

/* Until none runs any more, whatever happens to the caller. */
static void stop_items(struct map *map)
{
    int saved = errno;
    cress_timeout shield;

    cancel_all(map->pool, map);
    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    while (wait_items(map) < 0)
        continue;
    cress_timeout_close(&shield);
    errno = saved;
}

int cress_pool_map(cress_pool *p, cress_fn *fn, void *items, size_t count, size_t item_size)
{
    struct map map = {
        .pool = p, .fn = fn, .items = items, .count = count, .item_size = item_size
    };

    if (hub_check() < 0)
        return -1;
    map.lends = p->max && is_member(p, cress_self());
    if (run_items(&map) < 0) {
        stop_items(&map);
        return -1;
    }
    errno = map.error;
    return map.error ? -1 : 0;
}
