/* What a client makes of the bytes that a server sends it, and no lenient one: RFC 9112 to the
 * letter, so that whatever a response could be split or smuggled by is an error. */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct reply_text {
    char *data; /* NUL-terminated */
    size_t len, capacity;
};

struct reply {
    int status;
    bool is_whole; /* false: the bytes end before it does */
    bool is_chunked;
    bool is_until_close;        /* its body ends with the connection only */
    struct reply_text fields;   /* "Name: value\n", as sent, but for Date */
    struct reply_text body;     /* without chunks */
    struct reply_text trailers; /* as fields */
};

/* Reads the response at *at, and moves that behind it. is_head: it answers HEAD. NULL: it is well
 * formed, as far as it goes, and is finished by reply_finish; else what is wrong. */
const char *reply_read(struct reply *ret_reply, const char **at, const char *end, bool is_head);
void reply_finish(struct reply *reply);

/* Is that line ("Name: value") among the fields? */
bool reply_has(const struct reply *reply, const char *line);

void reply_append(struct reply_text *text, const void *data, size_t len);

#endif
