#define _GNU_SOURCE
#include "../../greenlet/hub.h"
#include "descriptors.h"
#include "dns_server.h"
#include "fail_alloc.h"
#include "hub_test.h"

#include <cress/dns.h>
#include <cress/fork.h>
#include <cress/timeout.h>

#include <ares.h>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct dns_server server;

/* ---- helpers --------------------------------------------------------------------- */

static const char *text_of(const struct addrinfo *info)
{
    static char text[INET6_ADDRSTRLEN];
    const void *addr = info->ai_family == AF_INET
                           ? (const void *)&((struct sockaddr_in *)info->ai_addr)->sin_addr
                           : (const void *)&((struct sockaddr_in6 *)info->ai_addr)->sin6_addr;

    return inet_ntop(info->ai_family, addr, text, sizeof text);
}

/* The addresses, with blanks between; or the code's name. */
static void check_lookup(const char *name, const struct addrinfo *hints, const char *expected)
{
    char text[1024] = "";
    struct addrinfo *found = NULL;
    int code = cress_getaddrinfo(name, NULL, hints, &found);

    if (code)
        snprintf(text, sizeof text, "%s", gai_strerror(code));
    for (const struct addrinfo *i = found; i; i = i->ai_next)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? " " : "",
                 text_of(i));
    cress_freeaddrinfo(found);
    assert_string_equal(text, expected);
}

static void expect(const char *name, int family, const char *addresses)
{
    check_lookup(name, &(struct addrinfo){ .ai_family = family, .ai_socktype = SOCK_STREAM },
                 addresses);
}

static void expect_code(const char *name, int code, int error)
{
    errno = 0;
    expect(name, AF_UNSPEC, gai_strerror(code));
    assert_int_equal(errno, error);
}

static int get(const char *node, const char *service, const struct addrinfo *hints)
{
    struct addrinfo *found;
    int code = cress_getaddrinfo(node, service, hints, &found);

    if (code == 0)
        cress_freeaddrinfo(found);
    return code;
}

/* All that a lookup held has been given back. */
static void check_nothing_is_left(void)
{
    assert_ok(cress_dns_configure(&(cress_dns_options){ 0 })); /* else EBUSY */
    assert_int_equal(hub_awaited(hub_current), 0);
}

static void stop_server(void)
{
    dns_server_stop(&server);
    settle();
    check_nothing_is_left();
}

static void use_hosts(const char *text)
{
    char path[] = "/tmp/cress-hosts-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    setenv("CARES_HOSTS", path, 1);
}

static void drop_hosts(void)
{
    unlink(getenv("CARES_HOSTS"));
    unsetenv("CARES_HOSTS");
}

/* ---- what needs no asking -------------------------------------------------------- */

static void test_addresses(void)
{
    struct addrinfo *found;

    expect("127.0.0.1", AF_UNSPEC, "127.0.0.1");
    expect("127.0.0.1", AF_INET, "127.0.0.1");
    expect("::1", AF_UNSPEC, "::1");
    expect("2001:DB8::a", AF_INET6, "2001:db8::a");
    expect("::1", AF_INET, gai_strerror(EAI_ADDRFAMILY));
    expect("127.0.0.1", AF_INET6, gai_strerror(EAI_ADDRFAMILY));
    assert_int_equal(cress_getaddrinfo("fe80::1%lo", "80", NULL, &found), 0);
    assert_int_equal(((struct sockaddr_in6 *)found->ai_addr)->sin6_scope_id, if_nametoindex("lo"));
    cress_freeaddrinfo(found);
    assert_int_equal(cress_getaddrinfo("fe80::1%7", "80", NULL, &found), 0);
    assert_int_equal(((struct sockaddr_in6 *)found->ai_addr)->sin6_scope_id, 7);
    cress_freeaddrinfo(found);
    assert_int_equal(get("127.0.0.1", "80", &(struct addrinfo){ .ai_flags = AI_NUMERICHOST }), 0);
    assert_int_equal(get("localhost", "80", &(struct addrinfo){ .ai_flags = AI_NUMERICHOST }),
                     EAI_NONAME);
}

static void answer_anything(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    dns_answer_address(q, r, "192.0.2.1");
}

