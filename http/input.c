/* The request's body. What arrived with the head is handed out first. A counted body
 * then goes straight from the stream into the app's buffer, never past its end; small
 * reads, lines and chunks go through the room behind the head in the receive buffer.
 *
 * An error of the body itself stays: every later read fails with it, and the connection
 * takes no further request. A limit or a kill is the greenlet's, and stays with that.
 */
#include "input.h"

#include "chunked.h"
#include "output.h"

#include <errno.h>

enum {
    DIRECT = 1024,           /* smaller reads go through the buffer */
    FIRST_PIECE = 4096,      /* chunked: of a body that is read as a whole */
    ON_CREDIT = 1024 * 1024, /* counted: memory for what was only announced */
};

static int fail_for_good(struct http_exchange *x, int error)
{
    x->input.error = error;
    x->http->closing = true;
    errno = error;
    return -1;
}

/* Answers to earlier requests that are still collected are due to it nevertheless. */
static int lose_client(struct http_exchange *x)
{
    output_push(x);
    x->eof = true;
    exchange_mark_gone(x);
    return fail_for_good(x, EPIPE);
}

/* ---- from the stream ------------------------------------------------------------------------ */

/* What came of a read: at least one byte, or -1. */
static ssize_t check_read(struct http_exchange *x, ssize_t got, size_t len)
{
    x->http->readable = got == (ssize_t)len;
    if (got == 0 || (got < 0 && !x->input.error && exchange_is_peer_error(errno)))
        return lose_client(x);
    return got;
}

/* What can be read without waiting; 0: nothing. */
static ssize_t read_now(struct http_exchange *x, void *buf, size_t len)
{
    if (x->input.busy) {
        errno = EBUSY;
        return -1;
    }
    if (x->eof || x->http->gone)
        return lose_client(x);
    if (!x->http->readable)
        return 0;
    ssize_t got = cress_stream_read(x->http->stream, buf, len, CRESS_STREAM_DONTWAIT);
    if (got >= 0 || errno != EAGAIN)
        return check_read(x, got, len);
    x->http->readable = false;
    return 0;
}

/* The request's own limit passes while the client is waited for: it is the client that is slow. */
static bool is_request_over(const struct http_exchange *x)
{
    return x->http->limit && cress_timeout_expired(x->http->limit);
}

/* [waits] At least one byte, or -1. */
static ssize_t read_waiting(struct http_exchange *x, void *buf, size_t len)
{
    cress_timeout limit;

    cress_timeout_start(&limit, config_body_timeout(x->http->config));
    x->input.busy = true;
    ssize_t got = cress_stream_read(x->http->stream, buf, len, 0);
    x->input.busy = false;
    int error = errno;
    bool is_slow = got < 0 && (cress_timeout_expired(&limit) || is_request_over(x));
    cress_timeout_close(&limit);
    if (is_slow) {
        exchange_note_refusal(x, "a body too slow");
        return fail_for_good(x, ETIMEDOUT);
    }
    errno = error;
    return check_read(x, got, len);
}

/* [waits] Output goes before input is waited for. Meanwhile the connection may have been
 * read ahead: 1 if there are bytes now. */
static int flush_first(struct http_exchange *x)
{
    if (!x->busy && output_flush(x) < 0)
        return -1;
    if (x->pos < x->fill)
        return 1;
    return x->eof || x->http->gone ? lose_client(x) : 0;
}

/* RFC 9110 10.1.1: the client waits for leave to send, unless it began already or the
 * answer is under way. */
static int tell_to_continue(struct http_exchange *x)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    x->input.expects_continue = false;
    if (x->pos < x->fill || x->res.committed)
        return 0;
    char *to = output_begin(x, sizeof line);
    if (!to)
        return -1;
    memcpy(to, line, sizeof line - 1);
    output_end(x, to + sizeof line - 1);
    return output_flush(x);
}

/* Of an empty buffer. */
static size_t body_room(struct http_exchange *x)
{
    size_t room = exchange_body_room(x);

    if (room == 0)
        errno = ENOMEM;
    return room;
}

