/* What a forked child keeps of its parent's hub: the caller, its stack, the memory.
 *
 * The child has a copy of everything: of the ready queue, of greenlets parked in the middle of
 * a function, of lines in which they stand with nodes on their stacks. None of them shall
 * ever run, and nothing that refers to them may break. So their records are marked as
 * ended, which makes every line pass over their nodes, and records and stacks stay where
 * they are, unused, until the process ends: what greenlets of the parent had
 * allocated is reachable from there, as leak checkers want it.
 *
 * The loop's epoll instance is one object for both processes: the child closes its
 * descriptor without a word to it, and makes a new one. Watchers that were started
 * before are in no loop then, as its epoch is another one.
 */
#include <cress/fork.h>

#include "child.h"
#include "hub.h"
#include "misuse.h"
#include "post.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was the parent's. */
struct remains {
    struct remains *older;
    cress_greenlet *greenlets, *main;
    struct task *ready, *starved;
    struct link *links;
    struct stack_chunk *chunks;
    struct monitor *monitor;
};

unsigned hub_forks;
static struct remains *remains;

static _Noreturn void give_up(const char *what)
{
    static const char text[] = "cress: a forked child cannot go on: ";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);

    ignored = write(STDERR_FILENO, what, strlen(what));
    ignored = write(STDERR_FILENO, "\n", 1);
    (void)ignored;
    _exit(127);
}

/* It has ended without an end: nobody is told. */
static void bury(cress_greenlet *g)
{
    g->state = GREENLET_ENDED;
    g->stack = NULL;
    g->parked = false;
    g->timer = TIMER_NONE;
    g->error = ECANCELED;
    g->killed = g->cancelled = true;
    g->done = (cress_waitable){ .ready = true };
}

/* Takes the others out of the hub's list. */
static cress_greenlet *separate(struct hub *hub, cress_greenlet *self)
{
    cress_greenlet *others = hub->greenlets;

    if (self->previous)
        self->previous->next = self->next;
    else
        others = self->next;
    if (self->next)
        self->next->previous = self->previous;
    self->previous = self->next = NULL;
    hub->greenlets = hub->greenlets_last = self;
    hub->stats.greenlets = 1;
    return others;
}

static void bury_others(struct hub *hub, cress_greenlet *self)
{
    struct remains *r = calloc(1, sizeof *r);

    if (!r)
        give_up("out of memory");
    *r = (struct remains){
        .older = remains,
        .greenlets = separate(hub, self),
        .main = hub->main,
        .ready = hub->ready_first,
        .starved = hub->starved_first,
        .links = self->extra ? self->extra->links : NULL,
        .chunks = hub->stacks.chunks,
        .monitor = hub->monitor,
    };
    remains = r;
    for (cress_greenlet *g = r->greenlets; g; g = g->next)
        bury(g);
    hub->stacks.chunks = NULL;
    hub->monitor = NULL;
}

static void empty_queues(struct hub *hub)
{
    hub->ready_first = hub->starved_first = NULL;
    hub->ready_last = &hub->ready_first;
    hub->starved_last = &hub->starved_first;
    hub->batch_last = NULL;
    timers_clear(&hub->timers);
}

static void renew_loop(struct hub *hub)
{
    loop_close(&hub->loop);
    if (hub_start_loop(hub) < 0)
        give_up("no event loop");
    hub->armed = 0;
    hub->signals = NULL;
    dns_forget(hub);
    child_forget_all(hub);
}

static void become_first(struct hub *hub, cress_greenlet *self)
{
    if (self->extra)
        self->extra->links = NULL;
    self->done = (cress_waitable){ .ready = false };
    hub->main = cress_retain(self);
    hub->deadlocked = false;
    if (hub_link_end(hub) < 0)
        give_up("out of memory");
}

static void begin_anew(struct hub *hub)
{
    cress_greenlet *self = hub->current;

    context_forked();
    hub_forks++;
    post_forget(hub);
    bury_others(hub, self);
    empty_queues(hub);
    renew_loop(hub);
    become_first(hub, self);
}

static pid_t fork_hub(struct hub *hub)
{
    hub_before_fork();
    signal_before_fork();
    pid_t pid = fork();
    int saved = errno;
    signal_after_fork(pid == 0);
    hub_after_fork(pid == 0 ? hub : NULL);
    if (pid == 0)
        begin_anew(hub);
    errno = saved;
    return pid;
}

pid_t cress_fork(void)
{
    struct hub *hub = hub_current;
    sigset_t all, previous;

    if (!hub || !hub->current || hub->ended) {
        errno = hub && hub->current ? ECANCELED : EPERM;
        return -1;
    }
    struct child *child = child_create();
    if (!child)
        return -1;
    fflush(NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    pid_t pid = fork_hub(hub);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (pid > 0)
        child_add(child, pid);
    else
        free(child);
    return pid;
}

static int wait_for(pid_t pid, int *ret_status)
{
    int watched = child_open(pid), result = child_wait(pid, watched, CRESS_FOREVER, ret_status);
    int saved = errno;

    if (watched >= 0)
        close(watched);
    errno = saved;
    return result;
}

pid_t cress_waitpid(pid_t pid, int *ret_status, int options)
{
    int status = 0;

    if (hub_check() < 0)
        return -1;
    if (pid <= 0 || (options & ~WNOHANG))
        return misuse(EINVAL, "cress_waitpid: it waits for one process, with WNOHANG or no option");
    int reaped = child_reap(pid, &status);
    if (reaped < 0 || (reaped == 0 && (options & WNOHANG)))
        return reaped;
    if (reaped == 0 && wait_for(pid, &status) < 0)
        return -1;
    if (ret_status)
        *ret_status = status;
    return pid;
}
