/* Sockets of one context, most over inproc, which is exact under the virtual clock; over
 * TCP, where libzmq's own thread is in between, where that makes a difference.
 */
#define _GNU_SOURCE
#include "hub_test.h"

#include "faults.h"

#include <cress/simulation.h>
#include <cress/timeout.h>
#include <cress/zeromq.h>

#ifdef __SANITIZE_THREAD__
/* libzmq and what it uses are not instrumented: what their threads hand to each other looks like races. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\nrace:libzmq.so\nrace:libpgm-\n";
}
#endif

/* libzmq's calls fail on plan, too; and nobody may ask a socket that has been closed. */
#define ZMQ_CALLS(X)                                                                        \
    X(int, zmq_send, -1, (void *s, const void *data, size_t len, int f), (s, data, len, f)) \
    X(int, zmq_recv, -1, (void *s, void *buf, size_t len, int f), (s, buf, len, f))         \
    X(int, zmq_msg_send, -1, (zmq_msg_t * m, void *s, int f), (m, s, f))                    \
    X(int, zmq_msg_recv, -1, (zmq_msg_t * m, void *s, int f), (m, s, f))
ZMQ_CALLS(WRAP)

static void *closed_socket;

int __real_zmq_getsockopt(void *socket, int option, void *value, size_t *size);
int __wrap_zmq_getsockopt(void *socket, int option, void *value, size_t *size);

int __wrap_zmq_getsockopt(void *socket, int option, void *value, size_t *size)
{
    assert_true(!socket || socket != closed_socket);
    if (option == ZMQ_EVENTS && strikes("zmq_getsockopt"))
        return -1;
    return __real_zmq_getsockopt(socket, option, value, size);
}

static void *context;

static void *open_socket(int type)
{
    void *socket = zmq_socket(context, type);

    assert_non_null(socket);
    return socket;
}

static void set_option(void *socket, int option, int value)
{
    assert_ok(zmq_setsockopt(socket, option, &value, sizeof value));
}

/* Two sockets that are connected; the first one binds. */
static void open_pair(int first_type, int second_type, const char *endpoint, void *ret_sockets[2])
{
    char bound[128];
    size_t size = sizeof bound;

    context = zmq_ctx_new();
    ret_sockets[0] = open_socket(first_type);
    ret_sockets[1] = open_socket(second_type);
    assert_ok(zmq_bind(ret_sockets[0], endpoint));
    assert_ok(zmq_getsockopt(ret_sockets[0], ZMQ_LAST_ENDPOINT, bound, &size));
    assert_ok(zmq_connect(ret_sockets[1], bound));
}

static void close_pair(void *sockets[2])
{
    assert_ok(cress_zmq_close(sockets[0], 0));
    assert_ok(cress_zmq_close(sockets[1], 0));
    assert_ok(cress_zmq_ctx_term(context));
}

static void sends(void *socket, const char *text)
{
    assert_int_equal(cress_zmq_send(socket, text, strlen(text), 0), strlen(text));
}

static void gets(void *socket, const char *expected)
{
    char buf[64];
    int count = cress_zmq_recv(socket, buf, sizeof buf - 1, 0);

    assert_true(count >= 0);
    buf[count] = '\0';
    assert_string_equal(buf, expected);
}

static const char *error_name(void)
{
    return errno == ETERM ? "ETERM" : strerrorname_np(errno);
}

/* Receives once, and traces what. */
static void *receive(void *socket)
{
    char buf[64];
    int count = cress_zmq_recv(socket, buf, sizeof buf - 1, 0);

    if (count >= 0)
        buf[count] = '\0';
    trace("%s at %g", count >= 0 ? buf : error_name(), cress_now());
    return NULL;
}

static const char *const everywhere[] = { "inproc://x", "tcp://127.0.0.1:*", "ipc://*" };
enum { WAYS = sizeof everywhere / sizeof everywhere[0] };

/* ---- two sides --------------------------------------------------------------------------- */

