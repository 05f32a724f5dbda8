/* A stream in memory: the tests' client on the other end of a connection.
 *
 * What the client sends is handed out to readers as it was cut into packets; what is
 * written is collected. Readers and writers wait as on a socket. Belongs to one hub.
 */
#ifndef MEMORY_STREAM_H
#define MEMORY_STREAM_H

#include <cress/event.h>
#include <cress/stream.h>

struct memory_stream {
    cress_stream stream;
    char *in;
    size_t in_pos, in_len, in_capacity;
    size_t cut;   /* no read goes past this offset of the input... */
    size_t piece; /* ...nor takes more than this many bytes; 0: no bound */
    bool ended;   /* the client sends no more */
    int error;    /* what reads (once all is read) and writes fail with */
    char *out;    /* NUL-terminated */
    size_t out_len, out_capacity;
    size_t out_room;  /* bytes that the client still takes */
    unsigned reads;   /* calls that moved bytes */
    unsigned writes;  /* calls that moved bytes */
    unsigned refused; /* calls that were answered by EAGAIN */
    unsigned more;    /* writes that said that more follows */
    bool has_send_file, is_shut, is_closed;
    cress_event readable, writable;
};

void memory_stream_init(struct memory_stream *s);
void memory_stream_finish(struct memory_stream *s);

/* The client's side. None of these wait. */
void memory_stream_send(struct memory_stream *s, const void *data, size_t len);
void memory_stream_send_text(struct memory_stream *s, const char *text);
void memory_stream_end(struct memory_stream *s);
void memory_stream_fail(struct memory_stream *s, int error);
/* The client takes that many bytes more; at first without bound. */
void memory_stream_set_room(struct memory_stream *s, size_t room);
/* Forgets the output so far. */
void memory_stream_clear(struct memory_stream *s);
/* Offers the send_file call. */
void memory_stream_offer_send_file(struct memory_stream *s);

#endif
