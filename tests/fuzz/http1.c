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
 * byte and that many bytes. The application, http1/apps.c, does something different for each path. */
#include "../../http/exchange.h"
#include "http1/run.h"

#include <cress/greenlet.h>
#include <cress/hub.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SIZE = 1 << 14 };

struct input {
    const uint8_t *data;
    size_t size;
    struct run *runs; /* whole, cut, pieces */
};

/* ---- a server ------------------------------------------------------------------------------ */

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
