#define _GNU_SOURCE
#include "hub_test.h"

#include <cress/event.h>
#include <cress/io.h>
#include <cress/timeout.h>

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { BIG = 1 << 20 };

static int ends[2];   /* what the test at hand talks over */
static char big[BIG]; /* a pattern without a short period */

static void fill_big(void)
{
    uint32_t seed = 1;

    for (size_t i = 0; i < BIG; i++) {
        seed = seed * 1664525 + 1013904223;
        big[i] = (char)(seed >> 24);
    }
}

static void open_sockets(int type)
{
    assert_ok(socketpair(AF_UNIX, type, 0, ends));
}

static void open_pipe(int flags)
{
    assert_ok(pipe2(ends, flags));
}

static void close_ends(void)
{
    assert_ok(cress_close(ends[0]));
    assert_ok(cress_close(ends[1]));
}

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

/* ---- reading ----------------------------------------------------------------------- */

static void *read_some(void *arg)
{
    char buf[100];
    ssize_t count = cress_read(ends[0], buf, sizeof buf - 1);
    int error = count < 0 ? errno : 0;

    buf[count < 0 ? 0 : count] = '\0';
    trace("%s: %zd %s (%d)", (char *)arg, count, buf, error);
    return NULL;
}

static void check_read_waits(void)
{
    spawn(read_some, "a");
    settle();
    assert_trace("");
    assert_int_equal(cress_write(ends[1], "hello", 5), 5);
    settle();
    assert_ok(cress_sleep(0.01));
    assert_trace("a: 5 hello (0)\n");
    assert_int_equal(cress_write(ends[1], "there", 5), 5);
    read_some("b");
    assert_trace("b: 5 there (0)\n");
    assert_ok(cress_close(ends[1]));
    read_some("c");
    assert_trace("c: 0  (0)\n");
    assert_false(is_nonblocking(ends[0]));
    assert_ok(cress_close(ends[0]));
}

static void test_read_from_a_socket(void)
{
    open_sockets(SOCK_STREAM);
    check_read_waits();
}

static void test_read_from_a_pipe(void)
{
    open_pipe(0);
    check_read_waits();
}

static void test_read_from_a_nonblocking_pipe(void)
{
    open_pipe(O_NONBLOCK);
    spawn(read_some, "a");
    settle();
    assert_int_equal(cress_write(ends[1], "hello", 5), 5);
    assert_ok(cress_sleep(0.01));
    assert_trace("a: 5 hello (0)\n");
    close_ends();
}

static void test_read_is_killed(void)
{
    open_sockets(SOCK_STREAM);

    cress_greenlet *g = cress_spawn(read_some, "a");

    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_trace("a: -1  (125)\n");
    cress_release(g);
    assert_int_equal(cress_write(ends[1], "later", 5), 5); /* nobody's watcher is left */
    settle();
    read_some("b");
    assert_trace("b: 5 later (0)\n");
    close_ends();
}

static void test_read_is_limited(void)
{
    cress_timeout limit;
    char byte;

    open_sockets(SOCK_STREAM);
    cress_timeout_start(&limit, 2);
    assert_errno(ETIMEDOUT, cress_read(ends[0], &byte, 1));
    assert_int_equal(send(ends[1], "x", 1, 0), 1);
    assert_errno(ETIMEDOUT, cress_read(ends[0], &byte, 1)); /* though it is there */
    cress_timeout_close(&limit);
    assert_int_equal(cress_read(ends[0], &byte, 1), 1);
    assert_time(2);
    close_ends();
}

static void test_scattered_and_gathered(void)
{
    char a[3], b[4];
    const struct iovec out[] = { { "he", 2 }, { "", 0 }, { "llo!!", 5 } };
    const struct iovec in[] = { { a, 3 }, { b, 4 } };

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            open_sockets(SOCK_STREAM);
        else
            open_pipe(0);
        assert_int_equal(cress_writev(ends[1], out, 3), 7);
        assert_int_equal(cress_readv(ends[0], in, 2), 7);
        assert_memory_equal(a, "hel", 3);
        assert_memory_equal(b, "lo!!", 4);
        close_ends();
    }
}

