#include "hub_test.h"

#include <cress/local.h>

static cress_local plain;

static void *write_then_read(void *arg)
{
    assert_null(cress_local_get(&plain));
    assert_ok(cress_local_set(&plain, arg));
    assert_ok(cress_sleep(0));
    assert_ptr_equal(cress_local_get(&plain), arg);
    assert_ok(cress_local_set(&plain, NULL));
    assert_null(cress_local_get(&plain));
    return NULL;
}

static void test_one_value_per_greenlet(void)
{
    assert_ok(cress_local_set(&plain, "main's"));
    spawn(write_then_read, "a's");
    spawn(write_then_read, "b's");
    settle();
    assert_string_equal(cress_local_get(&plain), "main's");
}

static void finish_value(void *value)
{
    trace("finish %s in %llu", (char *)value, (unsigned long long)cress_id(cress_self()));
}

static cress_local first = { finish_value }, second = { finish_value }, third = { finish_value };

static void *set_three(void *arg)
{
    (void)arg;
    assert_ok(cress_local_set(&first, "one"));
    assert_ok(cress_local_set(&second, "two"));
    assert_ok(cress_local_set(&third, "three"));
    assert_ok(cress_local_set(&first, "one again")); /* keeps its place; "one" is ours */
    assert_ok(cress_local_set(&second, NULL));
    assert_int_equal(cress_id(cress_self()), 2);
    return NULL;
}

static void test_values_end_with_their_greenlet(void)
{
    spawn(set_three, NULL);
    settle();
    assert_trace("finish three in 2\nfinish one again in 2\n");
}

static void *set_and_wait(void *arg)
{
    (void)arg;
    assert_ok(cress_local_set(&first, "killed one's"));
    assert_errno(ECANCELED, cress_sleep(CRESS_FOREVER));
    return NULL;
}

static void test_values_of_a_killed_one(void)
{
    cress_greenlet *g = cress_spawn(set_and_wait, NULL);

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("finish killed one's in 2\n");
}

static void set_another(void *value)
{
    trace("finish %s", (char *)value);
    assert_ok(cress_local_set(&first, "set while finishing"));
}

static cress_local sets_another = { set_another };

static void *set_one_that_sets(void *arg)
{
    assert_ok(cress_local_set(&sets_another, "it"));
    return arg;
}

static void test_finish_may_set_others(void)
{
    spawn(set_one_that_sets, NULL);
    settle();
    assert_trace("finish it\nfinish set while finishing in 2\n");
}

static void *find_other(void *arg, const cress_local *key)
{
    return key == &plain ? arg : NULL;
}

static void *look(void *ret)
{
    *(void **)ret = cress_local_get(&plain);
    return NULL;
}

/* Of the greenlet that has them only, and behind what it has set itself. */
static void test_hooks_have_values(void)
{
    static const cress_greenlet_hooks hooks = { .local = find_other }, without = { .local = NULL };
    void *seen = "not looked";

    cress_set_hooks(cress_self(), &hooks, "by hook");
    assert_string_equal(cress_local_get(&plain), "by hook");
    assert_null(cress_local_get(&first));
    spawn(look, &seen);
    settle();
    assert_null(seen);
    assert_ok(cress_local_set(&plain, NULL));
    assert_null(cress_local_get(&plain));
    assert_ok(cress_local_set(&plain, "its own"));
    assert_string_equal(cress_local_get(&plain), "its own");
    cress_set_hooks(cress_self(), &without, NULL);
    assert_string_equal(cress_local_get(&plain), "its own");
    assert_null(cress_local_get(&first));
    cress_set_hooks(cress_self(), NULL, NULL);
}

static void test_outside(void **state)
{
    (void)state;
    assert_null(cress_local_get(&plain));
    assert_errno(EPERM, cress_local_set(&plain, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_one_value_per_greenlet), HUB_TEST(test_values_end_with_their_greenlet),
        HUB_TEST(test_values_of_a_killed_one), HUB_TEST(test_finish_may_set_others),
        HUB_TEST(test_hooks_have_values),      cmocka_unit_test(test_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