static void *answer_all(void *socket)
{
    char buf[64];
    int count;

    while ((count = cress_zmq_recv(socket, buf, sizeof buf, 0)) > 0)
        if (cress_zmq_send(socket, buf, (size_t)count, 0) < 0)
            break;
    return NULL;
}

static void test_request_and_reply(void)
{
    void *sockets[2];
    char text[16];

    for (int way = 0; way < WAYS; way++) {
        open_pair(ZMQ_REP, ZMQ_REQ, everywhere[way], sockets);
        spawn(answer_all, sockets[0]);
        for (int i = 0; i < 500; i++) {
            snprintf(text, sizeof text, "%d", i);
            sends(sockets[1], text);
            gets(sockets[1], text);
        }
        close_pair(sockets);
        settle();
    }
}

/* One greenlet sends while another receives, on the same socket: whoever reads the
 * socket's events takes them from the other. */
enum { MANY = 5000 };

static void *send_many(void *socket)
{
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(cress_zmq_send(socket, &i, sizeof i, 0), sizeof i);
    return NULL;
}

static void *receive_many(void *socket)
{
    uint32_t number;

    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(cress_zmq_recv(socket, &number, sizeof number, 0), sizeof number);
        assert_int_equal(number, i);
    }
    return NULL;
}

static void test_both_ways_at_once(void)
{
    void *sockets[2];

    for (int way = 0; way < WAYS; way++) {
        open_pair(ZMQ_DEALER, ZMQ_DEALER, everywhere[way], sockets);
        set_option(sockets[0], ZMQ_SNDHWM, 10);

        cress_greenlet *all[] = { cress_spawn(receive_many, sockets[0]),
                                  cress_spawn(receive_many, sockets[1]),
                                  cress_spawn(send_many, sockets[0]),
                                  cress_spawn(send_many, sockets[1]) };

        assert_ok(cress_joinall(all, 4, CRESS_FOREVER));
        for (int i = 0; i < 4; i++)
            cress_release(all[i]);
        close_pair(sockets);
    }
}

static bool has_news(void *socket)
{
    struct pollfd item = { .events = POLLIN };
    size_t size = sizeof item.fd;

    assert_ok(zmq_getsockopt(socket, ZMQ_FD, &item.fd, &size));
    return poll(&item, 1, 0) == 1;
}

/* A send takes in the news that a message has come: it is passed on to who waits. */
static void test_news_are_passed_on(void)
{
    void *sockets[2];

    open_pair(ZMQ_PAIR, ZMQ_PAIR, "inproc://x", sockets);
    spawn(receive, sockets[0]);
    settle();
    sends(sockets[1], "hello");
    assert_true(has_news(sockets[0]));
    while (has_news(sockets[0]))
        assert_int_equal(cress_zmq_send(sockets[0], "x", 1, ZMQ_DONTWAIT), 1);
    assert_ok(cress_sleep(1));
    assert_trace("hello at 0\n");
    close_pair(sockets);
}

static void test_waits_for_a_message(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    spawn(receive, sockets[0]);
    assert_ok(cress_sleep(1));
    sends(sockets[1], "hello");
    assert_ok(cress_sleep(1));
    assert_trace("hello at 1\n");
    close_pair(sockets);
}

static void *send_and_tell(void *socket)
{
    int result = cress_zmq_send(socket, "more", 4, 0);

    trace("%s at %g", result == 4 ? "sent" : error_name(), cress_now());
    return NULL;
}

static void test_waits_for_room(void)
{
    void *sockets[2];
    int count = 0;

    context = zmq_ctx_new();
    sockets[0] = open_socket(ZMQ_PULL);
    sockets[1] = open_socket(ZMQ_PUSH);
    set_option(sockets[0], ZMQ_RCVHWM, 2);
    set_option(sockets[1], ZMQ_SNDHWM, 2);
    assert_ok(zmq_bind(sockets[0], "inproc://x"));
    assert_ok(zmq_connect(sockets[1], "inproc://x"));
    while (cress_zmq_send(sockets[1], "x", 1, ZMQ_DONTWAIT) == 1)
        count++;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(count, 4);
    spawn(send_and_tell, sockets[1]);
    assert_ok(cress_sleep(1));
    assert_trace("");
    for (int i = 0; i < 4; i++)
        gets(sockets[0], "x");
    gets(sockets[0], "more");
    settle();
    assert_trace("sent at 1\n");
    close_pair(sockets);
}

