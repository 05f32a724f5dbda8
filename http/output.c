/* Output is collected in a block, so that head and body, and the responses of a
 * pipelined batch, leave in one send; large pieces go around it.
 *
 * A write is tried without waiting first; the limit on a client that does not read
 * is opened only when one really has to wait, around each SLICE bytes. A client that takes
 * everything as fast as it comes lets others run after each TURN.
 */
#include "output.h"

#include "fail.h"

#include <assert.h>
#include <unistd.h>

enum {
    SLICE = 16 << 10,
    TURN = 256 << 10,
    FILE_SLICE = 64 << 10,
    FILE_TURN = 1 << 20,
    FILE_COPY = 8 << 10, /* smaller pieces of a file are collected */
};

static inline void give_back(struct http_exchange *x)
{
    block_put(BLOCK_OUTPUT, x->out);
    x->out = NULL;
    x->out_start = x->out_end = 0;
}

static void free_output(struct http_exchange *x)
{
    if (x->out && x->out_start == x->out_end)
        give_back(x);
}

static int fail(struct http_exchange *x)
{
    if (exchange_is_peer_error(errno)) {
        exchange_mark_gone(x);
        x->broken = true;
        errno = EPIPE;
    }
    return -1;
}

/* Passes over `sent` bytes. */
static void advance(struct iovec **iov, int *count, size_t sent)
{
    while (*count > 0 && sent >= (*iov)->iov_len) {
        sent -= (*iov)->iov_len;
        ++*iov;
        --*count;
    }
    if (sent > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + sent;
        (*iov)->iov_len -= sent;
    }
}

/* Waits until a slice of the first piece is out. */
static ssize_t send_slice(struct http_exchange *x, const struct iovec *iov, int flags)
{
    struct iovec slice = *iov;
    cress_timeout limit;

    if (slice.iov_len > SLICE)
        slice.iov_len = SLICE;
    cress_timeout_start(&limit, config_write_timeout(x->http->config));
    ssize_t sent = cress_stream_writev(x->http->stream, &slice, 1, flags);
    int error = errno;
    if (cress_timeout_expired(&limit)) {
        x->broken = true;
        error = ETIMEDOUT;
        sent = -1;
    }
    cress_timeout_close(&limit);
    errno = error;
    return sent;
}

static COLD ssize_t wait_and_send(struct http_exchange *x, const struct iovec *iov, int flags)
{
    if (errno != EAGAIN)
        return -1;
    x->busy = true;
    ssize_t sent = send_slice(x, iov, flags);
    x->busy = false;
    if (sent > 0)
        x->taken += (size_t)sent;
    return sent;
}

static HOT ssize_t send_now(struct http_exchange *x, const struct iovec *iov, int count, int flags)
{
    return cress_stream_writev(x->http->stream, iov, count, CRESS_STREAM_DONTWAIT | flags);
}

static ssize_t send_some(struct http_exchange *x, const struct iovec *iov, int count, int flags)
{
    ssize_t sent = send_now(x, iov, count, flags);

    return sent >= 0 ? sent : wait_and_send(x, iov, flags);
}

static struct iovec collected(const struct http_exchange *x)
{
    return (struct iovec){ x->out + x->out_start, output_pending(x) };
}

static COLD int refuse(const struct http_exchange *x)
{
    return fail_with(x->busy ? EBUSY : EPIPE);
}

static inline int check_sendable(const struct http_exchange *x)
{
    return x->busy || x->broken || x->http->gone ? refuse(x) : 0;
}

static inline void note_sent(struct http_exchange *x, size_t of_collected)
{
    if (x->res.committed)
        x->res.is_out = true;
    x->out_start += of_collected;
}

/* All pieces, of which the first `own` bytes are what was collected. `sent`: what came of the first
 * send_some. */
static int send_rest(struct http_exchange *x, struct iovec *iov, int count, int flags, ssize_t sent)
{
    for (size_t own = output_pending(x);;) {
        if (sent < 0)
            return fail(x);
        size_t of_own = (size_t)sent < own ? (size_t)sent : own;
        own -= of_own;
        note_sent(x, of_own);
        advance(&iov, &count, (size_t)sent);
        if (count == 0)
            break;
        sent = send_some(x, iov, count, flags);
    }
    free_output(x);
    return 0;
}

