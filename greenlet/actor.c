/* An actor is a chain of greenlets, one at a time: a link on each decides, in the hub,
 * whether another takes its place. So a failed one leaves nothing behind on its stack
 * and is reported like any greenlet, and nobody has to stand by and watch.
 */
#include <cress/actor.h>

#include "fd.h"
#include "misuse.h"
#include "waiter.h"

#include <stdlib.h>

enum { DEFAULT_INBOX_MAX = 1000, DEFAULT_RESTART_LIMIT = 10 };
static const cress_seconds DEFAULT_RESTART_MIN = 0.1, DEFAULT_RESTART_MAX = 30,
                           DEFAULT_RESTART_CALM = 60, DEFAULT_RESTART_SPAN = 60;
static const double DEFAULT_RESTART_FACTOR = 2;

static double wanted(double value, double fallback)
{
    return value == 0 ? fallback : value;
}

static size_t limit_of(const cress_actor *a)
{
    if (a->restart_limit < 0)
        return 0;
    return a->restart_limit ? (size_t)a->restart_limit : DEFAULT_RESTART_LIMIT;
}

/* ---- receiving -------------------------------------------------------------------------- */

static void *run(void *arg)
{
    cress_actor *a = arg;
    void *message;

    if (a->setup && a->setup(a, a->self) < 0)
        return cress_fail(errno);
    while (cress_queue_get(&a->inbox, &message, CRESS_FOREVER) == 0) {
        a->received++;
        if (a->receive(a, message, a->self) < 0)
            return cress_fail(errno);
        if (cress_self()->error) /* it called cress_fail */
            return NULL;
    }
    return NULL;
}

/* ---- the end of one greenlet, and of the actor -------------------------------------------- */

static void close_inbox(cress_actor *a)
{
    a->closed = true;
    cress_queue_close(&a->inbox);
}

/* Nobody is in it any more: whoever waits for that may let it go. */
static void complete_end(cress_actor *a)
{
    bool given_up = a->given_up;

    cress_queue_finish(&a->inbox);
    a->started = a->over = false;
    a->ended.ready = true;
    waiter_wake_all(&a->ended, 0);
    if (given_up && a->gave_up)
        a->gave_up(a, a->error, a->self);
}

/* Senders who waited have been woken, and have yet to run: the last of them completes it. */
static void end(cress_actor *a, int error)
{
    a->error = error;
    a->closed = a->over = true;
    cress_queue_close_now(&a->inbox, a->drop);
    cress_release(a->greenlet);
    a->greenlet = NULL;
    free(a->failed_at);
    a->failed_at = NULL;
    if (a->senders == 0)
        complete_end(a);
}

static void give_up(cress_actor *a, int error)
{
    a->given_up = true;
    end(a, error);
}

/* Was that one too many? The ring holds the times of the last as many as are allowed. */
static bool fails_too_often(cress_actor *a)
{
    size_t limit = limit_of(a);
    cress_seconds now = cress_now(), *oldest;

    a->failures++;
    if (limit == 0)
        return true;
    oldest = &a->failed_at[(a->failures - 1) % limit];

    bool too_often =
        a->failures > limit && now - *oldest <= wanted(a->restart_span, DEFAULT_RESTART_SPAN);

    *oldest = now;
    return too_often;
}

static cress_seconds next_pause(cress_actor *a)
{
    cress_seconds calm = wanted(a->restart_calm, DEFAULT_RESTART_CALM);

    if (a->failures == 1 || cress_now() - a->last_failure - a->pause >= calm)
        a->pause = wanted(a->restart_min, DEFAULT_RESTART_MIN);
    else
        a->pause *= wanted(a->restart_factor, DEFAULT_RESTART_FACTOR);
    a->pause = fmin(a->pause, wanted(a->restart_max, DEFAULT_RESTART_MAX));
    a->last_failure = cress_now();
    return a->pause;
}

static void ended_one(cress_greenlet *g, void *arg);

static int begin(cress_actor *a, cress_seconds delay)
{
    cress_greenlet *g = cress_spawn_later(delay, run, a);

    if (!g)
        return -1;
    if (a->name)
        cress_set_name(g, "%s", a->name);
    if (cress_link(g, ended_one, a) < 0) {
        cress_cancel(g); /* it never runs */
        cress_release(g);
        return fail_with(ENOMEM);
    }
    a->greenlet = g;
    return 0;
}

