/* One HTTP connection over a memory stream, served in a greenlet of its own, the way
 * a server does it. */
#ifndef WIRE_H
#define WIRE_H

#include "memory_stream.h"

#include <cress/greenlet.h>
#include <cress/http1.h>

enum wire_mode {
    WIRE_BLOCKING, /* cress_http1_serve's way: next waits */
    WIRE_RESTING,  /* a server's way: next does not wait, idle connections hold nothing */
};

struct wire {
    struct memory_stream stream;
    cress_http1 http;
    cress_http1_config config;
    cress_app *app;
    void *self;
    enum wire_mode mode;
    cress_seconds request_timeout; /* around each handler; 0: none */
    cress_greenlet *greenlet;      /* NULL: not started */
    const char *wrong;             /* what finish said last */
    cress_http1_log log;           /* of the last request; its texts are gone by then */
    bool is_closed;                /* next returned CLOSE */
    bool lingers;
};

/* Keep-alive on, no Server field; the rest as config's defaults. */
void wire_init(struct wire *w, cress_app *app, void *self);
/* Spawns the greenlet. */
void wire_start(struct wire *w);
/* Ends the client's side, waits for the greenlet, frees everything. */
void wire_finish(struct wire *w);

/* Sends text and lets everything settle. */
void wire_send(struct wire *w, const char *text);
void wire_send_bytes(struct wire *w, const void *data, size_t len);
/* Lets all run that can, without time passing. */
void wire_settle(void);
/* While the handler waits: what a server does when the socket becomes readable. */
int wire_pull(struct wire *w);

/* The output so far, with the Date fields' values replaced by "*"; to be freed. */
char *wire_output(const struct wire *w);

/* That it is this. */
void wire_check_output(const struct wire *w, const char *expected);

/* One request to an app. */
void wire_serve(const char *request, cress_app *app, void *self);
/* And what the client gets; to be freed. */
char *wire_ask(const char *request, cress_app *app, void *self);
/* That the client gets this; what finish said. */
const char *wire_check_with(const char *request, cress_app *app, void *self, const char *expected);
/* The same without a self. */
void wire_check(const char *request, cress_app *app, const char *expected);

/* A body of that type, which arrives in pieces of so many bytes; 0: at once. */
void wire_post(cress_app *app, void *self, const char *type, const char *body, size_t len,
               size_t piece);

/* The beginning of a response as wire_output shows it. */
#define DATED(status) "HTTP/1.1 " status "\r\nDate: *\r\n"

#endif