/* [waits] Until there is something behind x->pos. */
static int fill_buffer(struct http_exchange *x)
{
    size_t room = body_room(x);
    ssize_t got = room ? read_now(x, x->in + x->fill, room) : -1;

    if (got == 0) {
        int ready = flush_first(x);
        if (ready)
            return ready < 0 ? -1 : 0;
        room = body_room(x);
        got = room ? read_waiting(x, x->in + x->fill, room) : -1;
    }
    if (got < 0)
        return -1;
    x->fill += (size_t)got;
    return 0;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static int begin_read(struct http_exchange *x)
{
    if (x->input.error) {
        errno = x->input.error;
        return -1;
    }
    return x->input.expects_continue ? tell_to_continue(x) : 0;
}

static int next_chunk(struct http_exchange *x)
{
    struct http_input *input = &x->input;

    while (!input->ended && !input->span_len) {
        if (x->pos == x->fill && fill_buffer(x) < 0)
            return -1;
        if (chunked_decode(x) < 0)
            return fail_for_good(x, errno);
    }
    if (input->span_len > exchange_body_limit(x) - input->taken)
        return fail_for_good(x, EMSGSIZE);
    exchange_drop_room(x);
    return 0;
}

/* [waits] What of the body is in the buffer, at least one byte; 0 at the end. */
static ssize_t peek(struct http_exchange *x, const char **ret_data)
{
    struct http_input *input = &x->input;

    if (input->ended)
        return 0;
    if (begin_read(x) < 0)
        return -1;
    if (input->kind == BODY_CHUNKED) {
        if (next_chunk(x) < 0)
            return -1;
        *ret_data = input->span;
        return (ssize_t)input->span_len;
    }
    if (x->pos == x->fill && fill_buffer(x) < 0)
        return -1;
    size_t there = x->fill - x->pos;
    *ret_data = x->in + x->pos;
    return (ssize_t)(there < input->left ? there : input->left);
}

static void count_down(struct http_input *input, size_t len)
{
    input->taken += len;
    input->left -= len;
    input->ended = input->left == 0;
}

static void consume(struct http_exchange *x, size_t len)
{
    struct http_input *input = &x->input;

    if (input->kind == BODY_COUNTED) {
        x->pos += len;
        count_down(input, len);
    } else {
        input->span += len;
        input->span_len -= len;
        input->taken += len;
    }
    exchange_drop_room(x);
}

/* [waits] Straight into the app's buffer. 0: there is something in ours now, which comes
 * first. */
static ssize_t read_direct(struct http_exchange *x, void *buf, size_t len)
{
    struct http_input *input = &x->input;
    size_t wanted = len < input->left ? len : input->left;
    ssize_t got = read_now(x, buf, wanted);

    if (got == 0) {
        int ready = flush_first(x);
        if (ready)
            return ready < 0 ? -1 : 0;
        got = read_waiting(x, buf, wanted);
    }
    if (got > 0)
        count_down(input, (size_t)got);
    return got;
}

static bool is_direct(const struct http_exchange *x, size_t len)
{
    return len >= DIRECT && x->input.kind == BODY_COUNTED && x->pos == x->fill;
}

static ssize_t read_piece(struct http_exchange *x, void *buf, size_t len)
{
    const char *data;
    ssize_t got = 0;

    if (x->input.ended)
        return 0;
    if (begin_read(x) < 0)
        return -1;
    if (is_direct(x, len))
        got = read_direct(x, buf, len);
    if (got)
        return got;
    ssize_t there = peek(x, &data);
    if (there <= 0)
        return there;
    size_t taken = (size_t)there < len ? (size_t)there : len;
    memcpy(buf, data, taken);
    consume(x, taken);
    return (ssize_t)taken;
}

/* ---- for the app ----------------------------------------------------------------------------- */

/* A client may send as fast as we read. */
static ssize_t read_in_turn(struct http_exchange *x, void *buf, size_t len)
{
    ssize_t got = read_piece(x, buf, len);

    if (got > 0)
        exchange_take_turns_after(x, (size_t)got);
    return got;
}

ssize_t cress_input_read(cress_environ *env, void *buf, size_t len)
{
    if (cress_check() < 0)
        return -1;
    return len > 0 ? read_in_turn(exchange_of_env(env), buf, len) : 0;
}

ssize_t cress_input_readline(cress_environ *env, char *buf, size_t len)
{
    struct http_exchange *x = exchange_of_env(env);
    const char *data, *end = NULL;
    size_t total = 0;
    ssize_t there = 0;

    if (cress_check() < 0)
        return -1;
    if (len < 2) {
        errno = EINVAL;
        return -1;
    }
    while (!end && total < len - 1 && (there = peek(x, &data)) > 0) {
        size_t piece = (size_t)there < len - 1 - total ? (size_t)there : len - 1 - total;
        end = memchr(data, '\n', piece);
        if (end)
            piece = (size_t)(end + 1 - data);
        memcpy(buf + total, data, piece);
        consume(x, piece);
        total += piece;
        exchange_take_turns_after(x, piece);
    }
    buf[total] = '\0';
    return there < 0 ? -1 : (ssize_t)total;
}

/* Reads until the end into a buffer of capacity + 1 bytes that is full or large enough.
 * The length, which is capacity if there may be more; -1. */
static ssize_t read_up_to(struct http_exchange *x, char *buf, size_t len, size_t capacity)
{
    while (len < capacity) {
        ssize_t got = read_in_turn(x, buf + len, capacity - len);
        if (got < 0 || cress_check() < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static char *enlarge(struct http_exchange *x, const char *old, size_t len, size_t capacity)
{
    char *buf = arena_alloc_text(&x->arena, capacity + 1);

    if (buf)
        memcpy(buf, old, len);
    return buf;
}

static int too_much(void)
{
    errno = EMSGSIZE;
    return -1;
}

int cress_input_read_all(cress_environ *env, size_t limit, cress_str *ret_body)
{
    struct http_exchange *x = exchange_of_env(env);
    const struct http_input *input = &x->input;
    bool is_counted = input->kind == BODY_COUNTED;
    size_t capacity = !is_counted ? FIRST_PIECE : input->left < ON_CREDIT ? input->left : ON_CREDIT;
    char *buf = "";
    ssize_t len = 0;

    if (cress_check() < 0)
        return -1;
    if (is_counted && (input->left > limit || input->left >= PTRDIFF_MAX))
        return too_much();
    while (!input->ended) {
        buf = enlarge(x, buf, (size_t)len, capacity);
        if (!buf || (len = read_up_to(x, buf, (size_t)len, capacity)) < 0)
            return -1;
        if ((size_t)len > limit ||
            (input->kind == BODY_CHUNKED && input->span_len && (size_t)len == limit))
            return too_much();
        capacity = is_counted ? (size_t)len + input->left : capacity * 2;
        buf[len] = '\0';
    }
    *ret_body = (cress_str){ buf, (size_t)len };
    return 0;
}

/* ---- what is left over ------------------------------------------------------------------------ */

bool input_blocks_next_request(const struct http_exchange *x)
{
    const struct http_input *input = &x->input;

    if (input->error || input->expects_continue || x->phase == PHASE_HEAD)
        return true;
    return input->kind == BODY_COUNTED && input->left > INPUT_MAX_DRAIN;
}

int input_skip(struct http_exchange *x)
{
    const char *data;
    ssize_t there;

    for (size_t dropped = 0; dropped <= INPUT_MAX_DRAIN; dropped += (size_t)there) {
        there = peek(x, &data);
        if (there <= 0)
            return (int)there;
        consume(x, (size_t)there);
    }
    return too_much();
}

bool input_drain(struct http_exchange *x)
{
    cress_timeout limit;

    if (x->input.ended)
        return true;
    if (input_blocks_next(x) || x->http->gone)
        return false;
    cress_timeout_start(&limit, config_body_timeout(x->http->config));
    bool drained = input_skip(x) == 0;
    cress_timeout_close(&limit);
    return drained;
}

int cress_input_limit(cress_environ *env, uint64_t bytes)
{
    struct http_exchange *x = exchange_of_env(env);
    struct http_input *input = &x->input;
    uint64_t known = input->taken + (input->kind == BODY_COUNTED ? input->left : input->span_len);

    if (known > bytes) {
        errno = EMSGSIZE;
        return -1;
    }
    if (bytes < exchange_body_limit(x))
        input->bound = bytes + 1;
    return 0;
}
