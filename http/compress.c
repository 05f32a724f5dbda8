/* Compression as a hook on the response. Until it is known whether there is enough to be worth
 * it, what the app writes is held; then it goes through a coder, whose output is passed on by
 * pieces that always fit into a response's output block, so that a handler that is about to
 * wait can hand over everything without waiting.
 *
 * Coders are large and dear to set up: a few that can be reset wait for the next response. */
#include <cress/compress.h>

#include "coding.h"
#include "exchange.h"
#include "fields.h"
#include "hook.h"
#include "text.h"

#include <cress/negotiate.h>

#include <errno.h>
#include <stdlib.h>

enum {
    PIECE = 3800,
    SLICE = 32 << 10, /* is compressed at a time, then others have their turn */
    MAX_MIN_SIZE = 3000,
    DEFAULT_MIN_SIZE = 256,
    DEFAULT_LEVEL = 5,
    MAX_IDLE = 4,
};

static const struct coding *const codings[] = {
#ifdef CRESS_HAS_ZSTD
    &coding_zstd,
#endif
#ifdef CRESS_HAS_BROTLI
    &coding_brotli,
#endif
    &coding_gzip,
};

enum { CODINGS = sizeof codings / sizeof codings[0] };

struct cress_compressor {
    struct cress_compressor *next;
    const struct coding *coding;
    void *state;
};

struct compress {
    cress_hook hook;
    cress_compress_options *options;
    const struct coding *coding; /* NULL: the client wants none */
    struct cress_compressor *compressor;
    bool begun;   /* it is compressed */
    bool is_head; /* nothing is sent: nothing is compressed */
    bool passed;  /* something is on its way */
    bool written; /* and not flushed since */
    bool flushing;
    bool failed;
    size_t turn; /* bytes taken since others had their turn */
    size_t len;  /* in buf: before begun as the app gave it, then compressed */
    char *buf;   /* PIECE bytes */
};

/* ---- compressors ------------------------------------------------------------------------- */

static int level_of(const cress_compress_options *options)
{
    int level = options && options->level ? options->level : DEFAULT_LEVEL;

    return level < 1 ? 1 : level > 9 ? 9 : level;
}

static struct cress_compressor *take_idle(cress_compress_options *options,
                                          const struct coding *coding)
{
    struct cress_compressor **link = &options->idle, *found;

    while ((found = *link) && found->coding != coding)
        link = &found->next;
    if (found) {
        *link = found->next;
        options->idle_count--;
    }
    return found;
}

static void destroy(struct cress_compressor *compressor)
{
    compressor->coding->destroy(compressor->state);
    free(compressor);
}

static struct cress_compressor *acquire(cress_compress_options *options,
                                        const struct coding *coding)
{
    struct cress_compressor *compressor = options ? take_idle(options, coding) : NULL;

    if (compressor)
        return compressor;
    compressor = calloc(1, sizeof *compressor);
    if (!compressor)
        return NULL;
    compressor->coding = coding;
    compressor->state = coding->create(level_of(options));
    if (compressor->state)
        return compressor;
    free(compressor);
    return NULL;
}

static void release(void *arg)
{
    struct compress *c = arg;
    struct cress_compressor *compressor = c->compressor;
    cress_compress_options *options = c->options;

    c->compressor = NULL;
    if (!compressor)
        return;
    if (!options || options->idle_count == MAX_IDLE || !compressor->coding->reset ||
        !compressor->coding->reset(compressor->state)) {
        destroy(compressor);
        return;
    }
    compressor->next = options->idle;
    options->idle = compressor;
    options->idle_count++;
}

void cress_compress_finish(cress_compress_options *options)
{
    if (!options)
        return;
    int error = errno;
    for (struct cress_compressor *one = options->idle, *next; one; one = next) {
        next = one->next;
        destroy(one);
    }
    options->idle = NULL;
    options->idle_count = 0;
    errno = error;
}

/* ---- what is worth it ----------------------------------------------------------------------- */

static bool ends_with(cress_str text, const char *end)
{
    size_t len = strlen(end);

    return text.len >= len && strncasecmp(text.data + text.len - len, end, len) == 0;
}

static bool is_one_of(cress_str type, const char *const list[])
{
    for (; list && *list; list++)
        if (cress_str_equal_nocase(type, *list))
            return true;
    return false;
}

static bool gets_smaller(cress_str content_type, const char *const others[])
{
    static const char *const types[] = {
        "application/json",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "application/xml",
        "application/x-ndjson",
        "application/wasm",
        "application/vnd.ms-fontobject",
        "font/ttf",
        "font/otf",
        "image/bmp",
        "image/x-icon",
        "image/vnd.microsoft.icon",
        NULL,
    };
    cress_str type = { content_type.data, strcspn(content_type.data, "; \t") };

    return (type.len > 5 && strncasecmp(type.data, "text/", 5) == 0) || ends_with(type, "+json") ||
           ends_with(type, "+xml") || is_one_of(type, types) || is_one_of(type, others);
}

