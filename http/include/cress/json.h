/* <cress/json.h>: JSON, written piece by piece. RFC 8259.
 *
 *     cress_json json;
 *
 *     cress_json_begin(&json, env, 64 << 10);
 *     cress_json_object(&json);
 *     cress_json_key(&json, "items");
 *     cress_json_array(&json);
 *     for (size_t i = 0; i < count; i++)
 *         cress_json_string(&json, items[i].name);
 *     cress_json_end(&json);
 *     cress_json_end(&json);
 *     return cress_json_respond(&json, res, 200);
 *
 * What comes out is well-formed, or nothing does: the first thing that goes wrong is kept, what
 * follows is passed over, and the last call says it. Text must be UTF-8 (set
 * `replaces_malformed` to have U+FFFD in place of what is not); names are not compared.
 *
 * To read JSON, or to change it, take a library: apps/todo.c shows one.
 */
#ifndef CRESS_JSON_H
#define CRESS_JSON_H

#include <cress/response.h>

enum { CRESS_JSON_DEPTH = 64 };

/* On the stack; needs no finish. Members but the first are the library's. */
typedef struct cress_json {
    bool replaces_malformed; /* set it behind begin */
    bool wants_value;        /* a name was written */
    bool has_value;          /* in the innermost object or array, or at the top */
    uint8_t depth;
    int error;
    uint64_t objects; /* bit by depth: an object, not an array */
    cress_environ *env;
    cress_response *res; /* NULL: in memory */
    char *data;
    size_t len, size, limit;
} cress_json;

/* Into the request's memory, at most limit bytes. */
CRESS_API void cress_json_begin(cress_json *json, cress_environ *env, size_t limit);
/* Into the response, which was started before, in pieces of some KiB: for what is too large to keep.
 * All functions below [wait] then, as cress_response_write does. */
CRESS_API void cress_json_begin_response(cress_json *json, cress_environ *env, cress_response *res);

CRESS_API void cress_json_object(cress_json *json);
CRESS_API void cress_json_array(cress_json *json);
/* Ends the innermost of them. */
CRESS_API void cress_json_end(cress_json *json);
/* A member's name; its value is what is written next. */
CRESS_API void cress_json_key(cress_json *json, const char *name);

/* An absent string is null. */
CRESS_API void cress_json_string(cress_json *json, cress_str text);
CRESS_API void cress_json_text(cress_json *json, const char *text);
CRESS_API void cress_json_int(cress_json *json, int64_t value);
CRESS_API void cress_json_uint(cress_json *json, uint64_t value);
/* The shortest decimal that is read back as the same double. Not a number and the
 * infinities have none: EDOM. */
CRESS_API void cress_json_double(cress_json *json, double value);
CRESS_API void cress_json_bool(cress_json *json, bool value);
CRESS_API void cress_json_null(cress_json *json);
/* A value that is JSON already; it is not looked at. Nothing at all is null. */
CRESS_API void cress_json_raw(cress_json *json, cress_str value);

/* The text, in the request's memory (absent when it went to the response). -1: EINVAL (the calls
 * do not make one value: something is not ended, a name lacks its value, a value its
 * name), EMSGSIZE (beyond the limit, or deeper than CRESS_JSON_DEPTH), EILSEQ (not UTF-8), EDOM,
 * ENOMEM, or what cress_response_write said. */
CRESS_API int cress_json_finish(cress_json *json, cress_str *ret_text);
/* The same, then cress_respond with application/json. -1: errors of both, nothing was sent. */
CRESS_API int cress_json_respond(cress_json *json, cress_response *res, int status);

#endif
