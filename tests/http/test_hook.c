#include "hub_test.h"
#include "wire.h"

#include <cress/event.h>
#include <cress/middleware.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

/* One request through layers, and what the client gets. */
static const char *check_output(const char *request, const cress_layer *layers,
                                const char *expected)
{
    return wire_check_with(request, cress_chain, (void *)(uintptr_t)layers, expected);
}

/* ---- a hook that shows what it sees -------------------------------------------------------- */

struct tag {
    cress_hook hook;
    const char *name;
};

static int tag_head(cress_hook *hook, cress_response *res)
{
    const struct tag *tag = (const struct tag *)(const void *)hook;
    cress_str seen = cress_response_get_header(res, "X-Seen");
    cress_str more =
        cress_environ_printf(cress_response_environ(res), "%s%s%d", seen.data ? seen.data : "",
                             tag->name, cress_response_status(res));

    return cress_response_set_header(res, "X-Seen", more.data);
}

/* Each piece in brackets of its own. */
static int tag_write(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    const struct tag *tag = (const struct tag *)(const void *)hook;
    cress_str text = cress_environ_printf(cress_response_environ(res), "%s(%.*s)", tag->name,
                                          (int)len, (const char *)data);

    return cress_hook_pass(hook, res, text.data, text.len);
}

static int tag_end(cress_hook *hook, cress_response *res)
{
    const struct tag *tag = (const struct tag *)(const void *)hook;

    return cress_hook_pass(hook, res, tag->name, strlen(tag->name));
}

static int watch(cress_environ *env, cress_response *res, void *self)
{
    struct tag *tag = cress_environ_alloc(env, sizeof *tag);

    *tag = (struct tag){ .hook = { .head = tag_head }, .name = self };
    assert_ok(cress_response_add_hook(res, &tag->hook));
    return cress_next(env, res);
}

static int filter_head(cress_hook *hook, cress_response *res)
{
    return tag_head(hook, res) < 0 ? -1 : cress_response_remove_header(res, "Content-Length");
}

static int filter(cress_environ *env, cress_response *res, void *self)
{
    struct tag *tag = cress_environ_alloc(env, sizeof *tag);

    *tag = (struct tag){
        .hook = { .head = filter_head, .write = tag_write, .end = tag_end },
        .name = self,
    };
    assert_ok(cress_response_add_hook(res, &tag->hook));
    return cress_next(env, res);
}

/* ---- apps --------------------------------------------------------------------------------------- */

static int respond(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "hello", 5);
}

static int respond_large(cress_environ *env, cress_response *res, void *self)
{
    static char body[100000];

    (void)env, (void)self;
    memset(body, 'x', sizeof body);
    return cress_respond(res, 200, NULL, body, sizeof body);
}

static int stream(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 201, CRESS_HEADERS({ "X-Own", "1" })));
    assert_ok(cress_response_write(res, "one", 3));
    assert_errno(EALREADY, cress_start_response(res, 200, NULL));
    assert_errno(EALREADY, cress_response_add_header(res, "A", "b"));
    return cress_response_printf(res, "%s", "two");
}

static int no_body(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    return cress_start_response(res, *(int *)self, NULL);
}

static int fail_at_once(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res;
    errno = *(int *)self;
    return -1;
}

static int fail_late(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "X-Own", "1" })));
    assert_ok(cress_response_write(res, "never seen", 10));
    errno = EIO;
    return -1;
}

static int fail_too_late(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "seen", 4));
    assert_ok(cress_response_flush(res));
    errno = EIO;
    return -1;
}

static int silent(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res, (void)self;
    return 0;
}

#define LAYERS(...) ((const cress_layer[]){ __VA_ARGS__, { NULL, NULL } })

/* ---- heads ----------------------------------------------------------------------------------------- */

static void test_the_outermost_sees_last(void)
{
    const cress_layer *layers = LAYERS({ watch, "a" }, { watch, "b" }, { respond, NULL });

    check_output(GET, layers,
                 DATED("200 OK") "Content-Length: 5\r\nContent-Type: text/plain\r\n"
                                 "X-Seen: b200a200\r\n\r\nhello");
    check_output(HEAD, layers,
                 DATED("200 OK") "Content-Length: 5\r\nContent-Type: text/plain\r\n"
                                 "X-Seen: b200a200\r\n\r\n");
}

