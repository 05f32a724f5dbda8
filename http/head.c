/* A response's head is formatted once. Until then the app's fields wait in the request's
 * memory, already as lines; what the server adds goes before them. Trailer fields wait
 * likewise for the end of the body.
 */
#include "head.h"

#include "chunked.h"
#include "fail.h"
#include "fields.h"
#include "hook.h"
#include "text.h"

/* ---- the app's fields ------------------------------------------------------------------- */

/* What a field is to us. */
enum field_kind {
    FIELD_NONE, /* malformed, or the server's own */
    FIELD_LENGTH,
    FIELD_DATE,
    FIELD_SERVER,
    FIELD_UPGRADE,
    FIELD_OTHER,
};

static enum field_kind kind_if(bool is_it, enum field_kind kind)
{
    return is_it ? kind : FIELD_OTHER;
}

#define IS(name, lower) text_matches((name).data, lower, sizeof(lower) - 1)

static enum field_kind kind_of_name(cress_str name)
{
    switch (name.len) {
    case 4:
        return kind_if(IS(name, "date"), FIELD_DATE);
    case 6:
        return kind_if(IS(name, "server"), FIELD_SERVER);
    case 7:
        return kind_if(IS(name, "upgrade"), FIELD_UPGRADE);
    case 10:
        return kind_if(IS(name, "connection") || IS(name, "keep-alive"), FIELD_NONE);
    case 14:
        return kind_if(IS(name, "content-length"), FIELD_LENGTH);
    case 17:
        return kind_if(IS(name, "transfer-encoding"), FIELD_NONE);
    default:
        return FIELD_OTHER;
    }
}

/* Of a sound name and value: each is measured and looked at in one go. */
static HOT enum field_kind kind_of(const char *name, const char *value, cress_str *ret_name,
                                   cress_str *ret_value)
{
    *ret_name = (cress_str){ name, text_token_len(name) };
    *ret_value = (cress_str){ value, text_value_len(value) };
    if (ret_name->len == TEXT_UNFIT || ret_value->len == TEXT_UNFIT)
        return FIELD_NONE;
    return kind_of_name(*ret_name);
}

bool head_is_field(const char *name, const char *value)
{
    cress_str ret_name, ret_value;

    return kind_of(name, value, &ret_name, &ret_value) != FIELD_NONE;
}

static int move_fields(cress_response *res, size_t capacity)
{
    char *fields = arena_alloc_text(&exchange_of_response(res)->arena, capacity);

    if (!fields)
        return -1;
    res->fields = memcpy(fields, res->fields ? res->fields : "", res->fields_len);
    res->fields_capacity = (uint32_t)capacity;
    return 0;
}

static __attribute__((noinline)) int grow_fields(cress_response *res, size_t wanted)
{
    struct arena *arena = &exchange_of_response(res)->arena;
    size_t half_more = wanted + wanted / 2;
    size_t capacity = half_more < HEAD_MAX_FIELDS ? half_more : HEAD_MAX_FIELDS;

    if (wanted > HEAD_MAX_FIELDS)
        return fail_with(E2BIG);
    if (!res->fields)
        return move_fields(res, wanted);
    if (!arena_extend_text(arena, res->fields, res->fields_capacity, capacity))
        return move_fields(res, capacity);
    res->fields_capacity = (uint32_t)capacity;
    return 0;
}

static inline int reserve_fields(cress_response *res, size_t more)
{
    size_t wanted = res->fields_len + more;

    return wanted <= res->fields_capacity ? 0 : grow_fields(res, wanted);
}

int head_add_lines(cress_response *res, cress_str lines)
{
    if (lines.len == 0)
        return 0;
    if (reserve_fields(res, lines.len) < 0)
        return -1;
    memcpy(res->fields + res->fields_len, lines.data, lines.len);
    res->fields_len += (uint32_t)lines.len;
    return 0;
}

char *head_put_field(char *to, cress_str name, cress_str value)
{
    to = text_put_short(to, name.data, name.len);
    to = TEXT_PUT(to, ": ");
    to = text_put_short(to, value.data, value.len);
    return TEXT_PUT(to, "\r\n");
}

