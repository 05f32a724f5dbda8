/* See admission.h. */
#include "admission.h"

#include <errno.h>

void admission_init(struct admission *a, int limit, int backlog)
{
    *a = (struct admission){
        .places = CRESS_BOUNDED_SEMAPHORE_INIT((size_t)(limit > 0 ? limit : 0)),
        .limit = limit > 0 ? (size_t)limit : 0,
        .backlog = backlog > 0 ? (size_t)backlog : 0,
    };
}

int admission_enter(struct admission *a)
{
    if (!a->limit)
        return 0;
    if (cress_semaphore_free_count(&a->places) == 0 && a->waiting >= a->backlog) {
        errno = EAGAIN;
        return -1;
    }
    a->waiting++;
    int result = cress_semaphore_acquire(&a->places, CRESS_FOREVER);
    a->waiting--;
    return result;
}

void admission_leave(struct admission *a)
{
    if (a->limit)
        cress_semaphore_release(&a->places);
}
