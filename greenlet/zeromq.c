/* Green ZeroMQ: each call is tried without waiting; who has to wait stands in a line.
 *
 * A libzmq socket offers a descriptor (ZMQ_FD) that is readable when its inner mailbox
 * holds news. Reading the socket's ZMQ_EVENTS takes the news in, and so does any send or
 * receive, by whoever makes it; afterwards the descriptor is silent, although messages may
 * lie there. So a descriptor that is watched is not enough: after each call on a socket,
 * and when its descriptor speaks, ZMQ_EVENTS is read once, and what it says is
 * passed on to those who wait: the oldest who wants to receive, the oldest who
 * wants to send. Who leaves the line, for whatever reason, does the same for those who stay.
 *
 * The oldest of a socket's line has the descriptor watched; the nodes live on the stacks
 * of those who wait. Nothing but the public calls of cress is used here.
 */
#define _GNU_SOURCE
#include <cress/zeromq.h>

#include <cress/event.h>
#include <cress/greenlet.h>
#include <cress/hub.h>
#include <cress/io.h>
#include <cress/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINES = 16, FEW_ITEMS = 16 };

struct waiter {
    cress_watch watch; /* first */
    struct waiter *next, *prev;
    void *socket; /* NULL: in no line */
    int events;   /* that it wants */
    int fd;
    bool leads;         /* its watch is armed */
    bool closed;        /* the socket was, while it stood here */
    cress_event *woken; /* the greenlet's; it may have nodes in several lines */
};

/* This thread's, by a few bits of the socket's address. */
static _Thread_local struct line {
    struct waiter *first, *last;
} lines[LINES];

static struct line *line_of(const void *socket)
{
    uintptr_t bits = (uintptr_t)socket;

    return &lines[(bits >> 5 ^ bits >> 10 ^ bits >> 15) % LINES];
}

/* The oldest on this socket, from w on. */
static struct waiter *find(struct waiter *w, const void *socket)
{
    while (w && w->socket != socket)
        w = w->next;
    return w;
}

static struct waiter *oldest(const void *socket)
{
    return find(line_of(socket)->first, socket);
}

/* ---- passing on what a socket says ----------------------------------------------------- */

static void settle(void *socket);

static void on_readable(cress_watch *watch)
{
    settle(((struct waiter *)watch)->socket);
}

static void lead(struct waiter *w)
{
    if (w->leads)
        return;
    w->leads = true;
    cress_watch_init(&w->watch, w->fd, on_readable);
    cress_watch_start(&w->watch);
}

static void stop_leading(struct waiter *w)
{
    if (w->leads)
        cress_watch_finish(&w->watch);
    w->leads = false;
}

static void wake_oldest(struct waiter *w, int events)
{
    void *socket = w->socket;

    while (w && !(w->events & events))
        w = find(w->next, socket);
    if (w)
        cress_event_set(w->woken);
}

/* Something is wrong with the socket: each is told by its own next try. */
static void wake_all(struct waiter *w)
{
    void *socket = w->socket;

    for (; w; w = find(w->next, socket)) {
        stop_leading(w);
        cress_event_set(w->woken);
    }
}

static int read_events(void *socket, int *ret_events)
{
    size_t size = sizeof *ret_events;
    int result;

    do
        result = zmq_getsockopt(socket, ZMQ_EVENTS, ret_events, &size);
    while (result < 0 && errno == EINTR);
    return result;
}

static void settle(void *socket)
{
    struct waiter *first = oldest(socket);
    int saved = errno, events;

    if (!first)
        return;
    if (read_events(socket, &events) < 0) {
        wake_all(first);
    } else {
        wake_oldest(first, events & ZMQ_POLLIN);
        wake_oldest(first, events & ZMQ_POLLOUT);
        lead(first);
    }
    errno = saved;
}

/* ---- standing in line -------------------------------------------------------------------- */

static int enter(struct waiter *w, void *socket, int events, cress_event *woken)
{
    struct line *line = line_of(socket);
    size_t size = sizeof w->fd;

    *w = (struct waiter){ .events = events, .woken = woken, .prev = line->last };
    if (zmq_getsockopt(socket, ZMQ_FD, &w->fd, &size) < 0)
        return -1;
    w->socket = socket;
    if (line->last)
        line->last->next = w;
    else
        line->first = w;
    line->last = w;
    return 0;
}

static void step_out(struct waiter *w)
{
    struct line *line = line_of(w->socket);

    stop_leading(w);
    if (w->prev)
        w->prev->next = w->next;
    else
        line->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        line->last = w->prev;
    w->socket = NULL;
}

static void leave(struct waiter *w)
{
    void *socket = w->socket;

    if (!socket)
        return;
    step_out(w);
    settle(socket);
}

