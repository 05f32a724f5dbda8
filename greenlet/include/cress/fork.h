/* <cress/fork.h>: a second process that goes on from here.
 *
 * fork(2) alone copies a hub in the middle of its work: the child would share the
 * parent's epoll instance, run its greenlets a second time and wait for threads that
 * it does not have. cress_fork gives the child a hub of its own in which only the
 * caller goes on.
 *
 * gevent: gevent.os.fork, fork_and_watch, waitpid.
 */
#ifndef CRESS_FORK_H
#define CRESS_FORK_H

#include <cress/hub.h>

#include <sys/types.h>
#include <sys/wait.h>

/* As fork(2): returns twice, 0 in the child. There the calling greenlet is the hub's first:
 * when its function returns, cress_run returns.
 *
 * Of the caller all is as in the parent: its frames, locals, name, open limits, a kill. The
 * child has, beside it,
 * - no other greenlets: they never run again, nor clean up. To who asks they have
 *   ended, with ECANCELED. What they held or had begun stays as it is: a lock that one of them
 *   held is held for ever, a pool counts its members. Make new ones in the child.
 * - no links, joiners or pool of its own: what was to happen at the caller's end happens
 *   in the parent.
 * - no timers, no watched descriptors, no signal handlers (what cress_signal replaced is
 *   back), no threads: a thread pool's first use in the child starts new ones, nobody
 *   watches for stalls. Other hubs of the process, in other threads, are gone;
 * - no settings for name lookups but the system's.
 * Memory of the parent's greenlets stays in the child as it was, until that ends.
 *
 * stdio's output buffers are written before, so that nothing leaves twice. With the virtual
 * clock, time passes as outside until the child is reaped by cress_waitpid. -1: EPERM, not
 * in a greenlet; ECANCELED, the hub is ending; fork(2)'s errors. In the child nothing
 * fails: one that gets no event loop says so on stderr and exits with status 127. */
CRESS_API pid_t cress_fork(void);

/* [waits] until that child of this process, forked or not, has ended, and reaps it: its
 * pid, and waitpid(2)'s status in *ret_status (may be NULL). With WNOHANG in options it does
 * not wait: 0, it runs. -1: ECHILD, no child of ours or reaped by somebody else; EINVAL, a
 * pid that is not one process' (<= 0) or another option. */
CRESS_API pid_t cress_waitpid(pid_t pid, int *ret_status, int options);

#endif