static void test_parts(void)
{
    void *sockets[2];
    zmq_msg_t message;

    open_pair(ZMQ_PULL, ZMQ_PUSH, "tcp://127.0.0.1:*", sockets);
    assert_int_equal(cress_zmq_send(sockets[1], "one", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(cress_zmq_send(sockets[1], "", 0, ZMQ_SNDMORE), 0);
    assert_ok(zmq_msg_init_size(&message, 5));
    memcpy(zmq_msg_data(&message), "three", 5);
    assert_int_equal(cress_zmq_msg_send(&message, sockets[1], 0), 5);

    gets(sockets[0], "one");
    gets(sockets[0], "");
    assert_ok(zmq_msg_init(&message));
    assert_int_equal(cress_zmq_msg_recv(&message, sockets[0], 0), 5);
    assert_memory_equal(zmq_msg_data(&message), "three", 5);
    assert_false(zmq_msg_more(&message));
    zmq_msg_close(&message);
    close_pair(sockets);
}

static void test_cut_message(void)
{
    void *sockets[2];
    char buf[4] = "";

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    sends(sockets[1], "longer");
    assert_int_equal(cress_zmq_recv(sockets[0], buf, 3, 0), 6); /* as zmq_recv */
    assert_string_equal(buf, "lon");
    close_pair(sockets);
}

/* ---- many on one socket ---------------------------------------------------------------------- */

static void test_receivers_take_turns(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    for (int i = 0; i < 3; i++)
        spawn(receive, sockets[0]);
    settle();
    sends(sockets[1], "a");
    sends(sockets[1], "b");
    assert_ok(cress_sleep(1));
    assert_trace("a at 0\nb at 0\n");
    sends(sockets[1], "c");
    assert_ok(cress_sleep(1));
    assert_trace("c at 1\n");
    close_pair(sockets);
}

/* Whoever is killed, the others get everything. */
static size_t received_count;

static void *count_messages(void *socket)
{
    char byte;

    while (cress_zmq_recv(socket, &byte, 1, 0) == 1)
        received_count++;
    return NULL;
}

static void test_no_message_is_lost(void)
{
    enum { RECEIVERS = 40, MESSAGES = 400 };
    cress_greenlet *receivers[RECEIVERS];
    void *sockets[2];

    for (int way = 0; way < WAYS; way++) {
        received_count = 0;
        open_pair(ZMQ_PULL, ZMQ_PUSH, everywhere[way], sockets);
        for (int i = 0; i < RECEIVERS; i++)
            receivers[i] = cress_spawn(count_messages, sockets[0]);
        settle();
        for (int i = 0; i < MESSAGES; i++) {
            sends(sockets[1], "x");
            if (i % 10 == 0 && i / 10 < RECEIVERS - 1)
                cress_cancel(receivers[i / 10]);
            if (i % 7 == 0)
                assert_ok(cress_sleep(0));
        }
        while (received_count < MESSAGES)
            assert_ok(cress_sleep(0));
        assert_ok(cress_killall(receivers, RECEIVERS, CRESS_FOREVER));
        for (int i = 0; i < RECEIVERS; i++)
            cress_release(receivers[i]);
        assert_int_equal(received_count, MESSAGES);
        close_pair(sockets);
    }
}

/* The one whose turn it was is killed before it runs: the next is told. */
static void test_kill_of_the_one_that_was_woken(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);

    cress_greenlet *first = cress_spawn(receive, sockets[0]);

    settle();
    spawn(receive, sockets[0]);
    settle();
    cress_cancel(first);
    sends(sockets[1], "hello");
    assert_ok(cress_sleep(1));
    assert_trace("ECANCELED at 0\nhello at 0\n");
    cress_release(first);
    close_pair(sockets);
}

/* ---- limits, kills, closing --------------------------------------------------------------------- */

static void test_limits(void)
{
    void *sockets[2];
    char byte;
    cress_timeout limit;

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, cress_zmq_recv(sockets[0], &byte, 1, 0));
    assert_time(2);
    assert_errno(ETIMEDOUT, cress_zmq_send(sockets[1], "x", 1, 0)); /* it stays in force */
    cress_timeout_close(&limit);
    close_pair(sockets);
}

