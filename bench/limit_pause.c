/* The floor of a handler that sleeps: ten milliseconds between the recv and the send.
 *
 * All sleep equally long, so those who do stand in a line, and the first of them says how long
 * the loop may. Nobody asks twice before having been answered.
 *
 *     limit_pause PORT
 */
#include "floor.h"

#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, PAUSE = 10000000 }; /* nanoseconds */

static const char stays[] = ANSWER_STAYS;

static struct {
    struct sleeper {
        int64_t end; /* nanoseconds */
        int fd;
    } * line; /* a ring */
    size_t size, first, count;
} server;

static int64_t now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)SECOND + now.tv_nsec;
}

static void readable(int fd)
{
    static char input[READ_SIZE];
    ssize_t received = recv(fd, input, sizeof input, 0);

    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        close(fd);
        return;
    }
    if (server.count == server.size)
        die("more requests than connections");
    server.line[(server.first + server.count++) % server.size] =
        (struct sleeper){ now() + PAUSE, fd };
}

/* Answers whose time has come; how long the next one's takes. */
static const struct timespec *answer_due(void)
{
    static struct timespec left;
    int64_t time = now();

    for (; server.count > 0; server.count--) {
        const struct sleeper *first = &server.line[server.first];
        if (first->end > time) {
            left.tv_nsec = first->end - time;
            return &left;
        }
        if (send(first->fd, stays, sizeof stays - 1, MSG_NOSIGNAL) < 0)
            perror("send");
        server.first = (server.first + 1) % server.size;
    }
    return NULL;
}

int main(int argc, char *argv[])
{
    size_t port = argc == 2 ? number(argv[1], UINT16_MAX) : 0;

    if (!port) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    server.size = descriptors();
    server.line = calloc(server.size, sizeof *server.line);
    if (!server.line)
        die("calloc");
    serve(listen_on((uint16_t)port, false), watch, readable, answer_due);
}
