#include "hub_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
