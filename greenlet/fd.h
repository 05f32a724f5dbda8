/* Waiting on descriptors: who waits is listed under the descriptor's number, so
 * that cress_close finds them.
 */
#ifndef CRESS_FD_PRIVATE_H
#define CRESS_FD_PRIVATE_H

#include "hub.h"

#include <errno.h>

/* One who waits, on its own stack. */
struct fd_wait {
    ev_io io; /* first */
    struct fd_wait *next, *prev;
    cress_greenlet *greenlet;
    int fd;
    int revents; /* libev's: what was found */
    bool listed;
    bool closed; /* by cress_close, while it stood here */
};

/* Lists the running greenlet under fd and arms a watcher for libev's events; with
 * none it is only told of cress_close. EBADF: negative; ENOMEM. */
int fd_stand(struct fd_wait *wait, int fd, int events);
/* Takes it out, if it stands anywhere. Leaves errno alone. */
void fd_step_out(struct fd_wait *wait);
/* [waits] For libev's events: those that are there. EBADF: closed meanwhile. */
int fd_wait(int fd, int events, cress_seconds deadline);

#endif
