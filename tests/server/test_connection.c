/* A worker in a hub of this program, and clients in the same hub: what a warm
 * connection asks of the allocator and of the stacks. */
#include "count_alloc.h"
#include "hub_server.h"
#include "hub_test.h"

#include <cress/io.h>
#include <cress/stream.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static int hello(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

/* [waits] One request and its whole answer, whose body ends with a line end. */
static void ask(int fd)
{
    char answer[512];
    size_t len = 0;

    assert_int_equal(cress_write(fd, REQUEST, strlen(REQUEST)), strlen(REQUEST));
    while (len < 4 || memcmp(answer + len - 4, "rld\n", 4) != 0) {
        ssize_t count = cress_read(fd, answer + len, sizeof answer - len);
        assert_true(count > 0);
        len += (size_t)count;
    }
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
}

/* ---- tests -------------------------------------------------------------------------- */

static void *warm_requests(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 1000 } };

    (void)arg;
    hub_server_start(&s, hello, NULL);
    int fd = hub_server_dial(&s);
    for (int i = 0; i < 10; i++)
        ask(fd);
    size_t before = allocations;
    assert_true(before > 0); /* they are counted */
    for (int i = 0; i < 1000; i++)
        ask(fd);
    assert_int_equal(allocations, before);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

static void test_a_warm_request_allocates_nothing(void **state)
{
    (void)state;
    assert_int_equal(cress_run(warm_requests, NULL), 0);
}

enum { CLIENTS = 40 };

static void *rest_without_stacks(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 1000 } };
    cress_hub_stats stats;
    int fds[CLIENTS];

    (void)arg;
    hub_server_start(&s, hello, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = hub_server_dial(&s);
        ask(fds[i]);
    }
    cress_sleep(0);
    cress_get_hub_stats(&stats);
    assert_int_equal(s.worker.open, CLIENTS);
    assert_true(stats.stacks - stats.stacks_cached < 8); /* ours, the acceptor's, the sleepers' */
    for (int i = 0; i < CLIENTS; i++)
        ask(fds[i]);
    for (int i = 0; i < CLIENTS; i++)
        cress_close(fds[i]);
    hub_server_stop(&s);
    return NULL;
}

static void test_an_idle_connection_holds_no_stack(void **state)
{
    (void)state;
    assert_int_equal(cress_run(rest_without_stacks, NULL), 0);
}

struct visit {
    cress_event begun, gone;
    int error;
};

static void note_end(void *arg)
{
    struct visit *visit = arg;

    cress_event_set(&visit->gone);
}

static int wait_for_ever(cress_environ *env, cress_response *res, void *self)
{
    struct visit *visit = self;

    (void)res;
    assert_int_equal(cress_defer(env, note_end, visit), 0);
    cress_event_set(&visit->begun);
    int result = cress_sleep(CRESS_FOREVER);
    visit->error = errno;
    return result;
}

static void *leave_early(void *arg)
{
    struct visit visit = { .error = 0 };
    struct hub_server s = { .config = { .request_timeout = 1000 } };

    (void)arg;
    hub_server_start(&s, wait_for_ever, &visit);
    int fd = hub_server_dial(&s);
    assert_int_equal(cress_write(fd, REQUEST, strlen(REQUEST)), strlen(REQUEST));
    assert_int_equal(cress_event_wait(&visit.begun, CRESS_FOREVER), 0);
    cress_close(fd);
    assert_int_equal(cress_event_wait(&visit.gone, CRESS_FOREVER), 0);
    assert_int_equal(visit.error, ECANCELED);
    hub_server_stop(&s);
    return NULL;
}

static void test_a_client_that_leaves_cancels_the_handler(void **state)
{
    (void)state;
    assert_int_equal(cress_run(leave_early, NULL), 0);
}

static void *expire_idle(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 5 } };
    char end;

    (void)arg;
    hub_server_start(&s, hello, NULL);
    int fd = hub_server_dial(&s);
    ask(fd);
    cress_seconds before = cress_now();
    assert_int_equal(cress_read(fd, &end, 1), 0);
    assert_true(cress_now() - before >= 4.9);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

