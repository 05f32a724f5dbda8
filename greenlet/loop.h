/* The event loop: which descriptors can be read or written, over epoll.
 *
 * A watcher lies in its owner's record, so that starting one allocates nothing but a place for its
 * descriptor in a table, 16 bytes each. Many may watch one descriptor. What changes is only noted, and
 * told to the kernel before the next look: who stops and starts again in between makes no system
 * call, and one that nobody watches any more stays registered until it next reports something.
 *
 * A look takes LOOP_BATCH events at most: what is then done for them touches some kilobytes
 * each, connection, stack and the kernel's socket, and so many still fit a second-level cache. The
 * kernel puts what it has reported behind what it has not, so that none is passed over.
 *
 * It knows nothing of greenlets, but fetches the record of the one that a watcher names.
 */
#ifndef CRESS_LOOP_H
#define CRESS_LOOP_H

#include <cress/api.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { LOOP_BATCH = 256 };
enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop;
struct loop_fd;

struct loop_io {
    struct loop_io *next;            /* on the same descriptor, in a ring */
    struct cress_greenlet *greenlet; /* its owner's: who waits; NULL: nobody */
    int fd;
    uint16_t epoch; /* of the loop that it is started in; 0: none */
    uint8_t kind;   /* of handler */
    uint8_t flags;  /* LOOP_READ, LOOP_WRITE, and what loop.c notes */
};

/* `events`: what was found of what the watcher asks for; negative: it has been stopped, because the
 * kernel refused its descriptor with that errno. It may start and stop any watcher. */
typedef void loop_handler(struct loop_io *io, int events);

struct loop {
    int epoll;
    int counter;          /* an eventfd that ends a sleep from outside; -1: none was needed yet */
    uint16_t epoch;       /* never 0; each loop has another one */
    bool coarse;          /* sleeps are in milliseconds: an older kernel */
    bool was_full;        /* the last look found as much as it takes: there may be more */
    bool stale;           /* the kernel reports what can't be taken out any more: see renew */
    uint32_t changed;     /* the first of a list of descriptors; see next_change */
    uint32_t files;       /* the same: those that epoll does not take since they are always ready */
    size_t active;        /* started watchers that ask for something */
    struct loop_io *told; /* who is told next of an event that several wait for */
    struct loop_fd *fds;
    size_t fd_count;
    loop_handler *const *handlers;      /* by kind */
    void (*on_wake)(struct loop *loop); /* after a loop_wake, in the loop's thread */
    bool asleep, woken;                 /* atomic */
    struct epoll_event batch[LOOP_BATCH] __attribute__((aligned(64)));
};

/* EMFILE, ENFILE, ENOMEM. */
int loop_open(struct loop *loop, loop_handler *const *handlers, void (*on_wake)(struct loop *));
/* Leaves watchers as they are: they are started nowhere any more. */
void loop_close(struct loop *loop);

/* Before the first start; `events` may be 0: such a watcher only stands there for its
 * descriptor's sake (fd.c). `steady`: its owner stops it before the descriptor is closed, which
 * saves a system call where it is started again and again. */
void loop_io_init(struct loop_io *io, uint8_t kind, int fd, int events, bool steady);
void loop_stop(struct loop *loop, struct loop_io *io);
/* The descriptor is about to be closed. Its number may come to mean the same file again, by way
 * of a copy, with another one in between. */
void loop_forget(struct loop *loop, int fd);
/* The one of this kind that has stood there longest; NULL. */
struct loop_io *loop_find(struct loop *loop, int fd, uint8_t kind);

static inline bool loop_is_started(const struct loop *loop, const struct loop_io *io)
{
    return io->epoch == loop->epoch;
}

/* 0; -1 with ENOMEM. A refusal by the kernel is told to the handler. */
int loop_start_anew(struct loop *loop, struct loop_io *io);

static inline int loop_start(struct loop *loop, struct loop_io *io)
{
    return loop_is_started(loop, io) ? 0 : loop_start_anew(loop, io);
}

/* Takes in what has happened; waits for it so long, unless something has. Nothing may have
 * happened although it returns early. */
void loop_look(struct loop *loop, cress_seconds timeout);

/* loop_wake can be used from now on: 0, or -1 with EMFILE, ENFILE, ENOMEM. */
int loop_allow_wake(struct loop *loop);
/* From any thread, and from signal handlers: on_wake is called soon. */
void loop_wake(struct loop *loop);

#endif
