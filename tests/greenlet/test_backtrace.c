/* Backtraces of greenlets that are parked, run, or were interrupted. */
#include "hub_test.h"

#include "../../greenlet/backtrace.h"
#include "../../greenlet/unwind.h"

#include <cress/event.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static cress_event go;

/* Each frame's function, innermost first, a blank between. */
struct names {
    char text[4096];
};

static void add_name(const char *text, void *arg)
{
    struct names *names = arg;

    strncat(names->text, text, strcspn(text, " +"));
    strcat(names->text, " ");
}

static const char *names_of(const struct backtrace *trace, struct names *names)
{
    struct symbols *symbols = symbols_open();

    names->text[0] = '\0';
    for (unsigned i = 0; i < trace->count; i++)
        symbols_frames(symbols, (const char *)trace->pcs[i] - (i > 0), add_name, names);
    symbols_close(symbols);
    return names->text;
}

static bool knows_names(void)
{
    return UNWIND_WORKS && symbols_complete();
}

/* "inner middle outer" somewhere, in one piece. */
static void assert_frames(const struct backtrace *trace, const char *expected)
{
    struct names names;

    if (!knows_names())
        return;
    if (!strstr(names_of(trace, &names), expected))
        fail_msg("no '%s' in: %s", expected, names.text);
}

static void assert_ends(const struct backtrace *trace)
{
    struct names names;

    if (!knows_names())
        return;
    names_of(trace, &names);
    size_t len = strlen(names.text);
    assert_true(len > 14);
    assert_string_equal(names.text + len - 14, "context_entry ");
}

/* ---- parked --------------------------------------------------------------------- */

__attribute__((noinline)) static int inner(volatile char *bytes)
{
    int result = cress_event_wait(&go, CRESS_FOREVER);

    return result + bytes[0];
}

/* Its frame has no fixed size. */
__attribute__((noinline)) static int middle(size_t size)
{
    volatile char bytes[size];

    memset((char *)bytes, 0, size);
    return inner(bytes);
}

__attribute__((noinline)) static void *outer(void *arg)
{
    return middle((size_t)arg) == 0 ? arg : NULL;
}

static void test_parked(void)
{
    cress_greenlet *g = cress_spawn(outer, (void *)(size_t)3000);
    struct backtrace trace;

    go = (cress_event){ 0 };
    backtrace_of(g, &trace);
    assert_int_equal(trace.count, 0); /* it has not begun */
    settle();
    backtrace_of(g, &trace);
    assert_int_equal(trace.count > 0, UNWIND_WORKS);
    assert_frames(&trace, "hub_wait waiter_wait cress_event_wait ");
    assert_frames(&trace, "cress_event_wait inner middle outer ");
    assert_ends(&trace);
    cress_event_set(&go);
    assert_ok(cress_join(g, CRESS_FOREVER));
    assert_true(cress_value(g) != NULL);
    backtrace_of(g, &trace);
    assert_int_equal(trace.count, 0);
    cress_release(g);
}

__attribute__((no_sanitize_address, noinline)) static uint64_t sum(const char *at, const char *end)
{
    uint64_t result = 0;

    for (; at < end; at++)
        result = result * 31 + (unsigned char)*at;
    return result;
}

static size_t resident_pages(const struct context_stack *stack)
{
    unsigned char resident[256];
    size_t count = 0;

    assert_ok(mincore(stack->bottom, stack->size, resident));
    for (size_t i = 0; i < stack->size / 4096; i++)
        count += resident[i] & 1;
    return count;
}

static void test_the_stack_is_only_read(void)
{
    cress_greenlet *g = cress_spawn(outer, (void *)(size_t)100);
    struct backtrace trace;

    go = (cress_event){ 0 };
    settle();

    const struct context_stack *stack = &g->stack->extent;
    size_t pages = resident_pages(stack);
    const char *top = stack->bottom + stack->size;
    uint64_t before = sum(top - 512, top);

    backtrace_of(g, &trace);
    assert_int_equal(resident_pages(stack), pages);
    assert_true(sum(top - 512, top) == before);
    cress_event_set(&go);
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
}