static void test_what_is_no_name(void)
{
    static const char *const wrong[] = {
        "",         ".",     "a..b",       ".a",        "a b",         "a\tb",
        "a\nb",     "a\x01", "\x7f",       "b\xc3\xbc", "a/b",         "a:b",
        "a@b",      "a\\.b", "-a.example", "a.-b",      "127.1",       "1",
        "0x7f.1",   "a.0x1", "1.2.3.4.5",  "1.2.3.256", "127.0.0.1.",  "127.0.0.1%lo",
        "::1%none", "::1%",  ":::",        "[::1]",     "fe80::1%lo ", "1.2.3.4 ",
        " 1.2.3.4", "%lo",   "example%",
    };
    char label[65], name[256] = "";

    dns_server_start_as_resolver(&server, answer_anything, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_code(wrong[i], EAI_NONAME, ENXIO);
    memset(label, 'a', 64);
    label[64] = '\0';
    expect_code(label, EAI_NONAME, ENXIO);
    while (strlen(name) < 254)
        strcat(name, "a.");
    name[253] = 'a'; /* 254 of them */
    expect_code(name, EAI_NONAME, ENXIO);
    assert_int_equal(server.queries, 0);

    name[253] = '\0'; /* and the most there may be, with the root's dot */
    name[251] = 'a', name[252] = '.';
    expect(name, AF_INET, "192.0.2.1");
    expect(label + 1, AF_INET, "192.0.2.1");
    expect("_x-1.EXAMPLE.", AF_INET, "192.0.2.1");
    expect("1.2.3.4a", AF_INET, "192.0.2.1");
    assert_int_equal(server.queries, 4);
    stop_server();
}

static void test_no_host(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;

    assert_int_equal(cress_getaddrinfo(NULL, "80", &hints, &found), 0);
    assert_string_equal(text_of(found), "::1");
    assert_string_equal(text_of(found->ai_next), "127.0.0.1");
    assert_null(found->ai_next->ai_next);
    cress_freeaddrinfo(found);
    hints.ai_flags = AI_PASSIVE;
    assert_int_equal(cress_getaddrinfo(NULL, "80", &hints, &found), 0);
    assert_string_equal(text_of(found), "0.0.0.0");
    assert_string_equal(text_of(found->ai_next), "::");
    cress_freeaddrinfo(found);
    hints.ai_family = AF_INET6;
    assert_int_equal(cress_getaddrinfo(NULL, "80", &hints, &found), 0);
    assert_string_equal(text_of(found), "::");
    assert_null(found->ai_next);
    cress_freeaddrinfo(found);
    assert_int_equal(get(NULL, NULL, &hints), EAI_NONAME);
    hints.ai_flags = AI_CANONNAME;
    assert_int_equal(get(NULL, "80", &hints), EAI_BADFLAGS);
}

static uint16_t port_of(const char *service, int type)
{
    struct addrinfo hints = { .ai_socktype = type }, *found;

    if (cress_getaddrinfo("127.0.0.1", service, &hints, &found) != 0)
        return 0;

    uint16_t port = ntohs(((struct sockaddr_in *)found->ai_addr)->sin_port);

    cress_freeaddrinfo(found);
    return port;
}

static void test_services(void)
{
    static const char *const wrong[] = { "",    "65536", "-1",  "+80",         "80x",
                                         " 80", "80 ",   "x y", "99999999999", "no-such-service" };

    assert_int_equal(port_of("80", SOCK_STREAM), 80);
    assert_int_equal(port_of("65535", SOCK_DGRAM), 65535);
    assert_int_equal(get("127.0.0.1", "0", NULL), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        errno = 0;
        assert_int_equal(get("127.0.0.1", wrong[i], NULL), EAI_SERVICE);
        assert_int_equal(errno, ENXIO);
    }
    assert_int_equal(get("::1", "http", &(struct addrinfo){ .ai_flags = AI_NUMERICSERV }),
                     EAI_NONAME);
    if (!getservbyname("http", "tcp"))
        return; /* no /etc/services here */
    assert_int_equal(port_of("http", SOCK_STREAM), 80);
    assert_int_equal(port_of("tftp", SOCK_DGRAM), 69);
    assert_int_equal(port_of("tftp", SOCK_STREAM), 0); /* udp only */
    assert_int_equal(port_of("http", SOCK_RAW), 0);
}

static void test_an_entry_for_each_socket_type(void)
{
    static const struct {
        int type, protocol;
    } expected[] = {
        { SOCK_STREAM, IPPROTO_TCP },
        { SOCK_DGRAM, IPPROTO_UDP },
        { SOCK_RAW, 0 },
    };
    struct addrinfo *found, *at;

    assert_int_equal(cress_getaddrinfo("127.0.0.1", "80", NULL, &found), 0);
    at = found;
    for (size_t i = 0; i < 3; i++, at = at->ai_next) {
        assert_int_equal(at->ai_socktype, expected[i].type);
        assert_int_equal(at->ai_protocol, expected[i].protocol);
        assert_int_equal(at->ai_addrlen, sizeof(struct sockaddr_in));
    }
    assert_null(at);
    cress_freeaddrinfo(found);

    struct addrinfo udp = { .ai_protocol = IPPROTO_UDP };
    assert_int_equal(cress_getaddrinfo("127.0.0.1", "80", &udp, &found), 0);
    assert_int_equal(found->ai_socktype, SOCK_DGRAM);
    assert_null(found->ai_next);
    cress_freeaddrinfo(found);
}

static void test_hints_that_cannot_be(void)
{
    errno = 0;
    assert_int_equal(get("::1", "80", &(struct addrinfo){ .ai_family = AF_UNIX }), EAI_FAMILY);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(get("::1", "80", &(struct addrinfo){ .ai_socktype = SOCK_SEQPACKET }),
                     EAI_SOCKTYPE);
    assert_int_equal(
        get("::1", "80",
            &(struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_UDP }),
        EAI_SOCKTYPE);
    assert_int_equal(get("::1", "80", &(struct addrinfo){ .ai_flags = AI_IDN }), EAI_BADFLAGS);
}

static void test_mapped_addresses(void)
{
    struct addrinfo hints = { .ai_family = AF_INET6,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_V4MAPPED };

    use_hosts("192.0.2.1 four both\n2001:db8::1 both\n");
    check_lookup("192.0.2.7", &hints, "::ffff:192.0.2.7");
    check_lookup("four", &hints, "::ffff:192.0.2.1");
    check_lookup("both", &hints, "2001:db8::1");
    hints.ai_flags |= AI_ALL;
    check_lookup("four", &hints, "::ffff:192.0.2.1");
    struct addrinfo *found;
    assert_int_equal(cress_getaddrinfo("both", NULL, &hints, &found), 0);
    assert_int_equal(found->ai_family, AF_INET6);
    assert_int_equal(found->ai_next->ai_family, AF_INET6);
    assert_int_equal(found->ai_next->ai_addrlen, sizeof(struct sockaddr_in6));
    assert_null(found->ai_next->ai_next);
    cress_freeaddrinfo(found);
    hints.ai_family = AF_UNSPEC; /* then the flags mean nothing */
    check_lookup("four", &hints, "192.0.2.1");
    drop_hosts();
}

/* ---- the hosts file -------------------------------------------------------------- */

static void test_hosts_file(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME }, *found;

    dns_server_start_as_resolver(&server, answer_anything, NULL);
    use_hosts("# a comment\n192.0.2.8 main.example alias other # more\n"
              "2001:db8::8\tsix.example\n\nrubbish\n192.0.2.9");
    expect("main.example", AF_UNSPEC, "192.0.2.8");
    expect("ALIAS", AF_UNSPEC, "192.0.2.8");
    expect("six.example", AF_UNSPEC, "2001:db8::8");
    assert_int_equal(cress_getaddrinfo("alias", "80", &hints, &found), 0);
    assert_string_equal(found->ai_canonname, "main.example");
    cress_freeaddrinfo(found);
    assert_int_equal(server.queries, 0);
    expect("rubbish", AF_INET, "192.0.2.1"); /* the server's */
    assert_int_equal(server.queries, 1);
    drop_hosts();
    stop_server();
}