static void test_nothing_to_transfer(void)
{
    const struct iovec none[] = { { NULL, 0 } };
    char byte;

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            open_sockets(SOCK_STREAM);
        else
            open_pipe(0);
        assert_int_equal(cress_read(ends[0], &byte, 0), 0);
        assert_int_equal(cress_write(ends[1], "", 0), 0);
        assert_int_equal(cress_readv(ends[0], none, 1), 0);
        assert_int_equal(cress_writev(ends[1], none, 1), 0);
        assert_int_equal(cress_writev(ends[1], NULL, 0), 0);
        close_ends();
    }
}

static void test_bad_arguments(void)
{
    char byte = 0;
    struct iovec piece = { &byte, 1 };
    struct sockaddr address = { .sa_family = AF_UNIX };
    const int bad[] = { -1, 1000000 };

    for (size_t i = 0; i < 2; i++) {
        assert_errno(EBADF, cress_read(bad[i], &byte, 1));
        assert_errno(EBADF, cress_read(bad[i], &byte, 0));
        assert_errno(EBADF, cress_write(bad[i], &byte, 1));
        assert_errno(EBADF, cress_readv(bad[i], &piece, 1));
        assert_errno(EBADF, cress_writev(bad[i], &piece, 1));
        assert_errno(EBADF, cress_recv(bad[i], &byte, 1, 0));
        assert_errno(EBADF, cress_send(bad[i], &byte, 1, 0));
        assert_errno(EBADF, cress_accept(bad[i], NULL, NULL));
        assert_errno(EBADF, cress_connect(bad[i], &address, sizeof address));
        assert_errno(EBADF, cress_wait_fd(bad[i], POLLIN, 1));
        assert_errno(EBADF, cress_close(bad[i]));
    }
    open_pipe(0);
    assert_errno(EINVAL, cress_readv(ends[0], &piece, -1));
    assert_errno(EINVAL, cress_writev(ends[1], &piece, IOV_MAX + 1));
    assert_errno(ENOTSOCK, cress_recv(ends[0], &byte, 1, 0));
    assert_errno(ENOTSOCK, cress_send(ends[1], &byte, 1, 0));
    assert_errno(ENOTSOCK, cress_accept(ends[0], NULL, NULL));
    assert_errno(EBADF, cress_read(ends[1], &byte, 1)); /* the wrong end */
    assert_errno(EBADF, cress_write(ends[0], &byte, 1));
    close_ends();
}

static void test_outside_a_hub(void **state)
{
    char byte = 0;

    (void)state;
    open_sockets(SOCK_STREAM);
    assert_errno(EPERM, cress_read(ends[0], &byte, 1));
    assert_errno(EPERM, cress_write(ends[0], &byte, 1));
    close_ends(); /* does not wait, and works */
}

static void test_regular_file(void)
{
    FILE *file = tmpfile();
    int fd = fileno(file);
    char *back = malloc(BIG);

    assert_non_null(back);
    assert_int_equal(cress_write(fd, big, BIG), BIG);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(cress_read(fd, back, BIG), BIG);
    assert_memory_equal(back, big, BIG);
    assert_int_equal(cress_read(fd, back, BIG), 0);
    free(back);
    fclose(file);
}

/* ---- writing much -------------------------------------------------------------------- */

struct reading {
    char *bytes;
    size_t count, step;
};

static void *read_slowly(void *arg)
{
    struct reading *reading = arg;
    ssize_t count;

    do {
        assert_ok(cress_sleep(0.001));

        size_t room = BIG - reading->count;

        count = cress_read(ends[0], reading->bytes + reading->count,
                           room < reading->step ? room : reading->step);
        assert_true(count >= 0);
        reading->count += (size_t)count;
    } while (count > 0);
    return NULL;
}

