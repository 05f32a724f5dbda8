/* In how many sends a response goes out, and when; how long a client that does not read is waited
 * for. Then clients that take, or send, everything at once: nobody ever has to wait, and everybody
 * else must get a turn all the same. */
#include "hub_test.h"
#include "wire.h"

#include <cress/upgrade.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- how many sends ---------------------------------------------------------------------------- */

struct sized {
    size_t pieces, piece;
    bool has_length;
};

static int write_pieces(cress_environ *env, cress_response *res, void *self)
{
    const struct sized *s = self;
    char *data = malloc(s->piece), length[24];
    int result;

    (void)env;
    memset(data, 'd', s->piece);
    snprintf(length, sizeof length, "%zu", s->pieces * s->piece);
    result = cress_start_response(
        res, 200, s->has_length ? CRESS_HEADERS({ "Content-Length", length }) : NULL);
    for (size_t i = 0; i < s->pieces && result == 0; i++)
        result = cress_response_write(res, data, s->piece);
    free(data);
    return result;
}

/* How many sends a response of several writes takes. */
static unsigned count_writes(size_t pieces, size_t piece, bool has_length)
{
    struct sized sized = { pieces, piece, has_length };
    struct wire w;

    wire_init(&w, write_pieces, &sized);
    wire_start(&w);
    wire_send(&w, GET);
    unsigned writes = w.stream.writes;
    assert_true(w.stream.out_len > pieces * piece);
    assert_null(w.wrong);
    assert_int_equal(w.log.body_bytes, pieces * piece);
    wire_finish(&w);
    return writes;
}

static void test_small_writes_are_gathered(void)
{
    assert_int_equal(count_writes(100, 100, true), 1);
    assert_int_equal(count_writes(100, 100, false), 1);
    assert_true(count_writes(1000, 100, true) <= 7);
    assert_true(count_writes(1000, 100, false) <= 8);
}

static void test_large_writes_go_around(void)
{
    assert_int_equal(count_writes(1, 100000, true), 1);  /* with the head */
    assert_int_equal(count_writes(1, 100000, false), 2); /* and the last chunk */
    assert_int_equal(count_writes(10, 100000, true), 10);
}

static int respond_large(cress_environ *env, cress_response *res, void *self)
{
    char *data = malloc(50000);

    (void)env, (void)self;
    memset(data, 'd', 50000);
    int result = cress_respond(res, 200, "text/plain", data, 50000);
    free(data);
    return result;
}

static void test_a_large_body_at_once(void)
{
    struct wire w;

    wire_init(&w, respond_large, NULL);
    wire_start(&w);
    wire_send(&w, GET HEAD);
    assert_int_equal(w.stream.writes, 2);
    const char *body = strstr(w.stream.out, "\r\n\r\n") + 4;
    assert_int_equal(strspn(body, "d"), 50000);
    assert_non_null(strstr(body, "Content-Length: 50000\r\n\r\n"));
    assert_int_equal(w.log.body_bytes, 0);
    wire_finish(&w);
}

/* ---- clients that do not read -------------------------------------------------------------------------------- */

static int write_much(cress_environ *env, cress_response *res, void *self)
{
    char data[3000];
    int result = 0;

    (void)env, (void)self;
    memset(data, 'd', sizeof data);
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    for (int i = 0; i < 1000 && result == 0; i++)
        result = cress_response_write(res, data, sizeof data);
    trace("%s", result < 0 ? strerror(errno) : "written");
    return result;
}

static void check_slow_reader(cress_app *app)
{
    cress_seconds started = cress_now();
    struct wire w;

    wire_init(&w, app, NULL);
    w.config.write_timeout = 10;
    memory_stream_set_room(&w.stream, 1000);
    wire_start(&w);
    wire_send(&w, GET);
    while (!w.is_closed)
        cress_sleep(1);
    assert_int_equal(w.stream.out_len, 1000);
    assert_true(cress_now() - started >= 10 && cress_now() - started < 13);
    wire_finish(&w);
}

static void test_a_client_that_does_not_read(void)
{
    check_slow_reader(write_much);
    assert_trace("Connection timed out\n");
    check_slow_reader(respond_large);
}

static void test_a_client_that_reads_slowly(void)
{
    struct wire w;

    wire_init(&w, write_much, NULL);
    w.config.write_timeout = 10;
    memory_stream_set_room(&w.stream, 0);
    wire_start(&w);
    wire_send(&w, GET);
    while (w.http.requests == 1 && !w.log.status) {
        cress_sleep(5);
        memory_stream_set_room(&w.stream, 20000);
        wire_settle();
    }
    assert_trace("written\n");
    assert_int_equal(w.log.body_bytes, 3000000);
    wire_finish(&w);
}