static void test_the_sockets_own_limits(void)
{
    void *sockets[2];
    char byte;
    cress_timeout limit;

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    set_option(sockets[0], ZMQ_RCVTIMEO, 1500);
    assert_errno(EAGAIN, cress_zmq_recv(sockets[0], &byte, 1, 0));
    assert_time(1.5);
    set_option(sockets[0], ZMQ_RCVTIMEO, 0);
    assert_errno(EAGAIN, cress_zmq_recv(sockets[0], &byte, 1, 0));
    assert_time(1.5);
    set_option(sockets[0], ZMQ_RCVTIMEO, 2000);
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_zmq_recv(sockets[0], &byte, 1, 0));
    cress_timeout_close(&limit);
    assert_errno(EAGAIN, cress_zmq_recv(sockets[0], &byte, 1, ZMQ_DONTWAIT));
    assert_time(2.5);
    close_pair(sockets);
}

static void test_kill(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);

    cress_greenlet *g = cress_spawn(receive, sockets[0]);

    assert_ok(cress_sleep(1));
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_trace("ECANCELED at 1\n");
    cress_release(g);
    close_pair(sockets);
}

static void test_close_wakes_waiters(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    spawn(receive, sockets[0]);
    spawn(receive, sockets[0]);
    assert_ok(cress_sleep(1));
    close_pair(sockets);
    settle();
    assert_trace("ENOTSOCK at 1\nENOTSOCK at 1\n");
}

static void test_shutdown_wakes_waiters(void)
{
    void *sockets[2];

    for (int way = 0; way < WAYS; way++) {
        open_pair(ZMQ_DEALER, ZMQ_DEALER, everywhere[way], sockets);

        cress_greenlet *all[] = { cress_spawn(receive, sockets[0]),
                                  cress_spawn(receive, sockets[0]),
                                  cress_spawn(receive, sockets[1]) };

        settle();
        assert_ok(zmq_ctx_shutdown(context));
        assert_ok(cress_joinall(all, 3, CRESS_FOREVER));
        for (int i = 0; i < 3; i++)
            cress_release(all[i]);
        assert_trace("ETERM at 0\nETERM at 0\nETERM at 0\n");
        assert_errno(ETERM, cress_zmq_send(sockets[0], "x", 1, 0));
        close_pair(sockets);
    }
}

/* ---- what is not allowed -------------------------------------------------------------------------- */

static void test_errors(void)
{
    void *sockets[2];
    char byte;

    open_pair(ZMQ_REP, ZMQ_REQ, "inproc://x", sockets);
    assert_errno(EFSM, cress_zmq_send(sockets[0], "x", 1, 0));
    assert_errno(EFSM, cress_zmq_recv(sockets[1], &byte, 1, 0));
    assert_errno(ENOTSOCK, cress_zmq_send(NULL, "x", 1, 0));
    assert_errno(ENOTSOCK, cress_zmq_recv(NULL, &byte, 1, 0));
    assert_errno(ENOTSOCK, cress_zmq_close(NULL, 0));
    close_pair(sockets);

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    assert_errno(ENOTSUP, cress_zmq_send(sockets[0], "x", 1, 0));
    assert_errno(ENOTSUP, cress_zmq_recv(sockets[1], &byte, 1, 0));
    close_pair(sockets);
}

