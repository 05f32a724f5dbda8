/* Jobs are held at a gate and let through one by one, so that what runs, what is queued
 * and what stands in line is known. */
#define _GNU_SOURCE
#include "descriptors.h"
#include "fail_alloc.h"
#include "hub_test.h"
#include "other_hub.h"

#include <cress/event.h>
#include <cress/simulation.h>
#include <cress/threadpool.h>
#include <cress/timeout.h>

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- pthread_create that fails ------------------------------------------------------------ */

static bool no_more_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *arg)
{
    return no_more_threads ? EAGAIN : __real_pthread_create(thread, attributes, fn, arg);
}

/* ---- jobs ------------------------------------------------------------------------------------- */

static sem_t gate;
static atomic_int begun, running, most_running, ended;

static void reset_gate(void)
{
    sem_init(&gate, 0, 0);
    begun = running = most_running = ended = 0;
}

static void open_gate(int count)
{
    while (count-- > 0)
        sem_post(&gate);
}

/* Stands still, for as long as a thread needs to begin. */
static void await_begun(int count)
{
    while (begun < count)
        usleep(100);
}

static void *pass_gate(void *arg)
{
    int now = ++running;

    if (now > most_running)
        most_running = now;
    begun++;
    while (sem_wait(&gate) < 0)
        continue;
    running--;
    ended++;
    return arg;
}

static void *give_back(void *arg)
{
    return arg;
}

/* ---- greenlets that want jobs done --------------------------------------------------------- */

struct wish {
    cress_threadpool *pool;
    cress_fn *fn;
    const char *name;
    int error;
};

static void *apply_wish(void *arg)
{
    struct wish *w = arg;
    void *value = NULL;

    if (cress_threadpool_apply(w->pool, w->fn ? w->fn : pass_gate, w, &value) < 0)
        w->error = errno;
    else
        assert_ptr_equal(value, w);
    trace("%s: %s", w->name, w->error ? strerror(w->error) : "done");
    return NULL;
}

static char beginnings[16];

static void *note_beginning(void *arg)
{
    struct wish *w = arg;

    beginnings[begun++] = w->name[0]; /* on the only thread */
    return arg;
}

/* ---- values and errors --------------------------------------------------------------------------- */

static pthread_t hub_thread;

static void *look_around(void *arg)
{
    sigset_t blocked;
    char name[16];

    assert_false(pthread_equal(pthread_self(), hub_thread));
    assert_false(cress_running());
    assert_errno(EPERM, cress_sleep(1));
    assert_null(cress_hub_threadpool());
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    assert_true(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD));
    assert_false(sigismember(&blocked, SIGSEGV));
    pthread_getname_np(pthread_self(), name, sizeof name);
    assert_string_equal(name, "cress-pool");
    return arg;
}

static void test_a_job_runs_on_a_thread(void)
{
    int x = 1;
    void *value = NULL;

    hub_thread = pthread_self();
    assert_ok(cress_threadpool_apply(NULL, look_around, &x, &value));
    assert_ptr_equal(value, &x);
    assert_ok(cress_threadpool_apply(NULL, look_around, &x, NULL));
    assert_int_equal(cress_threadpool_threads(cress_hub_threadpool()), 1); /* the same */
    assert_int_equal(cress_threadpool_jobs(cress_hub_threadpool()), 0);
}

static void *fail_by_open(void *arg)
{
    return open(arg, O_RDONLY | O_CLOEXEC) < 0 ? cress_fail(errno) : NULL;
}

static void *fail_by_nothing(void *arg)
{
    (void)arg;
    return cress_fail(0);
}

static void test_a_jobs_error_is_the_calls(void)
{
    void *value = "untouched";

    assert_errno(ENOENT, cress_threadpool_apply(NULL, fail_by_open, "/no/such", &value));
    assert_string_equal(value, "untouched");
    assert_errno(EIO, cress_threadpool_apply(NULL, fail_by_nothing, NULL, NULL));
    assert_ok(cress_threadpool_apply(NULL, give_back, NULL, NULL)); /* no trace of it */
}

