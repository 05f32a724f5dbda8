/* Taking, growing and giving back an exchange: see exchange.h. */
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(offsetof(struct http_exchange, own) ==
                       offsetof(struct http_exchange, inline_fields[INLINE_FIELDS]) &&
                   OWN_SIZE >= 256,
               "the table of fields can go on, and room is left for small requests");

/* What is zeroed from `first` on, in pieces that compilers turn into a few stores: a third of what
 * the library's memset takes. What lies behind is set later, so the last piece need not end with
 * it. */
enum {
    PIECE = 64,
    ZEROED_END = offsetof(struct http_exchange, env.field_capacity),
};

_Static_assert(ZEROED_END + PIECE <= sizeof(struct http_exchange), "the last piece is in it");

static inline __attribute__((always_inline)) void clear_from(struct http_exchange *x, size_t first)
{
#pragma GCC unroll 8
    for (size_t at = first; at < ZEROED_END; at += PIECE)
        memset((char *)x + at, 0, PIECE);
}

/* ---- buffers ------------------------------------------------------------------------------- */

static void free_buffer(char *buffer, enum http_buffer kind)
{
    if (kind == BUFFER_SMALL)
        block_put(BLOCK_EXCHANGE, buffer);
    else if (kind == BUFFER_LARGE)
        block_put(BLOCK_INPUT, buffer);
    else if (kind == BUFFER_HEAP)
        free(buffer);
}

static void use_own(struct http_exchange *x)
{
    x->in = x->own;
    x->in_size = OWN_SIZE;
    x->in_kind = BUFFER_OWN;
}

static void free_input(struct http_exchange *x)
{
    if (x->in_kind != BUFFER_OWN)
        free_buffer(x->in, x->in_kind);
    use_own(x);
}

static void free_kept(struct http_exchange *x)
{
    free_buffer(x->kept, x->kept_kind);
    x->kept = NULL;
}

/* As many as there is room for. */
static void place_fields(struct http_exchange *x)
{
    x->env.fields = x->inline_fields;
    x->env.field_capacity = INLINE_FIELDS + (x->in_kind == BUFFER_OWN ? 0 : FURTHER_FIELDS);
}

/* Goes on in a buffer to which what is needed was copied. */
static void use_buffer(struct http_exchange *x, char *buffer, enum http_buffer kind, size_t size)
{
    if (x->in_kind != BUFFER_OWN)
        free_buffer(x->in, x->in_kind);
    x->in = buffer;
    x->in_kind = (uint8_t)kind;
    x->in_size = size;
    x->pos -= x->start;
    x->fill -= x->start;
    x->start = 0;
    if (x->env.fields == x->inline_fields)
        place_fields(x);
}

/* ---- the exchange ---------------------------------------------------------------------------- */

struct http_exchange *exchange_acquire(cress_http1 *h)
{
    struct http_exchange *x = block_get(BLOCK_EXCHANGE);

    if (!x)
        return NULL;
    clear_from(x, offsetof(struct http_exchange, start));
    x->http = h;
    use_own(x);
    place_fields(x);
    h->exchange = x;
    return x;
}

/* All that it has besides its own block. */
static __attribute__((noinline)) void release_more(struct http_exchange *x)
{
    arena_free(&x->arena);
    free_input(x);
    if (x->kept)
        free_kept(x);
    block_put(BLOCK_OUTPUT, x->out);
}

void exchange_release(cress_http1 *h)
{
    struct http_exchange *x = h->exchange;

    if (!x)
        return;
    h->exchange = NULL;
    if (x->arena.chunks || x->in_kind != BUFFER_OWN || x->kept || x->out)
        release_more(x);
    block_put(BLOCK_EXCHANGE, x);
}

/* What follows an answered request goes back into a block as soon as it fits. */
static void shrink_input(struct http_exchange *x)
{
    size_t unread = x->fill - x->pos;
    char *block = unread <= BLOCK_INPUT_SIZE ? block_get(BLOCK_INPUT) : NULL;

    if (!block)
        return;
    memcpy(block, x->in + x->pos, unread);
    x->start = x->pos;
    use_buffer(x, block, BUFFER_LARGE, BLOCK_INPUT_SIZE);
}

void exchange_next_request(struct http_exchange *x)
{
    if (x->kept)
        free_kept(x);
    if (x->pos == x->fill) {
        free_input(x);
        x->pos = x->fill = 0;
    } else if (x->in_kind == BUFFER_HEAP) {
        shrink_input(x);
    }
    x->start = x->pos;
    arena_free(&x->arena);
    clear_from(x, offsetof(struct http_exchange, phase));
    place_fields(x);
    x->skipped_line = false;
}

/* ---- while a head is collected ----------------------------------------------------------------- */

static void compact(struct http_exchange *x)
{
    memmove(x->in, x->in + x->start, x->fill - x->start);
    x->pos -= x->start;
    x->fill -= x->start;
    x->start = 0;
}

static char *get_buffer(size_t wanted, enum http_buffer *ret_kind, size_t *ret_size)
{
    if (wanted <= BLOCK_EXCHANGE_SIZE) {
        *ret_kind = BUFFER_SMALL;
        *ret_size = BLOCK_EXCHANGE_SIZE;
        return block_get(BLOCK_EXCHANGE);
    }
    if (wanted <= BLOCK_INPUT_SIZE) {
        *ret_kind = BUFFER_LARGE;
        *ret_size = BLOCK_INPUT_SIZE;
        return block_get(BLOCK_INPUT);
    }
    *ret_kind = BUFFER_HEAP;
    for (*ret_size = 2 * BLOCK_INPUT_SIZE; *ret_size < wanted;)
        *ret_size *= 2;
    return malloc(*ret_size);
}