/* ---- sending and receiving ------------------------------------------------------------------ */

struct transfer {
    void *socket;
    int flags;
    bool sends;
    void *data; /* or, with a message: */
    size_t len;
    zmq_msg_t *message;
};

static int try_once(const struct transfer *t)
{
    int flags = t->flags | ZMQ_DONTWAIT;

    if (t->message)
        return t->sends ? zmq_msg_send(t->message, t->socket, flags)
                        : zmq_msg_recv(t->message, t->socket, flags);
    return t->sends ? zmq_send(t->socket, t->data, t->len, flags)
                    : zmq_recv(t->socket, t->data, t->len, flags);
}

/* A signal, such as the monitor's, is nobody's business here. */
static int try(const struct transfer *t)
{
    int result;

    do
        result = try_once(t);
    while (result < 0 && errno == EINTR);
    return result;
}

/* The socket's own limit, in seconds. */
static cress_seconds own_limit(const struct transfer *t)
{
    int ms = -1;
    size_t size = sizeof ms;

    zmq_getsockopt(t->socket, t->sends ? ZMQ_SNDTIMEO : ZMQ_RCVTIMEO, &ms, &size);
    return ms < 0 ? CRESS_FOREVER : ms / 1000.0;
}

/* [waits] Until the socket may be ready: 0. */
static int await_turn(struct waiter *w, cress_seconds deadline)
{
    settle(w->socket);
    cress_take_turns(); /* it may say that it is ready again and again */
    if (cress_event_wait(w->woken, deadline - cress_now()) < 0) {
        if (errno == ETIMEDOUT && cress_check() == 0)
            errno = EAGAIN;
        return -1;
    }
    cress_event_clear(w->woken);
    if (w->closed) {
        errno = ENOTSOCK;
        return -1;
    }
    return 0;
}

static int wait_and_try(const struct transfer *t)
{
    cress_seconds deadline = cress_now() + own_limit(t);
    cress_event woken = CRESS_EVENT_INIT;
    struct waiter w;
    int result;

    if (enter(&w, t->socket, t->sends ? ZMQ_POLLOUT : ZMQ_POLLIN, &woken) < 0)
        return -1;
    do
        result = await_turn(&w, deadline) < 0 ? -2 : try(t);
    while (result == -1 && errno == EAGAIN);
    leave(&w);
    return result < 0 ? -1 : result;
}

static bool more_follows(const struct transfer *t)
{
    int more = 0;
    size_t size = sizeof more;

    if (t->sends)
        return t->flags & ZMQ_SNDMORE;
    zmq_getsockopt(t->socket, ZMQ_RCVMORE, &more, &size);
    return more;
}

static int transfer(const struct transfer *t)
{
    bool waits = !(t->flags & ZMQ_DONTWAIT);

    if (waits && cress_check() < 0)
        return -1;

    int result = try(t);

    if (result < 0 && errno == EAGAIN && waits)
        return wait_and_try(t);
    settle(t->socket);
    if (result >= 0 && waits && !more_follows(t))
        cress_take_turns();
    return result;
}

int cress_zmq_send(void *socket, const void *data, size_t len, int flags)
{
    return transfer(&(struct transfer){
        .socket = socket,
        .flags = flags,
        .sends = true,
        .data = (void *)(uintptr_t)data,
        .len = len,
    });
}

int cress_zmq_recv(void *socket, void *buf, size_t len, int flags)
{
    return transfer(
        &(struct transfer){ .socket = socket, .flags = flags, .data = buf, .len = len });
}

int cress_zmq_msg_send(zmq_msg_t *message, void *socket, int flags)
{
    return transfer(
        &(struct transfer){ .socket = socket, .flags = flags, .sends = true, .message = message });
}

int cress_zmq_msg_recv(zmq_msg_t *message, void *socket, int flags)
{
    return transfer(&(struct transfer){ .socket = socket, .flags = flags, .message = message });
}

/* ---- polling -------------------------------------------------------------------------------- */

/* How many have something; the notice that this took is passed on. */
static int look(zmq_pollitem_t items[], int count)
{
    int found = 0, events;

    for (int i = 0; i < count; i++) {
        if (read_events(items[i].socket, &events) < 0)
            return -1;
        settle(items[i].socket);
        items[i].revents = (short)(events & items[i].events);
        found += items[i].revents != 0;
    }
    return found;
}

static int stand_in_all(const zmq_pollitem_t items[], int count, struct waiter *waiters,
                        cress_event *woken)
{
    for (int i = 0; i < count; i++)
        if (enter(&waiters[i], items[i].socket, items[i].events, woken) < 0)
            return -1;
    return 0;
}

