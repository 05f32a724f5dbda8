/* What servers of every kind share: one greenlet takes what arrives at a bound socket,
 * and each thing that it took is a guest, served in a greenlet of its own.
 *
 * A service is on the heap, since several calls may be in it when the server stops
 * (serve_forever in one greenlet, stop in another), and the last of them may come to
 * run when the caller's server is no more. It counts them as users; the one
 * that leaves last frees it.
 *
 * gevent: BaseServer.
 */
#ifndef CRESS_BASE_SERVER_H
#define CRESS_BASE_SERVER_H

#include <cress/address.h>
#include <cress/event.h>
#include <cress/pool.h>
#include <cress/watch.h>

struct base_server;

struct guest {
    struct base_server *server;
    /* Frees it, and all that it holds. In the hub, after its greenlet has ended, also
     * when that never ran. */
    void (*finish)(struct guest *guest);
};

/* The first member of what malloc gave. */
struct base_server {
    const char *kind; /* for messages */
    /* Takes one, which becomes a guest: 0; or -1 with errno, EAGAIN: there is none. */
    int (*take)(struct base_server *b);
    void (*forget)(struct base_server *b); /* the server's pointer to it becomes NULL */
    bool keeps_socket;                     /* until the last guest has left */
    size_t max;                            /* guests at a time */

    cress_watch watch; /* of the socket */
    cress_address address;
    cress_greenlet *taker;
    cress_pool guests;
    cress_event left;   /* a guest */
    cress_event closed; /* nothing more is taken */
    unsigned users;
    bool taking, open; /* open: the socket is */
    int error;         /* why taking had to end */
    cress_seconds pause, paused_at;
};

/* Begins to take at a bound socket, which is then its own. -1: ENOMEM, EBADF ... */
int base_server_start(struct base_server *b, int fd);
/* From `take`: runs fn(guest) in a greenlet, with this name. -1: ENOMEM, and the guest is
 * finished. */
int base_server_admit(struct base_server *b, struct guest *guest, cress_fn *fn, const char *name);
void base_server_close(struct base_server *b);
/* [waits] Until it is closed, then stops it. */
int base_server_serve_forever(struct base_server *b, cress_seconds stop_timeout);
/* [waits] Closes, drains, kills. */
int base_server_stop(struct base_server *b, cress_seconds timeout);
/* Is the caller one of its guests? */
bool base_server_is_guest(const struct base_server *b);

/* What a server's fields of 0 stand for. */
static inline cress_seconds seconds_or(cress_seconds wanted, cress_seconds fallback)
{
    return wanted == 0 ? fallback : wanted;
}

static inline size_t size_or(size_t wanted, size_t fallback)
{
    return wanted ? wanted : fallback;
}

#endif
