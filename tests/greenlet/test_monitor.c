/* The thread that watches a hub, and blocks that must wait. Under the machine's clock, but
 * nothing here depends on how fast it goes: whoever computes goes on until the report is there, and
 * reports of what a busy machine has held up are passed over. */
#include "hub_test.h"

#include "capture.h"

#include "../../greenlet/hub.h"
#include "../../greenlet/symbol.h"
#include "../../greenlet/unwind.h"

#include <cress/io.h>
#include <cress/local.h>
#include <cress/monitor.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const cress_seconds SPAN = 0.02;

/* ---- reports -------------------------------------------------------------------- */

static struct {
    const char *wanted; /* how the reports begin that count */
    int count;          /* atomic */
    char text[8192];    /* of the first of them */
    int pipe;           /* atomic */
} told;

static void on_stall(const char *report, void *arg)
{
    assert_ptr_equal(arg, &told);
    int pipe_end = __atomic_load_n(&told.pipe, __ATOMIC_SEQ_CST);
    if (pipe_end)
        assert_int_equal(write(pipe_end, "x", 1), 1);
    if (strncmp(report, told.wanted, strlen(told.wanted)) != 0)
        return;
    if (!told.text[0])
        snprintf(told.text, sizeof told.text, "%s", report);
    __atomic_add_fetch(&told.count, 1, __ATOMIC_SEQ_CST);
}

static int reports(void)
{
    return __atomic_load_n(&told.count, __ATOMIC_SEQ_CST);
}

#define BY_MAIN "greenlet main has not let the others run for 0."

static int run_watched(cress_fn *fn, const char *wanted)
{
    memset(&told, 0, sizeof told);
    told.wanted = wanted;
    return cress_run_with(&(cress_hub_options){ .max_blocking_time = SPAN,
                                                .on_stall = on_stall,
                                                .on_stall_arg = &told },
                          fn, NULL);
}

static cress_seconds machine_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (cress_seconds)now.tv_sec + (cress_seconds)now.tv_nsec * 1e-9;
}

/* When the report was another, for the machine was busy, a new stall begins. The clock is read
 * seldom: from within a sanitizer's part of that call a stack cannot be followed. */
__attribute__((noinline)) static void compute_until(int count)
{
    cress_seconds patience = machine_time() + 3;

    while (reports() < count) {
        for (int i = 0; i < 100000 && reports() < count; i++)
            continue;
        if (machine_time() < patience || !cress_running())
            continue;
        assert_ok(cress_sleep(0.001));
        patience += 3;
    }
}

static void *compute_once(void *arg)
{
    compute_until(1);
    return arg;
}

static void *spawn_one_that_computes(void *arg)
{
    cress_greenlet *g = cress_spawn(compute_once, NULL);

    assert_ok(cress_set_name(g, "hard worker"));
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
    return arg;
}

static void test_names_who_computes(void **state)
{
    (void)state;
    assert_ok(run_watched(spawn_one_that_computes,
                          "greenlet hard worker has not let the others run for 0."));
    if (!UNWIND_WORKS || !symbols_complete())
        return;
    assert_non_null(
        strstr(told.text, "spawned by spawn_one_that_computes (greenlet/test_monitor.c:"));
    assert_non_null(strstr(told.text, " compute_until (greenlet/test_monitor.c:"));
    assert_non_null(strstr(told.text, " compute_once (greenlet/test_monitor.c:"));
    assert_non_null(strstr(told.text, " context_entry "));
}

static void *stall_twice(void *arg)
{
    compute_until(1);
    for (cress_seconds end = machine_time() + 5 * SPAN; machine_time() < end;)
        continue;
    assert_int_equal(reports(), 1); /* still the same stall */
    assert_ok(cress_sleep(0.001));
    compute_until(2);
    return arg;
}

static void test_once_for_each_stall(void **state)
{
    (void)state;
    assert_ok(run_watched(stall_twice, BY_MAIN));
    assert_int_equal(reports(), 2);
}

static void compute_in_hub(cress_greenlet *g, void *arg)
{
    (void)g, (void)arg;
    compute_until(1);
}

static void *nothing(void *arg)
{
    return arg;
}

static void *link_one_that_computes(void *arg)
{
    cress_greenlet *g = cress_spawn(nothing, NULL);

    assert_ok(cress_link(g, compute_in_hub, NULL));
    assert_ok(cress_sleep(0.001));
    cress_release(g);
    return arg;
}

static void test_a_call_of_the_hub(void **state)
{
    (void)state;
    assert_ok(run_watched(link_one_that_computes,
                          "a call made by the hub has not let greenlets run for 0."));
}

/* ---- the signal ------------------------------------------------------------------------ */