static cress_greenlet *start_reading(struct reading *reading)
{
    *reading = (struct reading){ .bytes = malloc(BIG), .step = 100000 };
    assert_non_null(reading->bytes);

    cress_greenlet *g = cress_spawn(read_slowly, reading);

    assert_non_null(g);
    return g;
}

static void check_big_write(ssize_t (*write_big)(void))
{
    struct reading reading;
    cress_greenlet *reader = start_reading(&reading);

    assert_int_equal(write_big(), BIG);
    assert_ok(cress_close(ends[1]));
    assert_ok(cress_join(reader, CRESS_FOREVER));
    assert_int_equal(reading.count, BIG);
    assert_memory_equal(reading.bytes, big, BIG);
    cress_release(reader);
    free(reading.bytes);
    assert_ok(cress_close(ends[0]));
}

static ssize_t write_big(void)
{
    return cress_write(ends[1], big, BIG);
}

static ssize_t send_big(void)
{
    return cress_send(ends[1], big, BIG, 0);
}

static ssize_t writev_big(void)
{
    static struct iovec pieces[1000];
    size_t done = 0;

    for (size_t i = 0; i < 1000; i++) {
        size_t len = i == 999 ? BIG - done : i % 7 * 300;

        pieces[i] = (struct iovec){ big + done, len };
        done += len;
    }
    return cress_writev(ends[1], pieces, 1000);
}

static ssize_t sendmsg_big(void)
{
    struct iovec pieces[] = { { big, 10 }, { big + 10, BIG / 2 }, { big + 10 + BIG / 2, 0 } };
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 3 };

    pieces[2].iov_len = BIG - 10 - BIG / 2;
    return cress_sendmsg(ends[1], &message, 0);
}

static void test_big_write_to_a_socket(void)
{
    ssize_t (*const ways[])(void) = { write_big, send_big, writev_big, sendmsg_big };

    for (size_t i = 0; i < 4; i++) {
        open_sockets(SOCK_STREAM);
        check_big_write(ways[i]);
    }
}

static void test_big_write_to_a_pipe(void)
{
    ssize_t (*const ways[])(void) = { write_big, writev_big };
    const int flags[] = { 0, O_NONBLOCK };

    for (size_t i = 0; i < 4; i++) {
        open_pipe(flags[i / 2]);
        check_big_write(ways[i % 2]);
    }
}

static void *write_until_stopped(void *arg)
{
    ssize_t count = cress_write(ends[1], big, BIG);

    assert_true(count > 0 && count < BIG);
    assert_errno(*(int *)arg, cress_write(ends[1], big, BIG));
    trace("stopped");
    return NULL;
}

static void test_partial_count_when_killed(void)
{
    int expected = ECANCELED;

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            open_sockets(SOCK_STREAM);
        else
            open_pipe(0);

        cress_greenlet *g = cress_spawn(write_until_stopped, &expected);

        settle();
        assert_ok(cress_kill(g, CRESS_FOREVER));
        assert_trace("stopped\n");
        cress_release(g);
        close_ends();
    }
}

static void test_partial_count_at_a_limit(void)
{
    int expected = ETIMEDOUT;
    cress_timeout limit;

    open_sockets(SOCK_STREAM);
    cress_timeout_start(&limit, 1);
    write_until_stopped(&expected);
    cress_timeout_close(&limit);
    assert_true(cress_timeout_expired(&limit));
    assert_trace("stopped\n");
    close_ends();
}

static void *close_reading_end(void *arg)
{
    assert_ok(cress_close(ends[0]));
    return arg;
}

static void test_partial_count_when_the_reader_leaves(void)
{
    int expected = EPIPE; /* and no SIGPIPE */

    open_sockets(SOCK_STREAM);
    spawn(close_reading_end, NULL);
    write_until_stopped(&expected);
    assert_trace("stopped\n");
    assert_ok(cress_close(ends[1]));
}

