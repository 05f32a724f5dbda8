/* A TCP server: each connection gets a greenlet of its own, which sends six lines; then
 * the server closes it.
 *
 * With a hundred connections open nothing more is accepted until one ends. SIGINT and
 * SIGTERM end the server, which lets handlers finish for a second.
 *
 *     stream_server 5000          0: any free port, which it prints
 *     nc 127.0.0.1 5000
 */
#include <cress/cress.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void handle(cress_stream *client, const cress_address *peer, void *self)
{
    static const char *const lines[] = {
        "Hello from a telnet!\n", "0\n", "1\n", "2\n", "3\n", "4\n"
    };

    (void)peer, (void)self;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (cress_stream_write_all(client, lines[i], strlen(lines[i])) < 0)
            return;
}

static void *stop(void *server)
{
    cress_stream_server_close(server);
    return NULL;
}

static void *program(void *port)
{
    cress_stream_server server = { .address = port, .handle = handle, .max = 100 };

    cress_signal(SIGINT, stop, &server);
    cress_signal(SIGTERM, stop, &server);
    if (cress_stream_server_start(&server) < 0)
        return cress_fail(errno);
    printf("Listening on port %u\n", cress_stream_server_port(&server));
    fflush(stdout);
    return cress_stream_server_serve_forever(&server) < 0 ? cress_fail(errno) : NULL;
}

int main(int argc, char *argv[])
{
    return cress_run(program, argc > 1 ? argv[1] : "5000") < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
