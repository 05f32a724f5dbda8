/* Taking, growing and giving back an exchange: see exchange.h. */
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(sizeof(struct http_exchange) < 2048, "half a page is left for small requests");

enum { INLINE_IN = BLOCK_EXCHANGE_SIZE - offsetof(struct http_exchange, inline_in) };

/* The length is hidden from the compiler, whose expansion for a known one is slower
 * than the library's memset. */
static void clear(void *at, size_t len)
{
    __asm__("" : "+r"(len));
    memset(at, 0, len);
}

static void begin_arena(struct http_exchange *x)
{
    x->arena.at = x->scratch;
    x->arena.end = x->scratch + SCRATCH;
    x->env.fields = x->inline_fields;
    x->env.field_capacity = INLINE_FIELDS;
}

struct http_exchange *exchange_acquire(cress_http1 *h)
{
    struct http_exchange *x = block_get(BLOCK_EXCHANGE);

    if (!x)
        return NULL;
    clear(x, offsetof(struct http_exchange, inline_fields));
    x->http = h;
    x->in = x->inline_in;
    x->in_size = INLINE_IN;
    begin_arena(x);
    h->exchange = x;
    return x;
}

static void free_input(struct http_exchange *x)
{
    if (x->in != x->inline_in)
        free(x->in);
    x->in = x->inline_in;
    x->in_size = INLINE_IN;
}

void exchange_release(cress_http1 *h)
{
    struct http_exchange *x = h->exchange;

    if (!x)
        return;
    arena_free(&x->arena);
    free_input(x);
    if (x->out)
        block_put(BLOCK_OUTPUT, x->out);
    block_put(BLOCK_EXCHANGE, x);
    h->exchange = NULL;
}

/* What follows an answered request goes back into the block as soon as it fits. */
static void shrink_input(struct http_exchange *x)
{
    size_t unread = x->fill - x->pos;

    if (unread > INLINE_IN)
        return;
    char *grown = x->in;
    memcpy(x->inline_in, grown + x->pos, unread);
    x->in = x->inline_in;
    x->in_size = INLINE_IN;
    x->pos = 0;
    x->fill = unread;
    free(grown);
}

void exchange_next_request(struct http_exchange *x)
{
    if (x->in != x->inline_in)
        shrink_input(x);
    if (x->pos == x->fill)
        x->pos = x->fill = 0;
    x->start = x->pos;
    arena_free(&x->arena);
    clear(&x->phase,
          offsetof(struct http_exchange, inline_fields) - offsetof(struct http_exchange, phase));
    begin_arena(x);
    x->skipped_line = false;
}

static int grow(struct http_exchange *x, size_t wanted)
{
    size_t size = x->in_size * 2;

    while (size < wanted)
        size *= 2;
    char *grown = malloc(size);
    if (!grown)
        return -1;
    memcpy(grown, x->in, x->fill);
    if (x->in != x->inline_in)
        free(x->in);
    x->in = grown;
    x->in_size = size;
    return 0;
}

static void compact(struct http_exchange *x)
{
    memmove(x->in, x->in + x->start, x->fill - x->start);
    x->pos -= x->start;
    x->fill -= x->start;
    x->start = 0;
}

int exchange_make_room(struct http_exchange *x, size_t room)
{
    if (x->in_size - x->fill >= room)
        return 0;
    if (x->start > 0)
        compact(x);
    if (x->in_size - x->fill >= room)
        return 0;
    return grow(x, x->fill + room);
}

int exchange_keep_room(struct http_exchange *x)
{
    if (x->in_size - x->pos >= MIN_ROOM)
        return 0;
    if (x->start > 0)
        compact(x);
    if (x->in_size - x->pos >= MIN_ROOM)
        return 0;
    return grow(x, x->pos + MIN_ROOM);
}

size_t exchange_body_room(struct http_exchange *x)
{
    bool is_low = x->pos == x->fill || x->in_size - x->fill < MIN_ROOM;

    if (is_low && x->pos > x->body && !x->input.span_len) {
        memmove(x->in + x->body, x->in + x->pos, x->fill - x->pos);
        x->fill -= x->pos - x->body;
        x->pos = x->body;
    }
    return x->in_size - x->fill;
}

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
