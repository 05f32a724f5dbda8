#include "../../server/admission.h"
#include "hub_test.h"

#include <cress/greenlet.h>
#include <cress/timeout.h>

struct request {
    struct admission *admission;
    int result, error;
    cress_seconds admitted_at;
};

static void *request(void *arg)
{
    struct request *r = arg;

    r->result = admission_enter(r->admission);
    r->error = errno;
    r->admitted_at = cress_now();
    if (r->result == 0) {
        cress_sleep(1);
        admission_leave(r->admission);
    }
    return NULL;
}

static void run_requests(struct admission *a, struct request requests[], size_t count)
{
    cress_greenlet *gs[8] = { NULL };

    for (size_t i = 0; i < count; i++) {
        requests[i] = (struct request){ .admission = a };
        gs[i] = cress_spawn(request, &requests[i]);
    }
    assert_int_equal(cress_joinall(gs, count, CRESS_FOREVER), 0);
    for (size_t i = 0; i < count; i++)
        cress_release(gs[i]);
}

static void test_waiters_queue_up_to_a_bound(void)
{
    struct admission a;
    struct request requests[5];

    admission_init(&a, 2, 2);
    cress_seconds began = cress_now();
    run_requests(&a, requests, 5);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(requests[i].result, 0);
        assert_true(requests[i].admitted_at - began == i / 2);
    }
    assert_int_equal(requests[4].result, -1);
    assert_int_equal(requests[4].error, EAGAIN);
    assert_int_equal(a.waiting, 0);
}

static void test_no_limit_admits_all(void)
{
    struct admission a;
    struct request requests[8];

    admission_init(&a, 0, 0);
    cress_seconds began = cress_now();
    run_requests(&a, requests, 8);
    for (int i = 0; i < 8; i++)
        assert_true(requests[i].result == 0 && requests[i].admitted_at == began);
}

static void test_a_limit_ends_the_wait(void)
{
    struct admission a;
    cress_timeout limit;

    admission_init(&a, 1, 1);
    assert_int_equal(admission_enter(&a), 0);
    cress_timeout_start(&limit, 3);
    assert_int_equal(admission_enter(&a), -1);
    assert_int_equal(errno, ETIMEDOUT);
    cress_timeout_close(&limit);
    assert_int_equal(a.waiting, 0);
    admission_leave(&a);
    assert_int_equal(admission_enter(&a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_waiters_queue_up_to_a_bound),
        HUB_TEST(test_no_limit_admits_all),
        HUB_TEST(test_a_limit_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
