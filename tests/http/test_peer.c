#include "hub_test.h"

#include <cress/http1.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static cress_http1_peer ipv4(const char *text, in_port_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    cress_http1_peer peer;

    assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
    cress_http1_peer_set(&peer, (struct sockaddr *)&in);
    return peer;
}

static cress_http1_peer ipv6(const char *text, in_port_t port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    cress_http1_peer peer;

    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    cress_http1_peer_set(&peer, (struct sockaddr *)&in6);
    return peer;
}

static void assert_text(cress_http1_peer peer, const char *expected)
{
    char buf[CRESS_HTTP1_PEER_TEXT];

    memset(buf, 'x', sizeof buf);
    cress_str text = cress_http1_peer_text(&peer, buf);
    assert_ptr_equal(text.data, buf);
    assert_int_equal(text.len, strlen(expected));
    assert_string_equal(buf, expected);
}

static void test_ipv4(void **state)
{
    static const char *const texts[] = { "0.0.0.0", "1.20.255.9", "10.99.100.199",
                                         "255.255.255.255" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_text(ipv4(texts[i], 1), texts[i]);
    assert_int_equal(ipv4("127.0.0.1", 65535).port, 65535);
}

/* The longest has 39 characters; one that ends in an IPv4 address would have 45. */
static void test_ipv6(void **state)
{
    static const char *const texts[] = { "::", "::1", "2001:db8::7", "::ffff:192.0.2.129",
                                         "2001:db8:1234:5678:9abc:def0:1234:5678" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_text(ipv6(texts[i], 1), texts[i]);
    assert_int_equal(ipv6("::1", 443).port, 443);
}

static void test_others_have_none(void **state)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/x" };
    cress_http1_peer peer, zeroed = { .port = 0 };

    (void)state;
    cress_http1_peer_set(&peer, (struct sockaddr *)&un);
    assert_int_equal(peer.family, CRESS_HTTP1_PEER_NONE);
    assert_int_equal(peer.port, 0);
    assert_text(peer, "");
    assert_text(zeroed, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_others_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
