#include "fail_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <cress/multipart.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a form, and what was seen of it ------------------------------------------------------------- */

struct seen {
    const cress_multipart_limits *limits;
    size_t read_size; /* of each read; 0: read_all; SIZE_MAX: nothing is read */
    size_t read_all_limit;
    char text[8192];
    size_t len;
    int error; /* what it ended with */
};

static void see(struct seen *seen, const char *data, size_t len)
{
    assert_true(seen->len + len < sizeof seen->text);
    if (len)
        memcpy(seen->text + seen->len, data, len);
    seen->len += len;
    seen->text[seen->len] = '\0';
}

static void see_text(struct seen *seen, const char *text)
{
    see(seen, text, strlen(text));
}

static void see_str(struct seen *seen, const char *what, cress_str text)
{
    if (!text.data)
        return;
    assert_int_equal(text.data[text.len], '\0');
    see_text(seen, what);
    see(seen, text.data, text.len);
}

static int see_data(struct seen *seen, cress_multipart *form)
{
    char buf[100];
    cress_str all;
    ssize_t len;

    if (seen->read_size == SIZE_MAX)
        return 0;
    see_text(seen, ": ");
    if (seen->read_size == 0) {
        if (cress_multipart_read_all(form, seen->read_all_limit, &all) < 0)
            return -1;
        assert_int_equal(all.data[all.len], '\0');
        see(seen, all.data, all.len);
        return 0;
    }
    while ((len = cress_multipart_read(form, buf, seen->read_size)) > 0)
        see(seen, buf, (size_t)len);
    if (len == 0)
        assert_int_equal(cress_multipart_read(form, buf, 1), 0);
    return (int)len;
}

static int see_part(void *arg, cress_multipart *form, const cress_part *part)
{
    struct seen *seen = arg;

    see_str(seen, "[", part->name);
    see_str(seen, " file=", part->filename);
    see_str(seen, " type=", part->type);
    if (see_data(seen, form) < 0)
        return -1;
    see_text(seen, "]");
    return 0;
}

static int see_form(cress_environ *env, struct seen *seen)
{
    cress_multipart form;
    cress_part part;

    if (cress_multipart_begin(&form, env, seen->limits) < 0)
        return -1;
    int result = cress_multipart_each(&form, see_part, seen);
    if (result == 0) {
        assert_int_equal(cress_multipart_next(&form, &part), 0);
        assert_int_equal(cress_multipart_read(&form, &part, 1), 0);
        return 0;
    }
    int error = errno;
    assert_errno(error, cress_multipart_next(&form, &part));
    assert_errno(error, cress_multipart_read(&form, &part, 1));
    errno = error;
    return -1;
}

static int take_form(cress_environ *env, cress_response *res, void *self)
{
    struct seen *seen = self;

    seen->len = 0;
    seen->text[0] = '\0';
    seen->error = see_form(env, seen) < 0 ? errno : 0;
    return cress_respond(res, 200, NULL, NULL, 0);
}

#define TYPE "multipart/form-data; boundary=XyZ"

/* However it is cut and read: the same. */
static void check_bytes(const char *type, const char *body, size_t len,
                        const cress_multipart_limits *limits, const char *expected, int error)
{
    static const size_t read_sizes[] = { 100, 0, 1, 7 }, pieces[] = { 0, 1, 2, 3, 5, 11 };

    for (size_t r = 0; r < sizeof read_sizes / sizeof read_sizes[0]; r++)
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            struct seen seen = { .limits = limits,
                                 .read_size = read_sizes[r],
                                 .read_all_limit = 5000 };
            wire_post(take_form, &seen, type, body, len, pieces[p]);
            assert_int_equal(seen.error, error);
            if (error == 0)
                assert_string_equal(seen.text, expected);
        }
}

#define check(body, expected) check_bytes(TYPE, body, strlen(body), NULL, expected, 0)
#define check_fails(error, body) check_bytes(TYPE, body, strlen(body), NULL, NULL, error)

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"
#define PART(name, data) "--XyZ\r\n" FIELD(name) "\r\n" data "\r\n"
#define END "--XyZ--\r\n"

/* ---- forms ---------------------------------------------------------------------------------------- */

static void test_fields_and_files(void)
{
    check(PART("a", "1") END, "[a: 1]");
    check(PART("a", "1") PART("b", "") PART("a", "two\r\nlines") END,
          "[a: 1][b: ][a: two\r\nlines]");
    check("--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n\r\nhello\n\r\n" END,
          "[f file=x.txt type=text/plain; charset=utf-8: hello\n]");
    check("--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n\r\n" END,
          "[f file=: ]");
    check(END, "");
}