static bool has(cress_response *res, const char *name)
{
    return fields_find(res, name, 0).data != NULL;
}

static bool forbids_transforming(cress_response *res)
{
    static const char word[] = "no-transform";
    cress_str value;

    for (size_t i = 0; (value = fields_find(res, "Cache-Control", i)).data; i++)
        for (size_t at = 0; at + sizeof word - 1 <= value.len; at++)
            if (strncasecmp(value.data + at, word, sizeof word - 1) == 0)
                return true;
    return false;
}

/* Is it compressed for some clients? Of a 304 and a 206 it is asked of the whole, of which they
 * do not say enough: it may be. */
static bool is_compressible(const struct compress *c, cress_response *res)
{
    int status = res->status;
    cress_str type = cress_response_get_header(res, "Content-Type");

    if (status == 204 || status == 205 || has(res, "Content-Encoding") ||
        (status != 206 && has(res, "Content-Range")) || has(res, "Content-MD5") ||
        has(res, "Digest") || has(res, "Content-Digest") || has(res, "Repr-Digest") ||
        forbids_transforming(res))
        return false;
    if (status == 304 || status == 206)
        return true;
    return type.data && gets_smaller(type, c->options ? c->options->types : NULL);
}

static size_t min_size_of(const cress_compress_options *options)
{
    size_t size = options && options->min_size ? options->min_size : DEFAULT_MIN_SIZE;

    return size < MAX_MIN_SIZE ? size : MAX_MIN_SIZE;
}

/* ---- the head ---------------------------------------------------------------------------------- */

/* Two codings of one representation are not the same bytes: RFC 9110 8.8.1. */
static int weaken_etag(cress_response *res)
{
    cress_str etag = cress_response_get_header(res, "ETag");

    if (!etag.data || (etag.len > 2 && memcmp(etag.data, "W/", 2) == 0))
        return 0;
    cress_str weak = cress_environ_printf(cress_response_environ(res), "W/%s", etag.data);
    return weak.data ? cress_response_set_header(res, "ETag", weak.data) : -1;
}

static int set_fields(const struct compress *c, cress_response *res)
{
    if (cress_response_set_header(res, "Content-Encoding", c->coding->name) < 0 ||
        cress_response_remove_header(res, "Content-Length") < 0 ||
        cress_response_remove_header(res, "Accept-Ranges") < 0)
        return -1;
    return weaken_etag(res);
}

static int fail(struct compress *c, int error)
{
    c->failed = true;
    errno = error;
    return -1;
}

static int begin(struct compress *c, cress_response *res)
{
    if (set_fields(c, res) < 0)
        return -1;
    if (!c->is_head) {
        c->compressor = acquire(c->options, c->coding);
        if (!c->compressor)
            return fail(c, ENOMEM);
    }
    c->begun = true;
    return 0;
}

/* ---- the body ------------------------------------------------------------------------------------ */

static int pass_on(struct compress *c, cress_response *res)
{
    if (cress_hook_pass(&c->hook, res, c->buf, c->len) < 0)
        return -1;
    c->passed |= c->len > 0;
    c->len = 0;
    return 0;
}

/* [waits] when the buffer is full. */
static int run(struct compress *c, cress_response *res, enum coding_step step, const char *data,
               size_t len)
{
    struct coding_io io = { .in = data, .in_len = len };

    for (;;) {
        if (c->len == PIECE && pass_on(c, res) < 0)
            return -1;
        io.out = c->buf + c->len;
        io.out_len = PIECE - c->len;
        int done = c->coding->run(c->compressor->state, step, &io);
        c->len = PIECE - io.out_len;
        if (done < 0)
            return fail(c, ENOMEM);
        if (done)
            return 0;
    }
}

/* A flush that was broken off is done before anything else. */
static int run_flush(struct compress *c, cress_response *res)
{
    if (!c->written && !c->flushing)
        return 0;
    c->flushing = true;
    if (run(c, res, CODING_FLUSH, "", 0) < 0)
        return -1;
    c->flushing = c->written = false;
    return 0;
}

/* [waits] */
static int take_turns(struct compress *c, cress_response *res, size_t taken)
{
    c->turn += taken;
    if (c->turn < SLICE)
        return 0;
    c->turn = 0;
    return hooks_may_not_wait(res) ? 0 : exchange_yield(exchange_of_response(res));
}

