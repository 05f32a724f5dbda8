/* A connection that goes on in another protocol is a stream over the one below: it
 * hands out first what was read ahead, and writes wait for a slow client no longer than
 * responses do. While the handler waits for something else, the connection is
 * watched and read ahead as during any request.
 */
#include <cress/upgrade.h>

#include "environ.h"
#include "fail.h"
#include "input.h"
#include "output.h"
#include "response.h"

#include <errno.h>

struct upgraded {
    cress_stream stream;
    struct http_exchange *x;
};

static struct http_exchange *exchange_of(cress_stream *s)
{
    return ((struct upgraded *)(void *)s)->x;
}

/* ---- the stream ------------------------------------------------------------------------------ */

static ssize_t read_ahead(struct http_exchange *x, void *buf, size_t len)
{
    size_t there = x->fill - x->pos, taken = len < there ? len : there;

    memcpy(buf, x->in + x->pos, taken);
    x->pos += taken;
    exchange_drop_room(x);
    return (ssize_t)taken;
}

/* A server that is to stop awaits no more input. */
static ssize_t read_stream(struct http_exchange *x, void *buf, size_t len, int flags)
{
    if (x->http->stops)
        flags |= CRESS_STREAM_DONTWAIT;
    x->input.busy = !(flags & CRESS_STREAM_DONTWAIT);
    ssize_t got = cress_stream_read(x->http->stream, buf, len, flags);
    x->input.busy = false;
    if (got >= 0 || !x->http->stops)
        return got;
    return errno == EAGAIN || errno == ESHUTDOWN ? cress_check() : -1;
}

static ssize_t upgraded_read(cress_stream *s, void *buf, size_t len, int flags)
{
    struct http_exchange *x = exchange_of(s);

    if (cress_check() < 0)
        return -1;
    if (x->input.busy)
        return fail_with(EBUSY);
    if (x->pos < x->fill)
        return read_ahead(x, buf, len);
    if (x->eof || x->http->gone)
        return 0;
    ssize_t got = read_stream(x, buf, len, flags);
    if (got == 0 && len > 0)
        x->eof = !x->http->stops;
    else if (got < 0 && exchange_is_peer_error(errno))
        exchange_mark_gone(x);
    return got;
}

static ssize_t upgraded_writev(cress_stream *s, const struct iovec *iov, int count, int flags)
{
    struct http_exchange *x = exchange_of(s);

    if (cress_check() < 0)
        return -1;
    ssize_t sent = output_writev(x, iov, count, flags & CRESS_STREAM_DONTWAIT);
    if (sent > 0)
        x->res.body_bytes += (size_t)sent;
    return sent;
}

static int upgraded_shutdown(cress_stream *s)
{
    struct http_exchange *x = exchange_of(s);

    if (cress_check() < 0)
        return -1;
    if (x->busy)
        return fail_with(EBUSY);
    x->broken = true;
    return cress_stream_shutdown(x->http->stream);
}

/* The connection itself ends with the handler. */
static void upgraded_close(cress_stream *s)
{
    struct http_exchange *x = exchange_of(s);

    x->broken = x->eof = true;
    x->pos = x->fill;
}

static bool upgraded_pending(cress_stream *s)
{
    struct http_exchange *x = exchange_of(s);

    return x->pos < x->fill || x->eof || cress_stream_pending(x->http->stream);
}

/* ---- the way there --------------------------------------------------------------------------- */

bool cress_upgrade_offered(const cress_environ *env, const char *protocol)
{
    return env->minor == 1 && *protocol &&
           environ_has_option(env, "Connection", CRESS_STR("upgrade")) &&
           environ_has_option(env, "Upgrade", (cress_str){ protocol, strlen(protocol) });
}

int cress_upgrade(cress_response *res, const char *protocol, const cress_header headers[],
                  cress_stream **ret_stream)
{
    static const cress_stream_ops ops = {
        .read = upgraded_read,
        .writev = upgraded_writev,
        .shutdown = upgraded_shutdown,
        .close = upgraded_close,
        .pending = upgraded_pending,
    };
    struct http_exchange *x = exchange_of_response(res);

    if (cress_check() < 0)
        return -1;
    if (!cress_upgrade_offered(&x->env, protocol))
        return fail_with(EPROTONOSUPPORT);
    if (res->begun || res->committed)
        return fail_with(EALREADY);
    if (input_skip(x) < 0)
        return -1;
    struct upgraded *upgraded = arena_alloc(&x->arena, sizeof *upgraded);
    if (!upgraded || response_switch(res, protocol, headers) < 0)
        return -1;
    cress_request_timeout(&x->env, CRESS_FOREVER);
    *upgraded = (struct upgraded){ .stream.ops = &ops, .x = x };
    *ret_stream = &upgraded->stream;
    return 0;
}
