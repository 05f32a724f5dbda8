/* A response on its way through hooks. They form a list, the innermost first; a piece of the
 * body goes to the first that has a write function, which passes to the next whatever it
 * makes of it, and behind the last one lies what response.c does without any:
 *
 *     app -> cress_response_write -> innermost hook -> ... -> outermost hook -> framing
 *
 * Each hook sees the head before the first piece that reaches it, so that an inner one can
 * change the head as long as it has passed nothing on.
 *
 * What the app gave is counted here, against the Content-Length that the app said; what goes
 * out is counted by response.c, against the one that is sent. After a failure a filter
 * may be anywhere in the data, so that nothing more can be written.
 */
#include "hook.h"

#include "fail.h"
#include "head.h"
#include "output.h"
#include "response.h"
#include "status.h"
#include "text.h"

#include <errno.h>
#include <unistd.h>

struct hook_chain {
    cress_hook *first; /* the innermost */
    uint64_t length;   /* the app's Content-Length */
    uint64_t sent;     /* body bytes that the app gave */
    bool has_length;   /* the app said one */
    bool hides_length; /* a hook took it away */
    bool begun;        /* the app has begun its body */
    bool running;      /* a greenlet is in a hook */
    bool failed;       /* nothing more can be written */
    bool may_not_wait; /* a flush because the handler is about to wait */
};

int cress_response_add_hook(cress_response *res, cress_hook *hook)
{
    if (res->begun || res->committed)
        return fail_with(EALREADY);
    if (!res->hooks) {
        struct hook_chain *chain = arena_alloc(&exchange_of_response(res)->arena, sizeof *chain);
        if (!chain)
            return -1;
        *chain = (struct hook_chain){ .first = NULL };
        res->hooks = chain;
    }
    hook->begun = false;
    hook->outer = res->hooks->first;
    res->hooks->first = hook;
    return 0;
}

/* ---- through the list -------------------------------------------------------------------- */

/* Can len bytes be collected without waiting, head and all? */
static bool has_room(struct http_exchange *x, size_t len)
{
    enum { HEAD = 12 << 10, AROUND = 32 };
    size_t needed = len + AROUND + (x->res.committed ? 0 : HEAD);

    if (needed > OUTPUT_SIZE)
        return false;
    if (x->out && OUTPUT_SIZE - x->out_end < needed)
        output_push(x);
    return !x->out || OUTPUT_SIZE - x->out_end >= needed;
}

static int pass_at_once(cress_response *res, const void *data, size_t len)
{
    if (response_drops_body(res)) {
        res->sent += len;
        return 0;
    }
    if (!has_room(exchange_of_response(res), len))
        return fail_with(EAGAIN);
    return response_write_body(res, data, len);
}

static int begin_hook(cress_hook *hook, cress_response *res)
{
    if (hook->begun)
        return 0;
    if (hook->head && hook->head(hook, res) < 0)
        return -1;
    hook->begun = true;
    return 0;
}

static int pass(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    for (; hook; hook = hook->outer) {
        if (begin_hook(hook, res) < 0)
            return -1;
        if (hook->write)
            return hook->write(hook, res, data, len);
    }
    return res->hooks->may_not_wait ? pass_at_once(res, data, len)
                                    : response_write_body(res, data, len);
}

int cress_hook_pass(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    return len > 0 ? pass(hook->outer, res, data, len) : 0;
}

static int flush_each(cress_response *res)
{
    for (cress_hook *hook = res->hooks->first; hook; hook = hook->outer)
        if (begin_hook(hook, res) < 0 || (hook->flush && hook->flush(hook, res) < 0))
            return -1;
    return 0;
}

static int end_each(cress_response *res)
{
    for (cress_hook *hook = res->hooks->first; hook; hook = hook->outer)
        if (begin_hook(hook, res) < 0 || (hook->end && hook->end(hook, res) < 0))
            return -1;
    return 0;
}

/* ---- the app's side ------------------------------------------------------------------------ */

static int enter(cress_response *res, size_t len)
{
    struct hook_chain *chain = res->hooks;

    if (response_check_open(res, len) < 0)
        return -1;
    if (chain->running)
        return fail_with(EBUSY);
    if (chain->failed)
        return fail_with(EPIPE);
    if (!chain->begun) {
        chain->begun = res->begun = true;
        chain->has_length = res->has_length;
        chain->length = res->length;
    }
    if (chain->has_length && len > chain->length - chain->sent)
        return response_too_long(res);
    chain->running = true;
    return 0;
}

static int leave(cress_response *res, int result)
{
    res->hooks->running = false;
    if (result < 0)
        res->hooks->failed = true;
    return result;
}

static int flush_inside(cress_response *res)
{
    return flush_each(res) < 0 ? -1 : response_flush_body(res);
}

