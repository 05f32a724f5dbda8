#define _GNU_SOURCE
#include "../../greenlet/hub.h"
#include "descriptors.h"
#include "dns_server.h"
#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/dial.h>
#include <cress/dns.h>
#include <cress/io.h>
#include <cress/timeout.h>

#include <ares.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- hosts on loopback, all on one port ------------------------------------------ */

enum { HOSTS_MOST = 32 };

static int sockets[2 * HOSTS_MOST];
static size_t socket_count;
static char port[8]; /* of all */

union address {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t make_address(union address *a, const char *text)
{
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons((uint16_t)atoi(port));
        return sizeof a->v4;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &a->v6.sin6_addr), 1);
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons((uint16_t)atoi(port));
    return sizeof a->v6;
}

static int try_host(const char *text, int backlog)
{
    union address a;
    socklen_t len = make_address(&a, text);
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &a.sa, len) < 0 || listen(fd, backlog) < 0) {
        close(fd);
        return -1;
    }
    assert_ok(getsockname(fd, &a.sa, &len));
    snprintf(port, sizeof port, "%d", ntohs(a.v4.sin_port));
    return fd;
}

static void add_socket(int fd)
{
    assert_true(fd >= 0 && socket_count < sizeof sockets / sizeof sockets[0]);
    sockets[socket_count++] = fd;
}

/* One that accepts connections. */
static void add_host(const char *text)
{
    add_socket(try_host(text, 16));
}

/* One that does not answer: its backlog is full, and stays so. */
static void add_black_hole(const char *text)
{
    union address a;
    bool connected;

    add_socket(try_host(text, 0));
    do {
        socklen_t len = make_address(&a, text);
        int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        connected = connect(fd, &a.sa, len) == 0 ||
                    poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) == 1;
        if (connected)
            add_socket(fd);
        else
            close(fd);
    } while (connected);
}

/* A port that is free on all the addresses that a test uses. */
static void choose_port(void)
{
    static const char *const others[] = { "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1" };
    bool free_on_all;

    do {
        int fds[4], first;

        strcpy(port, "0");
        first = try_host("127.0.0.1", 1);
        free_on_all = true;
        for (size_t i = 0; i < 4; i++) {
            fds[i] = try_host(others[i], 1);
            free_on_all &= fds[i] >= 0;
        }
        for (size_t i = 0; i < 4; i++)
            close(fds[i]);
        close(first);
    } while (!free_on_all);
}

static void remove_hosts(void)
{
    while (socket_count)
        close(sockets[--socket_count]);
    assert_int_equal(hub_awaited(hub_current), 0);
}

/* ---- names ----------------------------------------------------------------------- */

/* What the name server says: addresses with blanks between, and how long it takes. */
struct zone {
    const char *v4, *v6;
    cress_seconds v4_delay, v6_delay; /* CRESS_FOREVER: no answer */
};

static struct dns_server server;

static void answer_zone(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    const struct zone *zone = arg;
    bool v4 = q->type == DNS_A;
    const char *addresses = v4 ? zone->v4 : zone->v6;
    cress_seconds delay = v4 ? zone->v4_delay : zone->v6_delay;
    char text[1024], *rest = text, *address;

    if (delay > 0 && cress_sleep(delay) < 0) {
        r->len = 0;
        return;
    }
    if (!addresses)
        return;
    snprintf(text, sizeof text, "%s", addresses);
    while ((address = strsep(&rest, " ")))
        dns_add_address(r, NULL, address);
}

static void start_zone(struct zone *zone)
{
    choose_port();
    dns_server_start_as_resolver(&server, answer_zone, zone);
}

static void stop_zone(void)
{
    dns_server_stop(&server);
    settle();
    remove_hosts();
    assert_ok(cress_dns_configure(&(cress_dns_options){ 0 })); /* no lookup is under way */
}

static void use_hosts_file(const char *text)
{
    char path[] = "/tmp/cress-hosts-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    setenv("CARES_HOSTS", path, 1);
}

static void drop_hosts_file(void)
{
    unlink(getenv("CARES_HOSTS"));
    unsetenv("CARES_HOSTS");
}

