/* Two actors, each with an inbox of its own, that send each other a message for every one
 * that they receive: ping and pong take turns for ever, or COUNT times.
 *
 *     actors [COUNT]
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static cress_receive receive;
static cress_actor pinger = { .name = "pinger", .receive = receive, .self = "ping" };
static cress_actor ponger = { .name = "ponger", .receive = receive, .self = "pong" };
static long messages_left = -1; /* negative: no end */

static int receive(cress_actor *actor, void *message, void *word)
{
    cress_actor *other = actor == &pinger ? &ponger : &pinger;

    puts(message);
    if (messages_left > 0 && --messages_left == 0) {
        cress_actor_close(actor);
        cress_actor_close(other);
        return 0;
    }
    if (cress_actor_send(other, word, CRESS_FOREVER) < 0)
        return -1;
    return cress_sleep(0);
}

static void *program(void *unused)
{
    (void)unused;
    if (cress_actor_start(&pinger) < 0 || cress_actor_start(&ponger) < 0 ||
        cress_actor_send(&pinger, "start", CRESS_FOREVER) < 0)
        return cress_fail(errno);
    cress_actor_join(&pinger, CRESS_FOREVER);
    cress_actor_join(&ponger, CRESS_FOREVER);
    return NULL;
}

int main(int argc, char *argv[])
{
    if (argc > 1)
        messages_left = strtol(argv[1], NULL, 10);
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
