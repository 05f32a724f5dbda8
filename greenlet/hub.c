/* The scheduler: who runs next, and when to look at the world.
 *
 * One FIFO holds what is ready: greenlets, and calls to make in the hub. A greenlet that
 * waits takes the next greenlet off it and switches there directly; one that ends
 * gives the next its own stack, if that one has none yet, and no switch happens at all: a
 * batch of requests that need no waiting runs on one warm stack. Only when the queue is
 * empty, its head is a call, or the world has not been looked at for a while does control
 * go to the hub's own context, which is the thread's stack and runs this loop:
 *
 *     poll descriptors, signals and deadlines (blocking only if nothing is ready);
 *     run what is ready
 *
 * "A while" is what was ready at the last look, but not less than 0.5 ms nor more than 10 ms. It is
 * measured in slices of switches, after each of which the clock is read, since reading
 * it at every switch would cost more than the switch.
 *
 * With a virtual clock, time is a number that jumps to the earliest deadline when
 * nothing is ready and no descriptor is.
 */
#define _GNU_SOURCE
#include "hub.h"

#include "clock.h"
#include "misuse.h"
#include "simulation.h"
#include "watchdog.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SLICE_MOST = 63,         /* switches between two looks at the clock */
    VIRTUAL_SLICES = 8,      /* slices between two polls under the virtual clock */
    PATIENCE = 1000,         /* failed waits in a row before a greenlet is named */
    WARM = 256,              /* so many greenlets stay in the cache by themselves */
    LAST_PATIENCE = 1000000, /* and, when the hub ends, before that is held for a bug */
};
static const cress_seconds SHORT_TIME = 0.00005, LONG_TIME = 0.0005;
static const cress_seconds POLL_LEAST = 0.0005, POLL_MOST = 0.01, REVIEW_INTERVAL = 1.0;
static const cress_seconds STARVE_RETRY = 0.1;

/* What each switch goes through; what it seldom needs is kept out of line. */
#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

_Thread_local struct hub *hub_current;
_Thread_local cress_greenlet *greenlet_current;

/* ---- the ready queue --------------------------------------------------------- */

static void append(struct hub *hub, struct task *task)
{
    task->next = NULL;
    *hub->ready_last = task;
    hub->ready_last = &task->next;
}

static struct task *take_first(struct hub *hub)
{
    struct task *task = hub->ready_first;

    hub->ready_first = task->next;
    if (!hub->ready_first)
        hub->ready_last = &hub->ready_first;
    if (task == hub->batch_last)
        hub->batch_last = NULL;
    return task;
}

/* What is ready now is a batch. */
static void begin_batch(struct hub *hub)
{
    hub->batch_last = hub->ready_first ? (struct task *)(void *)hub->ready_last : NULL;
}

void hub_call(struct hub *hub, struct task *task)
{
    assert(task->run);
    append(hub, task);
}

void hub_ready(struct hub *hub, cress_greenlet *g)
{
    append(hub, &g->task);
}

void hub_wake(cress_greenlet *g, int error)
{
    if (!g->parked)
        return;
    g->parked = false;
    g->wake_error = error;
    append(g->hub, &g->task);
    if (g->timer != TIMER_NONE)
        timers_remove(&g->hub->timers, g);
}

/* ---- who is next, and when to look at the world ---------------------------------- */

/* Who computes for long between two waits shall not hold up those who wait for time or
 * descriptors: then the clock is read at every switch. */
static unsigned next_slice(unsigned slice, cress_seconds took)
{
    if (took > LONG_TIME)
        return 0;
    return took < SHORT_TIME && slice < SLICE_MOST ? 2 * slice + 1 : slice;
}

/* A slice is used up: is it time to look at the descriptors? Not while the batch from
 * the last look is at work, if that does not take too long: the descriptors that it has not come
 * to yet would all be reported again. */
