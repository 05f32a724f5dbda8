/* The floor of a broadcast: a loop of send() over all who wait.
 *
 * A connection that sends anything but a POST waits. A POST is the event: everybody
 * who waits is sent a constant, one after the other, and then the POST is answered. Nobody
 * who waits may leave: the loads stay.
 *
 *     limit_broadcast PORT
 */
#include "floor.h"

#include <string.h>
#include <unistd.h>

static const char news[] = STATUS_SERVER_DATE "Board-Version: 1\r\nCache-Control: no-store\r\n"
                                              "Content-Type: text/plain; charset=utf-8\r\n"
                                              "Content-Length: 13\r\n\r\nhello, world\n";
static const char done[] = STATUS_SERVER_DATE "Content-Length: 0\r\n\r\n";

static struct {
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

static void readable(int fd)
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

int main(int argc, char *argv[])
{
    size_t port = argc == 2 ? number(argv[1], UINT16_MAX) : 0;

    if (!port) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    server.room = descriptors();
    server.waiting = calloc(server.room, sizeof *server.waiting);
    if (!server.waiting)
        die("calloc");
    serve(listen_on((uint16_t)port, false), watch, readable, NULL);
}
