/* Which requests are sound?
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
 * What is refused, and how, must not depend on how the bytes were cut into packets:
 * of two reasons the one at the smaller offset wins, so check_lines looks exactly as
 * far as llhttp came.
 *
 * llhttp sees each byte of a head once. It is stopped after the head; a counted body
 * is none of its business, and in a chunked one it is stopped at each piece.
 */
#define _GNU_SOURCE /* memrchr */
#include "parser.h"

#include "query.h"
#include "text.h"

#include <arpa/inet.h>
#include <errno.h>

enum {
    BAD_REQUEST = 400,
    MAX_EXTENSIONS = 4096, /* bytes of chunk extensions in one body */
    MAX_CHUNK_LINE = 4096 + 64,
};

#define METHOD(name) (UINT64_C(1) << HTTP_##name)

/* Everything in IANA's registry of methods that llhttp knows, and what its neighbours
 * UPnP and caches use; not RTSP's, ICE's, or CONNECT. */
static const uint64_t served_methods =
    METHOD(DELETE) | METHOD(GET) | METHOD(HEAD) | METHOD(POST) | METHOD(PUT) | METHOD(OPTIONS) |
    METHOD(TRACE) | METHOD(COPY) | METHOD(LOCK) | METHOD(MKCOL) | METHOD(MOVE) | METHOD(PROPFIND) |
    METHOD(PROPPATCH) | METHOD(SEARCH) | METHOD(UNLOCK) | METHOD(BIND) | METHOD(REBIND) |
    METHOD(UNBIND) | METHOD(ACL) | METHOD(REPORT) | METHOD(MKACTIVITY) | METHOD(CHECKOUT) |
    METHOD(MERGE) | METHOD(MSEARCH) | METHOD(NOTIFY) | METHOD(SUBSCRIBE) | METHOD(UNSUBSCRIBE) |
    METHOD(PATCH) | METHOD(PURGE) | METHOD(MKCALENDAR) | METHOD(LINK) | METHOD(UNLINK);