int exchange_make_room(struct http_exchange *x, size_t room)
{
    enum http_buffer kind;
    size_t size;

    if (x->in_size - x->fill >= room)
        return 0;
    if (x->start > 0)
        compact(x);
    if (x->in_size - x->fill >= room)
        return 0;
    char *buffer = get_buffer(x->fill + room, &kind, &size);
    if (!buffer)
        return -1;
    memcpy(buffer, x->in, x->fill);
    use_buffer(x, buffer, kind, size);
    return 0;
}

static ssize_t read_in_place(struct http_exchange *x, int flags, bool *ret_full)
{
    if (exchange_make_room(x, 1) < 0)
        return -1;
    size_t room = x->in_size - x->fill;
    ssize_t got = cress_stream_read(x->http->stream, x->in + x->fill, room, flags);
    *ret_full = got == (ssize_t)room;
    return got;
}

/* What came into a block, behind room for what was there, goes where it fits; else the block is the
 * buffer from now on. */
static void place(struct http_exchange *x, char *block, size_t got)
{
    size_t had = x->fill - x->start;

    if (x->in_size - x->fill >= got ||
        (had + got <= BLOCK_EXCHANGE_SIZE && exchange_make_room(x, got) == 0)) {
        memcpy(x->in + x->fill, block + had, got);
        block_put(BLOCK_INPUT, block);
    } else {
        memcpy(block, x->in + x->start, had);
        use_buffer(x, block, BUFFER_LARGE, BLOCK_INPUT_SIZE);
    }
}

/* While it waits, the block is this exchange's alone. */
ssize_t exchange_read_head(struct http_exchange *x, int flags, bool *ret_full)
{
    if (x->in_kind > BUFFER_SMALL)
        return read_in_place(x, flags, ret_full);
    char *block = block_get(BLOCK_INPUT);
    if (!block)
        return -1;
    size_t had = x->fill - x->start, room = BLOCK_INPUT_SIZE - had;
    ssize_t got = cress_stream_read(x->http->stream, block + had, room, flags);
    *ret_full = got == (ssize_t)room;
    if (got > 0)
        place(x, block, (size_t)got);
    else
        block_put(BLOCK_INPUT, block);
    return got;
}

void exchange_lend_room(struct http_exchange *x)
{
    if (x->arena.at)
        return;
    x->arena.at = x->own + (x->in == x->own ? x->fill : FURTHER_FIELDS * sizeof(struct http_field));
    x->arena.end = x->own + OWN_SIZE;
}

/* ---- while a request is served ------------------------------------------------------------------- */

/* Unread bytes, and what follows them, go on in a block of their own. */
static void part_from_head(struct http_exchange *x)
{
    size_t unread = x->fill - x->pos;
    char *block = unread <= BLOCK_INPUT_SIZE - MIN_ROOM ? block_get(BLOCK_INPUT) : NULL;

    if (!block)
        return;
    memcpy(block, x->in + x->pos, unread);
    x->kept = x->in;
    x->kept_kind = x->in_kind;
    x->in = block;
    x->in_kind = BUFFER_LARGE;
    x->in_size = BLOCK_INPUT_SIZE;
    x->pos = 0;
    x->fill = unread;
}

static void move_down(struct http_exchange *x)
{
    size_t floor = x->kept ? 0 : x->body;

    if (x->pos == floor || x->input.span_len)
        return;
    memmove(x->in + floor, x->in + x->pos, x->fill - x->pos);
    x->fill -= x->pos - floor;
    x->pos = floor;
}

size_t exchange_body_room(struct http_exchange *x)
{
    if (x->in_kind != BUFFER_OWN && (x->pos == x->fill || x->in_size - x->fill < MIN_ROOM))
        move_down(x);
    if (!x->kept && (x->in_kind == BUFFER_OWN || x->in_size - x->fill < MIN_ROOM))
        part_from_head(x);
    return x->in_kind == BUFFER_OWN ? 0 : x->in_size - x->fill;
}

void exchange_drop_room(struct http_exchange *x)
{
    if (!x->kept || x->pos < x->fill || x->input.span_len)
        return;
    block_put(BLOCK_INPUT, x->in);
    x->in = x->kept;
    x->in_kind = x->kept_kind;
    x->in_size = x->in_kind == BUFFER_OWN ? OWN_SIZE : x->body;
    x->pos = x->fill = x->body;
    x->kept = NULL;
}

/* ---- letting others run ------------------------------------------------------------------------ */

void exchange_take_turns(struct http_exchange *x)
{
    x->yields = true;
    cress_take_turns();
    x->yields = false;
}

void exchange_take_turns_after(struct http_exchange *x, size_t bytes)
{
    x->yields = true;
    cress_take_turns_after(bytes);
    x->yields = false;
}

int exchange_yield(struct http_exchange *x)
{
    x->yields = true;
    int result = cress_sleep(0);
    x->yields = false;
    return result;
}

void exchange_mark_gone(struct http_exchange *x)
{
    x->http->gone = true;
    x->http->closing = true;
    cress_event_set(&x->gone);
}

bool exchange_is_peer_error(int error)
{
    return error != ETIMEDOUT && error != ECANCELED && error != EDEADLK && error != EAGAIN &&
           error != ENOMEM && error != EPERM && error != EINTR;
}
