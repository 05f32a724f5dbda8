/* A map is a pool's user that starts its items itself, one after the other, and then waits
 * for the last. Nothing ends it before none runs any more: neither a kill nor a limit. */
#include "pool.h"

#include "hub.h"
#include "waiter.h"

#include <errno.h>
#include <stdlib.h>

struct map {
    struct cress_pool_job job;
    cress_fn *fn;
    char *items;
    size_t count, item_size;
    size_t running;
    size_t failed;           /* the first item that did, by index */
    int error;               /* and by what */
    void *value;             /* of the item that ended last: for apply, which has but one */
    cress_waitable progress; /* for the caller, who waits for the last */
    const void *site;
};

struct item {
    struct cress_pool_member member; /* first */
    size_t index;
};

static struct map *map_of(struct item *item)
{
    return (struct map *)(void *)item->member.job; /* its first member */
}

static void note_end(struct map *map, size_t index, const cress_greenlet *g)
{
    int error = cress_error(g);

    map->value = cress_value(g);
    if (error && (!map->error || index < map->failed)) {
        map->error = error;
        map->failed = index;
    }
    if (--map->running == 0)
        waiter_wake_all(&map->progress, 0);
}

static void item_left(struct cress_pool_member *member)
{
    struct item *item = (struct item *)(void *)member;

    pool_job_give(member->job);
    note_end(map_of(item), item->index, member->greenlet);
    free(item);
}

static void *argument(const struct map *map, size_t index)
{
    return map->items ? map->items + index * map->item_size : NULL;
}

static int spawn_item(struct map *map, size_t index)
{
    struct item *item = malloc(sizeof *item);

    if (!item)
        return -1;
    *item = (struct item){
        .member = { .pool = map->job.pool, .job = &map->job, .left = item_left },
        .index = index,
    };
    if (pool_spawn_member(&item->member, map->fn, argument(map, index), map->site) < 0) {
        free(item);
        return -1;
    }
    map->running++;
    return 0;
}

static int start_item(struct map *map, size_t index)
{
    if (pool_job_take(&map->job) < 0)
        return -1;
    if (spawn_item(map, index) == 0)
        return 0;

    int saved = errno;

    pool_job_give(&map->job);
    errno = saved;
    return -1;
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

    pool_cancel(map->job.pool, &map->job);
    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    while (wait_items(map) < 0)
        continue;
    cress_timeout_close(&shield);
    errno = saved;
}

static int run(struct map *map)
{
    if (pool_check(map->job.pool, map->site) < 0 || hub_check() < 0)
        return -1;

    struct cress_pool_member *self = pool_mark_stuck(map->job.pool, CRESS_FOREVER);
    int result;

    pool_job_lend(&map->job);
    result = run_items(map);
    if (result < 0)
        stop_items(map);
    pool_unmark_stuck(self);
    if (result == 0 && map->error) {
        errno = map->error;
        return -1;
    }
    return result;
}

int cress_pool_map(cress_pool *p, cress_fn *fn, void *items, size_t count, size_t item_size)
{
    struct map map = {
        .job = { .pool = p },
        .fn = fn,
        .items = items,
        .count = count,
        .item_size = item_size,
        .site = __builtin_return_address(0),
    };

    return run(&map);
}

int cress_pool_apply(cress_pool *p, cress_fn *fn, void *arg, void **ret_value)
{
    struct map map = {
        .job = { .pool = p },
        .fn = fn,
        .items = arg,
        .count = 1,
        .site = __builtin_return_address(0),
    };

    if (run(&map) < 0)
        return -1;
    if (ret_value)
        *ret_value = map.value;
    return 0;
}
