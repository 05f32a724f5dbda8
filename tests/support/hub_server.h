/* A worker in a hub of the test's own, without signals, and clients in the same hub. */
#ifndef CRESS_TEST_HUB_SERVER_H
#define CRESS_TEST_HUB_SERVER_H

#include "../../server/worker.h"

#include <netinet/in.h>

struct hub_server {
    cress_config config; /* before the start: what is not to have its default */
    struct worker worker;
    struct listener listener;
    struct sockaddr_in address;
};

/* Serves on a loopback port that the kernel chooses. */
void hub_server_start(struct hub_server *s, cress_app *app, void *self);
/* [waits] Drains. */
void hub_server_stop(struct hub_server *s);
/* [waits] A connection to it: a descriptor. */
int hub_server_dial(const struct hub_server *s);

#endif