static NOINLINE bool poll_is_due(struct hub *hub)
{
    if (hub->simulation)
        return simulation_step(hub); /* it wants to see each: the budget stays 0 */
    hub->budget = (int)hub->slice;
    if (hub->virtual_clock)
        return ++hub->slices >= VIRTUAL_SLICES;
    cress_seconds now = clock_now(), elapsed = now - hub->polled_at;
    hub->slice = next_slice(hub->slice, now - hub->looked_at);
    hub->looked_at = now;
    if (hub->batch_last)
        return elapsed > POLL_MOST;
    return hub->loop.was_full || elapsed > POLL_LEAST;
}

/* With many greenlets each one's stack and record have left the cache by its turn: a
 * quarter off a switch among a thousand. Who rests has no stack; its work begins in `arg`. */
static INLINE void fetch_ahead(const struct hub *hub)
{
    enum { LINE = 64 };
    const struct task *task = hub->ready_first;

    if (hub->stats.greenlets <= WARM || !task || !task->next || task->run)
        return;
    const cress_greenlet *g = (const cress_greenlet *)task;
    uintptr_t at = (uintptr_t)(g->stack ? context_pointer(&g->context) : g->arg);
    __builtin_prefetch((const void *)at);
    __builtin_prefetch((const void *)(at + LINE));
    __builtin_prefetch(task->next);
    __builtin_prefetch((const char *)task->next + LINE);
}

/* The greenlet to go to; NULL: the hub's turn. */
static INLINE cress_greenlet *next_greenlet(struct hub *hub)
{
    struct task *task = hub->ready_first;

    if (!task || task->run)
        return NULL;
    if (--hub->budget < 0 && poll_is_due(hub)) {
        hub->budget = 0;
        return NULL;
    }
    cress_greenlet *next = (cress_greenlet *)take_first(hub);
    fetch_ahead(hub);
    return next;
}

/* ---- the switch --------------------------------------------------------------------- */

/* Gives g a stack to begin on. */
static NOINLINE bool give_stack(struct hub *hub, cress_greenlet *g)
{
    g->stack = stack_take(&hub->stacks);
    if (g->stack) {
        context_make(&g->context, &g->stack->extent);
        return true;
    }
    starved_add(hub, g);
    return false;
}

/* Also the monitor, a thread of its own, looks at it. */
static INLINE void count_switch(struct hub *hub)
{
    __atomic_store_n(&hub->stats.switches, hub->stats.switches + 1, __ATOMIC_RELAXED);
}

static INLINE void set_current(struct hub *hub, cress_greenlet *g)
{
    hub->current = greenlet_current = g;
}

/* The context to go to for `next`, which becomes the running one. */
static INLINE struct context *enter(struct hub *hub, cress_greenlet *next)
{
    count_switch(hub);
    if (next && !next->stack && !give_stack(hub, next))
        next = NULL;
    set_current(hub, next);
    return next ? &next->context : &hub->context;
}

/* What it changed of the floating-point environment would be the next one's. */
static void check_float_control(const struct hub *hub, const cress_greenlet *self)
{
#ifdef CRESS_DEBUG
    char name[64];

    if (context_float_control() == hub->float_control || !misuse_stops())
        return;
    fprintf(stderr,
            "cress: greenlet %s: misuse: it waits with a floating-point rounding mode or mask"
            " that it has changed\n",
            cress_name(self, name, sizeof name));
    abort();
#else
    (void)hub, (void)self;
#endif
}

/* The running greenlet gives up the processor, until somebody has appended it. Whoever
 * calls this is not inlined further: what the compiler keeps in registers that context_jump does
 * not know of (x87, AVX-512's masks) ends at a function's call. */
static INLINE void switch_away(struct hub *hub, cress_greenlet *self)
{
    int *error = &errno, saved = *error; /* it stays where it is: the thread is the same after */

    check_float_control(hub, self);
    cress_greenlet *next = next_greenlet(hub);

    if (next == self) {
        count_switch(hub);
        return;
    }
    context_switch(&self->context, enter(hub, next));
    *error = saved;
}

/* A stack's first frame: runs greenlets one after the other while the next one that
 * is ready needs a stack, then leaves. */