static void test_localhost_is_not_asked_for(void)
{
    dns_server_start_as_resolver(&server, answer_anything, NULL);
    use_hosts("");
    expect("localhost", AF_INET, "127.0.0.1");
    expect("LocalHost.", AF_INET6, "::1");
    expect("app.localhost", AF_INET, "127.0.0.1");
    expect("app.localhost.", AF_INET, "127.0.0.1");
    expect("localhost", AF_UNSPEC, "::1 127.0.0.1");
    check_lookup("localhost",
                 &(struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME },
                 "::1 127.0.0.1");
    drop_hosts();
    use_hosts("127.0.0.9 localhost\n");
    expect("localhost", AF_UNSPEC, "127.0.0.9");
    expect("localhost", AF_INET6, "::1");
    assert_int_equal(server.queries, 0);
    expect("notlocalhost", AF_INET, "192.0.2.1");
    drop_hosts();
    stop_server();
}

/* ---- answers --------------------------------------------------------------------- */

static void answer_slowly(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    trace("%s %s at %g", q->name, q->type == DNS_A ? "A" : "AAAA", cress_now());
    cress_sleep(0.5);
    dns_answer_address(q, r, "192.0.2.1");
    dns_answer_address(q, r, "2001:db8::1");
}

static void test_both_families_are_asked_at_once(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;

    dns_server_start_as_resolver(&server, answer_slowly, NULL);
    assert_int_equal(cress_getaddrinfo("a.example", "80", &hints, &found), 0);
    assert_time(0.5);
    assert_trace("a.example A at 0\na.example AAAA at 0\n");
    assert_non_null(found->ai_next);
    assert_null(found->ai_next->ai_next);
    assert_int_not_equal(found->ai_family, found->ai_next->ai_family);
    cress_freeaddrinfo(found);
    expect("a.example", AF_INET, "192.0.2.1");
    expect("a.example", AF_INET6, "2001:db8::1");
    assert_trace("a.example A at 0.5\na.example AAAA at 1\n");
    stop_server();
}

static void answer_aliases(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    dns_add_alias(r, NULL, "b.example");
    dns_add_alias(r, "b.example", "c.example");
    if (q->type == DNS_A)
        dns_add_address(r, "c.example", "192.0.2.3");
}

static void test_aliases(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME }, *found;

    dns_server_start_as_resolver(&server, answer_aliases, NULL);
    assert_int_equal(cress_getaddrinfo("a.example", "80", &hints, &found), 0);
    assert_string_equal(found->ai_canonname, "c.example");
    assert_string_equal(text_of(found), "192.0.2.3");
    assert_null(found->ai_next);
    cress_freeaddrinfo(found);
    stop_server();
}

static void answer_by_name(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    if (strcmp(q->name, "nobody.example") == 0)
        dns_set_code(r, DNS_NXDOMAIN);
    else if (strcmp(q->name, "broken.example") == 0)
        dns_set_code(r, DNS_SERVFAIL);
    else if (strcmp(q->name, "refused.example") == 0)
        dns_set_code(r, DNS_REFUSED);
    else if (strcmp(q->name, "format.example") == 0)
        dns_set_code(r, DNS_FORMERR);
    else if (strcmp(q->name, "text.example") == 0)
        dns_add_record(r, NULL, DNS_TXT, "\3abc", 4, 4);
}

static void test_codes(void)
{
    dns_server_start_as_resolver(&server, answer_by_name, NULL);
    expect_code("nobody.example", EAI_NONAME, ENXIO);
    expect_code("empty.example", EAI_NODATA, ENXIO);
    expect_code("text.example", EAI_NODATA, ENXIO);
    expect_code("broken.example", EAI_AGAIN, EHOSTUNREACH);
    expect_code("refused.example", EAI_AGAIN, EHOSTUNREACH);
    expect_code("format.example", EAI_FAIL, EHOSTUNREACH);
    assert_time(0);
    stop_server();
    expect_code("hidden.onion", EAI_NONAME, ENXIO);
}

static void answer_only_the_full_name(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    trace("%s", q->name);
    if (strcmp(q->name, "host.two.example") == 0)
        dns_answer_address(q, r, "192.0.2.2");
    else
        dns_set_code(r, DNS_NXDOMAIN);
}

