/* Everything that can fail does, one call at a time: each scenario runs again and again
 * with the first call of a function failing, then the second, until it makes no more.
 *
 * A failure must come out as the scenario's errno, or be made up for; it leaks nothing
 * (LeakSanitizer looks at the end) and leaves the library usable: the scenario runs once
 * more, without any fault, after each.
 */
#define _GNU_SOURCE
#include "faults.h"
#include "hub_test.h"

#include <cress/cress.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>

enum { MOST_CALLS = 5000 };

/* ---- scenarios: 0, or -1 with errno ---------------------------------------------------- */

static void *sleep_a_little(void *arg)
{
    return cress_sleep(0.01) < 0 ? cress_fail(errno) : arg;
}

/* More than one chunk of stacks. */
static void *spawn_and_join(void *arg)
{
    cress_greenlet *gs[40] = { 0 };
    int error = 0;

    (void)arg;
    for (int i = 0; i < 40; i++)
        if (!(gs[i] = cress_spawn(sleep_a_little, NULL)) ||
            cress_set_name(gs[i], "sleeper %d", i) < 0)
            error = errno;
    if (cress_joinall(gs, 40, CRESS_FOREVER) < 0)
        error = errno;
    for (int i = 0; i < 40; i++) {
        if (gs[i] && !error && cress_get(gs[i], NULL, 0) < 0)
            error = errno;
        cress_release(gs[i]);
    }
    return error ? cress_fail(error) : NULL;
}

static void note_link(cress_greenlet *g, void *arg)
{
    (void)g;
    ++*(int *)arg;
}

static void *links_and_locals(void *arg)
{
    static const cress_local key;
    cress_greenlet *g = cress_spawn(sleep_a_little, arg);
    int notes = 0, error = 0;

    if (!g)
        return cress_fail(errno);
    if (cress_link(g, note_link, &notes) < 0 || cress_local_set(&key, g) < 0)
        error = errno;
    if (cress_join(g, CRESS_FOREVER) < 0)
        error = errno;
    cress_sleep(0);
    cress_release(g);
    assert_true(error || notes == 1);
    return error ? cress_fail(error) : NULL;
}

static void *put_items(void *arg)
{
    for (uintptr_t i = 1; i <= 100; i++)
        if (cress_queue_put(arg, (void *)i, CRESS_FOREVER) < 0)
            return cress_fail(errno);
    return NULL;
}

static void *queue_of_many(void *arg)
{
    cress_queue q = CRESS_QUEUE_INIT(0);
    void *item;
    uintptr_t got = 0;
    cress_greenlet *g = cress_spawn(put_items, &q);

    (void)arg;
    if (!g)
        return cress_fail(errno);
    cress_join(g, CRESS_FOREVER);
    int error = cress_error(g);
    cress_release(g);
    while (cress_queue_get(&q, &item, 0) == 0)
        assert_int_equal((uintptr_t)item, ++got);
    assert_true(error || got == 100);
    cress_queue_finish(&q);
    return error ? cress_fail(error) : NULL;
}

static void *square(void *arg)
{
    int *number = arg;

    if (cress_sleep(0.01) < 0)
        return cress_fail(errno);
    *number *= *number;
    return NULL;
}

static void *map_over_pool(void *arg)
{
    int numbers[] = { 1, 2, 3, 4, 5, 6 };
    cress_pool pool = CRESS_POOL_INIT(3);

    (void)arg;
    if (cress_pool_map(&pool, square, numbers, 6, sizeof numbers[0]) < 0)
        return cress_fail(errno);
    assert_int_equal(numbers[5], 36);
    return NULL;
}

static void *iterate_over_pool(void *arg)
{
    int numbers[] = { 1, 2, 3, 4, 5, 6 }, got, error = 0;
    cress_pool pool = CRESS_POOL_INIT(3);
    cress_imap it;

    (void)arg;
    if (cress_imap_init(&it, &pool, square,
                        &(cress_imap_options){
                            .items = numbers, .count = 6, .item_size = sizeof numbers[0] }) < 0)
        return cress_fail(errno);
    while ((got = cress_imap_next(&it, NULL, CRESS_FOREVER)) != 0 && !error)
        error = got < 0 ? errno : 0;
    cress_imap_finish(&it);
    assert_true(error || numbers[5] == 36);
    return error ? cress_fail(error) : NULL;
}

