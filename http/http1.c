/* The life of a connection: heads are collected, answered, and forgotten.
 *
 * A connection without bytes has no exchange. next takes one for the first bytes, and
 * gives it back when there are no more; a request's slices stay valid until then, so
 * that the server can log it after finish. What one request leaves in the output goes
 * out with the next one's answer if that request's head is there already, else before
 * anything is read.
 */
#include <cress/http1.h>

#include "environ.h"
#include "fail.h"
#include "head.h"
#include "hook.h"
#include "input.h"
#include "output.h"
#include "parser.h"
#include "response.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

void cress_http1_init(cress_http1 *h, cress_stream *stream, const cress_http1_config *config,
                      const cress_http1_peer *peer)
{
    *h = (cress_http1){
        .stream = stream,
        .config = config,
        .readable = true,
        .differs = config->server_software || config->keep_alive <= 0,
        .narrow = parser_is_narrow(config),
    };
    if (peer)
        h->peer = *peer;
}

void cress_http1_destroy(cress_http1 *h)
{
    if (!h)
        return;
    int error = errno;
    if (h->exchange)
        environ_run_deferred(&h->exchange->env);
    exchange_release(h);
    errno = error;
}

cress_environ *cress_http1_environ(cress_http1 *h)
{
    return &h->exchange->env;
}

cress_response *cress_http1_response(cress_http1 *h)
{
    return &h->exchange->res;
}

/* An empty line before a request (RFC 9112 2.2) is no part of it. */
bool cress_http1_idle(const cress_http1 *h)
{
    const struct http_exchange *x = h->exchange;

    return !x || (x->skipped_line && !parser_has_begun(x) && x->pos == x->fill);
}

bool cress_http1_cancels(const cress_http1 *h)
{
    return h->exchange && h->exchange->phase == PHASE_REQUEST && !h->exchange->res.ignores_gone;
}

/* ---- the next request ------------------------------------------------------------------------- */

static cress_http1_event close_connection(cress_http1 *h)
{
    int error = errno;

    h->closing = true;
    if (h->exchange)
        output_flush(h->exchange);
    errno = error;
    return CRESS_HTTP1_CLOSE;
}

static cress_http1_event refuse_head(cress_http1 *h, int status)
{
    cress_http1_refuse(h, status, -1);
    return CRESS_HTTP1_CLOSE;
}

static cress_http1_event begin_request(cress_http1 *h)
{
    struct http_exchange *x = h->exchange;

    x->greenlet = cress_self();
    x->phase = PHASE_REQUEST;
    h->requests++;
    return CRESS_HTTP1_REQUEST;
}

/* Of the bytes that are there. */
static inline cress_http1_event parse(cress_http1 *h)
{
    int status = parser_head(h->exchange);

    if (status == PARSE_MORE)
        return CRESS_HTTP1_WAIT;
    return status == PARSE_DONE ? begin_request(h) : refuse_head(h, status);
}

/* [waits] 1: bytes came; 0: none now; -1: none will. */
static int receive(cress_http1 *h, int flags)
{
    struct http_exchange *x = h->exchange ? h->exchange : exchange_acquire(h);

    if (!x)
        return -1;
    ssize_t got = exchange_read_head(x, flags, &h->readable);
    if (got > 0) {
        x->fill += (size_t)got;
        return 1;
    }
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got < 0 && exchange_is_peer_error(errno))
        h->gone = true;
    return -1;
}

/* Nothing is left either way: gives the exchange back. */
static void rest(cress_http1 *h)
{
    struct http_exchange *x = h->exchange;

    if (x && x->pos == x->fill && !parser_has_begun(x) && !x->skipped_line && !x->out)
        exchange_release(h);
}

/* After a request: is this the last that is there? */
static inline bool is_at_rest(const cress_http1 *h)
{
    const struct http_exchange *x = h->exchange;

    return x && x->phase != PHASE_HEAD && !h->readable && x->pos == x->fill && !x->out && !x->eof;
}

/* The exchange goes back as it is. */
static __attribute__((noinline)) cress_http1_event give_back(cress_http1 *h)
{
    exchange_release(h);
    return CRESS_HTTP1_WAIT;
}

