/* The scheduler, as the rest of this folder sees it.
 *
 * Two verbs carry every primitive: hub_wait parks the running greenlet until
 * somebody wakes it, a deadline passes or it is killed; hub_wake appends a parked
 * one to the ready queue. See hub.c for how switching and polling go.
 */
#ifndef CRESS_HUB_PRIVATE_H
#define CRESS_HUB_PRIVATE_H

#include "context.h"
#include "loop.h"
#include "stack.h"
#include "timers.h"
#include "waiter.h"

#include <cress/greenlet.h>
#include <cress/hub.h>
#include <cress/threadpool.h>
#include <cress/timeout.h>
#include <cress/watch.h>

#include <errno.h>

/* Something in the ready queue: a greenlet to switch to, or, with `run`, a call
 * to make in the hub's own context (it must not wait). */
struct task {
    struct task *next; /* first: see begin_batch */
    void (*run)(struct task *task);
};

enum greenlet_state {
    GREENLET_NEW,     /* spawned, waits in the ready queue or for its delay */
    GREENLET_RUNNING, /* has frames on a stack: running, ready or parked */
    GREENLET_RESTING, /* between two calls of its function: no stack */
    GREENLET_ENDED,
};

struct link {
    struct task task;
    struct link *next;
    cress_link_fn *fn;
    void *arg;
    cress_greenlet *greenlet;
};

struct local_value {
    struct local_value *next; /* set before this one */
    const struct cress_local *key;
    void *value;
};

/* What few greenlets have: made on demand. */
struct greenlet_extra {
    char *name;
    struct link *links;
    struct local_value *locals;
};

/* A server has one for each idle connection, so it is kept small: 232 bytes, which malloc
 * hands out as 240. What a switch or a rest touches comes first: two cache lines. */
struct cress_greenlet {
    struct task task; /* first: a task without `run` is the greenlet */
    struct hub *hub;
    struct stack *stack;     /* NULL: new, resting or ended */
    struct context context;  /* where to go on, while parked */
    cress_timeout *timeouts; /* innermost first */
    int wake_error;          /* what the wait that was just ended returns */
    uint32_t timer;          /* its place among the hub's; TIMER_NONE: not armed */
    uint8_t state;           /* enum greenlet_state */
    bool starved;            /* its turn came, and there was no memory for its stack */
    bool cancelled;          /* asked to end */
    bool killed;             /* and a wait told it so */
    bool parked;             /* in hub_wait, or resting, and not woken yet */
    bool rests;              /* its function returned cress_rest */
    uint16_t straight_calls; /* since it last waited: see cress_take_turns */
    cress_seconds since;     /* when it began to wait */
    cress_fn *fn;
    void *arg;
    cress_watch *rest_watch;
    const cress_greenlet_hooks *hooks;
    const char *what; /* what it waits on, for reports; '#': object is a number, put there */

    const void *object;
    void *hooks_arg;
    struct greenlet_extra *extra; /* NULL: none */
    void *value;
    int error; /* by which it ended */
    unsigned references;
    unsigned locks;        /* held: see lock.h */
    unsigned failed_waits; /* in a row: who goes on is named */

    cress_waitable done; /* ready: ended */
    const void *site;    /* where it was spawned */
    uint64_t id;
    cress_greenlet *previous, *next; /* all of the hub, oldest first */
};

#if defined(CONTEXT_NATIVE) && !defined(CRESS_ASAN) && !defined(CRESS_TSAN)
_Static_assert(sizeof(cress_greenlet) <= 232, "see above");
#endif

struct signal_watch;
struct post_box;
struct child;
struct resolver;
struct simulation;

struct hub {
    struct context context; /* the thread's own stack, where the loop runs */
    struct context nowhere; /* of those who left for good */
    unsigned float_control; /* the thread's: see context.h */
    cress_greenlet *current;
    struct task *ready_first, **ready_last;
    struct task *starved_first, **starved_last; /* greenlets for which there was no stack */
    struct task *batch_last; /* the last that was ready after the last look at the world */
    cress_seconds now;
    unsigned slice; /* switches between two looks at the clock */
    int budget;     /* switches until the hub looks at the clock and the descriptors */
    size_t armed;   /* what could wake somebody, beside watched descriptors: posts, signals */

