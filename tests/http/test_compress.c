#include "fail_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <cress/compress.h>
#include <cress/event.h>
#include <cress/hook.h>
#include <cress/middleware.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define REQUEST(method, fields) method " / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define GZIP "Accept-Encoding: gzip\r\n"
#define GET REQUEST("GET", GZIP)

/* ---- the client's side ---------------------------------------------------------------------- */

struct answer {
    char *head; /* with its empty line; Date replaced */
    char *body; /* of chunks what is in them */
    size_t len;
    size_t chunks;
};

static void decode_chunks(struct answer *a, const char *at, const char *end)
{
    char *to = a->body;

    for (;;) {
        char *stop;
        size_t len = strtoul(at, &stop, 16);
        assert_true(stop + 2 + len + 2 <= end && memcmp(stop, "\r\n", 2) == 0);
        memcpy(to, stop + 2, len);
        to += len;
        at = stop + 2 + len + 2;
        if (len == 0)
            break;
        a->chunks++;
    }
    assert_ptr_equal(at, end);
    a->len = (size_t)(to - a->body);
}

static char *head_of(const struct wire *w)
{
    char *output = wire_output(w), *end = strstr(output, "\r\n\r\n");

    assert_non_null(end);
    end[4] = '\0';
    return output;
}

static struct answer read_answer(const struct wire *w)
{
    const char *at = strstr(w->stream.out, "\r\n\r\n") + 4,
               *end = w->stream.out + w->stream.out_len;
    struct answer a = { .head = head_of(w), .body = malloc(w->stream.out_len + 1) };

    assert_non_null(a.body);
    if (strstr(a.head, "Transfer-Encoding: chunked")) {
        decode_chunks(&a, at, end);
    } else {
        a.len = (size_t)(end - at);
        memcpy(a.body, at, a.len);
    }
    a.body[a.len] = '\0';
    return a;
}

static void free_answer(struct answer *a)
{
    free(a->head);
    free(a->body);
}

/* What `len` bytes of gzip give so far; *ret_ended: that is all. */
static char *gunzip(const void *data, size_t len, size_t *ret_len, bool *ret_ended)
{
    enum { SIZE = 1 << 20 };
    char *out = malloc(SIZE + 1);
    z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len };

    assert_non_null(out);
    z.next_out = (Bytef *)out;
    z.avail_out = SIZE;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    int result = inflate(&z, Z_SYNC_FLUSH);
    *ret_ended = result == Z_STREAM_END;
    assert_true(*ret_ended || result == Z_OK || result == Z_BUF_ERROR);
    *ret_len = SIZE - z.avail_out;
    out[*ret_len] = '\0';
    inflateEnd(&z);
    return out;
}

static cress_compress_options plain_options;

static struct answer ask_with(const char *request, cress_app *app, void *self,
                              cress_compress_options *options)
{
    const cress_layer layers[] = { { cress_compress, options }, { app, self }, { NULL, NULL } };
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)layers);
    wire_start(&w);
    wire_send(&w, request);
    struct answer a = read_answer(&w);
    wire_finish(&w);
    return a;
}

static struct answer ask(const char *request, cress_app *app, void *self)
{
    return ask_with(request, app, self, &plain_options);
}

static void check_gzip(const char *request, cress_app *app, void *self, const char *head,
                       const char *text, size_t len)
{
    struct answer a = ask(request, app, self);
    size_t got;
    bool ended;

    assert_string_equal(a.head, head);
    char *out = gunzip(a.body, a.len, &got, &ended);
    assert_true(ended);
    assert_int_equal(got, len);
    assert_memory_equal(out, text, len);
    free(out);
    free_answer(&a);
}

static void check_plain(const char *request, cress_app *app, void *self, const char *head,
                        const char *body)
{
    struct answer a = ask(request, app, self);

    assert_string_equal(a.head, head);
    assert_string_equal(a.body, body);
    free_answer(&a);
}

/* ---- apps ---------------------------------------------------------------------------------------- */

enum { SMALL = 1000, LARGE = 200000 };
static char small[SMALL + 1], large[LARGE + 1];

/* Large: what does not get small. */
static void make_texts(void)
{
    uint32_t random = 1;

    for (int i = 0; i < SMALL; i++)
        small[i] = "hello, world\n"[i % 13];
    for (int i = 0; i < LARGE; i++) {
        random = random * 1664525 + 1013904223;
        large[i] = (char)(' ' + (random >> 24) % 64);
    }
}

