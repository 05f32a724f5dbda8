/* Jansson's parser calls itself for each level of nesting, up to 2048 times. A greenlet's stack
 * is small, so what is nested more deeply than anybody needs is refused first. */
#include "json_body.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_DEPTH = 16 };

static bool is_shallow(cress_str text)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > MAX_DEPTH)
            return false;
        else if (!in_string && (c == ']' || c == '}'))
            depth--;
    }
    return true;
}

static void drop(void *value)
{
    json_decref(value);
}

json_t *read_json(cress_environ *env, size_t limit)
{
    cress_str body;

    if (cress_input_read_all(env, limit, &body) < 0)
        return NULL;
    json_t *value =
        is_shallow(body) ? json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!value) {
        errno = EBADMSG;
        return NULL;
    }
    if (cress_defer(env, drop, value) == 0)
        return value;
    json_decref(value);
    return NULL;
}

int respond_json(cress_response *res, int status, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

    json_decref(value);
    if (!text) {
        errno = ENOMEM;
        return -1;
    }
    int result = cress_respond(res, status, "application/json", text, strlen(text)), error = errno;
    free(text);
    errno = error;
    return result;
}
