#define _GNU_SOURCE
#include "hub_test.h"

#include <cress/io.h>
#include <cress/stream.h>
#include <cress/timeout.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 1 << 20 };

static cress_socket_stream socket_stream;
static cress_stream *const stream = &socket_stream.stream;
static int peer;
static char big[BIG];

static void open_stream(void)
{
    int ends[2];

    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
    cress_socket_stream_init(&socket_stream, ends[0], NULL);
    peer = ends[1];
}

static void close_stream(void)
{
    cress_stream_close(stream);
    assert_ok(cress_close(peer));
}

static void *send_after_1(void *arg)
{
    assert_ok(cress_sleep(1));
    assert_int_equal(cress_write(peer, arg, strlen(arg)), strlen(arg));
    return NULL;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void test_read(void)
{
    char buf[16] = "";

    open_stream();
    assert_errno(EAGAIN, cress_stream_read(stream, buf, 15, CRESS_STREAM_DONTWAIT));
    spawn(send_after_1, "hello");
    assert_int_equal(cress_stream_read(stream, buf, 15, 0), 5);
    assert_string_equal(buf, "hello");
    assert_time(1);
    spawn(send_after_1, "again");
    assert_int_equal(cress_stream_read(stream, buf, 15, 0), 5);
    assert_ok(cress_close(peer));
    assert_int_equal(cress_stream_read(stream, buf, 15, 0), 0);
    assert_int_equal(cress_stream_read(stream, buf, 15, CRESS_STREAM_DONTWAIT), 0);
    cress_stream_close(stream);
}

static void test_read_is_limited(void)
{
    cress_timeout limit;
    char buf[16];

    open_stream();
    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, cress_stream_read(stream, buf, 16, 0));
    cress_timeout_close(&limit);
    assert_time(2);
    close_stream();
}

static void *read_until_closed(void *arg)
{
    char buf[16];

    (void)arg;
    assert_errno(EBADF, cress_stream_read(stream, buf, 16, 0));
    trace("closed");
    return NULL;
}

static void test_close_wakes_the_reader(void)
{
    open_stream();
    spawn(read_until_closed, NULL);
    settle();
    errno = EILSEQ;
    cress_stream_close(stream);
    assert_int_equal(errno, EILSEQ);
    settle();
    assert_trace("closed\n");
    assert_ok(cress_close(peer));
}

/* ---- a fast other side -----------------------------------------------------------------------------

 * It never makes the greenlet wait, which lets others run all the same, the sooner the more
 * bytes there are in each call. */

enum { PIECE = 64 << 10, PIECES = 32 };

static size_t turns;

static void *count_turns(void *arg)
{
    while (cress_sleep(0) == 0)
        turns++;
    return arg;
}

/* [waits] PIECES calls of move, with the other side's part in between: at least one turn for
 * every 256 KiB. */
static void check_turns(void (*move)(void))
{
    cress_greenlet *g = cress_spawn(count_turns, NULL);

    open_stream();
    assert_ok(cress_sleep(0));
    turns = 0;
    for (int i = 0; i < PIECES; i++)
        move();
    assert_true(turns >= PIECES * PIECE / (256 << 10));
    close_stream();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
}

static void read_piece(void)
{
    static char buf[PIECE];

    assert_int_equal(write(peer, big, PIECE), PIECE);
    assert_int_equal(cress_stream_read(stream, buf, PIECE, 0), PIECE);
}

static void write_piece(void)
{
    static char buf[PIECE];
    struct iovec pieces[] = { { big, PIECE / 2 }, { big, PIECE / 2 } };

    assert_int_equal(cress_stream_writev(stream, pieces, 2, 0), PIECE);
    assert_int_equal(read(peer, buf, PIECE), PIECE);
}

static void test_a_fast_sender(void)
{
    check_turns(read_piece);
}

static void test_a_fast_receiver(void)
{
    check_turns(write_piece);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static char *received;

static void *receive_big(void *arg)
{
    size_t count = 0;

    while (count < BIG) {
        assert_ok(cress_sleep(0.001));

        size_t step = BIG - count < 50000 ? BIG - count : 50000;
        ssize_t got = cress_read(peer, received + count, step);

        assert_true(got > 0);
        count += (size_t)got;
    }
    return arg;
}

static cress_greenlet *start_receiving(void)
{
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 + i / 1000);
    received = calloc(1, BIG);
    assert_non_null(received);
    return cress_spawn(receive_big, NULL);
}

static void check_received(cress_greenlet *receiver)
{
    assert_ok(cress_join(receiver, CRESS_FOREVER));
    assert_memory_equal(received, big, BIG);
    cress_release(receiver);
    free(received);
}

