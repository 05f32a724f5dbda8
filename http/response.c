/* A response's head goes out when the first body byte comes, or when it is known that none
 * will. The body's framing is decided at that moment:
 *
 *   204, 304                          nothing, and nothing may be written
 *   a Content-Length, said or known   the bytes as they are, counted
 *   HEAD                              none, behind the head that GET would have got
 *   HTTP/1.1                          chunks: one for each write
 *   HTTP/1.0                          the bytes until the connection closes
 */
#include "response.h"

#include "fail.h"
#include "head.h"
#include "hook.h"
#include "input.h"
#include "output.h"
#include "start.h"
#include "status.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    COPY_BELOW = 4 << 10, /* larger pieces are sent without copying */
    CHUNK_ROOM = 24,      /* around a chunk: its size in hexadecimal, three line ends */
};

_Static_assert(HEAD_MAX_FIELDS + HEAD_ROOM + COPY_BELOW <= BLOCK_OUTPUT_SIZE,
               "a head and a small body fit into a block");

static bool is_head_request(const struct http_exchange *x)
{
    return x->env.is_head;
}

/* ---- the head ------------------------------------------------------------------------------ */

/* An empty body that has something behind it. */
static bool has_only_trailers(const struct http_exchange *x, bool is_whole)
{
    const cress_response *res = &x->res;

    return res->trailers_len && is_whole && !res->has_length && !is_head_request(x) &&
           x->env.minor == 1;
}

static void decide_framing(struct http_exchange *x, cress_response *res, bool is_whole)
{
    if (res->status == 205) { /* RFC 9110 15.3.6: whatever the app said */
        res->has_length = true;
        res->length = 0;
    }
    if (status_is_bodiless(res->status))
        res->framing = FRAMING_NONE;
    else if (has_only_trailers(x, is_whole))
        res->framing = FRAMING_CHUNKED;
    else if (res->has_length || (is_whole && !(res->hooks && hooks_hide_length(res))))
        res->framing = FRAMING_LENGTH;
    else if (is_head_request(x))
        res->framing = FRAMING_NONE;
    else
        res->framing = x->env.minor == 0 ? FRAMING_CLOSE : FRAMING_CHUNKED;
    if (res->framing == FRAMING_LENGTH && !res->has_length)
        res->length = res->sent;
}

/* Will the connection close behind this response? */
static inline bool closes(const struct http_exchange *x)
{
    return x->http->closing || x->env.closes || x->http->config->keep_alive <= 0;
}

/* Says whether the connection goes on. RFC 9110 7.8: who names a protocol, as in a 426, says so
 * here as well. */
static char *put_connection(char *to, struct http_exchange *x)
{
    bool is_old = x->env.minor == 0, upgrades = x->res.has_upgrade && !is_old;

    if (!closes(x) && upgrades)
        return TEXT_PUT(to, "Connection: Upgrade\r\n");
    if (!closes(x))
        return is_old ? TEXT_PUT(to, "Connection: keep-alive\r\n") : to;
    x->http->closing = true;
    if (upgrades)
        return TEXT_PUT(to, "Connection: close, Upgrade\r\n");
    return is_old && x->head ? to : TEXT_PUT(to, "Connection: close\r\n");
}

static COLD char *put_own_start(char *to, struct http_exchange *x)
{
    bool has_own = x->http->differs || x->res.has_server || x->res.has_date;

    to = has_own ? start_put_own(to, x) : start_put(to, x->res.status);
    return put_connection(to, x);
}

/* Are Server and Date the usual ones, and does the version say all of the connection? */
static HOT bool is_usual(const struct http_exchange *x)
{
    const cress_response *res = &x->res;
    bool has_own = res->fields_len && (res->has_upgrade || res->has_server || res->has_date);

    return !has_own && !x->http->closing && !x->http->differs && x->env.minor == 1 &&
           !x->env.closes;
}

static HOT char *put_type(char *to, cress_str type)
{
    to = TEXT_PUT(to, "Content-Type: ");
    to = text_put_short(to, type.data, type.len);
    return TEXT_PUT(to, "\r\n");
}

