/* A stream whose other end is the test: see memory_stream.h. */
#include "memory_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void append(char **buf, size_t *len, size_t *capacity, const void *data, size_t more)
{
    if (*len + more + 1 > *capacity) {
        *capacity = (*len + more + 1) * 2;
        *buf = realloc(*buf, *capacity);
        assert(*buf);
    }
    if (more)
        memcpy(*buf + *len, data, more);
    *len += more;
    (*buf)[*len] = '\0';
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int would_block(struct memory_stream *s, int flags, cress_event *event)
{
    if (flags & CRESS_STREAM_DONTWAIT) {
        s->refused++;
        errno = EAGAIN;
        return -1;
    }
    cress_event_clear(event);
    return cress_event_wait(event, CRESS_FOREVER);
}

static size_t available(const struct memory_stream *s)
{
    size_t end = s->in_pos < s->cut ? smaller(s->cut, s->in_len) : s->in_len;
    size_t count = end - s->in_pos;

    return s->piece ? smaller(s->piece, count) : count;
}

static ssize_t read_stream(cress_stream *stream, void *buf, size_t len, int flags)
{
    struct memory_stream *s = (struct memory_stream *)stream;

    if (!(flags & CRESS_STREAM_DONTWAIT) && cress_check() < 0)
        return -1;
    while (available(s) == 0 && !s->ended && !s->error)
        if (would_block(s, flags, &s->readable) < 0)
            return -1;
    if (available(s) == 0 && s->error) {
        errno = s->error;
        return -1;
    }
    size_t count = smaller(len, available(s));
    if (count > 0)
        memcpy(buf, s->in + s->in_pos, count);
    s->in_pos += count;
    s->reads += count > 0;
    return (ssize_t)count;
}

static size_t take(struct memory_stream *s, const struct iovec *iov, int count, size_t skip)
{
    size_t taken = 0;

    for (int i = 0; i < count; i++) {
        size_t passed = smaller(skip, iov[i].iov_len);
        size_t piece = smaller(iov[i].iov_len - passed, s->out_room);
        append(&s->out, &s->out_len, &s->out_capacity, (char *)iov[i].iov_base + passed, piece);
        skip -= passed;
        s->out_room -= piece;
        taken += piece;
    }
    s->writes += taken > 0;
    return taken;
}

static size_t total(const struct iovec *iov, int count)
{
    size_t len = 0;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    return len;
}

static ssize_t writev_stream(cress_stream *stream, const struct iovec *iov, int count, int flags)
{
    struct memory_stream *s = (struct memory_stream *)stream;
    size_t done = 0, len = total(iov, count);

    if (!(flags & CRESS_STREAM_DONTWAIT) && cress_check() < 0)
        return -1;
    for (;;) {
        if (s->error) {
            errno = s->error;
            return done ? (ssize_t)done : -1;
        }
        done += take(s, iov, count, done);
        s->more += (flags & CRESS_STREAM_MORE) && done > 0;
        if (done == len || (done > 0 && flags & CRESS_STREAM_DONTWAIT))
            return (ssize_t)done;
        if (would_block(s, flags, &s->writable) < 0)
            return done ? (ssize_t)done : -1;
    }
}

static int shutdown_stream(cress_stream *stream)
{
    ((struct memory_stream *)stream)->is_shut = true;
    return 0;
}

static void close_stream(cress_stream *stream)
{
    ((struct memory_stream *)stream)->is_closed = true;
}

static ssize_t send_file(cress_stream *stream, int fd, off_t offset, size_t len, int flags)
{
    char buf[4096];
    ssize_t got = pread(fd, buf, smaller(len, sizeof buf), offset);

    if (got <= 0)
        return got;
    return writev_stream(stream, &(struct iovec){ buf, (size_t)got }, 1, flags);
}

static const cress_stream_ops plain_ops = {
    .read = read_stream,
    .writev = writev_stream,
    .shutdown = shutdown_stream,
    .close = close_stream,
};

static const cress_stream_ops send_file_ops = {
    .read = read_stream,
    .writev = writev_stream,
    .shutdown = shutdown_stream,
    .close = close_stream,
    .send_file = send_file,
};

void memory_stream_init(struct memory_stream *s)
{
    *s = (struct memory_stream){ .stream.ops = &plain_ops, .out_room = SIZE_MAX };
    append(&s->out, &s->out_len, &s->out_capacity, NULL, 0);
}

void memory_stream_finish(struct memory_stream *s)
{
    free(s->in);
    free(s->out);
}

void memory_stream_send(struct memory_stream *s, const void *data, size_t len)
{
    append(&s->in, &s->in_len, &s->in_capacity, data, len);
    cress_event_set(&s->readable);
}

void memory_stream_send_text(struct memory_stream *s, const char *text)
{
    memory_stream_send(s, text, strlen(text));
}

void memory_stream_end(struct memory_stream *s)
{
    s->ended = true;
    cress_event_set(&s->readable);
}

void memory_stream_fail(struct memory_stream *s, int error)
{
    s->error = error;
    cress_event_set(&s->readable);
    cress_event_set(&s->writable);
}

void memory_stream_set_room(struct memory_stream *s, size_t room)
{
    s->out_room = room;
    cress_event_set(&s->writable);
}

void memory_stream_clear(struct memory_stream *s)
{
    s->out_len = 0;
    s->out[0] = '\0';
}

void memory_stream_offer_send_file(struct memory_stream *s)
{
    s->stream.ops = &send_file_ops;
}
