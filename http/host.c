/* Hosts, with or without a port: RFC 9110 7.2, RFC 3986 3.2. */
#include "host.h"

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

_Thread_local struct host_last host_last;

bool host_is_valid(cress_str host)
{
    if (!is_host(host))
        return false;
    if (host.len <= sizeof host_last.text) {
        host_last.len = host.len;
        memcpy(host_last.text, host.data, host.len);
    }
    return true;
}