    struct timers timers;
    struct stack_cache stacks;
    cress_greenlet *greenlets, *greenlets_last;
    cress_greenlet *main;
    struct signal_watch *signals;
    struct post_box *posts;        /* post.c; NULL: nothing was expected yet */
    size_t expected;               /* posts that will come */
    cress_threadpool threads;      /* the default one */
    struct child *children;        /* child.c: processes that run beside this one */
    struct resolver *resolver;     /* lookup.c; NULL: no name was looked up yet */
    struct simulation *simulation; /* NULL: none; its clock is virtual */
    bool virtual_clock;
    bool stirred;    /* an event was answered in the hub: look again before virtual time passes */
    bool ended;      /* the first greenlet has returned: all others are being killed */
    bool deadlocked; /* the first greenlet's waits fail with EDEADLK */
    uint64_t last_id;
    cress_hub_stats stats;
    cress_seconds polled_at, looked_at, reviewed_at;
    unsigned slices;        /* of the budget since the last poll: the virtual clock's measure */
    cress_greenlet *unused; /* records for reuse */
    size_t unused_count;
    struct context_stack thread_stack;
    struct hub *other;       /* the next in hub_all */
    struct monitor *monitor; /* NULL: nobody watches */
    pid_t thread;            /* the kernel's number of it, for gdb */
    struct loop loop;        /* last: it is large */
};

/* How many forks lie between the first process and this one: what was made before the last one
 * belongs to threads and loops that are not here. */
extern unsigned hub_forks;

/* Every hub of the process, for gdb. */
extern struct hub *hub_all;

/* This thread's hub; NULL outside. */
extern _Thread_local struct hub *hub_current __attribute__((tls_model("initial-exec")));

/* Its running greenlet, hub_current->current; NULL in the hub's context, and outside. */
extern _Thread_local cress_greenlet *greenlet_current __attribute__((tls_model("initial-exec")));

/* The absolute time of a timeout, on hub_current->now's clock. */
static inline cress_seconds hub_deadline(cress_seconds timeout)
{
    return hub_current->now + timeout;
}

/* Switches between two looks at the descriptors under a virtual clock. */
enum { HUB_VIRTUAL_SLICE = 15 };

/* [waits] Parks the running greenlet: 0 when it is woken with 0; -1 with the error
 * that it was woken with, ETIMEDOUT (the deadline or an open timeout) or ECANCELED.
 * A deadline that has passed already fails without parking. Call it as the last step,
 * after standing in line; on failure step out of line. EDEADLK: see cress_run. */
int hub_wait(cress_seconds deadline, const char *what, const void *object);
/* The check that every waiting call begins with, also one that would not have to
 * wait: 0, or -1 with ECANCELED or ETIMEDOUT. (EPERM: not in a greenlet.) */
static inline int hub_check(void);
/* Makes g ready, if it is parked and nobody did so before. */
void hub_wake(cress_greenlet *g, int error);
/* [waits] Appends the caller and lets the others run. */
int hub_yield(void);
/* Appends a call to the ready queue. */
void hub_call(struct hub *hub, struct task *task);
/* Appends a greenlet that is new to the ready queue. */
void hub_ready(struct hub *hub, cress_greenlet *g);
/* cress_spawn for those who do it for a caller, whose call `site` is: reports name it. */
cress_greenlet *greenlet_spawn_at(cress_fn *fn, void *arg, const void *site);
/* g's extra record; NULL: ENOMEM. */
struct greenlet_extra *greenlet_extra(cress_greenlet *g);
/* Does no open shield hide a kill from g? */
bool hub_kill_reaches(const cress_greenlet *g);

