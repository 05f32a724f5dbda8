#include "hub_test.h"

#include "capture.h"
#include "fail_alloc.h"

#include <cress/event.h>
#include <cress/io.h>
#include <cress/semaphore.h>
#include <cress/simulation.h>
#include <cress/stream.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__ /* it takes its time with each stack */
enum { SEEDS = 40 };
#else
enum { SEEDS = 200 };
#endif

static char order[64];

static void *append(void *arg)
{
    strcat(order, arg);
    return NULL;
}

static int simulate_without_faults(uint64_t seed, cress_fn *fn, void *arg)
{
    return cress_simulate_with(
        &(cress_simulation_options){ .seed = seed, .fault_rate = -1, .lateness = -1 }, fn, arg);
}

/* ---- who is next ----------------------------------------------------------------- */

static void *run_three(void *unused)
{
    (void)unused;
    order[0] = '\0';
    spawn(append, "a");
    spawn(append, "b");
    spawn(append, "c");
    return cress_sleep(1) < 0 ? cress_fail(errno) : NULL;
}

static void test_every_order_comes(void **state)
{
    static const char *const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
    unsigned seen = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, run_three, NULL));
        for (unsigned i = 0; i < 6; i++)
            if (strcmp(order, orders[i]) == 0)
                seen |= 1U << i;
    }
    assert_int_equal(seen, 0x3f);
}

static void test_same_seed_same_run(void **state)
{
    uint64_t digests[SEEDS];
    char first[64];

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, run_three, NULL));
        digests[seed] = cress_simulation_digest();
        strcpy(first, order);
        assert_ok(cress_simulate(seed, run_three, NULL));
        assert_true(cress_simulation_digest() == digests[seed]);
        assert_string_equal(order, first);
        for (uint64_t other = 0; other < seed; other++)
            assert_true(digests[other] != digests[seed]);
    }
}

static void note_link(cress_greenlet *g, void *arg)
{
    (void)g;
    strcat(order, arg);
}

static void *join_it(void *g)
{
    assert_ok(cress_join(g, CRESS_FOREVER));
    strcat(order, "j");
    return NULL;
}

static void *link_and_join(void *unused)
{
    cress_greenlet *g = cress_spawn_later(1, append, "g");

    (void)unused;
    order[0] = '\0';
    for (int i = 0; i < 3; i++)
        spawn(join_it, g);
    assert_ok(cress_link(g, note_link, "1"));
    assert_ok(cress_link(g, note_link, "2"));
    assert_ok(cress_sleep(2));
    cress_release(g);
    return NULL;
}

static void test_links_come_before_joiners(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, link_and_join, NULL));
        assert_string_equal(order, "g12jjj");
    }
}

static cress_semaphore places;

static void *take_place(void *arg)
{
    assert_ok(cress_semaphore_acquire(&places, CRESS_FOREVER));
    if (arg)
        *(bool *)arg = true;
    return NULL;
}

static void *hand_over(void *unused)
{
    bool has[2] = { false };

    (void)unused;
    places = (cress_semaphore){ 0 };
    spawn(take_place, &has[0]);
    assert_ok(cress_sleep(1));
    spawn(take_place, &has[1]);
    assert_ok(cress_sleep(1));
    assert_ok(cress_semaphore_release(&places));
    assert_ok(cress_sleep(1));
    assert_true(has[0] && !has[1]);
    assert_ok(cress_semaphore_release(&places));
    assert_ok(cress_sleep(1));
    return NULL;
}

static void test_what_is_handed_over_stays_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(cress_simulate(seed, hand_over, NULL));
}

static void *yield_once(void *unused)
{
    (void)unused;
    order[0] = '\0';
    spawn(append, "o");
    assert_ok(cress_sleep(0));
    strcat(order, "m");
    assert_ok(cress_sleep(1));
    return NULL;
}

static void *take_a_turn(void *unused)
{
    (void)unused;
    order[0] = '\0';
    spawn(append, "o");
    cress_take_turns();
    strcat(order, "m");
    assert_ok(cress_sleep(1));
    return NULL;
}