static bool is_served(uint8_t method)
{
    return served_methods >> method & 1;
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
 * allowed are counted as lines and need no place. */
static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_exchange *x = exchange_of_parser(parser);
    cress_environ *env = &x->env;
    uint32_t offset = offset_of(x, at);

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
static int check_limits(const struct http_exchange *x, size_t len, size_t end)
{
    const cress_http1_config *config = x->http->config;

    if (x->lines == 0)
        return len > config_request_line(config) ? 414 : 0;
    return len > config_field_size(config) || end - x->line_len > config_head(config) ? 431 : 0;
}

/* The line from x->line to `end`, which is whole or will be longer. */
static inline int check_line(const struct http_exchange *x, const char *end, bool may_be_long)
{
    const char *base = x->in + x->start, *line = base + x->line;

    if (line == end)
        return 0;
    if (x->lines > 0 && (*line == ' ' || *line == '\t' || *line == ':'))
        return BAD_REQUEST;
    if (!may_be_long)
        return 0;
    return check_limits(x, (size_t)(end - line) - (end[-1] == '\r'), (size_t)(end - base));
}

/* A line that ends at lf. */
static inline int end_line(struct http_exchange *x, const char *lf)
{
    const char *line = x->in + x->start + x->line;
    size_t len = (size_t)(lf - line);

    if (len == 0 || lf[-1] != '\r')
        return BAD_REQUEST;
    if (x->lines++ == 0)
        x->line_len = len - 1;
    else if (len > 1 && x->lines - 1 > config_fields(x->http->config))
        return 431;
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

static bool is_version(const char *at)
{
    return memcmp(at, " HTTP/", 6) == 0 && text_is(at[6], TEXT_DIGIT) && at[7] == '.' &&
           text_is(at[8], TEXT_DIGIT);
}

static bool is_ours(const char *version)
{
    return version[6] == '1' && (version[8] == '0' || version[8] == '1');
}

/* Exactly "method SP target SP HTTP/1.x": the lengths add up. */
static int finish_request_line(struct http_exchange *x)
{
    enum { VERSION_LEN = sizeof " HTTP/1.x" - 1 };
    cress_environ *env = &x->env;
    char *base = x->in + x->start;
    size_t target = env->query.len, end = target + env->target.len;

    if (!is_served(x->parser.method))
        return 501;
    if (target < 2 || base[target - 1] != ' ' || base[target - 2] == ' ')
        return BAD_REQUEST;
    if (x->line_len != end + VERSION_LEN || !is_version(base + end))
        return BAD_REQUEST;
    if (!is_ours(base + end))
        return 505;
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

static int take_host(cress_environ *env, cress_str value)
{
    if (env->host.data || !parser_is_host(value))
        return BAD_REQUEST;
    env->host = value;
    return 0;
}

static int take_content_length(struct http_exchange *x, cress_str value)
{
    if (x->input.kind != BODY_NONE || !text_parse_u64(value, &x->input.left))
        return BAD_REQUEST;
    x->input.kind = BODY_COUNTED;
    return 0;
}

static int take_transfer_encoding(struct http_exchange *x, cress_str value)
{
    if (x->input.kind != BODY_NONE || x->env.minor == 0 ||
        !cress_str_equal_nocase(value, "chunked"))
        return BAD_REQUEST;
    x->input.kind = BODY_CHUNKED;
    return 0;
}

static int take_expect(struct http_exchange *x, cress_str value)
{
    if (x->env.minor == 0)
        return 0;
    if (!cress_str_equal_nocase(value, "100-continue"))
        return 417;
    x->input.expects_continue = true;
    return 0;
}

/* The fields that concern us. */
static int take_field(struct http_exchange *x, const char *name, size_t len, cress_str value)
{
    switch (len) {
    case 4:
        return text_matches(name, "host", 4) ? take_host(&x->env, value) : 0;
    case 6:
        return text_matches(name, "expect", 6) ? take_expect(x, value) : 0;
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
        return BAD_REQUEST;
    return status;
}

static int finish_body_framing(struct http_exchange *x)
{
    struct http_input *input = &x->input;

    if (input->kind == BODY_COUNTED && input->left > config_body(x->http->config))
        return 413;
    if (input->kind == BODY_COUNTED && input->left == 0)
        input->kind = BODY_NONE;
    if (input->kind == BODY_NONE) {
        input->ended = true;
        input->expects_continue = false;
    }
    return 0;
}

static void finish_connection(struct http_exchange *x)
{
    uint16_t flags = x->parser.flags;

    x->env.closes =
        (flags & F_CONNECTION_CLOSE) || (x->env.minor == 0 && !(flags & F_CONNECTION_KEEP_ALIVE));
}

/* ---- the target: RFC 9112 3.2 ------------------------------------------------------------ */

/* Sets path and query from `at`, which ends with the target. A path that stands there
 * whole, up to the target's NUL, is not copied. */
static int split_path(struct http_exchange *x, const char *at, const char *end)
{
    cress_environ *env = &x->env;
    const char *mark = at;
    bool is_encoded = false;

    for (; mark < end && *mark != '?'; mark++)
        is_encoded |= *mark == '%';
    if (mark < end)
        env->query = (cress_str){ mark + 1, (size_t)(end - mark) - 1 };
    env->path = (cress_str){ at, (size_t)(mark - at) };
    if (mark == end && !is_encoded)
        return 0;
    char *copy = arena_copy(&x->arena, at, env->path.len);
    if (!copy)
        return 500;
    ssize_t len = query_decode_path(copy, copy, env->path.len);
    if (len < 0)
        return BAD_REQUEST;
    copy[len] = '\0';
    env->path = (cress_str){ copy, (size_t)len };
    return 0;
}

static void split_host(cress_str host, cress_str *ret_name, cress_str *ret_port)
{
    const char *end = host.data + host.len;
    const char *colon = memrchr(host.data, ':', host.len);

    if (!colon || memchr(colon, ']', (size_t)(end - colon)))
        colon = end;
    *ret_name = (cress_str){ host.data, (size_t)(colon - host.data) };
    *ret_port = (cress_str){ colon, 0 };
    if (end - colon > 1)
        *ret_port = (cress_str){ colon + 1, (size_t)(end - colon) - 1 };
}

/* Do both name the same place? RFC 9112 3.2: a client sends them identical. */
static bool is_same_host(cress_str a, cress_str b, cress_str default_port)
{
    cress_str name_a, name_b, port_a, port_b;

    split_host(a, &name_a, &port_a);
    split_host(b, &name_b, &port_b);
    return text_equal_nocase(name_a, name_b) &&
           text_equal_nocase(port_a.len ? port_a : default_port,
                             port_b.len ? port_b : default_port);
}

static int split_absolute(struct http_exchange *x)
{
    cress_str target = x->env.target;
    const char *end = target.data + target.len;
    bool is_tls = strncasecmp(target.data, "https://", 8) == 0;

    if (!is_tls && strncasecmp(target.data, "http://", 7) != 0)
        return BAD_REQUEST;
    const char *authority = target.data + (is_tls ? 8 : 7);
    const char *path = authority + strcspn(authority, "/?");
    cress_str host = { authority, (size_t)(path - authority) };
    if (!parser_is_host(host))
        return BAD_REQUEST;
    if (x->env.host.data &&
        !is_same_host(host, x->env.host, is_tls ? CRESS_STR("443") : CRESS_STR("80")))
        return BAD_REQUEST;
    int status = split_path(x, path, end);
    if (status == 0 && x->env.path.len == 0)
        x->env.path = CRESS_STR("/");
    return status;
}

static int finish_target(struct http_exchange *x)
{
    cress_str target = x->env.target;

    if (memchr(target.data, '#', target.len))
        return BAD_REQUEST;
    if (target.data[0] == '/')
        return split_path(x, target.data, target.data + target.len);
    if (target.data[0] != '*')
        return split_absolute(x);
    x->env.path = target;
    return target.len == 1 && x->env.method_id == HTTP_OPTIONS ? 0 : BAD_REQUEST;
}

static int finish_head(struct http_exchange *x)
{
    if (exchange_keep_room(x) < 0)
        return 500;
    int status = finish_request_line(x);
    x->body = x->pos;
    if (status == 0)
        status = finish_fields(x);
    if (status == 0)
        status = finish_target(x);
    if (status == 0)
        status = finish_body_framing(x);
    if (status == 0)
        finish_connection(x);
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
        return BAD_REQUEST;
    if (*at != '\r')
        return PARSE_DONE;
    if (len == 1)
        return PARSE_MORE;
    if (at[1] != '\n')
        return BAD_REQUEST;
    x->skipped_line = true;
    x->pos += 2;
    x->start = x->pos;
    return skip_empty_line(x);
}

/* Why llhttp stopped. `at` is within what was received, or at its end. */
static int refusal(const struct http_exchange *x, llhttp_errno_t error, const char *at)
{
    const char *base = x->in + x->start, *end = x->in + x->fill;

    switch (error) {
    case HPE_PAUSED_H2_UPGRADE:
        return 505;
    case HPE_INVALID_METHOD: {
        bool is_token = at < end && (text_is(*at, TEXT_TOKEN) || (*at == ' ' && at > base));
        return is_token ? 501 : BAD_REQUEST;
    }
    case HPE_INVALID_VERSION:
        return at - base >= 9 && is_version(at - 9) && !is_ours(at - 9) ? 505 : BAD_REQUEST;
    case HPE_INVALID_CONSTANT: /* also another protocol's method with HTTP's version */
        return is_served(x->parser.method) ? BAD_REQUEST : 501;
    case HPE_USER:
        return 500;
    default:
        return BAD_REQUEST;
    }
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

/* ---- chunks: RFC 9112 7.1 ----------------------------------------------------------------- */

static int on_chunk_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_input *input = &exchange_of_parser(parser)->input;

    input->span = at;
    input->span_len = len;
    return len > 0 ? HPE_PAUSED : 0;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    struct http_input *input = &exchange_of_parser(parser)->input;

    (void)at;
    input->extensions += len;
    return input->extensions > MAX_EXTENSIONS ? HPE_USER : 0;
}

/* What a chunk says it will hold is refused before it comes. */
static int on_chunk_header(llhttp_t *parser)
{
    struct http_exchange *x = exchange_of_parser(parser);

    x->input.too_large = parser->content_length > config_body(x->http->config) - x->input.taken;
    return x->input.too_large ? HPE_USER : 0;
}

static int on_chunks_complete(llhttp_t *parser)
{
    exchange_of_parser(parser)->input.ended = true;
    return HPE_PAUSED;
}

/* Trailer fields are checked, bounded, and dropped. */
static const llhttp_settings_t chunk_settings = {
    .on_chunk_header = on_chunk_header,
    .on_body = on_chunk_body,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_message_complete = on_chunks_complete,
};

/* Bytes between two pieces of content: whole lines, not folded, and not endless. */
static bool check_framing(struct http_exchange *x, const char *at, const char *end)
{
    struct http_input *input = &x->input;
    bool in_trailers = x->parser.flags & F_TRAILING;

    input->framing += (size_t)(end - at);
    if (input->framing > (in_trailers ? config_head(x->http->config) : MAX_CHUNK_LINE))
        return false;
    for (; at < end; at++) {
        if (*at == '\n' && input->last != '\r')
            return false;
        if (input->last == '\n' && (is_blank(*at) || *at == ':'))
            return false;
        input->last = *at;
    }
    return true;
}

static int chunk_step(struct http_exchange *x)
{
    struct http_input *input = &x->input;
    const char *at = x->in + x->pos;

    x->parser.settings = (void *)(uintptr_t)&chunk_settings;
    llhttp_resume(&x->parser);
    llhttp_errno_t error = llhttp_execute(&x->parser, at, x->fill - x->pos);
    if (error != HPE_OK && error != HPE_PAUSED)
        return -1;
    const char *stop = error == HPE_OK ? x->in + x->fill : llhttp_get_error_pos(&x->parser);
    if (!check_framing(x, at, input->span_len ? input->span : stop))
        return -1;
    if (input->span_len) {
        stop = input->span + input->span_len;
        input->framing = 0;
        input->last = 0;
    }
    x->pos = (size_t)(stop - x->in);
    return 0;
}

int parser_chunks(struct http_exchange *x)
{
    while (!x->input.ended && !x->input.span_len && x->pos < x->fill)
        if (chunk_step(x) < 0) {
            errno = x->input.too_large ? EMSGSIZE : EBADMSG;
            return -1;
        }
    return 0;
}
