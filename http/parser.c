/* Which requests are sound? (Their chunked bodies: chunked.c.)
 *
 * llhttp, compiled strict, finds the parts of a message and refuses most of what is
 * malformed. It lets through a few things that another server on the way may read
 * differently, or that we do not serve; these are refused here:
 *
 *   - as soon as their bytes arrive (check_lines): a line that does not end in CRLF,
 *     a folded field line, an empty field name, and everything beyond a limit;
 *   - once the head is whole (finish_head): a request line that is not exactly
 *     "method SP target SP HTTP/1.x", methods and versions that are not ours, targets
 *     that do not fit their method, a missing, repeated or malformed Host, and every
 *     framing of the body but one Content-Length or the one word "chunked".
 *
 * Each refusal says why, for the log.
 *
 * What is refused, and how, must not depend on how the bytes were cut into packets:
 * of two reasons the one at the smaller offset wins, so check_lines looks exactly as
 * far as llhttp came.
 *
 * llhttp sees each byte of a head once. It is stopped after the head; bodies are none
 * of its business.
 */
#define _GNU_SOURCE /* memrchr */
#include "parser.h"

#include "query.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>

enum { BAD_REQUEST = 400 };

#define METHOD(name) (UINT64_C(1) << HTTP_##name)

/* Everything in IANA's registry of methods that llhttp knows, and what its neighbours
 * UPnP and caches use; not RTSP's, ICE's, CONNECT, or TRACE, whose answer would show the
 * request's credentials to whom the browser keeps them from. */
static const uint64_t served_methods =
    METHOD(DELETE) | METHOD(GET) | METHOD(HEAD) | METHOD(POST) | METHOD(PUT) | METHOD(OPTIONS) |
    METHOD(COPY) | METHOD(LOCK) | METHOD(MKCOL) | METHOD(MOVE) | METHOD(PROPFIND) |
    METHOD(PROPPATCH) | METHOD(SEARCH) | METHOD(UNLOCK) | METHOD(BIND) | METHOD(REBIND) |
    METHOD(UNBIND) | METHOD(ACL) | METHOD(REPORT) | METHOD(MKACTIVITY) | METHOD(CHECKOUT) |
    METHOD(MERGE) | METHOD(MSEARCH) | METHOD(NOTIFY) | METHOD(SUBSCRIBE) | METHOD(UNSUBSCRIBE) |
    METHOD(PATCH) | METHOD(PURGE) | METHOD(MKCALENDAR) | METHOD(LINK) | METHOD(UNLINK);

static bool is_served(uint8_t method)
{
    return served_methods >> method & 1;
}

/* The status, and what the log says. */
static int refuse(struct http_exchange *x, int status, const char *why)
{
    exchange_note_refusal(x, why);
    return status;
}

static int bad(struct http_exchange *x, const char *why)
{
    return refuse(x, BAD_REQUEST, why);
}

static struct http_exchange *exchange_of_parser(llhttp_t *parser)
{
    return EXCHANGE_OF(parser, parser);
}

/* ---- llhttp's callbacks -------------------------------------------------------------- */

static uint32_t offset_of(const struct http_exchange *x, const char *at)
{
    return (uint32_t)(at - (x->in + x->start));
}

/* While the head is incomplete the target's length is all that is known of it; it
 * stands in env.target, its offset in env.query.len. */
static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http_exchange *x = exchange_of_parser(parser);

    if (x->env.target.len == 0)
        x->env.query.len = offset_of(x, at);
    x->env.target.len += len;
    return 0;
}

static int grow_fields(struct http_exchange *x)
{
    cress_environ *env = &x->env;
    uint32_t capacity = env->field_capacity * 2;
    struct http_field *fields = arena_alloc(&x->arena, capacity * sizeof *fields);

    if (!fields)
        return -1;
    memcpy(fields, env->fields, env->field_count * sizeof *fields);
    env->fields = fields;
    env->field_capacity = capacity;
    return 0;
}

/* A name that begins where the last one ended goes on with it. More fields than
 * allowed are counted as lines and need no place. All values are alike to llhttp: what
 * concerns us is read in finish_fields, and llhttp takes a tab behind a Content-Length
 * (RFC 9112 5.1) for a part of it. */
