/* <cress/dns.h>: names to addresses while the other greenlets run.
 *
 * getaddrinfo(3) for greenlets. The hosts file is looked at first (/etc/hosts, or
 * the file that the environment's CARES_HOSTS names), then the servers of
 * /etc/resolv.conf are asked for A and AAAA at the same time, by c-ares. Results are
 * in the order of RFC 6724. /etc/nsswitch.conf and its modules are not used, nothing
 * is cached, and each lookup reads resolv.conf anew and asks from ports of its own.
 *
 * "localhost" and names that end in ".localhost" never leave the machine. A name is
 * letters, digits, '-', '_' and dots, at most 253 of them, with labels of at most 63;
 * one that ends in a number is an address or nothing ("127.1" is refused). Names
 * beyond ASCII must come as their "xn--" form (no IDN).
 *
 * Looking a name up needs about 16 KiB of stack.
 *
 * gevent: gevent.socket.getaddrinfo, gevent.resolver.ares.
 */
#ifndef CRESS_DNS_H
#define CRESS_DNS_H

#include <cress/api.h>

#include <netdb.h>
#include <sys/socket.h>

/* [waits] As getaddrinfo(3), with these differences: the result is freed as a whole
 * by cress_freeaddrinfo, a NULL hints has no flags set, and AI_IDN and its kin are
 * EAI_BADFLAGS. 0, or one of the EAI_ codes, which are negative; gai_strerror(3) has
 * their texts, and errno is set too:
 *   EAI_SYSTEM               errno: ECANCELED, ETIMEDOUT (a limit of the caller's),
 *                            EMFILE, EPERM (not in a greenlet) ...
 *   EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY, EAI_SERVICE
 *                            ENXIO: no such name, address of it, or service
 *   EAI_AGAIN                EHOSTUNREACH: the servers failed or did not answer
 *   EAI_FAIL                 EHOSTUNREACH: they answered what cannot be used
 *   EAI_MEMORY               ENOMEM
 *   EAI_BADFLAGS, EAI_FAMILY, EAI_SOCKTYPE
 *                            EINVAL */
CRESS_API int cress_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                                struct addrinfo **ret_result);
CRESS_API void cress_freeaddrinfo(struct addrinfo *result);

/* Zeroed: the defaults. */
typedef struct cress_dns_options {
    /* "ADDRESS[:PORT],...", with [brackets] around IPv6 that has a port; NULL: what
     * resolv.conf says. */
    const char *servers;
    /* Domains to try behind names with few dots, separated by blanks; "": none;
     * NULL: what resolv.conf says. */
    const char *search;
    /* How long a server may take before the next one is asked. 0: 3 seconds. At most
     * an hour. */
    cress_seconds timeout;
    /* How often each server is asked. 0: 3. At most 10. */
    unsigned tries;
    /* Lookups under way at a time; more wait in line. 0: 200. Each holds about 80 KiB
     * and one or two descriptors. */
    size_t max_lookups;
} cress_dns_options;

/* For this hub, from now on; a child of cress_fork begins with the defaults. Copies
 * what it is given. -1: EINVAL; EBUSY: a lookup is under way; ENOMEM; EPERM: not in a
 * greenlet. Does not wait. */
CRESS_API int cress_dns_configure(const cress_dns_options *options);

#endif