static void *count_turns(void *turns)
{
    while (ended == 0) {
        if (++*(int *)turns == 10)
            open_gate(1);
        if (cress_sleep(0) < 0)
            break;
    }
    return NULL;
}

static void test_others_run_meanwhile(void)
{
    int turns = 0;

    reset_gate();
    spawn(count_turns, &turns);
    assert_ok(cress_threadpool_apply(NULL, pass_gate, NULL, NULL));
    settle();
    assert_true(turns >= 10);
}

static void *run_hub_of_its_own(void *arg)
{
    return run_virtual(give_back, arg) < 0 ? cress_fail(errno) : arg;
}

static void test_a_job_may_run_a_hub(void)
{
    assert_ok(cress_threadpool_apply(NULL, run_hub_of_its_own, NULL, NULL));
}

/* ---- bounds ------------------------------------------------------------------------------------- */

static void test_no_more_threads_than_allowed(void)
{
    enum { JOBS = 9, THREADS = 3 };
    cress_threadpool pool = { .max_threads = THREADS };
    struct wish wishes[JOBS];
    cress_greenlet *gs[JOBS];

    reset_gate();
    for (int i = 0; i < JOBS; i++) {
        wishes[i] = (struct wish){ .pool = &pool, .name = "job" };
        gs[i] = cress_spawn(apply_wish, &wishes[i]);
    }
    settle();
    await_begun(THREADS);
    assert_int_equal(cress_threadpool_threads(&pool), THREADS);
    assert_int_equal(cress_threadpool_jobs(&pool), JOBS);
    open_gate(JOBS);
    assert_ok(cress_joinall(gs, JOBS, CRESS_FOREVER));
    assert_int_equal(most_running, THREADS);
    assert_int_equal(ended, JOBS);
    assert_trace("job: done\njob: done\njob: done\njob: done\njob: done\njob: done\n"
                 "job: done\njob: done\njob: done\n");
    for (int i = 0; i < JOBS; i++)
        cress_release(gs[i]);
    assert_ok(cress_threadpool_finish(&pool));
}

/* One runs, one is queued, the others stand in line. */
static void test_jobs_begin_in_order(void)
{
    cress_threadpool pool = { .max_threads = 1, .max_queue = 1 };
    struct wish first = { .pool = &pool, .name = "first" };
    struct wish wishes[] = {
        { .pool = &pool, .fn = note_beginning, .name = "a" },
        { .pool = &pool, .fn = note_beginning, .name = "b" },
        { .pool = &pool, .fn = note_beginning, .name = "c" },
        { .pool = &pool, .fn = note_beginning, .name = "d" },
    };
    cress_greenlet *gs[4];

    reset_gate();
    spawn(apply_wish, &first);
    settle();
    for (int i = 0; i < 4; i++)
        gs[i] = cress_spawn(apply_wish, &wishes[i]);
    settle();
    assert_int_equal(cress_threadpool_jobs(&pool), 2);
    assert_ok(cress_kill(gs[2], CRESS_FOREVER)); /* from the middle of the line */
    assert_trace("c: Operation canceled\n");
    await_begun(1);
    open_gate(1);
    assert_ok(cress_joinall(gs, 4, CRESS_FOREVER));
    assert_ok(cress_threadpool_join(&pool, CRESS_FOREVER));
    assert_int_equal(begun, 4);
    assert_memory_equal(beginnings + 1, "abd", 3);
    assert_trace("first: done\na: done\nb: done\nd: done\n");
    for (int i = 0; i < 4; i++)
        cress_release(gs[i]);
    assert_ok(cress_threadpool_finish(&pool));
}

/* ---- kills and limits ------------------------------------------------------------------------------- */

static void test_a_kill_withdraws_what_has_not_begun(void)
{
    cress_threadpool pool = { .max_threads = 1 };
    struct wish first = { .pool = &pool, .name = "first" };
    struct wish queued = { .pool = &pool, .name = "queued" };
    cress_greenlet *g;

    reset_gate();
    spawn(apply_wish, &first);
    settle();
    await_begun(1);
    g = cress_spawn(apply_wish, &queued);
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER)); /* the gate is still closed */
    assert_trace("queued: Operation canceled\n");
    open_gate(1);
    assert_ok(cress_threadpool_finish(&pool));
    settle();
    assert_int_equal(begun, 1);
    assert_trace("first: done\n");
    cress_release(g);
}

