/* A message is stored once and referred to from the room's backlog and from the
 * inbox of everyone in the room. An inbox is not emptied by reading: a reader says
 * how far it has come, so an answer that got lost on the way is given again, and
 * two tabs of one person both see everything.
 *
 * A greenlet, the keeper, looks once a second for people and rooms whose time has
 * come; it runs while there is anybody. */
#include "rooms.h"

#include <assert.h>
#include <cress/greenlet.h>
#include <cress/timeout.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct chat chat;

static int64_t wall_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void copy_name(char *to, cress_str name)
{
    assert(name.len <= NAME_BYTES);
    memcpy(to, name.data, name.len);
    to[name.len] = '\0';
}

/* ---- events ---------------------------------------------------------------- */

static struct event *event_create(enum event_kind kind, const struct room *room,
                                  const struct user *user, const char *text)
{
    struct event *event = calloc(1, sizeof *event + strlen(text) + 1);
    if (!event)
        return NULL;
    event->refs = 1;
    event->id = ++chat.last_id;
    event->kind = kind;
    event->time = wall_clock_us() / 1000;
    strcpy(event->room, room->name);
    strcpy(event->who, user->name);
    /* Forms end lines by CR LF. */
    for (char *to = event->text; *text; text++)
        if (*text != '\r')
            *to++ = *text;
    return event;
}

static void event_release(struct event *event)
{
    if (--event->refs == 0)
        free(event);
}

struct event *ring_at(const struct ring *ring, size_t index)
{
    return ring->events[(ring->first + index) % INBOX];
}

/* The id of the oldest event, which is dropped; 0 if there is none. */
static uint64_t ring_drop(struct ring *ring)
{
    if (ring->count == 0)
        return 0;
    struct event *oldest = ring_at(ring, 0);
    uint64_t id = oldest->id;
    ring->first = (ring->first + 1) % INBOX;
    ring->count--;
    event_release(oldest);
    return id;
}

static void ring_clear(struct ring *ring)
{
    while (ring_drop(ring))
        continue;
}

/* The id of the event that had to give way, or 0. */
static uint64_t ring_add(struct ring *ring, struct event *event, size_t max)
{
    uint64_t dropped = ring->count == max ? ring_drop(ring) : 0;
    ring->events[(ring->first + ring->count++) % INBOX] = event;
    event->refs++;
    return dropped;
}

static void user_wake(struct user *user)
{
    cress_event_set(&user->news);
    cress_event_clear(&user->news);
}

static void deliver(struct event *event, const struct room *room)
{
    for (size_t i = 0; i < chat.user_count; i++) {
        struct user *user = chat.users[i];
        if (!user_is_in(user, room))
            continue;
        uint64_t dropped = ring_add(&user->inbox, event, INBOX);
        if (dropped)
            user->lost = dropped;
        user_wake(user);
    }
}

/* A notice that memory does not suffice for is not given. */
static void notify(enum event_kind kind, const struct room *room, const struct user *user)
{
    struct event *event = event_create(kind, room, user, "");
    if (!event)
        return;
    deliver(event, room);
    event_release(event);
}

/* ---- rooms ----------------------------------------------------------------- */

static void rooms_wake(void)
{
    chat.rooms_changed = ++chat.last_id;
    for (size_t i = 0; i < chat.user_count; i++)
        user_wake(chat.users[i]);
}

void chat_start(void)
{
    if (chat.last_id)
        return;
    chat.last_id = (uint64_t)wall_clock_us();
    chat.rooms_changed = chat.last_id;
    room_open(CRESS_STR("topic1"))->permanent = true;
    room_open(CRESS_STR("topic2"))->permanent = true;
}

struct room *room_find(cress_str name)
{
    for (size_t i = 0; i < MAX_ROOMS; i++)
        if (name.len && cress_str_equal(name, chat.rooms[i].name))
            return &chat.rooms[i];
    errno = ENOENT;
    return NULL;
}

struct room *room_open(cress_str name)
{
    struct room *room = room_find(name);
    if (room)
        return room;
    for (room = chat.rooms; room < chat.rooms + MAX_ROOMS; room++)
        if (!room->name[0]) {
            copy_name(room->name, name);
            room->empty_since = cress_now();
            rooms_wake();
            return room;
        }
    errno = ENOSPC;
    return NULL;
}

static void rooms_expire(cress_seconds now)
{
    for (struct room *room = chat.rooms; room < chat.rooms + MAX_ROOMS; room++) {
        if (!room->name[0] || room->permanent || room->people)
            continue;
        if (now < room->empty_since + ROOM_SECONDS)
            continue;
        ring_clear(&room->backlog);
        memset(room, 0, sizeof *room);
        rooms_wake();
    }
}

/* ---- users ----------------------------------------------------------------- */

static uint64_t room_bit(const struct room *room)
{
    return UINT64_C(1) << (room - chat.rooms);
}

bool user_is_in(const struct user *user, const struct room *room)
{
    return user->rooms & room_bit(room);
}

