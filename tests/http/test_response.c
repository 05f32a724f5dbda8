#include "hub_test.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_1_0 "GET / HTTP/1.0\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- bodies ------------------------------------------------------------------------------------ */

static int print(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "1014" })));
    assert_ok(cress_response_printf(res, "%s, %s\n", "hello", "world"));
    assert_ok(cress_response_printf(res, "%0*d", 1000, 7));
    return cress_response_printf(res, "%s", "\n");
}

static void test_printf(void)
{
    struct wire w;

    wire_init(&w, print, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    const char *body = strstr(w.stream.out, "\r\n\r\n") + 4;
    assert_int_equal(strncmp(body, "hello, world\n0000", 17), 0);
    assert_string_equal(body + 13 + 999, "7\n");
    assert_null(w.wrong);
    wire_finish(&w);
}

static int write_nothing(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 404, NULL));
    assert_ok(cress_response_write(res, "", 0));
    assert_ok(cress_start_response(res, 200, NULL)); /* still possible: PEP 3333 */
    return 0;
}

static void test_empty_writes_do_not_begin(void)
{
    wire_check(GET, write_nothing, DATED("200 OK") "Content-Length: 0\r\n\r\n");
}

static int flush_head(cress_environ *env, cress_response *res, void *self)
{
    struct wire *w = self;

    (void)env;
    assert_errno(EINVAL, cress_response_flush(res)); /* nothing is said yet */
    assert_ok(cress_start_response(res, 200, NULL));
    assert_int_equal(w->stream.writes, 0);
    assert_ok(cress_response_flush(res));
    assert_int_equal(w->stream.writes, 1);
    assert_errno(EALREADY, cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "x", 1));
    assert_int_equal(w->stream.writes, 1);
    assert_ok(cress_response_flush(res));
    assert_int_equal(w->stream.writes, 2);
    return 0;
}

static void test_flush(void)
{
    struct wire w;

    wire_init(&w, flush_head, &w);
    wire_start(&w);
    wire_send(&w, GET);
    wire_check_output(&w, DATED("200 OK") "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    wire_finish(&w);
}

/* ---- lengths that are wrong ---------------------------------------------------------------------- */

static int write_less(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "5" })));
    return cress_response_write(res, "abc", 3);
}

static int write_more(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "5" })));
    assert_ok(cress_response_write(res, "abc", 3));
    assert_errno(EMSGSIZE, cress_response_write(res, "def", 3));
    assert_errno(EPIPE, cress_response_write(res, "d", 1)); /* it is over */
    errno = EMSGSIZE;
    return -1;
}

static int write_more_at_once(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "2" })));
    return cress_response_write(res, "abc", 3);
}

static void check_error(cress_app *app, const char *wrong)
{
    struct wire w;

    wire_init(&w, app, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 500 ", 13), 0);
    assert_string_equal(w.wrong, wrong);
    assert_false(w.is_closed);
    wire_finish(&w);
}

static void check_cut(cress_app *app, const char *expected, const char *wrong)
{
    struct wire w;

    wire_init(&w, app, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(2);
    wire_check_output(&w, expected);
    if (wrong)
        assert_string_equal(w.wrong, wrong);
    else
        assert_null(w.wrong);
    assert_true(w.is_closed);
    wire_finish(&w);
}

static void test_wrong_lengths_cut_the_connection(void)
{
    check_cut(write_less, DATED("200 OK") "Content-Length: 5\r\n\r\nabc",
              "wrote less than its Content-Length");
    check_cut(write_more, DATED("200 OK") "Content-Length: 5\r\n\r\nabc",
              "wrote more than its Content-Length");
}

static void test_too_much_at_the_beginning(void)
{
    check_error(write_more_at_once, "wrote more than its Content-Length");
}

static int write_to_204(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 204, NULL));
    return cress_response_write(res, "x", 1);
}

static int write_to_304(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 304,
                                   CRESS_HEADERS({ "ETag", "\"1\"" }, { "Content-Length", "1" })));
    return cress_response_write(res, "x", 1);
}

static int send_file_with_205(cress_environ *env, cress_response *res, void *self)
{
    char path[] = "/tmp/cress-205-XXXXXX";
    int fd = mkstemp(path);

    (void)env, (void)self;
    unlink(path);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_ok(cress_start_response(res, 205, NULL));
    assert_errno(EINVAL, cress_response_send_file(res, fd, 0, 3));
    close(fd);
    return 0;
}

static void test_a_file_with_205(void)
{
    wire_check(GET, send_file_with_205, DATED("205 Reset Content") "Content-Length: 0\r\n\r\n");
}

static int say_a_length_with_205(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_start_response(res, 205, CRESS_HEADERS({ "Content-Length", "5" }));
}

