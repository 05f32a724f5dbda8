/* What a child finds wrong it says on stderr and by its status; its parent asserts that
 * status. Under AddressSanitizer a leak in the child is a status of its own. */
#define _GNU_SOURCE
#include "descriptors.h"
#include "hub_test.h"

#include "../../greenlet/hub.h"

#include <cress/event.h>
#include <cress/fork.h>
#include <cress/io.h>
#include <cress/local.h>
#include <cress/monitor.h>
#include <cress/pipe.h>
#include <cress/queue.h>
#include <cress/signal.h>
#include <cress/stream.h>
#include <cress/subprocess.h>
#include <cress/threadpool.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void check(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "in the child: %s, line %d\n", what, line);
    _exit(3);
}

#define CHECK(condition) check(condition, #condition, __LINE__)

/* [waits] The child ends by itself with status 0. */
static void assert_child_is_well(pid_t pid)
{
    int status = -1;

    assert_true(pid > 0);
    assert_int_equal(cress_waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In the child, once cress_run has returned: the other tests are the parent's. exit() looks for
 * leaks. */
static void end_child(void)
{
    CHECK(hub_current == NULL);
#ifdef __SANITIZE_THREAD__
    syscall(SYS_exit_group, 0); /* its exit() takes a second, and looks for no leaks */
#endif
    exit(0);
}

static void *call_test(void *arg)
{
    ((void (*)(void))arg)();
    return NULL;
}

/* The test's function returns in the parent and in the child. */
static void run_forking(void **state)
{
    pid_t parent = getpid();

    assert_ok(run_virtual(call_test, *state));
    if (getpid() != parent)
        end_child();
    assert_trace("");
}

/* For a child that starts threads, which ThreadSanitizer's runtime does not bear after such a
 * fork: it ends the child. */
static void run_forking_with_threads(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip();
#endif
    run_forking(state);
}

#define FORK_TEST_WITH_THREADS(fn)                              \
    {                                                           \
#fn, run_forking_with_threads, NULL, NULL, (void *)(fn) \
    }
#define FORK_TEST(fn)                              \
    {                                              \
#fn, run_forking, NULL, NULL, (void *)(fn) \
    }

static void *sleep_long(void *arg)
{
    cress_sleep(1000);
    return arg;
}

static void *trace_end(void *arg)
{
    if (cress_sleep(0.01) == 0)
        trace("%s", (char *)arg);
    return NULL;
}

/* ---- who goes on ------------------------------------------------------------------------- */

static void test_returns_twice(void)
{
    cress_greenlet *self = cress_self();
    pid_t parent = getpid(), pid = cress_fork();

    if (pid == 0) {
        CHECK(getppid() == parent);
        CHECK(cress_self() == self && cress_running());
        CHECK(cress_sleep(1) == 0 && cress_now() == 1);
        return;
    }
    assert_child_is_well(pid);
    assert_ok(cress_sleep(1));
}

static void test_only_the_caller_goes_on(void)
{
    cress_greenlet *gs[3];

    for (int i = 0; i < 3; i++)
        gs[i] = cress_spawn(trace_end, "in the parent");
    settle();
    pid_t pid = cress_fork();
    if (pid == 0) {
        cress_hub_stats stats;

        cress_get_hub_stats(&stats);
        CHECK(stats.greenlets == 1);
        CHECK(cress_sleep(10) == 0);
        for (int i = 0; i < 3; i++) {
            CHECK(cress_ready(gs[i]) && !cress_successful(gs[i]));
            CHECK(cress_join(gs[i], 0) == 0);
            CHECK(cress_get(gs[i], NULL, 0) < 0 && errno == ECANCELED);
            CHECK(cress_kill(gs[i], 0) == 0);
            cress_release(gs[i]);
        }
        check_trace("", __FILE__, __LINE__);
        return;
    }
    assert_ok(cress_joinall(gs, 3, CRESS_FOREVER));
    assert_trace("in the parent\nin the parent\nin the parent\n");
    assert_child_is_well(pid);
    for (int i = 0; i < 3; i++)
        cress_release(gs[i]);
}

/* New, ready, parked with and without a deadline, resting, with memory of their own, links,
 * joiners. */
static void *hold_memory(void *arg)
{
    char *memory = malloc(100);

    strcpy(memory, "only the stack knows it");
    cress_event_wait(arg, CRESS_FOREVER);
    free(memory);
    return NULL;
}

static void *rest_always(void *arg)
{
    (void)arg;
    return cress_check() < 0 ? NULL : cress_rest(NULL);
}

static void *join_main(void *main)
{
    cress_join(main, CRESS_FOREVER);
    return NULL;
}

static void note_end(cress_greenlet *g, void *arg)
{
    (void)g;
    trace("%s", (char *)arg);
}

static void test_greenlets_of_all_kinds_stay_behind(void)
{
    static cress_event never;
    cress_greenlet *ended = cress_spawn(trace_end, "a link"), *joiner;

    spawn(hold_memory, &never);
    spawn(rest_always, NULL);
    spawn(sleep_long, NULL);
    joiner = cress_spawn(join_main, cress_self());
    settle();
    assert_ok(cress_link(ended, note_end, "linked"));
    assert_ok(cress_link(cress_self(), note_end, "in the parent"));
    cress_release(cress_spawn_later(2, sleep_long, NULL));
    spawn(sleep_long, NULL); /* new, with a name */
    assert_ok(cress_set_name(joiner, "joiner"));
    cress_release(joiner);
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(never.waitable.first != NULL); /* a node of the parent's */
        cress_event_set(&never);
        CHECK(never.waitable.first == NULL);
        cress_event_clear(&never);
        CHECK(cress_event_wait(&never, 1) < 0 && errno == ETIMEDOUT);
        CHECK(cress_now() == 1);
        return;
    }
    assert_child_is_well(pid);
    cress_unlink(cress_self(), note_end, "in the parent");
    assert_ok(cress_join(ended, CRESS_FOREVER));
    cress_event_set(&never);
    settle();
    assert_trace("a link\nlinked\n");
    cress_release(ended);
}

static void test_what_the_caller_has_stays(void)
{
    static const cress_local key;
    cress_timeout limit;
    char name[32];

    assert_ok(cress_local_set(&key, "mine"));
    cress_timeout_start(&limit, 5);
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(strcmp(cress_local_get(&key), "mine") == 0);
        CHECK(strcmp(cress_name(cress_self(), name, sizeof name), "main") == 0);
        CHECK(cress_sleep(10) < 0 && errno == ETIMEDOUT && cress_now() == 5);
        cress_timeout_close(&limit);
        return;
    }
    cress_timeout_close(&limit);
    assert_child_is_well(pid);
}

