#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cress/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char table[] = "/tmp/mime.types.XXXXXX";

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

/* The test's own table in place of the system's. */
int __wrap_open(const char *path, int flags, ...)
{
    if (strcmp(path, "/etc/mime.types") == 0)
        path = table;
    return __real_open(path, flags);
}

static int write_table(void **state)
{
    static const char text[] = "# a comment\n"
                               "application/x-first   one two\tthree\n"
                               "application/x-none\n"
                               "\n"
                               "  application/x-second ONE four # five\r\n"
                               "text/x-override css\n"
                               "bad\x01type six\n"
                               "application/x-last last";
    int fd = mkstemp(table);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    return close(fd);
}

static int remove_table(void **state)
{
    (void)state;
    return unlink(table);
}

static void check(const char *name, const char *expected)
{
    const char *type = cress_mime_type(name);

    if (expected) {
        assert_non_null(type);
        assert_string_equal(type, expected);
    } else {
        assert_null(type);
    }
}

static void test_the_systems_table(void **state)
{
    (void)state;
    check("a.one", "application/x-first"); /* the first that names it */
    check("a.two", "application/x-first");
    check("a.three", "application/x-first");
    check("a.four", "application/x-second");
    check("a.last", "application/x-last");
    check("a.five", NULL);
    check("a.six", NULL);
    check("a.css", "text/x-override");
}

static void test_our_own(void **state)
{
    (void)state;
    check("index.html", "text/html");
    check("a.avif", "image/avif");
    check("a.zip", "application/zip");
    check("a.woff2", "font/woff2");
    check("a.txt", "text/plain");
}

static void test_names(void **state)
{
    (void)state;
    check("a.HTML", "text/html");
    check("a.b.html", "text/html");
    check("/x.d/a.html", "text/html");
    check("/x.html/a", NULL);
    check("a.", NULL);
    check("a", NULL);
    check("", NULL);
    check("html", NULL);
    check("a.html.bak", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_systems_table),
        cmocka_unit_test(test_our_own),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, write_table, remove_table);
}
