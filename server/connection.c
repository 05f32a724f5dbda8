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

#include <errno.h>
#include <linux/tcp.h> /* glibc's tcp_info ends before tcpi_bytes_acked */
#include <math.h>
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

static const cress_seconds PROBE_SPAN = 0.5;

/* How much longer an idle connection may be kept than was asked for, so that it is not moved in
 * its list for each request; an eighth of that, at most. */
static const cress_seconds SLACK_MOST = 0.25;

enum {
    PROGRESS = 4 << 10, /* bytes that a stalled client must have moved to count as alive */
    SPARE_MAX = 64,     /* records */
};

struct tls {
    cress_tls_stream stream;
    cress_http1_tls facts;
};

/* There may be a million of them: what a request can do without, or ask for, is not here. */
struct connection {
    cress_socket_stream socket;
    cress_http1 http;
    cress_greenlet *greenlet; /* borrowed: it runs as long as this is there */
    struct worker *worker;
    struct expiry_node node; /* its place in one of the worker's lists */
    uint32_t progress;       /* when it joined the stalled ones, modulo 2^32 */
    uint8_t state;           /* enum connection_state */
    bool agreed;             /* the TLS handshake is done */
    bool late;               /* the list that it was in has let it expire */
    bool evicted;            /* others need its place */
    struct tls tls[];        /* one, if the worker has a context */
};

static struct connection *connection_of(struct expiry_node *node)
{
    return (struct connection *)(void *)((char *)node - offsetof(struct connection, node));
}

static void move_to(struct connection *conn, enum connection_list list)
{
    expiry_add(&conn->worker->lists[list], &conn->node);
}

static bool is_in(const struct connection *conn, enum connection_list list)
{
    return conn->node.list == &conn->worker->lists[list];
}

/* ---- records -------------------------------------------------------------------------- */

/* Some are kept, for connections that come and go; what a peak needed goes back. Not zeroed:
 * connection_start sets each field. */
static struct connection *take_record(struct worker *worker)
{
    struct expiry_node *spare = worker->spare;

    if (!spare)
        return malloc(sizeof(struct connection) + (worker->tls ? sizeof(struct tls) : 0));
    worker->spare = spare->next;
    worker->spare_count--;
    return connection_of(spare);
}

