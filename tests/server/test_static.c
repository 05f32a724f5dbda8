#define _GNU_SOURCE /* O_PATH */

#include "fail_alloc.h"
#include "hub_test.h"
#include "wire.h"

#include <cress/file.h>
#include <cress/router.h>
#include <cress/static.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

/* ---- kernels ------------------------------------------------------------------------------------- */

static enum kernel {
    KERNEL_AS_IT_IS,
    KERNEL_5_6,   /* openat2 without RESOLVE_CACHED */
    KERNEL_OLD,   /* without openat2 */
    KERNEL_COLD,  /* nothing is in memory */
    KERNEL_RACES, /* somebody renames things, a few times */
    KERNELS,
} kernel;

static int races;

long __real_syscall(long number, int fd, const char *path, struct open_how *how, size_t size);
long __wrap_syscall(long number, int fd, const char *path, struct open_how *how, size_t size);

static int kernel_error(const struct open_how *how)
{
    bool cached = how->resolve & RESOLVE_CACHED;

    switch (kernel) {
    case KERNEL_5_6:
        return cached ? EINVAL : 0;
    case KERNEL_OLD:
        return ENOSYS;
    case KERNEL_COLD:
        return cached ? EAGAIN : 0;
    case KERNEL_RACES:
        return cached || races++ % 4 != 3 ? EAGAIN : 0;
    default:
        return 0;
    }
}