static HOT char *put_length(char *to, uint64_t length)
{
    to = TEXT_PUT(to, "Content-Length: ");
    to = text_put_u64(to, length);
    return TEXT_PUT(to, "\r\n");
}

/* For the framing that was decided: at most HEAD_ROOM bytes, those of the fields, and those of
 * `type`, the content's if it is not among the fields. */
static HOT char *put_head(char *to, struct http_exchange *x, cress_str type)
{
    const cress_response *res = &x->res;

    to = is_usual(x) ? start_put(to, res->status) : put_own_start(to, x);
    if (type.len > 0)
        to = put_type(to, type);
    if (res->framing == FRAMING_LENGTH)
        to = put_length(to, res->length);
    else if (res->framing == FRAMING_CHUNKED)
        to = TEXT_PUT(to, "Transfer-Encoding: chunked\r\n");
    if (res->fields_len > 0)
        to = text_put(to, res->fields, res->fields_len);
    return TEXT_PUT(to, "\r\n");
}

/* [waits] Formats the head. is_whole: the app has written all that it will. */
static int commit(cress_response *res, bool is_whole)
{
    struct http_exchange *x = exchange_of_response(res);
    char *to = output_begin(x, HEAD_ROOM + res->fields_len);

    if (!to)
        return -1;
    x->mark = to;
    decide_framing(x, res, is_whole);
    if (res->framing == FRAMING_CLOSE || (is_whole && input_blocks_next(x)))
        x->http->closing = true;
    output_end(x, put_head(to, x, CRESS_STR("")));
    res->committed = true;
    return 0;
}

/* ---- the body ------------------------------------------------------------------------------ */

/* What a second greenlet writes is not held back until the handler waits. */
static int flush_for_others(struct http_exchange *x)
{
    return cress_self() == x->greenlet ? 0 : output_flush(x);
}

static char *put_chunk_size(char *to, size_t len)
{
    to = text_put_hex(to, len);
    return TEXT_PUT(to, "\r\n");
}

static HOT int put_small(struct http_exchange *x, const void *data, size_t len, bool is_chunk)
{
    char *to = output_begin(x, len + CHUNK_ROOM);

    if (!to)
        return -1;
    if (is_chunk)
        to = put_chunk_size(to, len);
    to = text_put_short(to, data, len);
    if (is_chunk)
        to = TEXT_PUT(to, "\r\n");
    output_end(x, to);
    return 0;
}

static int put_large(struct http_exchange *x, const void *data, size_t len, bool is_chunk)
{
    if (is_chunk) {
        char *to = output_begin(x, CHUNK_ROOM);
        if (!to)
            return -1;
        output_end(x, put_chunk_size(to, len));
    }
    return output_send(x, data, len, is_chunk ? "\r\n" : "");
}

static HOT int put_body(cress_response *res, const void *data, size_t len)
{
    struct http_exchange *x = exchange_of_response(res);
    bool is_chunk = res->framing == FRAMING_CHUNKED;
    int result =
        len < COPY_BELOW ? put_small(x, data, len, is_chunk) : put_large(x, data, len, is_chunk);

    if (result == 0) {
        res->sent += len;
        res->body_bytes += len;
        res->whole = res->sent == res->length && res->framing == FRAMING_LENGTH;
    } else if (x->broken) {
        res->cut = true;
    }
    return result;
}

int response_too_long(cress_response *res)
{
    res->cut = res->committed; /* else it can still be answered by 500 */
    res->wrong = "wrote more than its Content-Length";
    return fail_with(EMSGSIZE);
}

static COLD int refuse_write(cress_response *res)
{
    const struct http_exchange *x = exchange_of_response(res);

    if (res->status == 0 || res->complete)
        return fail_with(EINVAL);
    if (x->broken || x->http->gone || res->cut)
        return fail_with(EPIPE);
    if (x->busy)
        return fail_with(EBUSY);
    res->wrong = "wrote a body where the status allows none";
    return fail_with(EINVAL);
}

static HOT int check_open(cress_response *res, size_t len)
{
    const struct http_exchange *x = exchange_of_response(res);
    if (cress_check() < 0)
        return -1;
    if (res->complete || res->cut || !res->status || x->broken || x->busy || x->http->gone ||
        (len > 0 && (res->status == 204 || res->status == 205)))
        return refuse_write(res);
    return 0;
}

