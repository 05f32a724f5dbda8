#include "hub_test.h"
#include "wire.h"

#include <cress/file.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODIFIED "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define ETAG "ETag: \"2ebc98a1-a\"\r\n"

static char path[] = "/tmp/file.XXXXXX";
static cress_file file;

static int respond(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    return cress_respond_file(env, res, &file);
}

static char *ask(const char *method, const char *fields)
{
    struct wire w;
    char text[1024];

    snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    wire_init(&w, respond, NULL);
    memory_stream_offer_send_file(&w.stream);
    wire_start(&w);
    wire_send(&w, text);
    char *output = wire_output(&w);
    wire_finish(&w);
    return output;
}

static void check(const char *method, const char *fields, const char *expected)
{
    char *output = ask(method, fields);

    assert_string_equal(output, expected);
    free(output);
}

static void set_file(const cress_file *about)
{
    int fd = file.fd;

    file = *about;
    file.fd = fd;
}

static void test_whole(void)
{
    set_file(&(cress_file){ .type = "text/plain" });
    check("GET", "",
          DATED("200 OK") "Content-Length: 10\r\n" MODIFIED ETAG
                          "Content-Type: text/plain\r\nAccept-Ranges: bytes\r\n\r\n0123456789");
    check("HEAD", "",
          DATED("200 OK") "Content-Length: 10\r\n" MODIFIED ETAG
                          "Content-Type: text/plain\r\nAccept-Ranges: bytes\r\n\r\n");
}

static void test_what_the_application_says_of_it(void)
{
    set_file(&(cress_file){
        .encoding = "gzip",
        .etag = "\"mine\"",
        .headers = CRESS_HEADERS({ "Vary", "Accept-Encoding" }, { "Cache-Control", "no-cache" }),
    });
    check("GET", "",
          DATED("200 OK") "Content-Length: 10\r\n" MODIFIED
                          "ETag: \"mine\"\r\nVary: Accept-Encoding\r\nCache-Control: no-cache\r\n"
                          "Content-Encoding: gzip\r\nAccept-Ranges: bytes\r\n\r\n0123456789");
    check("GET", "If-None-Match: \"mine\"\r\n",
          DATED("304 Not Modified") MODIFIED "ETag: \"mine\"\r\nVary: Accept-Encoding\r\n"
                                             "Cache-Control: no-cache\r\n\r\n");
    set_file(&(cress_file){ .whole = true });
    check("GET", "Range: bytes=0-1\r\n",
          DATED("200 OK") "Content-Length: 10\r\n" MODIFIED ETAG "\r\n0123456789");
}

static void test_what_is_known_of_it(void)
{
    struct stat about;

    assert_int_equal(fstat(file.fd, &about), 0);
    about.st_size = 4; /* it has grown since */
    set_file(&(cress_file){ .about = &about });
    check("GET", "",
          DATED("200 OK") "Content-Length: 4\r\n" MODIFIED
                          "ETag: \"2ebc98a1-4\"\r\nAccept-Ranges: bytes\r\n\r\n0123");
    about.st_size = 11; /* it has shrunk: there is no whole answer */
    check("GET", "", "");
    about.st_mode = S_IFDIR;
    check("GET", "",
          DATED("500 Internal Server Error") "Content-Type: text/plain\r\nContent-Length: 26\r\n"
                                             "\r\n500 Internal Server Error\n");
}

static void test_conditions(void)
{
    set_file(&(cress_file){ .type = "text/plain" });
    check("GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
          DATED("304 Not Modified") MODIFIED ETAG "\r\n");
    check("GET", "If-Match: \"other\"\r\n",
          DATED("412 Precondition Failed") "Content-Length: 24\r\nContent-Type: text/plain\r\n\r\n"
                                           "412 Precondition Failed\n");
    check("GET", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n",
          DATED("200 OK") "Content-Length: 10\r\n" MODIFIED ETAG
                          "Content-Type: text/plain\r\nAccept-Ranges: bytes\r\n\r\n0123456789");
}

