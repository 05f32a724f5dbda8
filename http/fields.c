/* The fields of a response between the call that gave them and the wire: looked at and changed
 * by hooks, and by the application before the body.
 *
 * What is given before there is a response waits for the one that comes, whichever call makes
 * it. That is a hook of our own: it puts the fields on the head when this is about to leave. It
 * is used again as long as it is the innermost, so that what a layer gives comes before, and
 * what the application gives behind, the hooks that the layer has put on in between.
 */
#include "fields.h"

#include "fail.h"
#include "head.h"
#include "hook.h"
#include "response.h"
#include "status.h"
#include "text.h"

/* ---- before there is a response ------------------------------------------------------------- */

struct waiting_field {
    struct waiting_field *next;
    fields_put *put;
    const char *name, *value;
};

struct waiting {
    cress_hook hook;
    struct waiting_field *first, **end;
};

/* A page that the server makes after the application has failed is not what they were meant for. */
static int put_all(cress_hook *hook, cress_response *res)
{
    const struct waiting *waiting = (const struct waiting *)(const void *)hook;

    if (res->is_replaced)
        return 0;
    for (const struct waiting_field *field = waiting->first; field; field = field->next)
        if (field->put(res, field->name, field->value) < 0)
            return -1;
    return 0;
}

static struct waiting *innermost(cress_response *res)
{
    cress_hook *hook = hooks_innermost(res);

    if (hook && hook->head == put_all)
        return (struct waiting *)(void *)hook;
    struct waiting *waiting = arena_alloc(&exchange_of_response(res)->arena, sizeof *waiting);
    if (!waiting)
        return NULL;
    *waiting = (struct waiting){ .hook = { .head = put_all }, .end = &waiting->first };
    return cress_response_add_hook(res, &waiting->hook) < 0 ? NULL : waiting;
}

int fields_wait(cress_response *res, fields_put *put, const char *name, const char *value)
{
    struct arena *arena = &exchange_of_response(res)->arena;

    if (!value || !head_is_field(name, value) || strcasecmp(name, "Content-Length") == 0)
        return fail_with(EINVAL);
    struct waiting *waiting = innermost(res);
    struct waiting_field *field = waiting ? arena_alloc(arena, sizeof *field) : NULL;
    if (!field)
        return -1;
    *field = (struct waiting_field){
        .put = put,
        .name = arena_copy(arena, name, strlen(name)),
        .value = arena_copy(arena, value, strlen(value)),
    };
    if (!field->name || !field->value)
        return -1;
    *waiting->end = field;
    waiting->end = &field->next;
    return 0;
}

/* ---- the head ------------------------------------------------------------------------------- */

static int check_head(const cress_response *res)
{
    if (res->status == 0)
        return fail_with(EINVAL);
    return res->committed ? fail_with(EALREADY) : 0;
}

int cress_response_status(const cress_response *res)
{
    return res->status;
}

int cress_response_set_status(cress_response *res, int status)
{
    if (check_head(res) < 0)
        return -1;
    if (status < 200 || status > 599)
        return fail_with(EINVAL);
    res->status = (uint16_t)status;
    return 0;
}

/* The next line of that name, from `at`; NULL: none. */
static char *find_line(const cress_response *res, char *at, cress_str name)
{
    const char *end = at ? res->fields + res->fields_len : NULL;

    while (at && at < end) {
        if ((size_t)(end - at) > name.len && at[name.len] == ':' &&
            strncasecmp(at, name.data, name.len) == 0)
            return at;
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        at = line_end ? line_end + 1 : NULL;
    }
    return NULL;
}

static size_t line_len(const cress_response *res, const char *at)
{
    const char *end = memchr(at, '\n', (size_t)(res->fields + res->fields_len - at));

    return (size_t)(end - at) + 1;
}

cress_str fields_find(const cress_response *res, const char *name, size_t index)
{
    cress_str key = { name, strlen(name) };
    char *line = find_line(res, res->fields, key);

    for (; line && index > 0; index--)
        line = find_line(res, line + 1, key);
    if (!line)
        return (cress_str){ NULL, 0 };
    return (cress_str){ line + key.len + 2, line_len(res, line) - key.len - 4 };
}

