/* A greenlet's life: spawned, run, ended; and those who wait for its end.
 *
 * Its end queues its links and wakes who joins it, in the order in which they came,
 * all behind what is ready already: gevent's order. Links come first, so that who
 * counts members by them has counted when a joiner runs. The record lives as long as
 * somebody holds a reference; records are kept for reuse by their hub.
 */
#include "hub.h"

#include "lock.h"
#include "misuse.h"
#include "report.h"
#include "threads.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { UNUSED_MAX = 1024, NAME_MAX_BYTES = 64 };

/* ---- records ------------------------------------------------------------------ */

static cress_greenlet *take_record(struct hub *hub)
{
    cress_greenlet *g = hub->unused;

    if (!g)
        return malloc(sizeof *g);
    hub->unused = g->next;
    hub->unused_count--;
    return g;
}

static void give_record(cress_greenlet *g)
{
    struct hub *hub = hub_current;

    if (!hub || hub != g->hub || hub->unused_count >= UNUSED_MAX) {
        free(g);
        return;
    }
    g->next = hub->unused;
    hub->unused = g;
    hub->unused_count++;
}

cress_greenlet *cress_retain(cress_greenlet *g)
{
    if (g)
        g->references++;
    return g;
}

void cress_release(cress_greenlet *g)
{
    if (!g || --g->references > 0)
        return;
    int saved = errno;
    if (g->extra)
        free(g->extra->name);
    free(g->extra);
    give_record(g);
    errno = saved;
}

struct greenlet_extra *greenlet_extra(cress_greenlet *g)
{
    if (!g->extra)
        g->extra = calloc(1, sizeof *g->extra);
    return g->extra;
}

/* ---- beginning ------------------------------------------------------------------ */

static void enlist(struct hub *hub, cress_greenlet *g)
{
    g->previous = hub->greenlets_last;
    if (g->previous)
        g->previous->next = g;
    else
        hub->greenlets = g;
    hub->greenlets_last = g;
    hub->stats.greenlets++;
}

static void delist(struct hub *hub, cress_greenlet *g)
{
    if (g->previous)
        g->previous->next = g->next;
    else
        hub->greenlets = g->next;
    if (g->next)
        g->next->previous = g->previous;
    else
        hub->greenlets_last = g->previous;
    hub->stats.greenlets--;
}

static cress_greenlet *create(struct hub *hub, cress_fn *fn, void *arg, const void *site)
{
    if (stack_reserve(&hub->stacks) < 0)
        return NULL;
    if (timers_reserve(&hub->timers, hub->stats.greenlets + 1) < 0)
        return NULL;
    cress_greenlet *g = take_record(hub);
    if (!g)
        return NULL;
    *g = (cress_greenlet){
        .hub = hub,
        .fn = fn,
        .arg = arg,
        .site = site,
        .references = 2,
        .state = GREENLET_NEW,
        .timer = TIMER_NONE,
        .id = ++hub->last_id,
    };
    enlist(hub, g);
    return g;
}

static struct hub *hub_for_spawn(void)
{
    if (!hub_current)
        errno = EPERM;
    else if (hub_current->ended)
        errno = ECANCELED;
    else
        return hub_current;
    return NULL;
}

cress_greenlet *greenlet_spawn_at(cress_fn *fn, void *arg, const void *site)
{
    struct hub *hub = hub_for_spawn();
    cress_greenlet *g = hub ? create(hub, fn, arg, site) : NULL;

    if (g)
        hub_ready(hub, g);
    return g;
}

__attribute__((noinline)) cress_greenlet *cress_spawn(cress_fn *fn, void *arg)
{
    return greenlet_spawn_at(fn, arg, __builtin_return_address(0));
}

__attribute__((noinline)) cress_greenlet *cress_spawn_later(cress_seconds delay, cress_fn *fn,
                                                            void *arg)
{
    struct hub *hub = hub_for_spawn();
    cress_greenlet *g = hub ? create(hub, fn, arg, __builtin_return_address(0)) : NULL;

    if (!g)
        return NULL;
    if (delay > 0)
        timers_add(&hub->timers, g, hub_deadline(delay));
    else
        hub_ready(hub, g);
    return g;
}

cress_greenlet *cress_self(void)
{
    return greenlet_current;
}

/* A call about a greenlet of another thread, where what it is changes at any time. */
static int refuse_foreign(const char *function, const void *site)
{
    return misuse_at(site, EPERM, "%s: the greenlet is not one of this thread's hub", function);
}

/* ---- running and ending ------------------------------------------------------------ */

/* Their nodes are gone with the frames that held them. */
static void drop_timeouts(cress_greenlet *g)
{
    char name[NAME_MAX_BYTES];

    misuse_at(g->site, EINVAL, "its function returned with a cress_timeout still open");
    fprintf(stderr, "cress: greenlet %s returned with a cress_timeout still open\n",
            cress_name(g, name, sizeof name));
    g->timeouts = NULL;
    g->rests = false;
    g->error = EINVAL;
}

static void report_failure(const cress_greenlet *g)
{
    char name[NAME_MAX_BYTES];

    fprintf(stderr, "cress: greenlet %s failed: %s\n", cress_name(g, name, sizeof name),
            strerror(g->error));
}

