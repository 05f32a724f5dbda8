/* What a connection holds while a request is under way: a block of a quarter of a page,
 * which begins with this struct and ends with room for a small request's bytes.
 *
 * Bytes are read into a block of 8 KiB, and kept where they fit best: in the exchange, in
 * a second block of its size, where they came, or, when a head is larger than all these, in
 * memory from malloc.
 *
 *     in + start   the request's first byte; offsets of the parser count from here
 *     in + pos     how far bytes were understood; behind the head: unread body
 *     in + fill    the end of what was received
 *
 * While the head is incomplete the buffer may move, therefore offsets; once the head is whole
 * its bytes stay in place, at `head`, until the response is done. What lies behind it may move
 * down to `body`, or into a buffer of its own: then the head's buffer is `kept`.
 */
#ifndef CRESS_HTTP_EXCHANGE_H
#define CRESS_HTTP_EXCHANGE_H

#include "arena.h"
#include "block.h"

#include <cress/event.h>
#include <cress/http1.h>

struct http_field {
    uint32_t name, value; /* offsets */
    uint32_t name_len, value_len;
};

/* RFC 9110 6.5: what came behind a chunked body. */
struct http_trailer {
    struct http_trailer *next;
    cress_str name, value;
};

struct http_deferred {
    struct http_deferred *next; /* deferred before this one */
    void (*fn)(void *);
    void *arg;
};

/* A variable that was set. */
struct http_extra {
    struct http_extra *next;
    cress_str key, value;
};

/* The last members are set before anybody looks at them; the others are zeroed. */
struct cress_environ {
    struct http_deferred *deferred;
    uint32_t field_count;
    uint8_t minor;
    bool is_head;
    bool closes; /* the client wants no further request on this connection */
    bool is_options : 1;
    bool asks_to_close : 1;            /* Connection: close */
    bool asks_to_go_on : 1;            /* Connection: keep-alive */
    bool has_content_type : 1;         /* one was seen */
    const struct cress_layer *layer;   /* the running one of a chain */
    const struct router_frame *route;  /* of the innermost router that called an app */
    const struct cress_route *matched; /* what a router called last */
    struct error_pages *pages;         /* innermost first */
    struct http_extra *extras;         /* newest first */
    cress_str script;                  /* what mounts took off the path; absent: nothing */
    cress_str host;

    uint32_t field_capacity;
    struct http_field *fields;
    cress_str method, target, path, query; /* once the head is whole */
};

enum http_body_kind { BODY_NONE, BODY_COUNTED, BODY_CHUNKED };

struct http_input {
    uint64_t left;    /* bytes not yet handed out; chunked: of this chunk, not yet seen */
    uint64_t taken;   /* bytes handed out */
    uint64_t bound;   /* the app's own limit, and one; 0: there is none */
    const char *span; /* chunked: decoded bytes in the buffer, not yet handed out */
    size_t span_len;
    int error;      /* what every later read fails with */
    uint8_t kind;   /* enum http_body_kind */
    uint8_t state;  /* chunked: see chunked.c */
    uint8_t digits; /* chunked: of this chunk's size */
    bool ended;
    bool expects_continue; /* and was not told yet */
    bool busy;             /* a greenlet waits in a read */
};

/* What only a chunked body needs. */
struct http_chunks {
    struct http_trailer *trailers, *last_trailer;
    char *line; /* of a trailer field that is not whole, in the arena */
    uint32_t line_len, line_capacity;
    uint32_t extensions;    /* bytes of chunk extensions so far */
    uint32_t trailer_bytes; /* of trailer fields so far */
    uint32_t trailer_count;
};

enum http_framing { FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_NONE };

struct cress_response {
    uint64_t length;     /* the Content-Length */
    uint64_t sent;       /* body bytes that the app gave */
    uint64_t body_bytes; /* of these, sent or collected */
    char *fields;        /* the app's, formatted, in the arena */
    uint32_t fields_len, fields_capacity;
    char *trailers; /* the same, for behind the body */
    uint32_t trailers_len, trailers_capacity;
    struct hook_chain *hooks; /* NULL: none */
    int lost;                 /* errno of a write that failed, unless a later one did not */
    const char *wrong;        /* what the app did wrong, for the log */
    uint16_t status;          /* 0: not started */
    uint8_t framing;          /* enum http_framing, once committed */
    /* Bits, so that several are looked at together. */
    bool has_length : 1, has_date : 1, has_server : 1, has_upgrade : 1;
    bool begun : 1;     /* there were body bytes: too late for start_response */
    bool committed : 1; /* the head is in the output */
    bool whole : 1;     /* head and body are in the output, nothing went wrong since */
    bool complete : 1;  /* the framing is complete */
    bool cut : 1;       /* the message cannot be completed */
    bool is_out : 1;    /* the head was handed to the kernel, or a part of it */
    bool ignores_gone : 1;
    bool switched : 1;    /* to another protocol: 101 */
    bool is_replaced : 1; /* by an error page, since the app failed */
};

enum http_phase {
    PHASE_HEAD,    /* collecting a head */
    PHASE_REQUEST, /* the app has it */
    PHASE_DONE,    /* answered; kept for the log until the next one */
};

enum {
    INLINE_FIELDS = 8,
    FURTHER_FIELDS = 8, /* if a request's bytes lie elsewhere */
    MIN_ROOM = 512,     /* less is not worth a read */
};

/* Whose memory a buffer is. */
enum http_buffer { BUFFER_OWN, BUFFER_SMALL, BUFFER_LARGE, BUFFER_HEAP };

