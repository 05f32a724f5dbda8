/* A connection: one greenlet that reads requests and calls the application.
 *
 * Between requests, with nothing buffered, the greenlet rests: its stack and its
 * exchange are given back and what stays is this record. Its descriptor remains
 * registered, so that a keep-alive request costs one recv and one send and no epoll_ctl.
 *
 * While the application waits, the hub watches the socket: what the client sends is
 * read ahead up to a bound, and a client that leaves cancels the application's waits.
 * Output that was collected goes to the kernel whenever the greenlet parks.
 *
 * Over TLS the greenlet rests between the steps of the handshake too. Two things are
 * different from then on: bytes may have been decrypted that no descriptor tells of
 * (cress_stream_pending), so there is no rest before they are read; and a connection that ends
 * well says goodbye.
 */
#define _GNU_SOURCE /* POLLRDHUP */

#include "worker.h"

#include <cress/stream.h>
#include <cress/tls.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h> /* glibc's tcp_info ends before tcpi_bytes_acked */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum connection_state {
    CONNECTION_NEW,     /* has not run yet */
    CONNECTION_RESTS,   /* or was woken and is about to run */
    CONNECTION_BUSY,    /* runs, or waits for the server's own reasons */
    CONNECTION_HANDLES, /* the application has it */
    CONNECTION_LEAVES,  /* runs, or waits for its client, for the last time */
};

/* How long a client may go on sending behind a refusal, and how long it may pause. */
static const cress_seconds LINGER_TIME = 30.0, LINGER_PAUSE = 2.0;

enum { PROGRESS = 4 << 10 }; /* bytes that a stalled client must have moved to count as alive */

struct tls {
    cress_tls_stream stream;
    cress_http1_tls facts;
};

struct connection {
    cress_socket_stream socket;
    cress_http1 http;
    cress_greenlet *greenlet; /* borrowed: it runs as long as this is there */
    struct worker *worker;
    struct connection *previous, *next;
    struct expiry_node expiry;
    uint64_t progress; /* when it joined the stalled ones */
    cress_http1_peer peer;
    char address[INET6_ADDRSTRLEN], port[6];
    uint8_t state;    /* enum connection_state */
    bool late;        /* the list that it was in has let it expire */
    bool agreed;      /* the TLS handshake is done */
    bool evicted;     /* others need its place */
    struct tls tls[]; /* one, if the worker has a context */
};

/* ---- whom it is with -------------------------------------------------------------- */

static size_t write_number(char *at, unsigned number)
{
    char digits[8];
    size_t len = 0;

    do
        digits[len++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    for (size_t i = 0; i < len; i++)
        at[i] = digits[len - 1 - i];
    return len;
}

/* inet_ntop goes through sprintf: a third of a connection's set-up. */
static size_t write_ipv4(char *at, struct in_addr in)
{
    const uint8_t *bytes = (const uint8_t *)&in;
    char *start = at;

    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        at += write_number(at, bytes[i]);
    }
    *at = '\0';
    return (size_t)(at - start);
}

static cress_str write_port(struct connection *conn, in_port_t port)
{
    size_t len = write_number(conn->port, ntohs(port));

    conn->port[len] = '\0';
    return (cress_str){ conn->port, len };
}

static cress_str str_of(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

static void name_peer(struct connection *conn, const struct listener *l,
                      const struct sockaddr *peer)
{
    conn->peer = (cress_http1_peer){ .remote_addr = CRESS_STR(""),
                                     .remote_port = CRESS_STR(""),
                                     .server_name = str_of(l->server_name),
                                     .server_port = str_of(l->server_port) };
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)peer;
        size_t len = write_ipv4(conn->address, in->sin_addr);
        conn->peer.remote_addr = (cress_str){ conn->address, len };
        conn->peer.remote_port = write_port(conn, in->sin_port);
    } else if (peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)peer;
        inet_ntop(AF_INET6, &in6->sin6_addr, conn->address, sizeof conn->address);
        conn->peer.remote_addr = str_of(conn->address);
        conn->peer.remote_port = write_port(conn, in6->sin6_port);
    }
}

