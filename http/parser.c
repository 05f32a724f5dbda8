/* The grammar of a request's head: RFC 9112 2 to 5.
 *
 * One pass over the bytes, whatever pieces they come in; what was understood is not looked at
 * again. Nothing is tolerated that another server on the way might read differently: every
 * line ends in CRLF, there is one blank on each side of the target, none in or behind a field's
 * name, no folded line, and no control byte anywhere. What the parts mean is request.c's.
 *
 * The first byte that is wrong, or beyond a limit, decides the answer, so that it does not
 * depend on how the bytes were cut into packets. Each refusal says why, for the log.
 *
 * Nearly all lines are there as a whole, sound, and of the usual form: these are taken at once,
 * in a fifth of the instructions. Everything else is left to the states, which see it from the
 * line's first byte.
 */
#include "parser.h"

#include "request.h"
#include "scan.h"
#include "text.h"

/* What stands at x->pos. */
enum parser_state {
    AT_START,
    IN_METHOD,
    IN_TARGET,
    IN_VERSION,
    AT_REQUEST_LINE_END, /* its LF */
    AT_FIELD,            /* or the empty line */
    IN_NAME,
    BEFORE_VALUE,
    IN_VALUE,
    AT_FIELD_END, /* its LF */
    AT_HEAD_END,  /* the empty line's LF */
};

enum { GO_ON = -1 };

enum {
    LIMIT_MOST = 1 << 30, /* offsets have 32 bits */
    LEAST_DEFAULT = 8190, /* of the limits of a line, a field, and a head */
    FEW_FIELDS = INLINE_FIELDS + FURTHER_FIELDS,
};

enum { VERSION_LEN = sizeof "HTTP/1.1\r" - 1 }; /* with its CR */

/* A line is scanned up to `at`; its bytes before `bound` are within the limits. Small heads as a
 * whole are. */
struct scan {
    struct http_exchange *x;
    char *base, *at, *end, *bound;
    bool is_small;
};

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static uint32_t offset_of(const struct scan *s, const char *at)
{
    return (uint32_t)(at - s->base);
}

