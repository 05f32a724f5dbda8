/* <cress/serve.h>: a server for an application.
 *
 * cress_main is a whole program: options, listeners, signals, logs. cress_serve is
 * the same for a caller that has its options in a struct. Both run until SIGTERM
 * (drain: no new connections, idle ones closed at once, those in flight finish
 * within graceful_timeout and are killed then), SIGINT or SIGQUIT (stop quickly).
 *
 * gunicorn has most of the names and defaults; gevent: WSGIServer.serve_forever.
 */
#ifndef CRESS_SERVE_H
#define CRESS_SERVE_H

#include <cress/response.h>

/* What a factory hands over: the application, what it is called with, and what
 * ends it when the worker stops (may be NULL; runs when no connection is left). */
typedef struct cress_application {
    cress_app *app;
    void *self;
    void (*finish)(void *self);
} cress_application;

/* Makes the application: called in the worker, in a greenlet, so it may spawn
 * others and wait. -1: errno; the worker does not start. */
typedef int cress_factory(cress_application *ret_application);

/* Everything zeroed is the default, named behind each. Spans are seconds; a negative
 * span or count switches the limit off where that makes sense (said there). */
typedef struct cress_config {
    cress_app *app;         /* this or factory; with static_files perhaps neither */
    void *self;             /* given to app */
    cress_factory *factory; /* called in the worker */
    const char *app_name;   /* for logs: "hello.so:application"; "application" */

    const char *bind; /* HOST:PORT, [V6]:PORT, unix:PATH, several with commas; 127.0.0.1:8000 */
    int backlog;      /* 2048 */
    int worker_connections;  /* open ones; slow ones make room, or accepting pauses; 1000 */
    int concurrency;         /* requests in flight; 0: as many as connections */
    int concurrency_backlog; /* requests that wait for that; beyond: 503; 1000; -1: none */
    int retry_after;         /* seconds, in that 503; 1; -1: not said */

    cress_seconds request_timeout;   /* for the application; 60; -1: none */
    cress_seconds header_timeout;    /* for a request's head, 408; 10; -1: none */
    cress_seconds handshake_timeout; /* for a TLS handshake; 10; -1: none */
    cress_seconds body_timeout;      /* between two pieces of a body; 30; -1: none */
    cress_seconds write_timeout;     /* for a client that does not read; 30; -1: none */
    cress_seconds keep_alive;        /* an idle connection's; 2; -1: no keep-alive */
    cress_seconds graceful_timeout;  /* for requests in flight after SIGTERM; 30; -1: 0 */
    cress_seconds max_blocking_time; /* for a handler to run without waiting; 0.1; -1: none */

    size_t limit_request_line;       /* bytes; 8190 */
    size_t limit_request_fields;     /* 100 */
    size_t limit_request_field_size; /* bytes of one; 8190 */
    size_t limit_request_head;       /* bytes of all; 64 KiB */
    uint64_t limit_request_body;     /* bytes; 1 GiB; UINT64_MAX: none */

    size_t stack_size;        /* bytes a greenlet; 64 KiB */
    const char *certfile;     /* PEM: serve HTTPS with this certificate; NULL: HTTP */
    const char *keyfile;      /* PEM: its key; NULL: it stands in certfile */
    const char *ciphers;      /* of TLS 1.2, as OpenSSL names them; NULL: OpenSSL's choice */
    const char *static_files; /* "PREFIX=DIR", several with commas: <cress/static.h>; NULL: none */
    bool allow_half_close;    /* an end of input while a handler waits is not its leaving */
    const char *access_logfile;   /* "-": stdout; NULL: none */
    const char *access_logformat; /* "common" or "combined"; "combined" */
    const char *error_logfile;    /* "-": stderr; "-" */
    const char *log_level;        /* debug, info, warning, error, critical; "info" */
    const char *pidfile;          /* NULL: none */
} cress_config;

/* Exit statuses of cress_serve, cress_main and the program cress. */
enum {
    CRESS_EXIT_OK = 0,          /* stopped by a signal, as asked */
    CRESS_EXIT_FAILURE = 1,     /* anything without a status of its own */
    CRESS_EXIT_USAGE = 2,       /* an option or its value */
    CRESS_EXIT_MODULE = 3,      /* the module is not there or can't be loaded */
    CRESS_EXIT_SYMBOL = 4,      /* it lacks the symbol */
    CRESS_EXIT_FACTORY = 5,     /* the application could not be made */
    CRESS_EXIT_BIND = 6,        /* an address is taken, not ours, or not one */
    CRESS_EXIT_DESCRIPTORS = 7, /* too few descriptors for worker_connections */
    CRESS_EXIT_LOG = 8,         /* a log or pid file can't be opened */
    CRESS_EXIT_TLS = 9,         /* a certificate or key can't be used */
};

/* Serves until a signal ends it: an exit status. What went wrong is one line on
 * stderr. */
CRESS_API int cress_serve(const cress_config *config);
/* The same, with the command line's options; argv[0] names the program in messages. */
CRESS_API int cress_main(int argc, char *argv[], cress_app *app, void *self);

/* One line to the error log, with the time, the level and, inside a request, its
 * name: wsgi.errors. Does not wait. */
enum { CRESS_LOG_DEBUG, CRESS_LOG_INFO, CRESS_LOG_WARNING, CRESS_LOG_ERROR, CRESS_LOG_CRITICAL };
CRESS_API void cress_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
