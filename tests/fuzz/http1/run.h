/* One connection of the three that http1.c compares: how it is served and what is noted on the
 * way. */
#ifndef RUN_H
#define RUN_H

#include "memory_stream.h"
#include "reply.h"

#include <cress/http1.h>

/* How things are done. */
enum {
    RESTS = 1,       /* next does not wait */
    IS_SLOW = 2,     /* the client takes a few bytes at a time */
    PAUSES = 4,      /* the application waits here and there */
    SENDS_FILES = 8, /* the stream can */
    SMALL_READS = 16,
};

enum { MAX_EVENTS = 2000 };

/* A request, or one that was refused. */
struct event {
    bool is_head, is_1_0, expects, is_switched;
    bool is_given_up; /* perhaps in the middle of the response */
    bool is_filtered;
    bool is_lost; /* the response: the client left before it had taken it */
    struct reply_text reply;
};

struct run {
    struct memory_stream stream;
    cress_http1 http;
    cress_http1_config config;
    uint8_t how;
    bool handles, watches, is_done;
    struct reply_text log; /* what the application saw, and what became of it */
    struct event *event;   /* the current one */
    struct event events[MAX_EVENTS];
    size_t count;
};

/* Else it ends here. */
void check(bool holds, const char *what);
void note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note_str(struct run *run, const char *what, cress_str text);
bool is_1_0(const cress_environ *env);

/* The application: apps.c. */
int call(cress_environ *env, cress_response *res, struct run *run);

#endif
