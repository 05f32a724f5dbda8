/* A ZeroMQ request socket and a reply socket over TCP, each in a greenlet of one thread:
 * a send or receive that would block lets the other one run.
 */
#include <cress/cress.h>
#include <cress/zeromq.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void *context;
static char endpoint[64]; /* with the port that was chosen */

static void *serve(void *socket)
{
    char reply[8];

    for (int request = 1; request < 10; request++) {
        if (cress_zmq_send(socket, "Hello", 5, 0) < 0)
            return cress_fail(errno);
        printf("Switched to Server for %d\n", request);
        if (cress_zmq_recv(socket, reply, sizeof reply, 0) < 0)
            return cress_fail(errno);
    }
    return NULL;
}

static void *answer(void *socket)
{
    char request_text[8];

    for (int request = 1; request < 10; request++) {
        if (cress_zmq_recv(socket, request_text, sizeof request_text, 0) < 0)
            return cress_fail(errno);
        printf("Switched to Client for %d\n", request);
        if (cress_zmq_send(socket, "World", 5, 0) < 0)
            return cress_fail(errno);
    }
    return NULL;
}

static int connect_them(void *server, void *client)
{
    size_t size = sizeof endpoint;

    if (zmq_bind(server, "tcp://127.0.0.1:*") < 0 ||
        zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0)
        return -1;
    return zmq_connect(client, endpoint);
}

static void *program(void *unused)
{
    void *server = zmq_socket(context, ZMQ_REQ), *client = zmq_socket(context, ZMQ_REP);

    (void)unused;
    if (connect_them(server, client) < 0)
        return cress_fail(errno);

    cress_greenlet *both[] = { cress_spawn(serve, server), cress_spawn(answer, client) };

    cress_joinall(both, 2, CRESS_FOREVER);
    cress_release(both[0]);
    cress_release(both[1]);
    cress_zmq_close(server, CRESS_FOREVER);
    cress_zmq_close(client, CRESS_FOREVER);
    cress_zmq_ctx_term(context);
    return NULL;
}

int main(void)
{
    context = zmq_ctx_new();
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