/* RFC 2046 5.1.1 */
static void test_what_is_around_boundaries(void)
{
    check("preamble\r\n" PART("a", "1") END "epilogue\r\n--XyZ\r\n", "[a: 1]");
    check("\r\n" PART("a", "1") END, "[a: 1]");
    check("--Xy\r\n--XyY"
          "\r\n" PART("a", "1") "--XyZ--",
          "[a: 1]");
    check("--XyZ \t \r\n" FIELD("a") "\r\n1\r\n--XyZ-- \t\r\n", "[a: 1]");
    check(PART("a", "1") "--XyZ--  ", "[a: 1]");
    /* A line end in front of the header's end may be the boundary's own. */
    check("--XyZ\r\n" FIELD("a") "\r\n--XyZ\r\n" FIELD("b") "\r\n\r\n" END, "[a: ][b: ]");
}

/* Behind the empty line of a header it begins a line. */
static void test_a_boundary_at_the_beginning_of_content(void)
{
    check_fails(EBADMSG, PART("a", "--XyZ") END);
    check_fails(EBADMSG, PART("a", "--XyZx") END);
}

static void test_content_that_looks_like_a_boundary(void)
{
    check(PART("a", "x--XyZ") END, "[a: x--XyZ]");
    check(PART("a", "x\r--XyZ") END, "[a: x\r--XyZ]");
    check(PART("a", "x\n--XyZ") END, "[a: x\n--XyZ]");
    check(PART("a", "x\r\n--Xy") END, "[a: x\r\n--Xy]");
    check(PART("a", "x\r\n--XyzZ") END, "[a: x\r\n--XyzZ]");
    check(PART("a", "\r\n\r\r\n-\r\n--\r\n--X") END, "[a: \r\n\r\r\n-\r\n--\r\n--X]");
    check(PART("a", "x\r") END, "[a: x\r]");
    check(PART("a", "\r\n") END, "[a: \r\n]");
}

static void test_boundaries(void)
{
    static const char body[] =
        "--a b'()+_,-./:=?\r\n" FIELD("a") "\r\n1\r\n--a b'()+_,-./:=?--\r\n";
    static const char plain[] = "--XyZ\r\n" FIELD("a") "\r\n1\r\n--XyZ--";
    static const char *const types[] = {
        "multipart/form-data; boundary=XyZ",
        "Multipart/Form-Data;BOUNDARY=\"XyZ\"",
        "multipart/form-data ; charset=utf-8 ; boundary=XyZ ;",
    };

    check_bytes("multipart/form-data; boundary=\"a b'()+_,-./:=?\"", body, strlen(body), NULL,
                "[a: 1]", 0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        check_bytes(types[i], plain, strlen(plain), NULL, "[a: 1]", 0);
}

/* One more than 70. */
#define LONG_BOUNDARY                \
    "multipart/form-data; boundary=" \
    "1234567890123456789012345678901234567890123456789012345678901234567890x"

static void test_types_that_are_none(void)
{
    static const char *const types[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"XyZ",
        "multipart/form-data; boundary=\"XyZ \"",
        "multipart/form-data; boundary=\"Xy\\\"Z\"",
        "multipart/form-data; boundary=XyZ; boundary=XyZ",
        "multipart/form-data; boundary=Xy*Z",
        "multipart/form-data; boundary=XyZ x",
        "multipart/form-data boundary=XyZ",
        "multipart/form-data; boundary =XyZ",
        "multipart/form-data, multipart/form-data; boundary=XyZ",
        "multipart/mixed; boundary=XyZ",
        "multipart/form-data2; boundary=XyZ",
        "application/x-www-form-urlencoded",
        "",
        LONG_BOUNDARY,
    };
    struct seen seen = { .read_size = 1 };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        wire_post(take_form, &seen, types[i], END, strlen(END), 0);
        assert_int_equal(seen.error, EBADMSG);
    }
}

