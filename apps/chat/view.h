/* What the chat answers, as HTML and as JSON. Nothing here waits. */
#ifndef CHAT_VIEW_H
#define CHAT_VIEW_H

#include "rooms.h"

/* chat.html, its script and style marked by nonce. Where no script runs it shows the
 * room; without one (NULL) the rooms that user can go to; without a user a form for
 * the name. */
void write_page(FILE *out, const struct room *room, const char *user, const char *nonce);

/* A string: "user:text". */
void write_message(FILE *out, const struct event *event);
/* Arrays: the names of who is in the room; the events behind `after`. */
void write_people(FILE *out, const struct room *room);
void write_events(FILE *out, const struct ring *ring, uint64_t after);
/* Members of an object: how far who gets this has read, and the list of rooms if
 * it changed since known_rooms. */
void write_seen(FILE *out, uint64_t known_rooms);

#endif
