/* A whole connection over a memory stream, three times the same bytes:
 *
 *   whole    they are all there at once, and the client takes everything;
 *   cut      in packets as the input says, served as a server does it: between requests it does
 *            not wait in a read; while the application waits the hub reads ahead and hands
 *            out what was written; the client may be slow to take it;
 *   pieces   no read gives more than a few bytes.
 *
 * The application sees the same requests, fields and bodies, and the same errors, each time, and
 * the client gets the same responses: what happens must not depend on how packets were cut.
 * The responses are read as a strict client reads them. Exceptions are 100 Continue, which is left
 * out if the body is there already; how bodies are framed that filters held back; how much of a
 * response goes out that is given up in the middle; and what a slow client gets that leaves.
 *
 * The input's first byte picks limits, the second how things are done. Then come packets: a length
 * byte and that many bytes. The application does something different for each path. */
#define _GNU_SOURCE /* memfd_create */
#include "../../http/exchange.h"
#include "memory_stream.h"
#include "reply.h"

#include <cress/compress.h>
#include <cress/greenlet.h>
#include <cress/hook.h>
#include <cress/http1.h>
#include <cress/hub.h>
#include <cress/json.h>
#include <cress/negotiate.h>
#include <cress/upgrade.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How things are done. */
enum {
    RESTS = 1,       /* next does not wait */
    IS_SLOW = 2,     /* the client takes a few bytes at a time */
    PAUSES = 4,      /* the application waits here and there */
    SENDS_FILES = 8, /* the stream can */
    SMALL_READS = 16,
};

enum { MAX_EVENTS = 2000, MAX_SIZE = 1 << 14, FILE_SIZE = 20000 };

/* A request, or one that was refused. */
struct event {
    bool is_head, is_1_0, expects, is_switched;
    bool is_given_up; /* perhaps in the middle of the response */
    bool is_filtered;
    bool is_lost; /* the response: the client left before it had taken it */
    struct reply_text reply;
};

struct run {
    struct memory_stream stream;
    cress_http1 http;
    cress_http1_config config;
    uint8_t how;
    bool handles, watches, is_done;
    struct reply_text log; /* what the application saw, and what became of it */
    struct event *event;   /* the current one */
    struct event events[MAX_EVENTS];
    size_t count;
};

struct input {
    const uint8_t *data;
    size_t size;
    struct run *runs; /* whole, cut, pieces */
};

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct run *run, const char *format, ...)
{
    char text[500];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reply_append(&run->log, text, len < (int)sizeof text ? (size_t)len : sizeof text - 1);
}

static void note_str(struct run *run, const char *what, cress_str text)
{
    check(!text.data || text.data[text.len] == '\0', "no C string");
    reply_append(&run->log, what, strlen(what));
    reply_append(&run->log, text.data ? text.data : "(absent)", text.data ? text.len : 8);
    reply_append(&run->log, "\n", 1);
}

static void pause_here(const struct run *run)
{
    if (!(run->how & PAUSES))
        return;
    cress_sleep(0);
    cress_sleep(0);
}

/* ---- bodies -------------------------------------------------------------------------------- */

/* What was refused stays refused. */
static int fail_body(struct run *run, cress_environ *env)
{
    int error = errno;
    char byte;

    note(run, "\nbody: %s\n", strerror(error));
    check(cress_input_read(env, &byte, 1) < 0 && errno == error, "a read behind an error");
    errno = error;
    return -1;
}

/* Up to `most` bytes, which are noted, and written to res unless that is NULL. */
static int take_body(struct run *run, cress_environ *env, size_t most, cress_response *res)
{
    char buf[2000];
    size_t size = run->how & SMALL_READS ? 7 : sizeof buf;
    ssize_t got;

    while (most > 0 && (got = cress_input_read(env, buf, size < most ? size : most)) != 0) {
        if (got < 0)
            return fail_body(run, env);
        check((size_t)got <= (size < most ? size : most), "more than was asked for");
        reply_append(&run->log, buf, (size_t)got);
        if (res && cress_response_write(res, buf, (size_t)got) < 0)
            return -1;
        most -= (size_t)got;
        pause_here(run);
    }
    note(run, "\n");
    return 0;
}