static void give_record(struct connection *conn)
{
    struct worker *worker = conn->worker;

    if (worker->draining || worker->spare_count >= SPARE_MAX) {
        free(conn);
        return;
    }
    conn->node.next = worker->spare;
    worker->spare = &conn->node;
    worker->spare_count++;
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
static uint32_t measure_progress(const struct connection *conn)
{
    struct tcp_info info = { .tcpi_state = 0 };
    socklen_t len = sizeof info;

    if (getsockopt(cress_watch_fd(&conn->socket.watch), IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return (uint32_t)cress_http1_progress(&conn->http);
    return (uint32_t)(info.tcpi_bytes_acked + info.tcpi_bytes_received);
}

/* A client that has to be waited for again and again is slow all the time, unless it has
 * got something done in between. */
static void note_stall(struct connection *conn)
{
    if (!awaits_client(conn)) {
        if (is_in(conn, LIST_STALLED))
            move_to(conn, LIST_BUSY);
        return;
    }
    uint32_t progress = measure_progress(conn);
    if (is_in(conn, LIST_STALLED) && progress - conn->progress < PROGRESS)
        return;
    conn->progress = progress;
    move_to(conn, LIST_STALLED);
}

/* What it was waited for is over. From the first two lists it is not moved, and back, for every
 * request: who finds it there, when it has expired or is to make room, sees that it is busy. */
static void settle(struct connection *conn)
{
    if (conn->node.list > &conn->worker->lists[LIST_HEADS])
        move_to(conn, LIST_BUSY);
}

static void before_wait(void *arg)
{
    struct connection *conn = arg;

    if (conn->state == CONNECTION_HANDLES || conn->state == CONNECTION_BUSY)
        cress_http1_push(&conn->http); /* what was deferred may wait long */
    if (conn->state == CONNECTION_HANDLES)
        cress_watch_start(&conn->socket.watch); /* there may be room again */
    note_stall(conn);
}

static void *get_local(void *arg, const struct cress_local *key)
{
    struct connection *conn = arg;

    return cress_http1_local(&conn->http, key);
}

static const cress_greenlet_hooks hooks = {
    .describe = describe,
    .before_wait = before_wait,
    .local = get_local,
};

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
    if (more == 0 && !is_in(conn, LIST_STALLED) && !is_in(conn, LIST_FULL))
        move_to(conn, LIST_FULL);
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

static const char *name_peer(const struct connection *conn, char buf[CRESS_HTTP1_PEER_TEXT])
{
    return cress_http1_peer_text(&conn->http.peer, buf).len ? buf : "a unix socket";
}

static void write_access_line(struct connection *conn, const cress_http1_log *entry)
{
    char text[CRESS_HTTP1_PEER_TEXT];

    access_log_write(conn->worker->access_log, cress_http1_peer_text(&conn->http.peer, text),
                     entry);
}

static void write_lines(struct connection *conn, const char *misuse)
{
    struct worker *worker = conn->worker;
    char text[CRESS_HTTP1_PEER_TEXT];
    cress_http1_log entry;

    cress_http1_get_log(&conn->http, &entry);
    if (conn->http.refused)
        cress_log(CRESS_LOG_INFO, "%s from %s was refused: %s (%d)",
                  entry.status < 400 ? "the rest of a request" : "a request", name_peer(conn, text),
                  cress_http1_refusal(&conn->http), entry.status);
    if (misuse)
        cress_log(CRESS_LOG_ERROR, "%s: %s (%s %s)", worker->config->app_name, misuse,
                  entry.method.data, entry.target.data);
    if (worker->access_log)
        write_access_line(conn, &entry);
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
    int error = result == 0 ? 0 : errno;
    conn->state = CONNECTION_BUSY;
    settle(conn);
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

/* [waits] Without a goodbye the client would take the last answer for a part of one. A slow client
 * is given the time to take both. One that said goodbye itself may wait for ours. */
static void say_goodbye(struct connection *conn)
{
    bool is_said = cress_tls_goodbye(&conn->tls->stream) == 0;

    if (conn->http.gone || (await_slow_client(conn) && !is_said))
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
    if (conn->http.reset) {
        setsockopt(cress_watch_fd(&conn->socket.watch), SOL_SOCKET, SO_LINGER,
                   &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
        conn->socket.has_more = false;
    }
    cress_http1_destroy(&conn->http);
    cress_stream_close(worker->tls ? &conn->tls->stream.stream : &conn->socket.stream);
    cress_set_hooks(conn->greenlet, NULL, NULL);
    expiry_remove(&conn->node);
    worker->open--;
    cress_event_set(&worker->closed);
    give_record(conn);
}

/* No whole request is there: false, if there is no point in waiting for one. The time for it does
 * not begin anew with each piece of it, or empty line. */
static bool await_request(struct connection *conn, bool has_served)
{
    struct worker *worker = conn->worker;
    bool idle = cress_http1_idle(&conn->http);

    if (cress_check() < 0 || (idle && (conn->late || worker->draining)))
        return false;
    if (conn->late) {
        cress_http1_refuse(&conn->http, 408, -1);
        return false;
    }
    struct expiry *list = &worker->lists[LIST_HEADS];
    if (idle && conn->http.requests)
        list = &worker->lists[LIST_IDLE];
    if (has_served || conn->node.list != list)
        expiry_touch(list, &conn->node);
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
        write_access_line(conn, &entry);
}

static cress_str str_of(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

static void note_agreement(struct connection *conn)
{
    const cress_tls_stream *stream = &conn->tls->stream;
    const char *name = cress_tls_server_name(stream);

    conn->agreed = true;
    conn->late = conn->evicted = false;
    move_to(conn, LIST_BUSY);
    conn->tls->facts = (cress_http1_tls){ .protocol = str_of(cress_tls_version(stream)),
                                          .cipher = str_of(cress_tls_cipher(stream)) };
    if (*name)
        conn->tls->facts.server_name = str_of(name);
    conn->http.tls = &conn->tls->facts;
}

static void give_up_handshake(struct connection *conn, int error)
{
    const char *why = conn->late ? "too slow" : cress_tls_error(&conn->tls->stream);
    char text[CRESS_HTTP1_PEER_TEXT];

    if (error == EPROTOTYPE)
        answer_plain_request(conn);
    cress_log(CRESS_LOG_DEBUG, "TLS handshake with %s: %s", name_peer(conn, text),
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
    if (!is_in(conn, LIST_HANDSHAKES))
        move_to(conn, LIST_HANDSHAKES);
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
    bool has_served = false;

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
            settle(conn);
            conn->late = conn->evicted = false;
            has_served = true;
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
            if (await_request(conn, has_served))
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

/* ---- beginning ------------------------------------------------------------------------ */

/* The stream to talk through; NULL: ENOMEM. */
static cress_stream *open_stream(struct connection *conn, int fd, cress_tls_context *tls)
{
    cress_socket_stream_init(&conn->socket, fd, on_idle);
    conn->socket.is_nonblocking = true;
    if (!tls)
        return &conn->socket.stream;
    return cress_tls_server_init(&conn->tls->stream, tls, &conn->socket) < 0
               ? NULL
               : &conn->tls->stream.stream;
}

void connection_start(struct listener *l, int fd, const struct sockaddr *address)
{
    struct worker *worker = l->worker;
    struct connection *conn = take_record(worker);
    cress_stream *stream = conn ? open_stream(conn, fd, worker->tls) : NULL;
    cress_greenlet *g = stream ? cress_spawn(run, conn) : NULL;
    cress_http1_peer peer;

    if (!g) {
        cress_log(CRESS_LOG_ERROR, "a connection was refused: %s", strerror(errno));
        if (stream)
            cress_stream_close(stream);
        else
            close(fd);
        free(conn);
        return;
    }
    cress_set_hooks(g, &hooks, conn);
    cress_release(g);
    conn->greenlet = g;
    conn->worker = worker;
    conn->node.list = NULL;
    conn->progress = 0;
    conn->state = CONNECTION_NEW;
    conn->late = conn->agreed = conn->evicted = false;
    cress_http1_peer_set(&peer, address);
    cress_http1_init(&conn->http, stream, &l->http, &peer);
    move_to(conn, worker->tls ? LIST_HANDSHAKES : LIST_HEADS);
    worker->open++;
}

/* ---- all of them ---------------------------------------------------------------------- */

/* It is in no list. One that does not rest was left in its list when it became busy. */
static void expire(struct expiry_node *node)
{
    struct connection *conn = connection_of(node);

    move_to(conn, LIST_BUSY);
    if (conn->state != CONNECTION_RESTS)
        return;
    conn->late = true;
    cress_rouse(conn->greenlet);
}

/* Behind what is not read an end of input cannot be seen by reading. */
static void probe(struct expiry_node *node)
{
    struct connection *conn = connection_of(node);
    short end = conn->worker->config->allow_half_close ? 0 : POLLRDHUP;
    struct pollfd about = { .fd = cress_watch_fd(&conn->socket.watch), .events = end };
    bool has_left = poll(&about, 1, 0) > 0 && cress_http1_leave(&conn->http);

    move_to(conn, has_left ? LIST_BUSY : LIST_FULL);
    if (has_left && cress_http1_cancels(&conn->http))
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
    bool is_stalled = is_in(conn, LIST_STALLED) && awaits_client(conn);

    if (is_stalled && measure_progress(conn) - conn->progress >= PROGRESS) {
        note_stall(conn); /* it is slow, but steady */
        return false;
    }
    conn->evicted = is_stalled || conn->state == CONNECTION_RESTS;
    expire(node);
    if (is_stalled) {
        conn->http.closing = conn->http.reset = true;
        cut(cress_watch_fd(&conn->socket.watch)); /* whatever it waits for fails */
    }
    return conn->evicted;
}

int connection_start_lists(struct worker *worker)
{
    const cress_config *config = worker->config;
    struct expiry *lists = worker->lists;
    cress_seconds slack = fmax(0, fmin(config->keep_alive / 8, SLACK_MOST));

    if (expiry_start(&lists[LIST_IDLE], config->keep_alive, slack, expire) < 0 ||
        expiry_start(&lists[LIST_HEADS], config->header_timeout, 0, expire) < 0 ||
        (worker->tls &&
         expiry_start(&lists[LIST_HANDSHAKES], config->handshake_timeout, 0, expire) < 0) ||
        expiry_start(&lists[LIST_FULL], PROBE_SPAN, 0, probe) < 0)
        return -1;
    lists[LIST_STALLED].span = lists[LIST_BUSY].span = CRESS_FOREVER;
    return 0;
}

void connection_stop_lists(struct worker *worker)
{
    for (int i = 0; i < LISTS; i++)
        expiry_stop(&worker->lists[i]);
    while (worker->spare)
        free(take_record(worker));
}

static void for_each(struct worker *worker, void (*fn)(struct connection *conn))
{
    for (int i = 0; i < LISTS; i++)
        for (struct expiry_node *node = worker->lists[i].first; node; node = node->next)
            fn(connection_of(node));
}

static void rouse(struct connection *conn)
{
    if (conn->state == CONNECTION_HANDLES && cress_http1_stop(&conn->http))
        cress_watch_interrupt(&conn->socket.watch, ESHUTDOWN);
    cress_rouse(conn->greenlet);
}

static void cancel(struct connection *conn)
{
    if (conn->state == CONNECTION_NEW)
        conn->http.closing = true; /* cancelled, it would never run, nor clean up */
    else
        cress_cancel(conn->greenlet);
}

void connection_rouse_all(struct worker *worker)
{
    for_each(worker, rouse);
}

void connection_cancel_all(struct worker *worker)
{
    for_each(worker, cancel);
}
