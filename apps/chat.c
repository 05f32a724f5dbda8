/* A chat: rooms, people, and long polls.
 *
 *     cress chat.so                    a page for people at http://127.0.0.1:8000/
 *
 * The same addresses serve programs, as in the last chapter of gevent's tutorial:
 *
 *     GET  /                           choose a name
 *     GET  /<user>                     choose a room
 *     GET  /<room>/<user>              enter; shows the last 25 messages
 *     POST /put/<room>/<user>          say what the form field `message` holds
 *     POST /poll/<user>                the next message as JSON, "user:text", or
 *                                      [] after ten seconds without one
 *
 * The page is chat.html; without JavaScript the parts between <noscript> and
 * </noscript>, which are made here, carry it. With JavaScript it uses
 *
 *     POST /<room>/<user>              enter, the answer as JSON; with the form
 *                                      field create=yes a new room is opened
 *     POST /poll/<user>                with the form fields `events` and `rooms`, how
 *                                      far it has read: all that came since
 *     POST /put/<room>/<user>          Accept: application/json gives the id
 *     POST /leave/<user>               the room in the form field `room`, or all
 *
 * and sends a secret of its own as X-Chat-Key, so that nobody else speaks in its name.
 * Everything lives in this process: chat/rooms.h says how much of it there can be.
 */
#include "chat/view.h"

#include <cress/cress.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

enum { MAX_BODY = 8 * 1024, MAX_SEGMENTS = 3, NONCE_BYTES = 16 };

struct request {
    cress_environ *env;
    cress_response *res;
    cress_str segments[MAX_SEGMENTS]; /* of the path */
    size_t count;
    cress_str room, user; /* of these, when the route has them */
    cress_str key;        /* who asks; absent: anybody */
    cress_str form;
    char *body; /* of the answer, once open_body's stream is closed */
    size_t body_len;
};

typedef int handler(struct request *r);

static const char bad_name[] = "A name has 1 to 24 visible characters and no slash.\n";

/* ---- answers --------------------------------------------------------------- */

static int start(struct request *r, int status, const char *type, size_t len)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", len);
    return cress_start_response(
        r->res, status,
        CRESS_HEADERS(
            { "Content-Type", type }, { "Content-Length", digits }, { "Cache-Control", "no-store" },
            { "Cross-Origin-Resource-Policy", "same-origin" }, { "Referrer-Policy", "same-origin" },
            { "X-Content-Type-Options", "nosniff" }));
}

/* Where to write the body to, for `answer`. */
static FILE *open_body(struct request *r)
{
    return open_memstream(&r->body, &r->body_len);
}

static int answer(struct request *r, const char *type, FILE *body)
{
    if (fclose(body) != 0)
        return -1;
    if (start(r, 200, type, r->body_len) < 0)
        return -1;
    return cress_response_write(r->res, r->body, r->body_len);
}

static int answer_json(struct request *r, FILE *body)
{
    return answer(r, "application/json", body);
}

/* name and value: one more header field, or NULL. */
static int answer_text_with(struct request *r, int status, const char *text, const char *name,
                            const char *value)
{
    size_t len = strlen(text);
    if (start(r, status, "text/plain; charset=utf-8", len) < 0)
        return -1;
    if (name && cress_response_add_header(r->res, name, value) < 0)
        return -1;
    return cress_response_write(r->res, text, len);
}

static int answer_text(struct request *r, int status, const char *text)
{
    return answer_text_with(r, status, text, NULL, NULL);
}

/* For what went wrong in rooms.c. */
static int refuse_errno(struct request *r)
{
    switch (errno) {
    case ENOENT:
        return answer_text(r, 404, "There is no such room or user here.\n");
    case EACCES:
        return answer_text(r, 403, "Somebody else uses this name now.\n");
    case EUSERS:
        return answer_text_with(r, 503, "The chat is full: try again later.\n", "Retry-After",
                                "30");
    case ENOSPC:
        return answer_text_with(r, 503, "There are too many rooms: use one of them.\n",
                                "Retry-After", "60");
    case EAGAIN:
        return answer_text_with(r, 429, "Too many polls for one user.\n", "Retry-After", "10");
    default:
        return -1;
    }
}

static int redirect(struct request *r, const char *room, const char *user)
{
    FILE *location = open_body(r);
    if (!location)
        return -1;
    if (room) {
        putc('/', location);
        write_url(location, room);
    }
    putc('/', location);
    write_url(location, user);
    return fclose(location) == 0 ? answer_text_with(r, 303, "", "Location", r->body) : -1;
}

/* ---- questions ------------------------------------------------------------- */

static bool accepts(const struct request *r, const char *type)
{
    cress_str accept = cress_header_get(r->env, "Accept");
    return accept.data && strstr(accept.data, type);
}

static cress_str field(struct request *r, const char *name)
{
    return cress_form_get(r->env, r->form, name);
}

static uint64_t number_field(struct request *r, const char *name)
{
    cress_str text = field(r, name);
    return text.data ? strtoull(text.data, NULL, 10) : 0;
}