/* ---- cress_run returns in the child ------------------------------------------------------ */

static pid_t forked;

static void *fork_in_greenlet(void *arg)
{
    forked = cress_fork();
    if (forked == 0) {
        CHECK(cress_sleep(0.001) == 0);
        cress_greenlet *g = cress_spawn(trace_end, "the child's own");
        CHECK(cress_join(g, CRESS_FOREVER) == 0);
        cress_release(g);
        cress_release(cress_spawn(sleep_long, NULL)); /* killed at the end */
        return cress_fail(EDOM);
    }
    return arg;
}

static void *fork_and_wait(void *arg)
{
    cress_greenlet *g = cress_spawn(fork_in_greenlet, arg);

    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_child_is_well(forked);
    cress_release(g);
    return NULL;
}

static void test_the_hub_ends_with_the_caller(void **state)
{
    pid_t parent = getpid();

    (void)state;
    for (int clock = 0; clock < 2; clock++) {
        int result = cress_run_with(&(cress_hub_options){ .virtual_clock = clock == 1 },
                                    fork_and_wait, NULL);

        if (getpid() != parent) {
            CHECK(result < 0 && errno == EDOM);
            CHECK(!cress_running());
            check_trace("the child's own\n", __FILE__, __LINE__);
            CHECK(cress_run(fork_and_wait, NULL) == 0 || getpid() != parent); /* once more */
            end_child();
        }
        assert_ok(result);
    }
}