/* What was collected, of which send_now sent not all. */
static COLD int send_slowly(struct http_exchange *x, struct iovec *iov, int flags, ssize_t sent)
{
    return send_rest(x, iov, 1, flags, sent >= 0 ? sent : wait_and_send(x, iov, flags));
}

static int send_pieces(struct http_exchange *x, struct iovec *iov, int count)
{
    return send_rest(x, iov, count, 0, send_some(x, iov, count, 0));
}

/* How many of these make a turn: more than TURN bytes, perhaps, by what the last has too many. */
static int count_turn(const struct iovec *iov, int count, size_t *ret_bytes)
{
    int some = 0;

    for (*ret_bytes = 0; some < count && *ret_bytes < TURN; some++)
        *ret_bytes += iov[some].iov_len;
    return some;
}

/* In between, as in any wait, nobody else may write. */
static void note_turn(struct http_exchange *x, size_t bytes)
{
    x->busy = true;
    x->taken += bytes;
    exchange_take_turns_after(x, bytes);
    x->busy = false;
}

static int let_others_run(struct http_exchange *x)
{
    note_turn(x, TURN);
    return check_sendable(x) < 0 ? -1 : cress_check();
}

/* The same for pieces that may be large. */
static int send_in_turns(struct http_exchange *x, struct iovec *iov, int count)
{
    size_t bytes;
    int some;

    while ((some = count_turn(iov, count, &bytes)) < count || bytes > TURN) {
        struct iovec *last = iov + some - 1;
        struct iovec rest = { .iov_len = bytes > TURN ? bytes - TURN : 0 };
        last->iov_len -= rest.iov_len;
        rest.iov_base = (char *)last->iov_base + last->iov_len;
        if (send_pieces(x, iov, some) < 0 || let_others_run(x) < 0)
            return -1;
        *last = rest;
        iov = last;
        count -= some - 1;
    }
    if (send_pieces(x, iov, count) < 0)
        return -1;
    if (x->phase == PHASE_REQUEST)
        exchange_take_turns_after(x, bytes);
    return 0;
}

/* There is something. */
static HOT int send_collected(struct http_exchange *x, int flags)
{
    if (check_sendable(x) < 0)
        return -1;
    struct iovec iov = collected(x);
    ssize_t sent = send_now(x, &iov, 1, flags);
    if (sent != (ssize_t)iov.iov_len)
        return send_slowly(x, &iov, flags, sent);
    if (x->res.committed)
        x->res.is_out = true;
    give_back(x);
    return 0;
}

int output_flush(struct http_exchange *x)
{
    if (output_pending(x) == 0)
        return 0;
    if (send_collected(x, 0) < 0)
        return -1;
    if (x->phase == PHASE_REQUEST)
        exchange_take_turns(x);
    return 0;
}

int output_flush_answer(struct http_exchange *x, bool is_last)
{
    return output_pending(x) > 0 ? send_collected(x, is_last ? CRESS_STREAM_MORE : 0) : 0;
}

int output_send(struct http_exchange *x, const void *data, size_t len, const char *tail)
{
    struct iovec iov[3];
    int count = 0;

    if (check_sendable(x) < 0)
        return -1;
    if (output_pending(x) > 0)
        iov[count++] = collected(x);
    iov[count++] = (struct iovec){ (void *)(uintptr_t)data, len };
    if (*tail)
        iov[count++] = (struct iovec){ (void *)(uintptr_t)tail, strlen(tail) };
    if (send_in_turns(x, iov, count) == 0)
        return 0;
    x->broken = true;
    return -1;
}

static size_t length_of(const struct iovec *iov, int count)
{
    size_t len = 0;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    return len;
}

static ssize_t write_now(struct http_exchange *x, const struct iovec *iov, int count)
{
    ssize_t sent = send_now(x, iov, count, 0);

    return sent < 0 && errno != EAGAIN ? fail(x) : sent;
}

