/* What a request's head means: how its body is framed, what the connection is to do, and whether it
 * is one that we serve. Refused is what RFC 9112 says must be, and what two servers
 * may read in two ways: two hosts, two framings, a coding that is not ours.
 */
#define _GNU_SOURCE /* memrchr */
#include "request.h"

#include "chunked.h"
#include "host.h"
#include "parser.h"
#include "target.h"
#include "text.h"

static int bad(struct http_exchange *x, const char *why)
{
    return exchange_refuse(x, 400, why);
}

/* ---- the method -------------------------------------------------------------------------- */

/* Everything in IANA's registry of methods that is in use, and what their neighbours UPnP and
 * caches use; not RTSP's, ICE's, CONNECT, or TRACE, whose answer would show the
 * request's credentials to whom the browser keeps them from. */
static const cress_str served_methods[] = {
    CRESS_STR("HEAD"),       CRESS_STR("POST"),        CRESS_STR("PUT"),
    CRESS_STR("DELETE"),     CRESS_STR("OPTIONS"),     CRESS_STR("PATCH"),
    CRESS_STR("PROPFIND"),   CRESS_STR("PROPPATCH"),   CRESS_STR("MKCOL"),
    CRESS_STR("COPY"),       CRESS_STR("MOVE"),        CRESS_STR("LOCK"),
    CRESS_STR("UNLOCK"),     CRESS_STR("SEARCH"),      CRESS_STR("BIND"),
    CRESS_STR("REBIND"),     CRESS_STR("UNBIND"),      CRESS_STR("ACL"),
    CRESS_STR("REPORT"),     CRESS_STR("MKACTIVITY"),  CRESS_STR("CHECKOUT"),
    CRESS_STR("MERGE"),      CRESS_STR("M-SEARCH"),    CRESS_STR("NOTIFY"),
    CRESS_STR("SUBSCRIBE"),  CRESS_STR("UNSUBSCRIBE"), CRESS_STR("PURGE"),
    CRESS_STR("MKCALENDAR"), CRESS_STR("LINK"),        CRESS_STR("UNLINK"),
};

static bool is_served(cress_str method)
{
    for (size_t i = 0; i < sizeof served_methods / sizeof served_methods[0]; i++)
        if (cress_str_equal(method, served_methods[i].data))
            return true;
    return false;
}

/* RFC 9110 9.3.6: a target that CONNECT cannot have is wrong before the method is. */
static int refuse_method(struct http_exchange *x, cress_str method)
{
    cress_str target = { x->in + x->start + x->target, x->target_len };
    const char *colon = memrchr(target.data, ':', target.len);
    bool has_port = colon && text_is(colon[1], TEXT_DIGIT);

    if (cress_str_equal(method, "CONNECT") && !(has_port && host_is_valid(target)))
        return bad(x, "a target that is not a host and a port");
    return exchange_refuse(x, 501, "a method that is not served");
}

int request_take_method(struct http_exchange *x, cress_str method)
{
    if (cress_str_equal(method, "GET"))
        return 0;
    x->env.is_head = cress_str_equal(method, "HEAD");
    x->env.is_options = cress_str_equal(method, "OPTIONS");
    return is_served(method) ? 0 : refuse_method(x, method);
}

static void finish_request_line(struct http_exchange *x)
{
    cress_environ *env = &x->env;
    char *base = x->in + x->start, *target = base + x->target;
    size_t len = x->target_len;

    x->head = base;
    env->method = (cress_str){ base, (size_t)(target - base) - 1 };
    env->target = (cress_str){ target, len };
    env->query = CRESS_STR("");
    target[-1] = target[len] = '\0';
}

/* ---- the fields that concern us ------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Whether an empty one will do is for the target to say. */
static int take_host(struct http_exchange *x, cress_str value)
{
    if (x->env.host.data)
        return bad(x, "a second Host");
    if (value.len > 0 && !host_is_valid_again(value))
        return bad(x, "a malformed Host");
    x->env.host = value;
    return 0;
}

static int take_content_length(struct http_exchange *x, cress_str value)
{
    if (x->input.kind != BODY_NONE)
        return bad(x, "a second framing of the body");
    if (!text_parse_u64(value, &x->input.left))
        return bad(x, "a malformed Content-Length");
    x->input.kind = BODY_COUNTED;
    return 0;
}

/* RFC 9112 6.1: codings that we do not have, and then chunked, once. */
static bool is_chunked_at_last(cress_str value)
{
    enum { LEN = sizeof "chunked" - 1 };
    const char *comma = memrchr(value.data, ',', value.len);
    const char *end = value.data + value.len;

    if (!comma || comma == value.data)
        return false;
    const char *last = comma + 1;
    while (last < end && is_blank(*last))
        last++;
    return end - last == LEN && strcasestr(value.data, "chunked") == last;
}

