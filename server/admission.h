/* How many requests may be in flight, and how many may wait for that. */
#ifndef CRESS_ADMISSION_H
#define CRESS_ADMISSION_H

#include <cress/semaphore.h>

struct admission {
    cress_semaphore places;
    size_t limit; /* 0: none */
    size_t waiting, backlog;
};

void admission_init(struct admission *a, int limit, int backlog);
/* [waits] 0; -1 with EAGAIN (too many wait already), or what ended the wait. */
int admission_enter(struct admission *a);
void admission_leave(struct admission *a);

#endif
