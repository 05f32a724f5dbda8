/* Greenlets under simulation: joins, kills and links from all sides, events and
 * results. Every link runs once and before who joins, every end has its reason. */
#include "seeds.h"

#include <cress/async_result.h>
#include <cress/event.h>
#include <cress/timeout.h>

enum { FAMILY = 8 };

struct member {
    cress_greenlet *greenlet;
    unsigned links, linked;
    bool ran, returned, cancelled;
    int told; /* by which error its wait failed */
    void *value;
};
static struct member family[FAMILY];
static unsigned size;

static void count_link(cress_greenlet *g, void *arg)
{
    struct member *m = arg;

    check(g == m->greenlet && cress_ready(g));
    m->links++;
}

static struct member *anyone(void)
{
    return &family[pick(size)];
}

static void check_end(struct member *m)
{
    cress_greenlet *g = m->greenlet;

    check(cress_ready(g));
    check(m->links == m->linked);
    if (m->ran && m->told != ECANCELED) {
        check(cress_successful(g) && cress_value(g) == m->value && !cress_was_killed(g));
    } else {
        check(m->cancelled && cress_was_killed(g) && cress_error(g) == ECANCELED);
        check(cress_value(g) == NULL);
    }
}

static int join_one(struct member *m)
{
    void *value = NULL;
    bool waits = !cress_ready(m->greenlet);
    int result;

    if (coin())
        return cress_join(m->greenlet, pick_timeout());
    result = cress_get(m->greenlet, &value, pick_timeout());
    if (result == 0)
        check(value == m->value && m->returned);
    if (result == 0 && waits)
        check_end(m);
    return result;
}

/* Nobody waits for ever for one who may wait for him: not without a limit. */
static int do_something(struct member *self)
{
    struct member *other = anyone();
    cress_greenlet *g = other->greenlet;

    switch (pick(6)) {
    case 0:
        other->cancelled = true;
        cress_cancel(g);
        return cress_sleep(0);
    case 1:
        other->cancelled = true;
        return cress_kill(g, other == self ? 0 : pick_span());
    case 2:
        if (cress_ready(g))
            return 0; /* else when it runs is between here and the next wait */
        check(cress_link(g, count_link, other) == 0);
        other->linked++;
        return 0;
    case 3:
        if (other == self)
            return 0;
        return cress_join(g, pick_span());
    default:
        return cress_sleep(pick_span());
    }
}

static void *live(void *arg)
{
    struct member *self = arg;

    self->ran = true;
    for (unsigned steps = pick_between(1, 8); steps > 0; steps--) {
        int result = do_something(self);
        if (result < 0 && errno == ECANCELED && cress_check() < 0) {
            self->told = ECANCELED;
            break;
        }
    }
    self->returned = true;
    return self->value;
}

static void joins_and_kills(void)
{
    size = pick_between(1, FAMILY);
    for (unsigned i = 0; i < size; i++) {
        family[i] = (struct member){ .value = &family[i] };
        family[i].greenlet = pick(3) ? cress_spawn(live, &family[i])
                                     : cress_spawn_later(pick_span(), live, &family[i]);
        check(family[i].greenlet);
    }
    for (unsigned i = pick(5); i > 0; i--)
        join_one(anyone());
    for (unsigned i = 0; i < size; i++) {
        check(cress_join(family[i].greenlet, CRESS_FOREVER) == 0);
        check(cress_sleep(1) == 0); /* links of one that had ended before */
        check_end(&family[i]);
        cress_release(family[i].greenlet);
    }
}

/* ---- events and results -------------------------------------------------------------- */

static cress_event event;
static cress_async_result result;
static unsigned generation, woken;
static int waiting;

static void *wait_for_event(void *unused)
{
    (void)unused;
    for (int i = 0; i < 4; i++) {
        unsigned before = generation;
        waiting++;
        int outcome = cress_event_wait(&event, pick_timeout());
        waiting--;
        if (outcome == 0)
            check(generation > before || cress_event_is_set(&event) || before > 0);
        else
            check(errno == ETIMEDOUT || errno == ECANCELED);
        if (outcome < 0 && errno == ECANCELED)
            return NULL;
        woken += outcome == 0;
    }
    return NULL;
}

static void *broadcast(void *unused)
{
    (void)unused;
    for (int i = 0; i < 6; i++) {
        cress_sleep(pick_span());
        generation++;
        cress_event_set(&event);
        if (coin())
            cress_sleep(pick_span());
        cress_event_clear(&event);
    }
    return NULL;
}

static void *wait_for_any(void *unused)
{
    cress_waitable *objects[] = { &event.waitable, NULL, &result.waitable };

    (void)unused;
    for (int i = 0; i < 4; i++) {
        ssize_t index = cress_wait_any(objects, 3, pick_timeout());
        if (index == 2)
            check(cress_async_result_ready(&result));
        else if (index < 0 && errno == ECANCELED)
            return NULL;
        check(index == 0 || index == 2 || (index < 0 && errno == ETIMEDOUT));
    }
    return NULL;
}

static void *wait_for_result(void *unused)
{
    void *value;

    (void)unused;
    if (cress_async_result_get(&result, &value, pick_timeout()) == 0)
        check(value == &result && cress_async_result_ready(&result));
    else
        check(errno == ETIMEDOUT || errno == ECANCELED || errno == EPROTO);
    return NULL;
}

static void events_and_results(void)
{
    struct crowd crowd = { .count = 0 };

    event = (cress_event){ 0 };
    result = (cress_async_result){ 0 };
    generation = woken = 0;
    waiting = 0;
    for (unsigned i = pick_between(1, 4); i > 0; i--) {
        crowd_spawn(&crowd, wait_for_event, NULL);
        crowd_spawn(&crowd, wait_for_any, NULL);
        crowd_spawn(&crowd, wait_for_result, NULL);
        crowd_spawn(&crowd, broadcast, NULL);
    }
    crowd_harass(&crowd, pick(6));
    if (coin())
        cress_async_result_set(&result, &result);
    else
        cress_async_result_fail(&result, EPROTO);
    check(cress_sleep(200) == 0);
    cress_event_set(&event);
    crowd_join(&crowd);
    check(waiting == 0 && !event.waitable.first && !result.waitable.first);
}

/* A broadcast reaches all who wait, also when it is taken back at once. */
static void *hear(void *unused)
{
    (void)unused;
    check(cress_event_wait(&event, CRESS_FOREVER) == 0);
    woken++;
    return NULL;
}

static void one_broadcast(void)
{
    struct crowd crowd = { .count = 0 };
    unsigned listeners = pick_between(1, 8);

    event = (cress_event){ 0 };
    woken = 0;
    for (unsigned i = 0; i < listeners; i++)
        crowd_spawn(&crowd, hear, NULL);
    check(cress_sleep(50) == 0);
    cress_event_set(&event);
    cress_event_clear(&event);
    crowd_join(&crowd);
    check(woken == listeners);
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "joins_and_kills", joins_and_kills, 0, 0 },
        { "events_and_results", events_and_results, 0, 0 },
        { "one_broadcast", one_broadcast, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
