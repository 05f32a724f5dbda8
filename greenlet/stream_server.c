/* Connections as guests: handshake, handler, goodbye. */
#define _GNU_SOURCE /* accept4 */
#include <cress/stream_server.h>

#include "base_server.h"
#include "fd.h"
#include "misuse.h"
#include "simulation.h"

#include <cress/io.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEFAULT_MAX = 1000, DEFAULT_BACKLOG = 1024 };
static const cress_seconds DEFAULT_HANDSHAKE_TIMEOUT = 10, DEFAULT_STOP_TIMEOUT = 1;

struct cress_stream_service {
    struct base_server base; /* first */
    cress_stream_server *server;
};

struct connection {
    struct guest guest; /* first */
    cress_stream_server *server;
    cress_stream *stream; /* one of these two */
    cress_socket_stream socket;
    cress_tls_stream tls;
    cress_address peer;
};

/* ---- a connection ----------------------------------------------------------------------- */

static int shake_hands(struct connection *c)
{
    cress_stream_server *s = c->server;
    cress_timeout limit;

    if (cress_tls_server_init(&c->tls, s->tls, &c->socket) < 0)
        return -1;
    c->stream = &c->tls.stream;
    cress_timeout_start(&limit, seconds_or(s->handshake_timeout, DEFAULT_HANDSHAKE_TIMEOUT));

    int result = cress_tls_handshake(&c->tls, 0);

    cress_timeout_close(&limit);
    if (result < 0)
        s->failed_handshakes++;
    return result;
}

/* A handler that was killed has not said all that it had to say: then no goodbye,
 * which would make it look so. */
static void *serve(void *arg)
{
    struct connection *c = arg;
    cress_stream_server *s = c->server;

    if (s->tls && shake_hands(c) < 0)
        return NULL;
    s->handle(c->stream, &c->peer, s->self);
    if (s->tls && cress_check() == 0)
        cress_stream_shutdown(c->stream);
    return NULL;
}

static void finish(struct guest *guest)
{
    struct connection *c = (struct connection *)guest;

    cress_stream_close(c->stream);
    free(c);
}

static int admit(struct cress_stream_service *service, int fd, const cress_address *peer)
{
    struct connection *c = malloc(sizeof *c);
    char text[CRESS_ADDRESS_TEXT], name[CRESS_ADDRESS_TEXT + 8];

    if (!c) {
        close(fd);
        return fail_with(ENOMEM);
    }
    c->guest = (struct guest){ .server = &service->base, .finish = finish };
    c->server = service->server;
    c->peer = *peer;
    cress_socket_stream_init(&c->socket, fd, NULL);
    c->stream = &c->socket.stream;
    snprintf(name, sizeof name, "stream %s", cress_address_format(peer, text, sizeof text));
    return base_server_admit(&service->base, &c->guest, serve, name);
}

static int take(struct base_server *b)
{
    struct cress_stream_service *service = (struct cress_stream_service *)b;
    cress_address peer = { .len = sizeof peer.storage };
    int fd = sys_accept(cress_watch_fd(&b->watch), (struct sockaddr *)&peer.storage, &peer.len,
                        SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return -1;
    service->server->accepted++;
    return admit(service, fd, &peer);
}

/* ---- the server ------------------------------------------------------------------------- */

static void forget(struct base_server *b)
{
    ((struct cress_stream_service *)b)->server->service = NULL;
}

static int start_on(cress_stream_server *s, int fd)
{
    struct cress_stream_service *service = calloc(1, sizeof *service);

    if (!service)
        return -1;
    service->server = s;
    service->base.kind = "stream server";
    service->base.take = take;
    service->base.forget = forget;
    service->base.max = size_or(s->max, DEFAULT_MAX);
    if (base_server_start(&service->base, fd) < 0) {
        free(service);
        return -1;
    }
    s->accepted = s->failed_handshakes = 0;
    s->service = service;
    return 0;
}

static int start(cress_stream_server *s)
{
    cress_address a;
    int fd = -1, saved;

    if (cress_address_parse(s->address, &a) == 0)
        fd = cress_listen(&a, s->backlog ? s->backlog : DEFAULT_BACKLOG);
    if (fd < 0)
        return -1;
    if (start_on(s, fd) == 0)
        return 0;
    saved = errno;
    cress_close_listener(fd);
    return fail_with(saved);
}

int cress_stream_server_start(cress_stream_server *s)
{
    if (s->service)
        return misuse(EBUSY, "cress_stream_server_start: it runs already");
    if (!s->handle || !s->address)
        return misuse(EINVAL, "cress_stream_server_start: no handler, or no address");
    return start(s);
}

int cress_stream_server_start_on(cress_stream_server *s, int fd)
{
    if (s->service)
        return misuse(EBUSY, "cress_stream_server_start_on: it runs already");
    if (!s->handle)
        return misuse(EINVAL, "cress_stream_server_start_on: no handler");
    return start_on(s, fd);
}

int cress_stream_server_serve_forever(cress_stream_server *s)
{
    if (!cress_self())
        return misuse(EPERM, "cress_stream_server_serve_forever: the caller cannot wait");
    if (!s->service && (!s->handle || !s->address))
        return misuse(EINVAL, "cress_stream_server_serve_forever: no handler, or no address");
    if (!s->service && start(s) < 0)
        return -1;
    if (base_server_is_guest(&s->service->base))
        return misuse(EDEADLK, "cress_stream_server_serve_forever: called by its handler");
    return base_server_serve_forever(&s->service->base,
                                     seconds_or(s->stop_timeout, DEFAULT_STOP_TIMEOUT));
}

void cress_stream_server_close(cress_stream_server *s)
{
    if (s->service)
        base_server_close(&s->service->base);
}

int cress_stream_server_stop(cress_stream_server *s, cress_seconds timeout)
{
    if (!s->service)
        return 0;
    if (!cress_self())
        return misuse(EPERM, "cress_stream_server_stop: it runs, and the caller cannot wait");
    if (base_server_is_guest(&s->service->base))
        return misuse(EDEADLK, "cress_stream_server_stop: called by its handler");
    return base_server_stop(&s->service->base, timeout);
}

const cress_address *cress_stream_server_address(const cress_stream_server *s)
{
    return s->service ? &s->service->base.address : NULL;
}

unsigned cress_stream_server_port(const cress_stream_server *s)
{
    return s->service ? cress_address_port(&s->service->base.address) : 0;
}

size_t cress_stream_server_connections(const cress_stream_server *s)
{
    return s->service ? cress_pool_size(&s->service->base.guests) : 0;
}