static int read_all(struct run *run, cress_environ *env, cress_str *ret_body)
{
    if (cress_input_read_all(env, 5000, ret_body) == 0) {
        note_str(run, "body: ", *ret_body);
        return 0;
    }
    note(run, "all: %s\n", strerror(errno));
    return -1;
}

static int show(void *arg, cress_str key, cress_str value)
{
    cress_response *res = arg;

    check(strlen(key.data) == key.len && value.data[value.len] == '\0', "no C strings");
    return cress_response_printf(res, "%s=%s\n", key.data, value.data);
}

/* ---- applications -------------------------------------------------------------------------- */

static int show_environ(cress_environ *env, cress_response *res, struct run *run)
{
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    pause_here(run);
    cress_query_get(env, "a");
    return cress_environ_each(env, show, res) ? -1 : 0;
}

/* Answers only when all is read: what is out already cannot be taken back for an error. */
static int count_lines(cress_environ *env, cress_response *res, struct run *run)
{
    char line[40];
    ssize_t len;

    while ((len = cress_input_readline(env, line, sizeof line)) > 0) {
        check(line[len] == '\0' && !memchr(line, '\n', (size_t)len - 1), "a line");
        reply_append(&run->log, line, (size_t)len);
        pause_here(run);
    }
    if (len < 0)
        return -1;
    return cress_respond(res, 200, "text/plain", "lines", 5);
}

static int echo_all(cress_environ *env, cress_response *res, struct run *run)
{
    cress_str body;

    if (read_all(run, env, &body) < 0)
        return -1;
    note_str(run, "form: ", cress_form_get(env, body, "a"));
    return cress_respond(res, 200, "text/plain", body.data, body.len);
}

static int count(cress_environ *env, cress_response *res, struct run *run)
{
    if (take_body(run, env, SIZE_MAX, NULL) < 0 || cress_start_response(res, 200, NULL) < 0)
        return -1;
    return cress_response_printf(res, "%zu", run->log.len);
}

static int read_a_part(cress_environ *env, cress_response *res, struct run *run)
{
    if (take_body(run, env, 10, NULL) < 0)
        return -1;
    pause_here(run);
    return cress_respond(res, 200, NULL, "part", 4);
}

static int read_nothing(cress_environ *env, cress_response *res, struct run *run)
{
    (void)env;
    pause_here(run);
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    check(!cress_response_get_header(res, "X").data, "a field that was not set");
    if (cress_response_write(res, "none", 4) < 0)
        return -1;
    pause_here(run);
    return cress_response_flush(res);
}

static int write_before_reading(cress_environ *env, cress_response *res, struct run *run)
{
    if (cress_start_response(res, 200, NULL) < 0 || cress_response_write(res, "first ", 6) < 0)
        return -1;
    run->event->is_given_up = true;
    pause_here(run);
    if (take_body(run, env, SIZE_MAX, res) < 0)
        return -1;
    run->event->is_given_up = false;
    return 0;
}

static int limit_body(cress_environ *env, cress_response *res, struct run *run)
{
    if (cress_input_limit(env, 30) < 0)
        note(run, "too large\n");
    if (take_body(run, env, SIZE_MAX, NULL) < 0)
        return -1;
    return cress_respond(res, 200, NULL, "limit", 5);
}

/* What the client sent must not be able to split a response. */
static int reflect(cress_environ *env, cress_response *res, struct run *run)
{
    cress_str name = cress_query_get(env, "n"), value = cress_query_get(env, "v");
    cress_str length = cress_query_get(env, "l"), first = cress_query_get(env, "b");

    if (first.data && cress_response_add_header(res, "B", first.data) < 0)
        note(run, "not to be set\n");
    if (cress_start_response(res, 200, CRESS_HEADERS({ "X", value.data ? value.data : "" })) < 0)
        return -1;
    if (name.data && cress_response_set_header(res, name.data, value.data ? value.data : "") < 0)
        note(run, "not set\n");
    if (length.data && cress_response_add_header(res, "Content-Length", length.data) < 0)
        return -1;
    if (cress_response_write(res, "hello", 5) < 0)
        return -1;
    if (name.data && cress_response_add_trailer(res, name.data, value.data) < 0)
        note(run, "no trailer\n");
    pause_here(run);
    return 0;
}