static void test_a_kill_waits_for_what_runs(void)
{
    struct wish w = { .name = "job" };
    cress_greenlet *g;

    reset_gate();
    g = cress_spawn(apply_wish, &w);
    settle();
    await_begun(1);
    cress_cancel(g);
    settle();
    assert_false(cress_ready(g)); /* w must not go while the job has it */
    assert_trace("");
    open_gate(1);
    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_int_equal(ended, 1);
    assert_trace("job: Operation canceled\n");
    assert_true(cress_was_killed(g));
    cress_release(g);
}

static void *apply_with_limit(void *arg)
{
    cress_timeout limit;
    void *value = "untouched";

    cress_timeout_start(&limit, 0.01);
    assert_errno(ETIMEDOUT, cress_threadpool_apply(arg, pass_gate, NULL, &value));
    assert_string_equal(value, "untouched");
    assert_true(cress_timeout_expired(&limit));
    cress_timeout_close(&limit);
    assert_ok(cress_sleep(0)); /* nothing of it stays */
    return NULL;
}

/* While threads work time passes, also with the virtual clock. */
static void test_limits(void)
{
    cress_threadpool pool = { .max_threads = 1 };
    cress_greenlet *runs, *queued;

    reset_gate();
    runs = cress_spawn(apply_with_limit, &pool);
    queued = cress_spawn(apply_with_limit, &pool);
    assert_ok(cress_join(queued, CRESS_FOREVER));
    await_begun(1);
    assert_ok(cress_sleep(0.02));
    assert_false(cress_ready(runs));
    open_gate(1);
    assert_ok(cress_join(runs, CRESS_FOREVER));
    assert_int_equal(begun, 1);
    cress_release(runs);
    cress_release(queued);
    assert_ok(cress_threadpool_finish(&pool));
}

/* ---- spawn --------------------------------------------------------------------------------------------- */

static void test_spawn(void)
{
    cress_greenlet *good = cress_threadpool_spawn(NULL, give_back, "value");
    cress_greenlet *bad = cress_threadpool_spawn(NULL, fail_by_open, "/no/such");
    void *value;

    assert_ok(cress_get(good, &value, CRESS_FOREVER));
    assert_string_equal(value, "value");
    assert_errno(ENOENT, cress_get(bad, NULL, CRESS_FOREVER));
    settle();
    assert_int_equal(cress_threadpool_jobs(cress_hub_threadpool()), 0);
    cress_release(good);
    cress_release(bad);
}

static void test_spawn_waits_for_a_place(void)
{
    cress_threadpool pool = { .max_threads = 1, .max_queue = 1 };
    cress_greenlet *gs[2], *third;
    cress_timeout limit;

    reset_gate();
    for (int i = 0; i < 2; i++)
        gs[i] = cress_threadpool_spawn(&pool, pass_gate, NULL);
    cress_timeout_start(&limit, 0.001);
    assert_null(cress_threadpool_spawn(&pool, pass_gate, NULL));
    assert_int_equal(errno, ETIMEDOUT);
    cress_timeout_close(&limit);
    cress_cancel(gs[1]); /* its place is free again */
    third = cress_threadpool_spawn(&pool, pass_gate, NULL);
    assert_non_null(third);
    open_gate(2);
    assert_ok(cress_join(third, CRESS_FOREVER));
    assert_true(cress_was_killed(gs[1]));
    assert_int_equal(ended, 2);
    cress_release(gs[0]);
    cress_release(gs[1]);
    cress_release(third);
    assert_ok(cress_threadpool_finish(&pool));
}