static void test_an_idle_connection_expires(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(expire_idle, NULL), 0);
}

/* [waits] How long until the server closes. */
static cress_seconds await_end(int fd)
{
    cress_seconds before = cress_now();
    char end;

    assert_int_equal(cress_read(fd, &end, 1), 0);
    return cress_now() - before;
}

static int sleep_and_greet(cress_environ *env, cress_response *res, void *self)
{
    const cress_seconds *span = self;

    (void)env;
    assert_int_equal(cress_sleep(*span), 0);
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

/* It stays among the idle ones meanwhile. */
static void *outlast_idle_time(void *arg)
{
    cress_seconds span = 0;
    struct hub_server s = { .config = { .keep_alive = 5, .header_timeout = 5 } };

    (void)arg;
    hub_server_start(&s, sleep_and_greet, &span);
    int fd = hub_server_dial(&s);
    for (int i = 0; i < 3; i++) {
        ask(fd);
        span = 30;
    }
    cress_seconds idle = await_end(fd);
    assert_true(idle >= 4.9 && idle < 5.5);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

static void test_a_request_may_take_longer_than_idle_connections_stay(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(outlast_idle_time, NULL), 0);
}

/* Asking again at once gives the whole time again, though nothing was moved. */
static void *touch_idle(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 5 } };

    (void)arg;
    hub_server_start(&s, hello, NULL);
    int fd = hub_server_dial(&s);
    for (int i = 0; i < 100; i++) {
        ask(fd);
        cress_sleep(0.1);
    }
    cress_seconds idle = await_end(fd);
    assert_true(idle >= 4.7 && idle < 5.5);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

static void test_requests_keep_a_connection(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(touch_idle, NULL), 0);
}

static void *send_empty_lines(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 5 } };
    int lines = 0;

    (void)arg;
    hub_server_start(&s, hello, NULL);
    int fd = hub_server_dial(&s);
    ask(fd);
    while (s.worker.open > 0 && lines < 100) {
        assert_int_equal(cress_write(fd, "\r\n", 2), 2);
        cress_sleep(1);
        lines++;
    }
    assert_int_equal(lines, 6);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

static void test_empty_lines_do_not_keep_one(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(send_empty_lines, NULL), 0);
}

/* The time for a head does not count from the request before it. */
static void *begin_behind_a_slow_request(void *arg)
{
    static const char two[] = REQUEST "GET / HT", rest[] = "TP/1.1\r\nHost: a\r\n\r\n";
    cress_seconds span = 8;
    struct hub_server s = { .config = { .keep_alive = 1, .header_timeout = 10 } };
    char answer[512];

    (void)arg;
    hub_server_start(&s, sleep_and_greet, &span);
    int fd = hub_server_dial(&s);
    assert_int_equal(cress_write(fd, two, sizeof two - 1), sizeof two - 1);
    assert_true(cress_read(fd, answer, sizeof answer) > 0);
    cress_sleep(8);
    assert_int_equal(cress_write(fd, rest, sizeof rest - 1), sizeof rest - 1);
    assert_true(cress_read(fd, answer, sizeof answer) > 17);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(await_end(fd) < 2);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

static void test_a_head_behind_a_slow_request_gets_its_time(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(begin_behind_a_slow_request, NULL), 0);
}

/* What connections that come and go need is there already; a peak is given back. */
static void *come_and_go(void *arg)
{
    enum { PEAK = 100 };
    struct hub_server s = { .config = { .keep_alive = 1000 } };
    int fds[PEAK];

    (void)arg;
    hub_server_start(&s, hello, NULL);
    for (int i = 0; i < PEAK; i++) {
        fds[i] = hub_server_dial(&s);
        ask(fds[i]);
    }
    for (int i = 0; i < PEAK; i++)
        cress_close(fds[i]);
    while (s.worker.open > 0)
        cress_sleep(0);
    assert_true(s.worker.spare_count > 0 && s.worker.spare_count < PEAK);
    size_t before = allocations;
    for (int i = 0; i < PEAK; i++) {
        int fd = hub_server_dial(&s);
        ask(fd);
        cress_close(fd);
    }
    assert_int_equal(allocations, before);
    hub_server_stop(&s);
    assert_null(s.worker.spare);
    return NULL;
}