static void test_writev_in_pieces(void)
{
    static struct iovec pieces[300];
    size_t done = 0;

    open_stream();

    cress_greenlet *receiver = start_receiving();

    for (size_t i = 0; i < 300; i++) {
        size_t len = i == 299 ? BIG - done : i % 5 * 1000;

        pieces[i] = (struct iovec){ big + done, len };
        done += len;
    }
    assert_int_equal(cress_stream_writev(stream, pieces, 300, 0), BIG);
    check_received(receiver);
    close_stream();
}

static void test_write_all(void)
{
    open_stream();

    cress_greenlet *receiver = start_receiving();

    assert_ok(cress_stream_write_all(stream, big, BIG));
    assert_ok(cress_stream_write_all(stream, big, 0));
    check_received(receiver);
    close_stream();
}

static void test_nothing_to_write(void)
{
    const struct iovec none[] = { { NULL, 0 }, { big, 0 } };

    open_stream();
    assert_int_equal(cress_stream_writev(stream, none, 2, 0), 0);
    assert_int_equal(cress_stream_writev(stream, NULL, 0, 0), 0);
    close_stream();
}

static void test_write_what_goes_at_once(void)
{
    const struct iovec pieces[] = { { big, 10 }, { big + 10, BIG - 10 } };

    open_stream();

    ssize_t count = cress_stream_writev(stream, pieces, 2, CRESS_STREAM_DONTWAIT);

    assert_true(count > 10 && count < BIG);
    while (count > 0)
        count = cress_stream_writev(stream, pieces, 1, CRESS_STREAM_DONTWAIT);
    assert_errno(EAGAIN, cress_stream_writev(stream, pieces, 1, CRESS_STREAM_DONTWAIT));
    close_stream();
}

static void test_partial_count_at_a_limit(void)
{
    const struct iovec piece = { big, BIG };
    cress_timeout limit;

    open_stream();
    cress_timeout_start(&limit, 2);

    ssize_t count = cress_stream_writev(stream, &piece, 1, 0);

    assert_true(count > 0 && count < BIG);
    assert_time(2);
    assert_errno(ETIMEDOUT, cress_stream_writev(stream, &piece, 1, 0));
    cress_timeout_close(&limit);
    close_stream();
}

static void test_peer_is_gone(void)
{
    open_stream();
    assert_ok(cress_close(peer));
    assert_errno(EPIPE, cress_stream_write_all(stream, "x", 1)); /* and no SIGPIPE */
    cress_stream_close(stream);
}

static void test_shutdown(void)
{
    char buf[16];

    open_stream();
    assert_ok(cress_stream_write_all(stream, "bye", 3));
    assert_ok(cress_stream_shutdown(stream));
    assert_int_equal(cress_read(peer, buf, 16), 3);
    assert_int_equal(cress_read(peer, buf, 16), 0);
    assert_int_equal(cress_write(peer, "still", 5), 5); /* the other way stays open */
    assert_int_equal(cress_stream_read(stream, buf, 16, 0), 5);
    close_stream();
}

/* ---- files ---------------------------------------------------------------------------------------- */

static void test_send_file(void)
{
    int file = memfd_create("file", MFD_CLOEXEC);

    open_stream();

    cress_greenlet *receiver = start_receiving();

    assert_int_equal(write(file, "skipped", 7), 7);
    assert_int_equal(write(file, big, BIG), BIG);
    assert_int_equal(stream->ops->send_file(stream, file, 7, BIG, 0), BIG);
    check_received(receiver);
    /* A file that is shorter than was said: what there is. */
    assert_int_equal(stream->ops->send_file(stream, file, BIG + 7 - 5, 100, 0), 5);
    assert_int_equal(lseek(file, 0, SEEK_CUR), BIG + 7); /* its offset is left alone */
    close(file);
    close_stream();
}

static void test_send_file_without_waiting(void)
{
    int file = memfd_create("file", MFD_CLOEXEC);
    size_t total = 0;
    ssize_t sent;

    open_stream();
    assert_int_equal(ftruncate(file, 64 << 20), 0);
    while ((sent = stream->ops->send_file(stream, file, (off_t)total, (64 << 20) - total,
                                          CRESS_STREAM_DONTWAIT)) > 0)
        total += (size_t)sent;
    assert_int_equal(sent, -1);
    assert_int_equal(errno, EAGAIN); /* nobody reads */
    assert_true(total > 0 && total < 64 << 20);
    close(file);
    close_stream();
}

