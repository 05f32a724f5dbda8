/* A client as bare as the floor: it lets a server show what it can do.
 *
 * wrk opens its connections inside the time that it measures, resumes TLS sessions, and
 * is busy at some 130,000 answers a second. This one opens all connections first, shakes
 * hands in full each time, and parses nothing: it is told how long an answer is, and looks at
 * the first digit of its status.
 *
 *     drive PORT CONNECTIONS SECONDS REQUEST_FILE RESPONSE_SIZE [close] [tls]
 *
 * Each connection sends the file's bytes, waits for as many as RESPONSE_SIZE and begins again,
 * with `close` on a new connection. When each has had one answer it prints `ready`, and
 * they go on all together; a line on stdin begins the time that is counted. At its end come `name=value` lines,
 * the last of them `done`; the connections stay open until stdin ends.
 */
#define _GNU_SOURCE /* clock_gettime beside C11 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    READ_SIZE = 65536,
    REQUEST_MAX = 65536,
    AT_ONCE = 128,   /* connections that may wait for their first answer */
    PATIENCE = 60,   /* seconds, for all to have had one */
    STATUS_DIGIT = 9 /* in "HTTP/1.1 200" */
};

struct connection {
    int fd;
    SSL *tls;
    bool asked, greeted;
    size_t received;
};

static struct {
    struct sockaddr_in address;
    char request[REQUEST_MAX];
    size_t request_size, response_size;
    bool close;
    SSL_CTX *tls;
    int epoll;
    struct connection *connections;
    size_t total, opened, greeted;
    double start;
} drive = { .address = { .sin_family = AF_INET } };

static struct {
    bool on;
    double seconds, start, cpu_start;
    uint64_t answers, bad_status, lost;
} count;

static void die(const char *what)
{
    fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double clock_now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- one connection ------------------------------------------------------------- */

static void open_connection(struct connection *c)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&drive.address, sizeof drive.address) < 0 &&
        errno != EINPROGRESS)
        die("connect");
    if (epoll_ctl(drive.epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    c->asked = false;
    c->received = 0;
    if (!drive.tls)
        return;
    c->tls = SSL_new(drive.tls);
    if (!c->tls || SSL_set_fd(c->tls, c->fd) != 1)
        die("SSL_new");
    SSL_set_connect_state(c->tls);
}

static void close_connection(struct connection *c)
{
    SSL_free(c->tls);
    c->tls = NULL;
    ERR_clear_error();
    close(c->fd);
    c->asked = false;
}

static void lose(struct connection *c)
{
    if (drive.greeted < drive.total)
        die("a connection failed before all had an answer");
    count.lost++;
    close_connection(c);
    open_connection(c);
}

/* As recv and send; -1 with EAGAIN: later. */
static ssize_t tls_result(const struct connection *c, int result)
{
    if (result > 0)
        return result;
    int why = SSL_get_error(c->tls, result);

    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t receive(struct connection *c, char *buf, size_t size)
{
    return c->tls ? tls_result(c, SSL_read(c->tls, buf, (int)size)) : recv(c->fd, buf, size, 0);
}

/* False: not yet, or the connection was lost and another one is on its way. */
static bool ask(struct connection *c)
{
    size_t size = drive.request_size;
    ssize_t sent = c->tls ? tls_result(c, SSL_write(c->tls, drive.request, (int)size))
                          : send(c->fd, drive.request, size, MSG_NOSIGNAL);

    c->asked = sent == (ssize_t)size;
    if (!c->asked && (sent >= 0 || errno != EAGAIN))
        lose(c);
    return c->asked;
}

static void open_more(void)
{
    while (drive.opened < drive.total && drive.opened - drive.greeted < AT_ONCE)
        open_connection(&drive.connections[drive.opened++]);
}

static void go_on(struct connection *c)
{
    if (drive.close)
        open_connection(c);
    else
        ask(c);
}

/* The first answers come a few at a time, while nobody else asks. */
static void greet(struct connection *c)
{
    c->greeted = true;
    drive.greeted++;
    open_more();
    if (drive.greeted < drive.total)
        return;
    puts("ready");
    fflush(stdout);
    for (size_t i = 0; i < drive.total; i++)
        go_on(&drive.connections[i]);
}

/* A whole answer has come. */
static void answered(struct connection *c)
{
    c->received = 0;
    if (drive.close)
        close_connection(c);
    if (c->greeted) {
        count.answers++;
        go_on(c);
    } else {
        greet(c);
    }
}

/* Takes what has come; false when there is no more for now. */
static bool read_some(struct connection *c)
{
    static char input[READ_SIZE];
    ssize_t received = receive(c, input, sizeof input);

    if (received < 0 && errno == EAGAIN)
        return false;
    if (received <= 0) {
        lose(c);
        return false;
    }
    if (c->received == 0 && received > STATUS_DIGIT && input[STATUS_DIGIT] != '2')
        count.bad_status++;
    c->received += (size_t)received;
    if (c->received > drive.response_size) {
        fprintf(stderr, "drive: an answer is longer than %zu bytes\n", drive.response_size);
        exit(1);
    }
    if (c->received == drive.response_size)
        answered(c);
    /* Edge-triggered: a short read has emptied the socket, but a record hides others. */
    return c->asked && (c->tls || received == READ_SIZE);
}

static void on_event(struct connection *c)
{
    if (!c->asked && !ask(c))
        return;
    while (read_some(c))
        continue;
}

/* ---- all of them ---------------------------------------------------------------- */

static void begin_count(void)
{
    char line[16];

    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        exit(1); /* nobody wants to know any more */
    count.on = true;
    count.answers = count.bad_status = count.lost = 0;
    count.start = clock_now(CLOCK_MONOTONIC);
    count.cpu_start = clock_now(CLOCK_PROCESS_CPUTIME_ID);
}

static void give_up(void)
{
    fprintf(stderr, "%zu of %zu connections had an answer within %d s\n", drive.greeted,
            drive.total, PATIENCE);
    exit(1);
}

/* False: the time is over. */
static bool turn(void)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(drive.epoll, events, EVENTS, count.on ? 10 : 1000);

    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            on_event(events[i].data.ptr);
        else
            begin_count();
    }
    double now = clock_now(CLOCK_MONOTONIC);
    if (drive.greeted < drive.total && now > drive.start + PATIENCE)
        give_up();
    return !count.on || now < count.start + count.seconds;
}

