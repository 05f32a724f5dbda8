/* How a response's head begins: the status line, Server and Date. */
#ifndef CRESS_HTTP_START_H
#define CRESS_HTTP_START_H

#include "exchange.h"

#include <time.h>

enum {
    START_ROOM = 112,
    START_PLACES = 16,
    START_MAX_SOFTWARE = 256, /* bytes of a configuration's own Server */
};

struct start {
    time_t second;
    uint16_t status; /* 0: nothing is kept here */
    uint8_t len;
    uint8_t line_len; /* of the status line */
    char text[START_ROOM];
};

/* What was put last of the statuses in use, by the lowest bits of these. */
extern _Thread_local struct start start_kept[START_PLACES]
    __attribute__((tls_model("initial-exec")));

void start_keep(struct start *start, int status, time_t now);

/* time() is answered from the kernel's shared page, without a system call. */
static inline const struct start *start_now(int status)
{
    time_t now = time(NULL);
    struct start *start = &start_kept[status % START_PLACES];

    __asm__("" : "+r"(start)); /* or the compiler works the address out for each use */
    if (start->second != now || start->status != status)
        start_keep(start, status, now);
    return start;
}

/* The end of it. Writes somewhere in START_ROOM bytes: all that is kept is copied, since that many
 * bytes, which the compiler knows, are seven moves. */
static inline char *start_put(char *to, int status)
{
    const struct start *start = start_now(status);

    memcpy(to, start->text, sizeof start->text);
    return to + start->len;
}

/* The same with the configuration's Server, if it has one, and without what the app gave: in
 * START_MAX_SOFTWARE bytes more. */
char *start_put_own(char *to, const struct http_exchange *x);

#endif
