/* Processes that this one started: the part that subprocess.c and fork.c share.
 *
 * A pidfd tells of the end: it works in every thread's hub, concerns one process only, so
 * that nobody's children are reaped but our own, and leaves SIGCHLD to whoever wants it.
 * Where the kernel has none (before 5.3, or where it is forbidden) the process is asked for in
 * pauses.
 *
 * The hub knows which children it has, for the virtual clock: it does not jump while a
 * process lives, for which time passes as it does outside.
 */
#ifndef CRESS_CHILD_H
#define CRESS_CHILD_H

#include <cress/api.h>

#include <sys/types.h>

struct hub;

struct child {
    struct child *next;
    pid_t pid;
};

/* A node for child_add; NULL: ENOMEM. */
struct child *child_create(void);
/* Lists it as the calling thread's hub's child; outside a hub it is freed. */
void child_add(struct child *child, pid_t pid);
/* It is reaped; or its owner cares no more. */
void child_remove(pid_t pid);

/* A descriptor to wait on, or -1. Leaves errno alone. */
int child_open(pid_t pid);
/* Asks, without waiting: 1, and waitpid's status: it was reaped; 0: it runs; -1: ECHILD: it is
 * none of ours, or somebody else has reaped it. */
int child_reap(pid_t pid, int *ret_status);
/* [waits] until it can be reaped, and reaps it: 0; -1. watched: of child_open. */
int child_wait(pid_t pid, int watched, cress_seconds deadline, int *ret_status);

#endif
