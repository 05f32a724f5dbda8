/* Who holds a lock: what rlock, rwlock and condition share.
 *
 * An owner is a counted reference, so that its record cannot become another
 * greenlet's while it owns something; and each greenlet counts what it holds, so
 * that one that ends with a lock in its hands is found out.
 */
#ifndef CRESS_LOCK_H
#define CRESS_LOCK_H

#include "hub.h"

#include <cress/rlock.h>

/* What those who wait are waiting on: see lock_owner_ends. */
extern const char lock_wait[], lock_read_wait[], lock_write_wait[];

void lock_own(cress_greenlet **owner, cress_greenlet *g);
void lock_disown(cress_greenlet **owner);
/* Does it belong to another thread's greenlet? Then to ask for it is misuse. */
bool lock_is_foreign(const cress_greenlet *owner);
#define LOCK_IS_FOREIGN "a greenlet of another thread holds the lock"
/* Has its owner ended without releasing it? */
bool lock_orphaned(const cress_greenlet *owner);
/* g, which holds locks, is about to end: misuse; if that does not stop the program, all
 * who wait for it fail with EOWNERDEAD. */
void lock_owner_ends(cress_greenlet *g);

/* rlock.c, for conditions. The owner gives it up altogether: how often it had it. */
size_t rlock_release_all(cress_rlock *lock);
/* [waits] whatever happens to the caller, for holding it that often again. -1: EOWNERDEAD. */
int rlock_acquire_again(cress_rlock *lock, size_t depth);

#endif