/* ---- what recv and send offer -------------------------------------------------------------- */

static void *send_in_pieces(void *arg)
{
    assert_int_equal(cress_send(ends[1], "abc", 3, 0), 3);
    assert_ok(cress_sleep(1));
    assert_int_equal(cress_send(ends[1], "defg", 4, 0), 4);
    return arg;
}

static void test_waitall(void)
{
    char buf[8] = "";

    open_sockets(SOCK_STREAM);
    spawn(send_in_pieces, NULL);
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_WAITALL), 6);
    assert_string_equal(buf, "abcdef");
    assert_time(1);
    assert_ok(cress_close(ends[1]));
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_WAITALL), 1); /* the end came first */
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_WAITALL), 0);
    assert_ok(cress_close(ends[0]));
}

static void test_waitall_is_limited(void)
{
    cress_timeout limit;
    char buf[8];

    open_sockets(SOCK_STREAM);
    spawn(send_in_pieces, NULL);
    cress_timeout_start(&limit, 0.5);
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_WAITALL), 3); /* what has come is not lost */
    assert_errno(ETIMEDOUT, cress_recv(ends[0], buf, 6, MSG_WAITALL));
    cress_timeout_close(&limit);
    assert_ok(cress_sleep(1));
    close_ends();
}

static void test_waitall_into_pieces(void)
{
    char a[2], b[5] = "";
    struct iovec pieces[] = { { a, 2 }, { b, 4 } };
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2 };

    open_sockets(SOCK_STREAM);
    spawn(send_in_pieces, NULL);
    assert_int_equal(cress_recvmsg(ends[0], &message, MSG_WAITALL), 6);
    assert_memory_equal(a, "ab", 2);
    assert_string_equal(b, "cdef");
    assert_time(1);
    close_ends();
}

static void test_peek_and_dontwait(void)
{
    char buf[8] = "";

    open_sockets(SOCK_STREAM);
    assert_errno(EAGAIN, cress_recv(ends[0], buf, 6, MSG_DONTWAIT));
    spawn(send_in_pieces, NULL);
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_PEEK), 3);
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_PEEK | MSG_WAITALL), 3);
    assert_int_equal(cress_recv(ends[0], buf, 6, MSG_DONTWAIT), 3);
    assert_string_equal(buf, "abc");
    assert_errno(EAGAIN, cress_recv(ends[0], buf, 6, MSG_DONTWAIT));
    assert_ok(cress_sleep(2));

    ssize_t sent = cress_send(ends[0], big, BIG, MSG_DONTWAIT);

    assert_true(sent > 0 && sent < BIG);
    while (sent > 0)
        sent = cress_send(ends[0], big, BIG, MSG_DONTWAIT);
    assert_errno(EAGAIN, cress_send(ends[0], big, BIG, MSG_DONTWAIT));
    close_ends();
}

static void test_datagrams_keep_their_borders(void)
{
    char buf[8];

    open_sockets(SOCK_DGRAM);
    assert_int_equal(cress_send(ends[1], "abc", 3, 0), 3);
    assert_int_equal(cress_send(ends[1], "", 0, 0), 0);
    assert_int_equal(cress_send(ends[1], "defg", 4, 0), 4);
    assert_int_equal(cress_recv(ends[0], buf, 8, MSG_WAITALL), 3);
    assert_int_equal(cress_recv(ends[0], buf, 8, 0), 0);
    assert_int_equal(cress_read(ends[0], buf, 8), 4);
    close_ends();
}

static void *receive_datagrams(void *arg)
{
    char buf[8];

    assert_ok(cress_sleep(1));
    for (int i = 0; i < *(int *)arg; i++)
        assert_int_equal(cress_recv(ends[0], buf, 8, 0), 1);
    return NULL;
}