/* Connects, and hangs up: where to, and when. */
static void expect_with(const cress_dial_options *options, const char *host, const char *peer,
                        cress_seconds time)
{
    union address a;
    socklen_t len = sizeof a;
    char text[INET6_ADDRSTRLEN];
    cress_seconds begin = cress_now();
    size_t before = count_descriptors();
    int fd = cress_dial_with(options, host, port);

    assert_true(fd >= 0);
    assert_ok(getpeername(fd, &a.sa, &len));
    inet_ntop(a.sa.sa_family,
              a.sa.sa_family == AF_INET ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, text,
              sizeof text);
    assert_string_equal(text, peer);
    assert_true(fabs(cress_now() - begin - time) < 1e-9);
    cress_close(fd);
    settle();
    assert_in_range(count_descriptors(), 0, before); /* the name server may close its own */
}

static void expect(const char *host, const char *peer, cress_seconds time)
{
    expect_with(&(cress_dial_options){ 0 }, host, peer, time);
}

static void expect_error(const char *host, const char *service, int error, cress_seconds time)
{
    cress_seconds begin = cress_now();

    assert_errno(error, cress_dial(host, service));
    assert_true(fabs(cress_now() - begin - time) < 1e-9);
}

/* ---- addresses ------------------------------------------------------------------- */

static void test_socket(void)
{
    int one = 0, peer, fd;
    socklen_t len = sizeof one;
    char text[3] = "";

    choose_port();
    add_host("127.0.0.1");
    fd = cress_dial("127.0.0.1", port);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_ok(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &len));
    assert_int_equal(one, 1);
    peer = cress_accept(sockets[0], NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(cress_write(fd, "hi", 2), 2);
    assert_int_equal(cress_read(peer, text, 2), 2);
    assert_string_equal(text, "hi");
    cress_close(fd);
    cress_close(peer);
    remove_hosts();
}

static void test_addresses(void)
{
    choose_port();
    add_host("127.0.0.2");
    add_host("::1");
    expect("127.0.0.2", "127.0.0.2", 0);
    expect("::1", "::1", 0);
    expect_error("127.0.0.3", port, ECONNREFUSED, 0);
    expect_error("224.0.0.1", port, ENETUNREACH, 0);
    assert_errno(ENXIO, cress_dial_with(&(cress_dial_options){ .family = AF_INET }, "::1", port));
    remove_hosts();
}

static void test_service_by_name(void)
{
    expect_error("127.0.0.1", "no-such-service", ENXIO, 0);
    expect_error("127.0.0.1", "65536", ENXIO, 0);
    expect_error("127.0.0.1", "", ENXIO, 0);
    expect_error("127.0.0.1", NULL, EINVAL, 0);
    if (getservbyname("tcpmux", "tcp"))
        expect_error("127.0.0.1", "tcpmux", ECONNREFUSED, 0); /* port 1 */
    assert_errno(EINVAL, cress_dial_with(&(cress_dial_options){ .family = AF_UNIX }, "::1", "1"));
}

static void test_local_socket(void)
{
    char path[] = "/tmp/cress-dial-XXXXXX", host[64], long_name[200];
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(mkdtemp(path));
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s/s", path);
    snprintf(host, sizeof host, "unix:%s/s", path);
    assert_errno(ENOENT, cress_dial(host, NULL));
    assert_ok(bind(listener, (struct sockaddr *)&addr, sizeof addr));
    assert_errno(ECONNREFUSED, cress_dial(host, NULL));
    assert_ok(listen(listener, 1));
    fd = cress_dial(host, NULL);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cress_close(fd);
    close(listener);
    unlink(addr.sun_path);
    rmdir(path);
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name, "unix:", 5);
    long_name[sizeof long_name - 1] = '\0';
    assert_errno(ENAMETOOLONG, cress_dial(long_name, NULL));
    assert_errno(EINVAL, cress_dial("unix:", NULL));
    assert_errno(ENXIO, cress_dial(host, "80")); /* no name of a host */
}

/* ---- happy eyeballs -------------------------------------------------------------- */

static void test_one_family(void)
{
    struct zone zone = { .v4 = "127.0.0.2" };

    start_zone(&zone);
    add_host("127.0.0.2");
    expect("a.example", "127.0.0.2", 0);
    assert_int_equal(server.queries, 2);
    stop_zone();
}

static void test_ipv6_begins(void)
{
    struct zone zone = { .v4 = "127.0.0.1", .v6 = "::1" };

    start_zone(&zone);
    add_host("127.0.0.1");
    add_host("::1");
    expect("a.example", "::1", 0);
    zone.v4_delay = 10;
    expect("a.example", "::1", 0);
    stop_zone();
}