/* RFC 7578 4.2, HTML Standard 4.10.21.8, RFC 6266 4.3 */
static void test_names(void)
{
    static const struct {
        const char *parameters, *expected;
    } cases[] = {
        { "name=a", "[a: ]" },
        { "NAME=\"a\"", "[a: ]" },
        { "name=\"\"", "[: ]" },
        { "x=y; name=a ; filename=b;", "[a file=b: ]" },
        { "name=\"a b;c\"", "[a b;c: ]" },
        { "name=\"\xc3\xa4\"", "[\xc3\xa4: ]" },
        /* as browsers write a quote and a line end */
        { "name=\"a%22b%0D%0Ac\"", "[a\"b\r\nc: ]" },
        { "name=a; filename=\"100%25%22.txt\"", "[a file=100%25\".txt: ]" },
        { "name=a%22", "[a%22: ]" },
        /* as others escape */
        { "name=\"a\\\"b\\\\c\"", "[a\"b\\c: ]" },
        { "name=\"a\\bc\"", "[a\\bc: ]" },
        /* folders */
        { "name=a; filename=\"C:\\dir\\x.txt\"", "[a file=x.txt: ]" },
        { "name=a; filename=\"../../etc/passwd\"", "[a file=passwd: ]" },
        { "name=a; filename=\"dir/\"", "[a file=: ]" },
        /* filename* */
        { "name=a; filename*=UTF-8''%e2%82%ac%20rates", "[a file=\xe2\x82\xac rates: ]" },
        { "name=a; filename=\"x\"; filename*=utf-8'en'y.txt", "[a file=y.txt: ]" },
        { "name=a; filename*=utf-8''..%2Fx", "[a file=x: ]" },
    };
    char body[512];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(body, sizeof body, "--XyZ\r\nContent-Disposition: form-data; %s\r\n\r\n\r\n" END,
                 cases[i].parameters);
        check(body, cases[i].expected);
    }
}

static void test_headers_that_are_refused(void)
{
    static const char *const headers[] = {
        "",
        "X: y\r\n",
        "Content-Disposition: form-data\r\n",
        "Content-Disposition: form-data; filename=a\r\n",
        "Content-Disposition: attachment; name=a\r\n",
        "Content-Disposition: form-data, name=a\r\n",
        "Content-Disposition: form-data; name=a b\r\n",
        "Content-Disposition: form-data; name=\"a\r\n",
        "Content-Disposition: form-data; name=\"a\"b\r\n",
        "Content-Disposition: form-data; name\r\n",
        "Content-Disposition: form-data; name=\r\n",
        "Content-Disposition: form-data; name= a\r\n",
        "Content-Disposition: form-data; name=a; name=b\r\n",
        "Content-Disposition: form-data; name=a; filename=b; FILENAME=c\r\n",
        "Content-Disposition: form-data; name=a; filename*=latin1''b\r\n",
        "Content-Disposition: form-data; name=a; filename*=UTF-8''%0\r\n",
        "Content-Disposition: form-data; name=a; filename*=UTF-8''%00\r\n",
        "Content-Disposition: form-data; name=a; filename*=UTF-8''%0d%0a\r\n",
        "Content-Disposition: form-data; name=a; filename*=UTF-8'b\r\n",
        "Content-Disposition: form-data; name=a; filename*=\"UTF-8''b\"\r\n",
        "Content-Disposition: form-data; name=a; filename*=a''b; filename*=a''b\r\n",
        FIELD("a") FIELD("a"),
        FIELD("a") "Content-Type: a/b\r\nContent-Type: a/b\r\n",
        FIELD("a") "Content-Transfer-Encoding: base64\r\n",
        FIELD("a") "Content-Transfer-Encoding: quoted-printable\r\n",
        FIELD("a") " folded\r\n",
        FIELD("a") "No colon\r\n",
        FIELD("a") "Name : x\r\n",
        FIELD("a") ": x\r\n",
        FIELD("a") "X: a\nb\r\n",
        FIELD("a") "X: a\rb\r\n",
        FIELD("a") "X: a\x01\r\n",
        "Content-Disposition: form-data; name=\"a\n\"\r\n",
        "\n" FIELD("a"),
    };
    char body[512];

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        snprintf(body, sizeof body, "--XyZ\r\n%s\r\nx\r\n" END, headers[i]);
        check_fails(EBADMSG, body);
    }
}

static void test_headers_that_do_not_matter(void)
{
    check("--XyZ\r\nX-Other:\r\n" FIELD("a") "Content-Transfer-Encoding: 8BIT\r\n\r\n1\r\n" END,
          "[a: 1]");
    check("--XyZ\r\ncontent-disposition:form-data;name=a \t\r\n\r\n1\r\n" END, "[a: 1]");
}

static void test_malformed_bodies(void)
{
    static const char *const bodies[] = {
        "",
        "--",
        "preamble without an end",
        "--XyZ",
        "--XyZ-",
        "--XyZ\r\n",
        "--XyZx\r\n" FIELD("a") "\r\n1\r\n" END,
        "--XyZ-\r\n" FIELD("a") "\r\n1\r\n" END,
        "--XyZ\n" FIELD("a") "\r\n1\r\n" END,
        PART("a", "1") "--XyZx--",
        PART("a", "1") "--XyZ--x",
        PART("a", "1") "--XyZ--\n",
        PART("a", "1") "--XyZ--\r",
        PART("a", "1") "--XyZ-",
        PART("a", "1") "--XyZ",
        PART("a", "1"),
        "--XyZ\r\n" FIELD("a") "\r\n",
        "--XyZ\r\n" FIELD("a"),
    };

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        check_fails(EBADMSG, bodies[i]);
}

