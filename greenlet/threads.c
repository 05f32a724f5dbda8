/* Threads, and the queue that they take jobs off.
 *
 * They are started as jobs come and leave when they have been idle for a while. Each that leaves
 * joins the one that left before it, so that at most one ended thread keeps its
 * stack until the next one leaves, or all end.
 */
#define _GNU_SOURCE
#include "threads.h"

#include "clock.h"
#include "post.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct worker {
    struct worker *next, *prev;
    struct threads *crew;
    pthread_t thread;
};

struct threads {
    struct hub *hub;
    unsigned max;
    cress_seconds patience;
    size_t stack_size;

    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t work;  /* there is a job, or the end has come */
    pthread_cond_t quiet; /* none works, or none is left */
    struct job *first, **last;
    size_t queued;
    unsigned count, busy, leaving;
    struct worker *workers; /* those that left too, until they are joined */
    struct worker *left;    /* the last that left */
    bool closing;
};

static _Thread_local struct job *current_job;

/* ---- on the threads ------------------------------------------------------------------ */

/* The lock is held. */
static void await_work(struct threads *t)
{
    struct timespec end = clock_after(CLOCK_MONOTONIC, t->patience);
    int error = 0;

    while (!t->first && !t->closing && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&t->work, &t->lock, &end);
}

/* The lock is held. NULL: none came in time, or none will. */
static struct job *take_job(struct threads *t)
{
    if (!t->first)
        await_work(t);
    struct job *job = t->first;
    if (!job)
        return NULL;
    t->first = job->next;
    if (!t->first)
        t->last = &t->first;
    t->queued--;
    job->queued = false;
    return job;
}

/* The lock is held, and released meanwhile. Once the job is posted this thread is free: one who
 * has the result and brings the next job need not start another. */
static void run_job(struct threads *t, struct job *job)
{
    t->busy++;
    pthread_mutex_unlock(&t->lock);
    current_job = job;
    errno = 0;
    job->value = job->fn(job->arg);
    current_job = NULL;
    pthread_mutex_lock(&t->lock);
    t->busy--;
    hub_post(t->hub, &job->task);
    if (t->busy == 0)
        pthread_cond_broadcast(&t->quiet);
}

void *threads_fail(int error)
{
    assert(current_job);
    current_job->error = error ? error : EIO;
    return NULL;
}

/* The lock is held. */
static void delist(struct threads *t, struct worker *worker)
{
    if (worker->prev)
        worker->prev->next = worker->next;
    else
        t->workers = worker->next;
    if (worker->next)
        worker->next->prev = worker->prev;
}

/* The lock is held, and released meanwhile. */
static void join_left(struct threads *t)
{
    struct worker *before = t->left;

    t->left = NULL;
    delist(t, before);
    pthread_mutex_unlock(&t->lock);
    pthread_join(before->thread, NULL);
    free(before);
    pthread_mutex_lock(&t->lock);
}

/* The lock is held. */
static void leave(struct threads *t, struct worker *self)
{
    t->count--;
    t->leaving++;
    self->thread = pthread_self();
    while (t->left)
        join_left(t);
    t->left = self;
    t->leaving--;
    pthread_cond_broadcast(&t->quiet);
}

static void *work(void *arg)
{
    struct worker *self = arg;
    struct threads *t = self->crew;
    struct job *job;

    pthread_setname_np(pthread_self(), "cress-pool");
    pthread_mutex_lock(&t->lock);
    while ((job = take_job(t)))
        run_job(t, job);
    leave(t, self);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---- their life ---------------------------------------------------------------------- */

/* Faults of a job's own are still the job's; all else goes to other threads. */
static void block_signals(sigset_t *ret_previous)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
    sigset_t blocked;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, ret_previous);
}

