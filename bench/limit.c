/* The floor: what the kernel alone costs.
 *
 * How fast could any server be on this machine? One thread, one epoll set, one
 * recv and one send of a constant for each request, and nothing of HTTP: the
 * requests' size is given, so a read that holds several of them is answered by as
 * many copies in one send, and nobody looks at a byte. What a real server needs
 * beyond this is its own doing.
 *
 *     limit PORT REQUEST_SIZE [close]
 *
 * With `close` the first answer ends a connection. A client that does not read its
 * answers is dropped: the loads read them.
 */
#include "floor.h"

#include <string.h>
#include <unistd.h>

static const char stays[] = ANSWER_STAYS, closes[] = ANSWER_CLOSES;

static struct {
    size_t request_size, response_size;
    bool close;
    char *responses; /* as many copies as requests fit into a read, and one */
    size_t *partial; /* by descriptor: bytes of a request that is not whole yet */
} server;

static void make_responses(void)
{
    const char *response = server.close ? closes : stays;
    size_t size = server.close ? sizeof closes - 1 : sizeof stays - 1;
    size_t copies = READ_SIZE / server.request_size + 2;

    server.response_size = size;
    server.responses = malloc(copies * size);
    if (!server.responses)
        die("malloc");
    for (size_t i = 0; i < copies; i++)
        memcpy(server.responses + i * size, response, size);
}

static void make_partial(void)
{
    server.partial = calloc(descriptors(), sizeof *server.partial);
    if (!server.partial)
        die("calloc");
}

/* How many requests does this read complete? */
static size_t count_requests(int fd, size_t received)
{
    size_t bytes = server.partial[fd] + received;

    server.partial[fd] = bytes % server.request_size;
    return bytes / server.request_size;
}

/* False: the connection is over. */
static bool answer(int fd)
{
    static char input[READ_SIZE];
    ssize_t received = recv(fd, input, sizeof input, 0);

    if (received <= 0)
        return received < 0 && errno == EAGAIN;
    size_t count = count_requests(fd, (size_t)received);
    if (count == 0)
        return true;
    size_t size = server.close ? server.response_size : count * server.response_size;
    return send(fd, server.responses, size, MSG_NOSIGNAL) == (ssize_t)size && !server.close;
}

static void readable(int fd)
{
    if (!answer(fd))
        close(fd);
}

/* What is accepted has sent something already (TCP_DEFER_ACCEPT): one that is
 * closed after its answer never enters the epoll set. */
static void accepted(int epoll, int fd)
{
    server.partial[fd] = 0;
    if (answer(fd))
        watch(epoll, fd);
    else
        close(fd);
}

int main(int argc, char *argv[])
{
    size_t port = argc > 2 ? number(argv[1], UINT16_MAX) : 0;

    server.request_size = argc > 2 ? number(argv[2], READ_SIZE) : 0;
    server.close = argc == 4 && strcmp(argv[3], "close") == 0;
    if (!port || server.request_size < 16 || argc > 4 || (argc == 4 && !server.close)) {
        fprintf(stderr, "usage: %s PORT REQUEST_SIZE [close]\n", argv[0]);
        return 2;
    }
    make_responses();
    make_partial();
    serve(listen_on((uint16_t)port, true), accepted, readable, NULL);
}