static int bad(struct http_exchange *x, const char *why)
{
    return exchange_refuse(x, 400, why);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* How long this line may be, without its CRLF. All fields together include their CRLFs. */
static size_t line_limit(const struct http_exchange *x)
{
    const cress_http1_config *config = x->http->config;

    if (x->state <= AT_REQUEST_LINE_END)
        return min(config_request_line(config), LIMIT_MOST);
    size_t before = x->line - x->line_len, all = min(config_head(config), LIMIT_MOST);
    return min(config_field_size(config), all > before ? all - before : 0);
}

bool parser_is_narrow(const cress_http1_config *config)
{
    return config_request_line(config) < LEAST_DEFAULT ||
           config_field_size(config) < LEAST_DEFAULT || config_head(config) < LEAST_DEFAULT ||
           config_fields(config) < FEW_FIELDS;
}

/* Is all of it, so far, below each limit? */
static inline bool is_small(const struct http_exchange *x, size_t len)
{
    return len <= LEAST_DEFAULT && !x->http->narrow;
}

static inline void begin_line(struct scan *s, char *line)
{
    s->x->line = offset_of(s, line);
    s->bound = s->is_small ? s->end : line + line_limit(s->x);
}

static int refuse_long(struct http_exchange *x)
{
    if (x->state <= AT_REQUEST_LINE_END)
        return exchange_refuse(x, 414, "a request line too long");
    if (line_limit(x) < config_field_size(x->http->config))
        return exchange_refuse(x, 431, "fields too large");
    return exchange_refuse(x, 431, "a field too large");
}

/* Behind a scan: is it known what follows? */
static inline int check_scan(const struct scan *s)
{
    if (s->at > s->bound)
        return refuse_long(s->x);
    return s->at == s->end ? PARSE_MORE : GO_ON;
}

static inline int enter(struct scan *s, enum parser_state state)
{
    s->x->state = (uint8_t)state;
    return GO_ON;
}

/* The LF of a CRLF. */
static inline int take_line_feed(struct scan *s)
{
    if (s->at == s->end)
        return PARSE_MORE;
    if (*s->at != '\n')
        return bad(s->x, "a bare carriage return");
    s->at++;
    return GO_ON;
}

/* ---- the request line: RFC 9112 3 ---------------------------------------------------------- */

/* RFC 9112 2.2: one empty line before a request is passed over. */
static inline int skip_empty_line(struct scan *s)
{
    struct http_exchange *x = s->x;

    if (*s->at == '\n' || x->skipped_line)
        return bad(x, "empty lines before the request");
    if (s->end - s->at == 1)
        return PARSE_MORE;
    if (s->at[1] != '\n')
        return bad(x, "a bare carriage return");
    x->skipped_line = true;
    x->start += 2;
    s->base += 2;
    s->at += 2;
    return GO_ON;
}

static inline int begin(struct scan *s)
{
    while (s->at < s->end && (*s->at == '\r' || *s->at == '\n')) {
        int status = skip_empty_line(s);
        if (status != GO_ON)
            return status;
    }
    if (s->at == s->end)
        return PARSE_MORE;
    begin_line(s, s->at);
    return enter(s, IN_METHOD);
}

static int take_method(struct scan *s)
{
    s->at = scan_class(s->at, s->end, TEXT_TOKEN);
    int status = check_scan(s);
    if (status != GO_ON)
        return status;
    if (*s->at != ' ' || s->at == s->base)
        return bad(s->x, "a malformed method");
    s->x->target = offset_of(s, ++s->at);
    return enter(s, IN_TARGET);
}

static int refuse_target(struct http_exchange *x, char found)
{
    switch (found) {
    case '#':
        return bad(x, "a fragment in the target");
    case '\n':
        return bad(x, "a bare line feed");
    case '\r':
        return bad(x, "a request line without a version");
    case '\\':
    case '"':
    case '<':
    case '>':
        return bad(x, "a character that no path has");
    default:
        return bad(x, "a byte that no target has");
    }
}

static inline int end_target(struct scan *s)
{
    if (*s->at != ' ')
        return refuse_target(s->x, *s->at);
    s->x->target_len = offset_of(s, s->at) - s->x->target;
    if (s->x->target_len == 0)
        return bad(s->x, "blanks in the request line");
    s->at++;
    return enter(s, IN_VERSION);
}

/* Some servers take '\\', '"', '<' and '>' in a path for something else (RFC 3986 3.3), though
 * browsers send others of the kind, such as '|'. A query may have them. */
static int take_target(struct scan *s)
{
    struct http_exchange *x = s->x;

    for (;; s->at++) {
        s->at = scan_class(s->at, s->end, x->query ? TEXT_TARGET : TEXT_PATH);
        int status = check_scan(s);
        if (status != GO_ON)
            return status;
        if (*s->at == '%' && !x->query)
            x->is_encoded = true;
        else if (*s->at == '?' && !x->query)
            x->query = offset_of(s, s->at);
        else
            return end_target(s);
    }
}

/* One byte of "HTTP/1.1" and the CR behind it. */
static inline int check_version_byte(struct scan *s, size_t index)
{
    static const char form[] = "HTTP/0.0\r";
    char c = *s->at, wanted = form[index];

    if (wanted == '0' ? !text_is(c, TEXT_DIGIT) : c != wanted)
        return bad(s->x, c == '\n' ? "a bare line feed" : "a malformed version");
    if (index == 7 && (s->at[-2] != '1' || c > '1'))
        return exchange_refuse(s->x, 505, "another version");
    return GO_ON;
}

/* From the byte at this index of the version on. */
static inline int scan_version_bytes(struct scan *s, size_t index)
{
    for (; index < VERSION_LEN; index++) {
        int status = check_scan(s);
        if (status == GO_ON)
            status = check_version_byte(s, index);
        if (status != GO_ON)
            return status;
        s->at++;
    }
    s->x->env.minor = s->at[-2] == '1';
    return enter(s, AT_REQUEST_LINE_END);
}

static int take_version(struct scan *s)
{
    size_t index = offset_of(s, s->at) - (s->x->target + s->x->target_len + 1);

    if (index > 0 || s->end - s->at < VERSION_LEN || s->bound - s->at < VERSION_LEN ||
        memcmp(s->at, "HTTP/1.1\r", VERSION_LEN) != 0)
        return scan_version_bytes(s, index);
    s->at += VERSION_LEN;
    s->x->env.minor = 1;
    return enter(s, AT_REQUEST_LINE_END);
}

static inline int end_request_line(struct scan *s)
{
    int status = take_line_feed(s);

    if (status != GO_ON)
        return status;
    s->x->line_len = offset_of(s, s->at) - 2;
    status = request_take_method(s->x, (cress_str){ s->base, s->x->target - 1 });
    return status ? status : enter(s, AT_FIELD);
}

/* ---- fields: RFC 9112 5 --------------------------------------------------------------------- */

static int grow_fields(struct http_exchange *x)
{
    cress_environ *env = &x->env;
    uint32_t capacity = env->field_capacity * 2;

    if (x->in_kind != BUFFER_OWN)
        exchange_lend_room(x);
    struct http_field *fields = arena_alloc(&x->arena, capacity * sizeof *fields);

    if (!fields)
        return exchange_refuse(x, 500, "out of memory");
    memcpy(fields, env->fields, env->field_count * sizeof *fields);
    env->fields = fields;
    env->field_capacity = capacity;
    return GO_ON;
}

static int refuse_field_start(struct http_exchange *x, char found)
{
    switch (found) {
    case ' ':
    case '\t':
        return bad(x, "a folded line");
    case ':':
        return bad(x, "a field without a name");
    case '\n':
        return bad(x, "a bare line feed");
    default:
        return bad(x, "a byte that no field's name has");
    }
}

/* Where a field begins, or the head ends. */
static inline int begin_field(struct scan *s)
{
    struct http_exchange *x = s->x;

    if (s->at == s->end)
        return PARSE_MORE;
    if (*s->at == '\r') {
        s->at++;
        return enter(s, AT_HEAD_END);
    }
    if (!text_is(*s->at, TEXT_TOKEN))
        return refuse_field_start(s->x, *s->at);
    if (x->env.field_count == config_fields(x->http->config))
        return exchange_refuse(x, 431, "too many fields");
    if (x->env.field_count == x->env.field_capacity && grow_fields(x) != GO_ON)
        return 500;
    begin_line(s, s->at);
    x->env.fields[x->env.field_count].name = offset_of(s, s->at);
    return enter(s, IN_NAME);
}

static inline struct http_field *this_field(const struct scan *s)
{
    return &s->x->env.fields[s->x->env.field_count];
}

static int refuse_name(struct http_exchange *x, char found)
{
    switch (found) {
    case ' ':
    case '\t':
        return bad(x, "a blank in or behind a field's name");
    case '\n':
        return bad(x, "a bare line feed");
    case '\r':
        return bad(x, "a field without a colon");
    default:
        return bad(x, "a byte that no field's name has");
    }
}

static int take_name(struct scan *s)
{
    s->at = scan_class(s->at, s->end, TEXT_TOKEN);
    int status = check_scan(s);
    if (status != GO_ON)
        return status;
    if (*s->at != ':')
        return refuse_name(s->x, *s->at);
    this_field(s)->name_len = offset_of(s, s->at) - this_field(s)->name;
    s->at++;
    return enter(s, BEFORE_VALUE);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline int skip_blanks(struct scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
    int status = check_scan(s);
    if (status != GO_ON)
        return status;
    this_field(s)->value = offset_of(s, s->at);
    return enter(s, IN_VALUE);
}

static int take_value(struct scan *s)
{
    s->at = scan_value(s->at, s->end);
    int status = check_scan(s);
    if (status != GO_ON)
        return status;
    if (*s->at != '\r')
        return bad(s->x, *s->at == '\n' ? "a bare line feed" : "a control byte in a field");
    s->at++;
    return enter(s, AT_FIELD_END);
}

static inline int end_field(struct scan *s)
{
    struct http_field *field = this_field(s);
    int status = take_line_feed(s);

    if (status != GO_ON)
        return status;
    char *value = s->base + field->value, *last = s->at - 2;
    while (last > value && is_blank(last[-1]))
        last--;
    field->value_len = (uint32_t)(last - value);
    s->base[field->name + field->name_len] = *last = '\0';
    s->x->env.field_count++;
    return enter(s, AT_FIELD);
}

/* ---- the states -------------------------------------------------------------------------------- */

/* Each state goes on in the next one, or ends the scan. */
static int scan_request_line(struct scan *s)
{
    int status = GO_ON;

    switch (s->x->state) {
    case AT_START:
        if ((status = begin(s)) != GO_ON)
            return status;
        /* fallthrough */
    case IN_METHOD:
        if ((status = take_method(s)) != GO_ON)
            return status;
        /* fallthrough */
    case IN_TARGET:
        if ((status = take_target(s)) != GO_ON)
            return status;
        /* fallthrough */
    case IN_VERSION:
        if ((status = take_version(s)) != GO_ON)
            return status;
        /* fallthrough */
    default:
        return end_request_line(s);
    }
}

/* The same. */
static int scan_field(struct scan *s)
{
    int status;

    switch (s->x->state) {
    case AT_FIELD:
        if ((status = begin_field(s)) != GO_ON || s->x->state == AT_HEAD_END)
            return status;
        /* fallthrough */
    case IN_NAME:
        if ((status = take_name(s)) != GO_ON)
            return status;
        /* fallthrough */
    case BEFORE_VALUE:
        if ((status = skip_blanks(s)) != GO_ON)
            return status;
        /* fallthrough */
    case IN_VALUE:
        if ((status = take_value(s)) != GO_ON)
            return status;
        /* fallthrough */
    default:
        return end_field(s);
    }
}

/* ---- lines of the usual form -------------------------------------------------------------------- */

static inline bool is_pair(const char *at, const char *end, const char *pair)
{
    return at < end - 1 && memcmp(at, pair, 2) == 0;
}

/* Behind it and the blank; NULL: there is none. */
static char *skip_method(char *base, const char *end)
{
    char *blank = scan_class(base, end, TEXT_TOKEN);

    return blank == base || blank == end || *blank != ' ' ? NULL : blank + 1;
}

/* The end of a target, or what is odd in it. */
static inline char *skip_target(struct http_exchange *x, const char *base, char *at,
                                const char *end)
{
    at = scan_path(at, end);
    if (at == end || *at != '?')
        return at;
    x->query = (uint32_t)(at - base);
    return scan_target(at + 1, end);
}

/* What follows the line; NULL: it is for the states. */
static inline char *take_usual_request_line(struct http_exchange *x, char *base, const char *end,
                                            int *ret_status)
{
    static const char version[] = " HTTP/1.1\r\n";
    enum { LEN = sizeof version - 1 };
    bool is_get = end - base > LEN && memcmp(base, "GET ", 4) == 0;
    char *target = is_get ? base + 4 : skip_method(base, end);

    if (!target)
        return NULL;
    char *behind = skip_target(x, base, target, end);
    if (behind == target || end - behind < LEN || memcmp(behind, version, LEN) != 0) {
        x->query = 0;
        return NULL;
    }
    x->target = (uint32_t)(target - base);
    x->target_len = (uint32_t)(behind - target);
    x->line_len = (uint32_t)(behind - base) + LEN - 2;
    x->env.minor = 1;
    x->state = AT_FIELD;
    if (!is_get) {
        int status = request_take_method(x, (cress_str){ base, x->target - 1 });
        *ret_status = status ? status : GO_ON;
    }
    return behind + LEN;
}

/* The same of a field. A value without blanks around it. */
static inline char *take_usual_field(struct http_field *field, const char *base, char *name,
                                     const char *end)
{
    char *colon = scan_usual_name(name, end);

    if (colon == name || !is_pair(colon, end, ": "))
        return NULL;
    char *value = colon + 2, *last = scan_usual_value(value, end);
    if (!is_pair(last, end, "\r\n") || (unsigned char)*value <= ' ' ||
        (unsigned char)last[-1] <= ' ')
        return NULL;
    field->name = (uint32_t)(name - base);
    field->name_len = (uint32_t)(colon - name);
    field->value = (uint32_t)(value - base);
    field->value_len = (uint32_t)(last - value);
    *colon = *last = '\0';
    return last + 2;
}

/* What follows those that are whole and of the usual form. */
static inline char *take_usual_fields(struct http_exchange *x, const char *base, char *at,
                                      const char *end)
{
    cress_environ *env = &x->env;
    size_t most = env->field_capacity;
    if (most > FEW_FIELDS)
        most = min(most, config_fields(x->http->config));
    struct http_field *field = env->fields + env->field_count, *behind = env->fields + most;
    char *next;

    for (; field < behind && at < end && *at != '\r'; field++) {
        next = take_usual_field(field, base, at, end);
        if (!next)
            break;
        at = next;
    }
    env->field_count = (uint32_t)(field - env->fields);
    return at;
}

/* ---- the whole --------------------------------------------------------------------------------- */

/* By the states: the request line, or a field, or the head's end. */
static __attribute__((noinline)) int scan_line(struct http_exchange *x, bool is_small)
{
    char *base = x->in + x->start, *end = x->in + x->fill;
    struct scan s = {
        .x = x,
        .base = base,
        .at = x->in + x->pos,
        .end = end,
        .bound = is_small ? end : base + x->line + line_limit(x),
        .is_small = is_small,
    };
    int status;

    if (x->state < AT_FIELD)
        status = scan_request_line(&s);
    else if (x->state < AT_HEAD_END)
        status = scan_field(&s);
    else if ((status = take_line_feed(&s)) == GO_ON)
        status = PARSE_DONE;
    x->pos = (size_t)(s.at - x->in);
    return status;
}

/* As far as they are of the usual form. In the middle of a line nothing is. */
static inline int take_usual_lines(struct http_exchange *x)
{
    char *base = x->in + x->start, *at = x->in + x->pos, *end = x->in + x->fill;
    int status = GO_ON;

    if (x->state == AT_START) {
        at = take_usual_request_line(x, base, end, &status);
        if (!at)
            return GO_ON;
    } else if (x->state != AT_FIELD) {
        return GO_ON;
    }
    if (status == GO_ON) {
        at = take_usual_fields(x, base, at, end);
        if (is_pair(at, end, "\r\n")) {
            at += 2;
            status = PARSE_DONE;
        }
    }
    x->pos = (size_t)(at - x->in);
    return status;
}

int parser_head(struct http_exchange *x)
{
    size_t len = x->fill - x->start;
    bool is_short = is_small(x, len);
    int status;

    do {
        status = is_short ? take_usual_lines(x) : GO_ON;
        if (status == GO_ON)
            status = scan_line(x, is_short);
    } while (status == GO_ON);
    return status == PARSE_DONE ? request_finish(x) : status;
}