static int take_transfer_encoding(struct http_exchange *x, cress_str value)
{
    if (x->input.kind != BODY_NONE)
        return bad(x, "a second framing of the body");
    if (x->env.minor == 0)
        return bad(x, "Transfer-Encoding on HTTP/1.0");
    if (!cress_str_equal_nocase(value, "chunked"))
        return is_chunked_at_last(value) ? exchange_refuse(x, 501, "an unknown transfer coding")
                                         : bad(x, "a transfer coding that is not chunked");
    chunked_begin(x);
    return 0;
}

static int take_expect(struct http_exchange *x, cress_str value)
{
    if (x->env.minor == 0)
        return 0;
    if (!cress_str_equal_nocase(value, "100-continue"))
        return exchange_refuse(x, 417, "an unknown expectation");
    x->input.expects_continue = true;
    return 0;
}

static void take_option(cress_environ *env, cress_str option)
{
    if (cress_str_equal_nocase(option, "close"))
        env->asks_to_close = true;
    else if (cress_str_equal_nocase(option, "keep-alive"))
        env->asks_to_go_on = true;
}

/* RFC 9110 7.6.1. */
static int take_connection(struct http_exchange *x, cress_str value)
{
    const char *at = value.data, *end = at + value.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *behind = comma ? comma : end;
        while (at < behind && is_blank(*at))
            at++;
        const char *last = behind;
        while (last > at && is_blank(last[-1]))
            last--;
        take_option(&x->env, (cress_str){ at, (size_t)(last - at) });
        at = behind + 1;
    }
    return 0;
}

/* RFC 9110 8.3: of two, servers take the first, the last, or both. */
static int take_content_type(struct http_exchange *x)
{
    if (x->env.has_content_type)
        return bad(x, "a second Content-Type");
    x->env.has_content_type = true;
    return 0;
}

/* The fields that concern us. */
static int take_field(struct http_exchange *x, const char *name, size_t len, cress_str value)
{
    if (len == 4)
        return text_matches(name, "host", 4) ? take_host(x, value) : 0;
    switch (len) {
    case 6:
        return text_matches(name, "expect", 6) ? take_expect(x, value) : 0;
    case 10:
        return text_matches(name, "connection", 10) ? take_connection(x, value) : 0;
    case 12:
        return text_matches(name, "content-type", 12) ? take_content_type(x) : 0;
    case 14:
        return text_matches(name, "content-length", 14) ? take_content_length(x, value) : 0;
    case 17:
        return text_matches(name, "transfer-encoding", 17) ? take_transfer_encoding(x, value) : 0;
    default:
        return 0;
    }
}

/* Most are told by their length. */
static inline bool may_concern(size_t name_len)
{
    enum { LENGTHS = 1 << 4 | 1 << 6 | 1 << 10 | 1 << 12 | 1 << 14 | 1 << 17 };

    return (uint32_t)LENGTHS >> (name_len & 31) & 1;
}

static int finish_fields(struct http_exchange *x)
{
    const struct http_field *field = x->env.fields, *end = field + x->env.field_count;
    const char *head = x->head;

    for (; field < end; field++) {
        if (!may_concern(field->name_len))
            continue;
        cress_str value = { head + field->value, field->value_len };
        int status = take_field(x, head + field->name, field->name_len, value);
        if (status)
            return status;
    }
    return x->env.minor == 1 && !x->env.host.data ? bad(x, "no Host") : 0;
}

static int finish_body_framing(struct http_exchange *x)
{
    struct http_input *input = &x->input;

    if (input->kind == BODY_COUNTED && input->left > config_body(x->http->config))
        return exchange_refuse(x, 413, "a body too large");
    if (input->kind == BODY_COUNTED && input->left == 0)
        input->kind = BODY_NONE;
    if (input->kind == BODY_NONE) {
        input->ended = true;
        input->expects_continue = false;
    }
    return 0;
}

static void finish_connection(cress_environ *env)
{
    env->closes = env->asks_to_close || (env->minor == 0 && !env->asks_to_go_on);
}

/* ---- the whole -------------------------------------------------------------------------------- */

int request_finish(struct http_exchange *x)
{
    x->body = x->pos;
    exchange_lend_room(x);
    finish_request_line(x);
    int status = finish_fields(x);
    if (status == 0)
        status = target_finish(x);
    if (status == 0)
        status = finish_body_framing(x);
    if (status)
        return status;
    finish_connection(&x->env);
    return PARSE_DONE;
}