static void *compute(void *arg)
{
    int *number = arg;

    *number += 41;
    return number;
}

/* On a thread; one job waits for the other's. */
static void *call_threads(void *arg)
{
    cress_threadpool pool = { .max_threads = 1 };
    int number = 1;
    void *value = NULL;
    int error = cress_threadpool_apply(&pool, compute, &number, &value) < 0 ? errno : 0;

    (void)arg;
    cress_threadpool_finish(&pool);
    assert_true(error || (value == &number && number == 42));
    return error ? cress_fail(error) : NULL;
}

static void *run_a_program(void *arg)
{
    cress_subprocess p;
    cress_subprocess_output output;
    int error = 0;

    (void)arg;
    if (cress_subprocess_spawn(
            &p, &(cress_subprocess_options){ .argv = (const char *const[]){ "cat", NULL, false },
                                             .in = CRESS_PIPE,
                                             .out = CRESS_PIPE }) < 0)
        return cress_fail(errno);
    if (cress_subprocess_communicate(&p, "hello", 5, 100, &output, CRESS_FOREVER) < 0)
        error = errno;
    assert_true(error || (output.out_len == 5 && memcmp(output.out, "hello", 5) == 0));
    if (!error)
        cress_subprocess_output_finish(&output);
    cress_subprocess_finish(&p);
    return error ? cress_fail(error) : NULL;
}

static int receive_number(cress_actor *actor, void *message, void *self)
{
    (void)actor;
    *(int *)self += *(int *)message;
    return 0;
}

static void *send_to_an_actor(void *arg)
{
    int sum = 0, numbers[] = { 20, 22 }, error = 0;
    cress_actor actor = { .name = "adder", .receive = receive_number, .self = &sum };

    (void)arg;
    if (cress_actor_start(&actor) < 0)
        return cress_fail(errno);
    for (int i = 0; i < 2 && !error; i++)
        error = cress_actor_send(&actor, &numbers[i], CRESS_FOREVER) < 0 ? errno : 0;
    if (cress_actor_stop(&actor, CRESS_FOREVER) < 0)
        error = errno;
    assert_true(error || sum == 42);
    return error ? cress_fail(error) : NULL;
}

static void *wait_for_many(void *arg)
{
    cress_event events[32] = { 0 };
    cress_waitable *objects[32];

    (void)arg;
    for (int i = 0; i < 32; i++)
        objects[i] = &events[i].waitable;
    if (cress_wait_any(objects, 32, 0.01) >= 0)
        return cress_fail(EINVAL);
    return errno == ETIMEDOUT ? NULL : cress_fail(errno);
}

static void *echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[64];
    ssize_t count;

    while ((count = cress_read(fd, buf, sizeof buf)) > 0)
        if (cress_write(fd, buf, (size_t)count) != count)
            break;
    int error = count < 0 ? errno : 0;
    cress_close(fd);
    return error ? cress_fail(error) : NULL;
}

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    socklen_t len = sizeof *ret_address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_ok(bind(fd, (struct sockaddr *)ret_address, len));
    assert_ok(listen(fd, 8));
    assert_ok(getsockname(fd, (struct sockaddr *)ret_address, &len));
    return fd;
}

/* A client's conversation; 0, or its errno. */
static int converse(int fd)
{
    char buf[16];

    if (cress_write(fd, "hello", 5) != 5)
        return errno;
    ssize_t count = cress_recv(fd, buf, 5, MSG_WAITALL);
    if (count < 0)
        return errno;
    return count == 5 && memcmp(buf, "hello", 5) == 0 ? 0 : ECONNRESET;
}

static void *serve_one(void *arg)
{
    int fd = cress_accept((int)(intptr_t)arg, NULL, NULL);

    return fd < 0 ? cress_fail(errno) : echo((void *)(intptr_t)fd);
}

/* Of the errors of two who talk: not what the other's failure looks like from here. */
static int first_cause(int mine, int other)
{
    bool consequence = mine == ECONNRESET || mine == EPIPE || mine == ETIMEDOUT;

    return other && (mine == 0 || consequence) && other != EBADF ? other : mine;
}

