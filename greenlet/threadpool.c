/* A pool, as greenlets see it; threads.c has its threads.
 *
 * A job is a node on the stack of the greenlet that waits for it. It goes to the
 * threads through their queue, and comes back as a post to the hub, which wakes the
 * greenlet. All else - who has a place, who waits for one - is the hub's own and needs
 * no lock.
 *
 * A place is what a job takes from the moment when its greenlet may queue it until that
 * has the result: there are as many as threads and room in the queue. Who gives one back
 * hands it to the oldest that waits.
 */
#include <cress/threadpool.h>

#include "hub.h"
#include "misuse.h"
#include "post.h"
#include "threads.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_THREADS = 10, MAX_QUEUE = 100 };
static const cress_seconds IDLE = 5.0, LONGEST_IDLE = 1e6;
static const char WHAT[] = "the threads of pool";

#if defined(CRESS_ASAN) || defined(CRESS_TSAN)
static const size_t STACK_SIZE = 2 * 1024 * 1024;
#else
static const size_t STACK_SIZE = 512 * 1024;
#endif

struct cress_threadpool_crew {
    struct hub *hub;
    struct threads *threads;
    unsigned forks; /* of the process, when it was made */
    size_t max_places, places;
    bool closing;
    cress_waitable line;  /* who waits for a place */
    cress_waitable empty; /* who waits until none is taken */
};

typedef struct cress_threadpool_crew crew;

/* ---- a crew's life --------------------------------------------------------------------- */

static crew *create(const cress_threadpool *pool)
{
    unsigned max = pool->max_threads ? pool->max_threads : MAX_THREADS;
    cress_seconds idle = pool->idle > 0 ? fmin(pool->idle, LONGEST_IDLE) : IDLE;
    crew *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->hub = hub_current;
    c->forks = hub_forks;
    c->max_places = max + (pool->max_queue ? pool->max_queue : MAX_QUEUE);
    c->threads =
        threads_create(c->hub, max, idle, pool->stack_size ? pool->stack_size : STACK_SIZE);
    if (c->threads)
        return c;
    free(c);
    return NULL;
}

/* A forked child has the parent's crew in its memory, but not the threads. */
static void forget_parents(cress_threadpool *pool)
{
    crew *c = pool->crew;

    if (!c || c->forks == hub_forks)
        return;
    threads_forget(c->threads);
    free(c);
    pool->crew = NULL;
}

/* ---- places ------------------------------------------------------------------------------- */

/* [waits] */
static int take_place(crew *c)
{
    struct cress_waiter waiter;

    if (c->places >= c->max_places)
        return waiter_wait(&c->line, &waiter, CRESS_FOREVER, "a place in thread pool");
    c->places++;
    return 0;
}

static void give_place(crew *c)
{
    int saved = errno;
    struct cress_waiter *waiter = waiter_pop(&c->line);

    if (waiter)
        hub_wake(waiter->greenlet, 0);
    else if (--c->places == 0)
        waiter_wake_all(&c->empty, 0);
    errno = saved;
}

/* [waits], whatever happens. */
static void await_empty(crew *c)
{
    struct cress_waiter waiter;
    cress_timeout shield;

    if (c->places == 0)
        return;
    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    while (c->places)
        waiter_wait(&c->empty, &waiter, CRESS_FOREVER, WHAT);
    cress_timeout_close(&shield);
}

/* ---- a job ---------------------------------------------------------------------------------- */

static void end_job(struct task *task)
{
    struct job *job = (struct job *)task;

    job->ended = true;
    waiter_wake_all(&job->over, 0);
}

static int submit(crew *c, struct job *job)
{
    int error = c->closing ? EPIPE : 0;

    if (!error && hub_expect(c->hub) < 0)
        error = errno;
    if (!error) {
        error = threads_put(c->threads, job);
        if (error)
            hub_unexpect(c->hub);
    }
    if (!error && c->hub->simulation)
        threads_settle(c->threads); /* what comes next is not the threads' choice */
    errno = error;
    return error ? -1 : 0;
}

static void await_end(struct job *job)
{
    struct cress_waiter waiter;
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    while (!job->ended)
        waiter_wait(&job->over, &waiter, CRESS_FOREVER, WHAT);
    cress_timeout_close(&shield);
}

/* The greenlet's wait was ended by a kill or a limit: the job goes on only if it has begun. */
static void abandon(crew *c, struct job *job)
{
    int saved = errno;

    if (threads_take_back(c->threads, job))
        hub_unexpect(c->hub);
    else
        await_end(job);
    errno = saved;
}

static int await_job(crew *c, struct job *job)
{
    struct cress_waiter waiter;

    if (waiter_wait(&job->over, &waiter, CRESS_FOREVER, WHAT) < 0) {
        abandon(c, job);
        return -1;
    }
    errno = job->error;
    return job->error ? -1 : 0;
}

/* [waits] The caller's place is given back. */
static int run_in_place(crew *c, cress_fn *fn, void *arg, void **ret_value)
{
    struct job job = { .task.run = end_job, .fn = fn, .arg = arg };
    int result = submit(c, &job);

    if (result == 0)
        result = await_job(c, &job);
    if (result == 0 && ret_value)
        *ret_value = job.value;
    give_place(c);
    return result;
}

