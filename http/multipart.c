/* A form's parts, one by one, out of a body that comes in pieces of any size.
 *
 * All goes through one window of the body:
 *
 *     window + start            the first byte not yet handed out
 *     window + start + content  so far it is known to be the part's content
 *     window + fill             the end of what was read
 *
 * What ends a part is a line end, two hyphens and the boundary. Content is handed out up to
 * where that begins or, at the window's end, could begin; what is left is moved to the front and
 * more is read behind it. Nothing is searched twice. Two line ends are ours to see twice: the
 * one in front of the first boundary, which a body does not have (the window begins with one), and
 * the empty line behind a header, which may be the one that ends a part without content.
 *
 * A boundary counts wherever a line begins with it, whatever follows (RFC 2046 5.1.1); what
 * follows must be the line's end, or two hyphens at the end of all. Nothing else is guessed: two
 * servers that guess could see two forms.
 */
#define _GNU_SOURCE /* memmem */

#include "multipart.h"

#include "disposition.h"
#include "parameters.h"

#include <cress/greenlet.h>

#include <errno.h>
#include <stdlib.h>

enum {
    WINDOW = 32 << 10,
    MAX_HEAD = 16 << 10,
    MAX_BOUNDARY = 70,
    MAX_PADDING = 256, /* blanks behind a boundary */
};

_Static_assert(MULTIPART_MOST < WINDOW - MAX_BOUNDARY - 4, "so much content fits");

enum place {
    PLACE_CONTENT, /* of a part, or in front of the first */
    PLACE_END,
};

struct multipart {
    cress_environ *env;
    cress_multipart_limits limits;
    enum place place;
    int error; /* what every later call fails with */
    bool at_delimiter;
    bool in_part;
    size_t parts, kept;
    uint64_t taken, part_taken;
    size_t start, content, fill;
    size_t delimiter_len;
    char delimiter[4 + MAX_BOUNDARY];
    char window[WINDOW];
};

static int fail(struct multipart *m, int error)
{
    m->error = error;
    errno = error;
    return -1;
}

static int check(const struct multipart *m)
{
    if (cress_check() < 0)
        return -1;
    if (!m->error)
        return 0;
    errno = m->error;
    return -1;
}

/* ---- the body -------------------------------------------------------------------------------- */

static size_t left(const struct multipart *m)
{
    return m->fill - m->start;
}

static void pass(struct multipart *m, size_t len)
{
    m->start += len;
    m->content -= len < m->content ? len : m->content;
}

/* [waits] More of the body: 1; 0: it has ended. */
static int read_more(struct multipart *m)
{
    memmove(m->window, m->window + m->start, left(m));
    m->fill -= m->start;
    m->start = 0;
    ssize_t got = cress_input_read(m->env, m->window + m->fill, WINDOW - m->fill);
    if (got < 0)
        return fail(m, errno);
    if (m->limits.size && (uint64_t)got > m->limits.size - m->taken)
        return fail(m, EMSGSIZE);
    m->taken += (uint64_t)got;
    m->fill += (size_t)got;
    return got > 0;
}

/* [waits] Are there so many bytes from `start` on? 0: the body has ended before. */
static int have(struct multipart *m, size_t len)
{
    while (left(m) < len) {
        int more = read_more(m);
        if (more <= 0)
            return more;
    }
    return 1;
}

/* [waits] The same where a body that ends is cut off: 0. */
static int need(struct multipart *m, size_t len)
{
    int there = have(m, len);

    if (there == 0)
        return fail(m, EBADMSG);
    return there < 0 ? -1 : 0;
}

static bool is_at(const struct multipart *m, const char *two)
{
    return left(m) >= 2 && memcmp(m->window + m->start, two, 2) == 0;
}

static bool is_at_blank(const struct multipart *m)
{
    return m->window[m->start] == ' ' || m->window[m->start] == '\t';
}

/* How many of these last bytes could be the first of a delimiter. */
static size_t begun_delimiter(const struct multipart *m, const char *at, const char *end)
{
    if ((size_t)(end - at) >= m->delimiter_len)
        at = end - m->delimiter_len + 1;
    while ((at = memchr(at, '\r', (size_t)(end - at)))) {
        if (memcmp(at, m->delimiter, (size_t)(end - at)) == 0)
            return (size_t)(end - at);
        at++;
    }
    return 0;
}

/* What of the window is content. */
static void find_content(struct multipart *m)
{
    const char *from = m->window + m->start + m->content, *end = m->window + m->fill;
    const char *found = memmem(from, (size_t)(end - from), m->delimiter, m->delimiter_len);

    m->at_delimiter = found != NULL;
    if (!found)
        found = end - (from < end ? begun_delimiter(m, from, end) : 0);
    m->content = (size_t)(found - (m->window + m->start));
}

/* [waits] Content at `start`, at least `wanted` bytes of it if there are so many; 0: a
 * delimiter is there. */
static ssize_t find(struct multipart *m, size_t wanted)
{
    while (!m->at_delimiter && m->content < wanted) {
        find_content(m);
        if (m->at_delimiter || m->content >= wanted)
            break;
        int more = read_more(m);
        if (more <= 0)
            return more < 0 ? -1 : fail(m, EBADMSG);
    }
    return (ssize_t)m->content;
}