static void assert_both_orders(cress_fn *fn)
{
    unsigned count[2] = { 0 };

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, fn, NULL));
        count[order[0] == 'o']++;
    }
    assert_true(count[0] > 0 && count[1] > 0);
}

static void test_a_yield_need_not_switch(void **state)
{
    (void)state;
    assert_both_orders(yield_once);
    assert_both_orders(take_a_turn);
}

/* ---- time --------------------------------------------------------------------------- */

static void *sleep_a_second(void *unused)
{
    cress_seconds wanted = cress_now() + 1;

    (void)unused;
    assert_ok(cress_sleep(1));
    assert_true(cress_now() >= wanted && cress_now() < wanted + 0.01);
    return cress_now() > wanted ? cress_fail(ERANGE) : NULL;
}

static void test_deadlines_are_noticed_late(void **state)
{
    unsigned late = 0;

    (void)state;
    capture_start(STDERR_FILENO); /* the greenlets that failed */
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        late += cress_simulate(seed, sleep_a_second, NULL) < 0;
    free(capture_end());
    assert_in_range(late, 1, SEEDS - 1);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(simulate_without_faults(seed, sleep_a_second, NULL));
}

static void *sleep_apart(void *unused)
{
    (void)unused;
    order[0] = '\0';
    cress_greenlet *b = cress_spawn_later(1.0005, append, "b");
    cress_greenlet *a = cress_spawn_later(1.0, append, "a");

    assert_ok(cress_sleep(2));
    cress_release(a);
    cress_release(b);
    return NULL;
}

static void test_close_deadlines_fall_together(void **state)
{
    unsigned count[2] = { 0 };

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, sleep_apart, NULL));
        count[strcmp(order, "ab") == 0]++;
        assert_ok(simulate_without_faults(seed, sleep_apart, NULL));
        assert_string_equal(order, "ab");
    }
    assert_true(count[0] > 0 && count[1] > 0);
}

static void *spin(void *unused)
{
    (void)unused;
    while (cress_now() < 0.01)
        assert_ok(cress_sleep(0));
    return NULL;
}

static void test_time_creeps_on(void **state)
{
    (void)state;
    assert_ok(cress_simulate(1, spin, NULL));
}

/* ---- disturbed I/O --------------------------------------------------------------------- */

enum { BYTES = 5000 };
static char sent[BYTES];

static void fill_sent(void)
{
    for (size_t i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 7 + i / 256);
}

struct ends {
    int fds[2];
    unsigned short_reads;
};

static void *write_all(void *arg)
{
    struct ends *ends = arg;
    struct iovec pieces[] = { { sent, 10 }, { sent + 10, 1990 }, { sent + 2000, BYTES - 2000 } };

    assert_int_equal(cress_writev(ends->fds[1], pieces, 3), BYTES);
    assert_ok(cress_close(ends->fds[1]));
    return NULL;
}

static void read_all(struct ends *ends)
{
    char got[BYTES];
    size_t len = 0;
    ssize_t count;

    while ((count = cress_read(ends->fds[0], got + len, BYTES - len)) > 0) {
        len += (size_t)count;
        ends->short_reads++;
    }
    assert_ok((int)count);
    assert_int_equal(len, BYTES);
    assert_memory_equal(got, sent, BYTES);
    assert_ok(cress_close(ends->fds[0]));
}

static void *transfer(void *arg)
{
    struct ends *ends = arg;

    ends->short_reads = 0;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends->fds));
    spawn(write_all, ends);
    read_all(ends);
    return NULL;
}

static void *transfer_by_pipe(void *arg)
{
    struct ends *ends = arg;

    ends->short_reads = 0;
    assert_ok(pipe(ends->fds));
    spawn(write_all, ends);
    read_all(ends);
    return NULL;
}