static void *fork_deep(void *arg)
{
    intptr_t depth = (intptr_t)arg;

    spawn(sleep_long, NULL);
    settle();
    pid_t pid = cress_fork();
    if (pid == 0 && depth > 0)
        return fork_deep((void *)(depth - 1));
    if (pid == 0)
        return NULL;
    int status = -1;
    CHECK(cress_waitpid(pid, &status, 0) == pid && status == 0);
    return NULL;
}

static void test_children_of_children(void **state)
{
    pid_t parent = getpid();

    (void)state;
    assert_ok(run_virtual(fork_deep, (void *)3));
    if (getpid() != parent)
        end_child();
}

static void test_a_child_that_deadlocks_is_told(void)
{
    cress_event never = CRESS_EVENT_INIT;

    spawn(sleep_long, NULL);
    settle();
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(cress_event_wait(&never, CRESS_FOREVER) < 0 && errno == EDEADLK);
        return;
    }
    assert_child_is_well(pid);
}

/* ---- descriptors --------------------------------------------------------------------------- */

/* Both wait on the same descriptors, and neither disturbs the other. */
static void test_each_has_a_loop_of_its_own(void)
{
    int down[2], up[2];
    char c = 0;

    assert_ok(cress_pipe(down));
    assert_ok(cress_pipe(up));
    pid_t pid = cress_fork();
    if (pid == 0) {
        for (int i = 0; i < 100; i++)
            CHECK(cress_read(down[0], &c, 1) == 1 && cress_write(up[1], &c, 1) == 1);
        return;
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(cress_write(down[1], "a", 1), 1);
        assert_int_equal(cress_read(up[0], &c, 1), 1);
        assert_int_equal(c, 'a');
    }
    assert_child_is_well(pid);
    for (int i = 0; i < 2; i++) {
        cress_close(down[i]);
        cress_close(up[i]);
    }
}

static void *read_one(void *arg)
{
    char c = 0;

    assert_int_equal(cress_read(*(int *)arg, &c, 1), 1);
    trace("read %c", c);
    return NULL;
}

/* A greenlet of the parent waits on a descriptor that the child closes and that becomes
 * readable afterwards. */
static void test_waits_of_the_parent_go_on(void)
{
    int fds[2];

    assert_ok(cress_pipe(fds));
    cress_greenlet *reader = cress_spawn(read_one, &fds[0]);
    settle();
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(cress_close(fds[0]) == 0);
        CHECK(cress_write(fds[1], "x", 1) == 1);
        return;
    }
    assert_ok(cress_join(reader, CRESS_FOREVER));
    assert_trace("read x\n");
    assert_child_is_well(pid);
    cress_release(reader);
    cress_close(fds[0]);
    cress_close(fds[1]);
}

static void *wait_in_watch(void *watch)
{
    cress_watch_wait(watch, CRESS_FOREVER);
    return NULL;
}

/* Armed in the parent's loop, and used in the child's. */
static void test_a_watch_of_the_parents(void)
{
    int fds[2];
    cress_watch watch;

    assert_ok(cress_pipe(fds));
    cress_watch_init(&watch, fds[0], NULL);
    spawn(wait_in_watch, &watch);
    settle();
    pid_t pid = cress_fork();
    if (pid == 0) {
        char c;

        CHECK(cress_watch_wait(&watch, 0.5) < 0 && errno == ETIMEDOUT);
        CHECK(cress_write(fds[1], "x", 1) == 1);
        CHECK(cress_watch_wait(&watch, 1000) == 0);
        CHECK(read(fds[0], &c, 1) == 1);
        cress_watch_finish(&watch);
        CHECK(hub_awaited(hub_current) == 0);
        return;
    }
    assert_child_is_well(pid);
    cress_watch_finish(&watch);
    settle();
    cress_close(fds[0]);
    cress_close(fds[1]);
}

static void test_no_descriptor_more(void)
{
    size_t before = count_descriptors();

    for (int i = 0; i < 3; i++) {
        pid_t pid = cress_fork();

        if (pid == 0) {
            CHECK(count_descriptors() == before);
            return;
        }
        assert_child_is_well(pid);
    }
    assert_int_equal(count_descriptors(), before);
}