static void test_every_way_to_answer(void)
{
    int no_content = 204, not_modified = 304, made = 201, error = EMSGSIZE;

    check_output(
        GET, LAYERS({ watch, "a" }, { stream, NULL }),
        DATED("201 Created") "Transfer-Encoding: chunked\r\nX-Own: 1\r\nX-Seen: a201\r\n\r\n"
                             "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    check_output(GET, LAYERS({ watch, "a" }, { no_body, &no_content }),
                 DATED("204 No Content") "X-Seen: a204\r\n\r\n");
    check_output(GET, LAYERS({ watch, "a" }, { no_body, &not_modified }),
                 DATED("304 Not Modified") "X-Seen: a304\r\n\r\n");
    check_output(GET, LAYERS({ watch, "a" }, { no_body, &made }),
                 DATED("201 Created") "Content-Length: 0\r\nX-Seen: a201\r\n\r\n");
    check_output(GET, LAYERS({ watch, "a" }, { fail_at_once, &error }),
                 DATED("413 Content Too Large") "Content-Length: 22\r\nContent-Type: text/plain\r\n"
                                                "X-Seen: a413\r\n\r\n413 Content Too Large\n");
    check_output(
        GET, LAYERS({ watch, "a" }, { silent, NULL }),
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: text/plain\r\n"
                                           "X-Seen: a500\r\n\r\n500 Internal Server Error\n");
    check_output(
        HEAD, LAYERS({ watch, "a" }, { silent, NULL }),
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: text/plain\r\n"
                                           "X-Seen: a500\r\n\r\n");
}

/* What was collected is taken back: the hook sees the error as the only response. */
static void test_an_error_takes_the_place(void)
{
    const char *page =
        DATED("500 Internal Server Error") "Content-Length: 26\r\nContent-Type: text/plain\r\n"
                                           "X-Seen: b500a500\r\n\r\n500 Internal Server Error\n";

    check_output(GET, LAYERS({ watch, "a" }, { watch, "b" }, { fail_late, NULL }), page);
}

static void test_too_late_for_an_error(void)
{
    check_output(GET, LAYERS({ filter, "a" }, { fail_too_late, NULL }),
                 DATED("200 OK") "Transfer-Encoding: chunked\r\nX-Seen: a200\r\n\r\n"
                                 "7\r\na(seen)\r\n");
}

static int remove_and_change(cress_hook *hook, cress_response *res)
{
    (void)hook;
    assert_int_equal(cress_response_status(res), 200);
    assert_true(cress_response_has_body(res));
    assert_null(cress_response_get_header(res, "X-None").data);
    assert_true(cress_str_equal(cress_response_get_header(res, "content-length"), "5"));
    assert_true(cress_str_equal(cress_response_get_header(res, "SET-COOKIE"), "a=1"));
    assert_ok(cress_response_set_status(res, 202));
    assert_errno(EINVAL, cress_response_set_status(res, 199));
    assert_ok(cress_response_remove_header(res, "set-cookie"));
    assert_ok(cress_response_set_header(res, "X-Twice", "once"));
    assert_errno(EINVAL, cress_response_set_header(res, "X-Twice", "a\r\nb"));
    assert_errno(EINVAL, cress_response_set_header(res, "Connection", "close"));
    assert_ok(cress_response_vary(res, "Accept"));
    assert_ok(cress_response_vary(res, "ORIGIN"));
    assert_ok(cress_response_vary(res, "Cookie"));
    return 0;
}

static int many_fields(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    static cress_hook hook = { .head = remove_and_change };

    assert_errno(EINVAL, cress_response_set_status(res, 200)); /* not started */
    assert_errno(EINVAL, cress_response_remove_header(res, "A"));
    assert_int_equal(cress_response_status(res), 0);
    assert_ok(cress_response_add_hook(res, &hook));
    assert_ok(cress_start_response(
        res, 200,
        CRESS_HEADERS({ "Set-Cookie", "a=1" }, { "X-Twice", "1" }, { "Vary", "Origin, accept" },
                      { "X-Twice", "2" }, { "set-cookie", "b=2" }, { "Content-Length", "5" })));
    assert_ok(cress_response_write(res, "hello", 5));
    assert_errno(EALREADY, cress_response_add_hook(res, &hook));
    assert_errno(EALREADY, cress_response_set_header(res, "A", "b"));
    assert_errno(EALREADY, cress_response_set_status(res, 200));
    assert_errno(EMSGSIZE, cress_response_write(res, "!", 1));
    return 0;
}