static int respond_ok(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void test_an_answer_to_a_client_that_does_not_read(void)
{
    struct wire w;

    wire_init(&w, respond_ok, NULL);
    w.config.write_timeout = 10;
    memory_stream_set_room(&w.stream, 5);
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(11);
    assert_true(w.is_closed);
    wire_finish(&w);
}

static void test_a_client_that_reset(void)
{
    struct wire w;

    wire_init(&w, write_much, NULL);
    memory_stream_set_room(&w.stream, 1000);
    wire_start(&w);
    wire_send(&w, GET);
    memory_stream_fail(&w.stream, ECONNRESET);
    wire_settle();
    assert_trace("Broken pipe\n");
    assert_true(w.http.gone);
    assert_true(w.is_closed);
    wire_finish(&w);
}

/* ---- nothing is held back while others run ------------------------------------------------------------------- */

static int write_and_sleep(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    if (cress_start_response(res, 200, NULL) < 0 || cress_response_write(res, "1", 1) < 0 ||
        cress_response_write(res, "2", 1) < 0 || cress_sleep(1) < 0)
        return -1;
    return cress_response_write(res, "3", 1);
}

static void test_pushed_before_a_wait(void)
{
    struct wire w;

    wire_init(&w, write_and_sleep, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(w.stream.writes, 1);
    assert_non_null(strstr(w.stream.out, "\r\n\r\n1\r\n1\r\n1\r\n2\r\n"));
    cress_sleep(2);
    assert_int_equal(w.stream.writes, 2);
    assert_non_null(strstr(w.stream.out, "1\r\n2\r\n1\r\n3\r\n0\r\n\r\n"));
    wire_finish(&w);
}

static void test_the_head_alone_before_a_wait(void)
{
    struct wire w;

    wire_init(&w, write_and_sleep, NULL);
    wire_start(&w);
    wire_send(&w, HEAD);
    assert_int_equal(w.stream.writes, 1);
    assert_non_null(strstr(w.stream.out, "\r\n\r\n"));
    cress_sleep(2);
    assert_int_equal(w.stream.writes, 1);
    wire_finish(&w);
}

/* A push takes what the client takes; the rest follows later, in order. */
static void test_a_push_that_does_not_fit(void)
{
    struct wire w;

    wire_init(&w, write_and_sleep, NULL);
    memory_stream_set_room(&w.stream, 10);
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(w.stream.out_len, 10);
    memory_stream_set_room(&w.stream, 100000);
    cress_sleep(2);
    assert_non_null(strstr(w.stream.out, "\r\n\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n"));
    wire_finish(&w);
}

static void *write_elsewhere(void *arg)
{
    return cress_response_write(arg, "other", 5) < 0 ? NULL : arg;
}

static int let_other_write(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "5" })));
    cress_greenlet *other = cress_spawn(write_elsewhere, res);
    void *value = NULL;
    assert_ok(cress_get(other, &value, CRESS_FOREVER));
    assert_ptr_equal(value, res);
    cress_release(other);
    return cress_sleep(1);
}

static void test_another_greenlets_writes_go_out_at_once(void)
{
    struct wire w;

    wire_init(&w, let_other_write, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, "\r\n\r\nother"));
    wire_finish(&w);
}

static void *write_too(void *arg)
{
    cress_sleep(1);
    assert_errno(EBUSY, cress_response_write(arg, "x", 1));
    trace("busy");
    return NULL;
}

static int write_both(cress_environ *env, cress_response *res, void *self)
{
    cress_greenlet *other = cress_spawn(write_too, res);
    int result = write_much(env, res, self);

    cress_join(other, CRESS_FOREVER);
    cress_release(other);
    return result;
}

static void test_one_greenlet_at_a_time(void)
{
    struct wire w;

    wire_init(&w, write_both, NULL);
    memory_stream_set_room(&w.stream, 1000);
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(2);
    assert_trace("busy\n");
    memory_stream_set_room(&w.stream, SIZE_MAX);
    wire_settle();
    assert_trace("written\n");
    wire_finish(&w);
}

/* ---- clients that take everything at once ------------------------------------------------------- */

enum { HUGE = 64 << 20, TURN = 256 << 10 };

static char huge[HUGE];
static size_t taken, most, turns;

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

#define GET_AND_CLOSE "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void test_a_fast_receiver(void)
{
    check_turns(GET_AND_CLOSE, respond_huge);
    assert_true(taken > HUGE && taken < HUGE + 1000);
    check_turns(GET_AND_CLOSE, write_huge);
    assert_true(taken > HUGE && taken < HUGE + 1000);
    check_turns(GET_AND_CLOSE, write_in_pieces);
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
    wire_send(&w, GET_AND_CLOSE);
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
    wire_send(w, GET_AND_CLOSE);
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
        HUB_TEST(test_small_writes_are_gathered),
        HUB_TEST(test_large_writes_go_around),
        HUB_TEST(test_a_large_body_at_once),
        HUB_TEST(test_a_client_that_does_not_read),
        HUB_TEST(test_a_client_that_reads_slowly),
        HUB_TEST(test_an_answer_to_a_client_that_does_not_read),
        HUB_TEST(test_a_client_that_reset),
        HUB_TEST(test_pushed_before_a_wait),
        HUB_TEST(test_the_head_alone_before_a_wait),
        HUB_TEST(test_a_push_that_does_not_fit),
        HUB_TEST(test_another_greenlets_writes_go_out_at_once),
        HUB_TEST(test_one_greenlet_at_a_time),
        HUB_TEST(test_a_fast_receiver),
        HUB_TEST(test_a_fast_receiver_after_an_upgrade),
        HUB_TEST(test_a_fast_sender),
        HUB_TEST(test_progress),
        HUB_TEST(test_nobody_writes_in_between),
        HUB_TEST(test_a_kill_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