static void *talk_over_tcp(void *arg)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address), error = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cress_greenlet *server = cress_spawn(serve_one, (void *)(intptr_t)listener);
    cress_timeout limit;

    (void)arg;
    cress_timeout_start(&limit, 5);
    if (!server || cress_connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        error = errno;
    if (!error)
        error = converse(fd);
    cress_timeout_close(&limit);
    cress_close(fd);
    cress_close(listener);
    if (server)
        cress_join(server, CRESS_FOREVER);
    if (server)
        error = first_cause(error, cress_error(server));
    cress_release(server);
    return error ? cress_fail(error) : NULL;
}

static void greet(cress_stream *stream, const cress_address *peer, void *self)
{
    (void)peer;
    if (cress_stream_write_all(stream, "hello", 5) < 0)
        *(int *)self = errno;
}

/* A server whose listener has to wait for descriptors goes on when there are some. */
static void *dial_a_server(void *arg)
{
    int handler_error = 0, error = 0;
    cress_stream_server server = { .address = "127.0.0.1:0",
                                   .handle = greet,
                                   .self = &handler_error };
    char port[8], buf[8];

    (void)arg;
    if (cress_stream_server_start(&server) < 0)
        return cress_fail(errno);
    snprintf(port, sizeof port, "%u", cress_stream_server_port(&server));
    int fd = cress_dial("127.0.0.1", port);
    ssize_t count = fd < 0 ? -1 : cress_recv(fd, buf, 5, MSG_WAITALL);
    if (count != 5)
        error = count < 0 ? errno : ECONNRESET;
    if (fd >= 0)
        cress_close(fd);
    if (cress_stream_server_stop(&server, CRESS_FOREVER) < 0)
        error = errno;
    error = first_cause(error, handler_error);
    return error ? cress_fail(error) : NULL;
}

static void *write_hello(void *arg)
{
    struct iovec parts[] = { { (char *)(uintptr_t) "hel", 3 }, { (char *)(uintptr_t) "lo", 2 } };
    ssize_t count = cress_writev((int)(intptr_t)arg, parts, 2);

    return count == 5 ? NULL : cress_fail(count < 0 ? errno : ECONNRESET);
}

static void *talk_over_pipe(void *arg)
{
    char buf[8];
    struct iovec parts[] = { { buf, 2 }, { buf + 2, 3 } };
    int ends[2], error = 0;

    (void)arg;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cress_fail(errno);
    cress_greenlet *writer = cress_spawn(write_hello, (void *)(intptr_t)ends[1]);
    if (!writer)
        error = errno;
    else if (cress_join(writer, CRESS_FOREVER) < 0 || cress_get(writer, NULL, 0) < 0)
        error = errno;
    if (!error && cress_readv(ends[0], parts, 2) < 0)
        error = errno;
    cress_release(writer);
    cress_close(ends[0]);
    cress_close(ends[1]);
    return error ? cress_fail(error) : NULL;
}

/* More than the few that need no memory; POLLPRI needs an epoll instance of its own. */
static void *poll_many(void *arg)
{
    struct pollfd fds[40];
    int ends[2], error = 0;

    (void)arg;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return cress_fail(errno);
    for (int i = 0; i < 40; i++)
        fds[i] = (struct pollfd){ .fd = ends[0], .events = i % 2 ? POLLIN : POLLPRI };
    if (cress_poll(fds, 40, 0.01) < 0)
        error = errno;
    cress_close(ends[0]);
    cress_close(ends[1]);
    return error ? cress_fail(error) : NULL;
}

static void *note_signal(void *arg)
{
    cress_event_set(arg);
    return NULL;
}

static void *catch_a_signal(void *arg)
{
    cress_event caught = CRESS_EVENT_INIT;

    (void)arg;
    if (cress_signal(SIGUSR2, note_signal, &caught) < 0)
        return cress_fail(errno);
    return NULL;
}

/* ---- every fault, one after the other ----------------------------------------------------- */