/* Its error, as a number. */
static int create_thread(const struct threads *t, struct worker *worker)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t previous;
    int error = pthread_attr_init(&attributes);

    if (error)
        return error;
    error = pthread_attr_setstacksize(&attributes, t->stack_size);
    if (!error) {
        block_signals(&previous);
        error = pthread_create(&thread, &attributes, work, worker);
        pthread_sigmask(SIG_SETMASK, &previous, NULL);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

/* The lock is held. An error number. */
static int start_thread(struct threads *t)
{
    struct worker *worker = malloc(sizeof *worker);

    if (!worker)
        return ENOMEM;
    *worker = (struct worker){ .crew = t, .next = t->workers };
    if (worker->next)
        worker->next->prev = worker;
    t->workers = worker;
    t->count++;
    int error = create_thread(t, worker);
    if (!error)
        return 0;
    t->count--;
    delist(t, worker);
    free(worker);
    return error;
}

static void init_locks(struct threads *t)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->quiet, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct threads *threads_create(struct hub *hub, unsigned max, cress_seconds idle, size_t stack_size)
{
    const long least = sysconf(_SC_THREAD_STACK_MIN);
    struct threads *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    init_locks(t);
    t->hub = hub;
    t->max = max;
    t->patience = idle;
    t->stack_size = least > 0 && stack_size < (size_t)least ? (size_t)least : stack_size;
    t->last = &t->first;
    return t;
}

static void end_all(struct threads *t)
{
    pthread_mutex_lock(&t->lock);
    t->closing = true;
    pthread_cond_broadcast(&t->work);
    while (t->count || t->leaving)
        pthread_cond_wait(&t->quiet, &t->lock);
    if (t->left)
        join_left(t);
    pthread_mutex_unlock(&t->lock);
}

void threads_destroy(struct threads *t)
{
    end_all(t);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->quiet);
    free(t);
}

void threads_forget(struct threads *t)
{
    while (t->workers) {
        struct worker *worker = t->workers;
        t->workers = worker->next;
        free(worker);
    }
    free(t); /* its lock may be held, for ever */
}

unsigned threads_count(struct threads *t)
{
    pthread_mutex_lock(&t->lock);
    unsigned count = t->count;
    pthread_mutex_unlock(&t->lock);
    return count;
}

/* ---- the queue --------------------------------------------------------------------------- */

/* The lock is held. False: it has begun. */
static bool withdraw(struct threads *t, struct job *job)
{
    struct job **at = &t->first;

    if (!job->queued)
        return false;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    if (!*at)
        t->last = at;
    t->queued--;
    job->queued = false;
    return true;
}

/* The lock is held. An error number: no thread will ever take it. */
static int enqueue(struct threads *t, struct job *job)
{
    int error = 0;

    *t->last = job;
    t->last = &job->next;
    t->queued++;
    job->queued = true;
    if (t->queued > t->count - t->busy && t->count < t->max)
        error = start_thread(t);
    if (t->count > 0)
        error = 0;
    if (error)
        withdraw(t, job);
    else
        pthread_cond_signal(&t->work);
    return error;
}

int threads_put(struct threads *t, struct job *job)
{
    pthread_mutex_lock(&t->lock);
    int error = enqueue(t, job);
    pthread_mutex_unlock(&t->lock);
    return error;
}

bool threads_take_back(struct threads *t, struct job *job)
{
    pthread_mutex_lock(&t->lock);
    bool taken = withdraw(t, job);
    pthread_mutex_unlock(&t->lock);
    return taken;
}

struct job *threads_take_back_all(struct threads *t)
{
    pthread_mutex_lock(&t->lock);
    struct job *first = t->first;
    t->first = NULL;
    t->last = &t->first;
    t->queued = 0;
    for (struct job *job = first; job; job = job->next)
        job->queued = false;
    pthread_mutex_unlock(&t->lock);
    return first;
}

void threads_settle(struct threads *t)
{
    pthread_mutex_lock(&t->lock);
    while (t->first || t->busy)
        pthread_cond_wait(&t->quiet, &t->lock);
    pthread_mutex_unlock(&t->lock);
}