static void test_search_list(void)
{
    dns_server_start(&server, answer_only_the_full_name, NULL);
    assert_ok(cress_dns_configure(&(cress_dns_options){
        .servers = server.address, .search = " one.example\ttwo.example, three.example" }));
    expect("host", AF_INET, "192.0.2.2");
    assert_trace("host.one.example\nhost.two.example\n");
    expect("host.", AF_INET, gai_strerror(EAI_NONAME)); /* it is all of the name */
    assert_trace("host\n");
    stop_server();
}

static void answer_with_many(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    if (!q->tcp) {
        dns_set_truncated(r);
        return;
    }
    for (int i = 0; i < 4000; i++) {
        char address[32];

        snprintf(address, sizeof address, "10.1.%d.%d", i / 250, i % 250);
        dns_add_address(r, NULL, address);
    }
}

static unsigned sockets_opened;

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);

int __wrap_socket(int family, int type, int protocol)
{
    sockets_opened++;
    return __real_socket(family, type, protocol);
}

static void test_many_addresses_come_by_tcp(void)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
    size_t count = 0;

    dns_server_start_as_resolver(&server, answer_with_many, NULL);
    sockets_opened = 0;
    assert_int_equal(cress_getaddrinfo("many.example", "80", &hints, &found), 0);
    assert_in_range(sockets_opened, 3, 128); /* c-ares sorts by connecting to each */
    for (const struct addrinfo *i = found; i; i = i->ai_next)
        count++;
    assert_int_equal(count, 4000);
    assert_int_equal(server.connections, 1);
    assert_int_equal(server.queries, 2);
    cress_freeaddrinfo(found);
    stop_server();
}

/* The interfaces of a machine: loopback, and one with the families chosen. */
static bool machine_has_v4, machine_has_v6;
static struct ifaddrs interfaces[5];

int __wrap_getifaddrs(struct ifaddrs **ret_first);
void __wrap_freeifaddrs(struct ifaddrs *first);

int __wrap_getifaddrs(struct ifaddrs **ret_first)
{
    static struct sockaddr v4 = { .sa_family = AF_INET }, v6 = { .sa_family = AF_INET6 };
    size_t count = 0;

    interfaces[count++] = (struct ifaddrs){ .ifa_flags = IFF_LOOPBACK, .ifa_addr = &v4 };
    interfaces[count++] = (struct ifaddrs){ .ifa_flags = IFF_LOOPBACK, .ifa_addr = &v6 };
    interfaces[count++] = (struct ifaddrs){ .ifa_flags = 0 }; /* has no address */
    if (machine_has_v4)
        interfaces[count++] = (struct ifaddrs){ .ifa_addr = &v4 };
    if (machine_has_v6)
        interfaces[count++] = (struct ifaddrs){ .ifa_addr = &v6 };
    for (size_t i = 0; i + 1 < count; i++)
        interfaces[i].ifa_next = &interfaces[i + 1];
    *ret_first = interfaces;
    return 0;
}

void __wrap_freeifaddrs(struct ifaddrs *first)
{
    assert_ptr_equal(first, interfaces);
}

static void answer_and_trace(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    trace("%s", q->type == DNS_A ? "A" : "AAAA");
    dns_answer_address(q, r, "192.0.2.1");
    dns_answer_address(q, r, "2001:db8::1");
}

static void test_address_configuration(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };

    dns_server_start_as_resolver(&server, answer_and_trace, NULL);
    machine_has_v4 = true, machine_has_v6 = false;
    check_lookup("a.example", &hints, "192.0.2.1");
    assert_trace("A\n");
    check_lookup("::1", &hints, "::1"); /* that is for names */
    hints.ai_family = AF_INET6;
    check_lookup("a.example", &hints, gai_strerror(EAI_ADDRFAMILY));
    machine_has_v4 = false, machine_has_v6 = true;
    check_lookup("a.example", &hints, "2001:db8::1");
    hints.ai_family = AF_UNSPEC;
    check_lookup("a.example", &hints, "2001:db8::1");
    assert_trace("AAAA\nAAAA\n");
    machine_has_v6 = false; /* nothing but loopback: it is left at that */
    get("a.example", NULL, &hints);
    machine_has_v4 = machine_has_v6 = true;
    get("a.example", NULL, &hints);
    assert_trace("A\nAAAA\nA\nAAAA\n");
    stop_server();
}

/* ---- servers that fail ----------------------------------------------------------- */

static void answer_from_try(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    trace("%s at %g", q->type == DNS_A ? "A" : "AAAA", cress_now());
    if (q->number < *(unsigned *)arg)
        r->len = 0;
    else
        dns_answer_address(q, r, "192.0.2.1");
}

static void test_server_that_never_answers(void)
{
    unsigned never = 1000;

    dns_server_start_as_resolver(&server, answer_from_try, &never);
    expect_code("a.example", EAI_AGAIN, EHOSTUNREACH);
    assert_time(3);
    assert_trace("A at 0\nAAAA at 0\nA at 1\nAAAA at 1\nA at 2\nAAAA at 2\n");
    stop_server();
}

static void test_server_that_answers_late(void)
{
    unsigned third = 3;

    dns_server_start_as_resolver(&server, answer_from_try, &third);
    expect("a.example", AF_INET, "192.0.2.1");
    assert_time(2);
    assert_trace("A at 0\nA at 1\nA at 2\n");
    stop_server();
}

static void answer_one_family(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    trace("%s at %g", q->type == DNS_A ? "A" : "AAAA", cress_now());
    if (q->type == DNS_AAAA && q->number < *(unsigned *)arg)
        r->len = 0;
    dns_answer_address(q, r, "192.0.2.1");
}