static const struct scenario {
    const char *name;
    cress_fn *fn;
    bool cuts; /* a server that fails can only close the connection */
} scenarios[] = {
    { "spawn and join", spawn_and_join, false },
    { "links and locals", links_and_locals, false },
    { "a queue of many", queue_of_many, false },
    { "a map over a pool", map_over_pool, false },
    { "an iteration over a pool", iterate_over_pool, false },
    { "a call on a thread", call_threads, false },
    { "run a program", run_a_program, false },
    { "send to an actor", send_to_an_actor, false },
    { "wait for many", wait_for_many, false },
    { "talk over TCP", talk_over_tcp, false },
    { "dial a server", dial_a_server, true },
    { "talk over a pipe", talk_over_pipe, false },
    { "poll many", poll_many, false },
    { "catch a signal", catch_a_signal, false },
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static int run(const struct scenario *scenario)
{
    return run_virtual(scenario->fn, NULL);
}

/* Its failures are reported on stderr, as they should be: not wanted here. */
static int run_quietly(const struct scenario *scenario, const struct fault *planned,
                       struct fault *ret_fault)
{
    fault = *planned;
    int result = run(scenario), error = errno;
    *ret_fault = fault;
    fault = (struct fault){ 0 };
    errno = error;
    return result;
}

static bool is_expected(const struct scenario *scenario, int error, int injected)
{
    return error == injected || (injected != ENOMEM && error == ENOMEM) ||
           (scenario->cuts && error == ECONNRESET);
}

/* True: the scenario made that many calls. */
static bool try_fault(const struct scenario *scenario, const struct fault *planned)
{
    struct fault was;
    int result = run_quietly(scenario, planned, &was), error = errno;

    if (result < 0 && (!was.struck || !is_expected(scenario, error, planned->error)))
        fail_msg("%s: call %u of %s failed with %s, and what came out is %s", scenario->name,
                 planned->call, planned->function, strerrorname_np(planned->error),
                 strerrorname_np(error));
    if (was.struck && run(scenario) < 0)
        fail_msg("%s: not usable after call %u of %s failed with %s: %m", scenario->name,
                 planned->call, planned->function, strerrorname_np(planned->error));
    return was.struck;
}

static void try_every_call(const struct scenario *scenario, const char *function, int error)
{
    struct fault planned = { .function = function, .call = 1, .error = error };

    while (try_fault(scenario, &planned))
        if (++planned.call > MOST_CALLS)
            fail_msg("%s: %s is called without end", scenario->name, function);
}

static void try_everywhere(const char *function, int error)
{
    for (size_t i = 0; i < SCENARIOS; i++)
        try_every_call(&scenarios[i], function, error);
}

static void test_nothing_fails_without_a_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++)
        if (run(&scenarios[i]) < 0)
            fail_msg("%s: %m", scenarios[i].name);
}

static void test_memory(void **state)
{
    (void)state;
    try_everywhere("malloc", ENOMEM);
    try_everywhere("calloc", ENOMEM);
    try_everywhere("realloc", ENOMEM);
    try_everywhere("strdup", ENOMEM);
}

static void test_mappings(void **state)
{
    (void)state;
    try_everywhere("mmap", ENOMEM);
    try_everywhere("mprotect", ENOMEM);
    try_everywhere("madvise", EINVAL);
}

static void test_reading(void **state)
{
    (void)state;
    try_everywhere("read", EIO);
    try_everywhere("readv", EIO);
    try_everywhere("recv", ECONNRESET);
    try_everywhere("recvmsg", ECONNRESET);
}

static void test_writing(void **state)
{
    (void)state;
    try_everywhere("write", EIO);
    try_everywhere("writev", EIO);
    try_everywhere("send", ECONNRESET);
    try_everywhere("sendmsg", ECONNRESET);
}

static void test_connecting(void **state)
{
    (void)state;
    try_everywhere("accept4", EMFILE);
    try_everywhere("connect", ENETUNREACH);
    try_everywhere("pipe2", EMFILE);
}

static void test_starting_threads(void **state)
{
    (void)state;
    try_everywhere("pthread_create", EAGAIN);
}

static void test_waiting(void **state)
{
    (void)state;
    try_everywhere("epoll_create1", EMFILE);
    try_everywhere("epoll_ctl", ENOMEM);
    try_everywhere("eventfd", EMFILE);
    try_everywhere("poll", ENOMEM);
}

static void test_interrupted_and_premature_calls_are_made_again(void **state)
{
    static const char *const functions[] = { "read", "readv",  "recv",    "recvmsg", "write",
                                             "send", "writev", "sendmsg", "accept4" };

    (void)state;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        try_everywhere(functions[i], EINTR);
        try_everywhere(functions[i], EAGAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_fails_without_a_fault),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_mappings),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_connecting),
        cmocka_unit_test(test_starting_threads),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_interrupted_and_premature_calls_are_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