/* RFC 9112 9.6: closing on what was not read would reset the connection, and the client
 * could lose the answer. */
static bool has_unread(const cress_http1 *h)
{
    const struct http_exchange *x = h->exchange;

    return x && !h->gone && !x->eof && (x->pos < x->fill || h->readable);
}

static __attribute__((noinline)) cress_http1_event read_request(cress_http1 *h, bool wait)
{
    struct http_exchange *x = h->exchange;

    if (x && x->phase != PHASE_HEAD)
        exchange_next_request(x);
    for (bool has_bytes = x && x->pos < x->fill;;) {
        cress_http1_event event = has_bytes ? parse(h) : CRESS_HTTP1_WAIT;
        if (event != CRESS_HTTP1_WAIT)
            return event;
        if (x && (output_flush(x) < 0 || x->eof))
            return close_connection(h);
        if (!wait && !h->readable) {
            rest(h);
            return CRESS_HTTP1_WAIT;
        }
        int got = receive(h, wait ? 0 : CRESS_STREAM_DONTWAIT);
        if (got < 0) {
            rest(h);
            return close_connection(h);
        }
        has_bytes = got > 0;
        x = h->exchange;
    }
}

static __attribute__((noinline)) cress_http1_event stop_reading(cress_http1 *h)
{
    h->linger |= has_unread(h);
    return close_connection(h);
}

/* Each of the three is apart, so that none pays for what the others need. */
cress_http1_event cress_http1_next(cress_http1 *h, bool wait)
{
    if (h->closing)
        return stop_reading(h);
    return !wait && is_at_rest(h) ? give_back(h) : read_request(h, wait);
}

/* ---- its end ------------------------------------------------------------------------------------ */

static int status_for(const struct http_exchange *x, int error)
{
    if (error == ETIMEDOUT && x->input.error == ETIMEDOUT)
        return 408;
    switch (error) {
    case ETIMEDOUT:
    case ECANCELED:
        return 503;
    case EMSGSIZE:
        return 413;
    case EBADMSG:
        return 400;
    default:
        return 500;
    }
}

/* A failure that nobody else accounts for. */
static const char *describe_failure(bool is_answered, int error)
{
    static _Thread_local char text[128];

    snprintf(text, sizeof text, "failed%s: %s", is_answered ? "" : " after its response had begun",
             error ? strerror(error) : "no reason given");
    return text;
}

/* A limit that passed, a kill and a faulty body are not the app's doing. */
static COLD const char *fail_request(struct http_exchange *x, int error)
{
    int status = x->res.wrong ? 500 : status_for(x, error);
    bool is_answered = response_error(&x->res, status, CRESS_STR(""));

    if (x->res.wrong || status != 500)
        return x->res.wrong;
    return describe_failure(is_answered, error);
}

/* Is the next request here, so that its answer may go out with this one? */
static bool has_more(const struct http_exchange *x)
{
    return x->pos < x->fill && x->input.ended && !x->http->closing;
}

/* The rest of the body, so that the next request can be found behind it. */
static COLD void leave_body(struct http_exchange *x)
{
    if (x->http->closing || !input_drain(x))
        x->http->closing = true;
    if (!x->input.ended)
        x->http->linger = true;
}

/* Is there nothing left to do but to send? So it is behind cress_respond. */
static inline bool is_answered(const struct http_exchange *x, int result)
{
    return result == 0 && x->res.whole && !x->res.hooks;
}

/* The other protocol has ended: nothing is left to say, but something to be read. */
static COLD const char *finish_switched(struct http_exchange *x, int result, int error)
{
    bool is_usual = result == 0 || error == ECANCELED || error == ETIMEDOUT || error == EPIPE;

    x->http->linger = !x->eof && !x->http->gone;
    return is_usual || x->http->gone ? NULL : describe_failure(false, error);
}

/* [waits] The connection's end leaves with the last one, unless deferred calls come before it. */
static int flush_answer(struct http_exchange *x)
{
    return output_flush_answer(x, x->http->closing && !x->env.deferred);
}

static inline void send_answer(struct http_exchange *x)
{
    if (!has_more(x) && flush_answer(x) < 0)
        x->http->closing = true;
}