static void ended_one(cress_greenlet *g, void *arg)
{
    cress_actor *a = arg;
    int error = cress_error(g);

    if (error == 0 || g->cancelled) {
        end(a, error);
    } else if (fails_too_often(a)) {
        give_up(a, error);
    } else {
        cress_release(a->greenlet);
        a->greenlet = NULL;
        if (begin(a, next_pause(a)) < 0)
            give_up(a, errno);
    }
}

/* ---- from outside -------------------------------------------------------------------------- */

static size_t inbox_max(const cress_actor *a)
{
    if (a->inbox_max == SIZE_MAX)
        return 0;
    return a->inbox_max ? a->inbox_max : DEFAULT_INBOX_MAX;
}

static int start(cress_actor *a)
{
    size_t limit = limit_of(a);

    a->failed_at = limit ? calloc(limit, sizeof *a->failed_at) : NULL;
    if (limit && !a->failed_at)
        return -1;
    a->inbox = (cress_queue)CRESS_QUEUE_INIT(inbox_max(a));
    if (begin(a, 0) < 0) {
        free(a->failed_at);
        a->failed_at = NULL;
        return -1;
    }
    a->received = a->failures = 0;
    a->error = 0;
    a->ended.ready = a->closed = a->given_up = false;
    a->started = true;
    return 0;
}

int cress_actor_start(cress_actor *a)
{
    if (a->started)
        return misuse(EBUSY, "cress_actor_start: it runs already");
    if (!a->receive)
        return misuse(EINVAL, "cress_actor_start: no receive");
    return start(a);
}

static bool is_self(const cress_actor *a)
{
    return a->greenlet && a->greenlet == cress_self();
}

static int put(cress_actor *a, void *message, cress_seconds timeout)
{
    a->senders++;

    int result = cress_queue_put(&a->inbox, message, timeout), saved = errno;

    if (--a->senders == 0 && a->over)
        complete_end(a);
    errno = saved;
    return result;
}

int cress_actor_send(cress_actor *a, void *message, cress_seconds timeout)
{
    if (!a->started && !a->closed)
        return misuse(EINVAL, "cress_actor_send: the actor was not started");
    if (waiter_check() < 0)
        return -1;
    if (a->closed)
        return fail_with(EPIPE);
    if (is_self(a) && timeout > 0 && cress_queue_full(&a->inbox))
        return fail_with(EDEADLK);
    return put(a, message, timeout);
}

void cress_actor_close(cress_actor *a)
{
    if (a->started)
        close_inbox(a);
}

static int join(cress_actor *a, cress_seconds timeout)
{
    struct cress_waiter waiter;

    if (waiter_check() < 0)
        return -1;
    return a->started ? waiter_wait(&a->ended, &waiter, timeout, "the end of actor") : 0;
}

static int outcome(const cress_actor *a)
{
    return a->error ? fail_with(a->error) : 0;
}

int cress_actor_join(cress_actor *a, cress_seconds timeout)
{
    if (is_self(a))
        return misuse(EDEADLK, "cress_actor_join: called by the actor itself");
    return join(a, timeout) < 0 ? -1 : outcome(a);
}

/* [waits] Whatever happens to the caller. */
static void end_by_force(cress_actor *a)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    while (a->started) {
        cress_cancel(a->greenlet);
        join(a, CRESS_FOREVER);
    }
    cress_timeout_close(&shield);
}

int cress_actor_stop(cress_actor *a, cress_seconds timeout)
{
    if (is_self(a))
        return misuse(EDEADLK, "cress_actor_stop: called by the actor itself");
    if (a->started && !cress_self())
        return misuse(EPERM, "cress_actor_stop: the actor runs, and the caller cannot wait");
    cress_actor_close(a);

    int result = join(a, timeout);

    if (result < 0 && errno == ETIMEDOUT)
        result = cress_check();

    int saved = errno;

    if (a->started)
        end_by_force(a);
    errno = saved;
    return result;
}

int cress_actor_kill(cress_actor *a, cress_seconds timeout)
{
    if (!a->started)
        return outcome(a);
    close_inbox(a);
    cress_cancel(a->greenlet);
    if (is_self(a))
        return hub_check();
    return join(a, timeout) < 0 ? -1 : outcome(a);
}

bool cress_actor_running(const cress_actor *a)
{
    return a->started;
}

size_t cress_actor_backlog(const cress_actor *a)
{
    return cress_queue_size(&a->inbox);
}

cress_waitable *cress_actor_waitable(cress_actor *a)
{
    return &a->ended;
}