static void test_outside_greenlets(void **state)
{
    void *sockets[2];
    char byte;

    (void)state;
    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    assert_errno(EPERM, cress_zmq_send(sockets[1], "x", 1, 0));
    assert_int_equal(cress_zmq_send(sockets[1], "x", 1, ZMQ_DONTWAIT), 1);
    assert_int_equal(cress_zmq_recv(sockets[0], &byte, 1, ZMQ_DONTWAIT), 1);
    assert_errno(EPERM, cress_zmq_poll(NULL, 0, 1));
    assert_errno(EPERM, cress_zmq_ctx_term(context));
    assert_ok(cress_zmq_close(sockets[0], 0));
    assert_ok(cress_zmq_close(sockets[1], -1));
    assert_ok(zmq_ctx_term(context));
}

/* ---- polling ---------------------------------------------------------------------------------------- */

static void *send_after_1(void *socket)
{
    assert_ok(cress_sleep(1));
    sends(socket, "x");
    return NULL;
}

static void test_poll(void)
{
    void *first[2], *second[2], *first_context;

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", first);
    first_context = context;
    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", second);

    zmq_pollitem_t items[] = {
        { .socket = first[0], .events = ZMQ_POLLIN },
        { .socket = second[0], .events = ZMQ_POLLIN },
        { .socket = second[1], .events = ZMQ_POLLIN }, /* it sends only: never */
    };

    assert_int_equal(cress_zmq_poll(items, 3, 0), 0);
    assert_int_equal(cress_zmq_poll(items, 3, 2), 0);
    assert_time(2);
    spawn(send_after_1, second[1]);
    assert_int_equal(cress_zmq_poll(items, 3, CRESS_FOREVER), 1);
    assert_time(3);
    assert_int_equal(items[0].revents, 0);
    assert_int_equal(items[1].revents, ZMQ_POLLIN);
    sends(first[1], "y");
    assert_int_equal(cress_zmq_poll(items, 3, 5), 2);
    assert_time(3);
    gets(first[0], "y");
    gets(second[0], "x");
    items[2].events = ZMQ_POLLOUT;
    assert_int_equal(cress_zmq_poll(items, 3, 5), 1);
    assert_int_equal(items[2].revents, ZMQ_POLLOUT);
    close_pair(second);
    context = first_context;
    close_pair(first);
}

static void test_poll_of_many(void)
{
    enum { COUNT = 40 };
    zmq_pollitem_t items[COUNT];
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    for (int i = 0; i < COUNT; i++)
        items[i] = (zmq_pollitem_t){ .socket = sockets[0], .events = ZMQ_POLLIN };
    fault = (struct fault){ .function = "calloc", .call = 1, .error = ENOMEM };
    assert_errno(ENOMEM, cress_zmq_poll(items, COUNT, 1));
    fault = (struct fault){ 0 };
    spawn(send_after_1, sockets[1]);
    assert_int_equal(cress_zmq_poll(items, COUNT, 5), COUNT);
    assert_time(1);
    close_pair(sockets);
}

static void *poll_and_tell(void *socket)
{
    zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
    int result = cress_zmq_poll(&item, 1, CRESS_FOREVER);

    if (result < 0)
        trace("poll: %s at %g", error_name(), cress_now());
    else
        trace("poll: %d at %g", result, cress_now());
    return NULL;
}

/* It takes nothing: the receiver behind it gets the message. */
static void test_poll_beside_a_receiver(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    spawn(poll_and_tell, sockets[0]);
    spawn(receive, sockets[0]);
    spawn(send_after_1, sockets[1]);
    assert_ok(cress_sleep(2));
    assert_trace("poll: 1 at 1\nx at 1\n");
    close_pair(sockets);
}

static void test_poll_ends(void)
{
    void *sockets[2];
    cress_timeout limit;

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);

    zmq_pollitem_t item = { .socket = sockets[0], .events = ZMQ_POLLIN };
    cress_greenlet *killed = cress_spawn(poll_and_tell, sockets[0]);

    assert_ok(cress_sleep(1));
    assert_ok(cress_kill(killed, CRESS_FOREVER));
    cress_release(killed);
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_zmq_poll(&item, 1, 5));
    cress_timeout_close(&limit);
    spawn(poll_and_tell, sockets[0]);
    settle();
    assert_ok(cress_zmq_close(sockets[0], 0));
    sockets[0] = open_socket(ZMQ_PULL);
    item.socket = sockets[0];
    spawn(poll_and_tell, sockets[0]);
    settle();
    assert_ok(zmq_ctx_shutdown(context));
    assert_ok(cress_sleep(1));
    assert_errno(ETERM, cress_zmq_poll(&item, 1, 5));
    assert_trace("poll: ECANCELED at 1\npoll: ENOTSOCK at 2\npoll: ETERM at 2\n");
    close_pair(sockets);
}