/* ---- signals ---------------------------------------------------------------------------------- */

static void *on_signal(void *arg)
{
    trace("%s", (char *)arg);
    return NULL;
}

static bool is_default(int signum)
{
    struct sigaction action;

    return sigaction(signum, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
}

struct other_thread {
    pthread_barrier_t ready, over;
    pthread_t thread;
};

static void *own_a_signal(void *arg)
{
    struct other_thread *other = arg;

    assert_ok(cress_signal(SIGUSR2, on_signal, "elsewhere"));
    pthread_barrier_wait(&other->ready);
    pthread_barrier_wait(&other->over);
    return NULL;
}

static void *run_other_hub(void *arg)
{
    return run_virtual(own_a_signal, arg) < 0 ? arg : NULL;
}

static void start_other_hub(struct other_thread *other)
{
    pthread_barrier_init(&other->ready, NULL, 2);
    pthread_barrier_init(&other->over, NULL, 2);
    assert_ok(pthread_create(&other->thread, NULL, run_other_hub, other));
    pthread_barrier_wait(&other->ready);
}

static void stop_other_hub(struct other_thread *other)
{
    pthread_barrier_wait(&other->over);
    assert_ok(pthread_join(other->thread, NULL));
    pthread_barrier_destroy(&other->ready);
    pthread_barrier_destroy(&other->over);
}

static void test_handlers_stay_behind(void)
{
    static struct other_thread other;
    sigset_t before, now;

    memset(&before, 0, sizeof before); /* the C library fills a part only */
    memset(&now, 0, sizeof now);
    start_other_hub(&other);
    assert_ok(cress_signal(SIGUSR1, on_signal, "parent"));
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(is_default(SIGUSR1));
        CHECK(is_default(SIGUSR2)); /* whose hub is another thread's, which is not here */
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        CHECK(memcmp(&before, &now, sizeof now) == 0);
        CHECK(cress_signal(SIGUSR2, on_signal, "child") == 0);
        raise(SIGUSR2);
        CHECK(cress_sleep(1) == 0);
        check_trace("child\n", __FILE__, __LINE__);
        _exit(0); /* what the other thread's hub had is out of a leak checker's sight */
    }
    assert_child_is_well(pid);
    assert_ok(raise(SIGUSR1));
    assert_ok(cress_sleep(1));
    assert_trace("parent\n");
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
    stop_other_hub(&other);
}

static void test_a_signal_for_the_child_is_the_childs(void)
{
    int status = 0;

    assert_ok(cress_signal(SIGTERM, on_signal, "parent"));
    pid_t pid = cress_fork();
    if (pid == 0) {
        raise(SIGTERM);
        _exit(4);
    }
    assert_int_equal(cress_waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_ok(cress_sleep(1));
    assert_trace("");
    assert_ok(cress_signal(SIGTERM, NULL, NULL));
}

/* ---- threads ----------------------------------------------------------------------------------- */

static void *give_back(void *arg)
{
    return arg;
}

static void *wait_for_byte(void *arg)
{
    char c;

    return read(*(int *)arg, &c, 1) == 1 ? arg : cress_fail(errno);
}

/* A pool with one thread at work and one idle, in a child that has neither. */
static void test_threadpools_begin_anew(void)
{
    cress_threadpool pool = { .max_threads = 2 };
    void *value = NULL;
    int fds[2];

    assert_ok(pipe(fds));
    cress_greenlet *g = cress_threadpool_spawn(&pool, wait_for_byte, &fds[0]);
    settle();
    assert_ok(cress_threadpool_apply(&pool, give_back, NULL, NULL));
    assert_ok(cress_threadpool_apply(NULL, give_back, NULL, NULL));
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(cress_threadpool_threads(&pool) == 0 && cress_threadpool_jobs(&pool) == 0);
        CHECK(cress_threadpool_apply(&pool, give_back, "x", &value) == 0);
        CHECK(strcmp(value, "x") == 0);
        CHECK(cress_threadpool_apply(NULL, give_back, NULL, NULL) == 0);
        CHECK(cress_threadpool_finish(&pool) == 0);
        return;
    }
    assert_child_is_well(pid);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_ok(cress_get(g, NULL, CRESS_FOREVER));
    cress_release(g);
    assert_ok(cress_threadpool_finish(&pool));
    close(fds[0]);
    close(fds[1]);
}

