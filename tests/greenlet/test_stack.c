#define _GNU_SOURCE
#include "../../greenlet/hub.h"

#include "hub_test.h"

#include <cress/event.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static cress_hub_options options;

/* ---- the kernel's answer ------------------------------------------------------------------ */

static size_t given_back;

int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);

int __wrap_madvise(void *addr, size_t len, int advice)
{
    given_back += advice == MADV_DONTNEED;
    return __real_madvise(addr, len, advice);
}

static double longest_look; /* seconds */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, const struct timespec *span, long e,
                    long f);

long __wrap_syscall(long number, long a, long b, long c, const struct timespec *span, long e,
                    long f)
{
#ifdef SYS_epoll_pwait2
    if (number == SYS_epoll_pwait2)
        longest_look = fmax(longest_look,
                            span ? (double)span->tv_sec + 1e-9 * (double)span->tv_nsec : INFINITY);
#endif
    return __real_syscall(number, a, b, c, span, e, f);
}

static int run(cress_fn *fn, void *arg)
{
    return cress_run_with(&options, fn, arg);
}

/* ---- overflow ----------------------------------------------------------------------------- */

static volatile int deepest = 1 << 20, frame_bytes;

/* Touches every page of what it takes. */
__attribute__((noinline)) static int recurse(int depth)
{
    volatile char frame[frame_bytes];

    for (int i = 0; i < frame_bytes; i += 512)
        frame[frame_bytes - 1 - i] = (char)depth;
    if (depth < deepest)
        depth = recurse(depth + 1);
    return depth + frame[0];
}

static void *overflow(void *arg)
{
    assert_ok(cress_set_name(cress_self(), "GET /chat"));
    recurse(0);
    return arg;
}

static void *spawn_overflow(void *arg)
{
    cress_greenlet *g = cress_spawn(overflow, NULL);

    cress_join(g, CRESS_FOREVER);
    return arg;
}

static _Noreturn void overflow_in_child(int err)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    dup2(err, STDERR_FILENO);
    run(spawn_overflow, NULL);
    _exit(0);
}

