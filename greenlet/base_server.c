/* Taking what arrives, until there are as many guests as allowed or descriptors run out;
 * then a pause, without spinning. And the end: in any case no guest is left when
 * stop returns, so that a server may live on its caller's stack.
 */
#include "base_server.h"

#include "fd.h"

#include <cress/io.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cress_seconds PAUSE_MIN = 0.1, PAUSE_MAX = 1.0;

/* ---- taking ------------------------------------------------------------------------- */

static int fd_of(const struct base_server *b)
{
    return cress_watch_fd(&b->watch);
}

static void say_pause(const struct base_server *b, int error)
{
    char text[CRESS_ADDRESS_TEXT];

    fprintf(stderr, "cress: %s %s pauses, with %zu open: %s\n", b->kind,
            cress_address_format(&b->address, text, sizeof text), cress_pool_size(&b->guests),
            strerror(error));
}

/* [waits] Something has run out: for a guest to leave, or a while. Said again only when all
 * has gone well in between. */
static int pause_taking(struct base_server *b, int error)
{
    if (cress_now() - b->paused_at > 2 * PAUSE_MAX)
        say_pause(b, error);
    b->pause = b->pause > 0 ? fmin(2 * b->pause, PAUSE_MAX) : PAUSE_MIN;
    cress_event_clear(&b->left);

    int result = cress_event_wait(&b->left, b->pause);

    b->paused_at = cress_now();
    if (result < 0 && errno == ETIMEDOUT)
        return cress_check();
    return result;
}

/* [waits] After a take that failed: 0 to go on. */
static int recover(struct base_server *b, int error)
{
    switch (error) {
    case EAGAIN:
        return cress_watch_wait(&b->watch, CRESS_FOREVER);
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        b->error = error;
        return -1;
    case EINTR: /* from here on: just that one failed */
    case ECONNABORTED:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPROTO:
        cress_take_turns();
        return cress_check();
    default:
        return pause_taking(b, error);
    }
}

/* [waits] For a place. It may have been closed meanwhile, and this woken before that. */
static bool goes_on(struct base_server *b)
{
    return b->taking && cress_pool_wait_available(&b->guests, CRESS_FOREVER) == 0 &&
           cress_check() == 0 && b->taking;
}

static void *take_all(void *arg)
{
    struct base_server *b = arg;

    while (goes_on(b)) {
        if (b->take(b) == 0) {
            b->pause = 0;
            cress_take_turns();
        } else if (recover(b, errno) < 0) {
            break;
        }
    }
    base_server_close(b);
    return b->error ? cress_fail(b->error) : NULL;
}

/* ---- guests --------------------------------------------------------------------------- */

static void guest_left(cress_greenlet *g, void *arg)
{
    struct guest *guest = arg;
    struct base_server *b = guest->server;

    (void)g;
    guest->finish(guest);
    cress_event_set(&b->left);
}

static int refuse(struct guest *guest)
{
    int saved = errno;

    guest->finish(guest);
    return fail_with(saved);
}

int base_server_admit(struct base_server *b, struct guest *guest, cress_fn *fn, const char *name)
{
    cress_greenlet *g = cress_pool_spawn_greenlet(&b->guests, fn, guest);
    int result = 0;

    if (!g)
        return refuse(guest);
    cress_set_name(g, "%s", name);
    if (cress_link(g, guest_left, guest) < 0) {
        cress_cancel(g); /* it never runs */
        result = refuse(guest);
    }
    cress_release(g);
    return result;
}

bool base_server_is_guest(const struct base_server *b)
{
    return cress_pool_contains(&b->guests, cress_self());
}

/* ---- beginning and end ------------------------------------------------------------------ */

static int unblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int base_server_start(struct base_server *b, int fd)
{
    char text[CRESS_ADDRESS_TEXT];

    b->guests = (cress_pool)CRESS_POOL_INIT(b->max);
    b->paused_at = -CRESS_FOREVER;
    if (cress_address_of_socket(fd, &b->address) < 0 || unblock(fd) < 0)
        return -1;
    cress_watch_init(&b->watch, fd, NULL);
    b->taker = cress_spawn(take_all, b);
    if (!b->taker)
        return -1;
    cress_set_name(b->taker, "%s %s", b->kind,
                   cress_address_format(&b->address, text, sizeof text));
    b->taking = b->open = true;
    return 0;
}

static void close_socket(struct base_server *b)
{
    if (b->open)
        cress_close_listener(fd_of(b));
    b->open = false;
}

void base_server_close(struct base_server *b)
{
    if (!b->taking)
        return;
    b->taking = false;
    if (b->taker != cress_self())
        cress_cancel(b->taker);
    cress_watch_finish(&b->watch);
    if (!b->keeps_socket)
        close_socket(b);
    cress_event_set(&b->closed);
}

/* No guest is left, and the server may go. Who comes second finds it done. */
static void detach(struct base_server *b)
{
    if (!b->forget)
        return;
    close_socket(b);
    b->forget(b);
    b->forget = NULL;
}

static void leave(struct base_server *b)
{
    if (--b->users > 0 || b->forget)
        return;
    cress_release(b->taker);
    free(b);
}

/* [waits] Until no guest is left: 0; also when they had their time. */
static int drain(struct base_server *b, cress_seconds timeout)
{
    if (cress_pool_join(&b->guests, timeout) == 0)
        return 0;
    return errno == ETIMEDOUT ? cress_check() : -1;
}

static void end_all(struct base_server *b)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    cress_pool_kill(&b->guests, CRESS_FOREVER);
    cress_join(b->taker, CRESS_FOREVER);
    cress_timeout_close(&shield);
}

static int close_and_end(struct base_server *b, cress_seconds timeout)
{
    base_server_close(b);

    int result = drain(b, timeout), saved = errno;

    end_all(b);
    detach(b);
    errno = saved;
    return result;
}

int base_server_stop(struct base_server *b, cress_seconds timeout)
{
    b->users++;

    int result = close_and_end(b, timeout), saved = errno;

    leave(b);
    errno = saved;
    return result;
}

int base_server_serve_forever(struct base_server *b, cress_seconds stop_timeout)
{
    cress_timeout shield;

    b->users++;

    int error = cress_event_wait(&b->closed, CRESS_FOREVER) < 0 ? errno : 0;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    close_and_end(b, stop_timeout);
    cress_timeout_close(&shield);
    if (error == 0)
        error = b->error;
    leave(b);
    errno = error;
    return error ? -1 : 0;
}
