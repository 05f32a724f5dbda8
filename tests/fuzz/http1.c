/* A whole connection over a memory stream, cut into packets as the input says.
 *
 * The first byte picks options. Then come packets: a length byte and that many bytes.
 * The app does something different for each path and reads its bodies in different
 * ways. The same bytes are then served uncut: what goes out must be the same, since it
 * must not depend on how packets were cut (but for 100 Continue, which does).
 */
#define _GNU_SOURCE /* strcasestr */
#include "memory_stream.h"

#include <cress/http1.h>
#include <cress/upgrade.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
    struct memory_stream cut, whole;
};

static int show(void *arg, cress_str key, cress_str value)
{
    cress_response *res = arg;

    if (strlen(key.data) != key.len || value.data[value.len] != '\0')
        abort();
    return cress_response_printf(res, "%s=%s\n", key.data, value.data);
}

static int show_environ(cress_environ *env, cress_response *res)
{
    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    cress_query_get(env, "a");
    return cress_environ_each(env, show, res) ? -1 : 0;
}

/* Answers only when all is read: what is out already cannot be taken back for an error. */
static int count_lines(cress_environ *env, cress_response *res)
{
    char line[40];
    int lines = 0;
    ssize_t len;

    while ((len = cress_input_readline(env, line, sizeof line)) > 0)
        lines++;
    if (len < 0 || cress_start_response(res, 200, NULL) < 0)
        return -1;
    for (; lines > 0; lines--)
        if (cress_response_write(res, "line\n", 5) < 0)
            return -1;
    return 0;
}

static int echo_all(cress_environ *env, cress_response *res)
{
    cress_str body;

    if (cress_input_read_all(env, 5000, &body) < 0)
        return -1;
    cress_form_get(env, body, "a");
    return cress_respond(res, 200, "text/plain", body.data, body.len);
}

static int count(cress_environ *env, cress_response *res)
{
    char buf[2000];
    size_t total = 0;
    ssize_t got;

    while ((got = cress_input_read(env, buf, sizeof buf)) > 0)
        total += (size_t)got;
    if (got < 0 || cress_start_response(res, 200, NULL) < 0)
        return -1;
    return cress_response_printf(res, "%zu", total);
}

/* What the client sent must not be able to split a response. */
static int reflect(cress_environ *env, cress_response *res)
{
    cress_str value = cress_query_get(env, "v"), length = cress_query_get(env, "l");

    if (cress_start_response(res, 200, CRESS_HEADERS({ "X", value.data ? value.data : "" })) < 0)
        return -1;
    if (length.data && cress_response_add_header(res, "Content-Length", length.data) < 0)
        return -1;
    return cress_response_write(res, "hello", 5);
}

/* Trailer fields, which come and go. */
static int trail(cress_environ *env, cress_response *res)
{
    cress_str body, trailer;

    if (cress_input_read_all(env, 5000, &body) < 0 || cress_start_response(res, 200, NULL) < 0 ||
        cress_response_early_hints(res, CRESS_HEADERS({ "Link", "</a>" })) < 0 ||
        cress_response_write(res, body.data, body.len) < 0)
        return -1;
    trailer = cress_trailer_get(env, "A");
    if (trailer.data && strlen(trailer.data) != trailer.len)
        abort();
    return trailer.data ? cress_response_add_trailer(res, "A", trailer.data) : 0;
}

static int echo_stream(cress_environ *env, cress_response *res)
{
    cress_stream *stream;
    char buf[100];
    ssize_t got;

    if (!cress_upgrade_offered(env, "a"))
        return cress_respond(res, 426, NULL, NULL, 0);
    if (cress_upgrade(res, "a", NULL, &stream) < 0)
        return -1;
    while ((got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0)
        if (cress_stream_write_all(stream, buf, (size_t)got) < 0)
            return -1;
    return 0;
}

static int app(cress_environ *env, cress_response *res, void *self)
{
    cress_str path = cress_path(env);

    (void)self;
    if (path.len && (path.data[path.len] != '\0' || memchr(path.data, '\0', path.len)))
        abort();
    switch (path.len > 1 ? path.data[1] : 0) {
    case 'e':
        return show_environ(env, res);
    case 'l':
        return count_lines(env, res);
    case 'a':
        return echo_all(env, res);
    case 'c':
        return count(env, res);
    case 'r':
        return reflect(env, res);
    case 's':
        return 0;
    case 't':
        return trail(env, res);
    case 'u':
        return echo_stream(env, res);
    default:
        return cress_respond(res, 200 + (int)(path.len % 300), NULL, "hello", 5);
    }
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

static void *send_packets(void *arg)
{
    struct input *input = arg;

    for (size_t at = 1; at < input->size;) {
        size_t len = input->data[at++];
        len = len < input->size - at ? len : input->size - at;
        if (len)
            memory_stream_send(&input->cut, input->data + at, len);
        memory_stream_send(&input->whole, input->data + at, len);
        at += len;
        cress_sleep(0);
        cress_sleep(0);
    }
    memory_stream_end(&input->cut);
    memory_stream_end(&input->whole);
    return NULL;
}

static void *serve(void *arg)
{
    struct input *input = arg;
    cress_http1_config config = make_config(input->data[0]);
    cress_greenlet *client = cress_spawn(send_packets, input);

    cress_http1_serve(&input->cut.stream, &config, NULL, app, NULL);
    cress_join(client, CRESS_FOREVER);
    cress_release(client);
    cress_http1_serve(&input->whole.stream, &config, NULL, app, NULL);
    return NULL;
}

/* Date fields may differ by a second. */
static void forget_dates(char *text)
{
    for (char *at = text; (at = strstr(at, "\r\nDate: ")); at += 8)
        if (strlen(at) > 37)
            memset(at + 8, '*', 29);
}

static void compare(struct input *input)
{
    if (strcasestr(input->whole.in ? input->whole.in : "", "100-continue"))
        return;
    forget_dates(input->cut.out);
    forget_dates(input->whole.out);
    if (input->cut.out_len == input->whole.out_len &&
        memcmp(input->cut.out, input->whole.out, input->cut.out_len) == 0)
        return;
    fprintf(stderr, "--- cut\n%s\n--- whole\n%s\n", input->cut.out, input->whole.out);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { .data = data, .size = size };

    if (size == 0)
        return 0;
    memory_stream_init(&input.cut);
    memory_stream_init(&input.whole);
    cress_run_with(&(cress_hub_options){ .virtual_clock = true }, serve, &input);
    compare(&input);
    memory_stream_finish(&input.cut);
    memory_stream_finish(&input.whole);
    return 0;
}