static int respond(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    return cress_respond(res, 200, "text/plain; charset=utf-8", self, strlen(self));
}

struct fields {
    int status;
    const cress_header *headers;
};

static int with_fields(cress_environ *env, cress_response *res, void *self)
{
    const struct fields *fields = self;

    (void)env;
    assert_ok(cress_start_response(res, fields->status ? fields->status : 200, fields->headers));
    return cress_response_write(res, small, SMALL);
}

static int in_pieces(cress_environ *env, cress_response *res, void *self)
{
    const char *text = self;
    size_t len = strlen(text);

    (void)env;
    assert_ok(
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "application/json" })));
    for (size_t at = 0; at < len; at += 100)
        assert_ok(cress_response_write(res, text + at, len - at < 100 ? len - at : 100));
    return 0;
}

/* ---- whole bodies ----------------------------------------------------------------------------------- */

static void test_small_ones_have_their_length(void)
{
    struct answer a = ask(GET, respond, small);
    char head[300];

    snprintf(head, sizeof head,
             DATED("200 OK") "Content-Length: %zu\r\nContent-Type: text/plain; charset=utf-8\r\n"
                             "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n",
             a.len);
    assert_string_equal(a.head, head);
    assert_true(a.len < 100);
    free_answer(&a);
    check_gzip(GET, respond, small, head, small, SMALL);
}

static void test_large_ones_are_chunked(void)
{
    const char *head = DATED("200 OK") "Transfer-Encoding: chunked\r\n"
                                       "Content-Type: text/plain; charset=utf-8\r\n"
                                       "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n";

    check_gzip(GET, respond, large, head, large, LARGE);
    check_gzip(GET, in_pieces, large,
               DATED("200 OK") "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
                               "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n",
               large, LARGE);
}

static void test_http_1_0(void)
{
    check_gzip("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n", respond, large,
               DATED("200 OK") "Content-Type: text/plain; charset=utf-8\r\n"
                               "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n",
               large, LARGE);
}

/* ---- what is left alone ------------------------------------------------------------------------------- */

#define PLAIN_HEAD(length, fields) DATED("200 OK") "Content-Length: " length "\r\n" fields "\r\n"

static void test_the_client_decides(void)
{
    const char *seen = PLAIN_HEAD("1000", "Content-Type: text/plain; charset=utf-8\r\n"
                                          "Vary: Accept-Encoding\r\n");

    check_plain(REQUEST("GET", ""), respond, small, seen, small);
    check_plain(REQUEST("GET", "Accept-Encoding: gzip;q=0\r\n"), respond, small, seen, small);
    check_plain(REQUEST("GET", "Accept-Encoding: deflate\r\n"), respond, small, seen, small);
    check_plain(REQUEST("GET", "Accept-Encoding: gzip;q=0.5, identity\r\n"), respond, small, seen,
                small);
}

static void test_small_bodies(void)
{
    char text[257];

    memset(text, 'x', 256);
    text[255] = '\0';
    check_plain(GET, respond, text,
                PLAIN_HEAD("255", "Content-Type: text/plain; charset=utf-8\r\n"), text);
    check_plain(GET, in_pieces, text,
                PLAIN_HEAD("255", "Content-Type: application/json\r\nVary: Accept-Encoding\r\n"),
                text);
    check_plain(GET, in_pieces, "",
                PLAIN_HEAD("0", "Content-Type: application/json\r\nVary: Accept-Encoding\r\n"), "");
    text[255] = 'x';
    text[256] = '\0';
    struct answer a = ask(GET, respond, text);
    assert_non_null(strstr(a.head, "Content-Encoding: gzip"));
    free_answer(&a);
    a = ask(GET, in_pieces, text);
    assert_non_null(strstr(a.head, "Content-Encoding: gzip"));
    free_answer(&a);
}

static bool is_compressed(int status, const cress_header *headers, cress_compress_options *options)
{
    struct fields fields = { status, headers };
    struct answer a = ask_with(GET, with_fields, &fields, options);
    bool compressed = strstr(a.head, "Content-Encoding: gzip\r\n") != NULL;

    if (!compressed)
        assert_int_equal(a.len, SMALL);
    free_answer(&a);
    return compressed;
}

#define TYPE(type) CRESS_HEADERS({ "Content-Type", type })
#define AND(name, value) CRESS_HEADERS({ "Content-Type", "text/html" }, { name, value })