static void leave_all(struct waiter *waiters, int count)
{
    int saved = errno;

    for (int i = 0; i < count; i++)
        leave(&waiters[i]);
    errno = saved;
}

static bool any_closed(const struct waiter *waiters, int count)
{
    for (int i = 0; i < count; i++)
        if (waiters[i].closed)
            return true;
    return false;
}

/* [waits] Until a look finds something: the waiters stand in their lines. */
static int look_until(zmq_pollitem_t items[], int count, const struct waiter *waiters,
                      cress_event *woken, cress_seconds deadline)
{
    for (;;) {
        int found = look(items, count);

        if (found != 0)
            return found;
        if (cress_event_wait(woken, deadline - cress_now()) < 0)
            return errno == ETIMEDOUT && cress_check() == 0 ? 0 : -1;
        cress_event_clear(woken);
        cress_take_turns();
        if (any_closed(waiters, count)) {
            errno = ENOTSOCK;
            return -1;
        }
    }
}

static int wait_and_look(zmq_pollitem_t items[], int count, cress_seconds timeout)
{
    struct waiter few[FEW_ITEMS] = { 0 }, *waiters = few;
    cress_seconds deadline = cress_now() + timeout;
    cress_event woken = CRESS_EVENT_INIT;
    int result;

    if (count > FEW_ITEMS && !(waiters = calloc((size_t)count, sizeof *waiters)))
        return -1;
    result = stand_in_all(items, count, waiters, &woken);
    if (result == 0)
        result = look_until(items, count, waiters, &woken, deadline);
    leave_all(waiters, count);
    if (waiters != few) {
        int saved = errno;

        free(waiters);
        errno = saved;
    }
    return result;
}

int cress_zmq_poll(zmq_pollitem_t items[], int count, cress_seconds timeout)
{
    if (cress_check() < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        if (items[i].socket)
            continue;
        errno = EINVAL;
        return -1;
    }

    int found = look(items, count);

    return found == 0 && timeout > 0 ? wait_and_look(items, count, timeout) : found;
}

/* ---- the end -------------------------------------------------------------------------------- */

static int milliseconds(cress_seconds span)
{
    if (span == CRESS_FOREVER)
        return -1;
    return span * 1000 < INT_MAX ? (int)(span * 1000) : INT_MAX;
}

int cress_zmq_close(void *socket, cress_seconds linger)
{
    struct waiter *w;

    while ((w = oldest(socket))) {
        step_out(w);
        w->closed = true;
        cress_event_set(w->woken);
    }
    if (linger >= 0) {
        int ms = milliseconds(linger);

        zmq_setsockopt(socket, ZMQ_LINGER, &ms, sizeof ms);
    }
    return zmq_close(socket);
}

/* Shared by the thread that ends a context and the greenlet that waits for it, who may
 * leave before. Each has an end of a pipe, which the thread closes when it is done. */
struct ending {
    void *context;
    int done, waited_for;
    atomic_int error, holders;
};

static void drop_ending(struct ending *e)
{
    if (atomic_fetch_sub(&e->holders, 1) == 1)
        free(e);
}

static void *end_context(void *arg)
{
    struct ending *e = arg;
    int result;

    do
        result = zmq_ctx_term(e->context);
    while (result < 0 && errno == EINTR);
    atomic_store(&e->error, result < 0 ? errno : 0);
    close(e->done);
    drop_ending(e);
    return NULL;
}

/* No signals are for it. */
static int start_thread(struct ending *e)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    int error = pthread_create(&thread, &attributes, end_context, e);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    errno = error;
    return error ? -1 : 0;
}

static struct ending *start_ending(void *context)
{
    struct ending *e = calloc(1, sizeof *e);
    int ends[2], saved;

    if (!e)
        return NULL;
    if (pipe2(ends, O_CLOEXEC) < 0)
        goto fail_pipe;
    e->context = context;
    e->waited_for = ends[0];
    e->done = ends[1];
    atomic_init(&e->holders, 2);
    if (start_thread(e) == 0)
        return e;
    saved = errno;
    close(ends[0]);
    close(ends[1]);
    errno = saved;
fail_pipe:
    saved = errno;
    free(e);
    errno = saved;
    return NULL;
}

int cress_zmq_ctx_term(void *context)
{
    struct ending *e = cress_check() == 0 ? start_ending(context) : NULL;

    if (!e)
        return -1;

    bool done = cress_wait_fd(e->waited_for, POLLIN, CRESS_FOREVER) >= 0;
    int error = done ? atomic_load(&e->error) : errno;

    cress_close(e->waited_for);
    drop_ending(e);
    errno = error;
    return error ? -1 : 0;
}