static void test_every_beginning_of_a_form_is_none(void)
{
    static const char body[] = "x\r\n" PART("a", "1\r\n") PART("b", "") "--XyZ--";
    struct seen seen = { .read_size = 10 };

    for (size_t len = 0; len < sizeof body - 1; len++) {
        wire_post(take_form, &seen, TYPE, body, len, 0);
        assert_int_equal(seen.error, EBADMSG);
    }
    wire_post(take_form, &seen, TYPE, body, sizeof body - 1, 0);
    assert_int_equal(seen.error, 0);
}

static void test_bytes_of_all_values(void)
{
    char body[1024], expected[1024];
    size_t len = 0;
    struct seen seen = { .read_size = 100 };

    len += (size_t)sprintf(body, "--XyZ\r\n" FIELD("a") "\r\n");
    for (int c = 0; c < 256; c++)
        body[len++] = (char)c;
    len += (size_t)sprintf(body + len, "\r\n" END);
    strcpy(expected, "[a: ");
    for (int c = 0; c < 256; c++)
        expected[4 + c] = (char)c;
    expected[260] = ']';
    for (size_t piece = 0; piece < 20; piece++) {
        wire_post(take_form, &seen, TYPE, body, len, piece);
        assert_int_equal(seen.error, 0);
        assert_int_equal(seen.len, 261);
        assert_memory_equal(seen.text, expected, 261);
    }
}

static void test_parts_that_are_not_read(void)
{
    struct seen seen = { .read_size = SIZE_MAX };
    static const char body[] = PART("a", "1") PART("b", "\r\n--X") END;

    for (size_t piece = 0; piece < 10; piece++) {
        wire_post(take_form, &seen, TYPE, body, strlen(body), piece);
        assert_int_equal(seen.error, 0);
        assert_string_equal(seen.text, "[a][b]");
    }
}

/* ---- limits --------------------------------------------------------------------------------------- */

static void check_limit(const cress_multipart_limits *fits, const cress_multipart_limits *too_small,
                        const char *body, const char *expected)
{
    check_bytes(TYPE, body, strlen(body), fits, expected, 0);
    check_bytes(TYPE, body, strlen(body), too_small, NULL, EMSGSIZE);
}

static void test_limits(void)
{
    static const char body[] = PART("a", "12345") PART("b", "1") END;
    size_t head = strlen("\r\n" FIELD("a")) - 2;

    check_limit(&(cress_multipart_limits){ .parts = 2 }, &(cress_multipart_limits){ .parts = 1 },
                body, "[a: 12345][b: 1]");
    check_limit(&(cress_multipart_limits){ .head = head },
                &(cress_multipart_limits){ .head = head - 1 }, body, "[a: 12345][b: 1]");
    check_limit(&(cress_multipart_limits){ .part_size = 5 },
                &(cress_multipart_limits){ .part_size = 4 }, body, "[a: 12345][b: 1]");
    check_limit(&(cress_multipart_limits){ .size = strlen(body) },
                &(cress_multipart_limits){ .size = strlen(body) - 1 }, body, "[a: 12345][b: 1]");
}

static void test_limits_on_what_is_kept(void)
{
    static const char body[] = PART("a", "12345") PART("b", "1") END;
    size_t heads = 2 * (strlen("\r\n" FIELD("a")) - 2);
    struct seen seen = { .read_all_limit = 5 };

    wire_post(take_form, &seen, TYPE, body, strlen(body), 0);
    assert_string_equal(seen.text, "[a: 12345][b: 1]");
    seen.read_all_limit = 4;
    wire_post(take_form, &seen, TYPE, body, strlen(body), 0);
    assert_int_equal(seen.error, EMSGSIZE);
    seen.read_all_limit = 5;
    seen.limits = &(cress_multipart_limits){ .memory = heads + 6 };
    wire_post(take_form, &seen, TYPE, body, strlen(body), 0);
    assert_int_equal(seen.error, 0);
    seen.limits = &(cress_multipart_limits){ .memory = heads + 5 };
    wire_post(take_form, &seen, TYPE, body, strlen(body), 0);
    assert_int_equal(seen.error, EMSGSIZE);
}