static void test_a_kill_before_the_first_turn(void)
{
    cress_threadpool pool = { .max_threads = 1 };
    cress_greenlet *g = cress_threadpool_spawn(&pool, pass_gate, NULL);

    reset_gate();
    assert_int_equal(cress_threadpool_jobs(&pool), 1);
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_ok(cress_threadpool_join(&pool, CRESS_FOREVER));
    assert_int_equal(begun, 0);
    cress_release(g);
    assert_ok(cress_threadpool_finish(&pool));
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

static void test_idle_threads_leave(void)
{
    cress_threadpool pool = { .max_threads = 4, .idle = 0.001 };

    for (int round = 0; round < 3; round++) {
        cress_greenlet *gs[4];

        reset_gate();
        for (int i = 0; i < 4; i++)
            gs[i] = cress_threadpool_spawn(&pool, pass_gate, NULL);
        settle();
        await_begun(4);
        assert_int_equal(cress_threadpool_threads(&pool), 4);
        open_gate(4);
        assert_ok(cress_joinall(gs, 4, CRESS_FOREVER));
        for (int i = 0; i < 4; i++)
            cress_release(gs[i]);
        while (cress_threadpool_threads(&pool) > 0)
            usleep(100);
    }
    assert_ok(cress_threadpool_finish(&pool));
}

static void test_join_has_a_limit(void)
{
    cress_greenlet *g;

    reset_gate();
    assert_ok(cress_threadpool_join(NULL, 0)); /* nothing there */
    g = cress_threadpool_spawn(NULL, pass_gate, NULL);
    assert_errno(ETIMEDOUT, cress_threadpool_join(NULL, 0));
    assert_errno(ETIMEDOUT, cress_threadpool_join(NULL, 0.001));
    open_gate(1);
    assert_ok(cress_threadpool_join(NULL, CRESS_FOREVER));
    assert_int_equal(ended, 1);
    cress_release(g);
}

static void *open_gate_once(void *arg)
{
    open_gate(1);
    return arg;
}

static void test_finish_turns_away(void)
{
    cress_threadpool pool = { .max_threads = 1, .max_queue = 1 };
    struct wish runs = { .pool = &pool, .name = "runs" };
    struct wish queued = { .pool = &pool, .name = "queued" };
    struct wish in_line = { .pool = &pool, .name = "in line" };

    reset_gate();
    spawn(apply_wish, &runs);
    spawn(apply_wish, &queued);
    spawn(apply_wish, &in_line);
    settle();
    await_begun(1);
    spawn(open_gate_once, NULL); /* when the others have been turned away */
    errno = EXDEV;
    assert_ok(cress_threadpool_finish(&pool));
    assert_int_equal(errno, EXDEV);
    assert_int_equal(ended, 1);
    settle();
    assert_trace("in line: Broken pipe\nqueued: Broken pipe\nruns: done\n");
    assert_ok(cress_threadpool_apply(&pool, give_back, NULL, NULL)); /* as new */
    assert_ok(cress_threadpool_finish(&pool));
    assert_ok(cress_threadpool_finish(&pool));
    assert_ok(cress_threadpool_finish(NULL));
}

static void *finish_it(void *pool)
{
    assert_ok(cress_threadpool_finish(pool));
    trace("finished");
    return NULL;
}

static void test_a_killed_greenlet_can_finish(void)
{
    cress_threadpool pool = { .max_threads = 1 };
    struct wish w = { .pool = &pool, .name = "job" };
    cress_greenlet *g;

    reset_gate();
    spawn(apply_wish, &w);
    settle();
    await_begun(1);
    g = cress_spawn(finish_it, &pool);
    settle();
    cress_cancel(g);
    settle();
    assert_trace("");
    open_gate(1);
    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_trace("job: done\nfinished\n");
    cress_release(g);
}

static int left_behind;

static void *apply_until_the_end(void *pool)
{
    while (cress_threadpool_apply(pool, pass_gate, NULL, NULL) == 0)
        continue;
    assert_int_equal(errno, ECANCELED);
    left_behind++;
    return NULL;
}

static void *leave_jobs_behind(void *pool)
{
    for (int i = 0; i < 3; i++)
        spawn(apply_until_the_end, pool);
    settle();
    await_begun(1);
    open_gate(3); /* and they still have some way to go */
    return NULL;
}

static void test_a_hub_ends_after_its_jobs(void **state)
{
    cress_threadpool pool = { .max_threads = 1 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        reset_gate();
        left_behind = 0;
        assert_ok(run_virtual(leave_jobs_behind, i == 0 ? NULL : &pool));
        assert_int_equal(running, 0);
        assert_int_equal(begun, ended);
        assert_int_equal(left_behind, 3);
    }
    assert_ok(cress_threadpool_finish(&pool)); /* after its hub's end */
}

/* ---- what fails ------------------------------------------------------------------------------------------- */

static void test_no_thread_at_all(void)
{
    cress_threadpool pool = { .max_threads = 2 };

    no_more_threads = true;
    assert_errno(EAGAIN, cress_threadpool_apply(&pool, give_back, NULL, NULL));
    assert_int_equal(cress_threadpool_jobs(&pool), 0);
    no_more_threads = false;
    assert_ok(cress_threadpool_apply(&pool, give_back, NULL, NULL));
    assert_ok(cress_threadpool_finish(&pool));
}

static void test_fewer_threads_than_allowed(void)
{
    cress_threadpool pool = { .max_threads = 2 };
    cress_greenlet *gs[2];

    reset_gate();
    gs[0] = cress_threadpool_spawn(&pool, pass_gate, NULL);
    settle();
    await_begun(1);
    no_more_threads = true;
    gs[1] = cress_threadpool_spawn(&pool, pass_gate, NULL);
    settle();
    no_more_threads = false;
    open_gate(2);
    assert_ok(cress_joinall(gs, 2, CRESS_FOREVER));
    assert_true(cress_successful(gs[0]) && cress_successful(gs[1]));
    assert_int_equal(most_running, 1);
    cress_release(gs[0]);
    cress_release(gs[1]);
    assert_ok(cress_threadpool_finish(&pool));
}

static void test_out_of_memory(void)
{
    bool failed = true;

    for (int before = 0; failed; before++) {
        cress_threadpool pool = { .max_threads = 1 };

        allocations_left = before;
        int result = cress_threadpool_apply(&pool, give_back, NULL, NULL), error = errno;
        failed = end_failing();
        assert_int_equal(result, failed ? -1 : 0);
        assert_true(!failed || error == ENOMEM);
        assert_int_equal(cress_threadpool_jobs(&pool), 0);
        assert_ok(cress_threadpool_finish(&pool));
    }
}

static void test_out_of_memory_spawning(void)
{
    bool failed = true;

    for (int before = 0; failed; before++) {
        cress_threadpool pool = { .max_threads = 1 };

        allocations_left = before;
        cress_greenlet *g = cress_threadpool_spawn(&pool, give_back, NULL);
        int error = errno;
        failed = end_failing();
        assert_true(failed ? !g && error == ENOMEM : !!g);
        assert_ok(cress_threadpool_join(&pool, CRESS_FOREVER));
        cress_release(g);
        assert_ok(cress_threadpool_finish(&pool));
    }
}

static void *use_foreign(void *pool)
{
    assert_errno(EPERM, cress_threadpool_apply(pool, give_back, NULL, NULL));
    assert_null(cress_threadpool_spawn(pool, give_back, NULL));
    assert_int_equal(errno, EPERM);
    assert_errno(EPERM, cress_threadpool_join(pool, 0));
    assert_errno(EPERM, cress_threadpool_finish(pool));
    return NULL;
}

static void finish_in_hub(cress_greenlet *g, void *pool)
{
    (void)g;
    assert_errno(EBUSY, cress_threadpool_finish(pool));
    trace("refused");
}

static void test_misuse(void)
{
    cress_threadpool pool = { .max_threads = 1 };
    cress_greenlet *g, *short_lived = cress_spawn(give_back, NULL);

    reset_gate();
    g = cress_threadpool_spawn(&pool, pass_gate, NULL);
    run_in_other_hub(use_foreign, &pool);
    assert_ok(cress_link(short_lived, finish_in_hub, &pool));
    settle();
    assert_trace("refused\n");
    await_begun(1);
    open_gate(1);
    assert_ok(cress_threadpool_finish(&pool));
    assert_true(cress_successful(g));
    cress_release(g);
    cress_release(short_lived);
}

static void test_outside_a_hub(void **state)
{
    cress_threadpool pool = { 0 };

    (void)state;
    assert_errno(EPERM, cress_threadpool_apply(&pool, give_back, NULL, NULL));
    assert_null(cress_threadpool_spawn(NULL, give_back, NULL));
    assert_int_equal(errno, EPERM);
    assert_ok(cress_threadpool_finish(&pool));
    assert_int_equal(cress_threadpool_threads(&pool), 0);
    assert_int_equal(cress_threadpool_jobs(&pool), 0);
}

static void test_no_descriptor_is_left(void)
{
    cress_threadpool pool = { 0 };
    void *value = NULL;

    descriptors_run_out();
    assert_errno(EMFILE, cress_threadpool_apply(&pool, give_back, &value, &value));
    descriptors_are_back();
    assert_int_equal(cress_threadpool_jobs(&pool), 0);
    assert_ok(cress_threadpool_apply(&pool, give_back, &value, &value));
    assert_ptr_equal(value, &value);
    assert_ok(cress_threadpool_finish(&pool));
}

static void *misuse_from_other_hub(void *arg)
{
    cress_threadpool pool = { 0 };

    assert_ok(cress_threadpool_apply(&pool, give_back, NULL, NULL));
    run_in_other_hub(use_foreign, &pool);
    return arg;
}

static void *misuse_finish_in_hub(void *arg)
{
    cress_threadpool pool = { 0 };
    cress_greenlet *g = cress_spawn(give_back, NULL);

    reset_gate();
    cress_threadpool_spawn(&pool, pass_gate, NULL);
    assert_ok(cress_link(g, finish_in_hub, &pool));
    settle();
    return arg;
}

static void *finish_foreign(void *pool)
{
    cress_threadpool_finish(pool);
    return NULL;
}

static void *misuse_finish_foreign(void *arg)
{
    cress_threadpool pool = { 0 };

    reset_gate();
    cress_threadpool_spawn(&pool, pass_gate, NULL);
    run_in_other_hub(finish_foreign, &pool);
    return arg;
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(misuse_from_other_hub, "a thread pool that belongs to another hub");
    assert_misuse(misuse_finish_in_hub, "cress_threadpool_finish: jobs run, and the caller");
    assert_misuse(misuse_finish_foreign, "cress_threadpool_finish: jobs run for another");
}

/* ---- files ------------------------------------------------------------------------------------------------- */

static void test_reading_and_writing_on_threads(void)
{
    int ends[2];
    char text[16] = "";

    assert_ok(pipe2(ends, O_CLOEXEC));
    cress_greenlet *g = cress_threadpool_spawn(NULL, give_back, NULL);
    assert_int_equal(cress_tp_write(ends[1], "hello", 5), 5);
    assert_int_equal(cress_tp_read(ends[0], text, sizeof text), 5);
    assert_string_equal(text, "hello");
    close(ends[0]);
    assert_errno(EPIPE, cress_tp_write(ends[1], "x", 1)); /* and no SIGPIPE */
    close(ends[1]);
    assert_errno(EBADF, cress_tp_read(ends[0], text, sizeof text));
    cress_release(g);
}

/* ---- many ---------------------------------------------------------------------------------------------------- */

enum { CALLERS = 60, ROUNDS = 20 };

static atomic_uint work_done;
static unsigned results, cancelled;

static void *work_a_little(void *arg)
{
    for (volatile int i = 0; i < (int)(intptr_t)arg; i++)
        continue;
    work_done++;
    return arg;
}

static void *call_often(void *pool)
{
    for (intptr_t i = 0; i < ROUNDS; i++) {
        void *value = NULL;

        if (cress_threadpool_apply(pool, work_a_little, (void *)(i * 100), &value) < 0) {
            assert_int_equal(errno, ECANCELED);
            cancelled++;
            return NULL;
        }
        assert_int_equal((intptr_t)value, i * 100);
        results++;
    }
    return NULL;
}

static void stress(bool with_kills)
{
    cress_threadpool pool = { .max_threads = 4, .max_queue = 8, .idle = 0.0002 };
    cress_greenlet *gs[CALLERS];

    work_done = results = cancelled = 0;
    for (int i = 0; i < CALLERS; i++)
        gs[i] = cress_spawn(call_often, &pool);
    for (int i = 0; with_kills && i < CALLERS; i += 3) {
        assert_ok(cress_threadpool_apply(&pool, give_back, NULL, NULL));
        cress_cancel(gs[i]);
    }
    assert_ok(cress_joinall(gs, CALLERS, CRESS_FOREVER));
    for (int i = 0; i < CALLERS; i++)
        cress_release(gs[i]);
    assert_int_equal(cress_threadpool_jobs(&pool), 0);
    assert_ok(cress_threadpool_finish(&pool));
}

static void test_many(void)
{
    stress(false);
    assert_int_equal(results, CALLERS * ROUNDS);
    assert_int_equal(work_done, CALLERS * ROUNDS);
}

static void test_many_with_kills(void)
{
    stress(true);
    assert_true(results >= (CALLERS - CALLERS / 3) * ROUNDS);
    assert_in_range(work_done, results, results + cancelled);
}

/* ---- simulated ------------------------------------------------------------------------------------------------- */

static char order[CALLERS + 1];
static size_t noted;

static void *note_turn(void *arg)
{
    void *letter = NULL;

    if (cress_sleep(0) < 0 || cress_threadpool_apply(NULL, work_a_little, arg, &letter) < 0)
        return cress_fail(errno);
    order[noted++] = (char)(intptr_t)letter;
    return NULL;
}

static void *note_all_turns(void *arg)
{
    cress_greenlet *gs[10];

    noted = 0;
    for (intptr_t i = 0; i < 10; i++)
        gs[i] = cress_spawn(note_turn, (void *)('a' + i));
    int result = cress_joinall(gs, 10, CRESS_FOREVER);
    for (int i = 0; i < 10; i++)
        cress_release(gs[i]);
    order[noted] = '\0';
    return result < 0 ? cress_fail(errno) : arg;
}

static void test_a_simulation_repeats(void **state)
{
    char first[CALLERS + 1];
    bool differed = false;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        assert_ok(cress_simulate(seed, note_all_turns, NULL));
        uint64_t digest = cress_simulation_digest();
        strcpy(first, order);
        assert_int_equal(strlen(first), 10);
        differed |= strcmp(first, "abcdefghij") != 0;
        for (int i = 0; i < 3; i++) {
            assert_ok(cress_simulate(seed, note_all_turns, NULL));
            assert_string_equal(order, first);
            assert_true(cress_simulation_digest() == digest);
        }
    }
    assert_true(differed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_a_job_runs_on_a_thread),
        HUB_TEST(test_a_jobs_error_is_the_calls),
        HUB_TEST(test_others_run_meanwhile),
        HUB_TEST(test_a_job_may_run_a_hub),
        HUB_TEST(test_no_more_threads_than_allowed),
        HUB_TEST(test_jobs_begin_in_order),
        HUB_TEST(test_a_kill_withdraws_what_has_not_begun),
        HUB_TEST(test_a_kill_waits_for_what_runs),
        HUB_TEST(test_limits),
        HUB_TEST(test_spawn),
        HUB_TEST(test_spawn_waits_for_a_place),
        HUB_TEST(test_a_kill_before_the_first_turn),
        HUB_TEST(test_idle_threads_leave),
        HUB_TEST(test_join_has_a_limit),
        HUB_TEST(test_finish_turns_away),
        HUB_TEST(test_a_killed_greenlet_can_finish),
        cmocka_unit_test(test_a_hub_ends_after_its_jobs),
        HUB_TEST(test_no_thread_at_all),
        HUB_TEST(test_fewer_threads_than_allowed),
        HUB_TEST(test_out_of_memory),
        HUB_TEST(test_out_of_memory_spawning),
        HUB_TEST(test_misuse),
        HUB_TEST(test_no_descriptor_is_left),
        cmocka_unit_test(test_outside_a_hub),
        cmocka_unit_test(test_misuse_stops),
        HUB_TEST(test_reading_and_writing_on_threads),
        HUB_TEST(test_many),
        HUB_TEST(test_many_with_kills),
        cmocka_unit_test(test_a_simulation_repeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