/* Such a socket is always writable by itself: it is the receiver that is full. */
static void test_full_datagram_receiver_named_by_each_call(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t len = sizeof address;
    int count = 100;

    ends[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
    ends[1] = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_ok(bind(ends[0], (struct sockaddr *)&address, sizeof(sa_family_t)));
    assert_ok(getsockname(ends[0], (struct sockaddr *)&address, &len));

    cress_greenlet *receiver = cress_spawn(receive_datagrams, &count);
    struct iovec piece = { "x", 1 };
    struct msghdr message = {
        .msg_name = &address, .msg_namelen = len, .msg_iov = &piece, .msg_iovlen = 1
    };

    for (int i = 0; i < count; i++)
        assert_int_equal(cress_sendmsg(ends[1], &message, 0), 1);
    assert_true(cress_now() >= 1);
    assert_ok(cress_join(receiver, CRESS_FOREVER));
    cress_release(receiver);
    close_ends();
}

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void send_descriptor(int fd)
{
    union control control = { .bytes = "" };
    struct iovec piece = { "fd", 2 };
    struct msghdr message = { .msg_iov = &piece,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    assert_int_equal(cress_sendmsg(ends[1], &message, 0), 2);
}

static void test_descriptors_pass(void)
{
    union control control;
    char buf[8];
    struct iovec piece = { buf, sizeof buf };
    struct msghdr message = { .msg_iov = &piece,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof control };
    int fd;

    open_sockets(SOCK_STREAM);
    send_descriptor(ends[1]);
    assert_int_equal(cress_recvmsg(ends[0], &message, MSG_WAITALL), 2); /* it ends the wait */
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    assert_int_equal(cress_write(fd, "x", 1), 1);
    assert_int_equal(cress_read(ends[0], buf, 8), 1);
    assert_ok(cress_close(fd));
    close_ends();
}

/* ---- connections ------------------------------------------------------------------------------ */

static int listen_on(const struct sockaddr *address, socklen_t len, int backlog)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_ok(bind(fd, address, len));
    assert_ok(listen(fd, backlog));
    return fd;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;

    *address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    int fd = listen_on((struct sockaddr *)address, len, 16);

    assert_ok(getsockname(fd, (struct sockaddr *)address, &len));
    return fd;
}

static int listener;

static void *greet_one(void *arg)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int fd = cress_accept(listener, (struct sockaddr *)&peer, &len);

    assert_true(fd >= 0);
    assert_true(is_nonblocking(fd));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(peer.ss_family, *(sa_family_t *)arg);
    assert_int_equal(cress_write(fd, "welcome", 7), 7);
    assert_ok(cress_close(fd));
    return NULL;
}

static void check_connection(struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0);
    char buf[16] = "";

    spawn(greet_one, &address->sa_family);
    settle();
    assert_ok(cress_connect(fd, address, len));
    assert_true(is_nonblocking(fd));
    assert_int_equal(cress_recv(fd, buf, 15, MSG_WAITALL), 7);
    assert_string_equal(buf, "welcome");
    assert_ok(cress_close(fd));
    assert_ok(cress_close(listener));
}

static void test_tcp(void)
{
    struct sockaddr_in address;

    listener = listen_on_loopback(&address);
    check_connection((struct sockaddr *)&address, sizeof address);
}

static void test_unix(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t len = sizeof address;

    listener = listen_on((struct sockaddr *)&address, sizeof(sa_family_t), 16); /* autobind */
    assert_ok(getsockname(listener, (struct sockaddr *)&address, &len));
    check_connection((struct sockaddr *)&address, len);
}

static void test_connection_refused(void)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_ok(cress_close(listen_on_loopback(&address)));
    assert_errno(ECONNREFUSED, cress_connect(fd, (struct sockaddr *)&address, sizeof address));
    assert_ok(cress_close(fd));
}

static void *connect_to(void *arg)
{
    struct sockaddr_un *address = arg;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_ok(cress_connect(fd, (struct sockaddr *)address, len));
    trace("connected");
    assert_ok(cress_close(fd));
    return NULL;
}