static void test_an_unused_threadpool_is_forgotten(void)
{
    cress_threadpool pool = { .max_threads = 1 };

    assert_ok(cress_threadpool_apply(&pool, give_back, NULL, NULL));
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(cress_threadpool_finish(&pool) == 0);
        return;
    }
    assert_child_is_well(pid);
    assert_ok(cress_threadpool_finish(&pool));
}

/* ---- stdio, children ------------------------------------------------------------------------------ */

static void test_output_leaves_once(void)
{
    FILE *file = tmpfile();
    char text[32] = "";

    fputs("once\n", file);
    pid_t pid = cress_fork();
    if (pid == 0) {
        fputs("child\n", file);
        fclose(file);
        return;
    }
    assert_child_is_well(pid);
    rewind(file);
    assert_int_equal(fread(text, 1, sizeof text - 1, file), 11);
    assert_string_equal(text, "once\nchild\n");
    fclose(file);
}

static void test_children_of_the_parent_are_not_the_childs(void)
{
    cress_subprocess p;
    int status = 0;

    assert_ok(cress_subprocess_spawn(
        &p, &(cress_subprocess_options){ .argv = (const char *const[]){ "sleep", "1000", NULL } }));
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(cress_subprocess_wait(&p, NULL, 1) < 0 && errno == ECHILD);
        CHECK(cress_subprocess_kill(&p, SIGKILL) < 0 && errno == ECHILD);
        CHECK(cress_waitpid(p.pid, NULL, 0) < 0 && errno == ECHILD);
        cress_subprocess_finish(&p);
        return;
    }
    assert_child_is_well(pid);
    assert_int_equal(cress_subprocess_poll(&p, &status), 0); /* it lives */
    cress_subprocess_finish(&p);
}

/* ---- waitpid ------------------------------------------------------------------------------------------ */

static void *count_turns(void *turns)
{
    for (;;) {
        ++*(int *)turns;
        if (cress_sleep(0.0001) < 0)
            return NULL;
    }
}

