#include "hub_test.h"

#include <cress/async_result.h>

static cress_async_result result;

static void *get(void *arg)
{
    void *value = "nothing";
    int got = cress_async_result_get(&result, &value, CRESS_FOREVER);

    trace("%s: %d %s (%d) at %g", (char *)arg, got, (char *)value, got < 0 ? errno : 0,
          cress_now());
    return NULL;
}

static void test_value_reaches_all(void)
{
    result = (cress_async_result)CRESS_ASYNC_RESULT_INIT;
    assert_false(cress_async_result_ready(&result));
    spawn(get, "a");
    spawn(get, "b");
    assert_ok(cress_sleep(3));
    cress_async_result_set(&result, "Hello!");
    assert_true(cress_async_result_ready(&result));
    settle();
    assert_trace("a: 0 Hello! (0) at 3\nb: 0 Hello! (0) at 3\n");
    assert_ok(cress_async_result_get(&result, NULL, 0));
}

static void test_failure_is_what_get_reports(void)
{
    void *value = "untouched";

    result = (cress_async_result){ 0 };
    spawn(get, "a");
    settle();
    cress_async_result_fail(&result, EIO);
    settle();
    assert_int_equal(EIO, 5);
    assert_trace("a: -1 nothing (5) at 0\n");
    assert_errno(EIO, cress_async_result_get(&result, &value, 0));
    assert_string_equal(value, "untouched");
}

static void test_set_again(void)
{
    void *value;

    result = (cress_async_result){ 0 };
    cress_async_result_fail(&result, EIO);
    cress_async_result_set(&result, "second");
    assert_ok(cress_async_result_get(&result, &value, 0));
    assert_string_equal(value, "second");
    cress_async_result_set(&result, NULL);
    assert_ok(cress_async_result_get(&result, &value, 0));
    assert_null(value);
}

static void test_limits_and_kill(void)
{
    result = (cress_async_result){ 0 };
    assert_errno(ETIMEDOUT, cress_async_result_get(&result, NULL, 0));
    assert_errno(ETIMEDOUT, cress_async_result_get(&result, NULL, 1.5));
    assert_time(1.5);

    cress_greenlet *g = cress_spawn(get, "a");

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_int_equal(ECANCELED, 125);
    assert_trace("a: -1 nothing (125) at 1.5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_value_reaches_all),
        HUB_TEST(test_failure_is_what_get_reports),
        HUB_TEST(test_set_again),
        HUB_TEST(test_limits_and_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