static void test_changing_fields(void)
{
    check_output(GET, LAYERS({ many_fields, NULL }),
                 DATED("202 Accepted") "Content-Length: 5\r\nVary: Origin, accept\r\n"
                                       "X-Twice: once\r\nVary: Cookie\r\n\r\nhello");
}

/* ---- bodies ------------------------------------------------------------------------------------------ */

static void test_filters_nest(void)
{
    check_output(GET, LAYERS({ filter, "a" }, { filter, "b" }, { respond, NULL }),
                 DATED("200 OK") "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"
                                 "X-Seen: b200a200\r\n\r\n"
                                 "b\r\na(b(hello))\r\n4\r\na(b)\r\n1\r\na\r\n0\r\n\r\n");
    check_output(
        GET, LAYERS({ filter, "a" }, { watch, "b" }, { stream, NULL }),
        DATED("201 Created") "Transfer-Encoding: chunked\r\nX-Own: 1\r\nX-Seen: b201a201\r\n\r\n"
                             "6\r\na(one)\r\n6\r\na(two)\r\n1\r\na\r\n0\r\n\r\n");
}

static void test_head_says_no_length_that_is_not_known(void)
{
    check_output(HEAD, LAYERS({ filter, "a" }, { no_body, &(int){ 200 } }),
                 DATED("200 OK") "X-Seen: a200\r\n\r\n");
}

static void test_pages_go_through_filters(void)
{
    check_output(
        GET, LAYERS({ filter, "a" }, { fail_at_once, &(int){ EBADMSG } }),
        DATED("400 Bad Request") "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"
                                 "X-Seen: a400\r\n\r\n13\r\na(400 Bad Request\n)\r\n"
                                 "1\r\na\r\n0\r\n\r\n");
}

static void test_large_bodies(void)
{
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)LAYERS({ watch, "a" }, { respond_large, NULL }));
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, "Content-Length: 100000\r\nX-Seen: a200\r\n\r\nxxxx"));
    assert_int_equal(strlen(strstr(w.stream.out, "\r\n\r\n")), 100004);
    wire_finish(&w);
}

/* An app that says more or less than it gives is found out, whatever a filter makes of it. */
static int give_too_little(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "9" })));
    return cress_response_write(res, "little", 6);
}

static void test_a_short_body_is_cut(void)
{
    struct wire w;

    wire_init(&w, cress_chain,
              (void *)(uintptr_t)LAYERS({ filter, "a" }, { give_too_little, NULL }));
    wire_start(&w);
    wire_send(&w, GET);
    assert_null(strstr(w.stream.out, "\r\n0\r\n\r\n"));
    assert_true(w.is_closed);
    assert_string_equal(w.wrong, "wrote less than its Content-Length");
    wire_finish(&w);
}

static int failing_head(cress_hook *hook, cress_response *res)
{
    (void)hook, (void)res;
    errno = ENOMEM;
    return -1;
}

static int put_failing(cress_environ *env, cress_response *res, void *self)
{
    static cress_hook hook;

    (void)self;
    hook = (cress_hook){ .head = failing_head };
    assert_ok(cress_response_add_hook(res, &hook));
    return cress_next(env, res);
}

static int ignores_errors(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_errno(ENOMEM, cress_response_write(res, "a", 1));
    assert_errno(EPIPE, cress_response_write(res, "a", 1));
    assert_errno(EPIPE, cress_response_flush(res));
    return 0;
}

static void test_a_failing_hook(void)
{
    const char *page =
        DATED("500 Internal Server Error") "Content-Type: text/plain\r\nContent-Length: "
                                           "26\r\n\r\n500 Internal Server Error\n";

    check_output(GET, LAYERS({ put_failing, NULL }, { respond, NULL }), page);
    check_output(GET, LAYERS({ put_failing, NULL }, { ignores_errors, NULL }), page);
    assert_string_equal(
        check_output(GET, LAYERS({ put_failing, NULL }, { no_body, &(int){ 204 } }), page),
        "failed in a response hook");
}

/* ---- files ----------------------------------------------------------------------------------------- */

static int temporary_file(const char *text)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = dup(fileno(file));

    fclose(file);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
    return fd;
}