static void test_poll_of_a_descriptor(void)
{
    zmq_pollitem_t item = { .fd = 0, .events = ZMQ_POLLIN };

    assert_errno(EINVAL, cress_zmq_poll(&item, 1, 1));
}

static void *poll_until_closed(void *socket)
{
    zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
    char byte;

    while (!closed_socket) {
        int result = cress_zmq_poll(&item, 1, CRESS_FOREVER);

        if (result < 0)
            assert_int_equal(errno, ENOTSOCK);
        else if (!closed_socket)
            cress_zmq_recv(socket, &byte, 1, ZMQ_DONTWAIT);
    }
    return NULL;
}

static void *send_some(void *socket)
{
    for (int i = 0; i < 15; i++)
        if (cress_zmq_send(socket, "x", 1, 0) < 0) /* nobody is left to take it */
            break;
    return NULL;
}

/* Also while a poller that was woken lets others have a turn. */
static void *close_while_polled(void *arg)
{
    enum { POLLERS = 4 };
    cress_greenlet *all[POLLERS + 1];
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    for (int i = 0; i < POLLERS; i++)
        all[i] = cress_spawn(poll_until_closed, sockets[0]);
    all[POLLERS] = cress_spawn(send_some, sockets[1]);
    for (uint64_t turns = cress_simulation_random(20); turns > 0; turns--)
        assert_ok(cress_sleep(0));
    closed_socket = sockets[0];
    assert_ok(cress_zmq_close(sockets[0], 0));
    assert_ok(cress_joinall(all, POLLERS, CRESS_FOREVER));
    assert_ok(cress_killall(all, POLLERS + 1, CRESS_FOREVER));
    for (int i = 0; i < POLLERS + 1; i++)
        cress_release(all[i]);
    closed_socket = NULL;
    assert_ok(cress_zmq_close(sockets[1], 0));
    assert_ok(cress_zmq_ctx_term(context));
    return arg;
}

static void test_close_while_polled(void **state)
{
    (void)state;
    assert_ok(cress_simulate_seeds(1, 500, close_while_polled, NULL));
}

/* ---- signals ----------------------------------------------------------------------------------------- */

static void interrupt(const char *function)
{
    fault = (struct fault){ .function = function, .call = 1, .error = EINTR };
}

static void test_interrupted(void)
{
    void *sockets[2];
    zmq_msg_t message;

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);

    zmq_pollitem_t item = { .socket = sockets[0], .events = ZMQ_POLLIN };

    interrupt("zmq_send");
    sends(sockets[1], "x");
    interrupt("zmq_getsockopt");
    assert_int_equal(cress_zmq_poll(&item, 1, 0), 1);
    assert_true(fault.struck);
    interrupt("zmq_recv");
    gets(sockets[0], "x");
    assert_true(fault.struck);
    assert_ok(zmq_msg_init_size(&message, 0));
    interrupt("zmq_msg_send");
    assert_int_equal(cress_zmq_msg_send(&message, sockets[1], 0), 0);
    assert_true(fault.struck);
    interrupt("zmq_msg_recv");
    assert_int_equal(cress_zmq_msg_recv(&message, sockets[0], 0), 0);
    assert_true(fault.struck);
    fault = (struct fault){ 0 };
    zmq_msg_close(&message);
    close_pair(sockets);
}

/* ---- the end of a context -------------------------------------------------------------------------- */

static void *receive_and_close(void *socket)
{
    receive(socket);
    assert_ok(cress_zmq_close(socket, 0));
    return NULL;
}