/* ---- the calls ------------------------------------------------------------------------------- */

static crew *crew_of(cress_threadpool *pool, const void *site)
{
    if (hub_check() < 0)
        return NULL;
    if (!pool)
        pool = &hub_current->threads;
    forget_parents(pool);
    if (!pool->crew)
        pool->crew = create(pool);
    if (pool->crew && pool->crew->hub != hub_current) {
        misuse_at(site, EPERM, "a thread pool that belongs to another hub");
        return NULL;
    }
    return pool->crew;
}

int cress_threadpool_apply(cress_threadpool *pool, cress_fn *fn, void *arg, void **ret_value)
{
    crew *c = crew_of(pool, __builtin_return_address(0));

    if (!c || take_place(c) < 0)
        return -1;
    return run_in_place(c, fn, arg, ret_value);
}

struct errand {
    crew *crew;
    cress_fn *fn;
    void *arg;
    bool begun;
};

static void *run_errand(void *arg)
{
    struct errand *errand = arg;
    void *value;

    errand->begun = true;
    if (run_in_place(errand->crew, errand->fn, errand->arg, &value) < 0)
        return cress_fail(errno);
    return value;
}

static void end_errand(cress_greenlet *g, void *arg)
{
    struct errand *errand = arg;

    (void)g;
    if (!errand->begun)
        give_place(errand->crew);
    free(errand);
}

static cress_greenlet *spawn_errand(struct errand *errand, const void *site)
{
    cress_greenlet *g = greenlet_spawn_at(run_errand, errand, site);

    if (!g || cress_link(g, end_errand, errand) == 0)
        return g;
    cress_cancel(g);
    cress_release(g);
    errno = ENOMEM;
    return NULL;
}

cress_greenlet *cress_threadpool_spawn(cress_threadpool *pool, cress_fn *fn, void *arg)
{
    const void *site = __builtin_return_address(0);
    crew *c = crew_of(pool, site);

    if (!c || take_place(c) < 0)
        return NULL;
    struct errand *errand = malloc(sizeof *errand);
    if (errand)
        *errand = (struct errand){ .crew = c, .fn = fn, .arg = arg };
    cress_greenlet *g = errand ? spawn_errand(errand, site) : NULL;
    if (g)
        return g;
    int saved = errno;
    free(errand);
    give_place(c);
    errno = saved;
    return NULL;
}

int cress_threadpool_join(cress_threadpool *pool, cress_seconds timeout)
{
    crew *c = crew_of(pool, __builtin_return_address(0));

    if (!c)
        return -1;
    if (c->places == 0)
        return 0;
    return waiter_watch(&c->empty, hub_deadline(timeout), WHAT);
}

/* Who waits for a place, and whose job has not begun, is told. */
static void turn_away(crew *c)
{
    struct job *job, *next;

    c->closing = true;
    waiter_wake_all(&c->line, EPIPE);
    for (job = threads_take_back_all(c->threads); job; job = next) {
        next = job->next;
        job->error = EPIPE;
        hub_unexpect(c->hub);
        end_job(&job->task);
    }
}

int cress_threadpool_finish(cress_threadpool *pool)
{
    if (pool)
        forget_parents(pool);
    crew *c = pool ? pool->crew : NULL;
    if (!c)
        return 0;
    if (c->places && c->hub != hub_current)
        return misuse(EPERM, "cress_threadpool_finish: jobs run for another hub's greenlets");
    if (c->places && !cress_self())
        return misuse(EBUSY, "cress_threadpool_finish: jobs run, and the caller cannot wait");
    int saved = errno;
    pool->crew = NULL;
    turn_away(c);
    await_empty(c);
    threads_destroy(c->threads);
    free(c);
    errno = saved;
    return 0;
}

unsigned cress_threadpool_threads(const cress_threadpool *pool)
{
    crew *c = pool->crew;

    return c && c->forks == hub_forks ? threads_count(c->threads) : 0;
}

size_t cress_threadpool_jobs(const cress_threadpool *pool)
{
    return pool->crew && pool->crew->forks == hub_forks ? pool->crew->places : 0;
}

cress_threadpool *cress_hub_threadpool(void)
{
    return hub_current ? &hub_current->threads : NULL;
}

/* ---- files --------------------------------------------------------------------------------------- */

struct file_call {
    int fd;
    void *buf;
    size_t len;
    ssize_t count;
};

static void *read_on_thread(void *arg)
{
    struct file_call *t = arg;

    t->count = read(t->fd, t->buf, t->len);
    return t->count < 0 ? cress_fail(errno) : NULL;
}

static void *write_on_thread(void *arg)
{
    struct file_call *t = arg;

    t->count = write(t->fd, t->buf, t->len);
    return t->count < 0 ? cress_fail(errno) : NULL;
}

ssize_t cress_tp_read(int fd, void *buf, size_t len)
{
    struct file_call t = { fd, buf, len, 0 };

    return cress_threadpool_apply(NULL, read_on_thread, &t, NULL) < 0 ? -1 : t.count;
}

ssize_t cress_tp_write(int fd, const void *buf, size_t len)
{
    struct file_call t = { fd, (void *)(uintptr_t)buf, len, 0 };

    return cress_threadpool_apply(NULL, write_on_thread, &t, NULL) < 0 ? -1 : t.count;
}
