/* Clients that take, or send, everything at once: nobody ever has to wait, and everybody else
 * must get a turn all the same. */
#include "hub_test.h"
#include "wire.h"

#include <cress/upgrade.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HUGE = 64 << 20, TURN = 256 << 10 };

static char huge[HUGE];
static size_t taken, most, turns;

/* ---- such a client ------------------------------------------------------------------ */

static ssize_t take_all(cress_stream *s, const struct iovec *iov, int count, int flags)
{
    size_t total = 0;

    (void)s, (void)flags;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    taken += total;
    most = total > most ? total : most;
    return (ssize_t)total;
}

/* First the request, then as much as a receive buffer has. */
static ssize_t give_all(cress_stream *s, void *buf, size_t len, int flags)
{
    struct memory_stream *memory = (struct memory_stream *)(void *)s;
    size_t left = memory->in_len - memory->in_pos, count = left < len ? left : len;

    (void)flags;
    if (left == 0) {
        count = len < 64 << 10 ? len : 64 << 10;
        memset(buf, 'x', count);
        return (ssize_t)count;
    }
    memcpy(buf, memory->in + memory->in_pos, count);
    memory->in_pos += count;
    return (ssize_t)count;
}

static const cress_stream_ops fast_ops = { .read = give_all, .writev = take_all };

static void *count_turns(void *arg)
{
    while (cress_sleep(0) == 0)
        turns++;
    return arg;
}

/* One request, while another greenlet counts its turns: at least one for every TURN of HUGE. */
static void check_turns(const char *request, cress_app *app)
{
    cress_greenlet *g = cress_spawn(count_turns, NULL);
    struct wire w;

    wire_init(&w, app, NULL);
    w.stream.stream.ops = &fast_ops;
    memory_stream_send_text(&w.stream, request);
    taken = most = turns = 0;
    wire_start(&w);
    assert_ok(cress_join(w.greenlet, CRESS_FOREVER));
    assert_null(w.wrong);
    assert_true(turns >= HUGE / TURN - 1);
    assert_true(most <= TURN);
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    wire_finish(&w);
}

/* ---- writing --------------------------------------------------------------------------- */

static int respond_huge(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, NULL, huge, HUGE);
}

static int write_huge(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    return cress_response_write(res, huge, HUGE);
}

