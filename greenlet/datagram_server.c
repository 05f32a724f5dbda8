/* Datagrams as guests: each is copied out of the service's buffer, which is as large as
 * one may be, into a record of its own size.
 */
#define _GNU_SOURCE
#include <cress/datagram_server.h>

#include "base_server.h"
#include "fd.h"
#include "misuse.h"
#include "simulation.h"

#include <cress/io.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MAX = 1000, DEFAULT_MAX_SIZE = 65535 };
static const cress_seconds DEFAULT_STOP_TIMEOUT = 1;

struct cress_datagram_service {
    struct base_server base; /* first */
    cress_datagram_server *server;
    size_t size;
    char buffer[];
};

struct arrival {
    struct guest guest; /* first */
    cress_datagram_server *server;
    cress_datagram datagram;
    char data[];
};

/* ---- a datagram --------------------------------------------------------------------------- */

static void *serve(void *arg)
{
    struct arrival *a = arg;

    a->server->handle(a->server, &a->datagram, a->server->self);
    return NULL;
}

static void finish(struct guest *guest)
{
    free(guest);
}

static int admit(struct cress_datagram_service *service, const cress_datagram *datagram)
{
    struct arrival *a = malloc(sizeof *a + datagram->len + 1);
    char text[CRESS_ADDRESS_TEXT], name[CRESS_ADDRESS_TEXT + 10];

    if (!a)
        return -1;
    a->guest = (struct guest){ .server = &service->base, .finish = finish };
    a->server = service->server;
    a->datagram = *datagram;
    a->datagram.data = a->data;
    memcpy(a->data, datagram->data, datagram->len);
    a->data[datagram->len] = '\0';
    snprintf(name, sizeof name, "datagram %s",
             cress_address_format(&datagram->peer, text, sizeof text));
    return base_server_admit(&service->base, &a->guest, serve, name);
}

static int take(struct base_server *b)
{
    struct cress_datagram_service *service = (struct cress_datagram_service *)b;
    cress_datagram datagram = { .data = service->buffer };
    struct iovec room = { service->buffer, service->size };
    struct msghdr message = {
        .msg_name = &datagram.peer.storage,
        .msg_namelen = sizeof datagram.peer.storage,
        .msg_iov = &room,
        .msg_iovlen = 1,
    };
    ssize_t count = sys_recvmsg(cress_watch_fd(&b->watch), &message, MSG_DONTWAIT);

    if (count < 0)
        return -1;
    service->server->received++;
    datagram.len = (size_t)count;
    datagram.truncated = message.msg_flags & MSG_TRUNC;
    datagram.peer.len = message.msg_namelen;
    if (datagram.peer.len == 0) /* a unix socket without a name */
        datagram.peer.storage.ss_family = AF_UNIX;
    return admit(service, &datagram);
}

/* ---- the server ------------------------------------------------------------------------- */

static void forget(struct base_server *b)
{
    ((struct cress_datagram_service *)b)->server->service = NULL;
}

static int start_on(cress_datagram_server *s, int fd)
{
    size_t size = size_or(s->max_size, DEFAULT_MAX_SIZE);
    struct cress_datagram_service *service = malloc(sizeof *service + size);

    if (!service)
        return -1;
    *service = (struct cress_datagram_service){
        .base = { .kind = "datagram server",
                  .take = take,
                  .forget = forget,
                  .keeps_socket = true,
                  .max = size_or(s->max, DEFAULT_MAX) },
        .server = s,
        .size = size,
    };
    if (base_server_start(&service->base, fd) < 0) {
        free(service);
        return -1;
    }
    s->received = 0;
    s->service = service;
    return 0;
}

static int start(cress_datagram_server *s)
{
    cress_address a;
    int fd = -1, saved;

    if (cress_address_parse(s->address, &a) == 0)
        fd = cress_bind_datagram(&a);
    if (fd < 0)
        return -1;
    if (start_on(s, fd) == 0)
        return 0;
    saved = errno;
    cress_close_listener(fd);
    return fail_with(saved);
}

int cress_datagram_server_start(cress_datagram_server *s)
{
    if (s->service)
        return misuse(EBUSY, "cress_datagram_server_start: it runs already");
    if (!s->handle || !s->address)
        return misuse(EINVAL, "cress_datagram_server_start: no handler, or no address");
    return start(s);
}

int cress_datagram_server_start_on(cress_datagram_server *s, int fd)
{
    if (s->service)
        return misuse(EBUSY, "cress_datagram_server_start_on: it runs already");
    if (!s->handle)
        return misuse(EINVAL, "cress_datagram_server_start_on: no handler");
    return start_on(s, fd);
}

int cress_datagram_server_serve_forever(cress_datagram_server *s)
{
    if (!cress_self())
        return misuse(EPERM, "cress_datagram_server_serve_forever: the caller cannot wait");
    if (!s->service && (!s->handle || !s->address))
        return misuse(EINVAL, "cress_datagram_server_serve_forever: no handler, or no address");
    if (!s->service && start(s) < 0)
        return -1;
    if (base_server_is_guest(&s->service->base))
        return misuse(EDEADLK, "cress_datagram_server_serve_forever: called by its handler");
    return base_server_serve_forever(&s->service->base,
                                     seconds_or(s->stop_timeout, DEFAULT_STOP_TIMEOUT));
}

void cress_datagram_server_close(cress_datagram_server *s)
{
    if (s->service)
        base_server_close(&s->service->base);
}

int cress_datagram_server_stop(cress_datagram_server *s, cress_seconds timeout)
{
    if (!s->service)
        return 0;
    if (!cress_self())
        return misuse(EPERM, "cress_datagram_server_stop: it runs, and the caller cannot wait");
    if (base_server_is_guest(&s->service->base))
        return misuse(EDEADLK, "cress_datagram_server_stop: called by its handler");
    return base_server_stop(&s->service->base, timeout);
}

int cress_datagram_server_send(cress_datagram_server *s, const void *data, size_t len,
                               const cress_address *peer)
{
    struct iovec piece = { (void *)(uintptr_t)data, len };
    struct msghdr message = {
        .msg_name = (void *)(uintptr_t)&peer->storage,
        .msg_namelen = peer->len,
        .msg_iov = &piece,
        .msg_iovlen = 1,
    };

    if (!s->service)
        return fail_with(EBADF);
    return cress_sendmsg(cress_watch_fd(&s->service->base.watch), &message, 0) < 0 ? -1 : 0;
}

const cress_address *cress_datagram_server_address(const cress_datagram_server *s)
{
    return s->service ? &s->service->base.address : NULL;
}

unsigned cress_datagram_server_port(const cress_datagram_server *s)
{
    return s->service ? cress_address_port(&s->service->base.address) : 0;
}

size_t cress_datagram_server_handlers(const cress_datagram_server *s)
{
    return s->service ? cress_pool_size(&s->service->base.guests) : 0;
}