static void test_one_family_is_lost(void)
{
    unsigned never = 1000, third = 3;

    dns_server_start_as_resolver(&server, answer_one_family, &third);
    expect("a.example", AF_UNSPEC, "192.0.2.1");
    assert_time(1);
    assert_trace("A at 0\nAAAA at 0\nAAAA at 1\n"); /* what was answered is not asked again */
    server.arg = &never;
    expect("a.example", AF_UNSPEC, "192.0.2.1");
    assert_time(4);
    assert_trace("A at 1\nAAAA at 1\nAAAA at 2\nAAAA at 3\n");
    stop_server();
}

static struct dns_server second;

static void use_two_servers(dns_answer_fn *first_answer, void *first_arg, dns_answer_fn *answer,
                            void *arg)
{
    char both[80];

    dns_server_start(&server, first_answer, first_arg);
    dns_server_start(&second, answer, arg);
    snprintf(both, sizeof both, "%s,%s", server.address, second.address);
    assert_ok(cress_dns_configure(
        &(cress_dns_options){ .servers = both, .search = "", .timeout = 2, .tries = 2 }));
}

static void test_second_server(void)
{
    unsigned never = 1000;

    use_two_servers(answer_from_try, &never, answer_anything, NULL);
    expect("a.example", AF_INET, "192.0.2.1");
    assert_time(2);
    assert_trace("A at 0\n");
    dns_server_stop(&second);
    stop_server();
}

static void test_second_server_when_the_first_fails(void)
{
    use_two_servers(answer_by_name, NULL, answer_anything, NULL);
    expect("broken.example", AF_INET, "192.0.2.1");
    expect("refused.example", AF_INET, "192.0.2.1");
    assert_time(0);
    assert_int_equal(server.queries, 2);
    dns_server_stop(&server);
    expect("a.example", AF_INET, "192.0.2.1"); /* nobody there: the kernel says so */
    assert_time(0);
    dns_server_stop(&second);
    check_nothing_is_left();
}

static void test_all_servers_are_asked_again(void)
{
    unsigned never = 1000, again = 2;

    use_two_servers(answer_from_try, &never, answer_from_try, &never);
    expect_code("a.example", EAI_AGAIN, EHOSTUNREACH);
    assert_time(8);
    assert_trace("A at 0\nAAAA at 0\nA at 2\nAAAA at 2\n"
                 "A at 4\nAAAA at 4\nA at 6\nAAAA at 6\n");
    server.queries = 0;
    server.arg = &again;
    expect("a.example", AF_INET, "192.0.2.1");
    assert_time(12);
    assert_trace("A at 8\nA at 10\nA at 12\n");
    dns_server_stop(&second);
    stop_server();
}

static void test_no_server_at_all(void)
{
    assert_ok(cress_dns_configure(
        &(cress_dns_options){ .servers = "127.0.0.1:1,[::1]:1", .search = "" }));
    expect_code("a.example", EAI_AGAIN, EHOSTUNREACH);
    assert_time(0);
    check_nothing_is_left();
}

/* ---- servers that lie ------------------------------------------------------------ */

enum lie {
    WRONG_ID,
    WRONG_QUESTION,
    NO_QUESTION,
    OTHER_PORT,
    SHORT_HEADER,
    CUT_QUESTION,
    LONG_RECORD,
    SHORT_RECORD,
    CUT_RECORD,
    MORE_ANSWERS,
    MORE_QUESTIONS,
    NAME_LOOP,
    NAME_BEYOND,
    FLOOD,
    TRUNCATED, /* and by TCP: */
    TCP_SILENT,
    TCP_HANGS_UP,
    TCP_TOO_LONG,
    TCP_TOO_SHORT,
    TCP_NOTHING,
    TCP_TRUNCATED,
};

static void add_loop(struct dns_reply *r, size_t target)
{
    size_t at = r->len;

    dns_add_address(r, NULL, "192.0.2.66");
    r->bytes[at] = (unsigned char)(0xc0 | target >> 8);
    r->bytes[at + 1] = (unsigned char)target;
}

static void lie_by_tcp(enum lie lie, struct dns_reply *r)
{
    dns_add_address(r, NULL, "192.0.2.66");
    if (lie == TCP_SILENT)
        r->len = 0;
    if (lie == TCP_HANGS_UP)
        r->len = 0, r->hangs_up = true;
    if (lie == TCP_TOO_LONG)
        r->length_lie = 10;
    if (lie == TCP_TOO_SHORT)
        r->length_lie = -10;
    if (lie == TCP_NOTHING)
        r->length_lie = -(int)r->len;
    if (lie == TCP_TRUNCATED)
        dns_set_truncated(r);
}

static void tell_lie(enum lie lie, struct dns_reply *r)
{
    static const unsigned char address[] = { 192, 0, 2, 66 };

    if (lie == LONG_RECORD)
        dns_add_record(r, NULL, DNS_A, address, 4, 400);
    else if (lie == SHORT_RECORD)
        dns_add_record(r, NULL, DNS_A, address, 4, 3);
    else if (lie == NAME_LOOP)
        add_loop(r, r->len);
    else if (lie == NAME_BEYOND)
        add_loop(r, 0x3fff);
    else
        dns_add_address(r, NULL, "192.0.2.66");
    if (lie == WRONG_ID || lie == FLOOD)
        r->bytes[0] ^= 0xff;
    if (lie == WRONG_QUESTION)
        r->bytes[13] ^= 1;
    if (lie == NO_QUESTION)
        r->bytes[5] = 0;
    if (lie == OTHER_PORT)
        r->from_other_port = true;
    if (lie == SHORT_HEADER)
        r->len = 11;
    if (lie == CUT_QUESTION)
        r->len = r->question_end - 3;
    if (lie == CUT_RECORD)
        r->len -= 2;
    if (lie == MORE_ANSWERS)
        dns_set_answers(r, 60000);
    if (lie == MORE_QUESTIONS)
        r->bytes[4] = 0xff;
    if (lie == FLOOD)
        r->copies = 150;
    if (lie >= TRUNCATED)
        dns_set_truncated(r);
}

