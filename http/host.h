/* Hosts, as Host fields and absolute targets name them. */
#ifndef CRESS_HTTP_HOST_H
#define CRESS_HTTP_HOST_H

#include "text.h"

/* RFC 9110 7.2, RFC 3986 3.2: a host, perhaps with a port. */
bool host_is_valid(cress_str host);

/* The last valid one of at most 64 bytes that host_is_valid was asked about; empty: none yet. */
extern _Thread_local struct host_last {
    size_t len;
    char text[64];
} host_last;

/* The same. Nearly all requests name the same host as the one before: it need not be looked at
 * again. */
static inline bool host_is_valid_again(cress_str host)
{
    if (host.len == host_last.len && host.len > 0 &&
        text_is_same(host.data, host_last.text, host.len))
        return true;
    return host_is_valid(host);
}

#endif
