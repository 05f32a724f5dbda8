/* A served connection whose client is the test: see wire.h. */
#include "wire.h"

#include "hub_test.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wire_init(struct wire *w, cress_app *app, void *self)
{
    *w = (struct wire){
        .config = { .keep_alive = 5,
                    .server_software = "",
                    .server_name = "cress.test",
                    .server_port = "8000" },
        .app = app,
        .self = self,
    };
    cress_http1_peer peer = {
        .family = CRESS_HTTP1_PEER_IPV4,
        .address = { 192, 0, 2, 1 },
        .port = 50000,
    };
    memory_stream_init(&w->stream);
    cress_http1_init(&w->http, &w->stream.stream, &w->config, &peer);
}

static void describe(void *arg, char *buf, size_t size)
{
    struct wire *w = arg;

    cress_http1_describe(&w->http, buf, size);
}

static void before_wait(void *arg)
{
    struct wire *w = arg;

    cress_http1_push(&w->http);
}

static int call_app(struct wire *w)
{
    cress_timeout limit;

    cress_timeout_start(&limit, w->request_timeout > 0 ? w->request_timeout : CRESS_FOREVER);
    w->http.limit = &limit;
    errno = 0;
    int result = w->app(cress_http1_environ(&w->http), cress_http1_response(&w->http), w->self);
    int error = errno;
    cress_timeout_close(&limit);
    w->wrong = cress_http1_finish(&w->http, result, error);
    cress_http1_get_log(&w->http, &w->log);
    w->http.limit = NULL;
    return 0;
}

static void *get_local(void *arg, const struct cress_local *key)
{
    struct wire *w = arg;

    return cress_http1_local(&w->http, key);
}

/* Idle connections hold nothing; the client's next bytes or its end make it readable. */
static int wait_readable(struct wire *w)
{
    struct memory_stream *s = &w->stream;

    while (s->in_pos == s->in_len && !s->ended && !s->error) {
        cress_event_clear(&s->readable);
        if (cress_event_wait(&s->readable, CRESS_FOREVER) < 0)
            return -1;
    }
    w->http.readable = true;
    return 0;
}

static void *serve(void *arg)
{
    static const cress_greenlet_hooks hooks = {
        .describe = describe,
        .before_wait = before_wait,
        .local = get_local,
    };
    struct wire *w = arg;
    bool waits = w->mode == WIRE_BLOCKING;

    cress_set_hooks(cress_self(), &hooks, w);
    for (;;) {
        cress_http1_event event = cress_http1_next(&w->http, waits);
        if (event == CRESS_HTTP1_REQUEST)
            call_app(w);
        else if (event == CRESS_HTTP1_CLOSE || wait_readable(w) < 0)
            break;
    }
    w->is_closed = true;
    w->lingers = w->http.linger;
    if (!w->wrong)
        cress_http1_get_log(&w->http, &w->log);
    cress_http1_destroy(&w->http);
    return NULL;
}

void wire_start(struct wire *w)
{
    cress_http1_peer peer = w->http.peer;

    /* Anew: the config may have changed since. */
    cress_http1_init(&w->http, &w->stream.stream, &w->config, &peer);
    w->greenlet = cress_spawn(serve, w);
    assert(w->greenlet);
    wire_settle();
}

void wire_finish(struct wire *w)
{
    memory_stream_end(&w->stream);
    if (w->greenlet)
        cress_join(w->greenlet, CRESS_FOREVER);
    cress_release(w->greenlet);
    memory_stream_finish(&w->stream);
}

void wire_settle(void)
{
    for (int i = 0; i < 10; i++)
        cress_sleep(0);
}

void wire_send_bytes(struct wire *w, const void *data, size_t len)
{
    memory_stream_send(&w->stream, data, len);
    wire_settle();
}

void wire_send(struct wire *w, const char *text)
{
    wire_send_bytes(w, text, strlen(text));
}

int wire_pull(struct wire *w)
{
    int result = cress_http1_pull(&w->http);

    if (result < 0 && cress_http1_cancels(&w->http))
        cress_cancel(w->greenlet);
    return result;
}

static bool is_date(const char *at)
{
    return strncmp(at, "\r\nDate: ", 8) == 0 && strstr(at, " GMT\r\n") == at + 33;
}

char *wire_output(const struct wire *w)
{
    char *copy = malloc(w->stream.out_len + 1), *to = copy;

    assert(copy);
    for (size_t i = 0; i < w->stream.out_len; i++) {
        *to++ = w->stream.out[i];
        if (w->stream.out[i] == '\r' && is_date(w->stream.out + i)) {
            memcpy(to, "\nDate: *", 8);
            to += 8;
            i += 36;
        }
    }
    *to = '\0';
    return copy;
}

void wire_check_output(const struct wire *w, const char *expected)
{
    char *output = wire_output(w);

    assert_string_equal(output, expected);
    free(output);
}

static void serve_one(struct wire *w, const char *request, cress_app *app, void *self)
{
    wire_init(w, app, self);
    wire_start(w);
    wire_send(w, request);
}

void wire_serve(const char *request, cress_app *app, void *self)
{
    struct wire w;

    serve_one(&w, request, app, self);
    wire_finish(&w);
}

char *wire_ask(const char *request, cress_app *app, void *self)
{
    struct wire w;

    serve_one(&w, request, app, self);
    char *output = wire_output(&w);
    wire_finish(&w);
    return output;
}

const char *wire_check_with(const char *request, cress_app *app, void *self, const char *expected)
{
    struct wire w;

    serve_one(&w, request, app, self);
    wire_check_output(&w, expected);
    wire_finish(&w);
    return w.wrong;
}

void wire_check(const char *request, cress_app *app, const char *expected)
{
    wire_check_with(request, app, NULL, expected);
}

void wire_post(cress_app *app, void *self, const char *type, const char *body, size_t len,
               size_t piece)
{
    struct wire w;
    char head[512];

    snprintf(head, sizeof head,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type,
             len);
    wire_init(&w, app, self);
    w.stream.piece = piece;
    wire_start(&w);
    memory_stream_send_text(&w.stream, head);
    wire_send_bytes(&w, body, len);
    wire_finish(&w);
}
