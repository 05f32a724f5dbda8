/* What the applications of http1.c do, one path each: read bodies in all ways and write them back, by
 * themselves and behind filters; give errors, files, trailers; change the protocol. What each
 * sees it notes; what it sees must not depend on when it comes. */
#define _GNU_SOURCE /* memfd_create */
#include "run.h"

#include <cress/compress.h>
#include <cress/greenlet.h>
#include <cress/hook.h>
#include <cress/json.h>
#include <cress/negotiate.h>
#include <cress/upgrade.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_SIZE = 20000 };

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

int call(cress_environ *env, cress_response *res, struct run *run)
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
