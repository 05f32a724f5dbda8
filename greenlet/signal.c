/* Signals: each arrival spawns a greenlet.
 *
 * libev catches a signal for one loop at a time in the whole process; who has which
 * is kept here, so that a second hub is refused instead of misled.
 */
#include "hub.h"

#include <cress/signal.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct signal_watch {
    ev_signal signal; /* first */
    struct signal_watch *next;
    struct sigaction previous;
    cress_fn *fn;
    void *arg;
};

static pthread_mutex_t owners_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hub *owners[NSIG];

static bool claim(struct hub *hub, int signum)
{
    pthread_mutex_lock(&owners_lock);
    bool mine = !owners[signum];
    if (mine)
        owners[signum] = hub;
    pthread_mutex_unlock(&owners_lock);
    return mine;
}

static void disclaim(int signum)
{
    pthread_mutex_lock(&owners_lock);
    owners[signum] = NULL;
    pthread_mutex_unlock(&owners_lock);
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
    int signum = watch->signal.signum;

    *at = watch->next;
    ev_signal_stop(hub->loop, &watch->signal);
    hub->armed--;
    sigaction(signum, &watch->previous, NULL);
    disclaim(signum);
    free(watch);
}

void signal_forget_all(struct hub *hub)
{
    while (hub->signals)
        forget(hub, &hub->signals);
}

static int add(struct hub *hub, int signum, cress_fn *fn, void *arg)
{
    if (!claim(hub, signum)) {
        errno = EBUSY;
        return -1;
    }
    struct signal_watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        disclaim(signum);
        return -1;
    }
    watch->fn = fn;
    watch->arg = arg;
    sigaction(signum, NULL, &watch->previous);
    ev_signal_init(&watch->signal, on_signal, signum);
    ev_signal_start(hub->loop, &watch->signal);
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
