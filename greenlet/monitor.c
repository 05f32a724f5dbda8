/* A thread beside a hub that notices when a greenlet keeps all others waiting.
 *
 * It looks at the hub's count of switches every so often. A count that stands still while the
 * hub is not asleep in epoll means that somebody has run all the time; beyond max_blocking_time
 * the thread interrupts the hub's by a signal, whose handler notes the greenlet's name and the addresses of
 * its frames, and nothing else; names and lines are looked up here, outside the hub's way.
 *
 * An idle process is left alone: after some looks that found the hub asleep this thread sleeps
 * too, until the hub, on waking up, sees that it does. That costs the hub one store and one load
 * for each sleep of its own, and nothing for a switch.
 */
#define _GNU_SOURCE
#include "backtrace.h"
#include "clock.h"
#include "misuse.h"
#include "watchdog.h"

#include <cress/monitor.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SIGNAL = SIGURG,
    NAME_BYTES = 128,
    IDLE_LOOKS = 4,  /* in a row that find the hub asleep: then this thread sleeps too */
    ANSWER_TIME = 1, /* seconds that the hub's thread has to take the signal */
};
static const cress_seconds LEAST_SPAN = 0.001, DEFAULT_SPAN = 0.1; /* for CRESS_STALL=abort */

enum request { NOTHING, WANTED, TAKING };

/* What the handler notes. */
struct capture {
    uint64_t switches, id;
    bool idle, in_greenlet;
    char name[NAME_BYTES];
    const void *site;
    struct backtrace trace;
};

struct monitor {
    struct hub *hub;
    pthread_t hub_thread, thread;
    cress_seconds span;
    void (*on_stall)(const char *report, void *arg);
    void *on_stall_arg;
    bool aborts;

    bool idle, asleep; /* atomic: the hub, this thread */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* with lock: `stops`, or the hub has woken up */
    bool stops;

    int request; /* atomic: enum request */
    sem_t answer;
    struct capture capture;

    /* the thread's own */
    uint64_t seen;       /* the hub's count */
    cress_seconds since; /* and when that was new */
    bool reported;
    unsigned idle_looks;
};

/* ---- the signal ------------------------------------------------------------------ */

static struct sigaction previous;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void take(struct hub *hub, struct capture *capture, const void *ucontext)
{
    const cress_greenlet *g = hub->current;

    capture->switches = hub->stats.switches;
    capture->idle = __atomic_load_n(&hub->monitor->idle, __ATOMIC_RELAXED);
    capture->in_greenlet = g != NULL;
    if (g) {
        cress_name(g, capture->name, sizeof capture->name);
        capture->site = g->site;
        capture->id = g->id;
    }
#ifdef CRESS_TSAN
    /* It calls handlers when it likes, long after what they have interrupted. */
    backtrace_here(&capture->trace);
    if (capture->trace.count > 2)
        return;
#endif
    backtrace_interrupted(hub, ucontext, &capture->trace);
}

static void hand_on(int signum, siginfo_t *info, void *ucontext)
{
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(signum, info, ucontext);
    else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
        previous.sa_handler(signum);
}