/* What the child said on stderr. */
static void check_overflow(const char *expected)
{
    int ends[2], status;
    char text[4096];
    size_t len = 0;
    ssize_t count;

    assert_ok(pipe(ends));

    pid_t child = fork();

    if (child == 0)
        overflow_in_child(ends[1]);
    assert_true(child > 0);
    close(ends[1]);
    while ((count = read(ends[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)count;
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_string_equal(text, expected);
}

static void test_overflow_is_named(void **state)
{
    (void)state;
    options = (cress_hub_options){ .stack_size = 96 * 1024 };
    frame_bytes = 500;
    check_overflow("cress: greenlet GET /chat overflowed its 96 KiB stack\n");
    options.guard_by_mprotect = true;
    check_overflow("cress: greenlet GET /chat overflowed its 96 KiB stack\n");
}

static void test_overflow_by_large_frames(void **state)
{
    (void)state;
    options = (cress_hub_options){ .stack_size = 96 * 1024 };
    frame_bytes = 60000;
    check_overflow("cress: greenlet GET /chat overflowed its 96 KiB stack\n");
}

static void *use_most(void *arg)
{
    deepest = 50;
    recurse(0);
    deepest = 1 << 20;
    return arg;
}

static void *spawn_use_most(void *arg)
{
    spawn(use_most, NULL);
    settle();
    return arg;
}

static void test_size_is_as_asked(void **state)
{
    (void)state;
    options = (cress_hub_options){ .stack_size = 200 * 1024 };
    frame_bytes = 2000; /* a hundred of 192 KiB */
    assert_ok(run(spawn_use_most, NULL));
}

/* A fault that is no overflow goes to whoever would have had it. */
static void *touch_nothing(void *arg)
{
    volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    nowhere[0] = 1;
    return arg;
}

static void on_fault(int signum)
{
    static const char text[] = "ours\n";
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored, (void)signum;
    _exit(42);
}

static void test_other_faults_are_handed_on(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        close(STDERR_FILENO);
        signal(SIGSEGV, on_fault);
        options = (cress_hub_options){ 0 };
        run(touch_nothing, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void *send_segv(void *arg)
{
    kill(getpid(), SIGSEGV);
    return arg;
}

/* No instruction faults again: the handler has to end the process itself. */
static void test_a_sent_signal_ends_the_process(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGSEGV, SIG_DFL);
        options = (cress_hub_options){ 0 };
        run(send_segv, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* ---- reuse ------------------------------------------------------------------------------------ */

static void *touch(void *arg)
{
    volatile char bytes[1000];

    memset((char *)bytes, 1, sizeof bytes);
    return arg;
}

static void *touch_and_yield(void *arg)
{
    touch(arg);
    assert_ok(cress_sleep(0));
    return arg;
}

static size_t stacks_mapped(void)
{
    cress_hub_stats stats;

    cress_get_hub_stats(&stats);
    return stats.stacks;
}

static void *spawn_one_by_one(void *arg)
{
    size_t before = stacks_mapped();

    for (int i = 0; i < 10000; i++) {
        cress_greenlet *g = cress_spawn(touch_and_yield, NULL);

        assert_ok(cress_join(g, CRESS_FOREVER));
        cress_release(g);
    }
    assert_int_equal(stacks_mapped(), before); /* one chunk did */
    assert_int_equal(stacks_in_use(), 1);
    return arg;
}

static void *spawn_many_short_ones(void *arg)
{
    size_t before = stacks_mapped();

    for (int i = 0; i < 10000; i++)
        spawn(touch, NULL);
    assert_ok(cress_sleep(0));
    assert_int_equal(stacks_mapped(), before);
    return arg;
}

static void test_stacks_are_used_again(void **state)
{
    (void)state;
    options = (cress_hub_options){ .virtual_clock = true };
    assert_ok(run(spawn_one_by_one, NULL));
    assert_ok(run(spawn_many_short_ones, NULL));
    options.guard_by_mprotect = true;
    assert_ok(run(spawn_one_by_one, NULL));
}

/* ---- pages that nobody needs ------------------------------------------------------------ */

enum { PEAK = 1000, KEPT = 64 };

static struct stack_cache cache;
static struct stack *taken[PEAK];

static void take_and_give(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        taken[i] = stack_take(&cache);
        assert_non_null(taken[i]);
        *(char *)taken[i]->extent.bottom = 1;
    }
    for (size_t i = 0; i < count; i++)
        stack_give(&cache, taken[i]);
}

/* How many are given back before there is no more to do. */
static size_t trim(void)
{
    size_t before = given_back;

    while (cache.excess > 0) {
        size_t at_first = given_back;
        stack_cache_trim(&cache);
        assert_in_range(given_back - at_first, 1, 100);
    }
    return given_back - before;
}

static void test_pages_go_back_in_small_portions(void **state)
{
    (void)state;
    stack_cache_init(&cache, 1 << 16, false);
    take_and_give(PEAK);
    assert_true(stack_cache_excess(&cache));
    stack_cache_review(&cache); /* the last period needed them */
    assert_int_equal(trim(), 0);
    stack_cache_review(&cache);
    assert_int_equal(trim(), PEAK - KEPT);
    assert_false(stack_cache_excess(&cache));
    assert_int_equal(cache.free_count, KEPT);
    take_and_give(PEAK);
    assert_int_equal(cache.free_count, PEAK);
    stack_cache_finish(&cache);
}

/* What is taken again meanwhile need not go. */
static void test_pages_that_are_needed_after_all(void **state)
{
    (void)state;
    stack_cache_init(&cache, 1 << 16, false);
    take_and_give(PEAK);
    stack_cache_review(&cache);
    stack_cache_review(&cache);
    assert_int_equal(cache.excess, PEAK - KEPT);
    take_and_give(PEAK);
    assert_int_equal(trim(), 0);
    stack_cache_finish(&cache);
}

static void *give_back_at_rest(void *arg)
{
    size_t before = given_back;

    hub_current->reviewed_at = INFINITY; /* however long the next lines take */
    for (int i = 0; i < PEAK; i++)
        spawn(touch_and_yield, NULL);
    assert_ok(cress_sleep(0));
    assert_ok(cress_sleep(0));
    hub_current->reviewed_at = -10; /* long ago */
    longest_look = 0;
    assert_ok(cress_sleep(0.001));
    assert_int_equal(given_back, before);
    hub_current->reviewed_at = -10;
    while (given_back - before < PEAK - KEPT)
        assert_ok(cress_sleep(0.001));
    assert_true(longest_look <= 0.001); /* nobody sleeps longer for it */
    return arg;
}

static void test_a_hub_at_rest_gives_pages_back(void **state)
{
    (void)state;
    options = (cress_hub_options){ 0 };
    assert_ok(run(give_back_at_rest, NULL));
}

/* ---- many --------------------------------------------------------------------------------------- */

static cress_event go;
static size_t gone;

static void *wait_for_go(void *arg)
{
    assert_ok(cress_event_wait(&go, CRESS_FOREVER));
    gone++;
    return arg;
}

static void *park_many(void *arg)
{
    size_t count = *(size_t *)arg;

    go = (cress_event){ 0 };
    gone = 0;
    for (size_t i = 0; i < count; i++)
        spawn(wait_for_go, NULL);
    assert_ok(cress_sleep(1));
    assert_int_equal(stacks_in_use(), count + 1);
    cress_event_set(&go);
    assert_ok(cress_sleep(1));
    assert_int_equal(gone, count);
    assert_int_equal(stacks_in_use(), 1);
    return NULL;
}

/* More than guards by mprotect allow for: each would take two of 65,530 mappings. */
static void test_40000_parked(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = SANITIZED ? 1000 : 40000;
    void *probe = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool light = madvise(probe, page, MADV_GUARD_INSTALL) == 0;

    (void)state;
    munmap(probe, page);
    if (!light)
        count = 1000;
    options = (cress_hub_options){ .virtual_clock = true };
    assert_ok(run(park_many, &count));
}

static void test_many_guarded_by_mprotect(void **state)
{
    size_t count = SANITIZED ? 500 : 5000;

    (void)state;
    options = (cress_hub_options){ .virtual_clock = true, .guard_by_mprotect = true };
    assert_ok(run(park_many, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_faults_are_handed_on), /* before this process has had a hub */
        cmocka_unit_test(test_a_sent_signal_ends_the_process),
        cmocka_unit_test(test_overflow_is_named),
        cmocka_unit_test(test_overflow_by_large_frames),
        cmocka_unit_test(test_size_is_as_asked),
        cmocka_unit_test(test_stacks_are_used_again),
        cmocka_unit_test(test_pages_go_back_in_small_portions),
        cmocka_unit_test(test_pages_that_are_needed_after_all),
        cmocka_unit_test(test_a_hub_at_rest_gives_pages_back),
        cmocka_unit_test(test_40000_parked),
        cmocka_unit_test(test_many_guarded_by_mprotect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