void context_entry(void)
{
#ifdef __x86_64__
    __asm__ volatile(".cfi_undefined rip"); /* backtraces end here */
#endif
    context_begin();
    struct hub *hub = hub_current;
    for (;;) {
        cress_greenlet *self = hub->current;
        struct stack *stack = self->stack;
        greenlet_run(self);
        if (hub->starved_first)
            starved_feed(hub);
        cress_greenlet *next = next_greenlet(hub);
        if (!next || next->stack) {
            stack_give(&hub->stacks, stack);
            context_leave(&hub->nowhere, enter(hub, next));
        }
        next->stack = stack;
        context_settle(&next->context, &stack->extent);
        set_current(hub, next);
    }
}

/* ---- waiting -------------------------------------------------------------------- */

bool hub_kill_reaches(const cress_greenlet *g)
{
    for (const cress_timeout *t = g->timeouts; t; t = t->outer)
        if (t->shields)
            return false;
    return true;
}

/* Marks what has passed among the limits that g sees. */
static bool expire_limits(cress_greenlet *g)
{
    bool expired = false;

    for (cress_timeout *t = g->timeouts; t; t = t->shields ? NULL : t->outer) {
        if (t->deadline <= g->hub->now) {
            t->expired = true;
            t->decides = false; /* also when its deadline is moved */
        }
        expired |= t->expired;
    }
    return expired;
}

cress_seconds hub_limit(const cress_greenlet *g, cress_seconds deadline)
{
    for (const cress_timeout *t = g->timeouts; t; t = t->shields ? NULL : t->outer)
        if (t->deadline < deadline)
            deadline = t->deadline;
    return deadline;
}

static INLINE void yield_unchecked(struct hub *hub, cress_greenlet *self)
{
    append(hub, &self->task);
    switch_away(hub, self);
}

/* A greenlet that goes on waiting after its waits have begun to fail would spin: it
 * is named, and lets the others run each time. When the hub ends, one that never does
 * would hang the program: that is stopped. */
static NOINLINE void meet_stubborn(struct hub *hub, cress_greenlet *g)
{
    char name[64];

    if (g->failed_waits == PATIENCE)
        fprintf(stderr, "cress: greenlet %s goes on although %u of its waits have failed (%s)\n",
                cress_name(g, name, sizeof name), g->failed_waits,
                g->cancelled ? "it was killed" : "its limit passed");
    if (g->failed_waits >= LAST_PATIENCE && hub->ended) {
        fprintf(stderr, "cress: greenlet %s does not end although the hub does: aborting\n",
                cress_name(g, name, sizeof name));
        abort();
    }
    if (g->failed_waits >= PATIENCE)
        yield_unchecked(hub, g);
}

static int fail_wait(cress_greenlet *g, int error)
{
    g->failed_waits++;
    if (g->failed_waits >= PATIENCE)
        meet_stubborn(g->hub, g);
    errno = error;
    return -1;
}

static int check_limits(cress_greenlet *g)
{
    bool expired = expire_limits(g);

    if (g->cancelled && hub_kill_reaches(g)) {
        g->killed = true;
        return fail_wait(g, ECANCELED);
    }
    return expired ? fail_wait(g, ETIMEDOUT) : 0;
}

int hub_check_limits(void)
{
    cress_greenlet *g = greenlet_current;

    if (g)
        return check_limits(g);
    errno = EPERM;
    return -1;
}

int cress_check(void)
{
    return hub_check();
}

/* After a wait that was ended by `error`. */
static int finish_wait(cress_greenlet *g, int error)
{
    if (error == 0) {
        g->failed_waits = 0;
        return 0;
    }
    if (error == ECANCELED)
        g->killed = true;
    if (error == ETIMEDOUT)
        expire_limits(g);
    errno = error;
    return -1;
}

/* What its hooks want, before it waits and after. */
static INLINE void call_hook(const cress_greenlet *g, void (*hook)(void *arg))
{
    if (hook)
        hook(g->hooks_arg);
}