static ssize_t find_in_part(struct multipart *m, size_t wanted)
{
    if (m->place == PLACE_END || !m->in_part)
        return 0;
    ssize_t there = find(m, wanted);
    if (there > 0 && m->limits.part_size && (uint64_t)there > m->limits.part_size - m->part_taken)
        return fail(m, EMSGSIZE);
    return there;
}

static void take(struct multipart *m, size_t len)
{
    m->part_taken += len;
    pass(m, len);
}

/* ---- from one part to the next ---------------------------------------------------------------- */

static int skip_content(struct multipart *m)
{
    ssize_t there;

    while ((there = m->in_part ? find_in_part(m, 1) : find(m, 1)) > 0)
        take(m, (size_t)there);
    return (int)there;
}

/* [waits] Blanks behind a boundary (RFC 2046: transport-padding). As have(m, 1). */
static int skip_padding(struct multipart *m)
{
    int there;

    for (int i = 0; (there = have(m, 1)) > 0 && is_at_blank(m); i++) {
        if (i == MAX_PADDING)
            return fail(m, EBADMSG);
        pass(m, 1);
    }
    return there;
}

/* [waits] The last boundary is passed: its line ends, or the body does. What comes then is
 * nobody's, but the body is to be whole. */
static int finish(struct multipart *m)
{
    int there = skip_padding(m);

    if (there > 0)
        there = need(m, 2) < 0 ? -1 : 1;
    if (there > 0 && !is_at(m, "\r\n"))
        return fail(m, EBADMSG);
    while (there > 0) {
        m->start = m->fill;
        there = read_more(m);
    }
    if (there == 0)
        m->place = PLACE_END;
    return there;
}

/* [waits] The length of a header with the empty line behind it; it begins with the line end
 * behind the boundary. */
static ssize_t find_head(struct multipart *m)
{
    size_t searched = 0;

    for (;;) {
        const char *from = m->window + m->start + searched;
        const char *found = memmem(from, left(m) - searched, "\r\n\r\n", 4);
        size_t len = found ? (size_t)(found + 4 - (m->window + m->start)) : left(m);
        if (len > m->limits.head + 4)
            return fail(m, EMSGSIZE);
        if (found)
            return (ssize_t)len;
        searched = left(m) > 3 ? left(m) - 3 : 0;
        if (need(m, left(m) + 1) < 0)
            return -1;
    }
}

static int keep(struct multipart *m, size_t len)
{
    if (len > m->limits.memory - m->kept)
        return fail(m, EMSGSIZE);
    m->kept += len;
    return 0;
}

/* [waits] Begins the part whose boundary was passed. */
static int begin_part(struct multipart *m, cress_part *ret_part)
{
    ssize_t len = find_head(m);

    if (len < 0)
        return -1;
    cress_str head = { m->window + m->start, (size_t)len - 4 };
    if (head.len == 0)
        return fail(m, EBADMSG);
    if (++m->parts > m->limits.parts)
        return fail(m, EMSGSIZE);
    if (keep(m, head.len) < 0)
        return -1;
    if (disposition_parse(m->env, head, ret_part) < 0)
        return fail(m, errno);
    pass(m, (size_t)len - 2);
    ssize_t there = find(m, 2); /* the empty line's end, or a boundary's */
    if (there < 0)
        return -1;
    if (there > 0)
        pass(m, 2);
    m->in_part = true;
    m->part_taken = 0;
    return 1;
}

/* [waits] At a delimiter. 1: a part begins; 0: it was the last one. */
static int pass_delimiter(struct multipart *m, cress_part *ret_part)
{
    pass(m, m->delimiter_len);
    m->at_delimiter = m->in_part = false;
    m->content = 0;
    if (need(m, 2) < 0)
        return -1;
    if (is_at(m, "--")) {
        pass(m, 2);
        return finish(m);
    }
    if (skip_padding(m) < 0 || need(m, 2) < 0)
        return -1;
    if (!is_at(m, "\r\n"))
        return fail(m, EBADMSG);
    return begin_part(m, ret_part);
}

int cress_multipart_next(cress_multipart *form, cress_part *ret_part)
{
    struct multipart *m = form->state;

    if (check(m) < 0)
        return -1;
    if (m->place == PLACE_END)
        return 0;
    return skip_content(m) < 0 ? -1 : pass_delimiter(m, ret_part);
}

int cress_multipart_each(cress_multipart *form,
                         int (*fn)(void *arg, cress_multipart *form, const cress_part *part),
                         void *arg)
{
    cress_part part;
    int more, result = 0;

    while (result == 0 && (more = cress_multipart_next(form, &part)) != 0)
        result = more < 0 ? -1 : fn(arg, form, &part);
    return result;
}

/* ---- the beginning ------------------------------------------------------------------------------ */

