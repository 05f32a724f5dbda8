/* Addresses and listening sockets of server/address.c. */
#include "../../server/address.h"

#include "capture.h"

#include <cress/serve.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static address parsed(const char *text)
{
    address a;

    assert_int_equal(address_parse(text, &a), 0);
    return a;
}

static void shows_as(const char *text, const char *url, const char *host, const char *port)
{
    char got[256], got_host[64], got_port[8];
    address a = parsed(text);

    address_format(&a, got, sizeof got);
    address_split(&a, got_host, sizeof got_host, got_port, sizeof got_port);
    assert_string_equal(got, url);
    assert_string_equal(got_host, host);
    assert_string_equal(got_port, port);
}

static void well_formed_ones_are_read(void **state)
{
    (void)state;
    shows_as("127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1", "8000");
    shows_as("0.0.0.0:80", "http://0.0.0.0:80", "0.0.0.0", "80");
    shows_as(":8080", "http://0.0.0.0:8080", "0.0.0.0", "8080");
    shows_as("8080", "http://127.0.0.1:8080", "127.0.0.1", "8080");
    shows_as("[::1]:81", "http://[::1]:81", "::1", "81");
    shows_as("[::]:65535", "http://[::]:65535", "::", "65535");
    shows_as("localhost:1", "http://127.0.0.1:1", "127.0.0.1", "1");
    shows_as("unix:/run/x.sock", "unix:/run/x.sock", "", "");
    shows_as("unix:relative", "unix:relative", "", "");
}

static void fails(const char *text, int error)
{
    address a;

    errno = 0;
    assert_int_equal(address_parse(text, &a), -1);
    assert_int_equal(errno, error);
}

static void malformed_ones_are_refused(void **state)
{
    const char *const malformed[] = { "",        "localhost", "127.0.0.1",     "127.0.0.1:",
                                      "a:65536", "a:-1",      "a:+1",          "a: 1",
                                      "a:http",  "::1:80",    "[::1]",         "[::1]80",
                                      "[]:80",   "[::1:80",   "[127.0.0.1]:8", "[::g]:80",
                                      "99999",   "unix:",     "a:000080",      "http://a:80" };
    char path[200];

    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        fails(malformed[i], EINVAL);
    memset(path, 'x', sizeof path - 1);
    memcpy(path, "unix:", 5);
    path[sizeof path - 1] = '\0';
    fails(path, ENAMETOOLONG);
    /* Too long a name for any resolver to ask about. */
    memset(path, 'x', 70);
    memcpy(path + 70, ".invalid:80", 12);
    fails(path, ENOENT);
}

static void lists_are_read(void **state)
{
    address *list;
    size_t count;
    char url[64];
    char *said;

    (void)state;
    assert_int_equal(address_parse_list(":80,[::1]:81,unix:x", &list, &count), CRESS_EXIT_OK);
    assert_int_equal(count, 3);
    address_format(&list[1], url, sizeof url);
    assert_string_equal(url, "http://[::1]:81");
    free(list);

    capture_start(2);
    assert_int_equal(address_parse_list(":80,,:81", &list, &count), CRESS_EXIT_BIND);
    said = capture_end();
    assert_string_equal(
        said, "cress: --bind: \"\" is not HOST:PORT, [V6]:PORT, :PORT, PORT or unix:PATH\n");
    free(said);
}

static int get_int(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void tcp_sockets_are_set_up(void **state)
{
    address a = parsed("127.0.0.1:0"), bound;
    char url[64];
    int fd = address_listen(&a, 5);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_not_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_not_equal(get_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);

    assert_int_equal(address_of_socket(fd, &bound), 0);
    address_format(&bound, url, sizeof url);
    assert_string_not_equal(url, "http://127.0.0.1:0");
    assert_int_equal(address_listen(&bound, 5), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
}

/* Without IPV6_V6ONLY, [::] would take the port from IPv4 as well. */
static void both_families_share_a_port(void **state)
{
    address six = parsed("[::]:0"), four, bound;
    char port[8], host[64], text[80];
    int fd6 = address_listen(&six, 5), fd4;

    (void)state;
    if (fd6 < 0 && errno == EAFNOSUPPORT)
        skip();
    assert_true(fd6 >= 0);
    assert_int_equal(get_int(fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    address_of_socket(fd6, &bound);
    address_split(&bound, host, sizeof host, port, sizeof port);
    snprintf(text, sizeof text, "127.0.0.1:%s", port);
    four = parsed(text);
    fd4 = address_listen(&four, 5);
    assert_true(fd4 >= 0);
    close(fd4);
    close(fd6);
}

static void not_our_address_is_told(void **state)
{
    address a = parsed("192.0.2.1:0");

    (void)state;
    assert_int_equal(address_listen(&a, 5), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
}

/* ---- unix sockets -------------------------------------------------------------------- */

static char folder[] = "/tmp/cress-address-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static address in_folder(char path[static 64])
{
    char text[80];

    snprintf(path, 64, "%s/s", folder);
    snprintf(text, sizeof text, "unix:%s", path);
    return parsed(text);
}

static void stale_unix_socket_is_replaced(void **state)
{
    char path[64];
    address a = in_folder(path);
    int dead = address_listen(&a, 5), fd;

    (void)state;
    assert_true(dead >= 0);
    close(dead);
    assert_int_equal(access(path, F_OK), 0);
    fd = address_listen(&a, 5);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
    unlink(path);
}

static void live_unix_socket_is_left_alone(void **state)
{
    char path[64];
    address a = in_folder(path);
    int live = address_listen(&a, 5), client;

    (void)state;
    assert_true(live >= 0);
    assert_int_equal(address_listen(&a, 5), -1);
    assert_int_equal(errno, EADDRINUSE);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a.storage, a.len), 0);
    close(client);
    close(live);
    unlink(path);
}

static void other_files_are_left_alone(void **state)
{
    char path[64], text[4] = "";
    address a = in_folder(path);
    int file = open(path, O_RDWR | O_CREAT, 0600);

    (void)state;
    assert_int_equal(write(file, "abc", 3), 3);
    assert_int_equal(address_listen(&a, 5), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(file);
    file = open(path, O_RDONLY);
    assert_int_equal(read(file, text, 3), 3);
    assert_string_equal(text, "abc");
    close(file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_ones_are_read),
        cmocka_unit_test(malformed_ones_are_refused),
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(tcp_sockets_are_set_up),
        cmocka_unit_test(both_families_share_a_port),
        cmocka_unit_test(not_our_address_is_told),
        cmocka_unit_test(stale_unix_socket_is_replaced),
        cmocka_unit_test(live_unix_socket_is_left_alone),
        cmocka_unit_test(other_files_are_left_alone),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