static __attribute__((noinline)) const char *complete(struct http_exchange *x, int result,
                                                      int error)
{
    if (x->http->gone)
        x->broken = true;
    else if (result == 0 && !x->res.lost)
        return response_complete(&x->res);
    else
        return fail_request(x, result == 0 ? x->res.lost : error);
    return NULL;
}

/* Who is being stopped gets so long, at most, to send what it has to say. */
static const cress_seconds LAST_WORDS = 2.0;

static HOT const char *finish(struct http_exchange *x, int result, int error)
{
    const char *wrong = NULL;

    if (x->res.switched) {
        wrong = finish_switched(x, result, error);
    } else {
        if (is_answered(x, result))
            x->res.complete = true;
        else
            wrong = complete(x, result, error);
        send_answer(x);
    }
    environ_run_deferred(&x->env);
    if (!x->input.ended && !x->http->gone)
        leave_body(x);
    x->phase = PHASE_DONE;
    return wrong;
}

static COLD const char *finish_shielded(struct http_exchange *x, int result, int error)
{
    cress_timeout shield;

    x->http->closing = true; /* this greenlet can wait for no other request */
    cress_timeout_start_shielded(&shield, fmin(config_write_timeout(x->http->config), LAST_WORDS));
    const char *wrong = finish(x, result, error);
    cress_timeout_close(&shield);
    return wrong;
}

const char *cress_http1_finish(cress_http1 *h, int result, int error)
{
    assert(h->exchange && h->exchange->phase == PHASE_REQUEST);
    if (cress_check() < 0)
        return finish_shielded(h->exchange, result, error);
    return finish(h->exchange, result, error);
}

void cress_http1_refuse(cress_http1 *h, int status, int retry_after)
{
    struct http_exchange *x = h->exchange ? h->exchange : exchange_acquire(h);
    char extra[40] = "", *end = extra;

    h->closing = h->linger = true;
    if (!x)
        return;
    if (status == 408)
        exchange_note_refusal(x, "a head too slow");
    if (retry_after >= 0) {
        end = TEXT_PUT(end, "Retry-After: ");
        end = text_put_u64(end, (uint64_t)retry_after);
        end = TEXT_PUT(end, "\r\n");
    }
    if (x->phase == PHASE_DONE)
        return;
    response_error(&x->res, status, (cress_str){ extra, (size_t)(end - extra) });
    output_flush(x);
    environ_run_deferred(&x->env);
    x->phase = PHASE_DONE;
}

/* ---- while a handler waits ---------------------------------------------------------------------- */

void cress_http1_push(cress_http1 *h)
{
    if (!h->exchange)
        return;
    if (h->exchange->res.hooks)
        hooks_push(&h->exchange->res);
    output_push(h->exchange);
}

/* After a change of protocol, one that sends no more may still listen. */
static bool may_half_close(const struct http_exchange *x)
{
    return x->http->config->allow_half_close || (x->res.switched && x->res.ignores_gone);
}

static int leave(struct http_exchange *x)
{
    exchange_mark_gone(x);
    return -1;
}

bool cress_http1_leave(cress_http1 *h)
{
    struct http_exchange *x = h->exchange;

    if (!x || x->phase != PHASE_REQUEST || x->input.busy || x->busy || x->yields)
        return false;
    if (x->res.switched && x->res.ignores_gone)
        return false;
    leave(x);
    return true;
}

int cress_http1_pull(cress_http1 *h)
{
    struct http_exchange *x = h->exchange;

    if (!x || x->phase != PHASE_REQUEST)
        return 0;
    if (x->input.busy)
        return 1; /* its reader was woken and is about to run */
    if (h->gone)
        return leave(x);
    if (x->eof)
        return 0;
    size_t room = exchange_body_room(x);
    if (room == 0)
        return 0;
    ssize_t got = cress_stream_read(h->stream, x->in + x->fill, room, CRESS_STREAM_DONTWAIT);
    if (got > 0) {
        x->fill += (size_t)got;
        return (size_t)got < room;
    }
    exchange_drop_room(x);
    if (got < 0 && !exchange_is_peer_error(errno))
        return 1;
    if (got == 0 && (x->busy || x->yields))
        return 0; /* a write finds out by itself whether anybody reads it; so does the next wait */
    x->eof = true;
    return got == 0 && may_half_close(x) ? 0 : leave(x);
}

