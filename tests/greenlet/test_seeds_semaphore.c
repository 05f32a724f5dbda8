/* Semaphores under simulation: never more holders than places, no place is lost to
 * somebody who was killed or came too late, and all come back. */
#include "seeds.h"

#include <cress/semaphore.h>
#include <cress/timeout.h>

static cress_semaphore places;
static size_t bound, held;

static void *hold(void *unused)
{
    (void)unused;
    for (unsigned rounds = pick_between(1, 5); rounds > 0; rounds--) {
        if (cress_semaphore_acquire(&places, pick_timeout()) < 0) {
            check(errno == ETIMEDOUT || errno == ECANCELED);
            if (errno == ECANCELED)
                break;
            continue;
        }
        check(++held <= bound);
        if (coin())
            cress_sleep(pick_span());
        held--;
        check(cress_semaphore_release(&places) == 0);
        if (coin())
            cress_sleep(pick_span());
    }
    return NULL;
}

/* The limit is around the acquire, which may have succeeded by then. */
static void *hold_within_a_limit(void *unused)
{
    cress_timeout limit;

    (void)unused;
    cress_timeout_start(&limit, pick_span());
    int result = cress_semaphore_acquire(&places, pick_timeout());
    if (result == 0)
        check(++held <= bound);
    cress_sleep(pick_span());
    cress_timeout_close(&limit);
    cress_sleep(pick_span());
    if (result < 0)
        return NULL;
    held--;
    check(cress_semaphore_release(&places) == 0);
    return NULL;
}

static void *watch(void *unused)
{
    cress_waitable *free = &places.waitable;

    (void)unused;
    for (int i = 0; i < 4; i++) {
        if (cress_wait_any(&free, 1, pick_timeout()) < 0 && errno == ECANCELED)
            return NULL;
        if (cress_semaphore_acquire(&places, 0) == 0) {
            check(++held <= bound);
            held--;
            check(cress_semaphore_release(&places) == 0);
        }
    }
    return NULL;
}

static void work(void)
{
    struct crowd crowd = { .count = 0 };

    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, hold, NULL);
    for (unsigned i = pick(5); i > 0; i--)
        crowd_spawn(&crowd, hold_within_a_limit, NULL);
    for (unsigned i = pick(3); i > 0; i--)
        crowd_spawn(&crowd, watch, NULL);
    crowd_harass(&crowd, pick(8));
    /* Who watches without a limit a semaphore that others empty waits for ever: not an error. */
    check(cress_sleep(1000) == 0);
    for (unsigned i = 0; i < crowd.count; i++)
        cress_cancel(crowd.members[i]);
    crowd_join(&crowd);
    check(held == 0 && cress_semaphore_free_count(&places) == bound);
    check(!places.waitable.first && places.waitable.ready);
}

static void plain(void)
{
    bound = pick_between(1, 4);
    held = 0;
    places = (cress_semaphore)CRESS_SEMAPHORE_INIT(bound);
    work();
}

static void bounded(void)
{
    bound = pick_between(1, 4);
    held = 0;
    places = (cress_semaphore)CRESS_BOUNDED_SEMAPHORE_INIT(bound);
    work();
}

/* Who stands in line is served in that order, as nobody gives up. */
static unsigned served;

static void *stand_in_line(void *arg)
{
    (void)arg;
    check(cress_semaphore_acquire(&places, CRESS_FOREVER) == 0);
    served++;
    return NULL;
}

static void in_order(void)
{
    struct crowd crowd = { .count = 0 };
    unsigned count = pick_between(2, 8);

    served = 0;
    places = (cress_semaphore){ 0 };
    for (unsigned i = 0; i < count; i++) {
        crowd.members[crowd.count++] = cress_spawn(stand_in_line, NULL);
        check(cress_sleep(1) == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        check(cress_semaphore_release(&places) == 0);
        check(cress_semaphore_acquire(&places, 0) < 0); /* nobody overtakes */
        check(cress_join(crowd.members[i], CRESS_FOREVER) == 0);
        check(served == i + 1);
    }
    crowd_join(&crowd);
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "plain", plain, 0, 0 },
        { "bounded", bounded, 0, 0 },
        { "in_order", in_order, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