static int write_in_pieces(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    for (size_t at = 0; at < HUGE; at += 64 << 10)
        assert_ok(cress_response_write(res, huge + at, 64 << 10));
    return 0;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void test_a_fast_receiver(void)
{
    check_turns(GET, respond_huge);
    assert_true(taken > HUGE && taken < HUGE + 1000);
    check_turns(GET, write_huge);
    assert_true(taken > HUGE && taken < HUGE + 1000);
    check_turns(GET, write_in_pieces);
}

static cress_stream *switch_over(cress_response *res)
{
    cress_stream *stream;

    assert_ok(cress_upgrade(res, "huge", NULL, &stream));
    return stream;
}

static int write_upgraded(cress_environ *env, cress_response *res, void *self)
{
    struct iovec iov[20];

    (void)env, (void)self;
    for (size_t i = 0; i < 20; i++)
        iov[i] = (struct iovec){ huge, i == 7 ? HUGE : i };
    assert_int_equal(cress_stream_writev(switch_over(res), iov, 20, 0), HUGE + 190 - 7);
    return 0;
}

static void test_a_fast_receiver_after_an_upgrade(void)
{
    check_turns("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: huge\r\n\r\n",
                write_upgraded);
    assert_true(taken > HUGE && taken < HUGE + 1000);
}

/* ---- reading --------------------------------------------------------------------------- */

static int read_in_large_pieces(cress_environ *env, cress_response *res, void *self)
{
    ssize_t got;
    size_t total = 0;

    (void)self;
    while ((got = cress_input_read(env, huge, 1 << 20)) > 0)
        total += (size_t)got;
    assert_int_equal(total, HUGE);
    return cress_respond(res, 204, NULL, NULL, 0);
}

static int read_all(cress_environ *env, cress_response *res, void *self)
{
    cress_str body;

    (void)self;
    assert_ok(cress_input_read_all(env, HUGE, &body));
    assert_int_equal(body.len, HUGE);
    return cress_respond(res, 204, NULL, NULL, 0);
}

static int read_lines(cress_environ *env, cress_response *res, void *self)
{
    ssize_t got;

    (void)self;
    while ((got = cress_input_readline(env, huge, 1 << 20)) > 0)
        continue;
    assert_int_equal(got, 0);
    return cress_respond(res, 204, NULL, NULL, 0);
}

#define POST                                              \
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" \
    "Content-Length: 67108864\r\n\r\n"

static void test_a_fast_sender(void)
{
    check_turns(POST, read_in_large_pieces);
    check_turns(POST, read_all);
    check_turns(POST, read_lines);
}

/* ---- a slow one, for comparison ------------------------------------------------------------ */

static void test_progress(void)
{
    struct wire w;

    wire_init(&w, respond_huge, NULL);
    memory_stream_set_room(&w.stream, 0);
    wire_start(&w);
    wire_send(&w, GET);
    uint64_t before = cress_http1_progress(&w.http);
    for (int i = 0; i < 10; i++) {
        assert_true(cress_http1_awaits_client(&w.http));
        memory_stream_set_room(&w.stream, 16 << 10); /* the size in which a client is waited for */
        wire_settle();
    }
    assert_true(cress_http1_progress(&w.http) - before >= 9 * (16 << 10));
    memory_stream_fail(&w.stream, EPIPE);
    wire_settle();
    assert_false(cress_http1_awaits_client(&w.http));
    wire_finish(&w);
}

/* ---- what happens in such a turn --------------------------------------------------------- */

struct other {
    cress_response *res;
    cress_greenlet *writer;
    bool kills;
};

static void *interfere(void *arg)
{
    struct other *other = arg;

    if (other->kills)
        cress_cancel(other->writer);
    else
        assert_errno(EBUSY, cress_response_write(other->res, "other", 5));
    return NULL;
}

static int write_beside(cress_environ *env, cress_response *res, void *self)
{
    struct other other = { .res = res, .writer = cress_self(), .kills = *(bool *)self };

    (void)env;
    for (size_t i = 0; i < 1 << 20; i++)
        huge[i] = (char)('a' + i % 23);
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "first ", 6));
    cress_greenlet *g = cress_spawn(interfere, &other);
    int result = cress_response_write(res, huge, 1 << 20), error = errno;
    assert_true(cress_ready(g));
    cress_release(g);
    trace("%d %s", result, result < 0 ? strerror(error) : "");
    return result;
}

static char *output_of(bool kills, struct wire *w)
{
    wire_init(w, write_beside, &kills);
    wire_start(w);
    wire_send(w, GET);
    assert_ok(cress_join(w->greenlet, CRESS_FOREVER));
    return wire_output(w);
}

static void test_nobody_writes_in_between(void)
{
    struct wire w;
    char *output = output_of(false, &w), *body = strstr(output, "6\r\nfirst \r\n100000\r\n");

    assert_trace("0 \n");
    assert_non_null(body);
    body += strlen("6\r\nfirst \r\n100000\r\n");
    assert_memory_equal(body, huge, 1 << 20);
    assert_string_equal(body + (1 << 20), "\r\n0\r\n\r\n");
    free(output);
    wire_finish(&w);
}

static void test_a_kill_ends_it(void)
{
    struct wire w;
    char *output = output_of(true, &w);

    assert_trace("-1 Operation canceled\n");
    assert_int_equal(w.stream.out_len, TURN); /* and no end of the message */
    free(output);
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_a_fast_receiver),
        HUB_TEST(test_a_fast_receiver_after_an_upgrade),
        HUB_TEST(test_a_fast_sender),
        HUB_TEST(test_progress),
        HUB_TEST(test_nobody_writes_in_between),
        HUB_TEST(test_a_kill_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