static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_exchange *x = exchange_of_parser(parser);
    cress_environ *env = &x->env;
    uint32_t offset = offset_of(x, at);

    parser->header_state = 0;
    if (env->field_count > 0) {
        struct http_field *last = &env->fields[env->field_count - 1];
        if (offset == last->name + last->name_len) {
            last->name_len += (uint32_t)len;
            return 0;
        }
    }
    if (env->field_count > config_fields(x->http->config))
        return 0;
    if (env->field_count == env->field_capacity && grow_fields(x) < 0)
        return HPE_USER;
    env->fields[env->field_count++] = (struct http_field){
        .name = offset,
        .name_len = (uint32_t)len,
    };
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_exchange *x = exchange_of_parser(parser);
    struct http_field *last = &x->env.fields[x->env.field_count - 1];

    if (last->value == 0)
        last->value = offset_of(x, at);
    last->value_len += (uint32_t)len;
    return 0;
}

static int pause_parser(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t head_settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = pause_parser,
};

/* ---- lines, as far as llhttp came ------------------------------------------------------ */

/* Could anything between the head's begin and `end` be beyond a limit? */
static bool may_exceed(const cress_http1_config *config, size_t end)
{
    return end > config_request_line(config) || end > config_field_size(config) ||
           end > config_head(config);
}

/* A line of len bytes without its line end, which goes as far as `end`. */
static int check_limits(struct http_exchange *x, size_t len, size_t end)
{
    const cress_http1_config *config = x->http->config;

    if (x->lines == 0)
        return len > config_request_line(config) ? refuse(x, 414, "a request line too long") : 0;
    if (len > config_field_size(config))
        return refuse(x, 431, "a field too large");
    return end - x->line_len > config_head(config) ? refuse(x, 431, "fields too large") : 0;
}

/* The line from x->line to `end`, which is whole or will be longer. */
static inline int check_line(struct http_exchange *x, const char *end, bool may_be_long)
{
    const char *base = x->in + x->start, *line = base + x->line;

    if (line == end)
        return 0;
    if (x->lines > 0 && (*line == ' ' || *line == '\t' || *line == ':'))
        return bad(x, *line == ':' ? "a field without a name" : "a folded line");
    if (!may_be_long)
        return 0;
    return check_limits(x, (size_t)(end - line) - (end[-1] == '\r'), (size_t)(end - base));
}

static bool is_version(const char *at)
{
    return memcmp(at, " HTTP/", 6) == 0 && text_is(at[6], TEXT_DIGIT) && at[7] == '.' &&
           text_is(at[8], TEXT_DIGIT);
}

static bool is_ours(const char *version)
{
    return version[6] == '1' && (version[8] == '0' || version[8] == '1');
}

/* llhttp would wait for the rest of HTTP/2's preface (RFC 9113 3.4), whatever the version is. */
static int refuse_preface(struct http_exchange *x, const char *lf)
{
    enum { VERSION_LEN = sizeof " HTTP/2.0\r" - 1 };
    const char *version = lf - VERSION_LEN;

    if (x->line_len >= VERSION_LEN && is_version(version) && !is_ours(version))
        return refuse(x, 505, "HTTP/2");
    return refuse(x, 501, "a method that is not served");
}

/* A line that ends at lf. */
static inline int end_line(struct http_exchange *x, const char *lf)
{
    const char *line = x->in + x->start + x->line;
    size_t len = (size_t)(lf - line);

    if (len == 0 || lf[-1] != '\r')
        return bad(x, "a bare line feed");
    if (x->lines++ == 0) {
        x->line_len = len - 1;
        if (x->parser.method == HTTP_PRI)
            return refuse_preface(x, lf);
    } else if (len > 1 && x->lines - 1 > config_fields(x->http->config)) {
        return refuse(x, 431, "too many fields");
    }
    x->line += len + 1;
    return 0;
}

/* Of what lies between x->pos and `until`. */
static int check_lines(struct http_exchange *x, size_t until)
{
    const char *at = x->in + x->pos, *end = x->in + until, *lf;
    bool may_be_long = may_exceed(x->http->config, until - x->start);

    for (; at < end && (lf = memchr(at, '\n', (size_t)(end - at))); at = lf + 1) {
        int status = check_line(x, lf, may_be_long);
        if (status == 0)
            status = end_line(x, lf);
        if (status)
            return status;
    }
    return check_line(x, end, may_be_long);
}