static void test_one_range(void)
{
    set_file(&(cress_file){ .type = "text/plain" });
    check("GET", "Range: bytes=2-4\r\n",
          DATED("206 Partial Content") "Content-Length: 3\r\n" MODIFIED ETAG
                                       "Content-Type: text/plain\r\n"
                                       "Content-Range: bytes 2-4/10\r\n\r\n234");
    check("GET", "Range: bytes=10-\r\n",
          DATED("416 Range Not Satisfiable") "Content-Length: 26\r\nContent-Range: bytes */10\r\n"
                                             "Content-Type: text/plain\r\n\r\n"
                                             "416 Range Not Satisfiable\n");
}

/* Replaces the boundary's digits. */
static char *hide_boundary(char *text)
{
    char *at = strstr(text, "boundary="), boundary[21];

    assert_non_null(at);
    snprintf(boundary, sizeof boundary, "%s", at + strlen("boundary="));
    assert_int_equal(strspn(boundary, "0123456789"), 20);
    while ((at = strstr(text, boundary)))
        memset(at, '#', 20);
    return text;
}

static void test_several_ranges(void)
{
    set_file(&(cress_file){ .type = "text/plain" });
    char *output = hide_boundary(ask("GET", "Range: bytes=8-,0-0\r\n"));
    assert_string_equal(output, DATED("206 Partial Content") "Content-Length: 197\r\n" MODIFIED ETAG
                                                             "Content-Type: multipart/byteranges; "
                                                             "boundary=####################\r\n\r\n"
                                                             "\r\n--####################\r\n"
                                                             "Content-Type: text/plain\r\n"
                                                             "Content-Range: bytes 8-9/10\r\n\r\n89"
                                                             "\r\n--####################\r\n"
                                                             "Content-Type: text/plain\r\n"
                                                             "Content-Range: bytes 0-0/10\r\n\r\n0"
                                                             "\r\n--####################--\r\n");
    assert_int_equal(strlen(strstr(output, "\r\n\r\n") + 4), 197);
    free(output);
}

static void test_parts_without_a_type(void)
{
    set_file(&(cress_file){ .type = NULL });
    char *output = hide_boundary(ask("GET", "Range: bytes=8-,0-0\r\n"));
    assert_non_null(
        strstr(output, "\r\n--####################\r\nContent-Range: bytes 0-0/10\r\n"));
    free(output);
}

static void test_other_methods(void)
{
    check(
        "POST", "Content-Length: 0\r\n",
        DATED("405 Method Not Allowed") "Content-Length: 23\r\nAllow: GET, HEAD\r\n"
                                        "Content-Type: text/plain\r\n\r\n405 Method Not Allowed\n");
}

static int respond_folder(cress_environ *env, cress_response *res, void *self)
{
    int *fd = self;

    assert_errno(EINVAL, cress_respond_file(env, res, &(cress_file){ .fd = *fd }));
    assert_errno(EBADF, cress_respond_file(env, res, &(cress_file){ .fd = -1 }));
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void test_what_is_no_file(void)
{
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    struct wire w;

    wire_init(&w, respond_folder, &fd);
    wire_start(&w);
    wire_send(&w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(w.stream.out, " 200 "));
    wire_finish(&w);
    close(fd);
}

static int make_file(void **state)
{
    static const struct timespec times[2] = { { .tv_sec = 784111777 }, { .tv_sec = 784111777 } };
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0 || write(fd, "0123456789", 10) != 10 || futimens(fd, times) < 0)
        return -1;
    file.fd = fd;
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    close(file.fd);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_whole),
        HUB_TEST(test_what_the_application_says_of_it),
        HUB_TEST(test_what_is_known_of_it),
        HUB_TEST(test_conditions),
        HUB_TEST(test_one_range),
        HUB_TEST(test_several_ranges),
        HUB_TEST(test_parts_without_a_type),
        HUB_TEST(test_other_methods),
        HUB_TEST(test_what_is_no_file),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
