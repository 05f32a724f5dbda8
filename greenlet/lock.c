/* Owners of locks: see lock.h. A lock whose owner ends is not in any list, since its
 * memory is its user's and might be gone; but a greenlet that waits for a lock vouches
 * for it. So those are looked for among all greenlets: it only happens after misuse.
 */
#include "lock.h"

#include "misuse.h"

#include <cress/rwlock.h>

#include <errno.h>

const char lock_wait[] = "lock";
const char lock_read_wait[] = "lock to read";
const char lock_write_wait[] = "lock to write";

void lock_own(cress_greenlet **owner, cress_greenlet *g)
{
    *owner = cress_retain(g);
    g->locks++;
}

void lock_disown(cress_greenlet **owner)
{
    (*owner)->locks--;
    cress_release(*owner);
    *owner = NULL;
}

bool lock_is_foreign(const cress_greenlet *owner)
{
    return owner && owner->hub != hub_current;
}

bool lock_orphaned(const cress_greenlet *owner)
{
    return owner && owner->state == GREENLET_ENDED;
}

static const cress_greenlet *awaited_owner(const cress_greenlet *g)
{
    if (g->what == lock_wait)
        return ((const cress_rlock *)g->object)->owner;
    if (g->what == lock_read_wait || g->what == lock_write_wait)
        return ((const cress_rwlock *)g->object)->writer;
    return NULL;
}

void lock_owner_ends(cress_greenlet *g)
{
    misuse_at((const char *)(const void *)g->fn + 1, EOWNERDEAD, /* one less is looked up */
              "it ends while it holds %u lock%s", g->locks, g->locks > 1 ? "s" : "");
    for (cress_greenlet *other = g->hub->greenlets; other; other = other->next)
        if (other->state == GREENLET_RUNNING && other->parked && awaited_owner(other) == g)
            hub_wake(other, EOWNERDEAD);
}