static void test_full_unix_backlog(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t len = sizeof address;

    listener = listen_on((struct sockaddr *)&address, sizeof(sa_family_t), 0);
    assert_ok(getsockname(listener, (struct sockaddr *)&address, &len));
    for (int i = 0; i < 3; i++)
        spawn(connect_to, &address);
    assert_ok(cress_sleep(1));
    assert_trace("connected\n"); /* one fits */
    for (int i = 0; i < 3; i++)
        assert_ok(cress_close(cress_accept(listener, NULL, NULL)));
    assert_ok(cress_sleep(1));
    assert_trace("connected\nconnected\n");
    assert_ok(cress_close(listener));
}

static void *accept_nobody(void *arg)
{
    assert_errno(*(int *)arg, cress_accept(listener, NULL, NULL));
    trace("accepted nobody");
    return NULL;
}

static void test_accept_ends_with_its_listener(void)
{
    struct sockaddr_in address;
    int killed = ECANCELED, closed = EBADF;

    listener = listen_on_loopback(&address);

    cress_greenlet *g = cress_spawn(accept_nobody, &killed);

    spawn(accept_nobody, &closed);
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    cress_release(g);
    assert_trace("accepted nobody\n");
    assert_ok(cress_close(listener));
    settle();
    assert_trace("accepted nobody\n");
}

static void *say_hello(void *arg)
{
    trace("%s", (char *)arg);
    return NULL;
}

/* Whose descriptors are always ready never waits, yet lets others run. */
static void test_busy_one_takes_turns(void)
{
    int null = open("/dev/zero", O_RDWR | O_CLOEXEC);
    char buf[16];

    spawn(say_hello, "another");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(cress_read(null, buf, sizeof buf), sizeof buf);
        assert_int_equal(cress_write(null, buf, sizeof buf), sizeof buf);
    }
    assert_trace("another\n");
    assert_ok(cress_close(null));
}

/* ---- closing ------------------------------------------------------------------------------------ */

static void test_close_wakes_its_waiters(void)
{
    open_sockets(SOCK_STREAM);
    spawn(read_some, "a");
    spawn(read_some, "b");
    settle();
    assert_ok(cress_close(ends[0]));
    settle();
    assert_trace("a: -1  (9)\nb: -1  (9)\n");
    assert_ok(cress_close(ends[1]));
}

/* Yields until the hub has looked at the descriptors. */
static void wait_for_poll(void)
{
    cress_hub_stats before, now;

    cress_get_hub_stats(&before);
    do {
        assert_ok(cress_sleep(0));
        cress_get_hub_stats(&now);
    } while (now.polls == before.polls);
}

/* Woken by data, not run yet, and then the descriptor goes: the data of whatever
 * has the number now is none of its business. */
static void *send_a_byte_later(void *fd)
{
    assert_ok(cress_sleep(1));
    assert_int_equal(cress_send((int)(intptr_t)fd, "x", 1, 0), 1);
    return NULL;
}

/* A copy of a descriptor gets the number that the first one had, and another file in between. */
static void test_a_number_that_means_the_same_again(void)
{
    int number, peer, copy;

    open_sockets(SOCK_STREAM);
    number = ends[0];
    peer = ends[1];
    copy = dup(number);
    while (send(number, big, BIG, MSG_DONTWAIT) > 0)
        ;
    assert_errno(ETIMEDOUT, cress_wait_fd(number, POLLOUT, 1));
    assert_ok(cress_close(number));
    open_sockets(SOCK_STREAM);
    assert_int_equal(ends[0], number);
    assert_errno(ETIMEDOUT, cress_wait_fd(number, POLLIN, 1));
    close_ends();
    assert_int_equal(dup2(copy, number), number);
    spawn(send_a_byte_later, (void *)(intptr_t)peer);
    assert_int_equal(cress_wait_fd(number, POLLIN, 2), POLLIN);
    assert_ok(cress_close(number));
    assert_ok(cress_close(copy));
    assert_ok(cress_close(peer));
}