static void test_faults_lose_nothing(void **state)
{
    struct ends ends;
    unsigned most = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        cress_simulation_options options = { .seed = seed, .fault_rate = 0.5 };
        assert_ok(cress_simulate_with(&options, transfer, &ends));
        uint64_t digest = cress_simulation_digest();
        assert_ok(cress_simulate_with(&options, transfer, &ends));
        assert_true(cress_simulation_digest() == digest);
        most = ends.short_reads > most ? ends.short_reads : most;
        assert_ok(cress_simulate_with(&options, transfer_by_pipe, &ends));
    }
    assert_true(most > 2);
}

static void test_no_faults_when_none_are_wanted(void **state)
{
    struct ends ends;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(simulate_without_faults(seed, transfer, &ends));
        assert_int_equal(ends.short_reads, 1);
    }
}

/* Counts what a try finds although five bytes are there. */
static void *try_reading(void *arg)
{
    unsigned *misses = arg;
    int fds[2];
    char buf[5];

    assert_ok(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
    assert_int_equal(cress_send(fds[1], "abcde", 5, 0), 5);
    ssize_t count = cress_recv(fds[0], buf, 5, MSG_DONTWAIT);
    if (count < 0)
        assert_true(errno == EAGAIN || errno == EINTR);
    else
        assert_int_equal(count, 5); /* a packet is never cut */
    *misses += count < 0;
    cress_close(fds[0]);
    cress_close(fds[1]);
    return NULL;
}

static void test_a_try_may_find_nothing(void **state)
{
    unsigned misses = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(cress_simulate_with(
            &(cress_simulation_options){ .seed = seed, .fault_rate = 0.5 }, try_reading, &misses));
    assert_in_range(misses, 1, SEEDS - 1);
}

/* What a pipe takes as a whole stays whole: records of several writers do not mix. */
struct writer {
    int fd;
    char letter;
};

static void *write_record(void *arg)
{
    const struct writer *writer = arg;
    char record[PIPE_BUF / 4];

    memset(record, writer->letter, sizeof record);
    assert_int_equal(cress_write(writer->fd, record, sizeof record), sizeof record);
    return NULL;
}

static void *mix_records(void *unused)
{
    int fds[2];
    char got[PIPE_BUF / 2];
    size_t len = 0;

    (void)unused;
    assert_ok(pipe(fds));
    struct writer a = { fds[1], 'a' }, b = { fds[1], 'b' };
    spawn(write_record, &a);
    spawn(write_record, &b);
    while (len < sizeof got) {
        ssize_t count = cress_read(fds[0], got + len, sizeof got - len);
        assert_true(count > 0);
        len += (size_t)count;
    }
    for (size_t i = 0; i < sizeof got; i++)
        assert_true(got[i] == got[i < sizeof got / 2 ? 0 : sizeof got / 2]);
    cress_close(fds[0]);
    cress_close(fds[1]);
    return NULL;
}

static void test_small_writes_to_pipes_stay_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(cress_simulate_with(
            &(cress_simulation_options){ .seed = seed, .fault_rate = 0.5 }, mix_records, NULL));
}

static void *read_when_reset(void *unused)
{
    int fds[2];
    char buf[8];

    (void)unused;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    assert_int_equal(write(fds[1], "lost", 4), 4);
    assert_errno(ECONNRESET, (int)cress_recv(fds[0], buf, sizeof buf, 0));
    assert_int_equal(recv(fds[0], buf, sizeof buf, 0), 0);
    assert_int_equal(recv(fds[1], buf, sizeof buf, 0), 0);
    assert_errno(EPIPE, (int)send(fds[1], "x", 1, MSG_NOSIGNAL));
    cress_close(fds[0]);
    cress_close(fds[1]);
    return NULL;
}

static void *write_when_reset(void *arg)
{
    int fds[2];

    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    assert_int_equal(cress_send(fds[0], "x", 1, 0), -1);
    assert_true(errno == ECONNRESET || errno == EPIPE);
    ((unsigned *)arg)[errno == EPIPE]++;
    cress_close(fds[0]);
    cress_close(fds[1]);
    return NULL;
}

