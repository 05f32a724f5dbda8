/* Signals: each arrival spawns a greenlet.
 *
 * A signal has one handler in the process, so it belongs to one hub; who has which is kept
 * here, and a second hub is refused instead of misled. The handler may run in any thread, at
 * any time: it marks the signal and wakes the owner's loop, which spawns. Who lets go of a
 * signal waits until no handler is at work that may have seen it as the owner.
 */
#include "hub.h"

#include <cress/signal.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct signal_watch {
    struct signal_watch *next;
    struct loop *loop;
    int signum;
    bool arrived; /* atomic; arrivals that nobody has seen yet are one */
    struct sigaction previous;
    cress_fn *fn;
    void *arg;
};

static pthread_mutex_t owners_lock = PTHREAD_MUTEX_INITIALIZER;
static struct signal_watch *owners[NSIG]; /* written under the lock; handlers read it */
static unsigned handlers;                 /* atomic: at work now */

static void on_signal(int signum)
{
    __atomic_add_fetch(&handlers, 1, __ATOMIC_SEQ_CST);
    struct signal_watch *watch = __atomic_load_n(&owners[signum], __ATOMIC_SEQ_CST);
    if (watch) {
        __atomic_store_n(&watch->arrived, true, __ATOMIC_RELAXED);
        loop_wake(watch->loop);
    }
    __atomic_sub_fetch(&handlers, 1, __ATOMIC_SEQ_CST);
}

/* The whole process' side of it: 0, or why not. */
static int catch_signal(struct hub *hub, struct signal_watch *watch)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    int signum = watch->signum, error = 0;

    sigfillset(&action.sa_mask);
    pthread_mutex_lock(&owners_lock);
    if (owners[signum]) {
        error = EBUSY; /* another hub has it */
    } else if (loop_allow_wake(&hub->loop) < 0) {
        error = errno;
    } else {
        __atomic_store_n(&owners[signum], watch, __ATOMIC_SEQ_CST);
        sigaction(signum, &action, &watch->previous);
    }
    pthread_mutex_unlock(&owners_lock);
    return error;
}

/* The lock is held. */
static void let_go(struct signal_watch *watch)
{
    int signum = watch->signum;

    sigaction(signum, &watch->previous, NULL);
    __atomic_store_n(&owners[signum], NULL, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&handlers, __ATOMIC_SEQ_CST) > 0)
        sched_yield();
}

static void spawn_for(const struct signal_watch *watch)
{
    cress_greenlet *g = cress_spawn(watch->fn, watch->arg);

    if (!g && errno != ECANCELED)
        perror("cress: a signal is lost");
    cress_release(g);
}

void signal_take_all(struct hub *hub)
{
    for (struct signal_watch *watch = hub->signals; watch; watch = watch->next)
        if (__atomic_exchange_n(&watch->arrived, false, __ATOMIC_SEQ_CST))
            spawn_for(watch);
}

static struct signal_watch **find(struct hub *hub, int signum)
{
    struct signal_watch **at = &hub->signals;

    while (*at && (*at)->signum != signum)
        at = &(*at)->next;
    return at;
}

static void forget(struct hub *hub, struct signal_watch **at)
{
    struct signal_watch *watch = *at;

    *at = watch->next;
    hub->armed--;
    pthread_mutex_lock(&owners_lock);
    let_go(watch);
    pthread_mutex_unlock(&owners_lock);
    free(watch);
}

void signal_forget_all(struct hub *hub)
{
    while (hub->signals)
        forget(hub, &hub->signals);
}

/* ---- forking ----------------------------------------------------------------------- */

void signal_before_fork(void)
{
    pthread_mutex_lock(&owners_lock);
}

void signal_after_fork(bool in_child)
{
    if (in_child)
        handlers = 0; /* those at work were other threads' */
    for (int signum = 1; in_child && signum < NSIG; signum++) {
        struct signal_watch *watch = owners[signum];

        if (!watch)
            continue;
        let_go(watch);
        free(watch);
    }
    if (in_child)
        context_forked_lock(&owners_lock, hub_forks == 0);
    pthread_mutex_unlock(&owners_lock);
}

/* ---- the call ---------------------------------------------------------------------- */

static int add(struct hub *hub, int signum, cress_fn *fn, void *arg)
{
    struct signal_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return -1;
    watch->loop = &hub->loop;
    watch->signum = signum;
    watch->fn = fn;
    watch->arg = arg;
    int error = catch_signal(hub, watch);
    if (error) {
        free(watch);
        errno = error;
        return -1;
    }
    hub->armed++;
    watch->next = hub->signals;
    hub->signals = watch;
    return 0;
}

static bool can_be_caught(int signum)
{
    return signum > 0 && signum < NSIG && signum != SIGKILL && signum != SIGSTOP;
}

int cress_signal(int signum, cress_fn *fn, void *arg)
{
    struct hub *hub = hub_current;

    if (!hub || !can_be_caught(signum)) {
        errno = hub ? EINVAL : EPERM;
        return -1;
    }
    struct signal_watch **at = find(hub, signum);
    if (!*at)
        return fn ? add(hub, signum, fn, arg) : 0;
    if (!fn) {
        forget(hub, at);
        return 0;
    }
    (*at)->fn = fn;
    (*at)->arg = arg;
    return 0;
}
