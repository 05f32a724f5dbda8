/* What cress_getaddrinfo and cress_dial share: what can be said about a host or a
 * service without asking anybody, and error codes. */
#ifndef CRESS_DNS_PRIVATE_H
#define CRESS_DNS_PRIVATE_H

#include <ares.h>
#include <netinet/in.h>
#include <stdbool.h>

#define DNS_NAME_MAX 253

/* One address, shaped as c-ares' results are. */
struct dns_address {
    struct ares_addrinfo_node node; /* first; ai_addr: this sockaddr */
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;
};

/* "127.0.0.1", "::1", "fe80::1%eth0": is it an address? */
bool dns_parse_address(const char *host, struct dns_address *ret_address);
/* The name to look up for a host that is not an address; NULL: it cannot be one. One
 * that is this machine is only looked up in the hosts file: what it does not say,
 * dns_own_addresses does. */
const char *dns_lookup_name(const char *host, bool *ret_own);
/* Loopback's addresses, or with `any` those to listen on: of a family, or of both. */
const struct ares_addrinfo_node *dns_own_addresses(struct dns_address own[2], int family, bool any);
/* A port, in network order, by number or, unless numeric, by getservbyname(3) for
 * "tcp" or "udp" (NULL: has no names). 0 or an EAI_ code. */
int dns_parse_service(const char *service, const char *protocol, bool numeric, in_port_t *ret_port);
/* c-ares' status as an EAI_ code; socket_error: why it could have no socket. For
 * EAI_SYSTEM errno is set. */
int dns_code(int status, int socket_error);
/* Sets the errno that goes with an EAI_ code, and returns the code. */
int dns_fail(int code);

#endif