static void *read_blocking(void *arg)
{
    int ends[2];
    char byte = 0;

    assert_ok(pipe(ends));
    __atomic_store_n(&told.pipe, ends[1], __ATOMIC_SEQ_CST);
    assert_int_equal(read(ends[0], &byte, 1), 1); /* it has been interrupted, and went on */
    assert_int_equal(byte, 'x');
    __atomic_store_n(&told.pipe, 0, __ATOMIC_SEQ_CST);
    close(ends[0]);
    close(ends[1]);
    return arg;
}

static void test_a_system_call_goes_on(void **state)
{
    (void)state;
    assert_ok(run_watched(read_blocking, BY_MAIN));
}

static void *compute_deaf(void *arg)
{
    sigset_t urgent;

    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    assert_ok(pthread_sigmask(SIG_BLOCK, &urgent, NULL));
    compute_until(1);
    assert_ok(pthread_sigmask(SIG_UNBLOCK, &urgent, NULL));
    return arg;
}

static void test_who_blocks_the_signal(void **state)
{
    (void)state;
    assert_ok(run_watched(compute_deaf, "somebody has not let the others run for "));
    assert_non_null(strstr(told.text, " s, and does not take signal"));
}

static volatile sig_atomic_t arrivals;

static void count_arrival(int signum)
{
    (void)signum;
    arrivals++;
}

static void *raise_urgent(void *arg)
{
    assert_ok(raise(SIGURG));
    return arg;
}

/* Before any hub has put its handler there. */
static void test_others_arrivals_are_handed_on(void **state)
{
    (void)state;
    signal(SIGURG, count_arrival);
    assert_ok(run_watched(raise_urgent, BY_MAIN));
    assert_int_equal(arrivals, 1);
    assert_ok(raise(SIGURG)); /* also outside */
    assert_int_equal(arrivals, 2);
}

/* ---- an idle process ---------------------------------------------------------------------- */

/* How often all threads but this one have gone to sleep by themselves. */
static unsigned long sleeps_of_others(void)
{
    unsigned long total = 0, count;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    char path[300], line[256];

    assert_non_null(tasks);
    while ((task = readdir(tasks))) {
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "r");
        while (status && fgets(line, sizeof line, status))
            if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1)
                total += count;
        if (status)
            fclose(status);
    }
    closedir(tasks);
    return total;
}

static void *idle(void *arg)
{
    unsigned long before, after = sleeps_of_others();

    /* In the end the watcher sleeps as long as the hub does. */
    do {
        before = after;
        assert_ok(cress_sleep(10 * SPAN));
        after = sleeps_of_others();
    } while (after - before > 5);
    compute_until(reports() + 1); /* and still does its work */
    return arg;
}

static void test_an_idle_process_is_left_alone(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* their own threads */
    assert_ok(run_watched(idle, BY_MAIN));
}

static void *yield_a_lot(void *arg)
{
    for (cress_seconds end = machine_time() + 4 * SPAN; machine_time() < end;)
        assert_ok(cress_sleep(0));
    return arg;
}

static void *two_take_turns(void *arg)
{
    cress_greenlet *gs[] = { cress_spawn(yield_a_lot, NULL), cress_spawn(yield_a_lot, NULL) };

    assert_ok(cress_joinall(gs, 2, CRESS_FOREVER));
    cress_release(gs[0]);
    cress_release(gs[1]);
    return arg;
}

static void test_a_busy_hub_is_no_stall(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* a machine that does nothing else for that long is one */
    assert_ok(run_watched(two_take_turns, BY_MAIN));
}

/* ---- how it is asked for --------------------------------------------------------------------- */

static void *compute_for_ever(void *arg)
{
    for (;;)
        machine_time();
    return arg;
}

static void stall_in_child(int output, const cress_hub_options *options)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    signal(SIGABRT, SIG_DFL);
    alarm(20); /* it computes for ever */
    dup2(output, STDERR_FILENO);
    cress_run_with(options, compute_for_ever, NULL);
    _exit(0);
}

/* It ends by abort, after the report on stderr. */
static void assert_stall_aborts(const cress_hub_options *options)
{
    char said[8192];
    size_t len = 0;
    ssize_t count;
    int ends[2], status;

    assert_ok(pipe(ends));
    pid_t child = fork();
    if (child == 0)
        stall_in_child(ends[1], options);
    close(ends[1]);
    while ((count = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)count;
    said[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "cress: "));
    assert_non_null(strstr(said, " has not let "));
}

static void test_a_stall_can_be_a_failure(void **state)
{
    (void)state;
    assert_stall_aborts(&(cress_hub_options){ .max_blocking_time = SPAN, .stall_aborts = true });
}

static void test_environment(void **state)
{
    (void)state;
    setenv("CRESS_MAX_BLOCKING_TIME", "0.02", 1);
    setenv("CRESS_STALL", "abort", 1);
    assert_stall_aborts(&(cress_hub_options){ 0 });
    unsetenv("CRESS_MAX_BLOCKING_TIME");
    assert_stall_aborts(&(cress_hub_options){ 0 }); /* it has a span of its own */
    unsetenv("CRESS_STALL");
    assert_stall_aborts(&(cress_hub_options){ .stall_aborts = true });
}