static int redirect(cress_environ *env, cress_response *res, struct run *run)
{
    cress_str value = cress_query_get(env, "v");

    note(run, "%d\n", value.data && cress_is_local_path(value));
    return cress_redirect(res, 303, value.data ? value.data : "/");
}

/* Trailer fields, which come and go. */
static int trail(cress_environ *env, cress_response *res, struct run *run)
{
    cress_str body, trailer, hint = cress_query_get(env, "v");

    if (read_all(run, env, &body) < 0 || cress_start_response(res, 200, NULL) < 0 ||
        cress_response_early_hints(res, CRESS_HEADERS({ "Link", hint.data ? hint.data : "</a>" })) <
            0 ||
        cress_response_write(res, body.data, body.len) < 0)
        return -1;
    trailer = cress_trailer_get(env, "A");
    check(!trailer.data || strlen(trailer.data) == trailer.len, "no C string");
    note_str(run, "A: ", trailer);
    note_str(run, "Host: ", cress_trailer_get(env, "Host"));
    return trailer.data ? cress_response_add_trailer(res, "A", trailer.data) : 0;
}

static int echo_stream(cress_environ *env, cress_response *res, struct run *run)
{
    cress_stream *stream;
    char buf[100];
    ssize_t got;

    if (!cress_upgrade_offered(env, "a"))
        return cress_respond(res, 426, NULL, NULL, 0);
    if (cress_upgrade(res, "a", NULL, &stream) < 0) {
        note(run, "upgrade: %s\n", strerror(errno));
        return -1;
    }
    run->event->is_switched = true;
    while ((got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0) {
        reply_append(&run->log, buf, (size_t)got);
        if (cress_stream_write_all(stream, buf, (size_t)got) < 0)
            return -1;
        pause_here(run);
    }
    return 0;
}

static int send_file(cress_environ *env, cress_response *res, struct run *run)
{
    static int fd = -1;
    cress_str offset = cress_query_get(env, "o"), len = cress_query_get(env, "l");
    char bytes[FILE_SIZE];

    if (fd < 0) {
        memset(bytes, 'f', sizeof bytes);
        fd = memfd_create("file", MFD_CLOEXEC);
        check(fd >= 0 && write(fd, bytes, sizeof bytes) == FILE_SIZE, "a file");
    }
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    pause_here(run);
    return cress_response_send_file(res, fd, offset.data ? atoi(offset.data) : 0,
                                    len.data ? (size_t)atoi(len.data) % 30000 : FILE_SIZE);
}

static int write_json(cress_environ *env, cress_response *res, struct run *run)
{
    cress_str value = cress_query_get(env, "v");
    cress_json json;

    (void)run;
    cress_json_begin(&json, env, 10000);
    cress_json_object(&json);
    cress_json_key(&json, "path");
    cress_json_string(&json, cress_path(env));
    cress_json_key(&json, "v");
    cress_json_string(&json, value);
    cress_json_end(&json);
    return cress_json_respond(&json, res, 200);
}

/* ---- filters ------------------------------------------------------------------------------- */

/* Reads all of it first: an error behind the first byte would be told in another way. The query
 * may ask for many times the same. */
static int echo_slowly(cress_environ *env, cress_response *res, void *self)
{
    struct run *run = self;
    cress_str body, times = cress_query_get(env, "x");
    int left = times.data ? atoi(times.data) % 10 : 0;

    if (read_all(run, env, &body) < 0 ||
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })) < 0)
        return -1;
    do
        for (size_t at = 0, len; at < body.len; at += len) {
            len = body.len - at < 500 ? body.len - at : 500;
            if (cress_response_write(res, body.data + at, len) < 0)
                return -1;
            pause_here(run);
        }
    while (left-- > 0);
    return 0;
}

/* Holds back what it can. */
struct holder {
    cress_hook hook;
    size_t len;
    char held[64];
};