static void test_term_waits_for_sockets(void)
{
    void *sockets[2];

    open_pair(ZMQ_PULL, ZMQ_PUSH, "inproc://x", sockets);
    assert_ok(cress_zmq_close(sockets[1], 0));
    spawn(receive_and_close, sockets[0]);
    settle();
    assert_ok(cress_zmq_ctx_term(context));
    assert_trace("ETERM at 0\n");
}

/* What was not sent keeps the context alive, for as long as it was told. */
static void test_linger(void)
{
    char folder[] = "/tmp/cress-zeromq-XXXXXX", endpoint[80];
    void *socket, *old;
    cress_timeout limit;

    assert_non_null(mkdtemp(folder));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/s", folder);
    context = zmq_ctx_new();
    socket = open_socket(ZMQ_PUSH);
    assert_ok(zmq_connect(socket, endpoint)); /* where nobody is yet */
    sends(socket, "lost");
    assert_ok(cress_zmq_close(socket, 0));
    assert_ok(cress_zmq_ctx_term(context)); /* only then do libzmq's threads no longer try */

    context = old = zmq_ctx_new();
    socket = open_socket(ZMQ_PUSH);
    assert_ok(zmq_connect(socket, endpoint));
    sends(socket, "late");
    assert_ok(cress_zmq_close(socket, CRESS_FOREVER));
    cress_timeout_start(&limit, 1);
    assert_errno(ETIMEDOUT, cress_zmq_ctx_term(old)); /* goes on in its thread */
    cress_timeout_close(&limit);

    context = zmq_ctx_new();
    socket = open_socket(ZMQ_PULL);
    assert_ok(zmq_bind(socket, endpoint));
    gets(socket, "late");
    assert_ok(cress_zmq_close(socket, 0));
    assert_ok(cress_zmq_ctx_term(context));
    unlink(endpoint + strlen("ipc://"));
    assert_ok(rmdir(folder));
}

static void test_term_without_means(void)
{
    context = zmq_ctx_new();
    fault = (struct fault){ .function = "calloc", .call = 1, .error = ENOMEM };
    assert_errno(ENOMEM, cress_zmq_ctx_term(context));
    fault = (struct fault){ .function = "pipe2", .call = 1, .error = EMFILE };
    assert_errno(EMFILE, cress_zmq_ctx_term(context));
    fault = (struct fault){ .function = "pthread_create", .call = 1, .error = EAGAIN };
    assert_errno(EAGAIN, cress_zmq_ctx_term(context));
    fault = (struct fault){ 0 };
    assert_ok(cress_zmq_ctx_term(context));
    assert_errno(EFAULT, cress_zmq_ctx_term(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_request_and_reply),
        HUB_TEST(test_both_ways_at_once),
        HUB_TEST(test_news_are_passed_on),
        HUB_TEST(test_waits_for_a_message),
        HUB_TEST(test_waits_for_room),
        HUB_TEST(test_parts),
        HUB_TEST(test_cut_message),
        HUB_TEST(test_receivers_take_turns),
        HUB_TEST(test_no_message_is_lost),
        HUB_TEST(test_kill_of_the_one_that_was_woken),
        HUB_TEST(test_limits),
        HUB_TEST(test_the_sockets_own_limits),
        HUB_TEST(test_kill),
        HUB_TEST(test_close_wakes_waiters),
        HUB_TEST(test_shutdown_wakes_waiters),
        HUB_TEST(test_errors),
        cmocka_unit_test(test_outside_greenlets),
        HUB_TEST(test_poll),
        HUB_TEST(test_poll_of_many),
        HUB_TEST(test_poll_beside_a_receiver),
        HUB_TEST(test_poll_ends),
        HUB_TEST(test_poll_of_a_descriptor),
        cmocka_unit_test(test_close_while_polled),
        HUB_TEST(test_interrupted),
        HUB_TEST(test_term_waits_for_sockets),
        HUB_TEST(test_linger),
        HUB_TEST(test_term_without_means),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
