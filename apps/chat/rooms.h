/* Rooms, the people in them, and what they said.
 *
 * All of it is in the memory of this process and bounded: people, rooms, what a
 * room remembers and what waits for one person. People who no longer ask for news
 * are gone after USER_SECONDS, rooms that people opened ROOM_SECONDS after the last
 * one left. Functions that fail return NULL or -1 with errno; none of them waits
 * but user_wait.
 */
#ifndef CHAT_ROOMS_H
#define CHAT_ROOMS_H

#include "text.h"

#include <cress/event.h>

enum {
    MAX_ROOMS = 64,
    MAX_USERS = 500,
    MAX_POLLS = 8,  /* of one user at a time */
    BACKLOG = 25,   /* messages that a room remembers */
    INBOX = 64,     /* events that wait for a user; the oldest give way */
    KEY_BYTES = 64, /* see user_enter */
};
#define POLL_SECONDS 10.0
#define USER_SECONDS 30.0
#define ROOM_SECONDS 60.0
#define LEAVE_SECONDS 3.0

enum event_kind { EVENT_MESSAGE, EVENT_JOIN, EVENT_LEAVE };

/* Something that happened in a room. Shared by the inboxes that hold it. */
struct event {
    unsigned refs;
    /* Later events have greater ids, also after a restart: they count from the
     * microsecond of the start. */
    uint64_t id;
    enum event_kind kind;
    int64_t time; /* milliseconds since 1970 */
    char room[NAME_BYTES + 1];
    char who[NAME_BYTES + 1];
    char text[]; /* of a message */
};

/* The last few events, oldest first. */
struct ring {
    struct event *events[INBOX];
    size_t first, count;
};

struct room {
    char name[NAME_BYTES + 1]; /* "": this place is free */
    bool permanent;
    struct ring backlog; /* messages only */
    size_t people;
    cress_seconds empty_since;
};

struct user {
    char name[NAME_BYTES + 1];
    char key[KEY_BYTES + 1];
    uint64_t rooms; /* bit i: is in chat.rooms[i] */
    struct ring inbox;
    uint64_t lost;    /* events up to this id may have passed the inbox by */
    uint64_t read;    /* for those who do not say how far they have read */
    cress_event news; /* set and cleared when there is some */
    int polls;        /* greenlets that wait in user_wait: the user stays */
    cress_seconds expires;
};

struct chat {
    struct room rooms[MAX_ROOMS];
    struct user *users[MAX_USERS];
    size_t user_count;
    uint64_t last_id;
    uint64_t rooms_changed; /* the id of the last change to the list of rooms */
    bool keeper_runs;
};
extern struct chat chat;

/* How far somebody has read: the ids of the last event and of the last change to
 * the list of rooms. */
struct seen {
    uint64_t events, rooms;
};

struct event *ring_at(const struct ring *ring, size_t index);

/* Makes the permanent rooms, the first time. */
void chat_start(void);

/* NULL with ENOENT. */
struct room *room_find(cress_str name);
/* Finds it or opens it; ENOSPC: there are MAX_ROOMS. */
struct room *room_open(cress_str name);

/* NULL with ENOENT; EACCES: the name is somebody's who has another key. */
struct user *user_find(cress_str name, cress_str key);
/* Finds the user or makes one; EUSERS: there are MAX_USERS. A name without a key
 * is everybody's, until somebody comes with one, of at most KEY_BYTES, and keeps it. */
struct user *user_enter(cress_str name, cress_str key);
bool user_is_in(const struct user *user, const struct room *room);
/* Those who are there are told. */
void user_join(struct user *user, struct room *room);
void user_leave(struct user *user, struct room *room);
/* Gone in LEAVE_SECONDS, unless there is a sign of life before: a page that is
 * loaded again leaves and comes back. */
void user_leave_soon(struct user *user);

/* Tells everybody in the room, the speaker included: the event's id, or 0. */
uint64_t user_say(struct user *user, struct room *room, const char *text);

/* [waits] until there is something that seen does not cover (NULL: a message
 * behind user->read), or POLL_SECONDS passed: 0 in both cases. The user stays
 * until it returns. EAGAIN: there are MAX_POLLS already. */
int user_wait(struct user *user, const struct seen *seen);
/* The oldest message behind user->read, borrowed until the next wait, or NULL. */
const struct event *user_next_message(const struct user *user);

#endif