static void on_signal(int signum, siginfo_t *info, void *ucontext)
{
    int saved = errno, expected = WANTED;
    struct monitor *monitor = hub_current ? hub_current->monitor : NULL;

    if (monitor && __atomic_compare_exchange_n(&monitor->request, &expected, TAKING, false,
                                               __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        take(hub_current, &monitor->capture, ucontext);
        sem_post(&monitor->answer);
    } else {
        hand_on(signum, info, ucontext);
    }
    errno = saved;
}

static void install(void)
{
    struct sigaction action = {
        .sa_sigaction = on_signal,
        .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
    };

    sigfillset(&action.sa_mask);
    sigaction(SIGNAL, &action, &previous);
}

static bool await_answer(struct monitor *monitor)
{
    struct timespec until = clock_after(CLOCK_REALTIME, ANSWER_TIME);
    int expected = WANTED;

    while (sem_timedwait(&monitor->answer, &until) < 0) {
        if (errno == EINTR)
            continue;
        if (__atomic_compare_exchange_n(&monitor->request, &expected, NOTHING, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return false;
        sem_wait(&monitor->answer); /* it is being taken right now */
        break;
    }
    __atomic_store_n(&monitor->request, NOTHING, __ATOMIC_RELEASE);
    return true;
}

/* False: the thread does not take the signal. */
static bool interrupt(struct monitor *monitor)
{
    __atomic_store_n(&monitor->request, WANTED, __ATOMIC_RELEASE);
    pthread_kill(monitor->hub_thread, SIGNAL);
    return await_answer(monitor);
}

/* ---- the report --------------------------------------------------------------------- */

static void write_capture(const struct capture *capture, cress_seconds span, FILE *out)
{
    struct symbols *symbols = symbols_open();
    char site[256];

    if (capture->in_greenlet)
        fprintf(out,
                "greenlet %s has not let the others run for %.3f s\n"
                "    greenlet %llu, spawned by %s\n",
                capture->name, span, (unsigned long long)capture->id,
                symbols_code(symbols, (const char *)capture->site - 1, site, sizeof site));
    else
        fprintf(out, "a call made by the hub has not let greenlets run for %.3f s\n", span);
    backtrace_print(&capture->trace, symbols, out, 4);
    symbols_close(symbols);
}

static void tell(struct monitor *monitor, const char *report)
{
    if (monitor->on_stall)
        monitor->on_stall(report, monitor->on_stall_arg);
    else
        fprintf(stderr, "cress: %s", report);
}

static void report(struct monitor *monitor, bool answered)
{
    cress_seconds span = clock_now() - monitor->since;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    if (answered)
        write_capture(&monitor->capture, span, out);
    else
        fprintf(out,
                "somebody has not let the others run for %.3f s, and does not take signal %d\n",
                span, SIGNAL);
    if (fclose(out) == 0)
        tell(monitor, text);
    free(text);
    if (monitor->aborts)
        abort();
}

static void meet_stall(struct monitor *monitor)
{
    bool answered = interrupt(monitor);

    monitor->reported = true;
    if (answered && (monitor->capture.switches != monitor->seen || monitor->capture.idle))
        return; /* it has just ended */
    report(monitor, answered);
}

/* ---- the thread ------------------------------------------------------------------------ */

static void look(struct monitor *monitor)
{
    uint64_t now = __atomic_load_n(&monitor->hub->stats.switches, __ATOMIC_RELAXED);
    bool idle = __atomic_load_n(&monitor->idle, __ATOMIC_RELAXED);

    monitor->idle_looks = idle ? monitor->idle_looks + 1 : 0;
    if (idle || now != monitor->seen) {
        monitor->seen = now;
        monitor->since = clock_now();
        monitor->reported = false;
    } else if (!monitor->reported && clock_now() - monitor->since >= monitor->span) {
        meet_stall(monitor);
    }
}

/* Until the hub wakes up; if it has not gone on already. */
static void sleep_long(struct monitor *monitor)
{
    __atomic_store_n(&monitor->asleep, true, __ATOMIC_SEQ_CST);
    while (!monitor->stops && __atomic_load_n(&monitor->idle, __ATOMIC_SEQ_CST) &&
           __atomic_load_n(&monitor->asleep, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&monitor->wake, &monitor->lock);
    __atomic_store_n(&monitor->asleep, false, __ATOMIC_SEQ_CST);
    monitor->idle_looks = 0;
    monitor->since = clock_now();
}

/* Four looks a span: a stall is reported within a quarter of it. */
static void sleep_short(struct monitor *monitor)
{
    struct timespec until = clock_after(CLOCK_MONOTONIC, monitor->span / 4);

    while (!monitor->stops &&
           pthread_cond_timedwait(&monitor->wake, &monitor->lock, &until) != ETIMEDOUT)
        continue;
}

static void *watch(void *arg)
{
    struct monitor *monitor = arg;

    pthread_mutex_lock(&monitor->lock);
    monitor->since = clock_now();
    while (!monitor->stops) {
        if (monitor->idle_looks >= IDLE_LOOKS)
            sleep_long(monitor);
        else
            sleep_short(monitor);
        if (monitor->stops)
            break;
        pthread_mutex_unlock(&monitor->lock);
        look(monitor);
        pthread_mutex_lock(&monitor->lock);
    }
    pthread_mutex_unlock(&monitor->lock);
    return NULL;
}

/* ---- the hub's side ---------------------------------------------------------------------- */

void monitor_hub_sleeps(struct monitor *monitor)
{
    __atomic_store_n(&monitor->idle, true, __ATOMIC_RELAXED);
}

void monitor_hub_wakes(struct monitor *monitor)
{
    __atomic_store_n(&monitor->idle, false, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&monitor->asleep, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&monitor->lock);
    __atomic_store_n(&monitor->asleep, false, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&monitor->wake);
    pthread_mutex_unlock(&monitor->lock);
}

static bool wants_abort(const cress_hub_options *options)
{
    const char *wanted = getenv("CRESS_STALL");

    return options->stall_aborts || (wanted && strcmp(wanted, "abort") == 0);
}

/* The option, the environment's, or the usual one where a stall shall be a failure. */
static int read_span(const cress_hub_options *options, cress_seconds *ret_span)
{
    const char *text = getenv("CRESS_MAX_BLOCKING_TIME");
    char *end = "";
    cress_seconds span = options->max_blocking_time;

    if (span == 0 && text && *text) {
        span = strtod(text, &end);
        if (end == text || *end || !(span >= 0)) {
            errno = EINVAL;
            return -1;
        }
    } else if (span == 0 && wants_abort(options)) {
        span = DEFAULT_SPAN;
    }
    *ret_span = span > 0 && span < CRESS_FOREVER ? fmax(span, LEAST_SPAN) : 0;
    return 0;
}

static void init(struct monitor *monitor, struct hub *hub, const cress_hub_options *options,
                 cress_seconds span)
{
    pthread_condattr_t monotonic;

    *monitor = (struct monitor){
        .hub = hub,
        .hub_thread = pthread_self(),
        .span = span,
        .on_stall = options->on_stall,
        .on_stall_arg = options->on_stall_arg,
        .aborts = wants_abort(options),
    };
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&monitor->lock, NULL);
    sem_init(&monitor->answer, 0, 0);
}

static void destroy(struct monitor *monitor)
{
    sem_destroy(&monitor->answer);
    pthread_cond_destroy(&monitor->wake);
    pthread_mutex_destroy(&monitor->lock);
    free(monitor);
}

/* The thread takes no signals: they are the program's. */
static int create_thread(struct monitor *monitor)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = pthread_create(&monitor->thread, NULL, watch, monitor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int monitor_start(struct hub *hub, const cress_hub_options *options)
{
    cress_seconds span;

    if (read_span(options, &span) < 0)
        return -1;
    if (span == 0)
        return 0;
    struct monitor *monitor = malloc(sizeof *monitor);
    if (!monitor)
        return -1;
    pthread_once(&installed, install);
    init(monitor, hub, options, span);
    int error = create_thread(monitor);
    if (error) {
        destroy(monitor);
        errno = error;
        return -1;
    }
    hub->monitor = monitor;
    return 0;
}

void monitor_stop(struct hub *hub)
{
    struct monitor *monitor = hub->monitor;

    if (!monitor)
        return;
    pthread_mutex_lock(&monitor->lock);
    monitor->stops = true;
    pthread_cond_signal(&monitor->wake);
    pthread_mutex_unlock(&monitor->lock);
    pthread_join(monitor->thread, NULL);
    hub->monitor = NULL;
    destroy(monitor);
}

/* ---- assert_switches ------------------------------------------------------------------------ */

static void note_span(cress_assert_switches *block)
{
    cress_seconds span = clock_now() - block->resumed_at;

    if (span > block->longest)
        block->longest = span;
}

static void describe(void *arg, char *buf, size_t size)
{
    const cress_assert_switches *block = arg;

    if (block->hooks && block->hooks->describe)
        block->hooks->describe(block->hooks_arg, buf, size);
}

static void before_wait(void *arg)
{
    cress_assert_switches *block = arg;

    if (block->hooks && block->hooks->before_wait)
        block->hooks->before_wait(block->hooks_arg);
    block->waits++;
    note_span(block);
}

static void after_wait(void *arg)
{
    cress_assert_switches *block = arg;

    block->resumed_at = clock_now();
    if (block->hooks && block->hooks->after_wait)
        block->hooks->after_wait(block->hooks_arg);
}

static void *get_local(void *arg, const struct cress_local *key)
{
    cress_assert_switches *block = arg;

    return block->hooks && block->hooks->local ? block->hooks->local(block->hooks_arg, key) : NULL;
}

static const cress_greenlet_hooks block_hooks = {
    .describe = describe,
    .before_wait = before_wait,
    .after_wait = after_wait,
    .local = get_local,
};

void cress_assert_switches_begin(cress_assert_switches *block, cress_seconds most)
{
    cress_greenlet *g = misuse_self("cress_assert_switches_begin");

    *block = (cress_assert_switches){
        .most = most,
        .resumed_at = clock_now(),
        .hooks = g->hooks,
        .hooks_arg = g->hooks_arg,
    };
    cress_set_hooks(g, &block_hooks, block);
}

int cress_assert_switches_end(cress_assert_switches *block)
{
    cress_greenlet *g = misuse_self("cress_assert_switches_end");

    if (g->hooks != &block_hooks || g->hooks_arg != block)
        return misuse(EINVAL, "cress_assert_switches_end: not the innermost block that has begun");
    cress_set_hooks(g, block->hooks, block->hooks_arg);
    note_span(block);
    if (block->most <= 0 && block->waits == 0)
        return misuse(EBUSY, "cress_assert_switches: the block did not let the others run");
    if (block->most > 0 && block->longest > block->most)
        return misuse(EBUSY, "cress_assert_switches: the block ran for %.3f s without waiting",
                      block->longest);
    return 0;
}