static void answer_falsely(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    enum lie lie = *(enum lie *)arg;

    if (q->tcp)
        lie_by_tcp(lie, r);
    else
        tell_lie(lie, r);
}

/* What is not an answer is waited out; an answer that makes no sense is a failure. */
static void test_lies(void)
{
    static const struct {
        enum lie lie;
        int code;
        cress_seconds time;
    } lies[] = {
        { WRONG_ID, EAI_AGAIN, 3 },
        { WRONG_QUESTION, EAI_AGAIN, 3 },
        { NO_QUESTION, EAI_AGAIN, 3 },
        { OTHER_PORT, EAI_AGAIN, 3 },
        { SHORT_HEADER, EAI_AGAIN, 3 },
        { CUT_QUESTION, EAI_AGAIN, 3 },
        { MORE_QUESTIONS, EAI_AGAIN, 3 },
        { FLOOD, EAI_AGAIN, 3 },
        { LONG_RECORD, EAI_FAIL, 0 },
        { SHORT_RECORD, EAI_NODATA, 0 },
        { CUT_RECORD, EAI_FAIL, 0 },
        { MORE_ANSWERS, EAI_FAIL, 0 },
        { NAME_LOOP, EAI_FAIL, 0 },
        { NAME_BEYOND, EAI_FAIL, 0 },
        { TRUNCATED, 0, 0 },
        { TCP_SILENT, EAI_AGAIN, 3 },
        { TCP_HANGS_UP, EAI_AGAIN, 0 },
        { TCP_TOO_LONG, EAI_AGAIN, 3 },
        { TCP_TOO_SHORT, EAI_FAIL, 0 },
        { TCP_NOTHING, EAI_AGAIN, 0 },
        { TCP_TRUNCATED, 0, 0 },
    };

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        enum lie lie = lies[i].lie;
        cress_seconds begin = cress_now();

        dns_server_start_as_resolver(&server, answer_falsely, &lie);
        expect("a.example", AF_INET, lies[i].code ? gai_strerror(lies[i].code) : "192.0.2.66");
        assert_true(cress_now() - begin == lies[i].time);
        stop_server();
    }
}

/* ---- many at a time, limits, kills ----------------------------------------------- */

static unsigned asking, most_asking;

static void answer_and_count(const struct dns_query *q, struct dns_reply *r, void *arg)
{
    (void)arg;
    if (++asking > most_asking)
        most_asking = asking;
    cress_sleep(0.1);
    asking--;
    dns_answer_address(q, r, "192.0.2.1");
}

static void *look_up_one(void *arg)
{
    char name[32];

    snprintf(name, sizeof name, "n%d.example", *(int *)arg);
    expect(name, AF_INET, "192.0.2.1");
    return NULL;
}

static void test_many_at_a_time(void)
{
    enum { COUNT = 300, MOST = 30 };
    static int numbers[COUNT];
    cress_group group = CRESS_GROUP_INIT;

    for (int i = 0; i < COUNT; i++)
        numbers[i] = i;
    dns_server_start(&server, answer_and_count, NULL);
    assert_ok(cress_dns_configure(
        &(cress_dns_options){ .servers = server.address, .search = "", .max_lookups = MOST }));
    asking = most_asking = 0;
    assert_ok(cress_pool_map(&group, look_up_one, numbers, COUNT, sizeof numbers[0]));
    assert_int_equal(most_asking, MOST);
    assert_true(fabs(cress_now() - 0.1 * COUNT / MOST) < 1e-6);
    stop_server();
}

static void *look_up_and_tell(void *arg)
{
    struct addrinfo *found;
    int code = cress_getaddrinfo(arg, "80", NULL, &found);

    trace("%s: %d, %s, at %g", (char *)arg, code, strerrorname_np(errno), cress_now());
    if (code == 0)
        cress_freeaddrinfo(found);
    return NULL;
}

static void test_kill(void)
{
    unsigned never = 1000;
    cress_greenlet *first, *second_in_line;

    dns_server_start(&server, answer_from_try, &never);
    assert_ok(cress_dns_configure(
        &(cress_dns_options){ .servers = server.address, .search = "", .max_lookups = 1 }));
    first = cress_spawn(look_up_and_tell, "in-flight");
    second_in_line = cress_spawn(look_up_and_tell, "in-line");
    assert_ok(cress_sleep(0.5));
    assert_ok(cress_kill(second_in_line, CRESS_FOREVER));
    assert_ok(cress_kill(first, CRESS_FOREVER));
    cress_release(first);
    cress_release(second_in_line);
    assert_trace("A at 0\nAAAA at 0\n"
                 "in-line: -11, ECANCELED, at 0.5\nin-flight: -11, ECANCELED, at 0.5\n");
    stop_server();
}