/* ---- the whole head -------------------------------------------------------------------- */

/* RFC 9110 9.3.6: a target that CONNECT cannot have is wrong before the method is. */
static int refuse_method(struct http_exchange *x, cress_str target)
{
    const char *colon = memrchr(target.data, ':', target.len);
    bool has_port = colon && text_is(colon[1], TEXT_DIGIT);

    if (x->parser.method == HTTP_CONNECT && !(has_port && parser_is_host(target)))
        return bad(x, "a target that is not a host and a port");
    return refuse(x, 501, "a method that is not served");
}

/* Exactly "method SP target SP HTTP/1.x": the lengths add up. */
static int finish_request_line(struct http_exchange *x)
{
    enum { VERSION_LEN = sizeof " HTTP/1.x" - 1 };
    cress_environ *env = &x->env;
    char *base = x->in + x->start;
    size_t target = env->query.len, end = target + env->target.len;

    if (target < 2 || base[target - 1] != ' ' || base[target - 2] == ' ')
        return bad(x, "blanks in the request line");
    if (!is_served(x->parser.method))
        return refuse_method(x, (cress_str){ base + target, env->target.len });
    if (x->line_len != end + VERSION_LEN || !is_version(base + end))
        return bad(x, "a malformed request line");
    if (!is_ours(base + end))
        return refuse(x, 505, "another version");
    env->minor = base[end + 8] == '1';
    env->method_id = x->parser.method;
    base[target - 1] = base[end] = '\0';
    env->method = (cress_str){ base, target - 1 };
    env->target = (cress_str){ base + target, env->target.len };
    env->query = CRESS_STR("");
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static cress_str field_value(const struct http_exchange *x, const struct http_field *field)
{
    return (cress_str){ x->in + x->start + field->value, field->value_len };
}

/* Whether an empty one will do is for the target to say. */
static int take_host(struct http_exchange *x, cress_str value)
{
    if (x->env.host.data)
        return bad(x, "a second Host");
    if (value.len > 0 && !parser_is_host(value))
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
        return is_chunked_at_last(value) ? refuse(x, 501, "an unknown transfer coding")
                                         : bad(x, "a transfer coding that is not chunked");
    x->input.kind = BODY_CHUNKED;
    return 0;
}

static int take_expect(struct http_exchange *x, cress_str value)
{
    if (x->env.minor == 0)
        return 0;
    if (!cress_str_equal_nocase(value, "100-continue"))
        return refuse(x, 417, "an unknown expectation");
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

/* RFC 9110 7.6.1. Not llhttp's flags: they take Proxy-Connection for the same. */
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
    switch (len) {
    case 4:
        return text_matches(name, "host", 4) ? take_host(x, value) : 0;
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

/* Trims the values and turns names and values into C strings. */
static int finish_fields(struct http_exchange *x)
{
    char *base = x->in + x->start;
    int status = 0;

    for (uint32_t i = 0; i < x->env.field_count && status == 0; i++) {
        struct http_field *field = &x->env.fields[i];
        char *name = base + field->name, *value = base + field->value;
        while (field->value_len > 0 && is_blank(value[field->value_len - 1]))
            field->value_len--;
        if (field->value_len == 0) /* llhttp puts it anywhere */
            field->value = field->name + field->name_len;
        name[field->name_len] = '\0';
        base[field->value + field->value_len] = '\0';
        status = take_field(x, name, field->name_len, field_value(x, field));
    }
    if (status == 0 && x->env.minor == 1 && !x->env.host.data)
        return bad(x, "no Host");
    return status;
}

static int finish_body_framing(struct http_exchange *x)
{
    struct http_input *input = &x->input;

    if (input->kind == BODY_COUNTED && input->left > config_body(x->http->config))
        return refuse(x, 413, "a body too large");
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

/* ---- the target: RFC 9112 3.2 ------------------------------------------------------------ */

/* What no path has and some servers take for something else (RFC 3986 3.3), though
 * browsers send others of the kind, such as '|'. */
static bool is_stray(char c)
{
    return c == '\\' || c == '"' || c == '<' || c == '>';
}

/* Sets path and query from `at`, which ends with the target. A path that stands there
 * whole, up to the target's NUL, is not copied. */
static int split_path(struct http_exchange *x, const char *at, const char *end)
{
    cress_environ *env = &x->env;
    const char *mark = at;
    bool is_encoded = false;

    for (; mark < end && *mark != '?'; mark++) {
        if (*mark == '/' || text_is(*mark, TEXT_HOST))
            continue;
        is_encoded |= *mark == '%';
        if (is_stray(*mark))
            return bad(x, "a character that no path has");
    }
    if (mark < end)
        env->query = (cress_str){ mark + 1, (size_t)(end - mark) - 1 };
    env->path = (cress_str){ at, (size_t)(mark - at) };
    if (mark == end && !is_encoded)
        return 0;
    char *copy = arena_copy(&x->arena, at, env->path.len);
    if (!copy)
        return refuse(x, 500, "out of memory");
    ssize_t len = query_decode_path(copy, copy, env->path.len);
    if (len < 0)
        return bad(x, "a malformed escape in the path");
    copy[len] = '\0';
    env->path = (cress_str){ copy, (size_t)len };
    return 0;
}

static bool is_over_tls(const cress_http1 *http)
{
    const char *scheme = http->config->scheme;

    return (http->peer && http->peer->tls) || (scheme && strcmp(scheme, "https") == 0);
}

/* RFC 9112 3.2.2: the authority of the target is meant, whatever Host says. */
static int replace_host(struct http_exchange *x, cress_str authority)
{
    cress_environ *env = &x->env;

    if (!parser_is_host(authority))
        return bad(x, "a malformed authority");
    if (env->host.len == authority.len &&
        memcmp(env->host.data, authority.data, authority.len) == 0)
        return 0;
    const char *copy = arena_copy(&x->arena, authority.data, authority.len);
    if (!copy)
        return refuse(x, 500, "out of memory");
    env->host = (cress_str){ copy, authority.len };
    return 0;
}

/* A target without a path is all of the server to OPTIONS (RFC 9112 3.2.4), else its
 * root. */
static int split_absolute(struct http_exchange *x)
{
    cress_environ *env = &x->env;
    cress_str target = env->target;
    const char *end = target.data + target.len;
    bool is_tls = strncasecmp(target.data, "https://", 8) == 0;

    if (!is_tls && strncasecmp(target.data, "http://", 7) != 0)
        return bad(x, "a target that is neither a path nor a URI of HTTP");
    const char *authority = target.data + (is_tls ? 8 : 7);
    const char *path = authority + strcspn(authority, "/?");
    int status = replace_host(x, (cress_str){ authority, (size_t)(path - authority) });
    if (status)
        return status;
    if (is_tls && !is_over_tls(x->http)) /* RFC 9110 7.4 */
        return refuse(x, 421, "a target of https without TLS");
    status = split_path(x, path, end);
    if (status == 0 && env->path.len == 0)
        env->path = env->method_id == HTTP_OPTIONS && path == end ? CRESS_STR("*") : CRESS_STR("/");
    return status;
}

/* RFC 9110 4.2.1: without a host there is no URI. */
static int finish_relative(struct http_exchange *x)
{
    cress_str target = x->env.target;

    if (x->env.host.data && x->env.host.len == 0)
        return bad(x, "an empty Host");
    if (target.data[0] == '/')
        return split_path(x, target.data, target.data + target.len);
    x->env.path = target;
    return target.len == 1 && x->env.method_id == HTTP_OPTIONS ? 0 : bad(x, "a stray asterisk");
}

static int finish_target(struct http_exchange *x)
{
    cress_str target = x->env.target;

    if (memchr(target.data, '#', target.len))
        return bad(x, "a fragment in the target");
    if (target.data[0] == '/' || target.data[0] == '*')
        return finish_relative(x);
    return split_absolute(x);
}

static int finish_head(struct http_exchange *x)
{
    if (exchange_keep_room(x) < 0)
        return refuse(x, 500, "out of memory");
    int status = finish_request_line(x);
    x->body = x->pos;
    if (status == 0)
        status = finish_fields(x);
    if (status == 0)
        status = finish_target(x);
    if (status == 0)
        status = finish_body_framing(x);
    if (status == 0)
        finish_connection(&x->env);
    return status ? status : PARSE_DONE;
}

/* ---- hosts ------------------------------------------------------------------------------ */

static bool is_ipv6(const char *data, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (len >= sizeof text || memchr(data, '\0', len))
        return false;
    *text_put(text, data, len) = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_port(const char *data, size_t len)
{
    uint64_t port = 0;

    return len == 0 || (text_parse_u64((cress_str){ data, len }, &port) && port <= 65535);
}

/* The length of the name at the beginning; 0: there is none. */
static size_t scan_name(cress_str host)
{
    size_t len = 0;

    while (len < host.len) {
        if (text_is(host.data[len], TEXT_HOST))
            len++;
        else if (host.len - len >= 3 && host.data[len] == '%' &&
                 text_is(host.data[len + 1], TEXT_HEX) && text_is(host.data[len + 2], TEXT_HEX))
            len += 3;
        else
            break;
    }
    return len;
}

static bool is_host(cress_str host)
{
    const char *bracket = host.len && *host.data == '[' ? memchr(host.data, ']', host.len) : NULL;
    size_t len = bracket ? (size_t)(bracket + 1 - host.data) : scan_name(host);

    if (len == 0 || (bracket && !is_ipv6(host.data + 1, len - 2)))
        return false;
    if (len == host.len)
        return true;
    return host.data[len] == ':' && is_port(host.data + len + 1, host.len - len - 1);
}

/* Nearly all requests name the same host as the one before: it need not be looked at
 * again. */
bool parser_is_host(cress_str host)
{
    static _Thread_local struct {
        size_t len;
        char text[64];
    } last;

    if (host.len == last.len && host.len && memcmp(host.data, last.text, host.len) == 0)
        return true;
    if (!is_host(host))
        return false;
    if (host.len <= sizeof last.text) {
        last.len = host.len;
        memcpy(last.text, host.data, host.len);
    }
    return true;
}

/* ---- feeding ---------------------------------------------------------------------------- */

/* RFC 9112 2.2: one empty line before a request is passed over. */
static int skip_empty_line(struct http_exchange *x)
{
    const char *at = x->in + x->pos;
    size_t len = x->fill - x->pos;

    if (len == 0)
        return PARSE_MORE;
    if (*at == '\n' || (*at == '\r' && x->skipped_line))
        return bad(x, "empty lines before the request");
    if (*at != '\r')
        return PARSE_DONE;
    if (len == 1)
        return PARSE_MORE;
    if (at[1] != '\n')
        return bad(x, "a bare carriage return");
    x->skipped_line = true;
    x->pos += 2;
    x->start = x->pos;
    return skip_empty_line(x);
}

static int refuse_version(struct http_exchange *x, const char *at)
{
    const char *base = x->in + x->start;

    if (at - base >= 9 && is_version(at - 9) && !is_ours(at - 9))
        return refuse(x, 505, "another version");
    return bad(x, "a malformed version");
}

/* Why llhttp stopped. `at` is within what was received, or at its end. */
static int refusal(struct http_exchange *x, llhttp_errno_t error, const char *at)
{
    const char *base = x->in + x->start, *end = x->in + x->fill;
    const char *reason = llhttp_get_error_reason(&x->parser);

    if (error == HPE_INVALID_METHOD && at < end &&
        (text_is(*at, TEXT_TOKEN) || (*at == ' ' && at > base)))
        return refuse(x, 501, "an unknown method");
    if (error == HPE_INVALID_VERSION)
        return refuse_version(x, at);
    if (error == HPE_INVALID_CONSTANT && !is_served(x->parser.method))
        return refuse(x, 501, "another protocol's method"); /* with HTTP's version */
    if (error == HPE_USER)
        return refuse(x, 500, "out of memory");
    return bad(x, reason ? reason : "malformed");
}

int parser_head(struct http_exchange *x)
{
    if (!x->parsing) {
        int first = skip_empty_line(x);
        if (first != PARSE_DONE)
            return first;
        llhttp_init(&x->parser, HTTP_REQUEST, &head_settings);
        x->parsing = true;
    }
    llhttp_errno_t error = llhttp_execute(&x->parser, x->in + x->pos, x->fill - x->pos);
    const char *stop = error == HPE_OK ? x->in + x->fill : llhttp_get_error_pos(&x->parser);
    size_t until = (size_t)(stop - x->in);
    int status = check_lines(x, until);
    if (status)
        return status;
    x->pos = until;
    if (error == HPE_OK)
        return PARSE_MORE;
    return error == HPE_PAUSED ? finish_head(x) : refusal(x, error, stop);
}