static void user_touch(struct user *user)
{
    user->expires = cress_now() + USER_SECONDS;
}

void user_leave_soon(struct user *user)
{
    user->expires = cress_now() + LEAVE_SECONDS;
}

void user_join(struct user *user, struct room *room)
{
    if (user_is_in(user, room))
        return;
    notify(EVENT_JOIN, room, user);
    user->rooms |= room_bit(room);
    room->people++;
    chat.rooms_changed = ++chat.last_id;
}

void user_leave(struct user *user, struct room *room)
{
    if (!user_is_in(user, room))
        return;
    user->rooms &= ~room_bit(room);
    if (--room->people == 0)
        room->empty_since = cress_now();
    notify(EVENT_LEAVE, room, user);
    chat.rooms_changed = ++chat.last_id;
}

static void user_destroy(struct user *user)
{
    for (struct room *room = chat.rooms; room < chat.rooms + MAX_ROOMS; room++)
        user_leave(user, room);
    ring_clear(&user->inbox);
    free(user);
}

static void users_expire(cress_seconds now)
{
    for (size_t i = chat.user_count; i-- > 0;) {
        struct user *user = chat.users[i];
        if (user->polls || now < user->expires)
            continue;
        chat.users[i] = chat.users[--chat.user_count];
        user_destroy(user);
    }
}

static bool rooms_may_expire(void)
{
    for (size_t i = 0; i < MAX_ROOMS; i++)
        if (chat.rooms[i].name[0] && !chat.rooms[i].permanent)
            return true;
    return false;
}

static void *keep_house(void *arg)
{
    (void)arg;
    while ((chat.user_count || rooms_may_expire()) && cress_sleep(1.0) == 0) {
        users_expire(cress_now());
        rooms_expire(cress_now());
    }
    chat.keeper_runs = false;
    return NULL;
}

static int keeper_start(void)
{
    if (chat.keeper_runs)
        return 0;
    cress_greenlet *keeper = cress_spawn(keep_house, NULL);
    if (!keeper)
        return -1;
    cress_set_name(keeper, "chat keeper");
    cress_release(keeper);
    chat.keeper_runs = true;
    return 0;
}

static struct user *user_create(cress_str name)
{
    if (chat.user_count == MAX_USERS) {
        errno = EUSERS;
        return NULL;
    }
    if (keeper_start() < 0)
        return NULL;
    struct user *user = calloc(1, sizeof *user);
    if (!user)
        return NULL;
    copy_name(user->name, name);
    user->lost = user->read = chat.last_id;
    chat.users[chat.user_count++] = user;
    return user;
}

struct user *user_find(cress_str name, cress_str key)
{
    for (size_t i = 0; i < chat.user_count; i++) {
        struct user *user = chat.users[i];
        if (!cress_str_equal(name, user->name))
            continue;
        if (user->key[0] && !cress_str_equal(key, user->key)) {
            errno = EACCES;
            return NULL;
        }
        user_touch(user);
        return user;
    }
    errno = ENOENT;
    return NULL;
}

struct user *user_enter(cress_str name, cress_str key)
{
    struct user *user = user_find(name, key);
    if (!user && errno == ENOENT)
        user = user_create(name);
    if (!user)
        return NULL;
    assert(key.len <= KEY_BYTES);
    if (!user->key[0] && key.len)
        strcpy(user->key, key.data);
    user_touch(user);
    return user;
}

uint64_t user_say(struct user *user, struct room *room, const char *text)
{
    struct event *event = event_create(EVENT_MESSAGE, room, user, text);
    if (!event)
        return 0;
    uint64_t id = event->id;
    ring_add(&room->backlog, event, BACKLOG);
    deliver(event, room);
    event_release(event);
    return id;
}

/* ---- news ------------------------------------------------------------------ */

static bool has_news(const struct user *user, const struct seen *seen)
{
    const struct ring *inbox = &user->inbox;
    if (!seen)
        return user_next_message(user);
    if (seen->events < user->lost || seen->events > chat.last_id)
        return true;
    if (inbox->count && ring_at(inbox, inbox->count - 1)->id > seen->events)
        return true;
    return seen->rooms < chat.rooms_changed;
}

int user_wait(struct user *user, const struct seen *seen)
{
    cress_timeout patience;
    int ret = 0;

    if (user->polls == MAX_POLLS) {
        errno = EAGAIN;
        return -1;
    }
    user->polls++;
    cress_timeout_start(&patience, POLL_SECONDS);
    while (ret == 0 && !has_news(user, seen))
        ret = cress_event_wait(&user->news, CRESS_FOREVER);
    cress_timeout_close(&patience);
    user->polls--;
    if (ret < 0 && !cress_timeout_expired(&patience))
        return -1;
    user_touch(user);
    return 0;
}

const struct event *user_next_message(const struct user *user)
{
    for (size_t i = 0; i < user->inbox.count; i++) {
        const struct event *event = ring_at(&user->inbox, i);
        if (event->kind == EVENT_MESSAGE && event->id > user->read)
            return event;
    }
    return NULL;
}