static int flush_held(cress_hook *hook, cress_response *res)
{
    struct holder *holder = (struct holder *)hook;

    if (cress_hook_pass(hook, res, holder->held, holder->len) < 0)
        return -1;
    holder->len = 0;
    return 0;
}

static int hold(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    struct holder *holder = (struct holder *)hook;
    const char *at = data;

    for (size_t some; len > 0; at += some, len -= some) {
        if (holder->len == sizeof holder->held && flush_held(hook, res) < 0)
            return -1;
        some = sizeof holder->held - holder->len;
        some = some < len ? some : len;
        memcpy(holder->held + holder->len, at, some);
        holder->len += some;
    }
    return 0;
}

static int forget_held(cress_hook *hook, cress_response *res)
{
    ((struct holder *)hook)->len = 0;
    return cress_response_set_header(res, "X-Held", "yes");
}

static int echo_held(cress_environ *env, cress_response *res, struct run *run)
{
    for (int i = 0; i < 2; i++) {
        struct holder *holder = cress_environ_alloc(env, sizeof *holder);
        check(holder, "memory");
        *holder = (struct holder){
            .hook = { .head = forget_held, .write = hold, .flush = flush_held, .end = flush_held }
        };
        if (cress_response_add_hook(res, &holder->hook) < 0)
            return -1;
    }
    run->event->is_filtered = true;
    return echo_slowly(env, res, run);
}

/* gzip only, which is read again below. */
static int echo_compressed(cress_environ *env, cress_response *res, struct run *run)
{
    static cress_compress_options options = { .level = 1, .min_size = 1 };
    const cress_layer layers[] = { { cress_compress, &options },
                                   { echo_slowly, run },
                                   { NULL, NULL } };
    static const char *const offers[] = { "gzip", "br", "zstd", NULL };

    if (cress_accept_encoding(env, offers) != 0)
        return echo_slowly(env, res, run);
    for (int i = 1; offers[i]; i++)
        if (cress_accept_encoding(env, &offers[i]) >= 0)
            return echo_slowly(env, res, run);
    run->event->is_filtered = true;
    return cress_run_chain(env, res, layers);
}

static int give_page(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    return cress_respond(res, cress_response_status(res), "text/plain", cress_path(env).data,
                         cress_path(env).len);
}

static int read_and_fail(cress_environ *env, cress_response *res, void *self)
{
    (void)res;
    if (take_body(self, env, SIZE_MAX, NULL) < 0)
        return -1;
    errno = ENOENT;
    return -1;
}

static int show_error_pages(cress_environ *env, cress_response *res, struct run *run)
{
    static const cress_error_page pages[] = { { 0, give_page, NULL }, { 0, NULL, NULL } };
    static const uint64_t limit = 40;
    const cress_layer layers[] = {
        { cress_security_headers, NULL },
        { cress_error_pages, (void *)(uintptr_t)pages },
        { cress_body_limit, (void *)(uintptr_t)&limit },
        { read_and_fail, run },
        { NULL, NULL },
    };

    return cress_run_chain(env, res, layers);
}

/* ---- which of them ------------------------------------------------------------------------- */

static bool is_1_0(const cress_environ *env)
{
    return cress_str_equal(cress_environ_get(env, "SERVER_PROTOCOL"), "HTTP/1.0");
}

static int call(cress_environ *env, cress_response *res, struct run *run)
{
    static const struct {
        char letter;
        int (*app)(cress_environ *env, cress_response *res, struct run *run);
        bool is_not_for_1_0; /* where filters decide whether the connection goes on */
    } apps[] = {
        { 'a', echo_all, false },       { 'c', count, false },
        { 'd', limit_body, false },     { 'e', show_environ, false },
        { 'f', send_file, false },      { 'h', echo_held, true },
        { 'i', redirect, false },       { 'j', write_json, false },
        { 'l', count_lines, false },    { 'n', read_nothing, false },
        { 'p', read_a_part, false },    { 'q', show_error_pages, false },
        { 'r', reflect, false },        { 't', trail, false },
        { 'u', echo_stream, false },    { 'w', write_before_reading, false },
        { 'z', echo_compressed, true },
    };
    cress_str path = cress_path(env);
    char letter = path.len > 1 ? path.data[1] : '\0';

    if (letter == 's')
        return 0;
    for (size_t i = 0; i < sizeof apps / sizeof apps[0]; i++)
        if (letter == apps[i].letter && !(apps[i].is_not_for_1_0 && is_1_0(env)))
            return apps[i].app(env, res, run);
    return cress_respond(res, 200 + (int)(path.len % 300), NULL, "hello", 5);
}

