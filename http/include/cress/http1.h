/* <cress/http1.h>: one HTTP/1 connection over any stream.
 *
 * For those who build servers. The connection itself is a small record that lives
 * as long as the stream; all that a request needs (receive buffer, parser, header
 * table, request memory, output buffer) hangs in an exchange that is taken from a
 * cache when bytes arrive and given back when nothing is buffered: see
 * cress_http1_idle. The life of one:
 *
 *     cress_http1_init(&http, stream, &config, peer);
 *     while ((event = cress_http1_next(&http, wait)) == CRESS_HTTP1_REQUEST) {
 *         cress_environ *env = cress_http1_environ(&http);
 *         cress_response *res = cress_http1_response(&http);
 *         errno = 0;
 *         result = app(env, res, self);
 *         cress_http1_finish(&http, result, errno);
 *     }
 *     ...
 *     cress_http1_destroy(&http);
 *
 * Several requests that arrived together are answered in one send: finish leaves
 * the response in the output buffer while whole requests are still unread.
 */
#ifndef CRESS_HTTP1_H
#define CRESS_HTTP1_H

#include <cress/response.h>
#include <cress/stream.h>
#include <cress/timeout.h>

struct sockaddr;

/* What a connection accepts. Shared by all of a listener's connections; borrowed, and not to be
 * changed while one of them uses it. */
typedef struct cress_http1_config {
    size_t limit_request_line;       /* bytes, 414 beyond; 0: 8190 */
    size_t limit_request_fields;     /* 431 beyond; 0: 100 */
    size_t limit_request_field_size; /* bytes of one, name and value; 431; 0: 8190 */
    size_t limit_request_head;       /* bytes of all fields together; 431; 0: 64 KiB */
    uint64_t limit_request_body;     /* bytes, 413 beyond; 0: 1 GiB */
    cress_seconds body_timeout;      /* between two pieces of a body; 0: 30 s */
    cress_seconds write_timeout;     /* for a client that does not read; 0: 30 s */
    cress_seconds keep_alive;        /* 0: answer each request with Connection: close */
    const char *server_software;     /* NULL: "cress/VERSION"; "" leaves the Server field out */
    const char *scheme;              /* wsgi.url_scheme; NULL: "http" */
    const char *server_name;         /* SERVER_NAME; NULL or "" (a unix socket): "localhost" */
    const char *server_port;         /* SERVER_PORT; NULL or "": 80 or 443 */
    bool multiprocess;               /* wsgi.multiprocess */
    /* The handler's view of the client's leaving: see cress_response_gone. */
    bool allow_half_close; /* an end of input while a handler waits is not leaving */
} cress_http1_config;

/* Whom a connection is with. It is kept as the bytes it is, and REMOTE_ADDR and REMOTE_PORT are
 * written when somebody asks: few do, and there may be a million connections. Zeroed: nobody who
 * has an address, as over a unix socket. */
enum { CRESS_HTTP1_PEER_NONE, CRESS_HTTP1_PEER_IPV4, CRESS_HTTP1_PEER_IPV6 };

typedef struct cress_http1_peer {
    uint8_t address[16]; /* as the network has it; of IPv4 the first four bytes */
    uint16_t port;       /* a number */
    uint8_t family;
} cress_http1_peer;

/* From what accept told, of any family. */
CRESS_API void cress_http1_peer_set(cress_http1_peer *peer, const struct sockaddr *address);
/* The address, without the port, into buf: "192.0.2.1", "2001:db8::1", or "". */
enum { CRESS_HTTP1_PEER_TEXT = 46 };
CRESS_API cress_str cress_http1_peer_text(const cress_http1_peer *peer,
                                          char buf[CRESS_HTTP1_PEER_TEXT]);

/* How it is encrypted: SSL_PROTOCOL, SSL_CIPHER, SSL_TLS_SNI (absent: not asked for). */
typedef struct cress_http1_tls {
    cress_str protocol, cipher, server_name;
} cress_http1_tls;

typedef enum cress_http1_event {
    CRESS_HTTP1_REQUEST, /* a request's head is whole and sound: serve it */
    CRESS_HTTP1_WAIT,    /* only without waiting: no whole head yet; come back when readable */
    CRESS_HTTP1_CLOSE,   /* nothing more comes, or an error was answered: close the stream */
} cress_http1_event;

typedef struct cress_http1 {
    struct http_exchange *exchange; /* NULL: idle */
    cress_stream *stream;
    const cress_http1_config *config;
    const cress_http1_tls *tls; /* the server's, once it is known; NULL: not encrypted */
    cress_http1_peer peer;
    uint32_t requests; /* so far, modulo 2^32 */
    bool readable;     /* the stream may have bytes: a short read clears it */
    bool closing;      /* no further request */
    bool differs;      /* by its configuration every head says other things than usual */
    bool narrow;       /* it allows less of a head than usual */
    bool stops;        /* the server is to stop: see cress_http1_stop */
    bool gone;         /* the client left */
    bool refused;      /* a request, or a body: see cress_http1_refusal */
    /* Close so that the client sees it: a body that ends with the connection was cut. */
    bool reset : 1;
    bool linger : 1;      /* close only after the client had time to read an error's answer */
    cress_timeout *limit; /* the server's, around the current request; NULL: none */
} cress_http1;

