/* Everything that people typed passes through write_html, write_json or write_url
 * here. The result is made in memory before any of it is sent: while a response
 * waits for its client, rooms and people change. */
#include "view.h"
#include "chat_html.h"

#include <inttypes.h>

/* ---- JSON ------------------------------------------------------------------ */

static void write_event(FILE *out, const struct event *event)
{
    static const char *const kinds[] = { "message", "join", "leave" };
    fprintf(out, "{\"id\":%" PRIu64 ",\"kind\":\"%s\",\"time\":%" PRId64 ",\"room\":", event->id,
            kinds[event->kind], event->time);
    write_json(out, event->room);
    fputs(",\"who\":", out);
    write_json(out, event->who);
    if (event->kind == EVENT_MESSAGE) {
        fputs(",\"text\":", out);
        write_json(out, event->text);
    }
    putc('}', out);
}

void write_message(FILE *out, const struct event *event)
{
    putc('"', out);
    write_json_part(out, event->who);
    putc(':', out);
    write_json_part(out, event->text);
    putc('"', out);
}

void write_events(FILE *out, const struct ring *ring, uint64_t after)
{
    const char *comma = "";
    fputs("[", out);
    for (size_t i = 0; i < ring->count; i++) {
        const struct event *event = ring_at(ring, i);
        if (event->id <= after)
            continue;
        fputs(comma, out);
        write_event(out, event);
        comma = ",";
    }
    fputs("]", out);
}

void write_people(FILE *out, const struct room *room)
{
    const char *comma = "";
    fputs("[", out);
    for (size_t i = 0; i < chat.user_count; i++) {
        if (!user_is_in(chat.users[i], room))
            continue;
        fputs(comma, out);
        write_json(out, chat.users[i]->name);
        comma = ",";
    }
    fputs("]", out);
}

static void write_rooms(FILE *out)
{
    const char *comma = "";
    fputs("[", out);
    for (const struct room *room = chat.rooms; room < chat.rooms + MAX_ROOMS; room++) {
        if (!room->name[0])
            continue;
        fprintf(out, "%s{\"name\":", comma);
        write_json(out, room->name);
        fprintf(out, ",\"people\":%zu}", room->people);
        comma = ",";
    }
    fputs("]", out);
}

void write_seen(FILE *out, uint64_t known_rooms)
{
    fprintf(out, "\"last\":%" PRIu64 ",\"changed\":%" PRIu64, chat.last_id, chat.rooms_changed);
    if (known_rooms == chat.rooms_changed)
        return;
    fputs(",\"rooms\":", out);
    write_rooms(out);
}

/* ---- the page -------------------------------------------------------------- */

static void write_name_form(FILE *out)
{
    fputs("<h1>Choose a name</h1><form action=\"/\"><label>Your name "
          "<input name=\"name\" required></label> <button>Go</button></form>",
          out);
}

static void write_room_list(FILE *out, const char *user)
{
    fputs("<h1>Rooms</h1><ul>", out);
    for (const struct room *room = chat.rooms; room < chat.rooms + MAX_ROOMS; room++) {
        if (!room->name[0])
            continue;
        fputs("<li><a href=\"/", out);
        write_url(out, room->name);
        putc('/', out);
        write_url(out, user);
        fputs("\">", out);
        write_html(out, room->name);
        fprintf(out, "</a> (%zu)</li>", room->people);
    }
    fputs("</ul>", out);
}

static void write_room(FILE *out, const struct room *room, const char *user)
{
    fputs("<h1>", out);
    write_html(out, room->name);
    fputs("</h1><ol>", out);
    for (size_t i = 0; i < room->backlog.count; i++) {
        const struct event *event = ring_at(&room->backlog, i);
        fputs("<li><b>", out);
        write_html(out, event->who);
        fputs(":</b> ", out);
        write_html(out, event->text);
        fputs("</li>\n", out);
    }
    fputs("</ol><form method=\"post\" action=\"/put/", out);
    write_url(out, room->name);
    putc('/', out);
    write_url(out, user);
    fputs("\"><label>Message <input name=\"message\" required></label> <button>Send</button></form>"
          "<p><a href=\"\">Show what is new</a></p>",
          out);
}

static void write_without_script(FILE *out, const struct room *room, const char *user)
{
    if (room)
        write_room(out, room, user);
    else if (user)
        write_room_list(out, user);
    else
        write_name_form(out);
}

void write_page(FILE *out, const struct room *room, const char *user, const char *nonce)
{
    static const char nonce_mark[] = "{{nonce}}", plain_mark[] = "{{plain}}";
    const char *at = (const char *)chat_html, *mark;

    while ((mark = strstr(at, "{{"))) {
        fwrite(at, 1, (size_t)(mark - at), out);
        if (strncmp(mark, nonce_mark, sizeof nonce_mark - 1) == 0)
            fputs(nonce, out);
        else
            write_without_script(out, room, user);
        at = mark + sizeof plain_mark - 1;
    }
    fputs(at, out);
}
