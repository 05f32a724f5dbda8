/* One lookup by c-ares: a channel of its own, driven by the greenlet that waits for
 * it. See lookup.c for why.
 *
 *     lookup_open(&l, LOOKUP_ALL, name);
 *     lookup_ask(&l, 0, AF_UNSPEC, flags);
 *     while (l.pending) {
 *         hub_wait(lookup_deadline(&l), "...", NULL);
 *         lookup_step(&l);
 *     }
 *     lookup_close(&l);
 */
#ifndef CRESS_LOOKUP_H
#define CRESS_LOOKUP_H

#include "hub.h"

#include <ares.h>

enum {
    LOOKUP_SOCKETS = 16,       /* open at a time, */
    LOOKUP_SOCKETS_MOST = 128, /* and in all: more addresses than that are not sorted */
    LOOKUP_ANSWERS = 2,
};

enum lookup_where { LOOKUP_HOSTS, LOOKUP_SERVERS, LOOKUP_ALL };

struct lookup_socket {
    struct loop_io io; /* first */
    struct lookup *lookup;
    int revents;  /* the loop's: what was found since it was last processed */
    bool used;    /* holds a descriptor */
    bool stream;  /* TCP */
    bool expired; /* reading from it fails: its server has had its time */
};

struct lookup_answer {
    struct lookup *lookup;
    int family, flags;
    bool known; /* status and info are set */
    int status; /* ARES_SUCCESS: there is info */
    struct ares_addrinfo *info;
    unsigned rounds; /* in which all servers were asked */
};

struct lookup {
    ares_channel channel; /* NULL: closed */
    bool place;           /* it holds one of the hub's places */
    cress_greenlet *greenlet;
    const char *name;
    unsigned pending; /* answers not yet known */
    int server_count;
    unsigned opened;        /* sockets so far */
    int socket_error;       /* why the last socket could not be had */
    bool stirred;           /* a socket is to be processed although nothing came */
    bool lost;              /* a server did not answer in its time */
    unsigned packets;       /* that may still be read in this turn */
    cress_seconds deadline; /* for the servers that were asked last */
    struct lookup_answer answers[LOOKUP_ANSWERS];
    struct lookup_socket sockets[LOOKUP_SOCKETS];
};

/* [waits] for one of the hub's places, unless only the hosts file is asked. An ARES_
 * status, or -1 with errno. The name is borrowed. */
int lookup_open(struct lookup *l, enum lookup_where where, const char *name);
/* Asks; the answer may be known at once. */
void lookup_ask(struct lookup *l, int index, int family, int flags);
/* When lookup_step wants to be called although nothing happened. */
cress_seconds lookup_deadline(const struct lookup *l);
/* After a wait of the lookup's greenlet: takes in what has arrived, gives up servers
 * that have had their time. */
void lookup_step(struct lookup *l);
/* Abandons what is pending, whose answers are then known as failed. The answers stay
 * until lookup_forget. Leaves errno alone. */
void lookup_close(struct lookup *l);
void lookup_forget(struct lookup *l);

#endif