struct http_exchange {
    cress_http1 *http;
    const struct cress_greenlet *greenlet; /* the one that runs the handler */
    char *in;
    size_t in_size;
    size_t body;                 /* where the head ended */
    uint32_t target, target_len; /* of the request line: where the target stands */
    char *mark;                  /* where a response's head begins in the output, until is_out */

    /* From here on zeroed when it is taken. What stands before this is set first. */
    size_t start, pos, fill;
    char *kept; /* NULL: the head lies in `in` */
    char *out;  /* a block; NULL: nothing is collected */
    size_t out_start, out_end;
    uint64_t taken;    /* bytes that a client took which had to be waited for */
    uint8_t in_kind;   /* enum http_buffer */
    uint8_t kept_kind; /* the same */
    bool skipped_line; /* the one empty line before a request */
    bool eof;          /* the client sends no more */
    bool broken;       /* output was cut off in the middle: send nothing more */
    bool busy;         /* a greenlet waits in a write */
    bool yields;       /* a greenlet lets others run, and waits for nothing */

    /* From here on zeroed for each request, but for the end of `env`. */
    uint8_t phase;     /* enum http_phase */
    uint8_t state;     /* parser: see parser.c */
    bool is_encoded;   /* before the query there is a '%' */
    uint32_t line;     /* parser: where this line began */
    uint32_t line_len; /* of the request line */
    uint32_t query;    /* and its '?'; 0: there is none */
    const char *head;  /* where offsets count from, once it is whole */
    cress_event gone;
    const char *refusal; /* why it was refused */
    /* What an answer and its end touch lies side by side, from the end of `input` to the beginning of
     * `env`: one that comes late finds none of it in the processor's caches. */
    struct http_input input;
    struct arena arena;
    struct cress_response res;
    struct cress_environ env;

    struct http_chunks chunks; /* set by chunked_begin */
    struct http_field inline_fields[INLINE_FIELDS];
    char own[]; /* a small request's bytes, or further fields; then the arena's first */
};

enum { OWN_SIZE = BLOCK_EXCHANGE_SIZE - offsetof(struct http_exchange, own) };

#define EXCHANGE_OF(member, pointer) \
    ((struct http_exchange *)((char *)(uintptr_t)(pointer)-offsetof(struct http_exchange, member)))

static inline struct http_exchange *exchange_of_env(const cress_environ *env)
{
    return EXCHANGE_OF(env, env);
}

static inline struct http_exchange *exchange_of_response(const cress_response *res)
{
    return EXCHANGE_OF(res, res);
}

/* Attaches a new exchange to h; NULL: ENOMEM. */
struct http_exchange *exchange_acquire(cress_http1 *h);
/* Gives everything back. */
void exchange_release(cress_http1 *h);
/* Forgets the request that was answered; bytes behind it are the next one's. */
void exchange_next_request(struct http_exchange *x);

/* [waits, unless DONTWAIT] Reads on behind `fill`, while a head is collected: as
 * cress_stream_read, and -1 with ENOMEM. ret_full: as much came as there was room for. */
ssize_t exchange_read_head(struct http_exchange *x, int flags, bool *ret_full);
/* Room for received bytes behind `fill`, while a head is collected. -1: ENOMEM. */
int exchange_make_room(struct http_exchange *x, size_t room);
/* The head is whole, or elsewhere: what is left of the exchange is the arena's. */
void exchange_lend_room(struct http_exchange *x);
/* The room behind `fill` while a request is served. It may be 0: unread bytes fill the buffer, or
 * there is no memory. */
size_t exchange_body_room(struct http_exchange *x);
/* Gives a buffer that only such room was in back, if all was read. */
void exchange_drop_room(struct http_exchange *x);

/* cress_take_turns and cress_sleep(0), during which the handler does not wait: a client that
 * sends no more has not left. */
void exchange_take_turns(struct http_exchange *x);
void exchange_take_turns_after(struct http_exchange *x, size_t bytes);
int exchange_yield(struct http_exchange *x);

/* The client left: wakes who waits for that. */
void exchange_mark_gone(struct http_exchange *x);

/* What is wrong with the request or its body, for the log. */
static inline void exchange_note_refusal(struct http_exchange *x, const char *why)
{
    x->refusal = why;
    x->http->refused = true;
}

/* The status, for `return exchange_refuse(x, 400, "...");`. */
static inline int exchange_refuse(struct http_exchange *x, int status, const char *why)
{
    exchange_note_refusal(x, why);
    return status;
}

/* Is this error of a stream the other side's doing, or the network's? Otherwise it is
 * a limit or a kill. */
bool exchange_is_peer_error(int error);

/* ---- limits, with their defaults --------------------------------------------------- */

static inline size_t config_request_line(const cress_http1_config *config)
{
    return config->limit_request_line ? config->limit_request_line : 8190;
}

static inline size_t config_fields(const cress_http1_config *config)
{
    return config->limit_request_fields ? config->limit_request_fields : 100;
}

static inline size_t config_field_size(const cress_http1_config *config)
{
    return config->limit_request_field_size ? config->limit_request_field_size : 8190;
}

static inline size_t config_head(const cress_http1_config *config)
{
    return config->limit_request_head ? config->limit_request_head : 64 << 10;
}

static inline uint64_t config_body(const cress_http1_config *config)
{
    return config->limit_request_body ? config->limit_request_body : 1 << 30;
}

static inline uint64_t exchange_body_limit(const struct http_exchange *x)
{
    return x->input.bound ? x->input.bound - 1 : config_body(x->http->config);
}

static inline cress_seconds config_body_timeout(const cress_http1_config *config)
{
    return config->body_timeout > 0 ? config->body_timeout : 30;
}

static inline cress_seconds config_write_timeout(const cress_http1_config *config)
{
    return config->write_timeout > 0 ? config->write_timeout : 30;
}

#endif