/* May len more bytes be written, apart from the Content-Length? */
int response_check_open(cress_response *res, size_t len)
{
    return check_open(res, len);
}

static HOT int check_writable(cress_response *res, size_t len)
{
    if (check_open(res, len) < 0)
        return -1;
    if (res->has_length && len > res->length - res->sent)
        return response_too_long(res);
    return 0;
}

/* A body that is dropped: the answer to HEAD, and 304. */
bool response_drops_body(const cress_response *res)
{
    return is_head_request(exchange_of_response(res)) || status_is_bodiless(res->status);
}

/* [waits] Sees to the head before len bytes. */
static HOT int begin_body(cress_response *res, size_t len)
{
    if (check_writable(res, len) < 0)
        return -1;
    if (!res->committed && commit(res, false) < 0)
        return -1;
    res->begun = true;
    return 0;
}

/* This never waits, and there may be no end of it. */
static COLD int drop_body(cress_response *res, size_t len)
{
    res->sent += len;
    exchange_take_turns(exchange_of_response(res));
    return cress_check();
}

/* An app that does not look at what its writes return must not end a message that is
 * not whole as if it were. */
static COLD int note_failure(cress_response *res)
{
    res->whole = false;
    if (errno != EINVAL && errno != EALREADY)
        res->lost = errno;
    return -1;
}

static HOT int note_result(cress_response *res, int result)
{
    if (result < 0)
        return note_failure(res);
    res->lost = 0;
    return 0;
}

int response_write_body(cress_response *res, const void *data, size_t len)
{
    if (begin_body(res, len) < 0)
        return -1;
    if (response_drops_body(res))
        return drop_body(res, len);
    if (put_body(res, data, len) < 0)
        return -1;
    return flush_for_others(exchange_of_response(res));
}

int cress_response_write(cress_response *res, const void *data, size_t len)
{
    if (res->hooks)
        return note_result(res, hooks_write(res, data, len));
    return note_result(res, len > 0 ? response_write_body(res, data, len) : check_writable(res, 0));
}