long __wrap_syscall(long number, int fd, const char *path, struct open_how *how, size_t size)
{
    int error = number == SYS_openat2 ? kernel_error(how) : 0;

    if (!error)
        return __real_syscall(number, fd, path, how, size);
    errno = error;
    return -1;
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* ---- a folder ------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/static.XXXXXX";
static cress_static_root *files;
static cress_app *app = cress_static;

static void in_folder(char to[300], const char *name)
{
    snprintf(to, 300, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *text, time_t modified)
{
    struct timespec times[2] = { { .tv_sec = modified }, { .tv_sec = modified } };
    char path[300];

    in_folder(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_ok(futimens(fd, times));
    close(fd);
}

static void make_dir(const char *name)
{
    char path[300];

    in_folder(path, name);
    assert_ok(mkdir(path, 0755));
}

static void make_link(const char *name, const char *to)
{
    char path[300];

    in_folder(path, name);
    assert_ok(symlink(to, path));
}

static void make_socket(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name);
    assert_ok(bind(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
}

static int make_folder(void **state)
{
    char path[300];

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    make_dir("www");
    make_dir("www/sub");
    make_dir("www/sub/deep");
    make_dir("www/odd dir?");
    make_dir("www/folder.txt");
    write_file("secret.txt", "secret", 1);
    write_file("www/a.txt", "a", 1);
    write_file("www/a%2eb", "percent", 1);
    write_file("www/..double", "dots", 1);
    write_file("www/.hidden", "hidden", 1);
    make_dir("www/.well-known");
    make_dir("www/sub/.well-known");
    write_file("www/.well-known/token", "token", 1);
    write_file("www/.well-known/.hidden", "hidden", 1);
    write_file("www/sub/.well-known/token", "token", 1);
    write_file("www/index.html", "index", 1);
    write_file("www/sub/index.html", "sub", 1);
    write_file("www/sub/home.txt", "home", 1);
    write_file("www/odd dir?/b.txt", "b", 1);
    write_file("www/e.json", "{}", 1);
    write_file("www/c.css", "css", 100);
    write_file("www/c.css.gz", "gzipped", 100);
    write_file("www/c.css.br", "brotli", 101);
    write_file("www/d.css", "css", 100);
    write_file("www/d.css.gz", "stale", 99);
    make_dir("www/d.css.br");
    make_link("www/inside.txt", "a.txt");
    make_link("www/outside.txt", "../secret.txt");
    make_link("www/absolute.txt", "/etc/passwd");
    make_link("www/up", "..");
    make_link("www/loop", "loop");
    make_link("www/self", "/proc/self/root/etc");
    in_folder(path, "www/fifo");
    assert_ok(mkfifo(path, 0644));
    make_socket("www/socket");
    return 0;
}

static int remove_folder(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void open_files(cress_static_options options)
{
    char root[300];

    in_folder(root, "www");
    options.root = root;
    files = cress_static_create(&options);
    assert_non_null(files);
}

static void close_files(void)
{
    cress_static_destroy(files);
    files = NULL;
}

/* ---- requests -------------------------------------------------------------------------------------- */

/* The whole answer; to be freed. */
static char *ask(const char *method, const char *target, const char *fields)
{
    struct wire w;
    char text[9000];

    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method,
             target, fields);
    wire_init(&w, app, files);
    w.config.limit_request_line = 8500;
    wire_start(&w);
    wire_send(&w, text);
    assert_ok(cress_join(w.greenlet, CRESS_FOREVER)); /* threads take their time */
    char *output = wire_output(&w);
    wire_finish(&w);
    return output;
}

/* A status, and the body's text ("": whatever it is). */
static void check(const char *target, int status, const char *body)
{
    char *output = ask("GET", target, ""), *found = strstr(output, "\r\n\r\n");

    assert_int_equal(atoi(output + 9), status);
    assert_non_null(found);
    if (*body)
        assert_string_equal(found + 4, body);
    free(output);
}

static bool has_field(const char *output, const char *line)
{
    char wanted[300];

    snprintf(wanted, sizeof wanted, "\r\n%s\r\n", line);
    return strstr(output, wanted) != NULL;
}

static void check_field(const char *target, const char *fields, const char *line)
{
    char *output = ask("GET", target, fields);

    assert_true(has_field(output, line));
    free(output);
}

static void check_found(void)
{
    check("/a.txt", 200, "a");
    check("/a.txt?x=y", 200, "a");
    check("//a.txt", 200, "a");
    check("/sub//home.txt", 200, "home");
    check("/odd%20dir%3F/b.txt", 200, "b");
    check("/a%252eb", 200, "percent");
    check("/", 200, "index");
    check("///", 200, "index");
    check("/sub/", 200, "sub");
    check("/sub///", 200, "sub");
}

static void check_not_found(void)
{
    static const char *const targets[] = {
        "/nowhere",
        "/nowhere/",
        "/a.txt/",
        "/a.txt/b",
        "/.hidden",
        "/..double",
        "/./a.txt",
        "/sub/../a.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/..",
        "/.",
        "/outside.txt",
        "/absolute.txt",
        "/up/secret.txt",
        "/up/",
        "/loop",
        "/self/passwd",
        "/fifo",
        "/socket",
        "/sub/nowhere/",
        "/sub%5c..%5c..%5csecret.txt",
    };

    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        check(targets[i], 404, "404 Not Found\n");
}

static void check_long_names(void)
{
    char target[8200];

    memset(target, 'x', sizeof target);
    target[0] = '/';
    target[300] = '\0';
    check(target, 404, "404 Not Found\n");
    target[300] = '/';
    target[600] = '\0';
    check(target, 404, "404 Not Found\n");
    for (size_t i = 0; i < sizeof target; i += 2)
        target[i] = '/';
    target[8000] = '\0';
    check(target, 404, "404 Not Found\n");
}

/* Whatever the kernel can do. */
static void test_every_kernel(void)
{
    for (kernel = 0; kernel < KERNELS; kernel++) {
        open_files((cress_static_options){ .no_siblings = false });
        check_found();
        check_not_found();
        check_long_names();
        check("/sub/deep/", 403, "403 Forbidden\n");
        check("/inside.txt", kernel == KERNEL_OLD ? 404 : 200, "");
        close_files();
    }
    kernel = KERNEL_AS_IT_IS;
}

static int next_descriptor(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void test_descriptors_are_closed(void)
{
    for (kernel = 0; kernel < KERNELS; kernel++) {
        open_files((cress_static_options){ .no_siblings = false });
        check_found();
        check_not_found(); /* threads have descriptors of their own, once */
        int before = next_descriptor();
        check_found();
        check_not_found();
        check("/sub", 301, "");
        check("/c.css", 200, "css");
        assert_int_equal(next_descriptor(), before);
        close_files();
    }
    kernel = KERNEL_AS_IT_IS;
}

static void test_folders(void)
{
    open_files((cress_static_options){ .index = "home.txt" });
    check("/sub/", 200, "home");
    check("/", 403, "");
    check_field("/sub", "", "Location: /sub/");
    check_field("/sub?a=%20b&c", "", "Location: /sub/?a=%20b&c");
    check_field("/odd%20dir%3f", "", "Location: /odd%20dir%3F/");
    check_field("//sub//deep", "", "Location: /sub/deep/"); /* not another host's */
    close_files();
    open_files((cress_static_options){ .index = "" });
    check("/sub/", 403, "403 Forbidden\n");
    check("/nowhere/", 404, "404 Not Found\n");
    check("/a.txt/", 404, "");
    close_files();
    open_files((cress_static_options){ .index = "deep" });
    check("/sub/", 404, ""); /* a folder is no index */
    close_files();
}

static void test_dotfiles(void)
{
    open_files((cress_static_options){ .dotfiles = true });
    check("/.hidden", 200, "hidden");
    check("/..double", 200, "dots");
    check("/..", 404, "");
    check("/../secret.txt", 404, "");
    check("/./a.txt", 404, "");
    close_files();
}

/* RFC 8615 */
static void test_well_known(void)
{
    open_files((cress_static_options){ .dotfiles = false });
    check("/.well-known/token", 200, "token");
    check("//%2ewell-known/token", 200, "token");
    check("/.well-known/.hidden", 404, "");
    check("/.well-known/../a.txt", 404, "");
    check("/sub/.well-known/token", 404, "");
    check("/.well-knowns", 404, "");
    check("/.WELL-KNOWN/token", 404, "");
    close_files();
}

static int otherwise(cress_environ *env, cress_response *res, void *self)
{
    (void)env;
    return cress_respond(res, 200, NULL, self, strlen(self));
}

static void test_prefixes(void)
{
    static char behind[] = "behind";

    open_files((cress_static_options){
        .prefix = "/x y/", .otherwise = otherwise, .otherwise_self = behind });
    check("/x%20y/a.txt", 200, "a");
    check("/x%20y/", 200, "index");
    check("/x%20y/nowhere", 404, "404 Not Found\n");
    check_field("/x%20y", "", "Location: /x%20y/");
    check_field("/x%20y/sub", "", "Location: /x%20y/sub/");
    check("/x%20yz", 200, "behind");
    check("/x", 200, "behind");
    check("/", 200, "behind");
    check("/X%20Y/a.txt", 200, "behind");
    close_files();
    open_files((cress_static_options){ .prefix = "/x" });
    check("/a.txt", 404, "404 Not Found\n");
    close_files();
}

static int serve_files(cress_environ *env, cress_response *res, void *self)
{
    (void)self;
    return cress_static(env, res, files);
}

/* Behind a mount the redirect has the mount's place in front, and names no other host. */
static int mounted(cress_environ *env, cress_response *res, void *self)
{
    static const cress_route routes[] = { CRESS_MOUNT("/:place", serve_files), { 0 } };

    (void)self;
    return cress_route_request(env, res, routes);
}

static void test_behind_a_mount(void)
{
    open_files((cress_static_options){ .no_siblings = true });
    app = mounted;
    check("/x/a.txt", 200, "a");
    check_field("/x", "", "Location: /x/");
    check_field("/x%20y/sub", "", "Location: /x%20y/sub/");
    check_field("/%2Fexample.com", "", "Location: /example.com/");
    app = cress_static;
    close_files();
}

static void test_methods(void)
{
    open_files((cress_static_options){ .no_siblings = true });
    char *output = ask("HEAD", "/a.txt", "");
    assert_true(has_field(output, "Content-Length: 1"));
    assert_string_equal(strstr(output, "\r\n\r\n"), "\r\n\r\n");
    free(output);
    output = ask("DELETE", "/a.txt", "");
    assert_int_equal(atoi(output + 9), 405);
    assert_true(has_field(output, "Allow: GET, HEAD"));
    free(output);
    output = ask("OPTIONS", "*", "");
    assert_int_equal(atoi(output + 9), 404);
    free(output);
    close_files();
}

static void test_types(void)
{
    open_files(
        (cress_static_options){ .default_type = "text/x-mine", .cache_control = "no-cache" });
    check_field("/a.txt", "", "Content-Type: text/plain");
    check_field("/", "", "Content-Type: text/html");
    check_field("/a%252eb", "", "Content-Type: text/x-mine");
    check_field("/a.txt", "", "Cache-Control: no-cache");
    check_field("/a.txt", "If-None-Match: *\r\n", "Cache-Control: no-cache");
    close_files();
    open_files((cress_static_options){ .charset = "utf-8", .default_type = "text/x; charset=a" });
    check_field("/a.txt", "", "Content-Type: text/plain; charset=utf-8");
    check_field("/a.txt", "Range: bytes=0-0\r\n", "Content-Type: text/plain; charset=utf-8");
    check_field("/a%252eb", "", "Content-Type: text/x; charset=a");
    check_field("/e.json", "", "Content-Type: application/json");
    close_files();
}

/* The body, Content-Encoding and Vary that a request gets. */
static void check_sibling(const char *target, const char *accepted, const char *body,
                          const char *encoding, bool varies)
{
    char fields[200] = "", line[200], *output;

    if (accepted)
        snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", accepted);
    output = ask("GET", target, fields);
    assert_string_equal(strstr(output, "\r\n\r\n") + 4, body);
    snprintf(line, sizeof line, "Content-Encoding: %s", encoding ? encoding : "");
    assert_int_equal(strstr(output, "Content-Encoding") != NULL, encoding != NULL);
    assert_true(!encoding || has_field(output, line));
    assert_int_equal(has_field(output, "Vary: Accept-Encoding"), varies);
    assert_true(has_field(output, "Content-Type: text/css") || strcmp(target, "/a.txt") == 0);
    free(output);
}

static void test_siblings(void)
{
    open_files((cress_static_options){ .no_siblings = false });
    check_sibling("/c.css", NULL, "css", NULL, true);
    check_sibling("/c.css", "gzip, deflate, br, zstd", "brotli", "br", true);
    check_sibling("/c.css", "gzip", "gzipped", "gzip", true);
    check_sibling("/c.css", "gzip, br;q=0.5", "gzipped", "gzip", true);
    check_sibling("/c.css", "*", "brotli", "br", true);
    check_sibling("/c.css", "", "css", NULL, true);
    check_sibling("/c.css", "br;q=0, *;q=0.1", "gzipped", "gzip", true);
    check_sibling("/c.css", "zstd", "css", NULL, true);
    check_sibling("/c.css", "gzip;q=0", "css", NULL, true);
    check_sibling("/a.txt", "gzip", "a", NULL, false);
    /* One that is older, or no file, is none. */
    check_sibling("/d.css", "gzip, br", "css", NULL, false);
    close_files();
    open_files((cress_static_options){ .no_siblings = true });
    check_sibling("/c.css", "gzip, br", "css", NULL, false);
    close_files();
}

/* The request's own limit does not cut a large file off. */
static void test_a_slow_client(void)
{
    struct wire w;

    open_files((cress_static_options){ .no_siblings = true });
    wire_init(&w, cress_static, files);
    w.request_timeout = 10;
    w.config.write_timeout = 1000;
    memory_stream_offer_send_file(&w.stream);
    memory_stream_set_room(&w.stream, 20);
    wire_start(&w);
    wire_send(&w, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_ok(cress_sleep(100));
    memory_stream_set_room(&w.stream, SIZE_MAX);
    wire_settle();
    assert_string_equal(strstr(w.stream.out, "\r\n\r\n"), "\r\n\r\na");
    wire_finish(&w);
    close_files();
}

static void test_a_killed_handler_leaves_nothing_open(void)
{
    struct wire w;

    open_files((cress_static_options){ .no_siblings = true });
    kernel = KERNEL_COLD;
    check("/a.txt", 200, "a");
    int before = next_descriptor();
    wire_init(&w, cress_static, files);
    wire_start(&w);
    settle();
    memory_stream_send_text(&w.stream, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    while (w.http.requests == 0)
        cress_sleep(0);
    cress_cancel(w.greenlet);
    assert_ok(cress_join(w.greenlet, CRESS_FOREVER));
    assert_int_equal(atoi(w.stream.out + 9), 503);
    kernel = KERNEL_AS_IT_IS;
    assert_int_equal(next_descriptor(), before);
    wire_finish(&w);
    close_files();
}

/* ---- creating --------------------------------------------------------------------------------------- */

static void check_refused(int error, cress_static_options options)
{
    errno = 0;
    assert_null(cress_static_create(&options));
    assert_int_equal(errno, error);
}

static void test_options_that_are_refused(void **state)
{
    (void)state;
    check_refused(EINVAL, (cress_static_options){ .root = NULL });
    check_refused(EINVAL, (cress_static_options){ .root = "/tmp", .prefix = "x" });
    check_refused(EINVAL, (cress_static_options){ .root = "/tmp", .index = "a/b" });
    check_refused(EINVAL, (cress_static_options){ .root = "/tmp", .cache_control = "a\r\nb" });
    check_refused(EINVAL, (cress_static_options){ .root = "/tmp", .default_type = "a\nb" });
    check_refused(EINVAL, (cress_static_options){ .root = "/tmp", .charset = "a\nb" });
    check_refused(ENOENT, (cress_static_options){ .root = "/nowhere/at/all" });
    check_refused(ENOTDIR, (cress_static_options){ .root = "/etc/passwd" });
}

static void test_creating_without_memory(void **state)
{
    cress_static_options options = { .root = "/tmp",
                                     .cache_control = "no-cache",
                                     .charset = "utf-8" };
    int count = 0;

    (void)state;
    cress_mime_type("x.y"); /* does without its table, when that does not fit */
    do {
        allocations_left = count++;
        errno = 0;
        files = cress_static_create(&options);
        assert_true(files || errno == ENOMEM);
        close_files();
    } while (end_failing());
    assert_int_equal(count, 7);
}

static void test_destroying_none(void **state)
{
    (void)state;
    errno = 7;
    cress_static_destroy(NULL);
    assert_int_equal(errno, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_that_are_refused),
        cmocka_unit_test(test_creating_without_memory),
        cmocka_unit_test(test_destroying_none),
        HUB_TEST(test_every_kernel),
        HUB_TEST(test_descriptors_are_closed),
        HUB_TEST(test_folders),
        HUB_TEST(test_dotfiles),
        HUB_TEST(test_well_known),
        HUB_TEST(test_prefixes),
        HUB_TEST(test_behind_a_mount),
        HUB_TEST(test_methods),
        HUB_TEST(test_types),
        HUB_TEST(test_siblings),
        HUB_TEST(test_a_slow_client),
        HUB_TEST(test_a_killed_handler_leaves_nothing_open),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
