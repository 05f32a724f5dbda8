/* A program of somebody else's, on the installed cress_zmq. */
#include <cress/greenlet.h>
#include <cress/zeromq.h>

#include <stdio.h>

static void *receive(void *socket)
{
    char buf[32];
    int count = cress_zmq_recv(socket, buf, sizeof buf, 0);

    if (count > 0)
        printf("%.*s\n", count, buf);
    return NULL;
}

static void *program(void *context)
{
    void *to = zmq_socket(context, ZMQ_PUSH), *from = zmq_socket(context, ZMQ_PULL);

    if (zmq_bind(from, "inproc://x") < 0 || zmq_connect(to, "inproc://x") < 0)
        return cress_fail(EIO);

    cress_greenlet *receiver = cress_spawn(receive, from);

    cress_sleep(0);
    cress_zmq_send(to, "hello, zeromq", 13, 0);
    cress_join(receiver, CRESS_FOREVER);
    cress_release(receiver);
    cress_zmq_close(to, 0);
    cress_zmq_close(from, 0);
    return NULL;
}

int main(void)
{
    void *context = zmq_ctx_new();
    int result = cress_run(program, context);

    zmq_ctx_term(context);
    return result < 0;
}