static int send_file(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_errno(EIO, cress_response_send_file(res, *(int *)self, 0, 100));
    return cress_response_send_file(res, *(int *)self, 1, 4);
}

static void test_files(void)
{
    int fd = temporary_file("012345");

    check_output(GET, LAYERS({ watch, "a" }, { send_file, &fd }),
                 DATED("200 OK") "Content-Length: 4\r\nX-Seen: a200\r\n\r\n1234");
    check_output(HEAD, LAYERS({ watch, "a" }, { send_file, &fd }),
                 DATED("200 OK") "Content-Length: 4\r\nX-Seen: a200\r\n\r\n");
    check_output(GET, LAYERS({ watch, "a" }, { filter, "b" }, { send_file, &fd }),
                 DATED("200 OK") "Transfer-Encoding: chunked\r\nX-Seen: b200a200\r\n\r\n"
                                 "7\r\nb(1234)\r\n1\r\nb\r\n0\r\n\r\n");
    close(fd);
}

/* ---- what is held back --------------------------------------------------------------------------------- */

struct holder {
    cress_hook hook;
    char held[64];
    size_t len;
};

static int holder_write(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    struct holder *holder = (struct holder *)(void *)hook;

    (void)res;
    memcpy(holder->held + holder->len, data, len);
    holder->len += len;
    return 0;
}

static int holder_give(cress_hook *hook, cress_response *res)
{
    struct holder *holder = (struct holder *)(void *)hook;

    if (cress_hook_pass(hook, res, holder->held, holder->len) < 0)
        return -1;
    holder->len = 0;
    return 0;
}

static int hold(cress_environ *env, cress_response *res, void *self)
{
    struct holder *holder = cress_environ_alloc(env, sizeof *holder);

    (void)self;
    *holder = (struct holder){
        .hook = { .write = holder_write, .flush = holder_give, .end = holder_give },
    };
    assert_ok(cress_response_add_hook(res, &holder->hook));
    return cress_next(env, res);
}

static int events(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "a", 1));
    assert_ok(cress_response_write(res, "b", 1));
    assert_ok(cress_event_wait(self, CRESS_FOREVER));
    assert_ok(cress_response_write(res, "c", 1));
    assert_ok(cress_response_write(res, "d", 1));
    assert_ok(cress_response_flush(res));
    assert_ok(cress_response_write(res, "e", 1));
    return cress_response_write(res, "f", 1);
}

/* Nothing is held back while the handler waits. */
static void test_waiting_flushes(void)
{
    cress_event event = CRESS_EVENT_INIT;
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)LAYERS({ hold, NULL }, { events, &event }));
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, "\r\n\r\n2\r\nab\r\n"));
    assert_null(strstr(w.stream.out, "cd"));
    cress_event_set(&event);
    wire_settle();
    assert_non_null(strstr(w.stream.out, "\r\n\r\n2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n"));
    wire_finish(&w);
}

/* A client that takes nothing: what does not fit stays with the hook, and nothing waits in a
 * place that may not. */
static int fill_and_wait(cress_environ *env, cress_response *res, void *self)
{
    static char large[20 << 10];

    (void)env;
    memset(large, 'x', sizeof large);
    assert_ok(cress_start_response(res, 200, NULL));
    for (size_t at = 0; at < sizeof large; at += 1 << 10)
        assert_ok(cress_response_write(res, large + at, 1 << 10));
    assert_ok(cress_event_wait(self, CRESS_FOREVER));
    return cress_response_write(res, "end", 3);
}

struct keeper {
    cress_hook hook;
    char held[24 << 10];
    size_t len;
    int refused;
};

static int keeper_write(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    struct keeper *keeper = (struct keeper *)(void *)hook;

    (void)res;
    assert_true(len <= sizeof keeper->held - keeper->len);
    memcpy(keeper->held + keeper->len, data, len);
    keeper->len += len;
    return 0;
}

static int keeper_give(cress_hook *hook, cress_response *res)
{
    struct keeper *keeper = (struct keeper *)(void *)hook;

    while (keeper->len > 0) {
        size_t piece = keeper->len < 3000 ? keeper->len : 3000;
        if (cress_hook_pass(hook, res, keeper->held, piece) < 0) {
            assert_int_equal(errno, EAGAIN);
            keeper->refused++;
            return -1;
        }
        keeper->len -= piece;
        memmove(keeper->held, keeper->held + piece, keeper->len);
    }
    return 0;
}

