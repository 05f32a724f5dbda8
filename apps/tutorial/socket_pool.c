/* A server's handlers in a pool that refuses: when all its places are taken a new socket is
 * not made to wait, its owner is told so by an error of the pool's own.
 *
 * Three clients come at once and there are two places. When one has left, the third,
 * who tries again, is served.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { AT_MAXIMUM = EUSERS, MOST_HANDLERS = 2, CLIENTS = 3 };

struct socket_pool {
    cress_pool handlers;
};

/* Answers until the peer has gone. The socket is its own. */
static void *listen_to(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char text[64];
    ssize_t len;

    while ((len = cress_read(fd, text, sizeof text)) > 0)
        if (cress_write(fd, text, (size_t)len) < 0)
            break;
    cress_close(fd);
    return NULL;
}

/* Takes the socket over, or fails with AT_MAXIMUM and leaves it to the caller. Does not wait. */
static int add_handler(struct socket_pool *self, int fd)
{
    if (cress_pool_spawn_timeout(&self->handlers, listen_to, (void *)(intptr_t)fd, 0) == 0)
        return 0;
    if (errno == ETIMEDOUT && cress_pool_full(&self->handlers))
        errno = AT_MAXIMUM;
    return -1;
}

static void shut_down(struct socket_pool *self)
{
    cress_pool_kill(&self->handlers, CRESS_FOREVER);
}

/* What the owner of a new socket does. */
static void offer(struct socket_pool *pool, int client, int fd)
{
    if (add_handler(pool, fd) == 0)
        printf("Client %d is handled\n", client);
    else
        printf("Client %d: %s\n", client,
               errno == AT_MAXIMUM ? "At maximum pool size" : strerror(errno));
}

static int talk(int client, int fd)
{
    char text[64];
    int len = snprintf(text, sizeof text, "hello from %d", client);

    if (cress_write(fd, text, (size_t)len) < 0)
        return -1;

    ssize_t got = cress_read(fd, text, sizeof text);

    printf("Client %d hears: %.*s\n", client, got < 0 ? 0 : (int)got, text);
    return got < 0 ? -1 : 0;
}

static int serve(struct socket_pool *pool, int clients[], const int sockets[])
{
    for (int i = 0; i < CLIENTS; i++)
        offer(pool, i, sockets[i]);
    if (talk(0, clients[0]) < 0 || talk(1, clients[1]) < 0)
        return -1;
    puts("Client 0 leaves");
    cress_close(clients[0]);
    clients[0] = -1;
    if (cress_pool_wait_available(&pool->handlers, CRESS_FOREVER) < 0)
        return -1;
    offer(pool, 2, sockets[2]);
    return talk(2, clients[2]);
}

static void *program(void *unused)
{
    (void)unused;
    struct socket_pool pool = { .handlers = CRESS_POOL_INIT(MOST_HANDLERS) };
    int clients[CLIENTS], sockets[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
            return cress_fail(errno);
        clients[i] = ends[0];
        sockets[i] = ends[1];
    }

    int result = serve(&pool, clients, sockets);

    shut_down(&pool); /* also of the handlers whose clients have not left */
    fprintf(stderr, "%zu handlers left\n", cress_pool_size(&pool.handlers));
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i] >= 0)
            cress_close(clients[i]);
    return result < 0 ? cress_fail(EIO) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