int cress_response_printf(cress_response *res, const char *format, ...)
{
    char small[256], *text = small;
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    if (len >= (int)sizeof small) {
        text = malloc((size_t)len + 1);
        if (text)
            vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    va_end(args);
    if (len < 0 || !text)
        return -1;
    int result = cress_response_write(res, text, (size_t)len), error = errno;
    if (text != small)
        free(text);
    errno = error;
    return result;
}

int response_flush_body(cress_response *res)
{
    if (check_writable(res, 0) < 0)
        return -1;
    if (!res->committed && commit(res, false) < 0)
        return -1;
    return output_flush(exchange_of_response(res));
}

int cress_response_flush(cress_response *res)
{
    return note_result(res, res->hooks ? hooks_flush(res) : response_flush_body(res));
}

/* ---- files --------------------------------------------------------------------------------- */

/* EIO early, while nothing is said, if the file is known to be shorter. */
int response_check_file(int fd, off_t offset, size_t len)
{
    struct stat about;

    if (fstat(fd, &about) < 0)
        return -1;
    if (offset < 0)
        return fail_with(EINVAL);
    if (S_ISREG(about.st_mode) &&
        (offset > about.st_size || len > (size_t)(about.st_size - offset)))
        return fail_with(EIO);
    return 0;
}

static int send_file_all(cress_response *res, int fd, off_t offset, size_t len)
{
    struct http_exchange *x = exchange_of_response(res);

    for (size_t done = 0; done < len;) {
        ssize_t sent = output_send_file(x, fd, offset + (off_t)done, len - done);
        if (sent == 0)
            errno = EIO;
        if (sent <= 0) {
            res->cut = x->broken = true;
            return -1;
        }
        done += (size_t)sent;
        res->sent += (size_t)sent;
        res->body_bytes += (size_t)sent;
    }
    return 0;
}

static int put_file(cress_response *res, int fd, off_t offset, size_t len)
{
    struct http_exchange *x = exchange_of_response(res);
    bool is_chunk = res->framing == FRAMING_CHUNKED;
    char *to = output_begin(x, CHUNK_ROOM);

    if (!to)
        return -1;
    output_end(x, is_chunk ? put_chunk_size(to, len) : to);
    if (send_file_all(res, fd, offset, len) < 0)
        return -1;
    return is_chunk ? put_small(x, "\r\n", 2, false) : 0;
}

int response_send_body(cress_response *res, int fd, off_t offset, size_t len)
{
    if (check_writable(res, len) < 0)
        return -1;
    if (!res->committed && !res->begun && !res->has_length && !status_is_bodiless(res->status)) {
        res->length = len;
        res->has_length = true;
    }
    if (begin_body(res, len) < 0)
        return -1;
    if (response_drops_body(res))
        return drop_body(res, len);
    if (len > 0 && put_file(res, fd, offset, len) < 0)
        return -1;
    return flush_for_others(exchange_of_response(res));
}

int response_send_known_file(cress_response *res, int fd, off_t offset, size_t len)
{
    return note_result(res, res->hooks ? hooks_send_file(res, fd, offset, len)
                                       : response_send_body(res, fd, offset, len));
}

int cress_response_send_file(cress_response *res, int fd, off_t offset, size_t len)
{
    if (response_check_open(res, 0) < 0 || response_check_file(fd, offset, len) < 0)
        return note_result(res, -1);
    return response_send_known_file(res, fd, offset, len);
}

/* ---- the whole at once ---------------------------------------------------------------------- */

/* [waits, if it is large] What is not to be sent in one piece with the head. */
static int send_body(struct http_exchange *x, const void *body, size_t len)
{
    if (output_send(x, body, len, "") == 0)
        return 0;
    x->res.cut = true;
    return -1;
}

/* Of the body's len bytes, `content` are sent. */
static HOT int put_response(struct http_exchange *x, cress_str type, const void *body, size_t len,
                            size_t content)
{
    cress_response *res = &x->res;
    size_t copied = content < COPY_BELOW ? content : 0;
    char *to = output_begin(x, HEAD_ROOM + type.len + copied);

    if (!to)
        return -1;
    x->mark = to;
    to = put_head(to, x, type);
    output_end(x, text_put_short(to, body, copied));
    res->begun = res->committed = res->whole = true;
    res->sent = len;
    if (content > copied && send_body(x, body, len) < 0)
        return -1;
    res->body_bytes = content;
    return flush_for_others(x);
}

static HOT int respond(cress_response *res, int status, cress_str type, const void *body,
                       size_t len)
{
    struct http_exchange *x = exchange_of_response(res);

    if (head_check_startable(res, status) < 0)
        return -1;
    if (type.len > HEAD_MAX_FIELDS)
        return fail_with(type.len == TEXT_UNFIT ? EINVAL : E2BIG);
    head_restart(res, status);
    if (check_open(res, len) < 0)
        return -1;
    res->has_length = true;
    res->length = len;
    if (res->hooks)
        return hooks_respond(res, type, body, len);
    if (input_blocks_next(x))
        x->http->closing = true;
    res->framing = FRAMING_LENGTH;
    if (!status_is_bodiless(status))
        return put_response(x, type, body, len, is_head_request(x) ? 0 : len);
    res->framing = FRAMING_NONE;
    return put_response(x, type, body, len, 0);
}

int cress_respond(cress_response *res, int status, const char *type, const void *body, size_t len)
{
    cress_str content_type = { type, type ? text_value_len(type) : 0 };

    return note_result(res, respond(res, status, content_type, body, len));
}

/* ---- the end -------------------------------------------------------------------------------- */

/* The client gets what was collected and sees that it is not all. */
static COLD void cut(struct http_exchange *x)
{
    output_push(x); /* not output_flush: who does not read is not waited for */
    x->res.cut = x->broken = true;
    x->http->closing = true;
    x->http->reset = x->res.framing == FRAMING_CLOSE && x->res.committed;
}

/* Takes back a response that is still collected as a whole. */
static bool retract(struct http_exchange *x)
{
    cress_response *res = &x->res;

    if (x->broken || res->cut || res->is_out)
        return false;
    if (res->committed)
        output_end(x, x->mark);
    res->committed = false;
    return true;
}

static bool is_short(const struct http_exchange *x)
{
    const cress_response *res = &x->res;

    return res->sent < res->length && res->framing == FRAMING_LENGTH && !is_head_request(x);
}

static int end_chunks(struct http_exchange *x)
{
    const cress_response *res = &x->res;
    char *to = output_begin(x, res->trailers_len + CHUNK_ROOM);

    if (!to)
        return -1;
    to = TEXT_PUT(to, "0\r\n");
    if (res->trailers_len > 0)
        to = text_put(to, res->trailers, res->trailers_len);
    output_end(x, TEXT_PUT(to, "\r\n"));
    return 0;
}

static inline int complete_framing(struct http_exchange *x)
{
    cress_response *res = &x->res;

    if (res->cut || (!res->committed && commit(res, true) < 0))
        return -1;
    if (res->framing == FRAMING_CHUNKED)
        return end_chunks(x);
    if (!is_short(x))
        return 0;
    res->wrong = "wrote less than its Content-Length";
    return -1;
}

static COLD const char *answer_for_silent(cress_response *res)
{
    const cress_timeout *limit = exchange_of_response(res)->http->limit;
    bool is_late = limit && cress_timeout_expired(limit);

    response_error(res, is_late ? 503 : 500, CRESS_STR(""));
    return is_late ? NULL : "returned 0 without a response";
}

const char *response_complete(cress_response *res)
{
    struct http_exchange *x = exchange_of_response(res);

    if (res->status == 0)
        return answer_for_silent(res);
    if (res->hooks && hooks_end(res) < 0 && !res->cut) {
        response_error(res, 500, CRESS_STR(""));
        return res->wrong ? res->wrong : "failed in a response hook";
    }
    if (complete_framing(x) < 0)
        cut(x);
    res->complete = true;
    return res->wrong;
}

static void put_error_page(struct http_exchange *x)
{
    cress_response *res = &x->res;
    const char *reason = cress_status_reason(res->status);
    size_t reason_len = strlen(reason), len = 4 + reason_len + 1;
    bool has_body = !is_head_request(x);
    char *to = output_begin(x, HEAD_ROOM + res->fields_len + len);

    if (!to) {
        cut(x);
        return;
    }
    res->framing = FRAMING_LENGTH;
    res->length = res->sent = len;
    to = put_head(to, x, CRESS_STR("text/plain"));
    if (has_body) {
        to = text_put_u64(to, res->status);
        to = TEXT_PUT(to, " ");
        to = text_put(to, reason, reason_len);
        to = TEXT_PUT(to, "\n");
    }
    output_end(x, to);
    res->body_bytes = has_body ? len : 0;
}

/* The same through hooks, or with a page of the app's. False: it did not succeed. */
static bool put_hooked_error(struct http_exchange *x, int status)
{
    cress_response *res = &x->res;

    res->begun = res->complete = false;
    res->lost = 0;
    res->sent = res->body_bytes = 0;
    if (res->hooks)
        hooks_restart(res);
    head_restart(res, status);
    return pages_respond(res, status) == 0 && res->lost == 0 &&
           (!res->hooks || hooks_end(res) == 0) && complete_framing(x) == 0;
}

bool response_error(cress_response *res, int status, cress_str extra)
{
    struct http_exchange *x = exchange_of_response(res);

    res->complete = true;
    if (!retract(x)) {
        cut(x);
        return false;
    }
    if (res->hooks || x->env.pages) {
        bool is_put = put_hooked_error(x, status);
        res->complete = true;
        if (is_put)
            return true;
        if (!retract(x)) {
            cut(x);
            return false;
        }
        res->hooks = NULL;
    }
    head_restart(res, status);
    head_add_lines(res, extra); /* without memory for them they are left out */
    res->committed = true;
    if (input_blocks_next(x))
        x->http->closing = true;
    put_error_page(x);
    return true;
}

/* ---- the client's leaving -------------------------------------------------------------------- */

cress_waitable *cress_response_gone(cress_response *res)
{
    return &exchange_of_response(res)->gone.waitable;
}

void cress_response_ignore_gone(cress_response *res)
{
    res->ignores_gone = true;
}