NOINLINE int hub_wait(cress_seconds deadline, const char *what, const void *object)
{
    cress_greenlet *g = greenlet_current;

    if (hub_check() < 0)
        return -1;
    struct hub *hub = g->hub;
    if (deadline <= hub->now) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (hub->deadlocked && g == hub->main && hub_kill_reaches(g))
        return fail_wait(g, EDEADLK);
    deadline = hub_limit(g, deadline);
    if (deadline < CRESS_FOREVER)
        timers_add(&hub->timers, g, deadline);
    if (g->hooks)
        call_hook(g, g->hooks->before_wait);
    g->what = what;
    g->object = object;
    g->since = hub->now;
    g->parked = true;
    g->straight_calls = 0;
    switch_away(hub, g);
    if (g->hooks)
        call_hook(g, g->hooks->after_wait);
    return finish_wait(g, g->wake_error);
}

NOINLINE int hub_yield(void)
{
    cress_greenlet *g = greenlet_current;

    if (hub_check() < 0)
        return -1;
    struct hub *hub = g->hub;
    if (g->hooks)
        call_hook(g, g->hooks->before_wait);
    g->what = "its turn";
    yield_unchecked(hub, g);
    if (g->hooks)
        call_hook(g, g->hooks->after_wait);
    return hub_is_free(g->hub, g) ? 0 : hub_check_limits(); /* `hub` need not live so long */
}

NOINLINE void hub_give_turn(struct hub *hub, cress_greenlet *g)
{
    int saved = errno;

    g->straight_calls = 0;
    if (!hub->simulation || simulation_takes_turn(hub))
        hub_yield();
    errno = saved;
}

void cress_take_turns(void)
{
    hub_take_turns_after(0);
}

void cress_take_turns_after(size_t bytes)
{
    hub_take_turns_after(bytes);
}

int cress_sleep(cress_seconds span)
{
    if (span <= 0)
        return hub_yield();
    if (hub_check() < 0)
        return -1;
    cress_seconds deadline = hub_deadline(span);
    if (hub_wait(deadline, "sleep", NULL) == 0)
        return 0;
    if (errno != ETIMEDOUT)
        return -1;
    return hub_check();
}

/* ---- the loop -------------------------------------------------------------------- */

static void expire(struct hub *hub)
{
    const struct timer *first;

    while ((first = timers_first(&hub->timers)) && first->deadline <= hub->now) {
        cress_greenlet *g = first->greenlet;
        if (g->starved) {
            starved_end(g);
        } else if (g->state == GREENLET_NEW) {
            timers_remove(&hub->timers, g);
            append(hub, &g->task);
        } else {
            hub_wake(g, ETIMEDOUT);
        }
    }
}

/* In a simulation all that is ready belongs to one look, whatever fits a batch. */
static void look_at_the_rest(struct hub *hub, struct task **tail)
{
    for (size_t looks = hub->loop.active / LOOP_BATCH; looks > 0 && hub->loop.was_full; looks--)
        loop_look(&hub->loop, 0);
    simulation_order(hub, tail);
}

static void look_at_descriptors(struct hub *hub, cress_seconds timeout)
{
    struct task **tail = hub->ready_last;

    hub->stats.polls++;
    if (hub->monitor && timeout > 0)
        monitor_hub_sleeps(hub->monitor);
    loop_look(&hub->loop, timeout);
    if (hub->monitor && timeout > 0)
        monitor_hub_wakes(hub->monitor);
    if (hub->simulation)
        look_at_the_rest(hub, tail);
}

/* Nothing is ready, nothing is armed, no deadline stands: nothing will ever happen. */
static void deadlock(struct hub *hub)
{
    fprintf(stderr, "cress: would block for ever: nothing is ready and nothing is awaited from"
                    " outside\n");
    hub_report(hub, stderr);
    if (hub->ended || !hub->main->parked || (hub->deadlocked && !hub_kill_reaches(hub->main)))
        abort(); /* nobody is left to tell */
    hub->deadlocked = true;
    hub_wake(hub->main, EDEADLK);
}

/* Threads are at work for the hub, or children live: time passes here as it does for
 * them, up to the first deadline. */
static void pass_time(struct hub *hub, cress_seconds deadline)
{
    cress_seconds start = clock_now(), span = deadline - hub->now;

    look_at_descriptors(hub, span);
    cress_seconds elapsed = clock_now() - start;
    hub->now = elapsed < span ? fmin(hub->now + elapsed, deadline) : deadline;
}

