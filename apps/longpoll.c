/* A board that holds one text, and long polls for it.
 *
 * POST / writes the text (up to 4 KiB). GET /?seen=N answers as soon as the board is
 * newer than version N, which is at once for those who have not seen it; after
 * 25 seconds, or ?wait= of them, it answers 204, and the client asks again. Each
 * answer names its version in the field Board-Version.
 *
 *     cress apps/longpoll.so
 *     curl -i '127.0.0.1:8000/?seen=0'            waits for the first text
 *     curl 127.0.0.1:8000 --data-binary 'Hello!'  in another terminal
 */
#include <cress/cress.h>

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 4096, PATIENCE = 25 };

static struct board {
    cress_event changed;
    unsigned long version;
    char version_text[24];
    size_t len;
    char text[TEXT_MAX];
} board = { .version_text = "0" };

/* 0, or -1 for what is no whole number. */
static int query_number(cress_environ *env, const char *name, unsigned long otherwise,
                        unsigned long *ret_number)
{
    cress_str text = cress_query_get(env, name);

    if (text.data && (text.len == 0 || strspn(text.data, "0123456789") != text.len))
        return -1;
    *ret_number = text.data ? strtoul(text.data, NULL, 10) : otherwise;
    return 0;
}

static int refuse(cress_response *res, int status, const char *why)
{
    return cress_respond(res, status, "text/plain", why, strlen(why));
}

static int respond_version(cress_response *res, int status)
{
    return cress_start_response(
        res, status,
        CRESS_HEADERS({ "Board-Version", board.version_text }, { "Cache-Control", "no-store" }));
}

/* The text is copied first: while the answer waits for a slow client, another
 * request may write the board. */
static int respond_text(cress_environ *env, cress_response *res)
{
    size_t len = board.len;
    char *text = cress_environ_alloc(env, len + 1);

    if (!text)
        return -1;
    memcpy(text, board.text, len);
    if (cress_response_add_header(res, "Board-Version", board.version_text) < 0 ||
        cress_response_add_header(res, "Cache-Control", "no-store") < 0)
        return -1;
    return cress_respond(res, 200, "text/plain; charset=utf-8", text, len);
}

static int read_board(cress_environ *env, cress_response *res)
{
    unsigned long seen, wait;
    cress_timeout patience;

    if (query_number(env, "seen", 0, &seen) < 0 || query_number(env, "wait", PATIENCE, &wait) < 0)
        return refuse(res, 400, "seen or wait is not a number\n");
    if (seen > board.version)
        seen = 0; /* a version from before the server's restart */

    cress_timeout_start(&patience, wait < PATIENCE ? (double)wait : PATIENCE);
    while (board.version <= seen && cress_event_wait(&board.changed, CRESS_FOREVER) == 0)
        continue;
    cress_timeout_close(&patience);

    /* Killed, client gone, or past the request's own limit? Then responding
     * fails as well and the server takes over: no case of ours. */
    return board.version <= seen ? respond_version(res, 204) : respond_text(env, res);
}

static int write_board(cress_environ *env, cress_response *res)
{
    cress_str text;

    if (cress_input_read_all(env, TEXT_MAX, &text) < 0)
        return -1; /* EMSGSIZE: the server answers 413 */
    memcpy(board.text, text.data, text.len);
    board.len = text.len;
    snprintf(board.version_text, sizeof board.version_text, "%lu", ++board.version);
    /* Set and cleared at once, an event wakes all who wait now: a broadcast. */
    cress_event_set(&board.changed);
    cress_event_clear(&board.changed);
    return respond_version(res, 204);
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str method = cress_method(env);

    (void)self;
    if (!cress_str_equal(cress_path(env), "/"))
        return refuse(res, 404, "the board is at /\n");
    if (cress_str_equal(method, "GET") || cress_str_equal(method, "HEAD"))
        return read_board(env, res);
    if (cress_str_equal(method, "POST"))
        return write_board(env, res);
    return cress_start_response(res, 405, CRESS_HEADERS({ "Allow", "GET, HEAD, POST" }));
}