static void test_next_address_when_one_fails(void)
{
    struct zone zone = { .v4 = "127.0.0.1 127.0.0.2", .v6 = "::1" };

    start_zone(&zone);
    add_host("127.0.0.2");
    expect("a.example", "127.0.0.2", 0);
    stop_zone();
}

static void test_next_address_when_one_hangs(void)
{
    struct zone zone = { .v4 = "127.0.0.1", .v6 = "::1" };

    start_zone(&zone);
    add_host("127.0.0.1");
    add_black_hole("::1");
    expect("a.example", "127.0.0.1", 0.25);
    expect_with(&(cress_dial_options){ .attempt_delay = 2 }, "a.example", "127.0.0.1", 2);
    expect_with(&(cress_dial_options){ .attempt_delay = 1e-6 }, "a.example", "127.0.0.1", 0.01);
    stop_zone();
}

static void test_families_take_turns(void)
{
    struct zone zone = { .v4 = "127.0.0.2 127.0.0.3 127.0.0.1", .v6 = "::1" };

    start_zone(&zone);
    add_black_hole("::1");
    add_black_hole("127.0.0.2");
    add_host("127.0.0.1");
    expect("a.example", "127.0.0.1", 0.5); /* ::1, .2 hang, .3 is refused */
    stop_zone();
}