/* Who was told EAGAIN waits for room, and gets what fits: not all, and not nothing. */
/* Its record may have been anything before. */
static void test_send_file_to_a_socket_that_blocks(void)
{
    int file = memfd_create("file", MFD_CLOEXEC), ends[2];

    memset(&socket_stream, 1, sizeof socket_stream);
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    cress_socket_stream_init(&socket_stream, ends[0], NULL);
    peer = ends[1];
    assert_int_equal(write(file, big, 1), 1);
    assert_int_equal(stream->ops->send_file(stream, file, 0, 1, CRESS_STREAM_DONTWAIT), 1);
    assert_true(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    close(file);
    close_stream();
}

static void test_send_file_when_there_is_room(void)
{
    enum { FILE_SIZE = 64 << 20 };
    int file = memfd_create("file", MFD_CLOEXEC);
    size_t total = 0, taken = 0;
    ssize_t sent, got;

    open_stream();
    assert_int_equal(ftruncate(file, FILE_SIZE), 0);
    while ((sent = stream->ops->send_file(stream, file, (off_t)total, FILE_SIZE - total,
                                          CRESS_STREAM_DONTWAIT)) > 0)
        total += (size_t)sent;

    cress_timeout limit;

    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, stream->ops->send_file(stream, file, (off_t)total, FILE_SIZE - total,
                                                   CRESS_STREAM_AWAIT));
    cress_timeout_close(&limit);
    assert_time(2);

    while (taken < total && (got = cress_read(peer, big, BIG)) > 0)
        taken += (size_t)got;
    sent =
        stream->ops->send_file(stream, file, (off_t)total, FILE_SIZE - total, CRESS_STREAM_AWAIT);
    assert_true(sent > 0 && (size_t)sent < FILE_SIZE - total);
    assert_time(2); /* it was there */
    close(file);
    close_stream();
}

static void open_tcp_stream(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    assert_ok(bind(listener, (struct sockaddr *)&address, len));
    assert_ok(listen(listener, 1));
    assert_ok(getsockname(listener, (struct sockaddr *)&address, &len));
    peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_ok(connect(peer, (struct sockaddr *)&address, len));
    cress_socket_stream_init(&socket_stream, accept(listener, NULL, NULL), NULL);
    assert_ok(
        setsockopt(cress_watch_fd(&socket_stream.watch), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    close(listener);
}

static bool is_held_back(int flags)
{
    const struct iovec head = { big, 10 };
    int unsent;

    open_tcp_stream();
    assert_int_equal(cress_stream_writev(stream, &head, 1, flags), 10);
    assert_ok(ioctl(cress_watch_fd(&socket_stream.watch), SIOCOUTQNSD, &unsent));
    close_stream();
    return unsent == 10;
}

/* The kernel holds it back for 200 ms at most, which a busy machine may use up. */
static void test_what_more_follows(void)
{
    int tries = 0;

    while (!is_held_back(CRESS_STREAM_MORE))
        assert_true(++tries < 100);
    assert_false(is_held_back(0));
}

static void test_a_file_behind_its_head(void)
{
    const struct iovec head = { big, 10 };
    int file = memfd_create("file", MFD_CLOEXEC);
    char buf[100];

    open_tcp_stream();
    assert_int_equal(write(file, big, 50), 50);
    assert_int_equal(cress_stream_writev(stream, &head, 1, CRESS_STREAM_MORE), 10);
    assert_int_equal(stream->ops->send_file(stream, file, 0, 50, CRESS_STREAM_DONTWAIT), 50);
    assert_int_equal(cress_recv(peer, buf, 60, MSG_WAITALL), 60);
    close(file);
    close_stream();
}

/* Input that was not read makes the kernel reset the connection, and drop what it holds. */
static void test_close_sends_what_is_held(void)
{
    const struct iovec answer = { big, 10 };
    char buf[16];

    open_tcp_stream();
    assert_int_equal(cress_write(peer, "unread", 6), 6);
    assert_ok(cress_watch_wait(&socket_stream.watch, CRESS_FOREVER));
    assert_int_equal(cress_stream_writev(stream, &answer, 1, CRESS_STREAM_MORE), 10);
    cress_stream_close(stream);
    assert_int_equal(cress_read(peer, buf, sizeof buf), 10);
    assert_ok(cress_close(peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_read),
        HUB_TEST(test_read_is_limited),
        HUB_TEST(test_close_wakes_the_reader),
        HUB_TEST(test_a_fast_sender),
        HUB_TEST(test_a_fast_receiver),
        HUB_TEST(test_writev_in_pieces),
        HUB_TEST(test_write_all),
        HUB_TEST(test_nothing_to_write),
        HUB_TEST(test_write_what_goes_at_once),
        HUB_TEST(test_partial_count_at_a_limit),
        HUB_TEST(test_peer_is_gone),
        HUB_TEST(test_shutdown),
        HUB_TEST(test_send_file),
        HUB_TEST(test_send_file_without_waiting),
        HUB_TEST(test_send_file_to_a_socket_that_blocks),
        HUB_TEST(test_send_file_when_there_is_room),
        HUB_TEST(test_what_more_follows),
        HUB_TEST(test_a_file_behind_its_head),
        HUB_TEST(test_close_sends_what_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