/* ---- hooks -------------------------------------------------------------------------- */

static void describe(void *arg, char *buf, size_t size)
{
    struct connection *conn = arg;

    cress_http1_describe(&conn->http, buf, size);
}

static bool awaits_client(const struct connection *conn)
{
    return conn->state == CONNECTION_LEAVES || cress_http1_awaits_client(&conn->http);
}

/* What went to and fro. A waiting writer is woken only when much of what the kernel holds has left,
 * so the kernel is asked what the client has really taken. */
static uint64_t measure_progress(const struct connection *conn)
{
    struct tcp_info info = { .tcpi_state = 0 };
    socklen_t len = sizeof info;

    if (getsockopt(cress_watch_fd(&conn->socket.watch), IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return cress_http1_progress(&conn->http);
    return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

/* A client that has to be waited for again and again is slow all the time, unless it has
 * got something done in between. */
static void note_stall(struct connection *conn)
{
    struct expiry *stalled = &conn->worker->stalled;

    if (!awaits_client(conn)) {
        if (conn->expiry.list == stalled)
            expiry_remove(&conn->expiry);
        return;
    }
    uint64_t progress = measure_progress(conn);
    if (conn->expiry.list == stalled && progress - conn->progress < PROGRESS)
        return;
    conn->progress = progress;
    expiry_add(stalled, &conn->expiry);
}

static void before_wait(void *arg)
{
    struct connection *conn = arg;

    if (conn->state == CONNECTION_HANDLES) {
        cress_http1_push(&conn->http);
        cress_watch_start(&conn->socket.watch); /* there may be room again */
    }
    note_stall(conn);
}

static const cress_greenlet_hooks hooks = { .describe = describe, .before_wait = before_wait };

/* The client has sent something, or left, while the greenlet is not waiting for it. */
static void on_idle(cress_watch *watch)
{
    struct connection *conn =
        (struct connection *)(void *)((char *)watch - offsetof(struct connection, socket.watch));

    if (conn->state <= CONNECTION_RESTS)
        return; /* it was woken for this and has not run yet */
    if (conn->state != CONNECTION_HANDLES) {
        cress_watch_stop(watch);
        return;
    }
    int more = cress_http1_pull(&conn->http);
    if (more > 0 && conn->agreed && cress_stream_pending(conn->http.stream))
        more = cress_http1_pull(&conn->http); /* the end was seen behind what came */
    if (more <= 0)
        cress_watch_stop(watch); /* until the handler waits again */
    if (more == 0 && !conn->expiry.list)
        expiry_add(&conn->worker->full, &conn->expiry);
    if (more < 0 && cress_http1_cancels(&conn->http))
        cress_cancel(conn->greenlet);
}

/* ---- serving --------------------------------------------------------------------------- */

static int call_application(struct connection *conn)
{
    cress_application *application = &conn->worker->application;

    errno = 0;
    return application->app(cress_http1_environ(&conn->http), cress_http1_response(&conn->http),
                            application->self);
}

static void write_lines(struct connection *conn, const char *misuse)
{
    struct worker *worker = conn->worker;
    cress_http1_log entry;

    cress_http1_get_log(&conn->http, &entry);
    if (conn->http.refused)
        cress_log(CRESS_LOG_INFO, "%s from %s was refused: %s (%d)",
                  entry.status < 400 ? "the rest of a request" : "a request",
                  conn->peer.remote_addr.len ? conn->peer.remote_addr.data : "a unix socket",
                  cress_http1_refusal(&conn->http), entry.status);
    if (misuse)
        cress_log(CRESS_LOG_ERROR, "%s: %s (%s %s)", worker->config->app_name, misuse,
                  entry.method.data, entry.target.data);
    if (worker->access_log)
        access_log_write(worker->access_log, conn->peer.remote_addr, &entry);
}

static void write_logs(struct connection *conn, const char *misuse)
{
    if (misuse || conn->http.refused || conn->worker->access_log)
        write_lines(conn, misuse);
}

/* [waits] The application's turn, under the request's limit. */
static void handle(struct connection *conn)
{
    struct worker *worker = conn->worker;
    cress_timeout limit;

    cress_timeout_start(&limit, worker->config->request_timeout);
    conn->http.limit = &limit;
    conn->state = CONNECTION_HANDLES;
    if (worker->draining)
        cress_http1_stop(&conn->http);
    int admitted = admission_enter(&worker->admission);
    int result = admitted < 0 ? -1 : call_application(conn);
    int error = errno;
    conn->state = CONNECTION_BUSY;
    expiry_remove(&conn->expiry);
    cress_timeout_close(&limit);
    if (admitted == 0)
        admission_leave(&worker->admission);
    const char *misuse = NULL;
    if (admitted < 0 && error != ECANCELED)
        cress_http1_refuse(&conn->http, 503, worker->config->retry_after);
    else
        misuse = cress_http1_finish(&conn->http, result, error);
    conn->http.limit = NULL;
    write_logs(conn, misuse);
}

/* [waits] So that a client which is still sending reads the answer before the reset
 * that closing on unread input would send: most look for it only when all is sent. */
static void linger(struct connection *conn)
{
    char sink[4096];
    cress_seconds end = cress_now() + LINGER_TIME;
    cress_timeout limit;

    cress_timeout_start_shielded(&limit, LINGER_PAUSE);
    if (cress_stream_shutdown(conn->http.stream) == 0)
        while (!conn->worker->quick && cress_now() < end &&
               cress_stream_read(conn->http.stream, sink, sizeof sink, 0) > 0)
            limit.deadline = cress_now() + LINGER_PAUSE;
    cress_timeout_close(&limit);
}

/* [waits] Until the client has taken what is still on its way; a server that stops at once
 * does not wait for that. */
static bool await_slow_client(struct connection *conn)
{
    cress_timeout limit;

    if (cress_stream_writev(conn->http.stream, NULL, 0, CRESS_STREAM_DONTWAIT) == 0)
        return true; /* also of one that was cancelled */
    cress_timeout_start(&limit, conn->worker->config->write_timeout);
    bool is_taken = cress_stream_writev(conn->http.stream, NULL, 0, 0) == 0;
    cress_timeout_close(&limit);
    return is_taken;
}

/* [waits] Without a goodbye the client would take the last answer for a part of one. What a
 * slow client has not taken yet goes first. One that said goodbye itself may wait for ours. */
static void say_goodbye(struct connection *conn)
{
    if (conn->http.gone || await_slow_client(conn))
        cress_stream_shutdown(conn->http.stream); /* 2 s at most, whatever comes */
}

static bool is_hurried(const struct connection *conn)
{
    return conn->worker->quick || conn->evicted;
}

/* [waits] Whatever the client is still to see. */
static void take_leave(struct connection *conn)
{
    if (is_hurried(conn))
        return;
    conn->state = CONNECTION_LEAVES;
    if (conn->agreed && !conn->http.reset)
        say_goodbye(conn);
    if (conn->http.linger && !conn->http.gone && !is_hurried(conn))
        linger(conn);
}

static void close_connection(struct connection *conn)
{
    struct worker *worker = conn->worker;

    take_leave(conn);
    if (conn->http.reset)
        setsockopt(cress_watch_fd(&conn->socket.watch), SOL_SOCKET, SO_LINGER,
                   &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    cress_http1_destroy(&conn->http);
    cress_stream_close(worker->tls ? &conn->tls->stream.stream : &conn->socket.stream);
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        worker->connections = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    worker->open--;
    cress_event_set(&worker->closed);
    expiry_remove(&conn->expiry);
    cress_set_hooks(conn->greenlet, NULL, NULL);
    free(conn);
}

/* No whole request is there: false, if there is no point in waiting for one. */
static bool await_request(struct connection *conn)
{
    struct worker *worker = conn->worker;
    bool idle = cress_http1_idle(&conn->http);

    if (cress_check() < 0 || (idle && (conn->late || worker->draining)))
        return false;
    if (conn->late) {
        cress_http1_refuse(&conn->http, 408, -1);
        return false;
    }
    struct expiry *list = idle && conn->http.requests ? &worker->idle : &worker->heads;
    if (conn->expiry.list != list)
        expiry_add(list, &conn->expiry);
    conn->state = CONNECTION_RESTS;
    return true;
}

/* ---- TLS ------------------------------------------------------------------------------ */

/* To who took the port for one that speaks plain HTTP. */
static void answer_plain_request(struct connection *conn)
{
    static char answer[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                           "Content-Type: text/plain\r\n\r\n"
                           "400 A plain HTTP request was sent to a port that speaks HTTPS\n";
    struct iovec iov = { answer, sizeof answer - 1 };
    cress_http1_log entry = { .status = 400, .minor = 1 };

    conn->http.stream = &conn->socket.stream;
    conn->http.linger = cress_stream_writev(conn->http.stream, &iov, 1, CRESS_STREAM_DONTWAIT) > 0;
    if (conn->worker->access_log)
        access_log_write(conn->worker->access_log, conn->peer.remote_addr, &entry);
}

static void note_agreement(struct connection *conn)
{
    const cress_tls_stream *stream = &conn->tls->stream;
    const char *name = cress_tls_server_name(stream);

    conn->agreed = true;
    conn->late = conn->evicted = false;
    expiry_remove(&conn->expiry);
    conn->tls->facts = (cress_http1_tls){ .protocol = str_of(cress_tls_version(stream)),
                                          .cipher = str_of(cress_tls_cipher(stream)) };
    if (*name)
        conn->tls->facts.server_name = str_of(name);
    conn->peer.tls = &conn->tls->facts;
}

static void give_up_handshake(struct connection *conn, int error)
{
    const char *why = conn->late ? "too slow" : cress_tls_error(&conn->tls->stream);

    if (error == EPROTOTYPE)
        answer_plain_request(conn);
    cress_log(CRESS_LOG_DEBUG, "TLS handshake with %s: %s", conn->peer.remote_addr.data,
              *why ? why : strerror(error));
    close_connection(conn);
}

/* The next step of the handshake. Once it is done there may be a request already. */
static enum { TLS_AGREED, TLS_RESTS, TLS_FAILED } shake_hands(struct connection *conn)
{
    bool is_over = cress_check() < 0 || conn->late || conn->worker->draining;

    if (cress_tls_handshake(&conn->tls->stream, CRESS_STREAM_DONTWAIT) == 0) {
        note_agreement(conn);
        return TLS_AGREED;
    }
    if (errno != EAGAIN || is_over) {
        give_up_handshake(conn, errno);
        return TLS_FAILED;
    }
    if (!conn->expiry.list)
        expiry_add(&conn->worker->handshakes, &conn->expiry);
    conn->state = CONNECTION_RESTS;
    return TLS_RESTS;
}

/* No descriptor tells of what was decrypted already. */
static bool has_more(struct connection *conn)
{
    return conn->agreed && cress_stream_pending(conn->http.stream);
}

/* ---- the whole ------------------------------------------------------------------------ */

/* Runs each time something has arrived, until there is nothing more to do. */
static void *run(void *arg)
{
    struct connection *conn = arg;

    conn->state = CONNECTION_BUSY;
    conn->http.readable = true;
    if (conn->worker->tls && !conn->agreed)
        switch (shake_hands(conn)) {
        case TLS_AGREED:
            break;
        case TLS_RESTS:
            return cress_rest(&conn->socket.watch);
        case TLS_FAILED:
            return NULL;
        }
    for (;;) {
        bool closing = conn->http.closing;
        switch (cress_http1_next(&conn->http, false)) {
        case CRESS_HTTP1_REQUEST:
            expiry_remove(&conn->expiry);
            conn->late = conn->evicted = false;
            handle(conn);
            if (conn->worker->draining)
                conn->http.closing = true; /* a drain began while the answer was on its way */
            cress_take_turns();            /* a client that never stops sending is one of many */
            break;
        case CRESS_HTTP1_WAIT:
            if (has_more(conn)) {
                conn->http.readable = true;
                break;
            }
            if (await_request(conn))
                return cress_rest(&conn->socket.watch);
            /* fallthrough */
        case CRESS_HTTP1_CLOSE:
            if (!closing && conn->http.linger)
                write_logs(conn, NULL); /* of a head that was refused */
            close_connection(conn);
            return NULL;
        }
    }
}

/* The stream to talk through; NULL: ENOMEM. */
static cress_stream *open_stream(struct connection *conn, int fd, cress_tls_context *tls)
{
    cress_socket_stream_init(&conn->socket, fd, on_idle);
    if (!tls)
        return &conn->socket.stream;
    return cress_tls_server_init(&conn->tls->stream, tls, &conn->socket) < 0
               ? NULL
               : &conn->tls->stream.stream;
}

void connection_start(struct listener *l, int fd, const struct sockaddr *peer)
{
    struct worker *worker = l->worker;
    struct connection *conn = calloc(1, sizeof *conn + (worker->tls ? sizeof *conn->tls : 0));
    cress_stream *stream = conn ? open_stream(conn, fd, worker->tls) : NULL;
    cress_greenlet *g = stream ? cress_spawn(run, conn) : NULL;

    if (!g) {
        cress_log(CRESS_LOG_ERROR, "a connection was refused: %s", strerror(errno));
        if (stream)
            cress_stream_close(stream);
        else
            close(fd);
        free(conn);
        return;
    }
    conn->worker = worker;
    conn->greenlet = g;
    cress_set_hooks(g, &hooks, conn);
    cress_release(g);
    name_peer(conn, l, peer);
    cress_http1_init(&conn->http, stream, &worker->http, &conn->peer);
    conn->next = worker->connections;
    if (conn->next)
        conn->next->previous = conn;
    worker->connections = conn;
    worker->open++;
}

static struct connection *connection_of(struct expiry_node *node)
{
    return (struct connection *)(void *)((char *)node - offsetof(struct connection, expiry));
}

void connection_expire(struct expiry_node *node)
{
    struct connection *conn = connection_of(node);

    conn->late = true;
    cress_rouse(conn->greenlet);
}

/* Behind what is not read an end of input cannot be seen by reading. */
void connection_probe(struct expiry_node *node)
{
    struct connection *conn = connection_of(node);
    short end = conn->worker->config->allow_half_close ? 0 : POLLRDHUP;
    struct pollfd about = { .fd = cress_watch_fd(&conn->socket.watch), .events = end };

    if (poll(&about, 1, 0) <= 0 || !cress_http1_leave(&conn->http))
        expiry_add(&conn->worker->full, node);
    else if (cress_http1_cancels(&conn->http))
        cress_cancel(conn->greenlet);
}

/* Resets it on the spot: what ends with the connection must not look whole. */
static void cut(int fd)
{
    static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

    if (connect(fd, &nobody, sizeof nobody) < 0)
        shutdown(fd, SHUT_RDWR); /* a Unix socket knows no reset */
}

bool connection_evict(struct expiry_node *node)
{
    struct connection *conn = connection_of(node);

    if (conn->state == CONNECTION_RESTS) {
        conn->evicted = true;
        connection_expire(node);
        return true;
    }
    if (!awaits_client(conn))
        return false;
    if (measure_progress(conn) - conn->progress >= PROGRESS) {
        note_stall(conn); /* it is slow, but steady */
        return false;
    }
    conn->evicted = conn->http.closing = conn->http.reset = true;
    cut(cress_watch_fd(&conn->socket.watch)); /* whatever it waits for fails */
    return true;
}

void connection_rouse_all(struct worker *worker)
{
    for (struct connection *conn = worker->connections; conn; conn = conn->next) {
        if (conn->state == CONNECTION_HANDLES && cress_http1_stop(&conn->http))
            cress_watch_interrupt(&conn->socket.watch, ESHUTDOWN);
        cress_rouse(conn->greenlet);
    }
}

void connection_cancel_all(struct worker *worker)
{
    for (struct connection *conn = worker->connections; conn; conn = conn->next) {
        if (conn->state == CONNECTION_NEW)
            conn->http.closing = true; /* cancelled, it would never run, nor clean up */
        else
            cress_cancel(conn->greenlet);
    }
}
