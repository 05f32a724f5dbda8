#include "../../server/expiry.h"
#include "hub_test.h"

struct thing {
    struct expiry_node node;
    cress_seconds expired_at; /* 0: not yet */
};

static void note(struct expiry_node *node)
{
    ((struct thing *)node)->expired_at = cress_now();
}

static void test_each_expires_after_the_span(void)
{
    struct expiry e;
    struct thing things[3] = { 0 };

    assert_int_equal(expiry_start(&e, 10, 0, note), 0);
    cress_seconds began = cress_now();
    for (int i = 0; i < 3; i++) {
        expiry_add(&e, &things[i].node);
        cress_sleep(1);
    }
    cress_sleep(30);
    for (int i = 0; i < 3; i++)
        assert_true(things[i].expired_at - began == 10 + i);
    assert_null(e.first);
    expiry_stop(&e);
}

static void test_adding_again_starts_anew_and_removal_ends_it(void)
{
    struct expiry e;
    struct thing early = { 0 }, gone = { 0 };

    assert_int_equal(expiry_start(&e, 10, 0, note), 0);
    cress_seconds began = cress_now();
    expiry_add(&e, &early.node);
    expiry_add(&e, &gone.node);
    cress_sleep(6);
    expiry_add(&e, &early.node);
    expiry_remove(&gone.node);
    expiry_remove(&gone.node);
    cress_sleep(30);
    assert_true(early.expired_at - began == 16);
    assert_true(gone.expired_at == 0);
    expiry_stop(&e);
}

static void test_a_node_is_in_one_list(void)
{
    struct expiry slow, quick;
    struct thing thing = { 0 };

    assert_int_equal(expiry_start(&slow, CRESS_FOREVER, 0, note), 0);
    assert_int_equal(expiry_start(&quick, 2, 0, note), 0);
    cress_seconds began = cress_now();
    expiry_add(&slow, &thing.node);
    cress_sleep(1000);
    assert_true(thing.expired_at == 0);
    expiry_add(&quick, &thing.node);
    assert_null(slow.first);
    cress_sleep(3);
    assert_true(thing.expired_at - began == 1002);
    expiry_stop(&slow);
    expiry_stop(&quick);
}

/* What is touched within the slack is not moved, and still gets its whole span. */
static void test_touching_moves_now_and_then(void)
{
    struct expiry e;
    struct thing quiet = { 0 }, busy = { 0 };

    assert_int_equal(expiry_start(&e, 10, 2, note), 0);
    cress_seconds began = cress_now();
    expiry_touch(&e, &busy.node);
    expiry_touch(&e, &quiet.node);
    cress_sleep(1.5);
    expiry_touch(&e, &busy.node);
    assert_ptr_equal(e.first, &busy.node);
    cress_sleep(1);
    expiry_touch(&e, &busy.node);
    assert_ptr_equal(e.first, &quiet.node);
    assert_ptr_equal(e.last, &busy.node);
    cress_sleep(2);
    expiry_touch(&e, &busy.node);
    cress_sleep(30);
    assert_true(quiet.expired_at - began == 12);
    assert_true(busy.expired_at - began == 14.5);
    expiry_stop(&e);
}

static void test_touching_joins(void)
{
    struct expiry slow, quick;
    struct thing thing = { 0 };

    assert_int_equal(expiry_start(&slow, CRESS_FOREVER, 0, note), 0);
    assert_int_equal(expiry_start(&quick, 2, 1, note), 0);
    expiry_touch(&slow, &thing.node);
    expiry_touch(&quick, &thing.node);
    assert_null(slow.first);
    assert_ptr_equal(quick.first, &thing.node);
    cress_sleep(4);
    assert_true(thing.expired_at > 0);
    expiry_stop(&slow);
    expiry_stop(&quick);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_each_expires_after_the_span),
        HUB_TEST(test_adding_again_starts_anew_and_removal_ends_it),
        HUB_TEST(test_a_node_is_in_one_list),
        HUB_TEST(test_touching_moves_now_and_then),
        HUB_TEST(test_touching_joins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