static struct keeper keeper;

static int keep(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    keeper = (struct keeper){
        .hook = { .write = keeper_write, .flush = keeper_give, .end = keeper_give },
    };
    assert_ok(cress_response_add_hook(res, &keeper.hook));
    return cress_next(env, res);
}

static void test_a_flush_that_may_not_wait(void)
{
    cress_event event = CRESS_EVENT_INIT;
    struct wire w;

    wire_init(&w, cress_chain,
              (void *)(uintptr_t)LAYERS({ keep, NULL }, { fill_and_wait, &event }));
    memory_stream_set_room(&w.stream, 100);
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(w.stream.out_len, 100);
    assert_true(keeper.refused > 0);
    assert_true(keeper.len > 0);
    cress_event_set(&event);
    wire_settle();
    memory_stream_set_room(&w.stream, 1 << 20);
    wire_settle();
    assert_int_equal(keeper.len, 0);
    size_t body = 0;
    for (size_t i = 0; i < w.stream.out_len; i++)
        body += w.stream.out[i] == 'x';
    assert_int_equal(body, 20 << 10);
    assert_non_null(strstr(w.stream.out, "end\r\n0\r\n\r\n"));
    wire_finish(&w);
}

/* ---- from another greenlet ----------------------------------------------------------------------------- */

static void *write_elsewhere(void *arg)
{
    assert_ok(cress_response_write(arg, "elsewhere", 9));
    return NULL;
}

static int delegate(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    assert_ok(cress_start_response(res, 200, NULL));
    cress_greenlet *other = cress_spawn(write_elsewhere, res);
    assert_ok(cress_event_wait(self, CRESS_FOREVER));
    cress_release(other);
    return 0;
}

static void test_another_greenlet_writes(void)
{
    cress_event event = CRESS_EVENT_INIT;
    struct wire w;

    wire_init(&w, cress_chain, (void *)(uintptr_t)LAYERS({ hold, NULL }, { delegate, &event }));
    wire_start(&w);
    wire_send(&w, GET);
    assert_non_null(strstr(w.stream.out, "9\r\nelsewhere\r\n"));
    cress_event_set(&event);
    wire_settle();
    wire_finish(&w);
}

/* While one waits inside a hook nobody else gets in. */
static void *write_busy(void *arg)
{
    assert_errno(EBUSY, cress_response_write(arg, "x", 1));
    return NULL;
}

static int wait_inside(cress_hook *hook, cress_response *res, const void *data, size_t len)
{
    assert_ok(cress_sleep(1));
    return cress_hook_pass(hook, res, data, len);
}

static int write_two(cress_environ *env, cress_response *res, void *self)
{
    static cress_hook hook;

    (void)env, (void)self;
    hook = (cress_hook){ .write = wait_inside };
    assert_ok(cress_response_add_hook(res, &hook));
    assert_ok(cress_start_response(res, 200, NULL));
    cress_greenlet *other = cress_spawn(write_busy, res);
    assert_ok(cress_response_write(res, "waited", 6));
    assert_ok(cress_join(other, CRESS_FOREVER));
    cress_release(other);
    return 0;
}

static void test_one_at_a_time(void)
{
    struct wire w;

    wire_init(&w, write_two, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(2);
    assert_non_null(strstr(w.stream.out, "6\r\nwaited\r\n0\r\n\r\n"));
    wire_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_the_outermost_sees_last),
        HUB_TEST(test_every_way_to_answer),
        HUB_TEST(test_an_error_takes_the_place),
        HUB_TEST(test_too_late_for_an_error),
        HUB_TEST(test_changing_fields),
        HUB_TEST(test_filters_nest),
        HUB_TEST(test_head_says_no_length_that_is_not_known),
        HUB_TEST(test_pages_go_through_filters),
        HUB_TEST(test_large_bodies),
        HUB_TEST(test_a_short_body_is_cut),
        HUB_TEST(test_a_failing_hook),
        HUB_TEST(test_files),
        HUB_TEST(test_waiting_flushes),
        HUB_TEST(test_a_flush_that_may_not_wait),
        HUB_TEST(test_another_greenlet_writes),
        HUB_TEST(test_one_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