/* hub.c: its event loop is made; and everything runs, until no greenlet is left. */
int hub_start_loop(struct hub *hub);
void hub_loop(struct hub *hub);
/* run.c, for fork.c: nobody changes the list of hubs between these two; in the child, which
 * has `only` this one, it gets a loop, and ends when its main greenlet does. */
void hub_before_fork(void);
void hub_after_fork(struct hub *only);
int hub_link_end(struct hub *hub);

/* greenlet.c, for the hub: run its function once, to its end or its rest; and a new
 * one's end without having run. */
void greenlet_run(cress_greenlet *g);
void greenlet_end(cress_greenlet *g, void *value);
/* starved.c: there is no stack for g, whose turn it was. */
void starved_add(struct hub *hub, cress_greenlet *g);
/* A new one of them ends without having begun. */
void starved_end(cress_greenlet *g);
/* A stack is about to be free: the oldest that waits for one is ready again. */
void starved_feed(struct hub *hub);
/* Is there memory again? */
void starved_retry(struct hub *hub);
/* post.c, signal.c: what another thread or a signal has left here is taken in. */
void post_take_all(struct hub *hub);
void signal_take_all(struct hub *hub);
/* signal.c: all of a hub's handlers go. And for a fork: nobody changes handlers between the
 * first and the second call; in the child, those of all hubs go, before their loops do. */
void signal_forget_all(struct hub *hub);
void signal_before_fork(void);
void signal_after_fork(bool in_child);
/* child.c: the list of children goes. */
void child_forget_all(struct hub *hub);
/* lookup.c: what lookups share goes. */
void dns_forget(struct hub *hub);
/* local.c: finishes the running greenlet's values. */
void local_finish_all(cress_greenlet *g);
/* The earliest of a deadline and the limits that g sees. */
cress_seconds hub_limit(const cress_greenlet *g, cress_seconds deadline);
/* dump.c: every greenlet, what it waits on, and its backtrace. */
void hub_report(struct hub *hub, FILE *out);
/* watch.c */
void watch_rest(cress_greenlet *g);
void watch_roused(cress_greenlet *g);

int hub_check_limits(void);

/* Without a look at limits further out. */
static inline bool hub_is_free(const struct hub *hub, const cress_greenlet *g)
{
    const cress_timeout *t = g->timeouts;

    return !g->cancelled && (!t || (t->deadline > hub->now && t->decides));
}

static inline int hub_check(void)
{
    const cress_greenlet *g = greenlet_current;

    return g && hub_is_free(g->hub, g) ? 0 : hub_check_limits();
}

enum {
    STRAIGHT_CALLS = 64,  /* that did not have to wait, before others get a turn */
    CALL_BYTES = 4 << 10, /* that make such a call count twice */
};

/* [waits] */
void hub_give_turn(struct hub *hub, cress_greenlet *g);

/* [waits, now and then] cress_take_turns_after. */
static inline void hub_take_turns_after(size_t bytes)
{
    cress_greenlet *g = greenlet_current;

    if (!g)
        return;
    size_t calls = g->straight_calls + 1 + bytes / CALL_BYTES;
    if (calls >= STRAIGHT_CALLS || g->hub->simulation)
        hub_give_turn(g->hub, g);
    else
        g->straight_calls = (uint16_t)calls;
}

/* For `return fail_with(EINVAL);`. */
static inline int fail_with(int error)
{
    errno = error;
    return -1;
}

/* Who watches descriptors: the kinds of loop_io, and what is called for each. */
enum { IO_WATCH, IO_WAIT, IO_LOOKUP, IO_TLS };
loop_handler watch_on_event, fd_on_event, lookup_on_event, tls_on_event;

/* 0; -1 with ENOMEM. */
static inline int hub_io_start(struct hub *hub, struct loop_io *io)
{
    return loop_start(&hub->loop, io);
}

static inline void hub_io_stop(struct hub *hub, struct loop_io *io)
{
    loop_stop(&hub->loop, io);
}

/* How much could wake somebody: with none, and no deadline, the hub is stuck. */
static inline size_t hub_awaited(const struct hub *hub)
{
    return hub->armed + hub->loop.active;
}

#endif
