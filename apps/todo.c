/* A list of things to do, as a JSON API: routes, middleware, JSON both ways, content
 * negotiation, signed cookies, and a stream of events that is compressed on its way.
 *
 *     cress apps/todo.so
 *     curl 127.0.0.1:8000/todos -d '{"title": "water the plants"}'
 *     curl 127.0.0.1:8000/todos --compressed
 *     curl 127.0.0.1:8000/todos -H 'Accept: text/plain'
 *     curl 127.0.0.1:8000/todos/1 -X PATCH -d '{"done": true}'
 *     curl 127.0.0.1:8000/events --compressed -N
 *     curl 127.0.0.1:8000/session -d name=jane -c jar; curl 127.0.0.1:8000/session -b jar
 *     curl 127.0.0.1:8000/admin/todos -u admin:secret -X DELETE
 *
 * Bodies are read by Jansson (todo/json_body.c), answers written by cress_json. */
#include "todo/json_body.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { MAX_TODOS = 1000, MAX_TITLE = 200, MAX_BODY = 4096, SESSION = 3600 };

struct todo {
    unsigned id;
    bool done;
    char title[MAX_TITLE + 1];
};

static struct {
    struct todo todos[MAX_TODOS];
    size_t count;
    unsigned last_id;
    uint64_t version;
    cress_event changed;
} board;

static void change_board(void)
{
    board.version++;
    cress_event_set(&board.changed);
    cress_event_clear(&board.changed);
}

/* ---- one todo ------------------------------------------------------------------------ */

/* Of the path's :id; NULL: there is none. */
static struct todo *find_todo(cress_environ *env)
{
    cress_str id = cress_route_get(env, "id");

    for (size_t i = 0; id.data && i < board.count; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", board.todos[i].id);
        if (cress_str_equal(id, text))
            return &board.todos[i];
    }
    return NULL;
}

static void write_todo(cress_json *json, const struct todo *todo)
{
    cress_json_object(json);
    cress_json_key(json, "id");
    cress_json_uint(json, todo->id);
    cress_json_key(json, "title");
    cress_json_text(json, todo->title);
    cress_json_key(json, "done");
    cress_json_bool(json, todo->done);
    cress_json_end(json);
}

static int show_todo(cress_environ *env, cress_response *res, void *self)
{
    const struct todo *todo = find_todo(env);
    cress_json json;

    (void)self;
    if (!todo)
        return cress_respond_error(res, 404, NULL);
    cress_json_begin(&json, env, MAX_BODY);
    write_todo(&json, todo);
    return cress_json_respond(&json, res, 200);
}

/* Takes what the object has; false: it has something else. */
static bool update_todo(struct todo *todo, const json_t *object)
{
    const json_t *title = json_object_get(object, "title"), *done = json_object_get(object, "done");
    size_t known = (title ? 1u : 0u) + (done ? 1u : 0u);

    if (!json_is_object(object) || json_object_size(object) != known ||
        (title && (!json_is_string(title) || json_string_length(title) > MAX_TITLE)) ||
        (done && !json_is_boolean(done)))
        return false;
    if (title)
        snprintf(todo->title, sizeof todo->title, "%s", json_string_value(title));
    if (done)
        todo->done = json_is_true(done);
    return true;
}

/* Reading may wait: the todo is looked for behind it. */
static int change_todo(cress_environ *env, cress_response *res, void *self)
{
    const json_t *object = read_json(env, MAX_BODY);
    struct todo *todo = find_todo(env);

    (void)self;
    if (!object)
        return -1;
    if (!todo)
        return cress_respond_error(res, 404, NULL);
    if (!update_todo(todo, object))
        return cress_respond_error(res, 422, NULL);
    change_board();
    return respond_json(res, 200,
                        json_pack("{s:i, s:s, s:b}", "id", (int)todo->id, "title", todo->title,
                                  "done", todo->done));
}

static int delete_todo(cress_environ *env, cress_response *res, void *self)
{
    struct todo *todo = find_todo(env);

    (void)self;
    if (!todo)
        return cress_respond_error(res, 404, NULL);
    *todo = board.todos[--board.count];
    change_board();
    return cress_start_response(res, 204, NULL);
}

/* ---- all of them ------------------------------------------------------------------------ */

static int add_todo(cress_environ *env, cress_response *res, void *self)
{
    const json_t *object = read_json(env, MAX_BODY);
    struct todo todo = { .id = board.last_id + 1 };
    char location[40];

    (void)self;
    if (!object)
        return -1;
    if (!update_todo(&todo, object) || !*todo.title)
        return cress_respond_error(res, 422, NULL);
    if (board.count == MAX_TODOS)
        return cress_respond_error(res, 507, NULL);
    board.last_id = todo.id;
    board.todos[board.count++] = todo;
    change_board();
    snprintf(location, sizeof location, "/todos/%u", todo.id);
    return cress_start_response(res, 201, CRESS_HEADERS({ "Location", location }));
}

static int list_as_text(cress_response *res)
{
    for (size_t i = 0; i < board.count; i++)
        if (cress_response_printf(res, "[%c] %s\n", board.todos[i].done ? 'x' : ' ',
                                  board.todos[i].title) < 0)
            return -1;
    return 0;
}

static int list_as_json(cress_environ *env, cress_response *res)
{
    cress_json json;
    cress_str none;

    cress_json_begin_response(&json, env, res);
    cress_json_array(&json);
    for (size_t i = 0; i < board.count; i++) {
        struct todo copy = board.todos[i]; /* writing may wait, and others change it */
        write_todo(&json, &copy);
    }
    cress_json_end(&json);
    return cress_json_finish(&json, &none);
}