/* peer is copied; NULL: nobody. */
CRESS_API void cress_http1_init(cress_http1 *h, cress_stream *stream,
                                const cress_http1_config *config, const cress_http1_peer *peer);
/* Gives everything back. Does not close the stream. */
CRESS_API void cress_http1_destroy(cress_http1 *h);

/* [waits, if wait] The next request. Malformed ones are answered here (and the answer
 * flushed), then CLOSE. Without `wait` a read is tried only while h->readable.
 * Before WAIT and CLOSE are returned all output is flushed, which may wait for a slow
 * client. When a limit or a kill ended the wait: CLOSE with errno set, and, if half a
 * request has arrived, with the exchange kept (not cress_http1_idle), so that
 * cress_http1_refuse can still answer it.
 * A request ends here: slices of it are gone when next is called again. */
CRESS_API cress_http1_event cress_http1_next(cress_http1 *h, bool wait);
CRESS_API cress_environ *cress_http1_environ(cress_http1 *h);
CRESS_API cress_response *cress_http1_response(cress_http1 *h);

/* [waits] Ends the request: answers for an app that failed with `error` (errno)
 * before anything was sent, completes the framing, runs what was deferred, and drops an
 * unread body (up to a bound, else the connection will close). What the app did
 * wrong is returned for the log (valid until the thread's next finish); NULL: nothing.
 * Close the request's limit before; a kill of this greenlet is shielded from here, for at
 * most write_timeout. */
CRESS_API const char *cress_http1_finish(cress_http1 *h, int result, int error);

/* Answers the current request, or the half that has arrived, with an error page
 * of this status, and makes next return CLOSE. For what only the server knows: 408, 503.
 * retry_after: seconds; negative: no such field. [waits] Instead of calling the app, not
 * after it: finish is not called for a request that was refused. */
CRESS_API void cress_http1_refuse(cress_http1 *h, int status, int retry_after);

/* Nothing is buffered either way, but perhaps an empty line: the exchange was given back. */
CRESS_API bool cress_http1_idle(const cress_http1 *h);

/* For the hub, while a handler waits: hands collected output to the kernel without
 * waiting (before_wait), and takes in what the client sent meanwhile, up to a bound
 * (on_idle). The latter: 1 more could come; 0 the buffer is full: stop watching; -1
 * the client left (h->gone, and cress_response_gone is ready now). */
CRESS_API void cress_http1_push(cress_http1 *h);
CRESS_API int cress_http1_pull(cress_http1 *h);
/* The client was seen to leave although the buffer is full. False: a read or a write of the
 * handler is under way, and finds out by itself. */
CRESS_API bool cress_http1_leave(cress_http1 *h);
/* For the hook `local` of the greenlet that serves it: what cress_environ_current goes by. */
CRESS_API void *cress_http1_local(cress_http1 *h, const struct cress_local *key);
/* Does the handler want its waits cancelled when the client leaves? */
CRESS_API bool cress_http1_cancels(const cress_http1 *h);

/* For a server that is to stop: no further request, and after an upgrade no further input. True:
 * somebody waits for such input; interrupt that wait by ESHUTDOWN. */
CRESS_API bool cress_http1_stop(cress_http1 *h);

/* For a server that runs out of room: is the client waited for just now, for more of a body or for
 * taking more of an answer? Not: for what it sends after an upgrade. And a count of bytes
 * that grows, during a request, while it does so. */
CRESS_API bool cress_http1_awaits_client(const cress_http1 *h);
CRESS_API uint64_t cress_http1_progress(const cress_http1 *h);

/* For the access log: after finish, refuse, or a next that said CLOSE (status 0: there
 * was no answer), until next or destroy is called. Of a malformed request method and
 * target may be absent. */
typedef struct cress_http1_log {
    cress_str method, target, referer, user_agent;
    int minor; /* HTTP/1.minor */
    int status;
    uint64_t body_bytes; /* sent */
} cress_http1_log;
CRESS_API void cress_http1_get_log(const cress_http1 *h, cress_http1_log *ret_log);
/* At the same time: what was wrong with the request, or with its body, in a few words that
 * have nothing of the request in them ("a bare line feed"); NULL: nothing. */
CRESS_API const char *cress_http1_refusal(const cress_http1 *h);

/* Writes the current request's "GET /path" (decoded, without the query; control characters
 * as '?') for names and reports; async-signal-safe. */
CRESS_API void cress_http1_describe(const cress_http1 *h, char *buf, size_t size);

/* [waits] The whole life of a connection, in blocking style: for tests, fuzzers,
 * and streams that are not a server's. Does not close the stream. */
CRESS_API void cress_http1_serve(cress_stream *stream, const cress_http1_config *config,
                                 const cress_http1_peer *peer, cress_app *app, void *self);

#endif