static void test_others_run_while_one_waits(void)
{
    int turns = 0, fds[2];
    char c;

    assert_ok(cress_pipe(fds));
    pid_t pid = cress_fork();
    if (pid == 0) {
        CHECK(cress_read(fds[0], &c, 1) == 1);
        _exit(7);
    }
    assert_int_equal(cress_waitpid(pid, NULL, WNOHANG), 0);
    cress_greenlet *g = cress_spawn(count_turns, &turns);
    cress_greenlet *waiter = cress_spawn(join_main, cress_self());
    cress_timeout limit;
    int status = -1;

    cress_timeout_start(&limit, 0.01);
    assert_errno(ETIMEDOUT, cress_waitpid(pid, &status, 0));
    cress_timeout_close(&limit);
    assert_int_equal(status, -1);
    assert_true(turns > 1);
    assert_int_equal(cress_write(fds[1], "x", 1), 1);
    assert_int_equal(cress_waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    assert_errno(ECHILD, cress_waitpid(pid, &status, 0));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_ok(cress_kill(waiter, CRESS_FOREVER));
    cress_release(g);
    cress_release(waiter);
    cress_close(fds[0]);
    cress_close(fds[1]);
}

static void test_a_child_of_plain_fork(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(9);
    assert_int_equal(cress_waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 9);
}

static void test_bad_arguments(void)
{
    assert_errno(EINVAL, cress_waitpid(-1, NULL, 0));
    assert_errno(EINVAL, cress_waitpid(0, NULL, 0));
    assert_errno(EINVAL, cress_waitpid(1, NULL, WUNTRACED));
    assert_errno(ECHILD, cress_waitpid(getpid(), NULL, 0));
}

static void *wait_for_any(void *arg)
{
    cress_waitpid(-1, NULL, 0);
    return arg;
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(wait_for_any, "cress_waitpid: it waits for one process");
}

static void refuse_in_hub(cress_greenlet *g, void *arg)
{
    (void)g, (void)arg;
    assert_errno(EPERM, cress_fork());
    trace("refused");
}

static void *fork_at_the_end(void *arg)
{
    (void)arg;
    cress_sleep(CRESS_FOREVER);
    assert_errno(ECANCELED, cress_fork());
    trace("refused");
    return NULL;
}

static void *leave_one_behind(void *arg)
{
    spawn(fork_at_the_end, arg);
    settle();
    return arg;
}

static void test_outside_a_greenlet(void **state)
{
    (void)state;
    assert_errno(EPERM, cress_fork());
    assert_errno(EPERM, cress_waitpid(1, NULL, 0));
    assert_ok(run_virtual(leave_one_behind, NULL));
    assert_trace("refused\n");
}

static void test_in_the_hub(void)
{
    cress_greenlet *g = cress_spawn(give_back, NULL);

    assert_ok(cress_link(g, refuse_in_hub, NULL));
    settle();
    assert_trace("refused\n");
    cress_release(g);
}

/* ---- in the middle of a dump ------------------------------------------------------------------- */

static int fork_once(const char *text, size_t len, void *arg)
{
    pid_t *pid = arg;

    (void)text, (void)len;
    if (*pid < 0) {
        *pid = cress_fork();
        if (*pid == 0)
            alarm(20);
    }
    return 0;
}

/* The names are looked up in a thread that the child does not have. */
static void test_in_the_middle_of_a_dump(void)
{
    pid_t pid = -1;

    spawn(sleep_long, NULL);
    spawn(trace_end, "in the parent");
    settle();
    int result = cress_dump_greenlets(fork_once, &pid);
    if (pid == 0) {
        CHECK(result == 0);
        return;
    }
    assert_ok(result);
    assert_child_is_well(pid);
    assert_ok(cress_sleep(1));
    assert_trace("in the parent\n");
}

/* The parent's loop could be woken; the child's new one cannot. */
static void test_the_child_has_no_descriptor_left(void)
{
    assert_ok(cress_signal(SIGUSR1, on_signal, "parent"));
    pid_t pid = cress_fork();
    if (pid == 0) {
        descriptors_run_out();
        CHECK(cress_signal(SIGUSR1, on_signal, "child") < 0 && errno == EMFILE);
        descriptors_are_back();
        return;
    }
    assert_child_is_well(pid);
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FORK_TEST(test_returns_twice),
        FORK_TEST(test_only_the_caller_goes_on),
        FORK_TEST(test_greenlets_of_all_kinds_stay_behind),
        FORK_TEST(test_what_the_caller_has_stays),
        cmocka_unit_test(test_the_hub_ends_with_the_caller),
        cmocka_unit_test(test_children_of_children),
        FORK_TEST_WITH_THREADS(test_a_child_that_deadlocks_is_told), /* its report's writer does */
        FORK_TEST(test_each_has_a_loop_of_its_own),
        FORK_TEST(test_waits_of_the_parent_go_on),
        FORK_TEST(test_a_watch_of_the_parents),
        FORK_TEST(test_no_descriptor_more),
        FORK_TEST(test_handlers_stay_behind),
        FORK_TEST(test_a_signal_for_the_child_is_the_childs),
        FORK_TEST_WITH_THREADS(test_threadpools_begin_anew),
        FORK_TEST(test_an_unused_threadpool_is_forgotten),
        FORK_TEST(test_output_leaves_once),
        FORK_TEST(test_children_of_the_parent_are_not_the_childs),
        FORK_TEST(test_others_run_while_one_waits),
        FORK_TEST(test_a_child_of_plain_fork),
        FORK_TEST(test_bad_arguments),
        cmocka_unit_test(test_misuse_stops),
        cmocka_unit_test(test_outside_a_greenlet),
        FORK_TEST(test_in_the_hub),
        FORK_TEST(test_in_the_middle_of_a_dump),
        FORK_TEST(test_the_child_has_no_descriptor_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
