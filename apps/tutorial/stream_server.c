/* A TCP server: a greenlet accepts, and each connection gets one of its own, which
 * sends six lines and closes.
 *
 * The pool bounds how many connections there are at a time: with all places taken
 * nothing more is accepted. SIGINT and SIGTERM end it.
 *
 *     stream_server 5000          0: any free port, which it prints
 *     nc 127.0.0.1 5000
 */
#include <cress/cress.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cress_pool connections = CRESS_POOL_INIT(100);

static void *handle(void *arg)
{
    static const char *const lines[] = {
        "Hello from a telnet!\n", "0\n", "1\n", "2\n", "3\n", "4\n"
    };
    int fd = (int)(intptr_t)arg;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (cress_write(fd, lines[i], strlen(lines[i])) < 0)
            break;
    cress_close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    int listener = (int)(intptr_t)arg, fd;

    while ((fd = cress_accept(listener, NULL, NULL)) >= 0)
        if (cress_pool_spawn(&connections, handle, (void *)(intptr_t)fd) < 0)
            cress_close(fd);
    return cress_fail(errno);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return -1;
    printf("Listening on port %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static void *stop(void *server)
{
    cress_cancel(server);
    return NULL;
}

static void *program(void *arg)
{
    int listener = listen_on(*(uint16_t *)arg);
    if (listener < 0)
        return cress_fail(errno);
    cress_greenlet *server = cress_spawn(serve, (void *)(intptr_t)listener);

    cress_signal(SIGINT, stop, server);
    cress_signal(SIGTERM, stop, server);
    cress_join(server, CRESS_FOREVER);
    cress_pool_kill(&connections, CRESS_FOREVER);
    cress_close(listener);
    int error = cress_was_killed(server) ? 0 : cress_error(server);
    cress_release(server);
    return error ? cress_fail(error) : NULL;
}

int main(int argc, char *argv[])
{
    uint16_t port = argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 5000;

    return cress_run(program, &port) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
