/* A response's head, until it is out; and its trailer fields. */
#ifndef CRESS_HTTP_HEAD_H
#define CRESS_HTTP_HEAD_H

#include "exchange.h"

#include <string.h>

enum {
    HEAD_MAX_FIELDS = 11 << 10, /* bytes of the app's fields */
    HEAD_ROOM = 768,            /* what we add: status line, Date, Server, framing */
};

static inline cress_str head_str(const char *text)
{
    return (cress_str){ text, strlen(text) };
}

/* -1 with EALREADY: something is out; EINVAL: no status of a response. */
int head_check_startable(const cress_response *res, int status);
/* Drops the fields that are there. */
void head_restart(cress_response *res, int status);

/* One more field, whatever was begun already: errors as cress_response_add_header. */
int head_add_field(cress_response *res, const char *name, const char *value);
/* Whole lines, sound ones, behind those that are there. -1: ENOMEM, E2BIG. */
int head_add_lines(cress_response *res, cress_str lines);
/* Can an app set it? Not those of the connection. */
bool head_is_field(const char *name, const char *value);

/* Formats it; the end of what it put. */
char *head_put_field(char *to, cress_str name, cress_str value);

#endif
