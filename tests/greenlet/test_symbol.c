/* The names of addresses. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "hub_test.h"

#include "../../greenlet/symbol.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    long first, second;
} variable;

__attribute__((noinline)) static int a_static_function(int n)
{
    return n + (int)variable.second;
}

static const void *its_address(void)
{
    int (*function)(int) = a_static_function;
    const void *address;

    memcpy(&address, &function, sizeof address);
    return address;
}

static void test_code(void **state)
{
    struct symbols *symbols = symbols_open();
    char text[256];

    (void)state;
    assert_int_equal(a_static_function(1), 1);
    if (!symbols_complete())
        skip();
    assert_non_null(symbols);
    for (int i = 0; i < 2; i++) /* the second time from the cache */
        assert_non_null(strstr(symbols_code(symbols, its_address(), text, sizeof text),
                               "a_static_function (greenlet/test_symbol.c:"));
    assert_non_null(strstr(symbol_name(its_address(), text, sizeof text), "a_static_function"));
    assert_string_equal(symbols_code(symbols, NULL, text, sizeof text), "(nil)");
    symbols_code(symbols, its_address(), text, 6);
    assert_string_equal(text, "a_sta");
    symbols_close(symbols);
}

static void test_variables(void **state)
{
    struct symbols *symbols = symbols_open();
    void *heap = malloc(1);
    char text[256];

    (void)state;
    if (!symbols_complete())
        skip();
    assert_string_equal(symbols_data(symbols, &variable, text, sizeof text), "variable");
    assert_string_equal(symbols_data(symbols, &variable.second, text, sizeof text), "variable+0x8");
    assert_null(symbols_data(symbols, heap, text, sizeof text));
    assert_null(symbols_data(symbols, text, text, sizeof text)); /* on the stack */
    assert_null(symbols_data(symbols, its_address(), text, sizeof text));
    free(heap);
    symbols_close(symbols);
}

struct frames {
    char text[1024];
    int count;
};

static void take_frame(const char *text, void *arg)
{
    struct frames *frames = arg;

    strcat(strcat(frames->text, text), "\n");
    frames->count++;
}

__attribute__((noinline)) static const char *call(void)
{
    return __builtin_return_address(0);
}

__attribute__((always_inline)) static inline const char *inlined(void)
{
    return call() - 1;
}

__attribute__((noinline)) static const void *holder(void)
{
    return inlined();
}

static void test_inlined_functions(void **state)
{
    struct symbols *symbols = symbols_open();
    struct frames frames = { 0 };

    (void)state;
    if (!symbols_complete())
        skip();
    symbols_frames(symbols, holder(), take_frame, &frames);
    symbols_close(symbols);
    assert_int_equal(frames.count, 2);
    assert_ptr_equal(strstr(frames.text, "inlined (greenlet/test_symbol.c:"), frames.text);
    assert_non_null(strstr(frames.text, "\nholder (greenlet/test_symbol.c:"));
}

/* What is left when there is no libdw: NULL stands for it. */
static void test_without_debug_information(void **state)
{
    struct frames frames = { 0 };
    void *function = dlsym(RTLD_DEFAULT, "getppid");
    char text[256];

    (void)state;
    assert_non_null(function);
    assert_non_null(strstr(symbols_code(NULL, function, text, sizeof text), "getppid+0x0 (libc"));
    symbols_frames(NULL, function, take_frame, &frames);
    assert_int_equal(frames.count, 1);
    assert_non_null(strstr(frames.text, "getppid"));
    symbols_code(NULL, its_address(), text, sizeof text);
    assert_non_null(strstr(text, "test_symbol+0x"));
    assert_non_null(
        strstr(symbols_data(NULL, dlsym(RTLD_DEFAULT, "environ"), text, sizeof text), "environ"));
    assert_null(symbols_data(NULL, text, text, sizeof text));
    symbols_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_inlined_functions),
        cmocka_unit_test(test_without_debug_information),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
