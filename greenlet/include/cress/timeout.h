/* <cress/timeout.h>: limits over everything that a greenlet does, until closed.
 *
 * A timeout is a node on the caller's stack, nested in the one opened before it.
 * While it is open no waiting call of this greenlet goes on past its deadline:
 * the call fails with ETIMEDOUT, and so does every later one until the timeout is
 * closed. Opening and closing touches no event loop and allocates nothing.
 * Its greenlet may set the deadline anew, which replaces closing it and opening another; but
 * a limit that has made a call fail stays in force until it is closed, whatever its deadline says.
 * Timeouts are closed in reverse order, before the function returns that holds
 * them. Misuse: a debug build stops there; a release build sets errno to EINVAL and,
 * for one that is closed out of order, closes what is nested in it as well; for one that is
 * closed twice, does nothing; and a greenlet that returns with one open ends with EINVAL.
 * Outside greenlets there is nothing to limit: any build stops there.
 *
 * gevent: gevent.Timeout, with Timeout(s):, with_timeout.
 */
#ifndef CRESS_TIMEOUT_H
#define CRESS_TIMEOUT_H

#include <cress/hub.h>

typedef struct cress_timeout {
    cress_seconds deadline;      /* on cress_now's clock */
    struct cress_timeout *outer; /* the one this is nested in */
    bool expired, shields, open;
    bool decides; /* its deadline alone says whether a limit has passed */
} cress_timeout;

CRESS_API void cress_timeout_start(cress_timeout *t, cress_seconds span);
/* Also hides outer limits and a kill: for cleanup that must wait, such as a TLS
 * goodbye. */
CRESS_API void cress_timeout_start_shielded(cress_timeout *t, cress_seconds span);
/* Did this limit, not an outer one, end a wait or pass by now? Also after close. */
CRESS_API bool cress_timeout_expired(const cress_timeout *t);
CRESS_API void cress_timeout_close(cress_timeout *t);

/* [waits] Runs fn(arg) under a limit: its result, or timeout_value when a wait of
 * fn's was ended by the limit; a cress_fail in fn is then forgotten. gevent: with_timeout. */
CRESS_API void *cress_with_timeout(cress_seconds span, cress_fn *fn, void *arg,
                                   void *timeout_value);

#endif
