/* A form, cut into packets and read in pieces as the first three bytes say: what is seen of it must
 * be what is seen of the same form that comes at once. With the first byte's lowest bit the
 * Content-Type is the input's first line, else it has the boundary "B". */
#include "memory_stream.h"

#include <cress/greenlet.h>
#include <cress/http1.h>
#include <cress/hub.h>
#include <cress/multipart.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SEEN = 1 << 16 };

struct seen {
    char text[MAX_SEEN];
    size_t len;
    size_t read_size; /* 0: the whole part at once */
};

struct input {
    char type[300];
    const char *body;
    size_t len, piece;
    struct seen seen;
};

static void see(struct seen *seen, const char *data, size_t len)
{
    len = len < MAX_SEEN - seen->len ? len : MAX_SEEN - seen->len;
    if (len)
        memcpy(seen->text + seen->len, data, len);
    seen->len += len;
}

static void see_str(struct seen *seen, char mark, cress_str text)
{
    if (!text.data)
        return;
    if (text.data[text.len] != '\0')
        abort();
    see(seen, &mark, 1);
    see(seen, text.data, text.len);
}

static int see_data(struct seen *seen, cress_multipart *form)
{
    char buf[300];
    cress_str all;
    ssize_t got;

    if (seen->read_size == 0) {
        if (cress_multipart_read_all(form, SIZE_MAX, &all) < 0)
            return -1;
        see(seen, all.data, all.len);
        return 0;
    }
    while ((got = cress_multipart_read(form, buf, seen->read_size)) > 0)
        see(seen, buf, (size_t)got);
    return (int)got;
}

static int see_part(void *arg, cress_multipart *form, const cress_part *part)
{
    struct seen *seen = arg;

    if (!part->name.data || (part->filename.data && strpbrk(part->filename.data, "/\\")))
        abort();
    see_str(seen, 'n', part->name);
    see_str(seen, 'f', part->filename);
    see_str(seen, 't', part->type);
    see(seen, ":", 1);
    return see_data(seen, form);
}

/* What was seen of a form that fails later may differ by what a piece of it was. */
static int app(cress_environ *env, cress_response *res, void *self)
{
    const cress_multipart_limits limits = { .parts = 10, .head = 500, .part_size = 5000 };
    struct input *input = self;
    cress_multipart form;

    if (cress_multipart_begin(&form, env, &limits) < 0 ||
        cress_multipart_each(&form, see_part, &input->seen) < 0) {
        if (errno != EBADMSG && errno != EMSGSIZE)
            abort();
        input->seen.len = (size_t)snprintf(input->seen.text, MAX_SEEN, "error %d", errno);
    }
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void serve(struct input *input)
{
    cress_http1_config config = { .keep_alive = 0 };
    struct memory_stream stream;
    char head[500];

    snprintf(head, sizeof head,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
             input->type, input->len);
    memory_stream_init(&stream);
    memory_stream_send_text(&stream, head);
    memory_stream_send(&stream, input->body, input->len);
    memory_stream_end(&stream);
    stream.piece = input->piece;
    cress_http1_serve(&stream.stream, &config, NULL, app, input);
    memory_stream_finish(&stream);
}

static void *serve_both(void *arg)
{
    struct input *inputs = arg;

    serve(&inputs[0]);
    serve(&inputs[1]);
    return NULL;
}

/* The first line, if it can stand in a field. */
static void take_type(struct input *input)
{
    const char *end = input->len ? memchr(input->body, '\n', input->len) : NULL;
    size_t len = end ? (size_t)(end - input->body) : 0;

    if (!end || len >= sizeof input->type - 1)
        return;
    for (size_t i = 0; i < len; i++)
        input->type[i] = input->body[i] >= ' ' && input->body[i] < 0x7f ? input->body[i] : 'x';
    input->type[len] = '\0';
    input->body += len + 1;
    input->len -= len + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input inputs[2];
    struct input *cut = &inputs[0], *whole = &inputs[1];

    if (size < 3)
        return 0;
    cut->body = (const char *)data + 3;
    cut->len = size - 3;
    cut->piece = 0;
    strcpy(cut->type, "multipart/form-data; boundary=B");
    if (data[0] & 1)
        take_type(cut);
    cut->seen.len = 0;
    *whole = *cut;
    cut->piece = data[1];
    cut->seen.read_size = data[2];
    whole->seen.read_size = 300;
    cress_run_with(&(cress_hub_options){ .virtual_clock = true }, serve_both, inputs);
    if (cut->seen.len != whole->seen.len ||
        memcmp(cut->seen.text, whole->seen.text, cut->seen.len) != 0)
        abort();
    return 0;
}