static void test_close_between_wake_and_run(void)
{
    int fresh[2];

    open_pipe(0);

    int read_end = ends[0];

    spawn(read_some, "a");
    settle();
    assert_int_equal(write(ends[1], "old", 3), 3);
    wait_for_poll(); /* a has been woken and stands behind us in the ready queue */
    assert_ok(cress_close(read_end));
    assert_ok(pipe(fresh));
    assert_int_equal(fresh[0], read_end);
    assert_int_equal(write(fresh[1], "new", 3), 3);
    settle();
    assert_ok(cress_close(ends[1]));
    ends[0] = fresh[0], ends[1] = fresh[1];
    read_some("b");
    close_ends();
    assert_trace("a: -1  (9)\nb: 3 new (0)\n");
}

static void test_high_number(void)
{
    int high;

    open_sockets(SOCK_STREAM);
    high = fcntl(ends[0], F_DUPFD, 700);
    assert_true(high >= 700);
    assert_ok(cress_close(ends[0]));
    ends[0] = high;
    spawn(read_some, "a");
    settle();
    assert_int_equal(cress_write(ends[1], "hello", 5), 5);
    assert_ok(cress_sleep(0.01));
    assert_trace("a: 5 hello (0)\n");
    close_ends();
}

static void test_number_is_used_again(void)
{
    int first = -1;

    for (int i = 0; i < 50; i++) {
        open_sockets(SOCK_STREAM);
        if (first < 0)
            first = ends[0];
        assert_int_equal(ends[0], first);
        spawn(read_some, i % 2 ? "odd" : "even");
        settle();
        assert_trace("");
        assert_int_equal(cress_write(ends[1], "x", 1), 1);
        assert_ok(cress_sleep(0.01));
        assert_trace(i % 2 ? "odd: 1 x (0)\n" : "even: 1 x (0)\n");
        close_ends();
    }
}

static int prepare(void **state)
{
    (void)state;
    fill_big();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_read_from_a_socket),
        HUB_TEST(test_read_from_a_pipe),
        HUB_TEST(test_read_from_a_nonblocking_pipe),
        HUB_TEST(test_read_is_killed),
        HUB_TEST(test_read_is_limited),
        HUB_TEST(test_scattered_and_gathered),
        HUB_TEST(test_nothing_to_transfer),
        HUB_TEST(test_bad_arguments),
        cmocka_unit_test(test_outside_a_hub),
        HUB_TEST(test_regular_file),
        HUB_TEST(test_big_write_to_a_socket),
        HUB_TEST(test_big_write_to_a_pipe),
        HUB_TEST(test_partial_count_when_killed),
        HUB_TEST(test_partial_count_at_a_limit),
        HUB_TEST(test_partial_count_when_the_reader_leaves),
        HUB_TEST(test_waitall),
        HUB_TEST(test_waitall_is_limited),
        HUB_TEST(test_waitall_into_pieces),
        HUB_TEST(test_peek_and_dontwait),
        HUB_TEST(test_datagrams_keep_their_borders),
        HUB_TEST(test_full_datagram_receiver_named_by_each_call),
        HUB_TEST(test_descriptors_pass),
        HUB_TEST(test_tcp),
        HUB_TEST(test_unix),
        HUB_TEST(test_connection_refused),
        HUB_TEST(test_full_unix_backlog),
        HUB_TEST(test_accept_ends_with_its_listener),
        HUB_TEST(test_busy_one_takes_turns),
        HUB_TEST(test_close_wakes_its_waiters),
        HUB_TEST(test_a_number_that_means_the_same_again),
        HUB_TEST(test_close_between_wake_and_run),
        HUB_TEST(test_high_number),
        HUB_TEST(test_number_is_used_again),
    };

    return cmocka_run_group_tests(tests, prepare, NULL);
}
