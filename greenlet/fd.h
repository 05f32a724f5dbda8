/* Waiting on descriptors: who waits stands among the loop's watchers of the descriptor, so
 * that cress_close finds them.
 */
#ifndef CRESS_FD_PRIVATE_H
#define CRESS_FD_PRIVATE_H

#include "hub.h"

#include <errno.h>

/* One who waits, on its own stack. */
struct fd_wait {
    struct loop_io io; /* first */
    int revents;       /* LOOP_READ, LOOP_WRITE: what was found */
    bool closed;       /* by cress_close, while it stood here */
};

/* Lists the running greenlet under fd, to be told of the loop's events; with none it is only told of
 * cress_close. EBADF: negative; ENOMEM. */
int fd_stand(struct fd_wait *wait, int fd, int events);
/* Takes it out, if it stands anywhere. Leaves errno alone. */
void fd_step_out(struct fd_wait *wait);
/* [waits] For the loop's events: those that are there. EBADF: closed meanwhile. */
int fd_wait(int fd, int events, cress_seconds deadline);

#endif
