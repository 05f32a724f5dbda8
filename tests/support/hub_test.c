#include "hub_test.h"

#include "../../greenlet/misuse.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char *traced;
static size_t traced_len;

__attribute__((constructor)) static void abort_on_failure(void)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int run_virtual(cress_fn *fn, void *arg)
{
    return cress_run_with(&(cress_hub_options){ .virtual_clock = true }, fn, arg);
}

static void *call_test(void *arg)
{
    void (*test)(void) = (void (*)(void))arg;

    test();
    return NULL;
}

void hub_test_run(void **state)
{
    assert_int_equal(run_virtual(call_test, *state), 0);
    assert_trace("");
}

void trace(const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);

    size_t len = strlen(line);

    traced = realloc(traced, traced_len + len + 2);
    if (!traced)
        abort();
    memcpy(traced + traced_len, line, len);
    memcpy(traced + traced_len + len, "\n", 2);
    traced_len += len + 1;
}

void check_trace(const char *expected, const char *file, int line)
{
    _assert_string_equal(traced ? traced : "", expected, file, line);
    free(traced);
    traced = NULL;
    traced_len = 0;
}

static void misuse_in_child(cress_fn *fn, int output)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    signal(SIGABRT, SIG_DFL);
    dup2(output, STDERR_FILENO);
    misuse_set_stops(true);
    run_virtual(fn, NULL);
    _exit(0);
}

void assert_misuse(cress_fn *fn, const char *text)
{
    char said[4096];
    size_t len = 0;
    int ends[2], status = 0;
    ssize_t count;

    assert_ok(pipe(ends));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        misuse_in_child(fn, ends[1]);
    close(ends[1]);
    while ((count = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)count;
    said[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(said, text))
        fail_msg("expected an abort that says '%s', got status %#x and: %s", text, (unsigned)status,
                 said);
}

size_t stacks_in_use(void)
{
    cress_hub_stats stats;

    cress_get_hub_stats(&stats);
    return stats.stacks - stats.stacks_cached;
}

void spawn(cress_fn *fn, void *arg)
{
    cress_greenlet *g = cress_spawn(fn, arg);

    assert_non_null(g);
    cress_release(g);
}

void settle(void)
{
    for (int i = 0; i < 8; i++)
        assert_ok(cress_sleep(0));
}

static void *end_at_once(void *arg)
{
    return arg;
}

static void call_in_hub(cress_greenlet *g, void *arg)
{
    (void)g;
    assert_null(cress_self());
    ((void (*)(void))arg)();
}

void run_in_hub(void (*fn)(void))
{
    cress_greenlet *g = cress_spawn(end_at_once, NULL);

    assert_ok(cress_link(g, call_in_hub, (void *)fn));
    settle();
    cress_release(g);
}
