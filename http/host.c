/* Hosts, with or without a port: RFC 9110 7.2, RFC 3986 3.2. */
#include "host.h"

#include "text.h"

#include <arpa/inet.h>

static bool is_ipv6(const char *data, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (len >= sizeof text || memchr(data, '\0', len))
        return false;
    *text_put(text, data, len) = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_port(const char *data, size_t len)
{
    uint64_t port = 0;

    return len == 0 || (text_parse_u64((cress_str){ data, len }, &port) && port <= 65535);
}

/* The length of the name at the beginning; 0: there is none. */
static size_t scan_name(cress_str host)
{
    size_t len = 0;

    while (len < host.len) {
        if (text_is(host.data[len], TEXT_HOST))
            len++;
        else if (host.len - len >= 3 && host.data[len] == '%' &&
                 text_is(host.data[len + 1], TEXT_HEX) && text_is(host.data[len + 2], TEXT_HEX))
            len += 3;
        else
            break;
    }
    return len;
}

static bool is_host(cress_str host)
{
    const char *bracket = host.len && *host.data == '[' ? memchr(host.data, ']', host.len) : NULL;
    size_t len = bracket ? (size_t)(bracket + 1 - host.data) : scan_name(host);

    if (len == 0 || (bracket && !is_ipv6(host.data + 1, len - 2)))
        return false;
    if (len == host.len)
        return true;
    return host.data[len] == ':' && is_port(host.data + len + 1, host.len - len - 1);
}

static _Thread_local struct {
    size_t len;
    char text[64];
} last;

static __attribute__((noinline)) bool is_new_host(cress_str host)
{
    if (!is_host(host))
        return false;
    if (host.len <= sizeof last.text) {
        last.len = host.len;
        memcpy(last.text, host.data, host.len);
    }
    return true;
}

/* Nearly all requests name the same host as the one before: it need not be looked at
 * again. */
bool host_is_valid(cress_str host)
{
    bool is_last = host.len == last.len && text_is_same(host.data, last.text, host.len);

    return (is_last && host.len > 0) || is_new_host(host);
}
