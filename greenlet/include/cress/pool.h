/* <cress/pool.h>: greenlets that belong together; a group is a pool without a
 * limit.
 *
 * A pool counts its members, bounds how many there are, waits for all and kills
 * all. A member leaves the pool right after its end, in the hub, before whoever
 * waited for it runs. Places are given in the order in which they were asked
 * for. A pool must outlive its members and owns nothing once they have left.
 *
 * gevent: gevent.pool.Group, gevent.pool.Pool.
 */
#ifndef CRESS_POOL_H
#define CRESS_POOL_H

#include <cress/greenlet.h>
#include <cress/semaphore.h>

typedef struct cress_pool {
    struct cress_pool_member *members; /* a ring, from the oldest */
    size_t count;                      /* places taken: by members, or just given to a waiter */
    size_t max;                        /* 0: no limit */
    unsigned kills;                    /* cress_pool_kill calls under way: newcomers are killed */
    cress_waitable slots, empty;       /* who waits for a place; for the last member to leave */
} cress_pool;
typedef cress_pool cress_group;

/* clang-format off */
#define CRESS_POOL_INIT(limit) { .max = (limit) }
#define CRESS_GROUP_INIT { .max = 0 }
/* clang-format on */

/* [waits] for a slot, then spawns fn(arg) as a member. gevent: Pool.spawn. */
CRESS_API int cress_pool_spawn(cress_pool *p, cress_fn *fn, void *arg);
/* The same, and your reference to the greenlet; NULL: errno. */
CRESS_API cress_greenlet *cress_pool_spawn_greenlet(cress_pool *p, cress_fn *fn, void *arg);
/* [waits] for a slot, then makes g, spawned elsewhere, a member. gevent: Group.add. */
CRESS_API int cress_pool_add(cress_pool *p, cress_greenlet *g);
/* [waits] until it has no members. EDEADLK: the caller is one. gevent: Group.join. */
CRESS_API int cress_pool_join(cress_pool *p, cress_seconds timeout);
/* [waits] Cancels all members, and those that come in meanwhile, then joins. gevent:
 * Group.kill. */
CRESS_API int cress_pool_kill(cress_pool *p, cress_seconds timeout);
/* [waits] for fn(&items[i]) of every i, each in a greenlet of its own, started in
 * order, at most max at a time. Whatever happens it returns only when none of
 * these runs any more (they are killed when the caller is, or when its limit
 * passes), so items may live on the caller's stack. A member may map over its own
 * pool: while it waits one item at a time runs in its place. -1: the caller's own
 * ECANCELED, ETIMEDOUT or ENOMEM, which end the map; else every item is tried,
 * and it is the error of the first, by index, that failed (ECANCELED: was killed by
 * somebody). gevent: Group.map. */
CRESS_API int cress_pool_map(cress_pool *p, cress_fn *fn, void *items, size_t count,
                             size_t item_size);
CRESS_API size_t cress_pool_size(const cress_pool *p);
CRESS_API size_t cress_pool_free_count(const cress_pool *p); /* SIZE_MAX: no limit */
CRESS_API bool cress_pool_full(const cress_pool *p);

#endif
