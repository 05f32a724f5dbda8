/* A greenlet's life: spawned, run, ended; and those who wait for its end.
 *
 * Its end queues its links and wakes who joins it, in the order in which they came,
 * all behind what is ready already: gevent's order. Links come first, so that who
 * counts members by them has counted when a joiner runs. The record lives as long as
 * somebody holds a reference; records are kept for reuse by their hub.
 */
#include "hub.h"

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
    free(g->name);
    give_record(g);
    errno = saved;
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

static cress_greenlet *create(struct hub *hub, cress_fn *fn, void *arg)
{
    if (stack_reserve(&hub->stacks) < 0)
        return NULL;
    if (heap_reserve(&hub->timers, hub->stats.greenlets + 1) < 0)
        return NULL;
    cress_greenlet *g = take_record(hub);
    if (!g)
        return NULL;
    *g = (cress_greenlet){
        .hub = hub,
        .fn = fn,
        .arg = arg,
        .references = 2,
        .state = GREENLET_NEW,
        .timer = HEAP_NONE,
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

cress_greenlet *cress_spawn(cress_fn *fn, void *arg)
{
    struct hub *hub = hub_for_spawn();
    cress_greenlet *g = hub ? create(hub, fn, arg) : NULL;

    if (g)
        hub_ready(hub, g);
    return g;
}

cress_greenlet *cress_spawn_later(cress_seconds delay, cress_fn *fn, void *arg)
{
    struct hub *hub = hub_for_spawn();
    cress_greenlet *g = hub ? create(hub, fn, arg) : NULL;

    if (!g)
        return NULL;
    if (delay > 0)
        heap_add(&hub->timers, g, hub_deadline(delay));
    else
        hub_ready(hub, g);
    return g;
}

cress_greenlet *cress_self(void)
{
    return hub_current ? hub_current->current : NULL;
}

/* ---- running and ending ------------------------------------------------------------ */

static void check_timeouts_closed(const cress_greenlet *g)
{
    char name[NAME_MAX_BYTES];

    if (!g->timeouts)
        return;
    fprintf(stderr, "cress: greenlet %s returned with a cress_timeout still open\n",
            cress_name(g, name, sizeof name));
    abort();
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

    g->links = link->next; /* links run in order: it is the first */
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
    for (struct link *link = g->links; link; link = link->next)
        hub_call(hub, &link->task);
    waiter_wake_all(&g->done, 0);
    cress_release(g);
}

/* Gives the stack back and stays: see cress_rest. */
static void rest(cress_greenlet *g)
{
    g->state = GREENLET_RESTING;
    g->stack = NULL;
    g->parked = true;
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
    check_timeouts_closed(g);
    if (g->rests) {
        rest(g);
        return;
    }
    if (g->locals)
        local_finish_all(g);
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
    if (g->state == GREENLET_RESTING)
        hub_wake(g, 0);
}

void *cress_fail(int error)
{
    cress_greenlet *g = cress_self();

    assert(g);
    g->error = error ? error : EIO;
    return NULL;
}

/* ---- waiting for the end, and bringing it about --------------------------------------- */

/* [waits] Until the hub's clock says deadline. */
static int join_until(cress_greenlet *g, cress_seconds deadline)
{
    struct cress_waiter waiter;
    int result = 0;

    if (hub_check() < 0)
        return -1;
    if (g->state == GREENLET_ENDED)
        return 0;
    if (g == cress_self()) {
        errno = EDEADLK;
        return -1;
    }
    cress_retain(g);
    result = waiter_wait(&g->done, &waiter, deadline - hub_current->now, "the end of");
    cress_release(g);
    return result;
}

int cress_join(cress_greenlet *g, cress_seconds timeout)
{
    return cress_joinall(&g, 1, timeout);
}

int cress_joinall(cress_greenlet *const gs[], size_t count, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    cress_seconds deadline = hub_deadline(timeout);
    for (size_t i = 0; i < count; i++)
        if (gs[i] && join_until(gs[i], deadline) < 0)
            return -1;
    return 0;
}

int cress_get(cress_greenlet *g, void **ret_value, cress_seconds timeout)
{
    if (cress_join(g, timeout) < 0)
        return -1;
    if (g->error) {
        errno = g->error;
        return -1;
    }
    if (ret_value)
        *ret_value = g->value;
    return 0;
}

void cress_cancel(cress_greenlet *g)
{
    if (!g || g->cancelled || g->state == GREENLET_ENDED)
        return;
    g->cancelled = true;
    if (g->state == GREENLET_NEW && g->timer != HEAP_NONE) {
        heap_remove(&g->hub->timers, g);
        hub_ready(g->hub, g);
    } else if (g->state == GREENLET_RESTING) {
        hub_wake(g, 0);
    } else if (hub_kill_reaches(g)) {
        hub_wake(g, ECANCELED);
    }
}

int cress_kill(cress_greenlet *g, cress_seconds timeout)
{
    return cress_killall(&g, 1, timeout);
}

int cress_killall(cress_greenlet *const gs[], size_t count, cress_seconds timeout)
{
    cress_greenlet *self = cress_self();
    bool suicide = false;

    for (size_t i = 0; i < count; i++) {
        cress_cancel(gs[i]);
        suicide |= gs[i] && gs[i] == self;
    }
    if (suicide)
        return hub_check();
    return cress_joinall(gs, count, timeout);
}

int cress_link(cress_greenlet *g, cress_link_fn *fn, void *arg)
{
    if (g->hub != hub_current) {
        errno = EPERM;
        return -1;
    }
    struct link *link = malloc(sizeof *link), **last = &g->links;
    if (!link)
        return -1;
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
    struct link **at = &g->links;

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
    return g->state != GREENLET_NEW || g->timer == HEAP_NONE;
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
    char *copy = strdup(name);
    if (!copy)
        return -1;
    free(g->name);
    g->name = copy;
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
    } else if (g->name) {
        size_t len = strnlen(g->name, size - 1);
        memcpy(buf, g->name, len);
        buf[len] = '\0';
    }
    if (buf[0] == '\0')
        number_name(g->id, buf, size);
    return buf;
}
