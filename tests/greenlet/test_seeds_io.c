/* Green I/O under simulation, with faults: bytes arrive once and in order, whatever is
 * cut, interrupted, killed or closed; after a reset what arrived is a beginning. */
#include "seeds.h"

#include <cress/io.h>
#include <cress/stream.h>
#include <cress/timeout.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAIRS = 3, MOST = 3000, PIECES = 4 };

struct pair {
    int in, out; /* read from; written to */
    size_t total, sent, received;
    bool is_pipe, resets;
};
static struct pair pairs[PAIRS];

static char byte_at(size_t offset)
{
    return (char)(offset * 31 + offset / 256);
}

static void fill(char *buf, size_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = byte_at(offset + i);
}

static void check_bytes(const char *buf, size_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        check(buf[i] == byte_at(offset + i));
}

static ssize_t write_some(struct pair *pair, char *buf, size_t len)
{
    struct iovec iov[PIECES];
    size_t done = 0;

    switch (pick(pair->is_pipe ? 2 : 3)) {
    case 0:
        return cress_write(pair->out, buf, len);
    case 2:
        return cress_send(pair->out, buf, len, 0);
    default:
        for (int i = 0; i < PIECES; i++) {
            size_t piece = i == PIECES - 1 ? len - done : pick((unsigned)(len - done) + 1);
            iov[i] = (struct iovec){ buf + done, piece };
            done += piece;
        }
        return cress_writev(pair->out, iov, PIECES);
    }
}

static void *write_all(void *arg)
{
    struct pair *pair = arg;
    char buf[MOST];

    while (pair->sent < pair->total) {
        size_t left = pair->total - pair->sent, len = 1 + pick((unsigned)left);
        fill(buf, pair->sent, len);
        ssize_t count = write_some(pair, buf, len);
        if (count < 0) {
            check(errno == ECANCELED || (pair->resets && (errno == EPIPE || errno == ECONNRESET)));
            break;
        }
        pair->sent += (size_t)count;
        check((size_t)count == len || pair->resets || cress_check() < 0);
    }
    check(cress_close(pair->out) == 0);
    return NULL;
}

static ssize_t read_some(struct pair *pair, char *buf, size_t len)
{
    struct iovec iov[2] = { { buf, len / 2 }, { buf + len / 2, len - len / 2 } };

    switch (pick(pair->is_pipe ? 3 : 4)) {
    case 0:
        return cress_read(pair->in, buf, len);
    case 1:
        if (cress_wait_fd(pair->in, POLLIN, CRESS_FOREVER) < 0)
            return -1;
        return cress_read(pair->in, buf, len);
    case 2:
        return cress_readv(pair->in, iov, 2);
    default:
        return cress_recv(pair->in, buf, len, MSG_WAITALL);
    }
}

static void *read_all(void *arg)
{
    struct pair *pair = arg;
    char buf[MOST];

    for (;;) {
        size_t len = pick_between(1, MOST);
        ssize_t count = read_some(pair, buf, len);
        if (count < 0)
            check(errno == ECANCELED || (pair->resets && errno == ECONNRESET));
        if (count <= 0)
            break;
        check_bytes(buf, pair->received, (size_t)count);
        pair->received += (size_t)count;
        if (coin() && cress_sleep(pick_span()) < 0)
            break;
    }
    check(cress_close(pair->in) == 0);
    return NULL;
}