ssize_t output_writev(struct http_exchange *x, const struct iovec *iov, int count, int flags)
{
    enum { AT_ONCE = 8 };
    struct iovec pieces[AT_ONCE];
    size_t total = 0;

    if (check_sendable(x) < 0 || output_flush(x) < 0)
        return -1;
    if (flags & CRESS_STREAM_DONTWAIT)
        return write_now(x, iov, count);
    for (int done = 0, some; done < count; done += some) {
        some = count - done < AT_ONCE ? count - done : AT_ONCE;
        memcpy(pieces, iov + done, (size_t)some * sizeof *pieces);
        if (send_in_turns(x, pieces, some) < 0) {
            x->broken = true; /* how much of it went out is not known */
            return total ? (ssize_t)total : -1;
        }
        total += length_of(iov + done, some);
    }
    return (ssize_t)total;
}

void output_push(struct http_exchange *x)
{
    if (output_pending(x) == 0 || x->busy || x->broken || x->http->gone)
        return;
    int error = errno;
    struct iovec iov = collected(x);
    ssize_t sent = send_now(x, &iov, 1, 0);
    if (sent > 0) {
        note_sent(x, (size_t)sent);
        free_output(x);
    } else if (sent < 0 && exchange_is_peer_error(errno)) {
        /* Who waits for it is told by cress_http1_pull: here the running greenlet is
         * about to park and could not be woken. */
        x->http->gone = x->http->closing = true;
        x->broken = true;
    }
    errno = error;
}

char *output_begin_block(struct http_exchange *x)
{
    x->out = block_get(BLOCK_OUTPUT);
    x->out_start = x->out_end = 0;
    return x->out;
}

char *output_make_room(struct http_exchange *x, size_t room)
{
    assert(room <= OUTPUT_SIZE);
    while (x->out && OUTPUT_SIZE - x->out_end < room)
        if (output_flush(x) < 0) /* meanwhile another greenlet may have written */
            return NULL;
    return x->out ? x->out + x->out_end : output_begin_block(x);
}

static ssize_t copy_file(struct http_exchange *x, int fd, off_t offset, size_t len)
{
    char *to = output_begin(x, FILE_COPY);

    if (!to)
        return -1;
    size_t room = OUTPUT_SIZE - x->out_end;
    ssize_t got = pread(fd, to, len < room ? len : room, offset);
    if (got > 0)
        x->out_end += (size_t)got;
    return got;
}

/* Waits for room again and again, until no less than a slice is out. */
static ssize_t pass_pieces(struct http_exchange *x, int fd, off_t offset, size_t len)
{
    cress_stream *stream = x->http->stream;
    size_t slice = len < FILE_SLICE ? len : FILE_SLICE, done = 0;
    ssize_t sent;

    do {
        sent = stream->ops->send_file(stream, fd, offset + (off_t)done, len - done,
                                      CRESS_STREAM_AWAIT);
        if (sent > 0)
            done += (size_t)sent;
    } while (sent > 0 && done < slice);
    x->taken += done;
    return done > 0 ? (ssize_t)done : sent;
}

static ssize_t pass_slice(struct http_exchange *x, int fd, off_t offset, size_t len)
{
    cress_timeout limit;

    cress_timeout_start(&limit, config_write_timeout(x->http->config));
    x->busy = true;
    ssize_t sent = pass_pieces(x, fd, offset, len);
    x->busy = false;
    int error = errno;
    if (cress_timeout_expired(&limit)) {
        error = ETIMEDOUT;
        sent = -1;
    }
    cress_timeout_close(&limit);
    errno = error;
    return sent;
}

/* As much of a turn as there is room for; if there is none, at least a slice. */
static ssize_t pass_file(struct http_exchange *x, int fd, off_t offset, size_t len)
{
    cress_stream *stream = x->http->stream;
    size_t turn = len < FILE_TURN ? len : FILE_TURN;
    ssize_t sent = stream->ops->send_file(stream, fd, offset, turn, CRESS_STREAM_DONTWAIT);

    if (sent < 0 && errno == EAGAIN)
        return pass_slice(x, fd, offset, turn);
    if (sent > 0)
        note_turn(x, (size_t)sent);
    return sent;
}

ssize_t output_send_file(struct http_exchange *x, int fd, off_t offset, size_t len)
{
    if (len <= FILE_COPY || !x->http->stream->ops->send_file)
        return copy_file(x, fd, offset, len);
    if ((output_pending(x) > 0 && send_collected(x, CRESS_STREAM_MORE) < 0) ||
        check_sendable(x) < 0)
        return -1;
    ssize_t sent = pass_file(x, fd, offset, len);
    return sent < 0 ? fail(x) : sent;
}