static void test_endless_padding(void)
{
    char body[2000] = "--XyZ";

    memset(body + 5, ' ', 1000);
    strcpy(body + 1005, "\r\n" FIELD("a") "\r\n1\r\n" END);
    check_fails(EBADMSG, body);
}

static void test_a_long_header(void)
{
    char body[40000];
    struct seen seen = { .read_size = 1, .limits = &(cress_multipart_limits){ .head = 1 << 20 } };

    for (size_t x = 16000; x <= 17000; x += 1000) {
        strcpy(body, "--XyZ\r\nX: ");
        memset(body + strlen(body), 'x', x);
        strcpy(body + 10 + x, "\r\n" FIELD("a") "\r\n1\r\n" END);
        wire_post(take_form, &seen, TYPE, body, strlen(body), 0);
        assert_int_equal(seen.error, x == 16000 ? 0 : EMSGSIZE);
        wire_post(take_form, &seen, TYPE, body, strlen(body), 1000);
        assert_int_equal(seen.error, x == 16000 ? 0 : EMSGSIZE);
    }
}

/* ---- what the server makes of it -------------------------------------------------------------------- */

static int pass_errors_on(cress_environ *env, cress_response *res, void *self)
{
    struct seen *seen = self;

    if (see_form(env, seen) < 0)
        return -1;
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void check_status(const char *body, const cress_multipart_limits *limits, const char *status)
{
    struct seen seen = { .read_size = 1, .limits = limits };
    struct wire w;
    char text[1024];

    snprintf(text, sizeof text,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " TYPE
             "\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    wire_init(&w, pass_errors_on, &seen);
    wire_start(&w);
    wire_send(&w, text);
    assert_int_equal(strncmp(w.stream.out + 9, status, 3), 0);
    wire_finish(&w);
}

static void test_statuses(void)
{
    check_status(PART("a", "1") END, NULL, "200");
    check_status("--XyZ--x", NULL, "400");
    check_status(PART("a", "12") END, &(cress_multipart_limits){ .part_size = 1 }, "413");
}

static void test_a_client_that_leaves(void)
{
    struct seen seen = { .read_size = 1 };
    struct wire w;

    wire_init(&w, take_form, &seen);
    wire_start(&w);
    wire_send(&w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " TYPE
                  "\r\nContent-Length: 1000\r\n\r\n--XyZ\r\n" FIELD("a") "\r\nhalf");
    wire_finish(&w);
    assert_int_equal(seen.error, EPIPE);
}

/* ---- memory ------------------------------------------------------------------------------------- */

struct attempt {
    int allocations; /* that succeed */
    int error;
    bool failed;
};

/* Each allocation fails once: an error, and nothing is left behind. */
static int read_without_memory(cress_environ *env, cress_response *res, void *self)
{
    struct attempt *a = self;
    cress_str text;
    cress_multipart form;
    cress_part part;

    allocations_left = a->allocations;
    bool is_whole = cress_multipart_begin(&form, env, NULL) == 0 &&
                    cress_multipart_next(&form, &part) > 0 &&
                    cress_multipart_read_all(&form, 10000, &text) == 0;
    a->error = is_whole ? 0 : errno;
    a->failed = end_failing();
    return cress_respond(res, 200, NULL, NULL, 0);
}

static void test_without_memory(void)
{
    struct attempt a = { .failed = true };
    char body[10000];
    int len = sprintf(body, PART("a", "%09000d") END, 1);

    for (; a.failed; a.allocations++) {
        wire_post(read_without_memory, &a, TYPE, body, (size_t)len, 1000);
        assert_int_equal(a.error, a.failed ? ENOMEM : 0);
    }
    assert_true(a.allocations > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_fields_and_files),
        HUB_TEST(test_what_is_around_boundaries),
        HUB_TEST(test_a_boundary_at_the_beginning_of_content),
        HUB_TEST(test_content_that_looks_like_a_boundary),
        HUB_TEST(test_boundaries),
        HUB_TEST(test_types_that_are_none),
        HUB_TEST(test_names),
        HUB_TEST(test_headers_that_are_refused),
        HUB_TEST(test_headers_that_do_not_matter),
        HUB_TEST(test_malformed_bodies),
        HUB_TEST(test_every_beginning_of_a_form_is_none),
        HUB_TEST(test_bytes_of_all_values),
        HUB_TEST(test_parts_that_are_not_read),
        HUB_TEST(test_limits),
        HUB_TEST(test_limits_on_what_is_kept),
        HUB_TEST(test_endless_padding),
        HUB_TEST(test_a_long_header),
        HUB_TEST(test_statuses),
        HUB_TEST(test_a_client_that_leaves),
        HUB_TEST(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