static void test_limit(void)
{
    unsigned never = 1000;
    cress_timeout limit;

    dns_server_start_as_resolver(&server, answer_from_try, &never);
    cress_timeout_start(&limit, 1.5);
    expect_code("a.example", EAI_SYSTEM, ETIMEDOUT);
    assert_time(1.5);
    expect_code("127.0.0.1", EAI_SYSTEM, ETIMEDOUT); /* it holds */
    cress_timeout_close(&limit);
    assert_trace("A at 0\nAAAA at 0\nA at 1\nAAAA at 1\n");
    expect("127.0.0.1", AF_INET, "127.0.0.1");
    stop_server();
}

static void test_limit_in_line(void)
{
    unsigned never = 1000;
    cress_timeout limit;

    dns_server_start(&server, answer_from_try, &never);
    assert_ok(cress_dns_configure(
        &(cress_dns_options){ .servers = server.address, .search = "", .max_lookups = 1 }));
    cress_greenlet *first = cress_spawn(look_up_and_tell, "a.example");
    settle();
    cress_timeout_start(&limit, 0.5);
    expect_code("b.example", EAI_SYSTEM, ETIMEDOUT);
    cress_timeout_close(&limit);
    expect_code("c.example", EAI_AGAIN, EHOSTUNREACH); /* has its turn after nine seconds */
    assert_time(18);
    cress_release(first);
    assert_trace("A at 0\nAAAA at 0\nA at 3\nAAAA at 3\nA at 6\nAAAA at 6\n"
                 "a.example: -3, EHOSTUNREACH, at 9\n"
                 "A at 9\nAAAA at 9\nA at 12\nAAAA at 12\nA at 15\nAAAA at 15\n");
    stop_server();
}

static void *leave_lookups_behind(void *arg)
{
    unsigned *never = arg;

    dns_server_start_as_resolver(&server, answer_from_try, never);
    spawn(look_up_and_tell, "a.example");
    spawn(look_up_and_tell, "b.example");
    cress_sleep(0.1);
    assert_true(hub_awaited(hub_current) >= 4);
    close(server.udp); /* the greenlets that use them end with the hub */
    close(server.tcp);
    return NULL;
}

static void test_hub_ends_with_lookups_under_way(void **state)
{
    unsigned never = 1000;
    size_t before = count_descriptors();

    (void)state;
    assert_ok(run_virtual(leave_lookups_behind, &never));
    assert_trace("A at 0\nAAAA at 0\nA at 0\nAAAA at 0\n"
                 "a.example: -11, ECANCELED, at 0.1\nb.example: -11, ECANCELED, at 0.1\n");
    assert_int_equal(count_descriptors(), before);
}