static void test_resets(void **state)
{
    unsigned by_error[2] = { 0 };

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        cress_simulation_options options = { .seed = seed, .fault_rate = -1, .reset_rate = 1 };
        assert_ok(cress_simulate_with(&options, read_when_reset, NULL));
        assert_ok(cress_simulate_with(&options, write_when_reset, by_error));
    }
    assert_true(by_error[0] > 0 && by_error[1] > 0);
}

static int listen_locally(struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    *addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(addr->sun_path + 1, sizeof addr->sun_path - 1, "cress-test-%ld", (long)getpid());
    assert_ok(bind(fd, (struct sockaddr *)addr, sizeof *addr));
    assert_ok(listen(fd, 4));
    return fd;
}

static void *accept_one(void *arg)
{
    int fd = cress_accept(*(int *)arg, NULL, NULL);

    assert_true(fd >= 0);
    assert_int_equal(cress_write(fd, "hi", 2), 2);
    assert_ok(cress_close(fd));
    return NULL;
}

static void *connect_once(void *unused)
{
    struct sockaddr_un addr;
    int listener = listen_locally(&addr), fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char buf[2];

    (void)unused;
    spawn(accept_one, &listener);
    assert_ok(cress_connect(fd, (struct sockaddr *)&addr, sizeof addr));
    assert_int_equal(cress_recv(fd, buf, 2, MSG_WAITALL), 2);
    assert_ok(cress_close(fd));
    assert_ok(cress_close(listener));
    return NULL;
}

static void test_connections_come_about(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(cress_simulate_with(
            &(cress_simulation_options){ .seed = seed, .fault_rate = 0.5 }, connect_once, NULL));
}

static void *poll_two(void *unused)
{
    int fds[2];

    (void)unused;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    assert_int_equal(write(fds[1], "x", 1), 1);
    struct pollfd both[] = { { .fd = fds[0], .events = POLLIN },
                             { .fd = fds[1], .events = POLLIN } };
    assert_int_equal(cress_poll(both, 2, 0), 1); /* what is there is there */
    assert_int_equal(cress_poll(both, 2, 1), 1);
    assert_int_equal(both[0].revents, POLLIN);
    assert_int_equal(cress_poll(both + 1, 1, 1), 0);
    assert_int_equal(cress_wait_fd(fds[0], POLLIN, 1), POLLIN);
    cress_close(fds[0]);
    cress_close(fds[1]);
    return NULL;
}

static void test_poll(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(cress_simulate_with(
            &(cress_simulation_options){ .seed = seed, .fault_rate = 0.8 }, poll_two, NULL));
}

static void *poll_one(void *arg)
{
    struct pollfd one = { .fd = *(int *)arg, .events = POLLIN };

    assert_int_equal(cress_poll(&one, 1, CRESS_FOREVER), 1);
    assert_int_equal(one.revents, POLLNVAL);
    return NULL;
}

/* Its number means another descriptor before the waiting greenlet runs. */
static void *close_polled(void *unused)
{
    int fds[2], again[2];

    (void)unused;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    spawn(poll_one, &fds[0]);
    assert_ok(cress_sleep(1));
    assert_ok(cress_close(fds[0]));
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, again));
    assert_int_equal(again[0], fds[0]);
    assert_ok(cress_sleep(1));
    cress_close(fds[1]);
    cress_close(again[0]);
    cress_close(again[1]);
    return NULL;
}

static void test_an_interrupted_poll_still_knows_what_was_closed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(cress_simulate_with(
            &(cress_simulation_options){ .seed = seed, .fault_rate = 0.5 }, close_polled, NULL));
}

struct reader {
    int fd;
    char *name;
};

static void *read_and_append(void *arg)
{
    struct reader *reader = arg;
    char c;

    assert_int_equal(cress_read(reader->fd, &c, 1), 1);
    return append(reader->name);
}