static void note_request(struct run *run, const cress_environ *env)
{
    cress_str name, value;

    note_str(run, "method: ", cress_method(env));
    note_str(run, "target: ", cress_target(env));
    note_str(run, "path: ", cress_path(env));
    note_str(run, "query: ", cress_query_string(env));
    note_str(run, "version: ", cress_environ_get(env, "SERVER_PROTOCOL"));
    check(!memchr(cress_path(env).data, '\0', cress_path(env).len), "a zero byte in the path");
    for (size_t i = 0; cress_header_at(env, i, &name, &value); i++) {
        note_str(run, "field: ", name);
        note_str(run, "value: ", value);
        check(strlen(name.data) == name.len && strlen(value.data) == value.len, "a zero byte");
        check(!strpbrk(value.data, "\r\n"), "a line end in a field");
    }
}

/* ---- a server ------------------------------------------------------------------------------ */

static struct event *begin_event(struct run *run)
{
    check(run->count < MAX_EVENTS, "as many requests as that");
    run->event = &run->events[run->count++];
    *run->event = (struct event){ .is_head = false };
    return run->event;
}

static void note_end(struct run *run)
{
    const char *refusal = cress_http1_refusal(&run->http);
    cress_http1_log log;

    cress_http1_get_log(&run->http, &log);
    run->event->is_head = log.method.data && cress_str_equal(log.method, "HEAD");
    if (!run->event->is_given_up)
        note(run, "status: %d\n", log.status);
    note(run, "refusal: %s\n", refusal ? refusal : "none");
    check(!run->http.refused || refusal, "refused without a reason");
}

static void handle(struct run *run)
{
    cress_environ *env = cress_http1_environ(&run->http);
    struct event *event = begin_event(run);

    note_request(run, env);
    event->is_1_0 = is_1_0(env);
    event->expects = cress_header_get(env, "Expect").data;
    errno = 0;
    run->handles = run->watches = true;
    int result = call(env, cress_http1_response(&run->http), run);
    int error = errno;
    run->handles = false;
    if (run->http.gone)
        event->is_given_up = true;
    const char *wrong = cress_http1_finish(&run->http, result, error);
    if (wrong && strncmp(wrong, "wrote", 5) == 0)
        event->is_given_up = true;
    note(run, "result: %d %s, %s\n", result, result ? strerror(error) : "", wrong ? wrong : "");
    note_end(run);
}

static void wait_for_bytes(struct run *run)
{
    struct memory_stream *s = &run->stream;

    if (s->in_pos == s->in_len && !s->ended) {
        cress_event_clear(&s->readable);
        cress_event_wait(&s->readable, CRESS_FOREVER);
    }
    run->http.readable = true;
}

/* False: the connection is over; what was refused is an event, too. */
static bool next_request(struct run *run)
{
    for (;;) {
        bool was_over = run->http.closing;
        switch (cress_http1_next(&run->http, !(run->how & RESTS))) {
        case CRESS_HTTP1_REQUEST:
            return true;
        case CRESS_HTTP1_CLOSE:
            if (!was_over && run->http.refused) {
                begin_event(run);
                note_end(run);
                run->event->is_head = run->http.exchange && run->http.exchange->env.is_head;
            }
            return false;
        default:
            check(run->how & RESTS, "next was to wait");
            wait_for_bytes(run);
        }
    }
}

static void before_wait(void *arg)
{
    struct run *run = arg;

    if (!run->handles)
        return;
    cress_http1_push(&run->http);
    run->watches = true;
}

static void *serve(void *arg)
{
    static const cress_greenlet_hooks hooks = { .before_wait = before_wait };
    struct run *run = arg;

    cress_http1_init(&run->http, &run->stream.stream, &run->config, NULL);
    run->http.readable = true;
    cress_set_hooks(cress_self(), &hooks, run);
    while (next_request(run))
        handle(run);
    cress_set_hooks(cress_self(), NULL, NULL);
    cress_http1_destroy(&run->http);
    run->is_done = true;
    return NULL;
}

