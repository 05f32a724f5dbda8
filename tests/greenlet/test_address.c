/* Addresses and bound sockets. */
#include "hub_test.h"

#include <cress/address.h>
#include <cress/io.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static cress_address parsed(const char *text)
{
    cress_address a;

    assert_ok(cress_address_parse(text, &a));
    return a;
}

static void shows_as(const char *text, const char *formatted, const char *host, const char *port)
{
    char got[CRESS_ADDRESS_TEXT], got_host[64], got_port[8];
    cress_address a = parsed(text);

    assert_string_equal(cress_address_format(&a, got, sizeof got), formatted);
    cress_address_split(&a, got_host, sizeof got_host, got_port, sizeof got_port);
    assert_string_equal(got_host, host);
    assert_string_equal(got_port, port);
    assert_int_equal(cress_address_port(&a), atoi(port));
}

static void test_well_formed(void **state)
{
    (void)state;
    shows_as("127.0.0.1:8000", "127.0.0.1:8000", "127.0.0.1", "8000");
    shows_as("0.0.0.0:80", "0.0.0.0:80", "0.0.0.0", "80");
    shows_as(":8080", "0.0.0.0:8080", "0.0.0.0", "8080");
    shows_as("8080", "127.0.0.1:8080", "127.0.0.1", "8080");
    shows_as("[::1]:81", "[::1]:81", "::1", "81");
    shows_as("[::]:65535", "[::]:65535", "::", "65535");
    shows_as("localhost:1", "127.0.0.1:1", "127.0.0.1", "1");
    shows_as("unix:/run/x.sock", "unix:/run/x.sock", "", "");
    shows_as("unix:relative", "unix:relative", "", "");
}

static void fails(const char *text, int error)
{
    cress_address a;

    assert_errno(error, cress_address_parse(text, &a));
}

static void test_malformed(void **state)
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

static void test_cut_text(void **state)
{
    char got[8];
    cress_address a = parsed("127.0.0.1:8000");

    (void)state;
    assert_string_equal(cress_address_format(&a, got, sizeof got), "127.0.0");
    a = parsed("unix:/run/x.sock");
    assert_string_equal(cress_address_format(&a, got, sizeof got), "unix:/r");
}

static void test_unnamed_peer(void **state)
{
    char got[CRESS_ADDRESS_TEXT];
    cress_address a = { .storage.ss_family = AF_UNIX, .len = sizeof(sa_family_t) };

    (void)state;
    assert_string_equal(cress_address_format(&a, got, sizeof got), "unix:");
}

static void test_in_a_greenlet(void)
{
    fails("no name at all:80", ENOENT);
    fails("[::g]:80", EINVAL);
    shows_as("[::1]:81", "[::1]:81", "::1", "81");
    shows_as("localhost:1", "127.0.0.1:1", "127.0.0.1", "1");
}

/* ---- TCP and UDP --------------------------------------------------------------------- */

static int get_int(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    assert_ok(getsockopt(fd, level, name, &value, &len));
    return value;
}

static void check_flags(int fd)
{
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_listening(void **state)
{
    cress_address a = parsed("127.0.0.1:0"), bound;
    int fd = cress_listen(&a, 5);

    (void)state;
    check_flags(fd);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_not_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0); /* servers may speak first */

    assert_ok(cress_address_of_socket(fd, &bound));
    assert_int_not_equal(cress_address_port(&bound), 0);
    assert_errno(EADDRINUSE, cress_listen(&bound, 5));
    cress_close_listener(fd);
    fd = cress_listen(&bound, 5);
    assert_true(fd >= 0);
    cress_close_listener(fd);
}

static void test_datagrams(void **state)
{
    cress_address a = parsed("127.0.0.1:0"), bound;
    int fd = cress_bind_datagram(&a);

    (void)state;
    check_flags(fd);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    assert_ok(cress_address_of_socket(fd, &bound));
    assert_errno(EADDRINUSE, cress_bind_datagram(&bound));
    cress_close_listener(fd);
}