/* Writes to four descriptors in the order of arg: "0123" and so on. */
static void *wake_by_writes(void *arg)
{
    static char *const names[] = { "a", "b", "c", "d" };
    struct reader readers[4];
    int fds[4][2];

    order[0] = '\0';
    for (int i = 0; i < 4; i++) {
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]));
        readers[i] = (struct reader){ fds[i][0], names[i] };
        spawn(read_and_append, &readers[i]);
    }
    assert_ok(cress_sleep(1));
    for (const char *at = arg; *at; at++)
        assert_int_equal(write(fds[*at - '0'][1], "x", 1), 1);
    assert_ok(cress_sleep(1));
    for (int i = 0; i < 4; i++) {
        cress_close(fds[i][0]);
        cress_close(fds[i][1]);
    }
    return NULL;
}

static void test_the_kernels_order_decides_nothing(void **state)
{
    char first[64];

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, wake_by_writes, "0123"));
        uint64_t digest = cress_simulation_digest();
        strcpy(first, order);
        assert_ok(cress_simulate(seed, wake_by_writes, "3102"));
        assert_string_equal(order, first);
        assert_true(cress_simulation_digest() == digest);
    }
}

static void *send_by_stream(void *arg)
{
    cress_socket_stream stream;

    cress_socket_stream_init(&stream, *(int *)arg, NULL);
    assert_ok(cress_stream_write_all(&stream.stream, sent, BYTES));
    struct iovec pieces[] = { { sent, 100 }, { sent + 100, BYTES - 100 } };
    assert_int_equal(cress_stream_writev(&stream.stream, pieces, 2, 0), BYTES);
    cress_stream_close(&stream.stream);
    return NULL;
}

static void *receive_by_stream(void *unused)
{
    cress_socket_stream stream;
    char got[2 * BYTES];
    size_t len = 0;
    int fds[2];

    (void)unused;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    spawn(send_by_stream, &fds[1]);
    cress_socket_stream_init(&stream, fds[0], NULL);
    while (len < sizeof got) {
        ssize_t count = cress_stream_read(&stream.stream, got + len, sizeof got - len, 0);
        assert_true(count > 0);
        len += (size_t)count;
    }
    assert_memory_equal(got, sent, BYTES);
    assert_memory_equal(got + BYTES, sent, BYTES);
    cress_stream_close(&stream.stream);
    return NULL;
}

static void test_streams(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_ok(
            cress_simulate_with(&(cress_simulation_options){ .seed = seed, .fault_rate = 0.3 },
                                receive_by_stream, NULL));
}

/* ---- results ---------------------------------------------------------------------------- */

static void *wait_for_ever(void *ignores)
{
    cress_event never = { 0 };

    if (cress_event_wait(&never, CRESS_FOREVER) < 0 && !ignores)
        return cress_fail(errno);
    return NULL;
}

static void test_deadlock_fails_the_run(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        capture_start(STDERR_FILENO);
        int result = cress_simulate(seed, wait_for_ever, seed % 2 ? "" : NULL), error = errno;
        char *said = capture_end();
        assert_int_equal(result, -1);
        assert_int_equal(error, EDEADLK);
        assert_non_null(strstr(said, "would block for ever"));
        assert_non_null(strstr(said, "main"));
        free(said);
    }
}

static void *draw_five(void *arg)
{
    uint64_t *drawn = arg;

    assert_true(cress_simulating());
    assert_true(cress_simulation_seed() == 77);
    for (int i = 0; i < 5; i++) {
        drawn[i] = cress_simulation_random(1000);
        assert_true(drawn[i] < 1000);
    }
    return NULL;
}

static void test_numbers_for_the_program(void **state)
{
    uint64_t a[5], b[5];

    (void)state;
    assert_ok(cress_simulate(77, draw_five, a));
    assert_ok(cress_simulate_with(
        &(cress_simulation_options){ .seed = 77, .fault_rate = 0.7, .lateness = 3 }, draw_five, b));
    assert_memory_equal(a, b, sizeof a);
    assert_false(cress_simulating());
    assert_true(cress_simulation_seed() == 0);
    for (int i = 0; i < 100; i++)
        assert_true(cress_simulation_random(10) < 10);
}

/* ---- from outside -------------------------------------------------------------------------- */

static void *is_simulated(void *arg)
{
    *(uint64_t *)arg = cress_simulating() ? cress_simulation_seed() : UINT64_MAX;
    return run_three(NULL);
}