/* How it ended: by its kill, once a wait told it so, whatever it returned then. */
static void settle(cress_greenlet *g, void *value)
{
    if (g->killed && (g->error == 0 || g->error == ECANCELED)) {
        g->error = ECANCELED;
        return;
    }
    g->killed = false;
    if (g->error)
        report_failure(g);
    else
        g->value = value;
}

static void run_link(struct task *task)
{
    struct link *link = (struct link *)task;
    cress_greenlet *g = link->greenlet;

    g->extra->links = link->next; /* links run in order: it is the first */
    if (link->fn)
        link->fn(g, link->arg);
    free(link);
    cress_release(g);
}

void greenlet_end(cress_greenlet *g, void *value)
{
    struct hub *hub = g->hub;

    settle(g, value);
    g->state = GREENLET_ENDED;
    g->stack = NULL;
    delist(hub, g);
    g->done.ready = true;
    for (struct link *link = g->extra ? g->extra->links : NULL; link; link = link->next)
        hub_call(hub, &link->task);
    waiter_wake_all(&g->done, 0);
    cress_release(g);
}

/* Gives the stack back and stays: see cress_rest. */
static void rest(cress_greenlet *g)
{
    g->state = GREENLET_RESTING;
    g->stack = NULL;
    g->since = g->hub->now;
    g->parked = true;
    g->straight_calls = 0;
    if (g->cancelled)
        hub_wake(g, 0);
    else
        watch_rest(g);
}

void greenlet_run(cress_greenlet *g)
{
    void *value = NULL;

    if (g->state == GREENLET_NEW && g->cancelled) {
        g->killed = true;
        greenlet_end(g, NULL);
        return;
    }
    g->state = GREENLET_RUNNING;
    g->rests = false;
    watch_roused(g);
    value = g->fn(g->arg);
    if (g->timeouts)
        drop_timeouts(g);
    if (g->rests) {
        rest(g);
        return;
    }
    if (g->extra)
        local_finish_all(g);
    if (g->locks)
        lock_owner_ends(g);
    greenlet_end(g, value);
}

void *cress_rest(cress_watch *w)
{
    cress_greenlet *g = cress_self();

    assert(g);
    g->rests = true;
    g->rest_watch = w;
    return NULL;
}

void cress_rouse(cress_greenlet *g)
{
    if (g->hub != hub_current)
        refuse_foreign("cress_rouse", __builtin_return_address(0));
    else if (g->state == GREENLET_RESTING)
        hub_wake(g, 0);
}

void *cress_fail(int error)
{
    cress_greenlet *g = cress_self();

    if (!g)
        return threads_fail(error);
    g->error = error ? error : EIO;
    return NULL;
}

/* ---- waiting for the end, and bringing it about --------------------------------------- */

/* [waits] Until the hub's clock says deadline; the caller has checked its limits. */
static int join_until(cress_greenlet *g, cress_seconds deadline, const void *site)
{
    struct cress_waiter waiter;
    int result = 0;

    if (g->hub != hub_current)
        return refuse_foreign("cress_join", site);
    if (g->state == GREENLET_ENDED)
        return 0;
    if (g == cress_self())
        return misuse_at(site, EDEADLK, "cress_join: a greenlet cannot wait for its own end");
    cress_retain(g);
    result = waiter_wait(&g->done, &waiter, deadline - hub_current->now, REPORT_JOIN);
    cress_release(g);
    return result;
}

static int join_all(cress_greenlet *const gs[], size_t count, cress_seconds timeout,
                    const void *site)
{
    if (hub_check() < 0)
        return -1;
    cress_seconds deadline = hub_deadline(timeout);
    for (size_t i = 0; i < count; i++)
        if (gs[i] && ((i > 0 && hub_check() < 0) || join_until(gs[i], deadline, site) < 0))
            return -1;
    return 0;
}

int cress_join(cress_greenlet *g, cress_seconds timeout)
{
    return join_all(&g, 1, timeout, __builtin_return_address(0));
}

int cress_joinall(cress_greenlet *const gs[], size_t count, cress_seconds timeout)
{
    return join_all(gs, count, timeout, __builtin_return_address(0));
}

int cress_get(cress_greenlet *g, void **ret_value, cress_seconds timeout)
{
    if (join_all(&g, 1, timeout, __builtin_return_address(0)) < 0)
        return -1;
    if (g->error) {
        errno = g->error;
        return -1;
    }
    if (ret_value)
        *ret_value = g->value;
    return 0;
}

/* One that has ended may be cancelled from anywhere, also when its hub is gone. */
static int cancel(cress_greenlet *g, const char *function, const void *site)
{
    if (g->hub != hub_current && g->state != GREENLET_ENDED)
        return refuse_foreign(function, site);
    if (g->cancelled || g->state == GREENLET_ENDED)
        return 0;
    g->cancelled = true;
    if (g->starved && g->state == GREENLET_NEW) {
        starved_end(g);
    } else if (g->state == GREENLET_NEW && g->timer != TIMER_NONE) {
        timers_remove(&g->hub->timers, g);
        hub_ready(g->hub, g);
    } else if (g->state == GREENLET_RESTING) {
        hub_wake(g, 0);
    } else if (hub_kill_reaches(g)) {
        hub_wake(g, ECANCELED);
    }
    return 0;
}

