/* Limits under simulation: nested, shielded, met by kills. A wait fails only for a
 * reason that stands, and never for one that is hidden; what has passed stays passed. */
#include "seeds.h"

#include <cress/event.h>
#include <cress/timeout.h>

#include <stddef.h>

enum { DEPTH = 4 };

struct limits {
    cress_timeout nodes[DEPTH];
    cress_seconds deadlines[DEPTH];
    bool shields[DEPTH];
    unsigned depth;
    bool told; /* of a kill */
};

/* The earliest deadline in sight. */
static cress_seconds limit_of(const struct limits *l)
{
    cress_seconds limit = CRESS_FOREVER;

    for (unsigned i = l->depth; i > 0; i--) {
        limit = l->deadlines[i - 1] < limit ? l->deadlines[i - 1] : limit;
        if (l->shields[i - 1])
            break;
    }
    return limit;
}

static bool is_shielded(const struct limits *l)
{
    for (unsigned i = 0; i < l->depth; i++)
        if (l->shields[i])
            return true;
    return false;
}

static cress_event never;

static void wait_once(struct limits *l)
{
    cress_seconds started = cress_now(), limit = limit_of(l), span = pick_span();
    int result, error;

    if (coin()) {
        result = cress_sleep(span);
        if (result == 0)
            check(cress_now() >= started + span && (started < limit || span == 0));
    } else {
        result = cress_event_wait(&never, span);
        check(result < 0); /* nobody sets it */
        if (errno == ETIMEDOUT)
            check(cress_now() >= started + span || cress_now() >= limit);
        result = errno == ETIMEDOUT && cress_now() < limit ? 0 : -1;
    }
    error = errno;
    if (result < 0 && error == ECANCELED)
        l->told = true;
    if (result < 0)
        check((error == ETIMEDOUT && cress_now() >= limit) ||
              (error == ECANCELED && !is_shielded(l)));
    if (l->told && !is_shielded(l))
        check(result < 0);
    if (limit <= started)
        check(cress_check() < 0);
}

static void open_one(struct limits *l)
{
    cress_seconds span = pick_timeout();

    l->deadlines[l->depth] = cress_now() + span;
    l->shields[l->depth] = pick(4) == 0;
    if (l->shields[l->depth])
        cress_timeout_start_shielded(&l->nodes[l->depth], span);
    else
        cress_timeout_start(&l->nodes[l->depth], span);
    l->depth++;
}

static void close_one(struct limits *l)
{
    unsigned i = --l->depth;

    cress_timeout_close(&l->nodes[i]);
    check(cress_timeout_expired(&l->nodes[i]) == (cress_now() >= l->deadlines[i]));
}

static void *nest(void *unused)
{
    struct limits l = { .depth = 0 };

    (void)unused;
    for (unsigned steps = pick_between(5, 25); steps > 0; steps--) {
        unsigned verb = pick(4);
        if (verb == 0 && l.depth < DEPTH)
            open_one(&l);
        else if (verb == 1 && l.depth > 0)
            close_one(&l);
        else
            wait_once(&l);
    }
    while (l.depth > 0)
        close_one(&l);
    return NULL;
}

static void nested(void)
{
    struct crowd crowd = { .count = 0 };

    never = (cress_event){ 0 };
    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, nest, NULL);
    crowd_harass(&crowd, pick(8));
    crowd_join(&crowd);
    check(!never.waitable.first);
}

/* ---- with_timeout ---------------------------------------------------------------- */

static void *sleep_for(void *arg)
{
    return cress_sleep(*(cress_seconds *)arg) < 0 ? cress_fail(errno) : arg;
}

static void *try_within(void *unused)
{
    char late;

    (void)unused;
    for (unsigned rounds = pick_between(1, 6); rounds > 0; rounds--) {
        cress_seconds span = pick_span(), limit = pick_span(), started = cress_now();
        void *value = cress_with_timeout(limit, sleep_for, &span, &late);
        if (value == &span)
            check(cress_now() >= started + span);
        else if (value == &late)
            check(cress_now() >= started + limit && span + 1e-9 >= 0);
        else
            return NULL; /* killed: it has failed so */
        if (value == &late && limit > 0)
            check(span >= limit - 0.01);
    }
    return NULL;
}

static void with_timeout(void)
{
    struct crowd crowd = { .count = 0 };

    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, try_within, NULL);
    crowd_harass(&crowd, pick(6));
    crowd_join(&crowd);
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "nested", nested, 0, 0 },
        { "with_timeout", with_timeout, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