static void test_environment(void **state)
{
    uint64_t seed;

    (void)state;
    assert_ok(cress_simulate(4711, run_three, NULL));
    uint64_t digest = cress_simulation_digest();

    setenv("CRESS_SEED", "4711", 1);
    assert_ok(cress_run(is_simulated, &seed));
    assert_int_equal(seed, 4711);
    assert_true(cress_simulation_digest() == digest);
    assert_ok(cress_simulate(12, is_simulated, &seed)); /* who names a seed gets it */
    assert_int_equal(seed, 12);
    setenv("CRESS_SEED", "", 1);
    assert_ok(run_virtual(is_simulated, &seed));
    assert_true(seed == UINT64_MAX);
    unsetenv("CRESS_SEED");
}

static void test_bad_values(void **state)
{
    static const struct {
        const char *name, *value;
    } bad[] = {
        { "CRESS_SEED", "x" },
        { "CRESS_SEED", "-1" },
        { "CRESS_SEED", "12 " },
        { "CRESS_SEED", "1e3" },
        { "CRESS_FAULTS", "x" },
        { "CRESS_FAULTS", "-1" },
        { "CRESS_FAULTS", "0.91" },
        { "CRESS_FAULTS", "nan" },
        { "CRESS_RESETS", "1.1" },
        { "CRESS_RESETS", "1%" },
        { "CRESS_SEED", "99999999999999999999" },
    };
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("CRESS_SEED", "1", 1);
        setenv(bad[i].name, bad[i].value, 1);
        assert_errno(EINVAL, cress_run(is_simulated, &seed));
        unsetenv(bad[i].name);
    }
    unsetenv("CRESS_SEED");
    assert_errno(EINVAL, cress_simulate_with(&(cress_simulation_options){ .fault_rate = 0.95 },
                                             is_simulated, &seed));
    assert_int_equal(seed, 1);
}

static void test_rates_from_outside(void **state)
{
    struct ends ends;
    unsigned most = 0;

    (void)state;
    setenv("CRESS_FAULTS", "0", 1);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, transfer, &ends));
        assert_int_equal(ends.short_reads, 1);
    }
    setenv("CRESS_FAULTS", "0.5", 1);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(cress_simulate(seed, transfer, &ends));
        most = ends.short_reads > most ? ends.short_reads : most;
    }
    assert_true(most > 2);
    unsetenv("CRESS_FAULTS");
}

/* ---- many seeds ------------------------------------------------------------------------------ */

static unsigned runs;

/* Fails if c comes first. */
static void *hope_for_order(void *how)
{
    runs++;
    run_three(NULL);
    if (order[0] != 'c' || !how)
        return NULL;
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "hang") == 0)
        for (volatile int i = 0;; i++)
            continue;
    if (strcmp(how, "exit") == 0)
        _exit(3);
    return cress_fail(EPROTO);
}

static uint64_t first_failing(uint64_t first)
{
    for (uint64_t seed = first;; seed++) {
        assert_ok(cress_simulate(seed, run_three, NULL));
        if (order[0] == 'c')
            return seed;
    }
}

static void assert_finds(const cress_simulation_options *options, char *how, int error,
                         const char *what)
{
    uint64_t seed = 0, expected = first_failing(options->seed);
    char line[128];

    capture_start(STDERR_FILENO);
    int result = cress_simulate_seeds_with(options, SEEDS, hope_for_order, how, &seed);
    int found = errno;
    char *said = capture_end();

    assert_int_equal(result, -1);
    assert_int_equal(found, error);
    assert_true(seed == expected);
    snprintf(line, sizeof line, "cress: failed with seed %lu (%s): run again with CRESS_SEED=%lu\n",
             (unsigned long)seed, what, (unsigned long)seed);
    assert_non_null(strstr(said, line));
    free(said);
}