/* RFC 2046 5.1.1: bchars */
static bool is_boundary(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!(text[i] >= '0' && text[i] <= '9') &&
            !((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z') &&
            (!text[i] || !strchr("'()+_,-./:=? ", text[i])))
            return false;
    return len > 0 && len <= MAX_BOUNDARY && text[len - 1] != ' ';
}

/* The one boundary among the parameters; false: malformed. */
static bool find_boundary(struct parameters *parameters, cress_str *ret_boundary)
{
    struct parameter parameter;
    int more;

    *ret_boundary = (cress_str){ NULL, 0 };
    while ((more = parameters_next(parameters, &parameter)) > 0) {
        if (!cress_str_equal_nocase(parameter.name, "boundary"))
            continue;
        if (ret_boundary->data)
            return false;
        *ret_boundary = parameter.value;
    }
    return more == 0 && ret_boundary->data && is_boundary(ret_boundary->data, ret_boundary->len);
}

static bool get_boundary(const cress_environ *env, cress_str *ret_boundary)
{
    cress_str type = cress_header_get(env, "Content-Type"), word;
    struct parameters parameters;

    return type.data && parameters_begin(&parameters, type, &word) &&
           cress_str_equal_nocase(word, "multipart/form-data") &&
           find_boundary(&parameters, ret_boundary);
}

static cress_multipart_limits fill_limits(const cress_multipart_limits *limits)
{
    cress_multipart_limits filled = limits ? *limits : (cress_multipart_limits){ 0 };

    filled.parts = filled.parts ? filled.parts : 1000;
    filled.head = filled.head ? filled.head : 8 << 10;
    filled.head = filled.head < MAX_HEAD ? filled.head : MAX_HEAD;
    filled.memory = filled.memory ? filled.memory : 1 << 20;
    return filled;
}

int cress_multipart_begin(cress_multipart *form, cress_environ *env,
                          const cress_multipart_limits *limits)
{
    cress_str boundary;

    errno = 0;
    if (!get_boundary(env, &boundary)) {
        errno = errno == ENOMEM ? ENOMEM : EBADMSG;
        return -1;
    }
    struct multipart *m = cress_environ_alloc(env, sizeof *m);
    if (!m)
        return -1;
    memset(m, 0, offsetof(struct multipart, delimiter));
    m->env = env;
    m->limits = fill_limits(limits);
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.data, boundary.len);
    m->delimiter_len = 4 + boundary.len;
    memcpy(m->window, "\r\n", 2);
    m->fill = 2;
    form->state = m;
    return 0;
}

/* ---- content ------------------------------------------------------------------------------------- */

ssize_t multipart_content(cress_multipart *form, size_t wanted, const char **ret_data)
{
    struct multipart *m = form->state;
    ssize_t there = check(m) < 0 ? -1 : find_in_part(m, wanted);

    *ret_data = m->window + m->start;
    return there;
}

void multipart_take(cress_multipart *form, size_t len)
{
    take(form->state, len);
}

int multipart_check(const cress_multipart *form)
{
    return check(form->state);
}

int multipart_fail(cress_multipart *form, int error)
{
    return fail(form->state, error);
}

cress_environ *multipart_environ(const cress_multipart *form)
{
    return form->state->env;
}

ssize_t cress_multipart_read(cress_multipart *form, void *buf, size_t len)
{
    struct multipart *m = form->state;
    ssize_t there = check(m) < 0 ? -1 : len > 0 ? find_in_part(m, 1) : 0;

    if (there <= 0)
        return there;
    size_t taken = (size_t)there < len ? (size_t)there : len;
    memcpy(buf, m->window + m->start, taken);
    take(m, taken);
    return (ssize_t)taken;
}

struct text {
    char *data;
    size_t len, capacity;
};

static int append(struct text *text, const char *data, size_t len)
{
    if (text->len + len > text->capacity) {
        size_t capacity = (text->len + len) * 2;
        char *more = realloc(text->data, capacity);
        if (!more)
            return -1;
        text->data = more;
        text->capacity = capacity;
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    return 0;
}

/* [waits] The part's rest in memory from malloc, also when it fails. */
static int collect(struct multipart *m, size_t limit, struct text *text)
{
    ssize_t there;

    while ((there = find_in_part(m, 1)) > 0) {
        size_t len = (size_t)there;
        if (len > limit - text->len)
            return fail(m, EMSGSIZE);
        if (keep(m, len) < 0)
            return -1;
        if (append(text, m->window + m->start, len) < 0)
            return fail(m, ENOMEM);
        take(m, len);
    }
    return (int)there;
}

static int hand_over(struct multipart *m, const struct text *text, cress_str *ret_data)
{
    char *data = cress_environ_alloc(m->env, text->len + 1);

    if (!data)
        return fail(m, ENOMEM);
    if (text->len)
        memcpy(data, text->data, text->len);
    data[text->len] = '\0';
    *ret_data = (cress_str){ data, text->len };
    return 0;
}

int cress_multipart_read_all(cress_multipart *form, size_t limit, cress_str *ret_data)
{
    struct multipart *m = form->state;
    struct text text = { .data = NULL };
    int result = check(m) < 0 ? -1 : collect(m, limit, &text);

    if (result == 0)
        result = hand_over(m, &text, ret_data);
    int error = errno;
    free(text.data);
    errno = error;
    return result;
}