static void test_a_length_with_205(void)
{
    wire_check(GET GET, say_a_length_with_205,
               DATED("205 Reset Content") "Content-Length: 0\r\n\r\n" DATED(
                   "205 Reset Content") "Content-Length: 0\r\n\r\n");
}

static void test_bodies_where_none_may_be(void)
{
    check_error(write_to_204, "wrote a body where the status allows none");
    wire_check(GET, write_to_304, DATED("304 Not Modified") "ETag: \"1\"\r\n\r\n");
}

/* ---- failing behind what was whole ------------------------------------------------------------------- */

static int write_behind_204(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_respond(res, 204, NULL, NULL, 0));
    assert_errno(EINVAL, cress_response_write(res, "x", 1));
    return 0;
}

static int write_behind_the_whole(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_respond(res, 200, "text/plain", "abc", 3));
    assert_errno(EMSGSIZE, cress_response_write(res, "d", 1));
    return 0;
}

static int respond_and_fail(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_respond(res, 200, "text/plain", "abc", 3));
    errno = EIO;
    return -1;
}

static int write_all_and_fail(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", "3" })));
    assert_ok(cress_response_write(res, "abc", 3));
    errno = EIO;
    return -1;
}

static void test_failing_behind_the_whole(void)
{
    struct wire w;

    wire_init(&w, write_behind_204, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    wire_check_output(&w, DATED("204 No Content") "\r\n");
    assert_string_equal(w.wrong, "wrote a body where the status allows none");
    assert_false(w.is_closed);
    wire_finish(&w);
    check_cut(write_behind_the_whole,
              DATED("200 OK") "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc",
              "wrote more than its Content-Length");
    check_error(respond_and_fail, "failed: Input/output error");
    check_error(write_all_and_fail, "failed: Input/output error");
}

/* ---- failing after the beginning --------------------------------------------------------------------- */

static int fail_early(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "abc", 3));
    errno = EIO;
    return -1;
}

static int fail_late(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "abc", 3));
    assert_ok(cress_response_flush(res));
    assert_ok(cress_response_write(res, "def", 3));
    errno = EIO;
    return -1;
}

/* What was only collected can still be taken back. */
static void test_failing_after_the_beginning(void)
{
    wire_check(
        GET, fail_early,
        DATED("500 Internal Server Error") "Content-Type: text/plain\r\nContent-Length: 26\r\n"
                                           "\r\n500 Internal Server Error\n");
    check_cut(fail_late,
              DATED("200 OK") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n",
              "failed after its response had begun: Input/output error");
}

static int ignore_a_failed_write(cress_environ *env, cress_response *res, void *self)
{
    cress_timeout limit;

    (void)env, (void)self;
    assert_ok(cress_start_response(res, 200, NULL));
    assert_ok(cress_response_write(res, "abc", 3));
    cress_timeout_start(&limit, 1);
    cress_sleep(5);
    assert_errno(ETIMEDOUT, cress_response_write(res, "def", 3));
    cress_timeout_close(&limit);
    if (self)
        assert_ok(cress_response_write(res, "ghi", 3));
    return 0;
}

/* A message that is not whole never looks as if it were. */
static void test_ignoring_a_failed_write(void)
{
    struct wire w;

    check_cut(ignore_a_failed_write,
              DATED("200 OK") "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
              NULL);                          /* a passed limit is no fault of the app's */
    wire_init(&w, ignore_a_failed_write, &w); /* unless the app goes on knowingly */
    wire_start(&w);
    wire_send(&w, GET);
    cress_sleep(2);
    assert_non_null(strstr(w.stream.out, "\r\n\r\n3\r\nabc\r\n3\r\nghi\r\n0\r\n\r\n"));
    assert_null(w.wrong);
    wire_finish(&w);
}

static int say_nothing(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)res, (void)self;
    return 0;
}