static void test_seeds(void **state)
{
    (void)state;
    capture_start(STDERR_FILENO);
    runs = 0;
    assert_ok(cress_simulate_seeds(1, 50, hope_for_order, NULL));
    char *said = capture_end();
    assert_string_equal(said, "");
    free(said);
    assert_int_equal(runs, 50);
    assert_finds(&(cress_simulation_options){ .seed = 3 }, "fail", EPROTO, "Protocol error");
}

static void test_seeds_in_children(void **state)
{
    (void)state;
    for (uint64_t batch = 1; batch <= SEEDS; batch += 33) {
        cress_simulation_options options = { .seed = 1, .seeds_per_child = batch };
        runs = 0;
        assert_ok(cress_simulate_seeds_with(&options, 70, hope_for_order, NULL, NULL));
        assert_int_equal(runs, 0);
        assert_finds(&options, "fail", EPROTO, "Protocol error");
        assert_finds(&options, "abort", ECHILD, "Aborted");
        assert_finds(&options, "exit", ECHILD, "exit status 3");
    }
}

static void test_a_seed_that_does_not_end(void **state)
{
    (void)state;
    assert_finds(&(cress_simulation_options){ .seeds_per_child = 100, .patience = 0.3 }, "hang",
                 ECHILD, "did not end");
}

static void test_the_seed_from_outside_runs_alone(void **state)
{
    uint64_t seed = 0, failing = first_failing(0);
    char text[32];

    (void)state;
    snprintf(text, sizeof text, "%lu", (unsigned long)failing);
    setenv("CRESS_SEED", text, 1);
    setenv("CRESS_FAULTS", "0.05", 1);
    runs = 0;
    capture_start(STDERR_FILENO);
    int result =
        cress_simulate_seeds_with(&(cress_simulation_options){ .seed = 500, .seeds_per_child = 10 },
                                  SEEDS, hope_for_order, "fail", &seed);
    char *said = capture_end();
    assert_int_equal(result, -1);
    assert_true(seed == failing);
    assert_int_equal(runs, 1);
    assert_non_null(strstr(said, " CRESS_FAULTS=0.05\n"));
    free(said);
    setenv("CRESS_SEED", "none", 1);
    assert_errno(EINVAL, cress_simulate_seeds(0, 1, hope_for_order, NULL));
    unsetenv("CRESS_SEED");
    unsetenv("CRESS_FAULTS");
}

static void test_no_memory(void **state)
{
    bool failed = true;

    (void)state;
    for (int n = 0; failed; n++) {
        allocations_left = n;
        int result = cress_simulate(1, append, ""), error = errno;
        failed = end_failing();
        assert_int_equal(result, failed ? -1 : 0);
        assert_true(!failed || error == ENOMEM);
    }
    assert_ok(cress_simulate(1, run_three, NULL));
}

static void test_not_inside_a_hub(void)
{
    assert_errno(EBUSY, cress_simulate(1, run_three, NULL));
    assert_errno(EBUSY, cress_simulate_seeds(1, 1, run_three, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order_comes),
        cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_links_come_before_joiners),
        cmocka_unit_test(test_what_is_handed_over_stays_in_order),
        cmocka_unit_test(test_a_yield_need_not_switch),
        cmocka_unit_test(test_deadlines_are_noticed_late),
        cmocka_unit_test(test_close_deadlines_fall_together),
        cmocka_unit_test(test_time_creeps_on),
        cmocka_unit_test(test_faults_lose_nothing),
        cmocka_unit_test(test_no_faults_when_none_are_wanted),
        cmocka_unit_test(test_a_try_may_find_nothing),
        cmocka_unit_test(test_small_writes_to_pipes_stay_whole),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_connections_come_about),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_an_interrupted_poll_still_knows_what_was_closed),
        cmocka_unit_test(test_the_kernels_order_decides_nothing),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_deadlock_fails_the_run),
        cmocka_unit_test(test_numbers_for_the_program),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_rates_from_outside),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_seeds_in_children),
        cmocka_unit_test(test_a_seed_that_does_not_end),
        cmocka_unit_test(test_the_seed_from_outside_runs_alone),
        cmocka_unit_test(test_no_memory),
        HUB_TEST(test_not_inside_a_hub),
    };

    fill_sent();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
