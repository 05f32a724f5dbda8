/* <cress/pool.h>: greenlets that belong together; a group is a pool without a
 * limit.
 *
 * A pool counts its members, bounds how many there are, waits for all and kills
 * all. A member leaves the pool right after its end, in the hub, before whoever
 * waited for it runs. Places are given in the order in which they were asked
 * for. A pool must outlive its members and owns nothing once they have left.
 *
 * Members may call into their own pool. Who maps, applies or iterates over it
 * (<cress/imap.h>) lends its own place to its items while it does nothing but wait for
 * them, so that also a pool full of such callers gets on. Who spawns into it when it
 * is full waits for one of the others to leave; if these wait for a place as well, all of
 * them without a limit, nobody ever would: the last one to ask gets EDEADLK.
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
    size_t arriving;                   /* of the places, those just given to a waiter */
    unsigned kills;                    /* cress_pool_kill calls under way: newcomers are killed */
    cress_waitable slots, empty;       /* who waits for a place; for the last member to leave */
} cress_pool;
typedef cress_pool cress_group;

/* clang-format off */
#define CRESS_POOL_INIT(limit) { .max = (limit) }
#define CRESS_GROUP_INIT { .max = 0 }
/* clang-format on */

/* ---- members ----------------------------------------------------------------- */

/* [waits] for a place, then spawns fn(arg) as a member. -1: ENOMEM; EDEADLK: see
 * above. gevent: Pool.spawn, apply_async. */
CRESS_API int cress_pool_spawn(cress_pool *p, cress_fn *fn, void *arg);
/* [waits] The same, at most so long for a place: ETIMEDOUT. With timeout 0 it does not wait,
 * and may also be called outside greenlets, by a link's function say. gevent:
 * Pool.start(blocking, timeout), PoolFull. */
CRESS_API int cress_pool_spawn_timeout(cress_pool *p, cress_fn *fn, void *arg,
                                       cress_seconds timeout);
/* [waits] cress_pool_spawn, and your reference to the greenlet; NULL: errno. */
CRESS_API cress_greenlet *cress_pool_spawn_greenlet(cress_pool *p, cress_fn *fn, void *arg);
/* [waits] for a place, then makes g, spawned elsewhere, a member. One that is added twice
 * has two places. gevent: Group.add. */
CRESS_API int cress_pool_add(cress_pool *p, cress_greenlet *g);
CRESS_API int cress_pool_add_timeout(cress_pool *p, cress_greenlet *g, cress_seconds timeout);
/* g goes on, but is no member any more; its place is free. -1: ESRCH, it is none;
 * EBUSY, it is an item of a map, an apply or an imap, which must know when it ends.
 * gevent: Group.discard. */
CRESS_API int cress_pool_discard(cress_pool *p, cress_greenlet *g);
/* gevent: g in group. */
CRESS_API bool cress_pool_contains(const cress_pool *p, const cress_greenlet *g);

CRESS_API size_t cress_pool_size(const cress_pool *p);
CRESS_API size_t cress_pool_free_count(const cress_pool *p); /* SIZE_MAX: no limit */
CRESS_API bool cress_pool_full(const cress_pool *p);
/* [waits] until a place is free, and does not take it: whoever runs first may. -1:
 * EDEADLK, as for a spawn. gevent: Pool.wait_available. */
CRESS_API int cress_pool_wait_available(cress_pool *p, cress_seconds timeout);

/* ---- all of them --------------------------------------------------------------- */

/* [waits] until it has no members. Of a member it is misuse: EDEADLK. gevent: Group.join. */
CRESS_API int cress_pool_join(cress_pool *p, cress_seconds timeout);
/* [waits] Cancels all members, and those that come in meanwhile, then joins. A member
 * that kills its own pool is killed with the others: ECANCELED at once. gevent: Group.kill. */
CRESS_API int cress_pool_kill(cress_pool *p, cress_seconds timeout);
/* [waits] cress_kill of a member; 0 also if g has ended. -1: ESRCH, it is somewhere else.
 * gevent: Group.killone. */
CRESS_API int cress_pool_kill_one(cress_pool *p, cress_greenlet *g, cress_seconds timeout);

/* ---- calls in the pool ------------------------------------------------------------ */

/* [waits] for fn(&items[i]) of every i, each in a greenlet of its own, started in
 * order, at most max at a time. Whatever happens it returns only when none of
 * these runs any more (they are killed when the caller is, or when its limit
 * passes), so items may live on the caller's stack. -1: the caller's own
 * ECANCELED or ETIMEDOUT, or ENOMEM, which end the map; else every item is tried,
 * and it is the error of the first, by index, that failed (ECANCELED: was killed by
 * somebody). gevent: Group.map. */
CRESS_API int cress_pool_map(cress_pool *p, cress_fn *fn, void *items, size_t count,
                             size_t item_size);
/* [waits] for fn(arg) in a greenlet of its own, and gives its value (ret_value may be
 * NULL). Like a map of one item it returns only when that does not run any more.
 * -1: the caller's own ECANCELED or ETIMEDOUT, ENOMEM, or fn's failure. gevent: Pool.apply. */
CRESS_API int cress_pool_apply(cress_pool *p, cress_fn *fn, void *arg, void **ret_value);

/* ---- inside ------------------------------------------------------------------------- */

/* The places of one map's, apply's or imap's items: some of the pool's and, while their
 * caller is a member that only waits for them, that one's own. */
struct cress_pool_job {
    cress_pool *pool;
    size_t places;               /* of the pool's */
    bool lends;                  /* the caller's own may be used */
    bool lent;                   /* and is */
    struct cress_waiter *waiter; /* who starts items, in line for a place; or NULL */
};

#endif
