/* <cress/imap.h>: a function mapped over items in a pool, results as they come.
 *
 *     cress_imap it;
 *     void *value;
 *     int got;
 *
 *     if (cress_imap_init(&it, &pool, fetch, &(cress_imap_options){
 *             .items = urls, .count = count, .item_size = sizeof urls[0] }) < 0)
 *         return -1;
 *     while ((got = cress_imap_next(&it, &value, CRESS_FOREVER)) > 0)
 *         use(value);
 *     cress_imap_finish(&it);
 *
 * The items are those of an array, or what a function gives one by one. A greenlet of the
 * iterator's own takes them in order and spawns fn(item) in the pool for each, as places
 * become free; whoever reads the results waits for nothing but the next one: in
 * the order of the items, or in the order in which they end.
 *
 * At most max_unread items have been taken whose result has not been read: a reader that
 * is slow, or stops, holds up what it reads.
 *
 * Every item that was taken comes to one of two ends. cress_imap_next gives its
 * result or reports its failure; or cress_imap_finish calls `drop` with it. So what
 * an item or a value owns can always be freed.
 *
 * A member of the pool may iterate over it: while it waits in cress_imap_next it lends its
 * place. If its own limit or a kill ends that wait, the item in the lent place goes on
 * beside it.
 *
 * Zeroed it is an iterator at its end. It stays where it was made, and is finished before its
 * pool and what its items use go away. gevent: Group.imap, Group.imap_unordered.
 */
#ifndef CRESS_IMAP_H
#define CRESS_IMAP_H

#include <cress/pool.h>

/* max_unread, when nothing else is said, over items from a function. */
#define CRESS_IMAP_MAX_UNREAD 1000
/* cress_imap_index of no item. */
#define CRESS_IMAP_NONE SIZE_MAX

/* [waits, if it likes] 1 and the next item; 0: there are no more; -1: errno ends the
 * iteration. Called in a greenlet of the iterator's, which is killed by cress_imap_finish. */
typedef int cress_imap_source(void *arg, void **ret_item);

typedef struct cress_imap_options {
    void *items; /* an array: fn(&items[i]) */
    size_t count, item_size;
    cress_imap_source *next_item; /* or a function: fn(item) */
    void *source;                 /* its argument */
    bool unordered;               /* results as they end, not as they began */
    size_t max_unread; /* 0: no bound for an array, CRESS_IMAP_MAX_UNREAD for a function */
    /* What becomes of an item whose result nobody will read: value is what fn returned, or
     * NULL if fn failed, was killed or never began. Without one nothing is done. */
    void (*drop)(void *item, void *value);
} cress_imap_options;

struct cress_imap_result;

typedef struct cress_imap {
    cress_fn *fn;
    cress_imap_options options;
    struct cress_pool_job job;
    const void *site;                       /* who spawns */
    cress_greenlet *feeder;                 /* takes items and starts them */
    struct cress_imap_result *first, *last; /* the results, in the order of reading */
    size_t taken;                           /* items, from the source */
    size_t unread;                          /* of these, not given to the reader */
    size_t running;                         /* of these, in the pool */
    size_t given;                           /* 1 + index of the item that was given last */
    void *item;
    int error;                          /* by which the source ended; 0 once it is told */
    bool feeding;                       /* the feeder has not ended */
    bool reading;                       /* somebody waits for a result */
    cress_waitable results, room, idle; /* who waits: the reader, the feeder, finish */
} cress_imap;

/* Does not wait; items begin when the caller does. Options are copied; items and source
 * are used until the end. -1: ENOMEM, or the caller's ECANCELED or ETIMEDOUT, as if it waited;
 * EINVAL, misuse: a pool or fn that is NULL. */
CRESS_API int cress_imap_init(cress_imap *it, cress_pool *p, cress_fn *fn,
                              const cress_imap_options *options);
/* [waits] for a result. 1: *ret_value is what fn returned (ret_value may be NULL). 0: that
 * was all. -1: either an item's failure, ENOMEM if it could not be spawned,
 * ECANCELED if it was killed, after which the iteration goes on; or, with cress_imap_index
 * CRESS_IMAP_NONE, the caller's own ETIMEDOUT or ECANCELED, which lose nothing, or, once and
 * last, the source's error. One greenlet at a time may wait here: EBUSY, misuse. */
CRESS_API int cress_imap_next(cress_imap *it, void **ret_value, cress_seconds timeout);
/* The item, and its index from 0, whose result or failure was given last; NULL and
 * CRESS_IMAP_NONE if the last call gave none. */
CRESS_API void *cress_imap_item(const cress_imap *it);
CRESS_API size_t cress_imap_index(const cress_imap *it);
/* [waits, shielded] Kills the items that run and waits for their end, drops results that were
 * not read. Afterwards it is as if zeroed. At the end of the iteration it has nothing
 * to wait for. Misuse: EDEADLK, called by an item or the source of its own; EBUSY, while
 * somebody reads; EPERM, outside greenlets, unless it has nothing to wait for. */
CRESS_API void cress_imap_finish(cress_imap *it);

#endif