static void test_types(void)
{
    static const char *const small_types[] = {
        "text/html",        "TEXT/CSS;charset=utf-8",   "application/json",
        "image/svg+xml",    "application/ld+json",      "application/javascript ; v=1",
        "application/wasm", "application/problem+json", "text/event-stream",
    };
    static const char *const other_types[] = {
        "image/png", "application/octet-stream", "video/mp4", "application/zip", "textual/x",
        "text",      "application/jsonp",
    };
    static const char *const mine[] = { "application/jsonp", NULL };
    cress_compress_options options = { .types = mine };

    for (size_t i = 0; i < sizeof small_types / sizeof small_types[0]; i++)
        assert_true(is_compressed(200, TYPE(small_types[i]), &plain_options));
    for (size_t i = 0; i < sizeof other_types / sizeof other_types[0]; i++)
        assert_false(is_compressed(200, TYPE(other_types[i]), &plain_options));
    assert_false(is_compressed(200, NULL, &plain_options));
    assert_true(is_compressed(200, TYPE("application/jsonp"), &options));
    assert_true(is_compressed(200, TYPE("text/html"), NULL));
    cress_compress_finish(&options);
}

static void test_bodies_that_must_stay(void)
{
    assert_true(is_compressed(404, TYPE("text/html"), &plain_options));
    assert_false(is_compressed(206, AND("Content-Range", "bytes 0-999/2000"), &plain_options));
    assert_false(is_compressed(200, AND("Content-Encoding", "x"), &plain_options));
    assert_false(is_compressed(200, AND("content-range", "bytes 0-999/2000"), &plain_options));
    assert_false(is_compressed(200, AND("Repr-Digest", "sha-256=:x:"), &plain_options));
    assert_false(is_compressed(200, AND("Cache-Control", "private, No-Transform"), &plain_options));
    assert_false(
        is_compressed(200,
                      CRESS_HEADERS({ "Content-Type", "text/html" }, { "Cache-Control", "private" },
                                    { "Cache-Control", "no-transform" }),
                      &plain_options));
    assert_true(is_compressed(200, AND("Cache-Control", "private"), &plain_options));
}

/* A part says of the whole that it depends on the client (RFC 9110 15.3.7), and stays what it is. */
static void test_parts(void)
{
    struct fields fields = {
        206,
        CRESS_HEADERS({ "Content-Type", "text/html" }, { "Content-Range", "bytes 0-999/2000" },
                      { "ETag", "\"v1\"" }),
    };

    for (int i = 0; i < 2; i++) {
        struct answer a = ask(i ? REQUEST("GET", "") : GET, with_fields, &fields);
        assert_non_null(strstr(a.head, "Vary: Accept-Encoding\r\n"));
        assert_non_null(strstr(a.head, "ETag: \"v1\"\r\n"));
        assert_null(strstr(a.head, "Content-Encoding"));
        assert_int_equal(a.len, SMALL);
        free_answer(&a);
    }
}

/* Of two such layers the inner one does it. */
static int twice(cress_environ *env, cress_response *res, void *self)
{
    const cress_layer layers[] = { { cress_compress, NULL }, { respond, self }, { NULL, NULL } };

    return cress_run_chain(env, res, layers);
}

static void test_no_double_work(void)
{
    struct answer a = ask(GET, twice, small);
    char *found = strstr(a.head, "Content-Encoding: gzip\r\n");

    assert_non_null(found);
    assert_null(strstr(found + 1, "Content-Encoding"));
    size_t len;
    bool ended;
    char *out = gunzip(a.body, a.len, &len, &ended);
    assert_string_equal(out, small);
    free(out);
    free_answer(&a);
}

/* ---- heads ------------------------------------------------------------------------------------------------ */

static const cress_header rich[] = {
    { "Content-Type", "text/html" }, { "ETag", "\"v1\"" },         { "Accept-Ranges", "bytes" },
    { "Vary", "accept-encoding" },   { "Content-Length", "1000" }, { NULL, NULL },
};

static void test_fields_follow(void)
{
    struct fields fields = { .headers = rich };
    struct answer a = ask(GET, with_fields, &fields);
    char head[300];

    snprintf(
        head, sizeof head,
        DATED(
            "200 OK") "Content-Length: %zu\r\nContent-Type: text/html\r\nVary: accept-encoding\r\n"
                      "Content-Encoding: gzip\r\nETag: W/\"v1\"\r\n\r\n",
        a.len);
    assert_string_equal(a.head, head);
    free_answer(&a);
}