static void test_no_response(void)
{
    struct wire w;

    wire_init(&w, say_nothing, NULL);
    wire_start(&w);
    wire_send(&w, GET);
    assert_int_equal(strncmp(w.stream.out, "HTTP/1.1 500 ", 13), 0);
    assert_string_equal(w.wrong, "returned 0 without a response");
    wire_finish(&w);
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static int file_of(size_t len)
{
    char name[] = "/tmp/cress-test-XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    unlink(name);
    for (size_t i = 0; i < len; i++) {
        char c = (char)('a' + i % 26);
        assert_int_equal(write(fd, &c, 1), 1);
    }
    return fd;
}

struct file {
    int fd;
    off_t offset;
    size_t len;
    const char *length; /* the Content-Length to say; NULL: none */
    bool is_chunked;    /* something is written before */
    int error;
};

static int send_a_file(cress_environ *env, cress_response *res, void *self)
{
    const struct file *file = self;

    (void)env;
    if (cress_start_response(
            res, 200, file->length ? CRESS_HEADERS({ "Content-Length", file->length }) : NULL) < 0)
        return -1;
    if (file->is_chunked)
        assert_ok(cress_response_write(res, "[", 1));
    if (cress_response_send_file(res, file->fd, file->offset, file->len) < 0) {
        assert_int_equal(errno, file->error);
        return -1;
    }
    return file->is_chunked ? cress_response_write(res, "]", 1) : 0;
}

static void check_file(struct file *file, bool has_op, const char *request, const char *expected)
{
    struct wire w;

    wire_init(&w, send_a_file, file);
    if (has_op)
        memory_stream_offer_send_file(&w.stream);
    wire_start(&w);
    wire_send(&w, request);
    wire_check_output(&w, expected);
    wire_finish(&w);
}

static void test_files(void)
{
    struct file file = { .fd = file_of(30), .offset = 2, .len = 5 };

    for (int has_op = 0; has_op < 2; has_op++) {
        check_file(&file, has_op, GET, DATED("200 OK") "Content-Length: 5\r\n\r\ncdefg");
        check_file(&file, has_op, HEAD, DATED("200 OK") "Content-Length: 5\r\n\r\n");
        check_file(&file, has_op, GET_1_0, DATED("200 OK") "Content-Length: 5\r\n\r\ncdefg");
        file.is_chunked = true;
        check_file(&file, has_op, GET,
                   DATED("200 OK") "Transfer-Encoding: chunked\r\n\r\n"
                                   "1\r\n[\r\n5\r\ncdefg\r\n1\r\n]\r\n0\r\n\r\n");
        file.is_chunked = false;
    }
    file.len = 0;
    check_file(&file, false, GET, DATED("200 OK") "Content-Length: 0\r\n\r\n");
    close(file.fd);
}

static void check_large_file(bool has_op, bool is_chunked)
{
    struct file file = {
        .fd = file_of(100000), .offset = 0, .len = 100000, .is_chunked = is_chunked
    };
    struct wire w;

    wire_init(&w, send_a_file, &file);
    if (has_op)
        memory_stream_offer_send_file(&w.stream);
    wire_start(&w);
    wire_send(&w, GET);
    const char *body = strstr(w.stream.out, "\r\n\r\n") + 4;
    if (is_chunked)
        body = strstr(body, "186a0\r\n") + 7;
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(body[i], 'a' + i % 26);
    assert_string_equal(body + 100000, is_chunked ? "\r\n1\r\n]\r\n0\r\n\r\n" : "");
    assert_int_equal(w.stream.more, has_op); /* what goes before the file */
    wire_finish(&w);
    close(file.fd);
}

static void test_large_files(void)
{
    check_large_file(false, false);
    check_large_file(false, true);
    check_large_file(true, false);
    check_large_file(true, true);
}

static void test_a_short_file(void)
{
    struct file file = { .fd = file_of(30), .offset = 20, .len = 11, .error = EIO };

    check_file(
        &file, false, GET,
        DATED("500 Internal Server Error") "Content-Type: text/plain\r\nContent-Length: 26\r\n"
                                           "\r\n500 Internal Server Error\n");
    file.offset = -1;
    file.error = EINVAL;
    check_file(
        &file, false, HEAD,
        DATED(
            "500 Internal Server Error") "Content-Type: text/plain\r\nContent-Length: 26\r\n\r\n");
    close(file.fd);
}

static void test_a_file_against_its_length(void)
{
    struct file file = { .fd = file_of(30), .len = 10, .length = "9", .error = EMSGSIZE };

    check_file(&file, false, GET,
               DATED("500 Internal Server Error") "Content-Type: text/plain\r\n"
                                                  "Content-Length: 26\r\n\r\n"
                                                  "500 Internal Server Error\n");
    file.length = "10";
    check_file(&file, false, GET, DATED("200 OK") "Content-Length: 10\r\n\r\nabcdefghij");
    close(file.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_printf),
        HUB_TEST(test_empty_writes_do_not_begin),
        HUB_TEST(test_flush),
        HUB_TEST(test_wrong_lengths_cut_the_connection),
        HUB_TEST(test_too_much_at_the_beginning),
        HUB_TEST(test_a_file_with_205),
        HUB_TEST(test_a_length_with_205),
        HUB_TEST(test_bodies_where_none_may_be),
        HUB_TEST(test_failing_behind_the_whole),
        HUB_TEST(test_failing_after_the_beginning),
        HUB_TEST(test_ignoring_a_failed_write),
        HUB_TEST(test_no_response),
        HUB_TEST(test_files),
        HUB_TEST(test_large_files),
        HUB_TEST(test_a_short_file),
        HUB_TEST(test_a_file_against_its_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