static void open_pair(struct pair *pair, bool resets)
{
    int fds[2], small = 2048;

    check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    check(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    *pair = (struct pair){ .in = fds[0], .out = fds[1], .total = pick(MOST), .resets = resets };
}

static void transfer(bool resets)
{
    struct crowd crowd = { .count = 0 };
    unsigned count = pick_between(1, PAIRS);

    for (unsigned i = 0; i < count; i++) {
        open_pair(&pairs[i], resets);
        crowd_spawn(&crowd, write_all, &pairs[i]);
        crowd_spawn(&crowd, read_all, &pairs[i]);
    }
    crowd_join(&crowd);
    for (unsigned i = 0; i < count; i++) {
        check(pairs[i].received <= pairs[i].total);
        if (!resets)
            check(pairs[i].sent == pairs[i].total && pairs[i].received == pairs[i].total);
    }
}

static void sockets(void)
{
    transfer(false);
}

static void resets(void)
{
    transfer(true);
}

/* Readers only are killed before their time: a writer then meets EPIPE. */
static void *write_to_leaver(void *arg)
{
    struct pair *pair = arg;

    pair->resets = true;
    return write_all(arg);
}

/* One that never ran has closed nothing. */
static void close_left(cress_greenlet *g, void *arg)
{
    struct pair *pair = arg;

    if (cress_was_killed(g) && pair->received == 0)
        cress_close(pair->in);
}

static void *read_until_killed(void *arg)
{
    struct pair *pair = arg;
    char buf[MOST];

    while (read_some(pair, buf, pick_between(1, MOST)) > 0)
        continue;
    return NULL;
}

static void kills(void)
{
    struct crowd crowd = { .count = 0 };

    open_pair(&pairs[0], true);
    crowd_spawn(&crowd, write_to_leaver, &pairs[0]);

    cress_greenlet *reader = cress_spawn(read_until_killed, &pairs[0]);

    check(reader && cress_link(reader, close_left, &pairs[0]) == 0);
    check(cress_sleep(pick_span()) == 0);
    check(cress_kill(reader, 86400) == 0);
    if (!cress_was_killed(reader) || pairs[0].received > 0)
        check(cress_close(pairs[0].in) == 0);
    cress_release(reader);
    crowd_join(&crowd);
}

/* ---- pipes ---------------------------------------------------------------------------- */

static void pipes(void)
{
    struct crowd crowd = { .count = 0 };
    int fds[2];

    check(pipe(fds) == 0);
    pairs[0] = (struct pair){ .in = fds[0], .out = fds[1], .total = pick(MOST), .is_pipe = true };
    crowd_spawn(&crowd, write_all, &pairs[0]);
    crowd_spawn(&crowd, read_all, &pairs[0]);
    crowd_join(&crowd);
    check(pairs[0].received == pairs[0].total);
}

/* ---- closing what others wait for -------------------------------------------------------- */

static bool readable; /* for one of them */

static void *wait_on(void *arg)
{
    char c;
    int fd = *(int *)arg, result;

    switch (pick(3)) {
    case 0:
        result = (int)cress_recv(fd, &c, 1, 0);
        break;
    case 1:
        result = cress_wait_fd(fd, POLLIN, CRESS_FOREVER);
        break;
    default: {
        struct pollfd poll = { .fd = fd, .events = POLLIN };
        check(cress_poll(&poll, 1, CRESS_FOREVER) == 1);
        check(poll.revents == POLLNVAL || (readable && poll.revents == POLLIN));
        return NULL;
    }
    }
    check((result < 0 && errno == EBADF) || (readable && result == 1));
    return NULL;
}

static void closes(void)
{
    struct crowd crowd = { .count = 0 };
    int fds[2], later[2];

    check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (unsigned i = pick_between(1, 5); i > 0; i--)
        crowd.members[crowd.count++] = cress_spawn(wait_on, &fds[0]);
    check(cress_sleep(1) == 0);
    readable = coin();
    if (readable)
        check(write(fds[1], "x", 1) == 1);
    for (unsigned i = pick(4); i > 0; i--)
        check(cress_sleep(0) == 0); /* who is told of the byte need not run before the close */
    check(cress_close(fds[0]) == 0);
    if (coin()) { /* the number comes to mean something else */
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, later) == 0);
        crowd_join(&crowd);
        check(close(later[0]) == 0 && close(later[1]) == 0);
    }
    crowd_join(&crowd);
    check(close(fds[1]) == 0);
}

/* ---- an echo server ------------------------------------------------------------------------ */

static int listener;
static struct sockaddr_un address;

static void *echo(void *arg)
{
    cress_socket_stream stream;
    char buf[512];
    ssize_t count;

    cress_socket_stream_init(&stream, (int)(intptr_t)arg, NULL);
    while ((count = cress_stream_read(&stream.stream, buf, sizeof buf, 0)) > 0)
        if (cress_stream_write_all(&stream.stream, buf, (size_t)count) < 0)
            break;
    cress_stream_close(&stream.stream);
    return NULL;
}

static void *serve(void *unused)
{
    int fd;

    (void)unused;
    while ((fd = cress_accept(listener, NULL, NULL)) >= 0) {
        cress_greenlet *g = cress_spawn(echo, (void *)(intptr_t)fd);
        check(g);
        cress_release(g);
    }
    check(errno == EBADF);
    return NULL;
}

static void *ask(void *unused)
{
    char sent[MOST], got[MOST];
    size_t len = pick_between(1, MOST), received = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)unused;
    check(fd >= 0 && cress_connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    fill(sent, 0, len);
    check(cress_send(fd, sent, len, 0) == (ssize_t)len);
    check(shutdown(fd, SHUT_WR) == 0);
    for (ssize_t count; (count = cress_recv(fd, got + received, MOST - received, 0)) > 0;)
        received += (size_t)count;
    check(received == len);
    check_bytes(got, 0, len);
    check(cress_close(fd) == 0);
    return NULL;
}

static void server(void)
{
    struct crowd crowd = { .count = 0 };

    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "cress-seeds-%ld", (long)getpid());
    check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    check(listen(listener, 2) == 0);

    cress_greenlet *main = cress_spawn(serve, NULL);

    for (unsigned i = pick_between(1, 5); i > 0; i--)
        crowd_spawn(&crowd, ask, NULL);
    crowd_join(&crowd);
    check(cress_close(listener) == 0);
    check(cress_join(main, 86400) == 0);
    cress_release(main);
    check(cress_sleep(1) == 0); /* the last echo closes */
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "sockets", sockets, 0.2, 0 }, { "resets", resets, 0.2, 0.02 },
        { "kills", kills, 0.2, 0 },     { "pipes", pipes, 0.2, 0 },
        { "closes", closes, 0.3, 0 },   { "server", server, 0.2, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
