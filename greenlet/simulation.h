/* Where a simulation comes in: the scheduler's decisions, and the system calls of
 * green I/O. Without one each of these is a branch that is never taken. See
 * simulation.c.
 */
#ifndef CRESS_SIMULATION_PRIVATE_H
#define CRESS_SIMULATION_PRIVATE_H

#include "hub.h"
#include "system.h"

#include <cress/simulation.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct simulation {
    uint64_t seed, digest;
    uint64_t world, program; /* the generators' states */
    unsigned manner;         /* how the next greenlet is chosen */
    double fault_rate, reset_rate;
    cress_seconds lateness;
};

/* A number less than limit; an event of that probability; and what was decided. */
uint64_t simulation_below(struct simulation *s, uint64_t limit);
bool simulation_chance(struct simulation *s, double rate);
void simulation_note(struct simulation *s, uint64_t decision);
/* CRESS_SEED: 1 when it is there; 0; -1 with EINVAL: it is no number. */
int simulation_read_seed(uint64_t *ret_seed);

/* ---- hub.c ------------------------------------------------------------------- */

/* Makes the hub a simulation, if the options or the environment say so: 0, or -1 with
 * EINVAL or ENOMEM. */
int simulation_start(struct hub *hub, const cress_simulation_options *options);
void simulation_finish(struct hub *hub);
/* Before a task is taken: puts a greenlet to the front of the ready queue. True: the
 * hub shall look at the world before. */
bool simulation_step(struct hub *hub);
/* Orders what was appended to the ready queue since its end was `tail`. */
void simulation_order(struct hub *hub, struct task **tail);
/* Nothing is ready: time goes on to `deadline`, or a little past it. */
void simulation_jump(struct hub *hub, cress_seconds deadline);
/* Something is ready, and yet some time may have passed. */
void simulation_creep(struct hub *hub);
/* Does a call that did not have to wait give up its turn? */
bool simulation_takes_turn(struct hub *hub);

/* ---- green I/O ------------------------------------------------------------------ */

/* System calls, disturbed. */
ssize_t simulated_recv(int fd, void *buf, size_t len, int flags);
ssize_t simulated_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t simulated_send(int fd, const void *buf, size_t len, int flags);
ssize_t simulated_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t simulated_readv(int fd, const struct iovec *iov, int count);
ssize_t simulated_writev(int fd, const struct iovec *iov, int count);
ssize_t simulated_sendfile(int to, int from, off_t *offset, size_t len);
int simulated_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int simulated_connect(int fd, const struct sockaddr *addr, socklen_t len);
int simulated_poll(struct pollfd *fds, nfds_t count, bool may_wait);

/* How many hubs of the process are simulated: atomic. */
extern unsigned simulation_count;

static inline bool simulated(void)
{
    return __builtin_expect(__atomic_load_n(&simulation_count, __ATOMIC_RELAXED), 0) &&
           hub_current && hub_current->simulation;
}

/* For those who then try again, and do not want errno: a negative one. */
#define sys_try_recv(...) (simulated() ? -EINTR : system_try_recv(__VA_ARGS__))
#define sys_try_send(...) (simulated() ? -EINTR : system_try_send(__VA_ARGS__))
/* What green I/O calls instead of the system calls. */
#define sys_recv(...) (simulated() ? simulated_recv(__VA_ARGS__) : system_recv(__VA_ARGS__))
#define sys_recvmsg(...) \
    (simulated() ? simulated_recvmsg(__VA_ARGS__) : system_recvmsg(__VA_ARGS__))
#define sys_send(...) (simulated() ? simulated_send(__VA_ARGS__) : system_send(__VA_ARGS__))
#define sys_sendmsg(...) \
    (simulated() ? simulated_sendmsg(__VA_ARGS__) : system_sendmsg(__VA_ARGS__))
#define sys_readv(...) (simulated() ? simulated_readv(__VA_ARGS__) : readv(__VA_ARGS__))
#define sys_writev(...) (simulated() ? simulated_writev(__VA_ARGS__) : writev(__VA_ARGS__))
#define sys_sendfile(...) (simulated() ? simulated_sendfile(__VA_ARGS__) : sendfile(__VA_ARGS__))
#define sys_accept(...) (simulated() ? simulated_accept(__VA_ARGS__) : accept4(__VA_ARGS__))
#define sys_connect(...) (simulated() ? simulated_connect(__VA_ARGS__) : connect(__VA_ARGS__))
/* A look; may_wait: who finds nothing waits, so nothing may be found at first. */
#define sys_poll(fds, count, may_wait) \
    (simulated() ? simulated_poll(fds, count, may_wait) : poll(fds, count, 0))

#endif
