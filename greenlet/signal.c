/* Signals: each arrival spawns a greenlet.
 *
 * libev catches a signal for one loop at a time in the whole process; who has which
 * is kept here, so that a second hub is refused instead of misled.
 */
#include "hub.h"
#include "post.h"

#include <cress/signal.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct signal_watch {
    ev_signal signal; /* first */
    struct signal_watch *next;
    struct ev_loop *loop;
    struct sigaction previous;
    cress_fn *fn;
    void *arg;
};

static pthread_mutex_t owners_lock = PTHREAD_MUTEX_INITIALIZER;
static struct signal_watch *owners[NSIG];

/* The whole process' side of it: 0, or why not. */
static int catch_signal(struct hub *hub, struct signal_watch *watch)
{
    int signum = watch->signal.signum, error = 0;

    pthread_mutex_lock(&owners_lock);
    if (owners[signum]) {
        error = EBUSY; /* another hub has it */
    } else if (post_make_sure(hub) < 0) {
        error = errno;
    } else {
        owners[signum] = watch;
        sigaction(signum, NULL, &watch->previous);
        ev_signal_start(watch->loop, &watch->signal);
    }
    pthread_mutex_unlock(&owners_lock);
    return error;
}

/* The lock is held. */
static void let_go(struct signal_watch *watch)
{
    int signum = watch->signal.signum;

    ev_signal_stop(watch->loop, &watch->signal);
    sigaction(signum, &watch->previous, NULL);
    owners[signum] = NULL;
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int revents)
{
    struct signal_watch *watch = (struct signal_watch *)signal;

    (void)loop, (void)revents;
    cress_greenlet *g = cress_spawn(watch->fn, watch->arg);
    if (!g && errno != ECANCELED)
        perror("cress: a signal is lost");
    cress_release(g);
}

static struct signal_watch **find(struct hub *hub, int signum)
{
    struct signal_watch **at = &hub->signals;

    while (*at && (*at)->signal.signum != signum)
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
    watch->loop = hub->loop;
    watch->fn = fn;
    watch->arg = arg;
    ev_signal_init(&watch->signal, on_signal, signum);
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