/* ---- a client ------------------------------------------------------------------------------ */

/* What a hub does when the socket becomes readable or writable. A client that sends no more has not
 * left, if that is allowed; else the hub looks away, since it would be a matter of time who
 * finds out first. */
static void let_run(struct run *run)
{
    if (run->how & IS_SLOW)
        memory_stream_set_room(&run->stream, run->stream.out_room + 100);
    if (run->handles && run->watches && (!run->stream.ended || run->config.allow_half_close))
        run->watches = cress_http1_pull(&run->http) > 0;
    cress_sleep(0);
    cress_sleep(0);
}

static void *send_packets(void *arg)
{
    struct input *input = arg;
    struct run *cut = &input->runs[1];

    for (size_t at = 2; at < input->size;) {
        size_t len = input->data[at++];
        len = len < input->size - at ? len : input->size - at;
        for (int i = 0; i < 3; i++)
            memory_stream_send(&input->runs[i].stream, input->data + at, len);
        at += len;
        let_run(cut);
    }
    for (int i = 0; i < 3; i++)
        memory_stream_end(&input->runs[i].stream);
    while (!cut->is_done)
        let_run(cut);
    return NULL;
}

static cress_http1_config make_config(uint8_t options)
{
    return (cress_http1_config){
        .limit_request_line = options & 1 ? 100 : 0,
        .limit_request_fields = options & 2 ? 5 : 0,
        .limit_request_field_size = options & 4 ? 60 : 0,
        .limit_request_head = options & 8 ? 200 : 0,
        .limit_request_body = options & 16 ? 50 : 0,
        .keep_alive = options & 32 ? 0 : 5,
        .server_software = "",
        .allow_half_close = options & 64,
    };
}

static void init(struct run *run, const struct input *input, uint8_t how)
{
    memory_stream_init(&run->stream);
    run->config = make_config(input->data[0]);
    run->how = how;
    if (how & IS_SLOW)
        memory_stream_set_room(&run->stream, 0);
    if (how & SENDS_FILES)
        memory_stream_offer_send_file(&run->stream);
    run->log = (struct reply_text){ .data = NULL };
    run->count = 0;
    run->handles = run->watches = run->is_done = false;
    note(run, "begin\n");
}

static void finish(struct run *run)
{
    memory_stream_finish(&run->stream);
    free(run->log.data);
    for (size_t i = 0; i < run->count; i++)
        free(run->events[i].reply.data);
}

static void *run_all(void *arg)
{
    static const size_t pieces[] = { 1, 2, 3, 5, 8, 13, 100, 500 };
    struct input *input = arg;
    uint8_t how = input->data[1];
    cress_greenlet *client;

    init(&input->runs[0], input, 0);
    init(&input->runs[1], input, how);
    init(&input->runs[2], input, how & SMALL_READS);
    input->runs[2].stream.piece = pieces[how >> 5];
    client = cress_spawn(send_packets, input);
    serve(&input->runs[1]);
    cress_join(client, CRESS_FOREVER);
    cress_release(client);
    serve(&input->runs[0]);
    serve(&input->runs[2]);
    return NULL;
}

/* ---- what came of it ----------------------------------------------------------------------- */

static void inflate_to(struct reply_text *text, const struct reply_text *body)
{
    z_stream z = { .next_in = (Bytef *)body->data, .avail_in = (uInt)body->len };
    char buf[4096];
    int result;

    check(inflateInit2(&z, 15 + 16) == Z_OK, "zlib");
    do {
        z.next_out = (Bytef *)buf;
        z.avail_out = sizeof buf;
        result = inflate(&z, Z_NO_FLUSH);
        check(result == Z_OK || result == Z_STREAM_END, "what was compressed");
        reply_append(text, buf, sizeof buf - z.avail_out);
    } while (result != Z_STREAM_END);
    check(z.avail_in == 0, "bytes behind what was compressed");
    inflateEnd(&z);
}

