/* A producer puts one message a second into one queue, and each request streams
 * what it gets from there, a line of JSON each: clients compete for messages.
 *
 * A client that leaves ends its greenlet: its wait for the queue fails, and what
 * was deferred runs. The queue is bounded, so without clients the producer waits
 * as well.
 *
 *     longpoll --bind 127.0.0.1:8000
 *     curl -N 127.0.0.1:8000        in two terminals
 */
#include <cress/cress.h>

#include <stdio.h>

static cress_queue messages = CRESS_QUEUE_INIT(1);
static bool producing;

static void *produce(void *message)
{
    while (cress_queue_put(&messages, message, CRESS_FOREVER) == 0)
        if (cress_sleep(1) < 0)
            break;
    return NULL;
}

/* A greenlet needs a hub, and the server's is there from the first request on. */
static int start_producing(void)
{
    if (producing)
        return 0;
    cress_greenlet *producer = cress_spawn(produce, "\"Hello World\"\n");
    producing = producer != NULL;
    cress_release(producer);
    return producing ? 0 : -1;
}

static void count_out(void *clients)
{
    cress_log(CRESS_LOG_INFO, "a client left, %d here", --*(int *)clients);
}

static int application(cress_environ *env, cress_response *res, void *self)
{
    int *clients = self;
    void *message;

    if (start_producing() < 0 || cress_defer(env, count_out, clients) < 0)
        return -1;
    ++*clients;
    /* No limit over this request: it has no end of its own. */
    if (cress_request_timeout(env, CRESS_FOREVER) < 0 ||
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "application/json" })) < 0)
        return -1;
    while (cress_queue_get(&messages, &message, CRESS_FOREVER) == 0)
        if (cress_response_write(res, message, strlen(message)) < 0)
            break;
    return -1;
}

int main(int argc, char *argv[])
{
    int clients = 0;
    int status = cress_main(argc, argv, application, &clients);

    cress_queue_finish(&messages);
    return status;
}