static int list_todos(cress_environ *env, cress_response *res, void *self)
{
    static const char *const types[] = { "application/json", "text/plain; charset=utf-8", NULL };
    int type = cress_accept_type(env, types);

    (void)self;
    if (type < 0)
        return cress_respond_error(res, 406, NULL);
    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", types[type] })) < 0 ||
        cress_response_vary(res, "Accept") < 0)
        return -1;
    return type == 0 ? list_as_json(env, res) : list_as_text(res);
}

static int clear_todos(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    board.count = 0;
    change_board();
    return cress_start_response(res, 204, NULL);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Server-sent events: one at once, then one for each change, until the client leaves. */
static int stream_events(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    if (cress_request_timeout(env, CRESS_FOREVER) < 0 ||
        cress_start_response(res, 200,
                             CRESS_HEADERS({ "Content-Type", "text/event-stream" },
                                           { "Cache-Control", "no-store" })) < 0)
        return -1;
    for (;;) {
        uint64_t version = board.version;
        if (cress_response_printf(res, "id: %" PRIu64 "\ndata: {\"count\":%zu}\n\n", version,
                                  board.count) < 0)
            return -1;
        while (board.version == version)
            if (cress_event_wait(&board.changed, CRESS_FOREVER) < 0)
                return -1;
    }
}

/* ---- who is there ---------------------------------------------------------------------------- */

/* Made when the program starts: a restart ends all sessions. Several workers would need a common
 * one. */
static const cress_str *session_keys(void)
{
    static char bytes[33];
    static const cress_str keys[] = { { bytes, 32 }, { NULL, 0 } };

    if (!*bytes)
        while (getrandom(bytes, 32, 0) != 32 || !*bytes)
            continue;
    return keys;
}

static int show_session(cress_environ *env, cress_response *res, void *self)
{
    cress_str name = cress_signed_cookie_get(env, session_keys(), "session");
    cress_json json;

    (void)self;
    if (!name.data)
        return cress_respond_error(res, 401, NULL);
    cress_json_begin(&json, env, MAX_BODY);
    json.replaces_malformed = true;
    cress_json_object(&json);
    cress_json_key(&json, "name");
    cress_json_string(&json, name);
    cress_json_end(&json);
    return cress_json_respond(&json, res, 200);
}

static int begin_session(cress_environ *env, cress_response *res, void *self)
{
    static const cress_cookie cookie = {
        .name = "session",
        .path = "/",
        .max_age = SESSION,
        .http_only = true,
        .same_site = CRESS_SAME_SITE_LAX,
    };
    cress_str form;

    (void)self;
    if (cress_input_read_all(env, MAX_BODY, &form) < 0)
        return -1;
    cress_str name = cress_form_get(env, form, "name");
    if (!name.data || name.len == 0 || name.len > 100)
        return cress_respond_error(res, 422, NULL);
    if (cress_redirect(res, 303, "/session") < 0)
        return -1;
    return cress_set_signed_cookie(res, session_keys(), &cookie, name, SESSION);
}

/* ---- all together --------------------------------------------------------------------------- */

static int json_error(cress_environ *env, cress_response *res, void *self)
{
    int status = cress_response_status(res);
    cress_json json;

    (void)self;
    cress_json_begin(&json, env, MAX_BODY);
    cress_json_object(&json);
    cress_json_key(&json, "error");
    cress_json_text(&json, cress_status_reason(status));
    cress_json_key(&json, "request");
    cress_json_string(&json, cress_environ_get(env, "cress.request_id"));
    cress_json_end(&json);
    return cress_json_respond(&json, res, status);
}

static int home(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_redirect(res, 302, "/todos");
}

static cress_route admin_routes[] = {
    CRESS_ROUTE("DELETE", "/todos", clear_todos),
    { 0 },
};

static cress_basic_auth_options admin_auth = {
    .realm = "todo admin",
    .users = (const struct cress_credential[]){ { "admin", "secret" }, { NULL, NULL } },
};

static cress_layer admin[] = {
    { cress_basic_auth, &admin_auth },
    { cress_router, admin_routes },
    { NULL, NULL },
};

static cress_route routes[] = {
    CRESS_ROUTE("GET", "/", home),
    CRESS_ROUTE("GET", "/todos", list_todos),
    CRESS_ROUTE("POST", "/todos", add_todo),
    CRESS_ROUTE("GET", "/todos/:id", show_todo),
    CRESS_ROUTE("PATCH", "/todos/:id", change_todo),
    CRESS_ROUTE("DELETE", "/todos/:id", delete_todo),
    CRESS_ROUTE("GET", "/events", stream_events),
    CRESS_ROUTE("GET", "/session", show_session),
    CRESS_ROUTE("POST", "/session", begin_session),
    CRESS_MOUNT("/admin", cress_chain, .self = admin),
    { 0 },
};

static cress_error_page pages[] = { { 0, json_error, NULL }, { 0, NULL, NULL } };
static cress_compress_options compression = { .level = 5 };
static cress_cors_options cors = { .methods = "GET, HEAD, POST, PATCH, DELETE" };
static uint64_t largest_body = MAX_BODY;

static const cress_layer layers[] = {
    { cress_request_id, NULL },   { cress_security_headers, NULL },
    { cress_cors, &cors },        { cress_compress, &compression },
    { cress_error_pages, pages }, { cress_body_limit, &largest_body },
    { cress_router, routes },     { NULL, NULL },
};

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    return cress_run_chain(env, res, layers);
}