void cress_cancel(cress_greenlet *g)
{
    if (g)
        cancel(g, "cress_cancel", __builtin_return_address(0));
}

static int kill_all(cress_greenlet *const gs[], size_t count, cress_seconds timeout,
                    const void *site)
{
    cress_greenlet *self = cress_self();
    bool suicide = false;

    for (size_t i = 0; i < count; i++) {
        if (gs[i] && cancel(gs[i], "cress_kill", site) < 0)
            return -1;
        suicide |= gs[i] && gs[i] == self;
    }
    if (suicide)
        return hub_check();
    return join_all(gs, count, timeout, site);
}

int cress_kill(cress_greenlet *g, cress_seconds timeout)
{
    return kill_all(&g, 1, timeout, __builtin_return_address(0));
}

int cress_killall(cress_greenlet *const gs[], size_t count, cress_seconds timeout)
{
    return kill_all(gs, count, timeout, __builtin_return_address(0));
}

int cress_link(cress_greenlet *g, cress_link_fn *fn, void *arg)
{
    if (g->hub != hub_current)
        return refuse_foreign("cress_link", __builtin_return_address(0));
    struct greenlet_extra *extra = greenlet_extra(g);
    struct link *link = extra ? malloc(sizeof *link) : NULL;
    if (!link)
        return -1;
    struct link **last = &extra->links;
    *link = (struct link){
        .task.run = run_link,
        .fn = fn,
        .arg = arg,
        .greenlet = cress_retain(g),
    };
    while (*last)
        last = &(*last)->next;
    *last = link;
    if (g->state == GREENLET_ENDED)
        hub_call(g->hub, &link->task);
    return 0;
}

void cress_unlink(cress_greenlet *g, cress_link_fn *fn, void *arg)
{
    if (g->hub != hub_current) {
        refuse_foreign("cress_unlink", __builtin_return_address(0));
        return;
    }
    if (!g->extra)
        return;
    struct link **at = &g->extra->links;
    while (*at && !((*at)->fn == fn && (*at)->arg == arg))
        at = &(*at)->next;
    struct link *link = *at;
    if (!link)
        return;
    if (g->state == GREENLET_ENDED) {
        link->fn = NULL; /* queued already */
        return;
    }
    *at = link->next;
    free(link);
    cress_release(g);
}

/* ---- what it is --------------------------------------------------------------------------- */

bool cress_started(const cress_greenlet *g)
{
    return g->state != GREENLET_NEW || g->timer == TIMER_NONE || g->starved;
}

bool cress_ready(const cress_greenlet *g)
{
    return g->state == GREENLET_ENDED;
}

bool cress_successful(const cress_greenlet *g)
{
    return g->state == GREENLET_ENDED && g->error == 0;
}

bool cress_was_killed(const cress_greenlet *g)
{
    return g->state == GREENLET_ENDED && g->killed;
}

void *cress_value(const cress_greenlet *g)
{
    return g->value;
}

int cress_error(const cress_greenlet *g)
{
    return g->state == GREENLET_ENDED ? g->error : 0;
}

cress_waitable *cress_greenlet_waitable(cress_greenlet *g)
{
    return &g->done;
}

uint64_t cress_id(const cress_greenlet *g)
{
    return g->id;
}

void cress_set_hooks(cress_greenlet *g, const cress_greenlet_hooks *hooks, void *arg)
{
    g->hooks = hooks;
    g->hooks_arg = arg;
}

int cress_set_name(cress_greenlet *g, const char *format, ...)
{
    char name[NAME_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    struct greenlet_extra *extra = greenlet_extra(g);
    char *copy = extra ? strdup(name) : NULL;
    if (!copy)
        return -1;
    free(extra->name);
    extra->name = copy;
    return 0;
}

/* "greenlet-N", without the C library's formatting: also a signal handler asks. */
static void number_name(uint64_t id, char *buf, size_t size)
{
    char text[40] = "greenlet-", digits[24], *at = digits + sizeof digits - 1;

    *at = '\0';
    do
        *--at = (char)('0' + id % 10);
    while ((id /= 10) != 0);
    memcpy(text + strlen(text), at, strlen(at) + 1);
    size_t len = strlen(text) < size ? strlen(text) : size - 1;
    memcpy(buf, text, len);
    buf[len] = '\0';
}

const char *cress_name(const cress_greenlet *g, char *buf, size_t size)
{
    if (size == 0)
        return buf;
    buf[0] = '\0';
    if (g->hooks && g->hooks->describe) {
        g->hooks->describe(g->hooks_arg, buf, size);
    } else if (g->extra && g->extra->name) {
        size_t len = strnlen(g->extra->name, size - 1);
        memcpy(buf, g->extra->name, len);
        buf[len] = '\0';
    }
    if (buf[0] == '\0')
        number_name(g->id, buf, size);
    return buf;
}