/* RFC 9110 9.3.2: the fields of GET, but for a length that would have to be found out. */
static void test_head(void)
{
    struct fields fields = { .headers = rich };

    check_plain(REQUEST("HEAD", GZIP), with_fields, &fields,
                DATED("200 OK") "Content-Type: text/html\r\nVary: accept-encoding\r\n"
                                "Content-Encoding: gzip\r\nETag: W/\"v1\"\r\n\r\n",
                "");
    check_plain(
        REQUEST("HEAD", GZIP), respond, large,
        DATED("200 OK") "Content-Type: text/plain; charset=utf-8\r\nVary: Accept-Encoding\r\n"
                        "Content-Encoding: gzip\r\n\r\n",
        "");
    check_plain(REQUEST("HEAD", GZIP), in_pieces, large,
                DATED("200 OK") "Content-Type: application/json\r\nVary: Accept-Encoding\r\n"
                                "Content-Encoding: gzip\r\n\r\n",
                "");
    check_plain(REQUEST("HEAD", GZIP), in_pieces, "hello",
                PLAIN_HEAD("5", "Content-Type: application/json\r\nVary: Accept-Encoding\r\n"), "");
    check_plain(
        REQUEST("HEAD", ""), respond, small,
        PLAIN_HEAD("1000", "Content-Type: text/plain; charset=utf-8\r\nVary: Accept-Encoding\r\n"),
        "");
}

static int not_modified(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(res, 304, CRESS_HEADERS({ "ETag", "\"v1\"" }));
}

static void test_not_modified(void)
{
    check_plain(GET, not_modified, NULL,
                DATED("304 Not Modified") "Vary: Accept-Encoding\r\nETag: W/\"v1\"\r\n\r\n", "");
    check_plain(REQUEST("GET", ""), not_modified, NULL,
                DATED("304 Not Modified") "ETag: \"v1\"\r\nVary: Accept-Encoding\r\n\r\n", "");
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static int send_file(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/css" })));
    return cress_response_send_file(res, *(int *)self, 0, LARGE);
}

static void test_files(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = fileno(file);

    assert_int_equal(pwrite(fd, large, LARGE, 0), LARGE);
    check_gzip(GET, send_file, &fd,
               DATED("200 OK") "Transfer-Encoding: chunked\r\nContent-Type: text/css\r\n"
                               "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n",
               large, LARGE);
    fclose(file);
}

/* ---- streams -------------------------------------------------------------------------------------------- */

static int events(cress_environ *env, cress_response *res, void *self)
{
    cress_event *next = self;

    (void)env;
    assert_ok(
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/event-stream" })));
    for (int i = 0; i < 3; i++) {
        assert_ok(cress_response_printf(res, "data: %d\n\n", i));
        cress_event_clear(next);
        assert_ok(cress_event_wait(next, CRESS_FOREVER));
    }
    return 0;
}

/* The content of the chunks that are there, decoded. */
static char *decoded_so_far(const struct wire *w)
{
    const char *at = strstr(w->stream.out, "\r\n\r\n");
    char *body = malloc(w->stream.out_len), *to = body;
    size_t len;
    bool ended;

    assert_non_null(at);
    assert_non_null(body);
    for (at += 4; *at;) {
        char *stop;
        len = strtoul(at, &stop, 16);
        memcpy(to, stop + 2, len);
        to += len;
        at = stop + 2 + len + 2;
    }
    char *text = gunzip(body, (size_t)(to - body), &len, &ended);
    free(body);
    return text;
}

static void check_decoded(const struct wire *w, const char *expected)
{
    char *text = decoded_so_far(w);

    assert_string_equal(text, expected);
    free(text);
}

/* Each event is there, and can be decoded, as soon as the app waits. */
static void test_events_leave_at_once(void)
{
    cress_event next = CRESS_EVENT_INIT;
    const cress_layer layers[] = { { cress_compress, &plain_options },
                                   { events, &next },
                                   { NULL, NULL } };
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)layers);
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, "Content-Encoding: gzip\r\n"));
    check_decoded(&w, "data: 0\n\n");
    size_t before = w.stream.out_len;
    wire_settle();
    assert_int_equal(w.stream.out_len, before);
    cress_event_set(&next);
    wire_settle();
    check_decoded(&w, "data: 0\n\ndata: 1\n\n");
    cress_event_set(&next);
    wire_settle();
    cress_event_set(&next);
    wire_settle();
    check_decoded(&w, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert_non_null(strstr(w.stream.out + w.stream.out_len - 7, "\r\n0\r\n\r\n"));
    wire_finish(&w);
}