static int take(struct compress *c, cress_response *res, const char *data, size_t len)
{
    if (c->is_head)
        return 0;
    if (c->flushing && run_flush(c, res) < 0)
        return -1;
    c->written = true;
    while (len > 0) {
        size_t some = len < SLICE - c->turn ? len : SLICE - c->turn;
        if (run(c, res, CODING_TAKE, data, some) < 0 || take_turns(c, res, some) < 0)
            return -1;
        data += some;
        len -= some;
    }
    return 0;
}

/* What was held goes first: the buffer is needed for what comes out. */
static int begin_with_held(struct compress *c, cress_response *res)
{
    size_t len = c->len;
    char *held = c->buf;

    if (c->begun)
        return 0;
    c->buf = cress_environ_alloc(cress_response_environ(res), PIECE);
    if (!c->buf)
        return fail(c, ENOMEM);
    c->len = 0;
    return begin(c, res) < 0 ? -1 : take(c, res, held, len);
}

static int on_write(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    struct compress *c = (struct compress *)(void *)hook;

    if (c->failed)
        return fail(c, EPIPE);
    if (!c->begun && len < min_size_of(c->options) - c->len) {
        memcpy(c->buf + c->len, data, len);
        c->len += len;
        return 0;
    }
    return begin_with_held(c, res) < 0 ? -1 : take(c, res, data, len);
}

static int on_flush(cress_hook *hook, cress_response *res)
{
    struct compress *c = (struct compress *)(void *)hook;

    if (c->failed)
        return fail(c, EPIPE);
    if (!c->begun && (c->len == 0 || begin_with_held(c, res) < 0))
        return c->len == 0 ? 0 : -1;
    if (c->is_head)
        return 0;
    return run_flush(c, res) < 0 ? -1 : pass_on(c, res);
}

static int set_length(cress_response *res, size_t len)
{
    char text[24];

    *text_put_u64(text, len) = '\0';
    return cress_response_set_header(res, "Content-Length", text);
}

/* What is whole in the buffer is sent with its length. */
static int on_end(cress_hook *hook, cress_response *res)
{
    struct compress *c = (struct compress *)(void *)hook;

    if (c->failed)
        return fail(c, EPIPE);
    if (c->begun && c->is_head)
        return 0;
    if (c->flushing && run_flush(c, res) < 0)
        return -1;
    if (c->begun && run(c, res, CODING_END, "", 0) < 0)
        return -1;
    if (!c->passed && c->len > 0 && set_length(res, c->len) < 0)
        return -1;
    return pass_on(c, res);
}

static int hold_body(struct compress *c, cress_response *res)
{
    c->buf = cress_environ_alloc(cress_response_environ(res), PIECE);
    if (!c->buf)
        return fail(c, ENOMEM);
    c->hook.write = on_write;
    c->hook.flush = on_flush;
    c->hook.end = on_end;
    return 0;
}

/* Of a part it is not known how large the whole is. */
static bool is_too_small(const struct compress *c, const cress_response *res)
{
    return res->status != 206 && res->has_length && res->length < min_size_of(c->options);
}

static int on_head(cress_hook *hook, cress_response *res)
{
    struct compress *c = (struct compress *)(void *)hook;

    release(c);
    c->begun = c->passed = c->written = c->flushing = c->failed = false;
    c->len = c->turn = 0;
    c->is_head = cress_str_equal(cress_method(cress_response_environ(res)), "HEAD");
    hook->write = NULL;
    hook->flush = hook->end = NULL;
    if (!is_compressible(c, res) || is_too_small(c, res))
        return 0;
    if (cress_response_vary(res, "Accept-Encoding") < 0)
        return -1;
    if (!c->coding || res->status == 206)
        return 0;
    if (res->status == 304)
        return weaken_etag(res);
    if (hold_body(c, res) < 0)
        return -1;
    return res->has_length ? begin(c, res) : 0;
}

/* ---- the layer ------------------------------------------------------------------------------------- */

static const struct coding *choose(const cress_environ *env)
{
    const char *offers[CODINGS + 2] = { NULL };

    for (size_t i = 0; i < CODINGS; i++)
        offers[i] = codings[i]->name;
    offers[CODINGS] = "identity";
    int best = cress_accept_encoding(env, offers);
    return best >= 0 && best < CODINGS ? codings[best] : NULL;
}

int cress_compress(cress_environ *env, cress_response *res, void *self)
{
    struct compress *c = cress_environ_alloc(env, sizeof *c);

    if (!c)
        return -1;
    *c = (struct compress){
        .hook = { .head = on_head },
        .options = self,
        .coding = choose(env),
    };
    if ((c->coding && cress_defer(env, release, c) < 0) ||
        cress_response_add_hook(res, &c->hook) < 0)
        return -1;
    return cress_next(env, res);
}