/* A look was full of what nobody wants any more: it has been taken out, what is behind it comes
 * next. */
static bool is_more_to_see(const struct hub *hub)
{
    return hub->loop.was_full && !hub->loop.stale && hub_awaited(hub);
}

static void poll_virtual(struct hub *hub)
{
    if (hub->starved_first)
        starved_retry(hub);
    do {
        hub->stirred = false;
        if (hub_awaited(hub))
            look_at_descriptors(hub, 0);
    } while (!hub->ready_first && (hub->stirred || is_more_to_see(hub)));
    if (hub->ready_first && hub->simulation)
        simulation_creep(hub);
    if (hub->ready_first)
        return;
    const struct timer *first = timers_first(&hub->timers);
    if (first && (hub->expected || hub->children))
        pass_time(hub, first->deadline);
    else if (first && hub->simulation)
        simulation_jump(hub, first->deadline);
    else if (first)
        hub->now = first->deadline;
    else if (hub_awaited(hub))
        look_at_descriptors(hub, CRESS_FOREVER);
    else
        deadlock(hub);
}

/* Sleeps until something happens; wakes up once more to give stacks back. */
static void poll_blocking(struct hub *hub)
{
    cress_seconds deadline = timers_next(&hub->timers);

    if (hub->starved_first)
        deadline = fmin(deadline, hub->now + STARVE_RETRY);
    if (deadline == CRESS_FOREVER && !hub_awaited(hub)) {
        deadlock(hub);
        return;
    }
    if (hub->stacks.excess)
        deadline = hub->now;
    else if (stack_cache_excess(&hub->stacks))
        deadline = fmin(deadline, hub->reviewed_at + REVIEW_INTERVAL);
    if (deadline < CRESS_FOREVER)
        deadline -= clock_now();
    look_at_descriptors(hub, deadline);
}

static void trim_stacks(struct hub *hub)
{
    if (hub->now - hub->reviewed_at >= REVIEW_INTERVAL) {
        hub->reviewed_at = hub->now;
        stack_cache_review(&hub->stacks);
    }
    stack_cache_trim(&hub->stacks);
}

static void poll_real(struct hub *hub)
{
    if (hub->starved_first)
        starved_retry(hub);
    if (!hub->ready_first && timers_next(&hub->timers) > hub->now)
        poll_blocking(hub);
    else if (hub_awaited(hub))
        look_at_descriptors(hub, 0);
    hub->now = hub->polled_at = hub->looked_at = clock_now();
    if (stack_cache_excess(&hub->stacks))
        trim_stacks(hub);
}

static NOINLINE void run_greenlet(struct hub *hub, cress_greenlet *g)
{
    struct context *to = enter(hub, g);

    if (to != &hub->context) /* else there was no stack for it */
        context_switch(&hub->context, to);
}

static void run_ready(struct hub *hub)
{
    hub->budget = hub->simulation ? 0 : (int)hub->slice;
    hub->slices = 0;
    while (hub->ready_first) {
        if (--hub->budget < 0 && poll_is_due(hub))
            return;
        struct task *task = take_first(hub);
        if (task->run)
            task->run(task);
        else
            run_greenlet(hub, (cress_greenlet *)task);
    }
}

static void on_wake(struct loop *loop)
{
    struct hub *hub = (struct hub *)(void *)((char *)loop - offsetof(struct hub, loop));

    if (hub->posts)
        post_take_all(hub);
    if (hub->signals)
        signal_take_all(hub);
}

int hub_start_loop(struct hub *hub)
{
    static loop_handler *const handlers[] = {
        [IO_WATCH] = watch_on_event,
        [IO_WAIT] = fd_on_event,
        [IO_LOOKUP] = lookup_on_event,
        [IO_TLS] = tls_on_event,
    };

    return loop_open(&hub->loop, handlers, on_wake);
}

void hub_loop(struct hub *hub)
{
    while (hub->greenlets || hub->ready_first || hub->expected) {
        if (hub->virtual_clock)
            poll_virtual(hub);
        else
            poll_real(hub);
        expire(hub);
        begin_batch(hub);
        run_ready(hub);
    }
}
