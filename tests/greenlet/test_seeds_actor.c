/* Actors under simulation: each message that was taken is received once or dropped once,
 * whatever fails, is killed or closed; and the actor comes to an end.
 */
#include "seeds.h"

#include <cress/actor.h>
#include <cress/timeout.h>

#include <stdio.h>
#include <unistd.h>

enum { MESSAGES = 60 };
enum fate { UNSENT, OFFERED, REFUSED, TAKEN, RECEIVED, DROPPED };

struct message {
    enum fate fate;
    bool accepted; /* its send returned 0 */
};
static struct message messages[MESSAGES];
static unsigned next_message, times_given_up;
static unsigned failing; /* of a hundred messages */
static bool busy;
static cress_actor actor;

static void settle_fate(struct message *m, enum fate fate)
{
    check(m->fate == OFFERED);
    m->fate = fate;
}

static void drop(void *message)
{
    settle_fate(message, DROPPED);
}

static void gave_up(cress_actor *a, int error, void *self)
{
    (void)self;
    check(a == &actor && error != 0 && !cress_actor_running(a));
    times_given_up++;
}

static int fail(void)
{
    errno = EDOM;
    return -1;
}

static int setup(cress_actor *a, void *self)
{
    (void)a, (void)self;
    check(!busy);
    if (coin() && cress_sleep(pick_span()) < 0)
        return -1;
    return pick(100) < failing ? fail() : 0;
}

static int receive(cress_actor *a, void *message, void *self)
{
    int result = 0;

    (void)self;
    check(!busy);
    busy = true;
    settle_fate(message, RECEIVED);
    if (coin())
        result = cress_sleep(pick_span());
    if (pick(40) == 0)
        cress_actor_close(a);
    if (pick(60) == 0)
        result = cress_actor_kill(a, CRESS_FOREVER);
    busy = false;
    return result == 0 && pick(100) < failing ? fail() : result;
}

static void *send_some(void *arg)
{
    for (unsigned i = pick(8); i > 0 && next_message < MESSAGES; i--) {
        struct message *m = &messages[next_message++];

        m->fate = OFFERED;
        if (cress_actor_send(&actor, m, pick_timeout()) == 0) {
            m->accepted = true;
        } else {
            check(errno == EPIPE || errno == ETIMEDOUT || errno == ECANCELED);
            settle_fate(m, REFUSED);
        }
        if (cress_sleep(pick_span()) < 0)
            break;
    }
    return arg;
}

static void *join_it(void *arg)
{
    if (cress_actor_join(&actor, pick_timeout()) < 0 && errno == ETIMEDOUT)
        return arg;
    check(!cress_actor_running(&actor) || cress_check() < 0);
    return arg;
}

static void *end_it(void *arg)
{
    cress_sleep(pick(20));
    switch (pick(4)) {
    case 0:
        cress_actor_close(&actor);
        break;
    case 1:
        cress_actor_kill(&actor, pick_timeout());
        break;
    default:
        cress_actor_stop(&actor, pick_timeout());
        check(!cress_actor_running(&actor));
    }
    return arg;
}

static void begin(void)
{
    actor = (cress_actor){
        .receive = receive,
        .setup = coin() ? setup : NULL,
        .drop = drop,
        .gave_up = gave_up,
        .inbox_max = pick(5),
        .restart_min = 0.01,
        .restart_max = pick_between(1, 3),
        .restart_limit = (int)pick(6) - 1,
        .restart_span = pick_between(1, 20),
    };
    for (unsigned i = 0; i < MESSAGES; i++)
        messages[i] = (struct message){ .fate = UNSENT };
    next_message = times_given_up = 0;
    busy = false;
    check(cress_actor_start(&actor) == 0);
}

static void check_end(void)
{
    check(cress_actor_stop(&actor, CRESS_FOREVER) == 0);
    check(!cress_actor_running(&actor) && !busy);
    check(cress_actor_backlog(&actor) == 0);
    check(times_given_up <= 1);
    check(times_given_up == 0 || cress_actor_join(&actor, 0) < 0);
    for (unsigned i = 0; i < next_message; i++)
        check(messages[i].accepted ? messages[i].fate == RECEIVED || messages[i].fate == DROPPED
                                   : messages[i].fate == REFUSED);
}

static void run_all(void)
{
    struct crowd crowd = { .count = 0 };

    begin();
    for (unsigned i = pick_between(1, 6); i > 0; i--)
        crowd_spawn(&crowd, send_some, NULL);
    for (unsigned i = pick(3); i > 0; i--)
        crowd_spawn(&crowd, join_it, NULL);
    for (unsigned i = pick(3); i > 0; i--)
        crowd_spawn(&crowd, end_it, NULL);
    crowd_harass(&crowd, pick(4));
    cress_sleep(pick(20));
    cress_actor_close(&actor);
    crowd_join(&crowd);
    check_end();
}

static void steady(void)
{
    failing = 0;
    run_all();
}

static void failing_ones(void)
{
    failing = pick_between(10, 60);
    run_all();
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "steady", steady, 0, 0 },
        { "failing", failing_ones, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