/* What the parent's greenlets had asked is none of the child's business. */
static void test_fork_with_lookups_under_way(void)
{
    unsigned never = 1000;
    int status;

    dns_server_start_as_resolver(&server, answer_from_try, &never);
    cress_greenlet *g = cress_spawn(look_up_and_tell, "a.example");
    cress_sleep(0.1);
    pid_t pid = cress_fork();
    if (pid == 0) {
        expect("127.0.0.1", AF_INET, "127.0.0.1");
        expect("localhost", AF_INET, "127.0.0.1");
        check_nothing_is_left();
        _exit(0);
    }
    assert_int_equal(cress_waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    cress_join(g, CRESS_FOREVER);
    cress_release(g);
    assert_trace("A at 0\nAAAA at 0\nA at 1\nAAAA at 1\nA at 2\nAAAA at 2\n"
                 "a.example: -3, EHOSTUNREACH, at 3\n");
    stop_server();
}

static void test_descriptors(void)
{
    unsigned never = 1000;
    size_t before = count_descriptors();

    dns_server_start_as_resolver(&server, answer_with_many, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(get("many.example", "80", NULL), 0);
    server.answer = answer_from_try;
    server.arg = &never;
    expect_code("a.example", EAI_AGAIN, EHOSTUNREACH);
    stop_server();
    assert_int_equal(count_descriptors(), before);
    assert_trace("A at 0\nAAAA at 0\nA at 1\nAAAA at 1\nA at 2\nAAAA at 2\n");
}

static void test_no_descriptor_left(void)
{
    struct rlimit old, none;

    dns_server_start_as_resolver(&server, answer_anything, NULL);
    getrlimit(RLIMIT_NOFILE, &old);
    none = (struct rlimit){ (rlim_t)dup(0), old.rlim_max };
    close((int)none.rlim_cur);
    setrlimit(RLIMIT_NOFILE, &none);
    expect_code("a.example", EAI_SYSTEM, EMFILE);
    setrlimit(RLIMIT_NOFILE, &old);
    expect("a.example", AF_INET, "192.0.2.1");
    stop_server();
}

static void test_report_names_the_lookup(void)
{
    unsigned never = 1000;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    cress_greenlet *g;

    dns_server_start_as_resolver(&server, answer_from_try, &never);
    g = cress_spawn(look_up_and_tell, "a.example");
    cress_sleep(0.1);
    cress_print_greenlets(out);
    fclose(out);
    assert_non_null(strstr(text, "lookup of a.example"));
    free(text);
    cress_kill(g, CRESS_FOREVER);
    cress_release(g);
    assert_trace("A at 0\nAAAA at 0\na.example: -11, ECANCELED, at 0.1\n");
    stop_server();
}

/* ---- configuration --------------------------------------------------------------- */

static void test_configuration(void)
{
    static const cress_dns_options wrong[] = {
        { .servers = "" },
        { .servers = "nonsense" },
        { .servers = "127.0.0.1,x" },
        { .timeout = -1 },
        { .timeout = NAN },
        { .timeout = 3601 },
        { .tries = 11 },
        { .timeout = CRESS_FOREVER },
        { .search = "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g" },
    };
    unsigned never = 1000;
    cress_greenlet *g;

    dns_server_start_as_resolver(&server, answer_from_try, &never);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_errno(EINVAL, cress_dns_configure(&wrong[i]));
    g = cress_spawn(look_up_and_tell, "a.example"); /* the configuration is as before */
    cress_sleep(0.1);
    assert_errno(EBUSY, cress_dns_configure(&(cress_dns_options){ 0 }));
    cress_kill(g, CRESS_FOREVER);
    cress_release(g);
    assert_trace("A at 0\nAAAA at 0\na.example: -11, ECANCELED, at 0.1\n");
    stop_server();
}

static void test_outside_greenlets(void **state)
{
    struct addrinfo *found;

    (void)state;
    assert_errno(EPERM, cress_dns_configure(&(cress_dns_options){ 0 }));
    errno = 0;
    assert_int_equal(cress_getaddrinfo("127.0.0.1", "80", NULL, &found), EAI_SYSTEM);
    assert_int_equal(errno, EPERM);
    cress_freeaddrinfo(NULL);
}

/* ---- memory ---------------------------------------------------------------------- */

/* A name server that asks for no memory, in a thread: 192.0.2.1 is the answer. */
static void *serve_from_a_thread(void *arg)
{
    unsigned char packet[512];
    struct sockaddr_in from;
    static const unsigned char record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1 };

    for (;;) {
        socklen_t from_len = sizeof from;
        ssize_t len = recvfrom(*(int *)arg, packet, sizeof packet - sizeof record, 0,
                               (struct sockaddr *)&from, &from_len);
        if (len <= 0)
            return NULL;
        packet[2] = 0x81, packet[3] = 0x80, packet[7] = 1;
        memcpy(packet + len, record, sizeof record);
        sendto(*(int *)arg, packet, (size_t)len + sizeof record, 0, (struct sockaddr *)&from,
               from_len);
    }
}

/* Each allocation fails once: the call says so, or does without. */
static void *fail_each_allocation(void *arg)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_flags = AI_CANONNAME }, *found;
    bool failed = true;
    int refusals = 0;

    for (int i = 0; failed; i++) {
        assert_ok(cress_dns_configure(&(cress_dns_options){
            .servers = arg, .search = "one.example two.example", .timeout = 0.05, .tries = 2 }));
        allocations_left = i;
        int code = cress_getaddrinfo("a.example", "80", &hints, &found);
        failed = end_failing();
        if (code == 0) {
            assert_string_equal(text_of(found), "192.0.2.1");
            cress_freeaddrinfo(found);
        } else {
            assert_true(code == EAI_MEMORY || code == EAI_AGAIN || code == EAI_FAIL ||
                        (code == EAI_SYSTEM && errno == ENOMEM));
            refusals++;
        }
    }
    assert_true(refusals > 5);
    for (int i = 0; i < 3; i++) { /* the configuration's own */
        allocations_left = i;
        assert_errno(ENOMEM, cress_dns_configure(
                                 &(cress_dns_options){ .servers = arg, .search = "one.example" }));
        assert_true(end_failing());
    }
    return NULL;
}

static void test_out_of_memory(void **state)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t len = sizeof addr;
    char text[32];
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t before = count_descriptors();

    (void)state;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_ok(bind(fd, (struct sockaddr *)&addr, len));
    assert_ok(getsockname(fd, (struct sockaddr *)&addr, &len));
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(addr.sin_port));
    assert_ok(pthread_create(&thread, NULL, serve_from_a_thread, &fd));
    ares_library_init_mem(ARES_LIB_INIT_ALL, malloc, free, realloc);
    assert_ok(cress_run(fail_each_allocation, text));
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&addr, len), 0); /* its end */
    assert_ok(pthread_join(thread, NULL));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_addresses),
        HUB_TEST(test_what_is_no_name),
        HUB_TEST(test_no_host),
        HUB_TEST(test_services),
        HUB_TEST(test_an_entry_for_each_socket_type),
        HUB_TEST(test_hints_that_cannot_be),
        HUB_TEST(test_mapped_addresses),
        HUB_TEST(test_hosts_file),
        HUB_TEST(test_localhost_is_not_asked_for),
        HUB_TEST(test_both_families_are_asked_at_once),
        HUB_TEST(test_aliases),
        HUB_TEST(test_codes),
        HUB_TEST(test_search_list),
        HUB_TEST(test_many_addresses_come_by_tcp),
        HUB_TEST(test_address_configuration),
        HUB_TEST(test_server_that_never_answers),
        HUB_TEST(test_server_that_answers_late),
        HUB_TEST(test_one_family_is_lost),
        HUB_TEST(test_second_server),
        HUB_TEST(test_second_server_when_the_first_fails),
        HUB_TEST(test_all_servers_are_asked_again),
        HUB_TEST(test_no_server_at_all),
        HUB_TEST(test_lies),
        HUB_TEST(test_many_at_a_time),
        HUB_TEST(test_kill),
        HUB_TEST(test_limit),
        HUB_TEST(test_limit_in_line),
        cmocka_unit_test(test_hub_ends_with_lookups_under_way),
        HUB_TEST(test_fork_with_lookups_under_way),
        HUB_TEST(test_descriptors),
        HUB_TEST(test_no_descriptor_left),
        HUB_TEST(test_report_names_the_lookup),
        HUB_TEST(test_configuration),
        cmocka_unit_test(test_outside_greenlets),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
