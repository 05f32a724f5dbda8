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
    char server_name[64], server_port[8];
};

struct worker {
    const cress_config *config; /* filled */
    cress_http1_config http;
    cress_application application;
    cress_tls_context *tls; /* borrowed; NULL: plain HTTP */
    struct listener *listeners;
    size_t listener_count;

    struct connection *connections; /* all open ones */
    size_t open;
    cress_event closed;  /* one less */
    struct expiry idle;  /* between two requests */
    struct expiry heads; /* a request's head is awaited or on its way */
    struct expiry handshakes;
    struct expiry full;    /* handlers whose client has sent more than is read ahead */
    struct expiry stalled; /* the client is waited for; nothing expires */
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

/* connection.c: serves the accepted socket, which it owns from now on. */
void connection_start(struct listener *l, int fd, const struct sockaddr *peer);
/* Connections that rest between two requests end, unless one has arrived meanwhile. */
void connection_rouse_all(struct worker *worker);
/* All handlers are cancelled. */
void connection_cancel_all(struct worker *worker);
/* For the expiry lists. */
void connection_expire(struct expiry_node *node);
void connection_probe(struct expiry_node *node);
/* Closes one that is in a list no more. False: its client is not waited for any longer. */
bool connection_evict(struct expiry_node *node);

#endif
