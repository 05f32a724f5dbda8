/* The floor of a broadcast: a loop of send() over all who wait.
 *
 * A connection that sends anything but a POST waits. A POST is the event: everybody
 * who waits is sent a constant, one after the other, and then the POST is answered. Nobody
 * who waits may leave: the loads stay.
 *
 *     limit_broadcast PORT
 */
#define _GNU_SOURCE /* accept4 */
#include "floor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 16384, EVENTS = 512 };

#define HEAD "HTTP/1.1 200 OK\r\nServer: limit\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\n"

static const char news[] = HEAD "Board-Version: 1\r\nCache-Control: no-store\r\n"
                                "Content-Type: text/plain; charset=utf-8\r\n"
                                "Content-Length: 13\r\n\r\nhello, world\n";
static const char done[] = HEAD "Content-Length: 0\r\n\r\n";

static struct {
    int epoll, listener;
    int *waiting;
    size_t count, room;
} server;

static void broadcast(void)
{
    for (size_t i = 0; i < server.count; i++)
        if (send(server.waiting[i], news, sizeof news - 1, MSG_NOSIGNAL) < 0)
            perror("send");
    server.count = 0;
}

static void serve(int fd)
{
    char input[READ_SIZE];
    ssize_t received = recv(fd, input, sizeof input, 0);

    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        close(fd);
    } else if (input[0] != 'P') {
        if (server.count == server.room)
            die("more requests than connections");
        server.waiting[server.count++] = fd;
    } else {
        broadcast();
        if (send(fd, done, sizeof done - 1, MSG_NOSIGNAL) < 0)
            perror("send");
    }
}

static void accept_all(void)
{
    int fd;

    while ((fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(server.epoll, fd);
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept4");
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(server.epoll, events, EVENTS, -1);

    if (count < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == server.listener)
            accept_all();
        else
            serve(events[i].data.fd);
    }
}

int main(int argc, char *argv[])
{
    size_t port = argc == 2 ? number(argv[1], UINT16_MAX) : 0;

    if (!port) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    server.room = descriptors();
    server.waiting = calloc(server.room, sizeof *server.waiting);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!server.waiting || server.epoll < 0)
        die("limit_broadcast");
    server.listener = listen_on((uint16_t)port, false);
    watch(server.epoll, server.listener);
    for (;;)
        turn();
}