/* Without IPV6_V6ONLY, [::] would take the port from IPv4 as well. */
static void both_families_share_a_port(int (*open_socket)(const cress_address *a))
{
    cress_address six = parsed("[::]:0"), four, bound;
    char text[80];
    int fd6 = open_socket(&six), fd4;

    if (fd6 < 0 && errno == EAFNOSUPPORT)
        skip();
    assert_true(fd6 >= 0);
    assert_int_equal(get_int(fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    assert_ok(cress_address_of_socket(fd6, &bound));
    snprintf(text, sizeof text, "127.0.0.1:%u", cress_address_port(&bound));
    four = parsed(text);
    fd4 = open_socket(&four);
    assert_true(fd4 >= 0);
    cress_close_listener(fd4);
    cress_close_listener(fd6);
}

static int listen_5(const cress_address *a)
{
    return cress_listen(a, 5);
}

static void test_both_families(void **state)
{
    (void)state;
    both_families_share_a_port(listen_5);
    both_families_share_a_port(cress_bind_datagram);
}

static void test_not_our_address(void **state)
{
    cress_address a = parsed("192.0.2.1:0");

    (void)state;
    assert_errno(EADDRNOTAVAIL, cress_listen(&a, 5));
    assert_errno(EADDRNOTAVAIL, cress_bind_datagram(&a));
}

/* ---- unix sockets -------------------------------------------------------------------- */

static char folder[] = "/tmp/cress-address-XXXXXX", path[64];
static cress_address in_folder;

static int make_folder(void **state)
{
    char text[80];

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(text, sizeof text, "unix:%s", path);
    return cress_address_parse(text, &in_folder);
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static bool file_is_there(void)
{
    return access(path, F_OK) == 0;
}

static void stale_file_is_replaced(int (*open_socket)(const cress_address *a))
{
    int dead = open_socket(&in_folder), fd;

    assert_true(dead >= 0);
    close(dead);
    assert_true(file_is_there());
    fd = open_socket(&in_folder);
    check_flags(fd);
    cress_close_listener(fd);
    assert_false(file_is_there());
}

static void test_stale_file(void **state)
{
    (void)state;
    stale_file_is_replaced(listen_5);
    stale_file_is_replaced(cress_bind_datagram);
}

static void test_live_one_is_left_alone(void **state)
{
    int live = cress_listen(&in_folder, 5), client;

    (void)state;
    assert_true(live >= 0);
    assert_errno(EADDRINUSE, cress_listen(&in_folder, 5));
    assert_errno(EADDRINUSE, cress_bind_datagram(&in_folder));
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_ok(connect(client, (struct sockaddr *)&in_folder.storage, in_folder.len));
    close(client);
    cress_close_listener(live);

    live = cress_bind_datagram(&in_folder);
    assert_true(live >= 0);
    assert_errno(EADDRINUSE, cress_listen(&in_folder, 5));
    assert_errno(EADDRINUSE, cress_bind_datagram(&in_folder));
    cress_close_listener(live);
    assert_false(file_is_there());
}

static void test_other_files_are_left_alone(void **state)
{
    char text[4] = "";
    int file = open(path, O_RDWR | O_CREAT, 0600);

    (void)state;
    assert_int_equal(write(file, "abc", 3), 3);
    assert_errno(EADDRINUSE, cress_listen(&in_folder, 5));
    assert_int_equal(pread(file, text, 3, 0), 3);
    assert_string_equal(text, "abc");
    close(file);
    assert_true(file_is_there());
    unlink(path);
}

/* The file that is there when a server stops may be its successor's. */
static void test_successors_file_stays(void **state)
{
    int first = cress_listen(&in_folder, 5), second;

    (void)state;
    unlink(path);
    second = cress_listen(&in_folder, 5);
    assert_true(second >= 0);
    errno = EILSEQ;
    cress_close_listener(first);
    assert_int_equal(errno, EILSEQ);
    assert_true(file_is_there());
    cress_close_listener(second);
    assert_false(file_is_there());
}

/* A socket that another process holds too goes on to be served by it. */
static void test_shared_one_stays(void **state)
{
    int mine = cress_listen(&in_folder, 5), theirs = dup(mine);

    (void)state;
    cress_close_listener(mine);
    assert_true(file_is_there());
    cress_close_listener(theirs);
    assert_false(file_is_there());
}

static void *wait_for_datagram(void *arg)
{
    char byte;

    assert_errno(EBADF, cress_recv(*(int *)arg, &byte, 1, 0));
    trace("closed");
    return NULL;
}

static void test_close_wakes_waiters(void)
{
    cress_address a = parsed("127.0.0.1:0");
    int fd = cress_bind_datagram(&a);

    spawn(wait_for_datagram, &fd);
    settle();
    cress_close_listener(fd);
    settle();
    assert_trace("closed\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_cut_text),
        cmocka_unit_test(test_unnamed_peer),
        HUB_TEST(test_in_a_greenlet),
        cmocka_unit_test(test_listening),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_both_families),
        cmocka_unit_test(test_not_our_address),
        cmocka_unit_test(test_stale_file),
        cmocka_unit_test(test_live_one_is_left_alone),
        cmocka_unit_test(test_other_files_are_left_alone),
        cmocka_unit_test(test_successors_file_stays),
        cmocka_unit_test(test_shared_one_stays),
        HUB_TEST(test_close_wakes_waiters),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