/* A client that takes a little now and then gets everything, whatever state that finds the
 * compressor in. */
static int write_and_wait(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })));
    for (size_t at = 0; at < LARGE; at += 10000) {
        assert_ok(cress_response_write(res, large + at, 10000));
        assert_ok(cress_sleep(0.001));
    }
    return 0;
}

static void test_a_slow_client(void)
{
    const cress_layer layers[] = { { cress_compress, &plain_options },
                                   { write_and_wait, NULL },
                                   { NULL, NULL } };
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)layers);
    memory_stream_set_room(&w.stream, 0);
    wire_start(&w);
    wire_send(&w, GET);
    while (w.stream.out_len < 5 || strcmp(w.stream.out + w.stream.out_len - 5, "0\r\n\r\n") != 0) {
        memory_stream_set_room(&w.stream, 777);
        assert_ok(cress_sleep(0.01));
    }
    struct answer a = read_answer(&w);
    size_t len;
    bool ended;
    char *out = gunzip(a.body, a.len, &len, &ended);
    assert_true(ended);
    assert_int_equal(len, LARGE);
    assert_memory_equal(out, large, LARGE);
    free(out);
    free_answer(&a);
    wire_finish(&w);
}

/* ---- what goes wrong ----------------------------------------------------------------------------------- */

static int fail_inside(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })));
    assert_ok(cress_response_write(res, small, SMALL));
    errno = EIO;
    return -1;
}

static void test_an_error_page_instead(void)
{
    check_plain(
        GET, fail_inside, NULL,
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: text/plain\r\n\r\n",
        "500 Internal Server Error\n");
}

static int give_too_little(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(
        res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" }, { "Content-Length", "200001" })));
    return cress_response_write(res, large, LARGE);
}

static void test_a_short_body_is_cut(void)
{
    const cress_layer layers[] = { { cress_compress, &plain_options },
                                   { give_too_little, NULL },
                                   { NULL, NULL } };
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)layers);
    wire_start(&w);
    wire_send(&w, GET);
    assert_true(w.is_closed);
    assert_int_not_equal(memcmp(w.stream.out + w.stream.out_len - 5, "0\r\n\r\n", 5), 0);
    assert_string_equal(w.wrong, "wrote less than its Content-Length");
    wire_finish(&w);
}

/* ---- the compressors ------------------------------------------------------------------------------------ */

static void test_compressors_are_used_again(void)
{
    cress_compress_options options = { .level = 1, .min_size = 1 };

    for (int i = 0; i < 3; i++) {
        struct answer a = ask_with(GET, respond, small, &options);
        size_t len;
        bool ended;
        char *out = gunzip(a.body, a.len, &len, &ended);
        assert_true(ended);
        assert_string_equal(out, small);
        free(out);
        free_answer(&a);
        assert_int_equal(options.idle_count, 1);
    }
    errno = 7;
    cress_compress_finish(&options);
    assert_int_equal(options.idle_count, 0);
    cress_compress_finish(&options);
    cress_compress_finish(NULL);
    assert_int_equal(errno, 7);
}

static bool begins_with(const struct answer *a, const char *magic, size_t len)
{
    return a->len > len && memcmp(a->body, magic, len) == 0;
}

/* Which others there are depends on the build. */
static void test_other_codings(void)
{
    struct answer a =
        ask(REQUEST("GET", "Accept-Encoding: zstd, identity;q=0.5\r\n"), respond, large);
    if (strstr(a.head, "Content-Encoding: zstd\r\n"))
        assert_true(begins_with(&a, "\x28\xb5\x2f\xfd", 4) && a.len < LARGE);
    else
        assert_string_equal(a.body, large);
    free_answer(&a);

    a = ask(REQUEST("GET", "Accept-Encoding: br, identity;q=0.5\r\n"), respond, large);
    if (strstr(a.head, "Content-Encoding: br\r\n"))
        assert_true(a.len < LARGE * 9 / 10 && a.len > LARGE / 2);
    else
        assert_string_equal(a.body, large);
    free_answer(&a);
}

