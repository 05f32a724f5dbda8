/* Hosts, as Host fields and absolute targets name them. */
#ifndef CRESS_HTTP_HOST_H
#define CRESS_HTTP_HOST_H

#include <cress/str.h>

/* RFC 9110 7.2, RFC 3986 3.2: a host, perhaps with a port. */
bool host_is_valid(cress_str host);

#endif
