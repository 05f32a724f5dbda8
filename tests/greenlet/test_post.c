#include "descriptors.h"
#include "hub_test.h"

#include "../../greenlet/hub.h"
#include "../../greenlet/post.h"

#include <cress/event.h>

#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 4, POSTS = 500 };

struct message {
    struct task task;
    int sender, number;
};

static struct hub *hub;
static cress_event arrived;
static int received, last_of[THREADS];

static void note_message(struct task *task)
{
    struct message *message = (struct message *)task;

    assert_null(cress_self()); /* in the hub's context */
    assert_ptr_equal(hub_current, hub);
    assert_int_equal(message->number, last_of[message->sender] + 1);
    last_of[message->sender] = message->number;
    received++;
    cress_event_set(&arrived);
    free(message);
}

static struct message *new_message(int sender, int number)
{
    struct message *message = malloc(sizeof *message);

    *message = (struct message){ .task.run = note_message, .sender = sender, .number = number };
    return message;
}

static void *post_many(void *arg)
{
    for (int i = 1; i <= POSTS; i++)
        hub_post(hub, &new_message((int)(intptr_t)arg, i)->task);
    return NULL;
}

static void forget_messages(void)
{
    hub = hub_current;
    received = 0;
    for (int i = 0; i < THREADS; i++)
        last_of[i] = 0;
    cress_event_clear(&arrived);
}

static void test_all_arrive_in_order(void)
{
    pthread_t threads[THREADS];

    forget_messages();
    for (int i = 0; i < THREADS * POSTS; i++)
        assert_ok(hub_expect(hub));
    for (int i = 0; i < THREADS; i++)
        assert_ok(pthread_create(&threads[i], NULL, post_many, (void *)(intptr_t)i));
    while (received < THREADS * POSTS) { /* never a deadlock: posts are expected */
        assert_ok(cress_event_wait(&arrived, CRESS_FOREVER));
        cress_event_clear(&arrived);
    }
    for (int i = 0; i < THREADS; i++)
        assert_ok(pthread_join(threads[i], NULL));
    assert_int_equal(hub->expected, 0);
    assert_int_equal(hub_awaited(hub), 0);
}

/* Nobody waits for the posts, and the first greenlet is long gone. */
static void *leave_threads_behind(void *threads)
{
    forget_messages();
    for (int i = 0; i < THREADS * POSTS; i++)
        assert_ok(hub_expect(hub));
    for (int i = 0; i < THREADS; i++)
        assert_ok(pthread_create((pthread_t *)threads + i, NULL, post_many, (void *)(intptr_t)i));
    return NULL;
}

static void test_a_hub_ends_after_what_it_expects(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (int clock = 0; clock < 2; clock++) {
        cress_hub_options options = { .virtual_clock = clock == 1 };

        assert_ok(cress_run_with(&options, leave_threads_behind, threads));
        assert_int_equal(received, THREADS * POSTS);
        for (int i = 0; i < THREADS; i++)
            assert_ok(pthread_join(threads[i], NULL));
    }
}

static void test_what_will_not_come_is_not_waited_for(void)
{
    cress_event never = CRESS_EVENT_INIT;

    assert_ok(hub_expect(hub_current));
    hub_unexpect(hub_current);
    assert_errno(ETIMEDOUT, cress_event_wait(&never, 1.0));
    assert_time(1.0);
}

/* The clock is virtual, but does not jump over the post. */
static void test_the_virtual_clock_waits_for_a_post(void)
{
    pthread_t thread;

    forget_messages();
    for (int i = 0; i < POSTS; i++)
        assert_ok(hub_expect(hub));
    assert_ok(pthread_create(&thread, NULL, post_many, (void *)(intptr_t)0));
    while (received < POSTS) {
        assert_ok(cress_event_wait(&arrived, 1000.0));
        cress_event_clear(&arrived);
    }
    assert_true(cress_now() < 1000.0);
    assert_ok(pthread_join(thread, NULL));
    assert_ok(cress_sleep(1000.0)); /* and jumps again */
}

static void test_no_descriptor_is_left(void)
{
    descriptors_run_out();
    assert_errno(EMFILE, hub_expect(hub_current));
    assert_int_equal(hub_current->expected, 0);
    descriptors_are_back();
    assert_ok(hub_expect(hub_current));
    hub_unexpect(hub_current);
    descriptors_run_out();
    assert_ok(hub_expect(hub_current)); /* it has been opened */
    hub_unexpect(hub_current);
    descriptors_are_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_all_arrive_in_order),
        cmocka_unit_test(test_a_hub_ends_after_what_it_expects),
        HUB_TEST(test_what_will_not_come_is_not_waited_for),
        HUB_TEST(test_the_virtual_clock_waits_for_a_post),
        HUB_TEST(test_no_descriptor_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
