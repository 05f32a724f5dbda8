/* Counting greenlets: a place each, taken before one is spawned and given back by
 * a link when it ends, straight to the oldest who waits for one.
 *
 * What maps over a pool (map.c, imap.c) keeps a count of its own beside the pool's: a job. One
 * whose caller is itself a member would wait for ever on a pool that is full of such
 * callers; since the caller does nothing but wait, its own place is lent to the
 * items, one at a time, whenever no other is free. A job only counts its places; which
 * item runs in which is nobody's business. So when a caller must go on although its place is lent,
 * it gets back the next one that becomes free.
 *
 * Members that spawn into their own full pool could all wait for each other. The one that
 * would close the circle is refused: it is found by looking whether each of the others
 * is parked in such a wait.
 */
#include "pool.h"

#include "hub.h"
#include "misuse.h"
#include "waiter.h"

#include <errno.h>
#include <stdlib.h>

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

static void leave(cress_greenlet *g, void *arg)
{
    struct cress_pool_member *member = arg;

    withdraw(member);
    member->left(member);
    cress_release(g);
}

/* Found by its link: there are as many links as somebody made, members may be a million. */
struct cress_pool_member *pool_member_of(const cress_pool *p, const cress_greenlet *g)
{
    for (const struct link *link = g && g->extra ? g->extra->links : NULL; link;
         link = link->next) {
        struct cress_pool_member *member = link->arg;

        if (link->fn == leave && member->pool == p)
            return member;
    }
    return NULL;
}

static bool is_foreign(const cress_pool *p)
{
    return p->members && p->members->greenlet->hub != hub_current;
}

int pool_check(const cress_pool *p, const void *site)
{
    if (is_foreign(p))
        return misuse_at(site, EPERM, "the pool's members are greenlets of another thread");
    return waiter_check();
}

/* ---- places --------------------------------------------------------------------- */

static void give_place(cress_pool *p)
{
    struct cress_waiter *waiter = waiter_pop(&p->slots);

    if (waiter) {
        p->arriving++;
        hub_wake(waiter->greenlet, 0);
        return;
    }
    p->count--;
    waiter_wake_all(&p->slots, 0); /* who only wants to know */
    if (p->count == 0)
        waiter_wake_all(&p->empty, 0);
}

struct cress_pool_member *pool_mark_stuck(cress_pool *p, cress_seconds timeout)
{
    cress_greenlet *self = cress_self();
    struct cress_pool_member *member = pool_member_of(p, self);

    if (!member || hub_limit(self, hub_deadline(timeout)) < CRESS_FOREVER)
        return NULL;
    member->stuck = true;
    return member;
}

void pool_unmark_stuck(struct cress_pool_member *member)
{
    if (member)
        member->stuck = false;
}

/* Does each member but this one wait until a place is free, or for those who do? */
static bool all_stuck(const cress_pool *p, const struct cress_pool_member *self)
{
    if (p->arriving)
        return false;
    for (const struct cress_pool_member *m = p->members; m; m = next_of(p, m))
        if (m != self && !(m->stuck && m->greenlet->parked))
            return false;
    return true;
}

/* [waits] as somebody who takes a place, or (`waiter` NULL) only wants to know. */
static int wait_for_place(cress_pool *p, struct cress_waiter *waiter, cress_seconds timeout)
{
    struct cress_pool_member *self = pool_mark_stuck(p, timeout);
    int result;

    if (self && all_stuck(p, self))
        result = fail_with(EDEADLK);
    else if (waiter)
        result = waiter_wait(&p->slots, waiter, timeout, "place in pool");
    else
        result = waiter_watch(&p->slots, cress_now() + timeout, "free place in pool");
    pool_unmark_stuck(self);
    return result;
}

static int take_place(cress_pool *p, cress_seconds timeout, const void *site)
{
    struct cress_waiter waiter;

    if (pool_check(p, site) < 0)
        return -1;
    if (!cress_pool_full(p)) {
        p->count++;
        return 0;
    }
    if (wait_for_place(p, &waiter, timeout) < 0)
        return -1;
    p->arriving--;
    return 0;
}

