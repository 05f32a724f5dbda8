/* Places and members, as maps over a pool see them. See pool.c. */
#ifndef CRESS_POOL_PRIVATE_H
#define CRESS_POOL_PRIVATE_H

#include <cress/pool.h>

struct cress_pool_member {
    struct cress_pool_member *next, *prev;
    cress_pool *pool;
    cress_greenlet *greenlet;
    struct cress_pool_job *job; /* whose item it is; NULL: nobody's */
    bool stuck; /* while parked: waits for a place, or for items of its own, without a limit */
    /* Called in the hub after its end, when it is no member any more: gives its place
     * and frees itself. */
    void (*left)(struct cress_pool_member *member);
};

/* The caller waits, if it is a member and nothing limits that, until pool_unmark_stuck of
 * what this returns; else NULL. */
struct cress_pool_member *pool_mark_stuck(cress_pool *p, cress_seconds timeout);
void pool_unmark_stuck(struct cress_pool_member *member);

/* waiter_check, and are p's members this thread's? Otherwise misuse at `site`: EPERM. */
int pool_check(const cress_pool *p, const void *site);
/* g, as a member of p; NULL: it is none. */
struct cress_pool_member *pool_member_of(const cress_pool *p, const cress_greenlet *g);
/* Spawns fn(arg) in a place that was taken, as `member`, of which pool, job and left are
 * set. On failure place and record are still the caller's. */
int pool_spawn_member(struct cress_pool_member *member, cress_fn *fn, void *arg, const void *site);
/* Cancels the members, all (NULL) or a job's. */
void pool_cancel(cress_pool *p, const struct cress_pool_job *job);

/* [waits] for a place, the pool's or the caller's own. Only one greenlet of a job does this. */
int pool_job_take(struct cress_pool_job *job);
/* An item has ended, or did not begin. Once the job does not lend any more, its caller's
 * place comes back before any of the pool's does. */
void pool_job_give(struct cress_pool_job *job);
/* The job's caller is about to wait: its place may be lent, if it is a member. */
void pool_job_lend(struct cress_pool_job *job);

#endif