__attribute__((noinline)) static int recurse(int depth)
{
    volatile int more = depth > 0 ? recurse(depth - 1) : cress_event_wait(&go, CRESS_FOREVER);

    return more;
}

static void *recurse_deep(void *arg)
{
    recurse(2 * BACKTRACE_MAX);
    return arg;
}

static void test_deep_ones_are_cut(void)
{
    struct backtrace trace;
    char *text = NULL;
    size_t size;

    if (!UNWIND_WORKS)
        skip();
    go = (cress_event){ 0 };
    cress_greenlet *g = cress_spawn(recurse_deep, NULL);
    settle();
    backtrace_of(g, &trace);
    assert_int_equal(trace.count, BACKTRACE_MAX);
    assert_true(trace.cut);
    assert_frames(&trace, "recurse recurse recurse ");

    FILE *out = open_memstream(&text, &size);

    backtrace_print(&trace, NULL, out, 2);
    fclose(out);
    assert_non_null(strstr(text, "\n  ... and more\n"));
    assert_ptr_equal(strstr(text, "  #0  "), text);
    free(text);
    cress_event_set(&go);
    assert_ok(cress_join(g, CRESS_FOREVER));
    cress_release(g);
}

/* ---- running --------------------------------------------------------------------- */

__attribute__((noinline)) static void look(struct backtrace *ret_trace)
{
    backtrace_of(cress_self(), ret_trace);
    __asm__ volatile(""); /* no tail call */
}

static void test_running(void)
{
    struct backtrace trace;

    look(&trace);
    assert_frames(&trace, "look test_running ");
    assert_ends(&trace);
}

static void in_hub(cress_greenlet *g, void *arg)
{
    (void)g;
    backtrace_here(arg);
    __asm__ volatile("");
}

static void *nothing(void *arg)
{
    return arg;
}

static void test_in_the_hub(void)
{
    struct backtrace trace = { 0 };
    cress_greenlet *g = cress_spawn(nothing, NULL);

    assert_ok(cress_link(g, in_hub, &trace));
    settle();
    cress_release(g);
    assert_frames(&trace, "in_hub run_link run_ready hub_loop ");
    assert_frames(&trace, " main ");
}

static void test_outside(void **state)
{
    struct backtrace trace;

    (void)state;
    backtrace_here(&trace);
    assert_int_equal(trace.count, 0);
}

/* ---- interrupted --------------------------------------------------------------------- */

static struct backtrace noted, noted_within;

static void on_signal(int signum, siginfo_t *info, void *ucontext)
{
    (void)signum, (void)info;
    backtrace_interrupted(hub_current, ucontext, &noted);
    backtrace_here(&noted_within);
}

__attribute__((noinline)) static int interrupt_me(void)
{
    return raise(SIGUSR1) + 1;
}

static void check_interrupted(int flags)
{
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

    noted = noted_within = (struct backtrace){ 0 };
    assert_ok(sigaction(SIGUSR1, &action, NULL));
    assert_int_equal(interrupt_me(), 1);
    signal(SIGUSR1, SIG_DFL);
    assert_frames(&noted, "interrupt_me check_interrupted ");
    assert_ends(&noted);
}

static void test_interrupted(void)
{
    check_interrupted(0);
    /* Through the C library's own frame, whose table is made of expressions. Sanitizers put
     * theirs between. */
    if (!SANITIZED)
        assert_frames(&noted_within, "interrupt_me check_interrupted ");
    check_interrupted(SA_ONSTACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_parked),
        HUB_TEST(test_the_stack_is_only_read),
        HUB_TEST(test_deep_ones_are_cut),
        HUB_TEST(test_running),
        HUB_TEST(test_in_the_hub),
        cmocka_unit_test(test_outside),
        HUB_TEST(test_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