static void report(void)
{
    double cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID) - count.cpu_start;

    printf("requests=%ju\nmicroseconds=%.0f\nclient_microseconds=%.0f\n", (uintmax_t)count.answers,
           (clock_now(CLOCK_MONOTONIC) - count.start) * 1e6, cpu * 1e6);
    printf("error_status=%ju\nerror_read=%ju\ndone\n", (uintmax_t)count.bad_status,
           (uintmax_t)count.lost);
    fflush(stdout);
}

static void read_request(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (!file)
        die(path);
    drive.request_size = fread(drive.request, 1, sizeof drive.request, file);
    if (drive.request_size == 0 || drive.request_size == sizeof drive.request)
        die("an empty request, or one that is too long");
    fclose(file);
}

static void prepare_tls(void)
{
    drive.tls = SSL_CTX_new(TLS_client_method());
    if (!drive.tls || SSL_CTX_set_min_proto_version(drive.tls, TLS1_3_VERSION) != 1)
        die("SSL_CTX_new");
    SSL_CTX_set_read_ahead(drive.tls, 1);
    SSL_CTX_set_session_cache_mode(drive.tls, SSL_SESS_CACHE_OFF);
}

static void prepare(void)
{
    struct epoll_event event = { .events = EPOLLIN };

    drive.start = clock_now(CLOCK_MONOTONIC);
    drive.connections = calloc(drive.total, sizeof *drive.connections);
    drive.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!drive.connections || drive.epoll < 0 ||
        epoll_ctl(drive.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        die("prepare");
}

static bool parse(int argc, char *argv[])
{
    if (argc < 6)
        return false;
    drive.address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    drive.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    drive.total = strtoul(argv[2], NULL, 10);
    count.seconds = strtod(argv[3], NULL);
    read_request(argv[4]);
    drive.response_size = strtoul(argv[5], NULL, 10);
    for (int i = 6; i < argc; i++) {
        if (strcmp(argv[i], "close") == 0)
            drive.close = true;
        else if (strcmp(argv[i], "tls") == 0)
            prepare_tls();
        else
            return false;
    }
    return drive.total > 0 && count.seconds > 0 && drive.response_size > 0;
}

int main(int argc, char *argv[])
{
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: %s PORT CONNECTIONS SECONDS REQUEST_FILE RESPONSE_SIZE [close] [tls]\n",
                argv[0]);
        return 2;
    }
    prepare();
    open_more();
    while (turn())
        continue;
    report();
    return getchar() == EOF ? 0 : 1;
}
