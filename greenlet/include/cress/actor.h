/* <cress/actor.h>: a greenlet with an inbox, which is started anew when it fails.
 *
 *     static int count(cress_actor *actor, void *message, void *self) { ... }
 *
 *     cress_actor counter = { .name = "counter", .receive = count };
 *     cress_actor_start(&counter);
 *     cress_actor_send(&counter, message, CRESS_FOREVER);
 *
 * An actor takes the messages out of its inbox one at a time, in the order in which they
 * were sent, and hands each to `receive`, in its own greenlet. It is a value: its upper
 * part says what it shall be and is set before it starts. It must not move or go away
 * before it has ended: stop or kill it before you return.
 *
 * When receive fails (it returns -1, or calls cress_fail), that greenlet ends, with a line on
 * stderr, and after a pause another takes its place, which calls `setup` first. The
 * pauses are restart_min, twice that (restart_factor), and so on up to restart_max; after
 * restart_calm seconds without a failure they begin anew. An actor that fails more than
 * restart_limit times within restart_span seconds is given up: `gave_up` is told, who
 * joins gets the error, and later sends fail with EPIPE. Messages wait meanwhile.
 *
 * A message belongs to receive once that is called, whether it succeeds or not: the
 * message that failed is not received again, since it may well be what made the actor
 * fail. Who wants to try again sends it again. Messages that are never received (the
 * actor was killed or given up) go to `drop`.
 *
 * gevent: the tutorial's Actor; Erlang: a gen_server under a supervisor.
 */
#ifndef CRESS_ACTOR_H
#define CRESS_ACTOR_H

#include <cress/greenlet.h>
#include <cress/queue.h>

typedef struct cress_actor cress_actor;

/* [may wait] 0, or -1 with errno: it failed. */
typedef int cress_receive(cress_actor *actor, void *message, void *self);

struct cress_actor {
    const char *name; /* of its greenlet; NULL: a number */
    cress_receive *receive;
    void *self; /* given to all of these; it, not the actor, holds the state */
    /* [may wait] NULL, or called in the actor's greenlet before its first message, and again
     * after each restart. -1 counts as a failure. */
    int (*setup)(cress_actor *actor, void *self);
    /* NULL, or takes over a message that is never received. Must not wait. */
    void (*drop)(void *message);
    /* NULL, or told once that it has failed too often, or that there was no memory to start
     * it anew. Must not wait. */
    void (*gave_up)(cress_actor *actor, int error, void *self);

    size_t inbox_max;           /* messages; 0: 1000; SIZE_MAX: no bound */
    cress_seconds restart_min;  /* 0: 0.1 */
    cress_seconds restart_max;  /* 0: 30 */
    double restart_factor;      /* 0: 2 */
    cress_seconds restart_calm; /* 0: 60 */
    int restart_limit;          /* failures within restart_span; 0: 10; negative: never restarted */
    cress_seconds restart_span; /* 0: 60; CRESS_FOREVER: since its start */

    uint64_t received, failures; /* so far, to read */

    cress_queue inbox; /* from here on: its own */
    cress_waitable ended;
    cress_greenlet *greenlet;
    cress_seconds *failed_at; /* the last restart_limit failures, a ring */
    cress_seconds pause, last_failure;
    size_t senders;
    int error;
    bool started, closed, over, given_up;
};

/* It runs from the caller's next wait on. -1: ENOMEM. Without receive, or running
 * already: misuse, EINVAL, EBUSY. One that has ended may be started again. */
CRESS_API int cress_actor_start(cress_actor *a);
/* [waits] while the inbox is full, at most timeout seconds (0: not at all, ETIMEDOUT at
 * once; then also from a link's function). 0: the message is the actor's; -1: it is still
 * the caller's. EPIPE: the actor is closed or has ended, also while this waited; ENOMEM;
 * EDEADLK: the caller is the actor itself, and would wait for itself. Before its start: misuse, EINVAL. */
CRESS_API int cress_actor_send(cress_actor *a, void *message, cress_seconds timeout);

/* No messages are taken any more; it receives those it has, and ends. Does not wait: also for
 * the actor itself. */
CRESS_API void cress_actor_close(cress_actor *a);
/* [waits] for its end: 0 when it was closed; -1 with the error of its last failure when it was
 * given up, ECANCELED when it was killed; or the caller's own ETIMEDOUT, ECANCELED. By the
 * actor itself: misuse, EDEADLK. */
CRESS_API int cress_actor_join(cress_actor *a, cress_seconds timeout);
/* [waits] close, then for the messages in the inbox to be received; after timeout seconds it
 * is killed. Whatever happens, as for a stream server, it has ended on return. -1: only the
 * caller's own ETIMEDOUT or ECANCELED. By the actor itself: misuse, EDEADLK; outside greenlets,
 * while it runs: misuse, EPERM. One that does not run is 0. */
CRESS_API int cress_actor_stop(cress_actor *a, cress_seconds timeout);
/* [waits] Its waits fail with ECANCELED, it is not started anew, what is in the inbox goes to
 * drop; then as cress_join. The actor itself gets ECANCELED at once. */
CRESS_API int cress_actor_kill(cress_actor *a, cress_seconds timeout);

/* Started, and not ended. */
CRESS_API bool cress_actor_running(const cress_actor *a);
/* Messages in the inbox. */
CRESS_API size_t cress_actor_backlog(const cress_actor *a);
/* Ready when it has ended: for cress_wait_any. */
CRESS_API cress_waitable *cress_actor_waitable(cress_actor *a);

#endif