bool cress_http1_stop(cress_http1 *h)
{
    const struct http_exchange *x = h->exchange;

    h->closing = h->stops = true;
    return x && x->res.switched && x->input.busy;
}

bool cress_http1_awaits_client(const cress_http1 *h)
{
    const struct http_exchange *x = h->exchange;

    return x && !x->yields && (x->busy || (x->input.busy && !x->res.switched));
}

uint64_t cress_http1_progress(const cress_http1 *h)
{
    const struct http_exchange *x = h->exchange;

    return x ? x->taken + x->input.taken + x->res.body_bytes : 0;
}

/* ---- for logs and reports ------------------------------------------------------------------------- */

void cress_http1_get_log(const cress_http1 *h, cress_http1_log *ret_log)
{
    const struct http_exchange *x = h->exchange;

    *ret_log = (cress_http1_log){ .minor = 1 };
    if (!x)
        return;
    ret_log->status = x->res.status;
    ret_log->body_bytes = x->res.body_bytes;
    if (!x->head)
        return;
    ret_log->method = x->env.method;
    ret_log->target = x->env.target;
    ret_log->minor = x->env.minor;
    ret_log->referer = cress_header_get(&x->env, "Referer");
    ret_log->user_agent = cress_header_get(&x->env, "User-Agent");
}

const char *cress_http1_refusal(const cress_http1 *h)
{
    return h->exchange ? h->exchange->refusal : NULL;
}

static char *put_bounded(char *to, const char *end, cress_str text)
{
    while (text.len-- > 0 && to < end)
        *to++ = *text.data++;
    return to;
}

/* Would it end a line of a report, or steer a terminal? The bytes of C1 are sound behind others
 * of UTF-8, but not behind 0xc2. */
static bool is_control(unsigned char before, unsigned char c)
{
    bool may_be_c1 = c >= 0x80 && c < 0xa0;

    return c < ' ' || c == 0x7f || (may_be_c1 && (before < 0x80 || before == 0xc2));
}

/* The same of decoded text, behind at least one byte. */
static char *put_harmless(char *to, const char *end, cress_str text)
{
    for (; text.len-- > 0 && to < end; to++, text.data++)
        *to = is_control((unsigned char)to[-1], (unsigned char)*text.data) ? '?' : *text.data;
    return to;
}

void cress_http1_describe(const cress_http1 *h, char *buf, size_t size)
{
    const struct http_exchange *x = h->exchange;
    char *to = buf;

    if (size == 0)
        return;
    if (x && x->phase == PHASE_REQUEST) {
        to = put_bounded(to, buf + size - 1, x->env.method);
        to = put_bounded(to, buf + size - 1, CRESS_STR(" "));
        to = put_harmless(to, buf + size - 1, x->env.script);
        to = put_harmless(to, buf + size - 1, x->env.path);
    } else {
        to = put_bounded(to, buf + size - 1, CRESS_STR("HTTP connection"));
    }
    *to = '\0';
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static void describe_hook(void *arg, char *buf, size_t size)
{
    cress_http1_describe(arg, buf, size);
}

static void before_wait_hook(void *arg)
{
    cress_http1_push(arg);
}

static void *local_hook(void *arg, const struct cress_local *key)
{
    return cress_http1_local(arg, key);
}

void cress_http1_serve(cress_stream *stream, const cress_http1_config *config,
                       const cress_http1_peer *peer, cress_app *app, void *self)
{
    static const cress_greenlet_hooks hooks = {
        .describe = describe_hook,
        .before_wait = before_wait_hook,
        .local = local_hook,
    };
    cress_http1 http;

    cress_http1_init(&http, stream, config, peer);
    cress_set_hooks(cress_self(), &hooks, &http);
    while (cress_http1_next(&http, true) == CRESS_HTTP1_REQUEST) {
        errno = 0;
        int result = app(cress_http1_environ(&http), cress_http1_response(&http), self);
        cress_http1_finish(&http, result, errno);
    }
    cress_set_hooks(cress_self(), NULL, NULL);
    cress_http1_destroy(&http);
}
