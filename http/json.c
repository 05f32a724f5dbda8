/* Commas, colons and nesting follow from the order of the calls: of the objects and arrays
 * that are open one bit each is kept, and of the innermost one whether there is something in
 * it already (what encloses it has at least this one). */
#include <cress/json.h>

#include "exchange.h"
#include "text.h"
#include "utf8.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST = 256, PIECE = 4000 };

static void fail(cress_json *json, int error)
{
    if (!json->error)
        json->error = error;
}

void cress_json_begin(cress_json *json, cress_environ *env, size_t limit)
{
    *json = (cress_json){ .env = env, .limit = limit };
}

void cress_json_begin_response(cress_json *json, cress_environ *env, cress_response *res)
{
    *json = (cress_json){ .env = env, .res = res, .limit = SIZE_MAX };
}

/* ---- bytes ---------------------------------------------------------------------------- */

static bool resize(cress_json *json, size_t size)
{
    char *data = arena_alloc_text(&exchange_of_env(json->env)->arena, size + 1);

    if (!data) {
        fail(json, ENOMEM);
        return false;
    }
    memcpy(data, json->len ? json->data : "", json->len);
    json->data = data;
    json->size = size;
    return true;
}

static void drain(cress_json *json)
{
    if (json->error || json->len == 0)
        return;
    if (cress_response_write(json->res, json->data, json->len) < 0)
        fail(json, errno);
    json->len = 0;
}

/* Room for some of len bytes, at least one; 0: there is an error. */
static size_t make_room(cress_json *json, size_t len)
{
    if (json->res) {
        if (json->len == json->size && json->size > 0)
            drain(json);
        if (!json->data && !resize(json, PIECE))
            return 0;
        return json->error ? 0 : json->size - json->len;
    }
    if (len > json->limit - json->len) {
        fail(json, EMSGSIZE);
        return 0;
    }
    if (json->size - json->len >= len)
        return len;
    size_t wanted = json->size * 2 > json->len + len ? json->size * 2 : json->len + len;
    return resize(json, wanted < FIRST ? FIRST : wanted) ? len : 0;
}

static void put(cress_json *json, const char *data, size_t len)
{
    while (len > 0 && !json->error) {
        size_t room = make_room(json, len), some = room < len ? room : len;
        if (some == 0)
            return;
        memcpy(json->data + json->len, data, some);
        json->len += some;
        data += some;
        len -= some;
    }
}

/* ---- strings ------------------------------------------------------------------------------ */