static cress_str format_length(cress_response *res)
{
    char text[24], *end = text_put_u64(text, res->length);
    struct http_exchange *x = exchange_of_response(res);
    const char *copy = arena_copy(&x->arena, text, (size_t)(end - text));

    return (cress_str){ copy, copy ? (size_t)(end - text) : 0 };
}

cress_str cress_response_get_header(cress_response *res, const char *name)
{
    cress_str key = { name, strlen(name) };
    struct http_exchange *x = exchange_of_response(res);

    if (cress_str_equal_nocase(key, "Content-Length") && res->has_length)
        return format_length(res);
    const char *line = find_line(res, res->fields, key);
    if (!line)
        return (cress_str){ NULL, 0 };
    size_t before = key.len + 2, len = line_len(res, line) - before - 2;
    const char *copy = arena_copy(&x->arena, line + before, len);
    return (cress_str){ copy, copy ? len : 0 };
}

static void remove_length(cress_response *res)
{
    res->has_length = false;
    res->length = 0;
    hooks_take_length(res);
}

static void remove_lines(cress_response *res, cress_str name)
{
    char *line = res->fields;

    while ((line = find_line(res, line, name))) {
        size_t len = line_len(res, line), at = (size_t)(line - res->fields);
        memmove(line, line + len, res->fields_len - at - len);
        res->fields_len -= (uint32_t)len;
    }
}

int cress_response_remove_header(cress_response *res, const char *name)
{
    cress_str key = { name, strlen(name) };

    if (check_head(res) < 0)
        return -1;
    if (cress_str_equal_nocase(key, "Content-Length"))
        remove_length(res);
    else
        remove_lines(res, key);
    res->has_date &= !cress_str_equal_nocase(key, "Date");
    res->has_server &= !cress_str_equal_nocase(key, "Server");
    res->has_upgrade &= !cress_str_equal_nocase(key, "Upgrade");
    return 0;
}

/* The new line is added first: if that fails the old ones are still there. */
int cress_response_set_header(cress_response *res, const char *name, const char *value)
{
    cress_str key = { name, strlen(name) };
    uint32_t before = res->fields_len;

    if (res->status == 0)
        return fields_wait(res, cress_response_set_header, name, value);
    if (check_head(res) < 0)
        return -1;
    if (cress_str_equal_nocase(key, "Content-Length"))
        remove_length(res);
    if (head_add_field(res, name, value) < 0)
        return -1;
    uint32_t added = res->fields_len - before;
    char *line = res->fields;
    while ((line = find_line(res, line, key)) && line < res->fields + res->fields_len - added) {
        size_t len = line_len(res, line), at = (size_t)(line - res->fields);
        memmove(line, line + len, res->fields_len - at - len);
        res->fields_len -= (uint32_t)len;
    }
    return 0;
}

/* Is it a member of a comma-separated list of tokens? */
static bool is_listed(cress_str list, const char *name)
{
    const char *at = list.data, *end = list.data + list.len;

    while (at < end) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        stop = stop ? stop : end;
        const char *last = stop;
        while (at < last && (*at == ' ' || *at == '\t'))
            at++;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        cress_str item = { at, (size_t)(last - at) };
        if (cress_str_equal(item, "*") || cress_str_equal_nocase(item, name))
            return true;
        at = stop + 1;
    }
    return false;
}

static int vary(cress_response *res, const char *name, const char *value)
{
    (void)value;
    return cress_response_vary(res, name);
}

int cress_response_vary(cress_response *res, const char *name)
{
    cress_str list;

    if (res->status == 0)
        return fields_wait(res, vary, name, "");
    if (check_head(res) < 0)
        return -1;
    for (size_t i = 0; (list = fields_find(res, "Vary", i)).data; i++)
        if (is_listed(list, name))
            return 0;
    return head_add_field(res, "Vary", name);
}

bool cress_response_has_body(const cress_response *res)
{
    return !response_drops_body(res) && res->status != 205;
}

cress_environ *cress_response_environ(cress_response *res)
{
    return &exchange_of_response(res)->env;
}