static void *make_room(void *arg)
{
    int fd;

    cress_sleep(0.6);
    fd = accept4(*(int *)arg, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    add_socket(fd);
    return NULL;
}

/* The kernel repeats its SYN after a second, of real time. */
static void *win_late(void *arg)
{
    struct zone zone = { .v4 = "127.0.0.2", .v6 = "::1" };

    (void)arg;
    start_zone(&zone);
    add_black_hole("127.0.0.2");
    size_t listener = socket_count;
    add_black_hole("::1");
    spawn(make_room, &sockets[listener]);
    int fd = cress_dial("a.example", port);
    union address a;
    socklen_t len = sizeof a;
    assert_true(fd >= 0);
    assert_ok(getpeername(fd, &a.sa, &len));
    assert_int_equal(a.sa.sa_family, AF_INET6); /* the one that had begun first is still in */
    close(fd);
    stop_zone();
    return NULL;
}

static void test_an_earlier_attempt_may_still_win(void **state)
{
    (void)state;
    assert_ok(cress_run(win_late, NULL));
}

static void test_resolution_delay(void)
{
    struct zone zone = { .v4 = "127.0.0.1", .v6 = "::1" };

    start_zone(&zone);
    add_host("127.0.0.1");
    add_host("::1");
    zone.v6_delay = 0.03;
    expect("a.example", "::1", 0.03);
    zone.v6_delay = 0.2;
    expect("a.example", "127.0.0.1", 0.05);
    zone.v6_delay = CRESS_FOREVER;
    expect("a.example", "127.0.0.1", 0.05);
    expect_with(&(cress_dial_options){ .resolution_delay = 0.5 }, "a.example", "127.0.0.1", 0.5);
    expect_with(&(cress_dial_options){ .resolution_delay = CRESS_FOREVER }, "a.example",
                "127.0.0.1", 3); /* when the lookup gives up */
    zone.v6_delay = 0;
    zone.v4_delay = CRESS_FOREVER;
    expect("a.example", "::1", 0);
    stop_zone();
}

static void test_no_ipv6_addresses_end_the_delay(void)
{
    struct zone zone = { .v4 = "127.0.0.1", .v6_delay = 0.02 };

    start_zone(&zone);
    add_host("127.0.0.1");
    expect("a.example", "127.0.0.1", 0.02);
    stop_zone();
}

static void test_ipv6_that_comes_late_is_tried_too(void)
{
    struct zone zone = { .v4 = "127.0.0.2 127.0.0.3", .v6 = "::1", .v6_delay = 0.1 };

    start_zone(&zone);
    add_black_hole("127.0.0.2");
    add_black_hole("127.0.0.3");
    add_host("::1");
    expect("a.example", "::1", 0.3); /* .2 at 0.05; its turn is before .3's */
    stop_zone();
}

static void test_ipv6_comes_when_all_else_has_failed(void)
{
    struct zone zone = { .v4 = "127.0.0.2", .v6 = "::1", .v6_delay = 0.7 };

    start_zone(&zone);
    add_host("::1");
    expect("a.example", "::1", 0.7);
    stop_zone();
}

static void test_many_addresses_hang(void)
{
    char addresses[1024] = "", address[24];
    struct zone zone = { .v4 = addresses };

    start_zone(&zone);
    for (int i = 1; i <= 20; i++) { /* more than are tried at a time */
        snprintf(address, sizeof address, "127.0.1.%d", i);
        add_black_hole(address);
        strcat(strcat(addresses, address), " ");
    }
    strcat(addresses, "127.0.0.1");
    add_host("127.0.0.1");
    expect("a.example", "127.0.0.1", 5);
    stop_zone();
}

static void test_family(void)
{
    struct zone zone = { .v4 = "127.0.0.1", .v6 = "::1" };

    start_zone(&zone);
    add_host("127.0.0.1");
    add_host("::1");
    zone.v6_delay = CRESS_FOREVER;
    expect_with(&(cress_dial_options){ .family = AF_INET }, "a.example", "127.0.0.1", 0);
    zone = (struct zone){ .v4_delay = CRESS_FOREVER, .v6 = "::1" };
    expect_with(&(cress_dial_options){ .family = AF_INET6 }, "a.example", "::1", 0);
    assert_int_equal(server.queries, 2);
    stop_zone();
}

/* ---- the hosts file -------------------------------------------------------------- */

static void test_hosts_file_decides(void)
{
    struct zone zone = { .v4 = "127.0.0.1", .v6 = "::1" };

    start_zone(&zone);
    add_host("127.0.0.2");
    add_host("::1");
    use_hosts_file("127.0.0.2 a.example\n");
    expect("a.example", "127.0.0.2", 0);
    assert_int_equal(server.queries, 0); /* not for IPv6 either */
    expect("b.example", "::1", 0);
    assert_int_equal(server.queries, 2);
    drop_hosts_file();
    stop_zone();
}

static void test_localhost(void)
{
    choose_port();
    use_hosts_file("");
    add_host("127.0.0.1");
    expect("localhost", "127.0.0.1", 0); /* ::1 refuses */
    add_host("::1");
    expect("localhost", "::1", 0);
    expect("a.localhost", "::1", 0);
    expect_with(&(cress_dial_options){ .family = AF_INET }, "localhost", "127.0.0.1", 0);
    drop_hosts_file();
    remove_hosts();
}

/* ---- failure --------------------------------------------------------------------- */

static void test_no_address(void)
{
    struct zone zone = { 0 };

    start_zone(&zone);
    expect_error("a.example", port, ENXIO, 0);
    expect_error("no name", port, ENXIO, 0);
    expect_error("", port, ENXIO, 0);
    zone.v6_delay = CRESS_FOREVER;
    expect_error("a.example", port, EHOSTUNREACH, 3); /* there might be one */
    zone.v4_delay = CRESS_FOREVER;
    expect_error("a.example", port, EHOSTUNREACH, 3);
    stop_zone();
}

static void test_error_is_of_an_address_that_was_reached(void)
{
    struct zone zone = { .v4 = "224.0.0.1 127.0.0.1 224.0.0.2" };

    start_zone(&zone);
    expect_error("a.example", port, ECONNREFUSED, 0);
    zone.v4 = "224.0.0.1";
    expect_error("a.example", port, ENETUNREACH, 0);
    stop_zone();
}

static void test_no_descriptor_left(void)
{
    struct rlimit old, none;

    choose_port();
    add_host("127.0.0.1");
    getrlimit(RLIMIT_NOFILE, &old);
    none = (struct rlimit){ (rlim_t)dup(0), old.rlim_max };
    close((int)none.rlim_cur);
    setrlimit(RLIMIT_NOFILE, &none);
    expect_error("127.0.0.1", port, EMFILE, 0);
    expect_error("unix:/nowhere", NULL, EMFILE, 0);
    setrlimit(RLIMIT_NOFILE, &old);
    expect("127.0.0.1", "127.0.0.1", 0);
    remove_hosts();
}

static void test_limit(void)
{
    struct zone zone = { .v4 = "127.0.0.2", .v6 = "::1" };
    cress_timeout limit;

    start_zone(&zone);
    add_black_hole("127.0.0.2");
    add_black_hole("::1");
    size_t before = count_descriptors();
    cress_timeout_start(&limit, 1);
    expect_error("a.example", port, ETIMEDOUT, 1);
    expect_error("127.0.0.1", port, ETIMEDOUT, 0); /* it holds */
    cress_timeout_close(&limit);
    settle();
    assert_int_equal(count_descriptors(), before);
    zone.v4_delay = zone.v6_delay = CRESS_FOREVER;
    cress_timeout_start(&limit, 1);
    expect_error("a.example", port, ETIMEDOUT, 1); /* while names are looked up */
    cress_timeout_close(&limit);
    stop_zone();
}

static void *dial_and_tell(void *arg)
{
    int fd = cress_dial(arg, port);

    trace("%s: %s at %g", (char *)arg, strerrorname_np(errno), cress_now());
    assert_int_equal(fd, -1);
    return NULL;
}

static void test_kill(void)
{
    struct zone zone = { .v4 = "127.0.0.2", .v6 = "::1", .v6_delay = 0.2 };
    cress_greenlet *g;

    start_zone(&zone);
    add_black_hole("127.0.0.2");
    add_black_hole("::1");
    size_t before = count_descriptors();
    for (int i = 0; i < 4; i++) {
        g = cress_spawn(dial_and_tell, "a.example");
        cress_sleep(i * 0.1);
        assert_ok(cress_kill(g, CRESS_FOREVER));
        cress_release(g);
    }
    assert_int_equal(count_descriptors(), before);
    assert_trace("a.example: ECANCELED at 0\na.example: ECANCELED at 0.1\n"
                 "a.example: ECANCELED at 0.3\na.example: ECANCELED at 0.6\n");
    stop_zone();
}

static void test_report(void)
{
    struct zone zone = { .v4 = "127.0.0.2" };
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    cress_greenlet *g;

    start_zone(&zone);
    add_black_hole("127.0.0.2");
    g = cress_spawn(dial_and_tell, "a.example");
    settle();
    cress_print_greenlets(out);
    fclose(out);
    assert_non_null(strstr(text, "a connection to a.example"));
    free(text);
    cress_kill(g, CRESS_FOREVER);
    cress_release(g);
    assert_trace("a.example: ECANCELED at 0\n");
    stop_zone();
}

static void test_out_of_memory(void)
{
    bool failed = true;
    int refusals = 0;

    choose_port();
    add_host("127.0.0.2");
    use_hosts_file("127.0.0.2 a.example\n127.0.0.3 a.example\n");
    ares_library_init_mem(ARES_LIB_INIT_ALL, malloc, free, realloc);
    for (int i = 0; failed; i++) {
        assert_ok(cress_dns_configure(
            &(cress_dns_options){ .servers = "127.0.0.1:1", .search = "", .tries = 1 }));
        size_t before = count_descriptors();
        allocations_left = i;
        int fd = cress_dial("a.example", port);
        failed = end_failing();
        if (fd < 0) {
            assert_true(errno == ENOMEM || errno == EHOSTUNREACH || errno == ECONNREFUSED);
            refusals++;
        } else {
            cress_close(fd);
            close(cress_accept(sockets[0], NULL, NULL));
        }
        assert_int_equal(count_descriptors(), before);
    }
    assert_true(refusals > 3);
    drop_hosts_file();
    remove_hosts();
}

static void test_outside_greenlets(void **state)
{
    (void)state;
    assert_errno(EPERM, cress_dial("127.0.0.1", "80"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_socket),
        HUB_TEST(test_addresses),
        HUB_TEST(test_service_by_name),
        HUB_TEST(test_local_socket),
        HUB_TEST(test_one_family),
        HUB_TEST(test_ipv6_begins),
        HUB_TEST(test_next_address_when_one_fails),
        HUB_TEST(test_next_address_when_one_hangs),
        HUB_TEST(test_families_take_turns),
        cmocka_unit_test(test_an_earlier_attempt_may_still_win),
        HUB_TEST(test_resolution_delay),
        HUB_TEST(test_no_ipv6_addresses_end_the_delay),
        HUB_TEST(test_ipv6_that_comes_late_is_tried_too),
        HUB_TEST(test_ipv6_comes_when_all_else_has_failed),
        HUB_TEST(test_many_addresses_hang),
        HUB_TEST(test_family),
        HUB_TEST(test_hosts_file_decides),
        HUB_TEST(test_localhost),
        HUB_TEST(test_no_address),
        HUB_TEST(test_error_is_of_an_address_that_was_reached),
        HUB_TEST(test_no_descriptor_left),
        HUB_TEST(test_limit),
        HUB_TEST(test_kill),
        HUB_TEST(test_report),
        HUB_TEST(test_out_of_memory),
        cmocka_unit_test(test_outside_greenlets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