/* ---- out of memory ------------------------------------------------------------------------- */

static int failing;

/* The allocation of that number fails while the app and the layers inside run. */
static int fail_one(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    allocations_left = failing;
    int result = cress_next(env, res);
    int error = errno;
    if (!end_failing())
        failing = -1;
    errno = error;
    return result;
}

/* Needs more request memory than a block has. */
static int respond_with_memory(cress_environ *env, cress_response *res, void *self)
{
    for (int i = 0; i < 4; i++)
        if (!cress_environ_alloc(env, 3000))
            return -1;
    return respond(env, res, self);
}

static void test_no_memory(void)
{
    cress_compress_options options = { .level = 1 };
    const cress_layer layers[] = {
        { fail_one, NULL },
        { cress_compress, &options },
        { respond_with_memory, small },
        { NULL, NULL },
    };
    int failures = 0;

    for (int i = 0; failing >= 0; i++, failures++) {
        struct wire w;
        failing = i;
        cress_compress_finish(&options);
        wire_init(&w, cress_chain, (void *)(uintptr_t)layers);
        wire_start(&w);
        wire_send(&w, GET);
        struct answer a = read_answer(&w);
        const char *status = a.head + strlen("HTTP/1.1 ");
        assert_true(strncmp(status, failing < 0 ? "200" : "500", 3) == 0);
        if (failing >= 0)
            assert_string_equal(a.body, "500 Internal Server Error\n");
        else
            assert_true(a.len < 100);
        free_answer(&a);
        wire_finish(&w);
    }
    assert_true(failures > 1);
    cress_compress_finish(&options);
}

static int finish(void **state)
{
    (void)state;
    cress_compress_finish(&plain_options);
    return 0;
}

/* ---- behind a hook that holds everything back ------------------------------------------------ */

struct holder {
    cress_hook hook;
    size_t held;
};

static int hold(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    (void)res, (void)data;
    ((struct holder *)(void *)hook)->held += len;
    return 0;
}

static int let_go(cress_hook *hook, cress_response *res)
{
    static const char piece[3000] = { 0 };
    struct holder *h = (struct holder *)(void *)hook;

    for (; h->held > 0; h->held -= sizeof piece)
        if (cress_hook_pass(hook, res, piece, sizeof piece) < 0)
            return -1;
    return 0;
}

static void *set_event(void *arg)
{
    cress_event_set(arg);
    return NULL;
}

static int hold_and_wait(cress_environ *env, cress_response *res, void *self)
{
    static const char body[3000 * 20];
    struct holder *h = cress_environ_alloc(env, sizeof *h);
    cress_event ready = { 0 };

    (void)self;
    *h = (struct holder){ .hook = { .write = hold, .flush = let_go, .end = let_go } };
    assert_ok(cress_response_add_hook(res, &h->hook));
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })));
    assert_ok(cress_response_write(res, body, sizeof body));
    spawn(set_event, &ready);
    assert_ok(cress_event_wait(&ready, 5));
    return 0;
}

/* What goes through as the handler begins to wait lets nobody run: whom it waits for would wake it
 * too early. */
static void test_no_turn_before_a_wait(void)
{
    static const cress_layer layers[] = { { cress_compress, NULL },
                                          { hold_and_wait, NULL },
                                          { 0 } };

    wire_serve(GET, cress_chain, (void *)(uintptr_t)layers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_small_ones_have_their_length),
        HUB_TEST(test_large_ones_are_chunked),
        HUB_TEST(test_http_1_0),
        HUB_TEST(test_the_client_decides),
        HUB_TEST(test_small_bodies),
        HUB_TEST(test_types),
        HUB_TEST(test_bodies_that_must_stay),
        HUB_TEST(test_parts),
        HUB_TEST(test_no_double_work),
        HUB_TEST(test_fields_follow),
        HUB_TEST(test_head),
        HUB_TEST(test_not_modified),
        HUB_TEST(test_files),
        HUB_TEST(test_events_leave_at_once),
        HUB_TEST(test_a_slow_client),
        HUB_TEST(test_an_error_page_instead),
        HUB_TEST(test_a_short_body_is_cut),
        HUB_TEST(test_compressors_are_used_again),
        HUB_TEST(test_other_codings),
        HUB_TEST(test_no_memory),
        HUB_TEST(test_no_turn_before_a_wait),
    };

    make_texts();
    return cmocka_run_group_tests(tests, NULL, finish);
}
