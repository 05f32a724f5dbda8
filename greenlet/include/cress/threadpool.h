/* <cress/threadpool.h>: threads for calls that block whatever one does: disks,
 * cryptography, libraries of others.
 *
 * A job is a function that runs on a thread of a pool, outside of greenlets, while the
 * greenlet that asked for it waits. It returns a value, or fails by
 * `return cress_fail(errno);`, like a greenlet. It must not touch what greenlets use
 * meanwhile; the calls of this library that need a hub fail there with EPERM.
 *
 * A job that runs cannot be stopped, and what `arg` points to may live on the caller's
 * stack: so cress_threadpool_apply returns only when the job has ended or can never
 * begin, also when the caller is killed or its limit passes.
 *
 * Threads are started as jobs come, up to max_threads, and leave when they have been
 * without work for the span `idle`. No signals are delivered to them. Jobs begin
 * in the order in which they were asked for. A pool belongs to the hub that uses it
 * first, until cress_threadpool_finish; each hub also has one of its own, meant wherever
 * a pool is NULL.
 *
 * gevent: gevent.threadpool.ThreadPool, gevent.get_hub().threadpool.
 */
#ifndef CRESS_THREADPOOL_H
#define CRESS_THREADPOOL_H

#include <cress/greenlet.h>

/* Zeroed: the defaults. What is set counts when the pool is first used. */
typedef struct cress_threadpool {
    unsigned max_threads; /* at a time; 0: 10 */
    size_t max_queue;     /* jobs that wait for a thread; 0: 100. Who brings more waits in line */
    cress_seconds idle;   /* 0: 5 s */
    size_t stack_size;    /* bytes of each thread's stack; 0: 512 KiB */
    struct cress_threadpool_crew *crew; /* NULL: not in use */
} cress_threadpool;

/* [waits] Runs fn(arg) on a thread; ret_value (may be NULL) is what it returned.
 * -1: the job's own errno, if it failed by cress_fail; else
 *   ECANCELED, ETIMEDOUT  a job that had not begun never will; one that runs was waited
 *           for and its value is dropped: what must not get lost (a descriptor, memory)
 *           belongs into *arg
 *   EPIPE   the pool was finished before the job began
 *   EAGAIN, ENOMEM  not even one thread could be had
 *   EMFILE, ENFILE  no descriptor is left by which threads wake the hub: at its first job only
 * gevent: ThreadPool.apply. */
CRESS_API int cress_threadpool_apply(cress_threadpool *pool, cress_fn *fn, void *arg,
                                     void **ret_value);
/* [waits] for a place in the queue. A greenlet that waits for fn(arg) on a thread and
 * ends with its value or its error: to join, get, kill, link. Your reference; NULL: errno.
 * gevent: ThreadPool.spawn. */
CRESS_API cress_greenlet *cress_threadpool_spawn(cress_threadpool *pool, cress_fn *fn, void *arg);
/* [waits] until it has no jobs. gevent: ThreadPool.join. */
CRESS_API int cress_threadpool_join(cress_threadpool *pool, cress_seconds timeout);
/* Ends its threads. Jobs that have not begun fail with EPIPE. [waits] for those that run,
 * even when the caller is being killed or its limit has passed. The pool is as if it had
 * never been used. Leaves errno alone. -1, and nothing is done: EBUSY, jobs run and the
 * caller is no greenlet; EPERM, jobs run for another thread's greenlets. NULL does nothing:
 * the hub's own is finished with its hub. gevent: ThreadPool.kill. */
CRESS_API int cress_threadpool_finish(cress_threadpool *pool);

/* How many threads there are, and jobs that run or are queued. gevent: size, len. */
CRESS_API unsigned cress_threadpool_threads(const cress_threadpool *pool);
CRESS_API size_t cress_threadpool_jobs(const cress_threadpool *pool);
/* The calling thread's hub's own pool, to size it before its first use; NULL outside. */
CRESS_API cress_threadpool *cress_hub_threadpool(void);

/* [waits] read(2), write(2), on a thread of the hub's own pool: for files on slow disks and
 * devices that know no O_NONBLOCK. A write may be partial. gevent: gevent.os.tp_read, tp_write. */
CRESS_API ssize_t cress_tp_read(int fd, void *buf, size_t len);
CRESS_API ssize_t cress_tp_write(int fd, const void *buf, size_t len);

#endif
