/* A hub's life: made, with its first greenlet, and taken down when that has ended.
 *
 * All hubs of the process are listed, for the debugger. What belongs to a hub and not to the
 * scheduler (threads, children, signals, the resolver ...) goes with it here.
 */
#define _GNU_SOURCE
#include "clock.h"
#include "hub.h"
#include "post.h"
#include "simulation.h"
#include "watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(CRESS_ASAN) || defined(CRESS_TSAN)
static const size_t DEFAULT_STACK = 256 * 1024; /* instrumented frames are larger */
#else
static const size_t DEFAULT_STACK = 64 * 1024;
#endif
static const size_t LEAST_STACK = 16 * 1024;

static bool clock_is_virtual(const cress_hub_options *options)
{
    const char *wanted = getenv("CRESS_CLOCK");

    return options->virtual_clock || (wanted && strcmp(wanted, "virtual") == 0);
}

static bool guards_by_mprotect(const cress_hub_options *options)
{
    const char *wanted = getenv("CRESS_GUARD");

    return options->guard_by_mprotect || (wanted && strcmp(wanted, "mprotect") == 0);
}

static size_t stack_size(const cress_hub_options *options)
{
    if (!options->stack_size)
        return DEFAULT_STACK;
    return options->stack_size < LEAST_STACK ? LEAST_STACK : options->stack_size;
}

/* Where this thread's own stack lies: AddressSanitizer wants to know. */
static void find_thread_stack(struct context_stack *stack)
{
    pthread_attr_t attributes;
    void *bottom;

    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &bottom, &stack->size) == 0)
        stack->bottom = bottom;
    pthread_attr_destroy(&attributes);
}

static int start(struct hub *hub, const cress_hub_options *options)
{
    if (hub_start_loop(hub) < 0 || stack_watch_overflow() < 0)
        return -1;
    hub->ready_last = &hub->ready_first;
    hub->starved_last = &hub->starved_first;
    if (simulation_start(hub, options->simulation) < 0)
        return -1;
    hub->virtual_clock = hub->simulation || clock_is_virtual(options);
    hub->slice = hub->virtual_clock ? HUB_VIRTUAL_SLICE : 0;
    hub->now = hub->virtual_clock ? 0 : clock_now();
    hub->polled_at = hub->reviewed_at = hub->now;
    stack_cache_init(&hub->stacks, stack_size(options), guards_by_mprotect(options));
    hub->float_control = context_float_control();
    find_thread_stack(&hub->thread_stack);
    context_adopt_thread(&hub->context, &hub->thread_stack);
    hub->thread = gettid();
    return monitor_start(hub, options);
}

/* ---- who there is ------------------------------------------------------------------ */

struct hub *hub_all;
static pthread_mutex_t hub_all_lock = PTHREAD_MUTEX_INITIALIZER;

static void enlist(struct hub *hub)
{
    pthread_mutex_lock(&hub_all_lock);
    hub->other = hub_all;
    hub_all = hub;
    pthread_mutex_unlock(&hub_all_lock);
}

static void delist(struct hub *hub)
{
    struct hub **at = &hub_all;

    pthread_mutex_lock(&hub_all_lock);
    while (*at && *at != hub)
        at = &(*at)->other;
    if (*at)
        *at = hub->other;
    pthread_mutex_unlock(&hub_all_lock);
}

void hub_before_fork(void)
{
    pthread_mutex_lock(&hub_all_lock);
}

void hub_after_fork(struct hub *only)
{
    if (only) {
        hub_all = only;
        only->other = NULL;
        only->thread = gettid();
        context_forked_lock(&hub_all_lock, hub_forks == 0);
    }
    pthread_mutex_unlock(&hub_all_lock);
}

static void finish(struct hub *hub)
{
    monitor_stop(hub);
    simulation_finish(hub);
    cress_threadpool_finish(&hub->threads);
    post_finish(hub);
    child_forget_all(hub);
    signal_forget_all(hub);
    dns_forget(hub);
    timers_finish(&hub->timers);
    stack_cache_finish(&hub->stacks);
    stack_unwatch_overflow();
    while (hub->unused) {
        cress_greenlet *g = hub->unused;
        hub->unused = g->next;
        free(g);
    }
    loop_close(&hub->loop);
}

/* The first greenlet has ended: the others shall. */
static void end_others(cress_greenlet *main, void *arg)
{
    struct hub *hub = arg;

    (void)main;
    hub->ended = true;
    for (cress_greenlet *g = hub->greenlets; g; g = g->next)
        cress_cancel(g);
}

int hub_link_end(struct hub *hub)
{
    return cress_link(hub->main, end_others, hub);
}

static int run_first(struct hub *hub, cress_fn *fn, void *arg)
{
    hub->main = cress_spawn(fn, arg);
    if (!hub->main)
        return -1;
    if (hub_link_end(hub) < 0) {
        cress_cancel(hub->main);
        hub_loop(hub);
        cress_release(hub->main);
        errno = ENOMEM;
        return -1;
    }
    cress_set_name(hub->main, "main");
    hub_loop(hub);
    int error = cress_error(hub->main);
    cress_release(hub->main);
    errno = error;
    return error ? -1 : 0;
}

int cress_run_with(const cress_hub_options *options, cress_fn *fn, void *arg)
{
    struct hub hub = { 0 };
    int result = -1;

    if (hub_current) {
        errno = EBUSY;
        return -1;
    }
    if (start(&hub, options) == 0) {
        hub_current = &hub;
        enlist(&hub);
        result = run_first(&hub, fn, arg);
        delist(&hub);
    }
    if (result == 0 && hub.simulation && hub.deadlocked) {
        errno = EDEADLK;
        result = -1;
    }
    int saved = errno;
    finish(&hub);
    hub_current = NULL;
    errno = saved;
    return result;
}

int cress_run(cress_fn *fn, void *arg)
{
    return cress_run_with(&(cress_hub_options){ 0 }, fn, arg);
}

bool cress_running(void)
{
    return greenlet_current != NULL;
}

cress_seconds cress_now(void)
{
    return hub_current ? hub_current->now : clock_now();
}