/* What a second greenlet writes is not held back until the handler waits. */
static int flush_for_others(cress_response *res)
{
    return cress_self() == exchange_of_response(res)->greenlet ? 0 : flush_inside(res);
}

int hooks_write(cress_response *res, const void *data, size_t len)
{
    if (len == 0)
        return response_check_open(res, 0);
    if (enter(res, len) < 0)
        return -1;
    int result = pass(res->hooks->first, res, data, len);
    if (result == 0) {
        res->hooks->sent += len;
        result = flush_for_others(res);
    }
    return leave(res, result);
}

int hooks_respond(cress_response *res, cress_str type, const void *data, size_t len)
{
    res->length = len;
    if (type.len > 0 && head_add_field(res, "Content-Type", type.data) < 0)
        return -1;
    if (len > 0)
        return hooks_write(res, data, len);
    return enter(res, 0) < 0 ? -1 : leave(res, 0);
}

int hooks_flush(cress_response *res)
{
    return enter(res, 0) < 0 ? -1 : leave(res, flush_inside(res));
}

/* ---- files ----------------------------------------------------------------------------------- */

static int pass_file(cress_hook *hook, cress_response *res, int fd, off_t offset, size_t len)
{
    char *buf = block_get(BLOCK_OUTPUT);
    int result = buf ? 0 : -1;

    while (result == 0 && len > 0) {
        ssize_t got = pread(fd, buf, len < BLOCK_OUTPUT_SIZE ? len : BLOCK_OUTPUT_SIZE, offset);
        if (got <= 0) {
            result = got < 0 ? -1 : fail_with(EIO);
        } else {
            result = hook->write(hook, res, buf, (size_t)got);
            offset += got;
            len -= (size_t)got;
        }
    }
    int error = errno;
    if (buf)
        block_put(BLOCK_OUTPUT, buf);
    errno = error;
    return result;
}

/* The first hook that filters reads the file; if there is none it goes the short way. */
static int send_file(cress_response *res, int fd, off_t offset, size_t len)
{
    for (cress_hook *hook = res->hooks->first; hook; hook = hook->outer) {
        if (begin_hook(hook, res) < 0)
            return -1;
        if (hook->write)
            return pass_file(hook, res, fd, offset, len);
    }
    return response_send_body(res, fd, offset, len);
}

int hooks_send_file(cress_response *res, int fd, off_t offset, size_t len)
{
    if (response_check_open(res, 0) < 0)
        return -1;
    if (!res->begun && !res->committed && !res->has_length && !status_is_bodiless(res->status)) {
        res->length = len;
        res->has_length = true;
    }
    if (enter(res, len) < 0)
        return -1;
    int result = len > 0 ? send_file(res, fd, offset, len) : 0;
    if (result == 0) {
        res->hooks->sent += len;
        result = flush_for_others(res);
    }
    return leave(res, result);
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool is_short(const cress_response *res)
{
    const struct hook_chain *chain = res->hooks;

    return chain->has_length && chain->sent < chain->length && !response_drops_body(res) &&
           !status_is_bodiless(res->status);
}

int hooks_end(cress_response *res)
{
    if (enter(res, 0) < 0)
        return -1;
    if (is_short(res)) {
        res->wrong = "wrote less than its Content-Length";
        res->cut = true;
        return leave(res, fail_with(EIO));
    }
    return leave(res, end_each(res));
}

void hooks_push(cress_response *res)
{
    struct hook_chain *chain = res->hooks;
    const struct http_exchange *x = exchange_of_response(res);

    if (!chain->begun || chain->running || chain->failed || res->complete || res->cut || x->busy ||
        x->broken || x->http->gone || x->phase != PHASE_REQUEST)
        return;
    int error = errno;
    chain->running = chain->may_not_wait = true;
    flush_each(res); /* what failed is said by the next call that may wait */
    chain->running = chain->may_not_wait = false;
    errno = error;
}

void hooks_restart(cress_response *res)
{
    struct hook_chain *chain = res->hooks;

    res->is_replaced = true;
    *chain = (struct hook_chain){ .first = chain->first };
    for (cress_hook *hook = chain->first; hook; hook = hook->outer)
        hook->begun = false;
}

void hooks_take_length(cress_response *res)
{
    if (res->hooks)
        res->hooks->hides_length = true;
}

bool hooks_hide_length(const cress_response *res)
{
    return res->hooks->hides_length;
}

bool hooks_are_running(const cress_response *res)
{
    return res->hooks && res->hooks->running;
}

bool hooks_may_not_wait(const cress_response *res)
{
    return res->hooks && res->hooks->may_not_wait;
}

cress_hook *hooks_innermost(const cress_response *res)
{
    return res->hooks ? res->hooks->first : NULL;
}