static void put_control(cress_json *json, char c)
{
    static const char names[] = "btn\0fr"; /* 8 to 13 */
    char text[6] = { '\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 15] };

    if (c >= 8 && c <= 13 && names[c - 8]) {
        text[1] = names[c - 8];
        put(json, text, 2);
    } else {
        put(json, text, sizeof text);
    }
}

/* Bytes that stand for themselves: ASCII but for controls, the quote and the backslash. */
static size_t plain_bytes(const char *at, size_t len)
{
    size_t i = 0;

    while (i < len && at[i] >= ' ' && (unsigned char)at[i] < 0x80 && at[i] != '"' && at[i] != '\\')
        i++;
    return i;
}

/* How many bytes of the text were dealt with. */
static size_t put_special(cress_json *json, const char *at, size_t len)
{
    if (*at == '"' || *at == '\\') {
        put(json, (char[]){ '\\', *at }, 2);
        return 1;
    }
    if (!((unsigned char)*at & 0x80)) {
        put_control(json, *at);
        return 1;
    }
    size_t size = utf8_char(at, len);
    if (size > 0) {
        put(json, at, size);
    } else if (json->replaces_malformed) {
        put(json, "\xef\xbf\xbd", 3);
    } else {
        fail(json, EILSEQ);
    }
    return size ? size : 1;
}

static void put_string(cress_json *json, const char *at, size_t len)
{
    put(json, "\"", 1);
    while (len > 0 && !json->error) {
        size_t some = plain_bytes(at, len);
        put(json, at, some);
        if (some < len)
            some += put_special(json, at + some, len - some);
        at += some;
        len -= some;
    }
    put(json, "\"", 1);
}

/* ---- structure ------------------------------------------------------------------------------ */

static bool in_object(const cress_json *json)
{
    return json->depth > 0 && json->objects >> (json->depth - 1) & 1;
}

/* Before each value. */
static bool begin_value(cress_json *json)
{
    if (json->error)
        return false;
    if (json->wants_value) {
        json->wants_value = false;
        return true;
    }
    if (in_object(json) || (json->depth == 0 && json->has_value)) {
        fail(json, EINVAL);
        return false;
    }
    if (json->has_value)
        put(json, ",", 1);
    json->has_value = true;
    return true;
}

static void open_nested(cress_json *json, bool is_object)
{
    if (!begin_value(json))
        return;
    if (json->depth == CRESS_JSON_DEPTH) {
        fail(json, EMSGSIZE);
        return;
    }
    uint64_t bit = (uint64_t)1 << json->depth++;
    json->objects = is_object ? json->objects | bit : json->objects & ~bit;
    json->has_value = false;
    put(json, is_object ? "{" : "[", 1);
}

void cress_json_object(cress_json *json)
{
    open_nested(json, true);
}

void cress_json_array(cress_json *json)
{
    open_nested(json, false);
}

void cress_json_end(cress_json *json)
{
    if (json->depth == 0 || json->wants_value) {
        fail(json, EINVAL);
        return;
    }
    put(json, in_object(json) ? "}" : "]", 1);
    json->depth--;
    json->has_value = true;
}

void cress_json_key(cress_json *json, const char *name)
{
    if (!in_object(json) || json->wants_value) {
        fail(json, EINVAL);
        return;
    }
    if (json->has_value)
        put(json, ",", 1);
    json->has_value = json->wants_value = true;
    put_string(json, name, strlen(name));
    put(json, ":", 1);
}

/* ---- values ------------------------------------------------------------------------------------ */

void cress_json_raw(cress_json *json, cress_str value)
{
    if (value.len == 0)
        value = CRESS_STR("null");
    if (begin_value(json))
        put(json, value.data, value.len);
}

void cress_json_null(cress_json *json)
{
    cress_json_raw(json, CRESS_STR(""));
}

void cress_json_bool(cress_json *json, bool value)
{
    cress_json_raw(json, value ? CRESS_STR("true") : CRESS_STR("false"));
}

void cress_json_string(cress_json *json, cress_str text)
{
    if (!text.data)
        cress_json_null(json);
    else if (begin_value(json))
        put_string(json, text.data, text.len);
}

void cress_json_text(cress_json *json, const char *text)
{
    cress_json_string(json, (cress_str){ text, text ? strlen(text) : 0 });
}

static void put_number(cress_json *json, bool is_negative, uint64_t size)
{
    char text[24], *to = text;

    if (is_negative)
        *to++ = '-';
    to = text_put_u64(to, size);
    cress_json_raw(json, (cress_str){ text, (size_t)(to - text) });
}

void cress_json_int(cress_json *json, int64_t value)
{
    put_number(json, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void cress_json_uint(cress_json *json, uint64_t value)
{
    put_number(json, false, value);
}

/* printf takes the decimal point from the locale; it may be more than one byte. */
static void set_point(char *text)
{
    char *to = text;

    for (; *text; text++)
        if (text_is(*text, TEXT_DIGIT) || strchr("+-e", *text))
            *to++ = *text;
        else if (to[-1] != '.')
            *to++ = '.';
    *to = '\0';
}

void cress_json_double(cress_json *json, double value)
{
    char text[40];

    if (!isfinite(value)) {
        fail(json, EDOM);
        return;
    }
    /* What has at most 15 digits comes back as it was, but for numbers below the normal ones. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    set_point(text);
    cress_json_raw(json, (cress_str){ text, strlen(text) });
}

/* ---- the end ------------------------------------------------------------------------------------ */

int cress_json_finish(cress_json *json, cress_str *ret_text)
{
    if (json->depth > 0 || !json->has_value)
        fail(json, EINVAL);
    if (json->res)
        drain(json);
    if (json->error) {
        errno = json->error;
        return -1;
    }
    *ret_text = (cress_str){ NULL, 0 };
    if (!json->res) {
        json->data[json->len] = '\0';
        *ret_text = (cress_str){ json->data, json->len };
    }
    return 0;
}

int cress_json_respond(cress_json *json, cress_response *res, int status)
{
    cress_str text;

    if (cress_json_finish(json, &text) < 0)
        return -1;
    return cress_respond(res, status, "application/json", text.data, text.len);
}