/* The Content-Length is ours to print: it may be dropped, and says when to stop. */
static int set_length(cress_response *res, cress_str value)
{
    uint64_t length;

    if (!text_parse_u64(value, &length) || (res->has_length && length != res->length))
        return fail_with(EINVAL);
    res->length = length;
    res->has_length = true;
    return 0;
}

static void note_kind(cress_response *res, enum field_kind kind)
{
    if (kind == FIELD_DATE)
        res->has_date = true;
    else if (kind == FIELD_SERVER)
        res->has_server = true;
    else if (kind == FIELD_UPGRADE)
        res->has_upgrade = true;
}

int head_add_field(cress_response *res, const char *name_text, const char *value_text)
{
    if (!value_text)
        return fail_with(EINVAL);

    cress_str name, value;
    enum field_kind kind = kind_of(name_text, value_text, &name, &value);

    if (kind == FIELD_NONE)
        return fail_with(EINVAL);
    if (kind == FIELD_LENGTH)
        return set_length(res, value);
    if (reserve_fields(res, name.len + value.len + sizeof ": \r\n") < 0)
        return -1;
    if (kind != FIELD_OTHER)
        note_kind(res, kind);
    const char *end = head_put_field(res->fields + res->fields_len, name, value);
    res->fields_len = (uint32_t)(end - res->fields);
    return 0;
}

int head_check_startable(const cress_response *res, int status)
{
    if (res->begun || res->committed)
        return fail_with(EALREADY);
    if (status < 200 || status > 599)
        return fail_with(EINVAL);
    return 0;
}

void head_restart(cress_response *res, int status)
{
    res->status = (uint16_t)status;
    res->fields_len = 0;
    res->trailers_len = 0;
    res->has_length = res->has_date = res->has_server = res->has_upgrade = res->whole = false;
}

int cress_start_response(cress_response *res, int status, const cress_header headers[])
{
    if (head_check_startable(res, status) < 0)
        return -1;
    head_restart(res, status);
    for (const cress_header *header = headers; header && header->name; header++)
        if (head_add_field(res, header->name, header->value) < 0) {
            int error = errno;
            head_restart(res, 0);
            return fail_with(error);
        }
    return 0;
}

int cress_response_add_header(cress_response *res, const char *name, const char *value)
{
    if (res->status == 0)
        return fields_wait(res, head_add_field, name, value);
    if (res->committed || (res->begun && !hooks_are_running(res)))
        return fail_with(EALREADY);
    return head_add_field(res, name, value);
}

/* ---- behind the body ----------------------------------------------------------------------- */

static int reserve_trailers(cress_response *res, size_t more)
{
    size_t wanted = res->trailers_len + more;

    if (wanted > HEAD_MAX_FIELDS)
        return fail_with(E2BIG);
    if (wanted <= res->trailers_capacity)
        return 0;
    char *trailers = arena_alloc_text(&exchange_of_response(res)->arena, wanted * 2);
    if (!trailers)
        return -1;
    memcpy(trailers, res->trailers ? res->trailers : "", res->trailers_len);
    res->trailers = trailers;
    res->trailers_capacity = (uint32_t)(wanted * 2);
    return 0;
}

int cress_response_add_trailer(cress_response *res, const char *name_text, const char *value_text)
{
    if (res->status == 0 || res->complete || !value_text)
        return fail_with(EINVAL);

    cress_str name = { name_text, text_token_len(name_text) };
    cress_str value = { value_text, text_value_len(value_text) };

    if (name.len == TEXT_UNFIT || value.len == TEXT_UNFIT || chunked_is_no_trailer(name))
        return fail_with(EINVAL);
    if (reserve_trailers(res, name.len + value.len + sizeof ": \r\n") < 0)
        return -1;
    const char *end = head_put_field(res->trailers + res->trailers_len, name, value);
    res->trailers_len = (uint32_t)(end - res->trailers);
    return 0;
}
