/* <cress/rwlock.h>: many readers, or one writer.
 *
 * Served in the order of coming: readers who stand next to each other in line go
 * in together, and a reader who comes while a writer waits stands behind that
 * writer, so neither side starves. A waiter who is killed, or whose limit passes,
 * leaves the line at once and lets those behind it in; who was let in before that
 * has the lock, and its acquire returns 0.
 *
 * Not recursive: a reader who asks again can stand behind a writer who waits for
 * that reader. A writer who asks again is told (misuse, EDEADLK). A greenlet that ends
 * while it holds the lock is misuse; where misuse does not stop the program, what a
 * writer left locked fails with EOWNERDEAD from then on, for those who wait too.
 *
 * Works zeroed. Only for greenlets: outside them EPERM. The memory of a lock that is
 * held must not be given away.
 *
 * POSIX: pthread_rwlock_rdlock, _wrlock, _unlock. gevent has none.
 */
#ifndef CRESS_RWLOCK_H
#define CRESS_RWLOCK_H

#include <cress/greenlet.h>

typedef struct cress_rwlock {
    cress_waitable waiters; /* `ready` is not used */
    size_t readers;         /* who hold it to read */
    cress_greenlet *writer; /* who holds it to write: a reference */
} cress_rwlock;

/* clang-format off */
#define CRESS_RWLOCK_INIT { .readers = 0 }
/* clang-format on */

/* [waits] while a writer holds it or somebody stands in line. */
CRESS_API int cress_rwlock_acquire_read(cress_rwlock *lock, cress_seconds timeout);
/* [waits] while anybody holds it. */
CRESS_API int cress_rwlock_acquire_write(cress_rwlock *lock, cress_seconds timeout);
/* Does not wait: also a killed greenlet can release. By a greenlet that holds nothing:
 * misuse, EPERM. */
CRESS_API int cress_rwlock_release(cress_rwlock *lock);

#endif