static void note_reply(struct event *event, const struct reply *reply)
{
    char status[20];
    int len = snprintf(status, sizeof status, "%d\n", reply->status);

    reply_append(&event->reply, status, (size_t)len);
    if (!event->is_filtered)
        reply_append(&event->reply, reply->fields.data, reply->fields.len);
    reply_append(&event->reply, "\n", 1);
    if (event->is_filtered && reply_has(reply, "Content-Encoding: gzip") && !event->is_head)
        inflate_to(&event->reply, &reply->body);
    else
        reply_append(&event->reply, reply->body.data, reply->body.len);
    reply_append(&event->reply, reply->trailers.data, reply->trailers.len);
}

/* Half a response, or none. */
static void lose_reply(struct run *run, struct event *event, bool is_last)
{
    bool has_left = run->how & IS_SLOW && run->events[run->count - 1].is_given_up;

    check(has_left || (is_last && event->is_given_up), "half a response, or none");
    event->is_lost = true;
}

/* Also an interim one; true: it was final. */
static bool read_reply(struct run *run, struct event *event, const char **at, bool is_last)
{
    const char *end = run->stream.out + run->stream.out_len;
    struct reply reply;
    const char *wrong = reply_read(&reply, at, end, event->is_head);

    if (wrong)
        fprintf(stderr, "%s\n", wrong);
    check(!wrong, "a malformed response");
    check(!reply.is_until_close || is_last, "something behind the end");
    check(!event->is_1_0 || (!reply.is_chunked && (reply.status >= 200 || !reply.is_whole)),
          "what HTTP/1.0 does not know");
    check(reply.status != 101 || event->is_switched, "101 without an upgrade");
    if (!reply.is_whole) {
        lose_reply(run, event, is_last);
    } else if (reply.status == 100) {
        check(event->expects, "100 that was not asked for");
        event->expects = false;
    } else {
        note_reply(event, &reply);
    }
    bool is_final = !reply.is_whole || reply.status == 101 || reply.status >= 200;
    reply_finish(&reply);
    return is_final;
}

static void read_replies(struct run *run)
{
    const char *at = run->stream.out, *end = at + run->stream.out_len;

    for (size_t i = 0; i < run->count; i++) {
        struct event *event = &run->events[i];
        bool is_last = i == run->count - 1, is_final = false;
        while (!is_final && at < end)
            is_final = read_reply(run, event, &at, is_last);
        if (!is_final)
            lose_reply(run, event, is_last);
        if (event->is_switched) {
            reply_append(&event->reply, at, (size_t)(end - at));
            at = end;
        }
    }
    check(at == end, "bytes behind the last response");
}

static bool is_same(const struct reply_text *a, const struct reply_text *b, const char *what)
{
    if (a->len == b->len && memcmp(a->data, b->data, a->len) == 0)
        return true;
    fprintf(stderr, "--- %s\n%.*s\n--- or\n%.*s\n", what, (int)a->len, a->data, (int)b->len,
            b->data);
    return false;
}

static void compare(const struct run *a, const struct run *b)
{
    check(is_same(&a->log, &b->log, "the application"), "other requests");
    check(a->count == b->count, "another number of requests");
    for (size_t i = 0; i < a->count; i++) {
        const struct event *one = &a->events[i], *other = &b->events[i];
        check(one->is_given_up == other->is_given_up && one->is_filtered == other->is_filtered &&
                  one->is_switched == other->is_switched && one->is_head == other->is_head,
              "another kind of event");
        if (!one->is_given_up && !one->is_lost && !other->is_lost)
            check(is_same(&one->reply, &other->reply, "a response"), "another response");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run runs[3];
    struct input input = { .data = data, .size = size, .runs = runs };

    if (size < 2 || size > MAX_SIZE)
        return 0;
    cress_run_with(&(cress_hub_options){ .virtual_clock = true }, run_all, &input);
    for (int i = 0; i < 3; i++)
        read_replies(&runs[i]);
    compare(&runs[0], &runs[1]);
    compare(&runs[0], &runs[2]);
    for (int i = 0; i < 3; i++)
        finish(&runs[i]);
    return 0;
}
