/* Accepting: as many as there are, until the connections are as many as allowed or
 * the descriptors run out; then it pauses, without spinning, until one closes. In the former case
 * somebody is asked to make room.
 *
 * gevent: BaseServer.do_accept; nginx: worker_connections.
 */
#define _GNU_SOURCE /* accept4 */

#include "eviction.h"

#include <cress/io.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Accepted in a row before these run: few, so that the lines of the last that were accepted, here and
 * in the kernel, are still in the cache when they are answered. */
enum { ACCEPT_BATCH = 8 };
static const cress_seconds PAUSE_MAX = 1.0, ROOM_PAUSE = 0.1;

static bool has_room(const struct worker *worker)
{
    return worker->open < (size_t)worker->config->worker_connections;
}

/* [waits] Until some connection closes, or for timeout seconds. */
static int await_close(struct worker *worker, cress_seconds timeout)
{
    cress_event_clear(&worker->closed);
    if (cress_event_wait(&worker->closed, timeout) == 0)
        return 0;
    return errno == ETIMEDOUT ? cress_check() : -1;
}

/* [waits] Until somebody wants in, and then for a while for room. Who was told to close may be
 * long about it: then the next one is. */
static int await_room(struct listener *l)
{
    if (cress_watch_wait(&l->watch, CRESS_FOREVER) < 0)
        return -1;
    if (has_room(l->worker))
        return 0;
    eviction_make_room(l->worker);
    return await_close(l->worker, ROOM_PAUSE);
}

/* [waits] The kernel is out of descriptors or memory: what is open has to close first. */
static int pause_accepting(struct worker *worker, int error)
{
    if (cress_now() - worker->paused_at > PAUSE_MAX)
        cress_log(CRESS_LOG_WARNING, "accepting pauses with %zu connections open: %s", worker->open,
                  strerror(error));
    worker->paused_at = cress_now();
    return await_close(worker, PAUSE_MAX);
}

static bool out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* [waits] After a failed accept: 0 to go on. */
static int recover(struct listener *l, int error)
{
    if (error == EAGAIN)
        return cress_watch_wait(&l->watch, CRESS_FOREVER);
    if (out_of_resources(error))
        return pause_accepting(l->worker, error);
    if (error == EBADF || error == EINVAL || error == ENOTSOCK)
        return -1;
    return cress_check(); /* that one connection failed: ECONNABORTED, EPROTO, ... */
}

static void *accept_all(void *arg)
{
    struct listener *l = arg;
    unsigned batch = 0;

    for (;;) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        while (!has_room(l->worker))
            if (await_room(l) < 0)
                return NULL;
        int fd = accept4(cress_watch_fd(&l->watch), (struct sockaddr *)&peer, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            connection_start(l, fd, (struct sockaddr *)&peer);
            if (++batch % ACCEPT_BATCH == 0 && cress_sleep(0) < 0)
                return NULL;
        } else if (recover(l, errno) < 0) {
            return NULL;
        }
    }
}

int listener_start(struct listener *l, struct worker *worker, int fd)
{
    cress_address a;

    *l = (struct listener){ .worker = worker };
    cress_watch_init(&l->watch, fd, NULL);
    if (cress_address_of_socket(fd, &a) < 0)
        return -1;
    cress_address_split(&a, l->server_name, sizeof l->server_name, l->server_port,
                        sizeof l->server_port);
    l->http = worker->http;
    l->http.server_name = l->server_name;
    l->http.server_port = l->server_port;
    l->acceptor = cress_spawn(accept_all, l);
    if (!l->acceptor)
        return -1;
    cress_set_name(l->acceptor, "listener %s:%s", l->server_name, l->server_port);
    return 0;
}

void listener_stop(struct listener *l)
{
    if (!l->acceptor)
        return;
    cress_kill(l->acceptor, CRESS_FOREVER);
    cress_release(l->acceptor);
    l->acceptor = NULL;
    int fd = cress_watch_fd(&l->watch);
    cress_watch_finish(&l->watch);
    cress_close_listener(fd);
}
