/* Lines of waiters: doubly linked through nodes on the waiters' stacks, so that
 * whoever gives up steps out at once. A node whose greenlet has been made ready
 * by something else is dead; it is dropped by whoever comes across it. */
#include "waiter.h"

#include "hub.h"
#include "misuse.h"

#include <errno.h>

static bool in_greenlet(void)
{
    return greenlet_current != NULL;
}

int waiter_check(void)
{
    return in_greenlet() ? hub_check() : 0;
}

bool waiter_is_foreign(const cress_waitable *line)
{
    return line->first && line->first->greenlet->hub != hub_current;
}

int waiter_refuse_foreign(const void *site)
{
    return misuse_at(site, EPERM, "greenlets of another thread wait on what this call touches");
}

static void append(cress_waitable *line, struct cress_waiter *waiter)
{
    waiter->greenlet = greenlet_current;
    waiter->woken = false;
    waiter->line = line;
    waiter->next = NULL;
    waiter->prev = line->last;
    if (line->last)
        line->last->next = waiter;
    else
        line->first = waiter;
    line->last = waiter;
}

void waiter_push(cress_waitable *line, struct cress_waiter *waiter)
{
    waiter->watches = false;
    append(line, waiter);
}

void waiter_push_watcher(cress_waitable *line, struct cress_waiter *waiter)
{
    waiter->watches = true;
    append(line, waiter);
}

void waiter_remove(struct cress_waiter *waiter)
{
    cress_waitable *line = waiter->line;

    if (!line)
        return;
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        line->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        line->last = waiter->prev;
    waiter->line = NULL;
}

struct cress_waiter *waiter_first(cress_waitable *line)
{
    struct cress_waiter *waiter, *next;

    if (waiter_is_foreign(line)) {
        waiter_refuse_foreign(__builtin_return_address(0));
        return NULL;
    }
    for (waiter = line->first; waiter; waiter = next) {
        next = waiter->next;
        if (!waiter->greenlet->parked)
            waiter_remove(waiter);
        else if (!waiter->watches)
            break;
    }
    return waiter;
}

struct cress_waiter *waiter_pop(cress_waitable *line)
{
    struct cress_waiter *waiter = waiter_first(line);

    if (waiter)
        waiter_remove(waiter);
    return waiter;
}

void waiter_wake_all(cress_waitable *line, int error)
{
    struct cress_waiter *waiter;

    if (waiter_is_foreign(line)) {
        waiter_refuse_foreign(__builtin_return_address(0));
        return;
    }
    while ((waiter = line->first)) {
        waiter_remove(waiter);
        if (!waiter->greenlet->parked)
            continue;
        waiter->woken = true;
        hub_wake(waiter->greenlet, waiter->watches ? 0 : error);
    }
}

/* Who can't park: fails as a try would, or because of it. */
static int refuse(bool try)
{
    errno = try ? ETIMEDOUT : EPERM;
    return -1;
}

int waiter_wait(cress_waitable *line, struct cress_waiter *waiter, cress_seconds timeout,
                const char *what)
{
    if (!in_greenlet())
        return refuse(timeout <= 0);
    if (waiter_is_foreign(line))
        return waiter_refuse_foreign(__builtin_return_address(0));
    waiter_push(line, waiter);

    int result = hub_wait(hub_deadline(timeout), what, line);

    waiter_remove(waiter);
    return result;
}

int waiter_watch(cress_waitable *line, cress_seconds deadline, const char *what)
{
    struct cress_waiter waiter;

    if (!in_greenlet())
        return refuse(deadline <= cress_now());
    if (waiter_is_foreign(line))
        return waiter_refuse_foreign(__builtin_return_address(0));
    waiter_push_watcher(line, &waiter);

    int result = hub_wait(deadline, what, line);

    waiter_remove(&waiter);
    return result;
}