static void *has_no_monitor(void *arg)
{
    assert_null(hub_current->monitor);
    return arg;
}

static void test_values_in_the_environment(void **state)
{
    static const char *const bad[] = { "soon", "0.1s", "-1", "nan", " " };
    static const char *const off[] = { "0", "", "inf" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("CRESS_MAX_BLOCKING_TIME", bad[i], 1);
        assert_errno(EINVAL, cress_run(nothing, NULL));
        assert_ok(cress_run_with(&(cress_hub_options){ .max_blocking_time = -1 }, has_no_monitor,
                                 NULL)); /* nobody asks for it */
    }
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        setenv("CRESS_MAX_BLOCKING_TIME", off[i], 1);
        assert_ok(cress_run(has_no_monitor, NULL));
    }
    unsetenv("CRESS_MAX_BLOCKING_TIME");
}

/* ---- blocks that must wait --------------------------------------------------------------------- */

static void *run_without_waiting(void *arg)
{
    cress_assert_switches block;

    cress_assert_switches_begin(&block, 0);
    assert_errno(EBUSY, cress_assert_switches_end(&block));
    return arg;
}

static void *end_outer_first(void *arg)
{
    cress_assert_switches outer, inner;

    cress_assert_switches_begin(&outer, 0);
    cress_assert_switches_begin(&inner, 0);
    assert_errno(EINVAL, cress_assert_switches_end(&outer));
    assert_ok(cress_sleep(0));
    assert_ok(cress_assert_switches_end(&inner));
    assert_ok(cress_assert_switches_end(&outer)); /* what is nested in it counts for it, too */
    return arg;
}

static void *hog(void *arg)
{
    cress_assert_switches block;

    cress_assert_switches_begin(&block, 0.005);
    for (cress_seconds end = machine_time() + 0.006; machine_time() < end;)
        continue;
    assert_ok(cress_sleep(0));
    assert_errno(EBUSY, cress_assert_switches_end(&block));
    return arg;
}

static void *wait_long(void *arg)
{
    cress_assert_switches block;

    cress_assert_switches_begin(&block, 30);
    assert_ok(cress_sleep(100)); /* of the virtual clock: waiting is not running */
    assert_ok(cress_assert_switches_end(&block));
    cress_assert_switches_begin(&block, 30);
    assert_ok(cress_assert_switches_end(&block)); /* short enough not to have to */
    return arg;
}

static unsigned hook_calls;

static void describe(void *arg, char *buf, size_t size)
{
    snprintf(buf, size, "%s", (char *)arg);
}

static void count_call(void *arg)
{
    (void)arg;
    hook_calls++;
}

static void *get_local(void *arg, const struct cress_local *key)
{
    (void)key;
    return arg;
}

static void test_assert_switches(void)
{
    static const cress_greenlet_hooks hooks = { describe, count_call, count_call, get_local };
    static const cress_local key;
    cress_assert_switches block;
    char name[64];

    run_without_waiting(NULL);
    end_outer_first(NULL);
    hog(NULL);
    wait_long(NULL);

    cress_set_hooks(cress_self(), &hooks, "by hook"); /* still called, and back afterwards */
    cress_assert_switches_begin(&block, 0);
    assert_string_equal(cress_name(cress_self(), name, sizeof name), "by hook");
    assert_string_equal(cress_local_get(&key), "by hook");
    assert_ok(cress_sleep(1));
    assert_int_equal(hook_calls, 2);
    assert_ok(cress_assert_switches_end(&block));
    assert_ok(cress_sleep(0));
    assert_int_equal(hook_calls, 4);
    cress_set_hooks(cress_self(), NULL, NULL);
}

static void test_assert_switches_in_a_debug_build(void **state)
{
    (void)state;
    assert_misuse(run_without_waiting,
                  "cress_assert_switches: the block did not let the others run");
    assert_misuse(hog, "cress_assert_switches: the block ran for 0.0");
    assert_misuse(end_outer_first, "not the innermost block");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_arrivals_are_handed_on),
        cmocka_unit_test(test_names_who_computes),
        cmocka_unit_test(test_once_for_each_stall),
        cmocka_unit_test(test_a_call_of_the_hub),
        cmocka_unit_test(test_a_system_call_goes_on),
        cmocka_unit_test(test_who_blocks_the_signal),
        cmocka_unit_test(test_an_idle_process_is_left_alone),
        cmocka_unit_test(test_a_busy_hub_is_no_stall),
        cmocka_unit_test(test_a_stall_can_be_a_failure),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_values_in_the_environment),
        HUB_TEST(test_assert_switches),
        cmocka_unit_test(test_assert_switches_in_a_debug_build),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
