/* A worker: one hub that serves one application on some listeners. */
#ifndef CRESS_WORKER_H
#define CRESS_WORKER_H

#include "access_log.h"
#include "admission.h"
#include "bind.h"
#include "expiry.h"

#include <cress/http1.h>
#include <cress/serve.h>
#include <cress/tls.h>

struct connection;

struct listener {
    struct worker *worker;
    cress_watch watch; /* of the listening socket */
    cress_greenlet *acceptor;
    cress_http1_config http; /* the worker's, and where it listens */
    char server_name[64], server_port[8];
};

/* Every connection is in one of these lists. In the first two it stays while it answers a request,
 * until somebody looks: see settle in connection.c. */
enum connection_list {
    LIST_IDLE,       /* between two requests */
    LIST_HEADS,      /* a request's head is awaited or on its way */
    LIST_HANDSHAKES, /* the same of TLS */
    LIST_FULL,       /* handlers whose client has sent more than is read ahead */
    LIST_STALLED,    /* the client is waited for; nothing expires */
    LIST_BUSY,       /* the others; nothing expires */
    LISTS,
};

struct worker {
    const cress_config *config; /* filled */
    cress_http1_config http;
    cress_application application;
    cress_tls_context *tls; /* borrowed; NULL: plain HTTP */
    struct listener *listeners;
    size_t listener_count;

    struct expiry lists[LISTS]; /* by enum connection_list */
    size_t open;                /* connections */
    struct expiry_node *spare;  /* connections' records for reuse */
    size_t spare_count;
    cress_event closed; /* a connection less */
    struct admission admission;
    access_log *access_log;

    int factory_error;
    cress_seconds paused_at;  /* accepting, for want of descriptors: said once */
    cress_seconds evicted_at; /* somebody, for want of connections: the same */
    bool draining;
    cress_event stop; /* a signal came */
    bool quick;       /* and wants it at once */
    bool dumping;     /* for SIGUSR2: one at a time, since each costs memory and a thread */
    bool dump_again;  /* it came meanwhile */
};

/* Runs it in a hub of its own on these listening sockets, which it closes, over TLS if there
 * is a context: an exit status. */
int worker_run(const cress_config *config, cress_tls_context *tls, const int fds[], size_t count);

/* listener.c */
int listener_start(struct listener *l, struct worker *worker, int fd);
/* [waits] Accepts nothing more, closes the socket. */
void listener_stop(struct listener *l);

/* connection.c: the lists, and what is kept for reuse. 0, or -1 with ENOMEM; stop after either. */
int connection_start_lists(struct worker *worker);
/* [waits] */
void connection_stop_lists(struct worker *worker);
/* Serves the accepted socket, which it owns from now on. */
void connection_start(struct listener *l, int fd, const struct sockaddr *peer);
/* Connections that rest between two requests end, unless one has arrived meanwhile. */
void connection_rouse_all(struct worker *worker);
/* All handlers are cancelled. */
void connection_cancel_all(struct worker *worker);
/* Closes one, which leaves its list. False: its client is not waited for any longer. */
bool connection_evict(struct expiry_node *node);

#endif