static void test_connections_are_made_of_earlier_ones(void **state)
{
    (void)state;
    assert_int_equal(cress_run(come_and_go, NULL), 0);
}

/* Accepted in this turn, they would run in the next. */
static void *cancel_new(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 1000 } };
    cress_timeout limit;
    int fds[3];
    char end;

    (void)arg;
    hub_server_start(&s, hello, NULL);
    for (int i = 0; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* and no wait before */
        assert_int_equal(connect(fds[i], (struct sockaddr *)&s.address, sizeof s.address), 0);
        assert_int_equal(write(fds[i], REQUEST, strlen(REQUEST)), strlen(REQUEST));
    }
    while (s.worker.open == 0)
        cress_sleep(0);
    s.worker.quick = true;
    connection_cancel_all(&s.worker);
    cress_timeout_start(&limit, 20.0);
    hub_server_stop(&s);
    cress_timeout_close(&limit);
    for (int i = 0; i < 3; i++) {
        ssize_t count = cress_read(fds[i], &end, 1);
        assert_true(count == 0 || (count < 0 && errno == ECONNRESET));
        cress_close(fds[i]);
    }
    return NULL;
}

static void test_a_quick_stop_ends_new_connections(void **state)
{
    (void)state;
    assert_int_equal(cress_run(cancel_new, NULL), 0);
}

static void await_event(void *arg)
{
    cress_event_wait(arg, CRESS_FOREVER);
}

static int hello_then_wait(cress_environ *env, cress_response *res, void *self)
{
    assert_int_equal(cress_defer(env, await_event, self), 0);
    return hello(env, res, NULL);
}

static void *defer_before_a_further_request(void *arg)
{
    struct hub_server s = { .config = { .keep_alive = 1000 } };
    cress_event answered = { 0 };
    cress_timeout limit;
    char answer[512];

    (void)arg;
    hub_server_start(&s, hello_then_wait, &answered);
    int fd = hub_server_dial(&s);
    assert_int_equal(cress_write(fd, REQUEST REQUEST, 2 * strlen(REQUEST)), 2 * strlen(REQUEST));
    cress_timeout_start(&limit, 5);
    ssize_t count = cress_read(fd, answer, sizeof answer);
    cress_timeout_close(&limit);
    cress_event_set(&answered);
    assert_true(count > 0);
    assert_true(cress_read(fd, answer, sizeof answer) > 0);
    cress_close(fd);
    hub_server_stop(&s);
    return NULL;
}

/* Though the next request is there already, and its answer could have joined. */
static void test_an_answer_does_not_wait_for_what_was_deferred(void **state)
{
    (void)state;
    assert_int_equal(cress_run(defer_before_a_further_request, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_warm_request_allocates_nothing),
        cmocka_unit_test(test_an_idle_connection_holds_no_stack),
        cmocka_unit_test(test_a_client_that_leaves_cancels_the_handler),
        cmocka_unit_test(test_an_idle_connection_expires),
        cmocka_unit_test(test_a_request_may_take_longer_than_idle_connections_stay),
        cmocka_unit_test(test_requests_keep_a_connection),
        cmocka_unit_test(test_empty_lines_do_not_keep_one),
        cmocka_unit_test(test_a_head_behind_a_slow_request_gets_its_time),
        cmocka_unit_test(test_connections_are_made_of_earlier_ones),
        cmocka_unit_test(test_a_quick_stop_ends_new_connections),
        cmocka_unit_test(test_an_answer_does_not_wait_for_what_was_deferred),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
