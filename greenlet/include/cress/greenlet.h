/* <cress/greenlet.h>: spawning greenlets and waiting for their end.
 *
 * A greenlet is a function that runs on a stack of its own and lets others run
 * whenever it waits. Greenlets are counted pointers: the running greenlet holds
 * one reference, whoever spawned it another, dropped by cress_release; dropping
 * it does not stop the greenlet.
 *
 * gevent: gevent.Greenlet, gevent.spawn, gevent.joinall.
 */
#ifndef CRESS_GREENLET_H
#define CRESS_GREENLET_H

#include <cress/hub.h>
#include <cress/waitable.h>

typedef struct cress_greenlet cress_greenlet;

/* Appends a new greenlet to the ready queue; the caller goes on. Your reference,
 * or NULL: ENOMEM. It takes a stack when its turn comes: one that finds that others, spawned
 * with it, have taken the last waits for one of these to end or for memory, at most a
 * second, and then ends with ENOMEM. gevent: spawn, spawn_later (which starts after delay). */
CRESS_API cress_greenlet *cress_spawn(cress_fn *fn, void *arg);
CRESS_API cress_greenlet *cress_spawn_later(cress_seconds delay, cress_fn *fn, void *arg);

/* The running greenlet, borrowed; NULL outside greenlets. gevent: getcurrent. */
CRESS_API cress_greenlet *cress_self(void);

/* One more reference, returned; one less. NULL is fine for both. */
CRESS_API cress_greenlet *cress_retain(cress_greenlet *g);
CRESS_API void cress_release(cress_greenlet *g);

/* For `return cress_fail(EIO);` as a greenlet's last act: it ends without a value
 * and with that error, reported once on stderr with its name, as gevent prints
 * a traceback. ECANCELED while it is being killed counts as its kill. In a job on a thread
 * (<cress/threadpool.h>) it is the job's error. */
CRESS_API void *cress_fail(int error);

/* [waits] for its end. 0, also when it failed. gevent: Greenlet.join. */
CRESS_API int cress_join(cress_greenlet *g, cress_seconds timeout);
/* [waits] for the end of all; NULLs are skipped. gevent: joinall. */
CRESS_API int cress_joinall(cress_greenlet *const gs[], size_t count, cress_seconds timeout);
/* [waits] join, then its value (ret_value may be NULL), or -1 with its own errno;
 * ECANCELED when it was killed. gevent: Greenlet.get, which re-raises. */
CRESS_API int cress_get(cress_greenlet *g, void **ret_value, cress_seconds timeout);

/* Asks g to end: its wait, and every later one, fails with ECANCELED; one that
 * has not started never runs. Does not wait. */
CRESS_API void cress_cancel(cress_greenlet *g);
/* [waits] cancel, then join. gevent: Greenlet.kill, killall. */
CRESS_API int cress_kill(cress_greenlet *g, cress_seconds timeout);
CRESS_API int cress_killall(cress_greenlet *const gs[], size_t count, cress_seconds timeout);

/* Without waiting: has its limit passed, or is it being killed? 0, or -1 with
 * ETIMEDOUT or ECANCELED, as the next waiting call of the caller would say. For
 * long computations. */
CRESS_API int cress_check(void);

/* gevent: started, ready(), successful(), value, exception. A killed greenlet is
 * ready and not successful. cress_error is 0 while it runs and when it succeeded. */
CRESS_API bool cress_started(const cress_greenlet *g);
CRESS_API bool cress_ready(const cress_greenlet *g);
CRESS_API bool cress_successful(const cress_greenlet *g);
CRESS_API bool cress_was_killed(const cress_greenlet *g);
CRESS_API void *cress_value(const cress_greenlet *g);
CRESS_API int cress_error(const cress_greenlet *g);

/* Ready when g has ended: for cress_wait_any. Borrowed from g. */
CRESS_API cress_waitable *cress_greenlet_waitable(cress_greenlet *g);

/* When g ends, or at once if it has, fn(g, arg) is appended to the ready queue
 * and runs in the hub: it must not wait. Links run in the order in which they
 * were made. -1: ENOMEM; EPERM: its hub has ended. gevent: Greenlet.link. */
typedef void cress_link_fn(cress_greenlet *g, void *arg);
CRESS_API int cress_link(cress_greenlet *g, cress_link_fn *fn, void *arg);
/* Takes back the first link made with this pair, if it has not run. */
CRESS_API void cress_unlink(cress_greenlet *g, cress_link_fn *fn, void *arg);

/* For people: logs, overflow reports, who waits on what. Printf's format, cut at
 * 63 bytes. Without one: "greenlet N". Numbers count from 1 in each hub. */
CRESS_API int cress_set_name(cress_greenlet *g, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes the name into buf, NUL-terminated; returns buf. Async-signal-safe. */
CRESS_API const char *cress_name(const cress_greenlet *g, char *buf, size_t size);
CRESS_API uint64_t cress_id(const cress_greenlet *g);

/* ---- for those who build servers ------------------------------------------ */

/* [waits, now and then] After each I/O call that succeeded at once: a greenlet whose
 * descriptors are always ready would otherwise keep all others from running. */
CRESS_API void cress_take_turns(void);
/* The same after one that moved many bytes: every 4 KiB count as one more call. */
CRESS_API void cress_take_turns_after(size_t bytes);

struct cress_local;

/* What a greenlet does for its owner beside running. The table is borrowed. */
typedef struct cress_greenlet_hooks {
    /* Writes a name into buf (NUL-terminated) when somebody asks: costs nothing
     * until then. Must be async-signal-safe. */
    void (*describe)(void *arg, char *buf, size_t size);
    /* Called each time just before the greenlet parks, on its own stack: the
     * moment to hand buffered output to the kernel. Must not wait. */
    void (*before_wait)(void *arg);
    /* Called when it goes on. Must not wait. */
    void (*after_wait)(void *arg);
    /* The value of a key that the greenlet itself has not set, when it asks: see
     * cress_local_get. NULL: none. */
    void *(*local)(void *arg, const struct cress_local *key);
} cress_greenlet_hooks;
CRESS_API void cress_set_hooks(cress_greenlet *g, const cress_greenlet_hooks *hooks, void *arg);

#endif