int cress_pool_wait_available(cress_pool *p, cress_seconds timeout)
{
    cress_seconds deadline = cress_now() + timeout;

    if (pool_check(p, __builtin_return_address(0)) < 0)
        return -1;
    while (cress_pool_full(p))
        if (wait_for_place(p, NULL, deadline - cress_now()) < 0)
            return -1;
    return 0;
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

/* ---- the places of a job ------------------------------------------------------------- */

/* The caller's own place is free: whoever starts its items may be waiting for just any. */
static void offer(struct cress_pool_job *job)
{
    struct cress_waiter *waiter = job->waiter;

    if (!waiter || !waiter->line || !waiter->greenlet->parked)
        return;
    waiter_remove(waiter);
    waiter->slot = job;
    job->lent = true;
    hub_wake(waiter->greenlet, 0);
}

void pool_job_lend(struct cress_pool_job *job)
{
    job->lends = pool_member_of(job->pool, cress_self()) != NULL;
    if (job->lends && !job->lent)
        offer(job);
}

static int wait_for_any_place(struct cress_pool_job *job)
{
    struct cress_waiter waiter = { .slot = NULL };

    job->waiter = &waiter;

    int result = waiter_wait(&job->pool->slots, &waiter, CRESS_FOREVER, "place in pool");

    job->waiter = NULL;
    if (result < 0 || waiter.slot)
        return result;
    job->pool->arriving--;
    job->places++;
    return 0;
}

int pool_job_take(struct cress_pool_job *job)
{
    if (hub_check() < 0)
        return -1;
    if (!cress_pool_full(job->pool)) {
        job->pool->count++;
        job->places++;
        return 0;
    }
    if (!job->lends || job->lent)
        return wait_for_any_place(job);
    job->lent = true;
    return 0;
}

void pool_job_give(struct cress_pool_job *job)
{
    if (job->places > 0 && !(job->lent && !job->lends)) {
        job->places--;
        give_place(job->pool);
        return;
    }
    job->lent = false;
    if (job->lends)
        offer(job);
}

/* ---- becoming a member ----------------------------------------------------------------- */

static void plain_left(struct cress_pool_member *member)
{
    give_place(member->pool);
    free(member);
}

static struct cress_pool_member *create_member(cress_pool *p)
{
    struct cress_pool_member *member = malloc(sizeof *member);

    if (member)
        *member = (struct cress_pool_member){ .pool = p, .left = plain_left };
    return member;
}

static int enter(struct cress_pool_member *member, cress_greenlet *g)
{
    if (cress_link(g, leave, member) < 0)
        return -1;
    member->greenlet = cress_retain(g);
    insert(member);
    if (member->pool->kills)
        cress_cancel(g);
    return 0;
}

int pool_spawn_member(struct cress_pool_member *member, cress_fn *fn, void *arg, const void *site)
{
    cress_greenlet *g = greenlet_spawn_at(fn, arg, site);

    if (!g)
        return -1;

    int result = enter(member, g);

    if (result < 0)
        cress_cancel(g); /* it never runs */
    cress_release(g);
    return result;
}

static void give_place_back(cress_pool *p)
{
    int saved = errno;

    give_place(p);
    errno = saved;
}

/* [waits] for a place, then spawns; a member, or NULL. */
static struct cress_pool_member *spawn(cress_pool *p, cress_fn *fn, void *arg,
                                       cress_seconds timeout, const void *site)
{
    if (take_place(p, timeout, site) < 0)
        return NULL;

    struct cress_pool_member *member = create_member(p);

    if (member && pool_spawn_member(member, fn, arg, site) == 0)
        return member;
    free(member);
    give_place_back(p);
    return NULL;
}

int cress_pool_spawn(cress_pool *p, cress_fn *fn, void *arg)
{
    return spawn(p, fn, arg, CRESS_FOREVER, __builtin_return_address(0)) ? 0 : -1;
}

int cress_pool_spawn_timeout(cress_pool *p, cress_fn *fn, void *arg, cress_seconds timeout)
{
    return spawn(p, fn, arg, timeout, __builtin_return_address(0)) ? 0 : -1;
}

cress_greenlet *cress_pool_spawn_greenlet(cress_pool *p, cress_fn *fn, void *arg)
{
    struct cress_pool_member *member =
        spawn(p, fn, arg, CRESS_FOREVER, __builtin_return_address(0));

    return member ? cress_retain(member->greenlet) : NULL;
}

static int add(cress_pool *p, cress_greenlet *g, cress_seconds timeout, const void *site)
{
    if (take_place(p, timeout, site) < 0)
        return -1;

    struct cress_pool_member *member = create_member(p);

    if (member && enter(member, g) == 0)
        return 0;
    free(member);
    give_place_back(p);
    return -1;
}

int cress_pool_add(cress_pool *p, cress_greenlet *g)
{
    return add(p, g, CRESS_FOREVER, __builtin_return_address(0));
}

int cress_pool_add_timeout(cress_pool *p, cress_greenlet *g, cress_seconds timeout)
{
    return add(p, g, timeout, __builtin_return_address(0));
}

int cress_pool_discard(cress_pool *p, cress_greenlet *g)
{
    struct cress_pool_member *member = pool_member_of(p, g);

    if (is_foreign(p))
        return pool_check(p, __builtin_return_address(0));
    if (!member)
        return fail_with(ESRCH);
    if (member->job)
        return fail_with(EBUSY);
    cress_unlink(g, leave, member);
    leave(g, member);
    return 0;
}

bool cress_pool_contains(const cress_pool *p, const cress_greenlet *g)
{
    return pool_member_of(p, g) != NULL;
}

/* ---- all of them -------------------------------------------------------------------- */

static int wait_empty(cress_pool *p, cress_seconds timeout)
{
    struct cress_waiter waiter;

    return p->count > 0 ? waiter_wait(&p->empty, &waiter, timeout, "end of pool") : 0;
}

int cress_pool_join(cress_pool *p, cress_seconds timeout)
{
    if (pool_member_of(p, cress_self()))
        return misuse(EDEADLK, "cress_pool_join: a member cannot wait for its own pool's end");
    if (pool_check(p, __builtin_return_address(0)) < 0)
        return -1;
    return wait_empty(p, timeout);
}

void pool_cancel(cress_pool *p, const struct cress_pool_job *job)
{
    for (struct cress_pool_member *m = p->members; m; m = next_of(p, m))
        if (!job || m->job == job)
            cress_cancel(m->greenlet);
}

int cress_pool_kill(cress_pool *p, cress_seconds timeout)
{
    if (!is_foreign(p))
        pool_cancel(p, NULL);
    if (pool_check(p, __builtin_return_address(0)) < 0)
        return -1;
    if (pool_member_of(p, cress_self()))
        return misuse(EDEADLK, "cress_pool_kill: a shielded member would wait for its own end");
    p->kills++;

    int result = wait_empty(p, timeout);

    p->kills--;
    return result;
}

int cress_pool_kill_one(cress_pool *p, cress_greenlet *g, cress_seconds timeout)
{
    if (is_foreign(p))
        return pool_check(p, __builtin_return_address(0));
    if (!pool_member_of(p, g) && !cress_ready(g))
        return fail_with(ESRCH);
    return cress_kill(g, timeout);
}
