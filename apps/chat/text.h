/* What people type, checked when it comes in and escaped when it goes out. */
#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include <cress/str.h>

#include <stdio.h>

enum {
    NAME_CHARS = 24, /* of a user or a room */
    NAME_BYTES = 4 * NAME_CHARS,
    MESSAGE_BYTES = 2048,
};

/* UTF-8 without control characters, invisible ones and slashes, with no space at
 * either end, and no word that is part of a route. */
bool name_is_valid(cress_str name);
/* UTF-8 with something to see in it; of control characters only those of line ends and tabs.
 * Its length is not looked at. */
bool message_is_valid(cress_str message);

void write_html(FILE *out, const char *text);
/* A string, with its quotes. */
void write_json(FILE *out, const char *text);
/* What stands between them. */
void write_json_part(FILE *out, const char *text);
/* As a path segment: percent-encoded. */
void write_url(FILE *out, const char *text);

#endif