/* Did another site's page send this? Browsers say so: RFC 6454, Fetch Metadata. */
static bool is_cross_site(const struct request *r)
{
    cress_str site = cress_header_get(r->env, "Sec-Fetch-Site");
    cress_str origin = cress_header_get(r->env, "Origin");
    cress_str host = cress_header_get(r->env, "Host");

    if (site.data)
        return !cress_str_equal(site, "same-origin") && !cress_str_equal(site, "none");
    if (!origin.data)
        return false;
    const char *name = strstr(origin.data, "://");
    return !name || !cress_str_equal_nocase(host, name + 3);
}

static bool is_form(const struct request *r)
{
    static const char form[] = "application/x-www-form-urlencoded";
    cress_str type = cress_header_get(r->env, "Content-Type");
    return !type.data || strncasecmp(type.data, form, sizeof form - 1) == 0;
}

/* ---- the page -------------------------------------------------------------- */

/* Only the script and the style that carry the nonce run. */
static int add_policy(struct request *r, const char *nonce)
{
    cress_str policy = cress_environ_printf(
        r->env,
        "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        nonce, nonce);
    if (!policy.data)
        return -1;
    return cress_response_add_header(r->res, "Content-Security-Policy", policy.data);
}

static int make_nonce(char hex[2 * NONCE_BYTES + 1])
{
    unsigned char bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return -1;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int show_page(struct request *r)
{
    const struct room *room = r->room.data ? room_find(r->room) : NULL;
    char nonce[2 * NONCE_BYTES + 1];

    FILE *body = make_nonce(nonce) == 0 ? open_body(r) : NULL;
    if (!body)
        return -1;
    write_page(body, room, r->user.data, nonce);
    if (fclose(body) != 0)
        return -1;
    if (start(r, 200, "text/html; charset=utf-8", r->body_len) < 0 || add_policy(r, nonce) < 0)
        return -1;
    return cress_response_write(r->res, r->body, r->body_len);
}

/* ---- routes ---------------------------------------------------------------- */

/* GET /, and what its form sends where there is no JavaScript: /?name=NAME. */
static int choose_name(struct request *r)
{
    cress_str name = cress_query_get(r->env, "name");
    if (!name.data)
        return show_page(r);
    if (!name_is_valid(name))
        return answer_text(r, 400, bad_name);
    return redirect(r, NULL, name.data);
}

/* GET /<room>/<user>. A HEAD request enters nobody, nor does an image on another
 * site that has this address; and for a name that has a key, the page's script does. */
static int enter_page(struct request *r)
{
    struct room *room = room_find(r->room);
    cress_str mode = cress_header_get(r->env, "Sec-Fetch-Mode");

    if (!room)
        return refuse_errno(r);
    if (is_cross_site(r) && !cress_str_equal(mode, "navigate"))
        return answer_text(r, 403, "Not for other sites.\n");
    if (cress_str_equal(cress_method(r->env), "HEAD"))
        return show_page(r);
    struct user *user = user_enter(r->user, r->key);
    if (user)
        user_join(user, room);
    else if (errno != EACCES)
        return refuse_errno(r);
    return show_page(r);
}

/* POST /<room>/<user> */
static int enter(struct request *r)
{
    bool create = cress_str_equal(field(r, "create"), "yes");
    struct room *room = room_find(r->room);
    struct user *user = room || create ? user_enter(r->user, r->key) : NULL;

    if (user && !room)
        room = room_open(r->room);
    if (!user || !room)
        return refuse_errno(r);
    user_join(user, room);

    FILE *body = open_body(r);
    if (!body)
        return -1;
    fputs("{\"people\":", body);
    write_people(body, room);
    fputs(",\"messages\":", body);
    write_events(body, &room->backlog, 0);
    putc(',', body);
    write_seen(body, 0);
    putc('}', body);
    return answer_json(r, body);
}

/* POST /put/<room>/<user> */
static int put(struct request *r)
{
    cress_str message = field(r, "message");
    struct user *user = user_find(r->user, r->key);
    struct room *room = user ? room_find(r->room) : NULL;

    if (!room)
        return refuse_errno(r);
    if (!message.data)
        return answer_text(r, 400, "The form field `message` is missing.\n");
    if (message.len > MESSAGE_BYTES)
        return answer_text(r, 413, "A message has at most 2048 bytes.\n");
    if (!message_is_valid(message))
        return answer_text(r, 400, "A message is UTF-8 text with something to see in it.\n");
    user_join(user, room);
    uint64_t id = user_say(user, room, message.data);
    if (!id)
        return -1;
    if (accepts(r, "text/html"))
        return redirect(r, room->name, user->name);
    if (!accepts(r, "application/json"))
        return answer_text(r, 200, "");
    FILE *body = open_body(r);
    if (!body)
        return -1;
    fprintf(body, "{\"id\":%" PRIu64 "}", id);
    return answer_json(r, body);
}

/* The tutorial's poll: a message as a JSON string, or an empty list. */
static int poll_message(struct request *r, struct user *user)
{
    if (user_wait(user, NULL) < 0)
        return refuse_errno(r);
    FILE *body = open_body(r);
    if (!body)
        return -1;
    const struct event *event = user_next_message(user);
    if (event) {
        user->read = event->id;
        write_message(body, event);
    } else {
        fputs("[]", body);
    }
    return answer_json(r, body);
}

/* The page's: everything since the last answer that it has. */
static int poll_events(struct request *r, struct user *user)
{
    struct seen seen = { number_field(r, "events"), number_field(r, "rooms") };

    if (user_wait(user, &seen) < 0)
        return refuse_errno(r);
    bool missed = seen.events < user->lost || seen.events > chat.last_id;
    FILE *body = open_body(r);
    if (!body)
        return -1;
    fprintf(body, "{\"missed\":%s,\"events\":", missed ? "true" : "false");
    write_events(body, &user->inbox, seen.events);
    putc(',', body);
    write_seen(body, seen.rooms);
    putc('}', body);
    return answer_json(r, body);
}

/* POST /poll/<user>. A client that leaves ends the wait: user_wait fails with
 * ECANCELED, and so does this. */
static int poll_user(struct request *r)
{
    struct user *user = user_find(r->user, r->key);
    if (!user)
        return refuse_errno(r);
    return field(r, "events").data ? poll_events(r, user) : poll_message(r, user);
}

/* POST /leave/<user> */
static int leave(struct request *r)
{
    cress_str name = field(r, "room");
    struct user *user = user_find(r->user, r->key);
    struct room *room = user && name.data ? room_find(name) : NULL;

    if (!user || (name.data && !room))
        return refuse_errno(r);
    if (room)
        user_leave(user, room);
    else
        user_leave_soon(user);
    return answer_text(r, 200, "");
}

/* ---- which of them --------------------------------------------------------- */

struct route {
    const char *word; /* the first segment, or NULL: any that names something */
    size_t count;     /* segments, the word included */
    handler *get, *post;
};

static const struct route routes[] = {
    { NULL, 0, choose_name, NULL }, { "poll", 2, NULL, poll_user }, { "leave", 2, NULL, leave },
    { "put", 3, NULL, put },        { NULL, 1, show_page, NULL },   { NULL, 2, enter_page, enter },
};

/* False: more segments than any route has. */
static bool split_path(struct request *r)
{
    cress_str path = cress_path(r->env);
    const char *end = path.data + path.len;

    for (const char *at = path.data; at < end && at + 1 < end;) {
        const char *from = at + 1;
        const char *slash = memchr(from, '/', (size_t)(end - from));
        at = slash ? slash : end;
        if (r->count == MAX_SEGMENTS)
            return false;
        cress_str part = cress_environ_printf(r->env, "%.*s", (int)(at - from), from);
        r->segments[r->count++] = part;
    }
    return path.len > 0 && path.data[0] == '/';
}

/* The segments behind the word: [room,] user. */
static void take_names(struct request *r, const struct route *route)
{
    size_t first = route->word ? 1 : 0;
    if (r->count > first)
        r->user = r->segments[r->count - 1];
    if (r->count > first + 1)
        r->room = r->segments[first];
}

static const struct route *find_route(struct request *r)
{
    if (!split_path(r))
        return NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *route = &routes[i];
        if (route->count != r->count)
            continue;
        if (route->word && !cress_str_equal(r->segments[0], route->word))
            continue;
        take_names(r, route);
        return route;
    }
    return NULL;
}

static int run_post(struct request *r, handler *post)
{
    if (is_cross_site(r))
        return answer_text(r, 403, "Not for other sites.\n");
    if (!is_form(r))
        return answer_text(r, 415, "Send a form: application/x-www-form-urlencoded.\n");
    if (cress_input_read_all(r->env, MAX_BODY, &r->form) < 0)
        return errno == EMSGSIZE ? answer_text(r, 413, "Send a smaller form.\n") : -1;
    return post(r);
}

static int run(struct request *r)
{
    cress_str method = cress_method(r->env);
    const struct route *route = find_route(r);

    if (!route)
        return answer_text(r, 404, "There is nothing here.\n");
    if (r->room.data && !name_is_valid(r->room))
        return answer_text(r, 404, bad_name);
    if (r->user.data && !name_is_valid(r->user))
        return answer_text(r, cress_str_equal(method, "POST") ? 400 : 404, bad_name);
    if (r->key.len > KEY_BYTES)
        return answer_text(r, 400, "X-Chat-Key has at most 64 bytes.\n");
    if (cress_str_equal(method, "POST") && route->post)
        return run_post(r, route->post);
    if ((cress_str_equal(method, "GET") || cress_str_equal(method, "HEAD")) && route->get)
        return route->get(r);
    const char *allow = !route->get ? "POST" : !route->post ? "GET, HEAD" : "GET, HEAD, POST";
    return answer_text_with(r, 405, "Not with this method.\n", "Allow", allow);
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    struct request r = { .env = env, .res = res, .key = cress_header_get(env, "X-Chat-Key") };

    chat_start();
    int ret = run(&r);
    free(r.body);
    return ret;
}
