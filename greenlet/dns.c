/* getaddrinfo(3), made of what needs no asking (addresses, ports, no host at all), one
 * lookup by c-ares, and the chain of results, which is one block of memory.
 *
 * c-ares does the hosts file, the search list, A and AAAA, CNAMEs and the order of
 * RFC 6724. What it does not do, or does in its own way, is here: the checks of what
 * it is given, strict ports and services by protocol, an entry for each socket type,
 * and the flags.
 */
#define _GNU_SOURCE
#include "dns.h"

#include <cress/dns.h>
#include <cress/greenlet.h>

#include "lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    KNOWN_FLAGS = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_NUMERICSERV | AI_V4MAPPED |
                  AI_ALL | AI_ADDRCONFIG,
    LABEL_MAX = 63,
};

/* ---- codes ----------------------------------------------------------------------- */

int dns_fail(int code)
{
    switch (code) {
    case 0:
    case EAI_SYSTEM:
        break;
    case EAI_AGAIN:
    case EAI_FAIL:
        errno = EHOSTUNREACH;
        break;
    case EAI_MEMORY:
        errno = ENOMEM;
        break;
    case EAI_BADFLAGS:
    case EAI_FAMILY:
    case EAI_SOCKTYPE:
        errno = EINVAL;
        break;
    default:
        errno = ENXIO;
        break;
    }
    return code;
}

int dns_code(int status, int socket_error)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
        return EAI_NODATA;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return EAI_NONAME;
    case ARES_ENOMEM:
        return EAI_MEMORY;
    case ARES_ECONNREFUSED:
    case ARES_ETIMEOUT:
    case ARES_ECANCELLED:
        if (!socket_error)
            return EAI_AGAIN;
        errno = socket_error;
        return EAI_SYSTEM;
    default:
        return EAI_FAIL;
    }
}

/* ---- what needs no asking -------------------------------------------------------- */

static void set_v4(struct dns_address *a, struct in_addr addr)
{
    a->addr.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = addr };
    a->node = (struct ares_addrinfo_node){ .ai_family = AF_INET,
                                           .ai_addr = &a->addr.sa,
                                           .ai_addrlen = sizeof a->addr.v4 };
}

static void set_v6(struct dns_address *a, struct in6_addr addr, uint32_t scope)
{
    a->addr.v6 =
        (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = addr, .sin6_scope_id = scope };
    a->node = (struct ares_addrinfo_node){ .ai_family = AF_INET6,
                                           .ai_addr = &a->addr.sa,
                                           .ai_addrlen = sizeof a->addr.v6 };
}

static bool parse_number(const char *text, unsigned long most, unsigned long *ret_value)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 10 || text[digits])
        return false;
    *ret_value = strtoul(text, NULL, 10);
    return *ret_value <= most;
}

/* What stands behind the '%': an interface's name or number. */
static bool parse_scope(const char *text, uint32_t *ret_scope)
{
    unsigned long number;

    *ret_scope = if_nametoindex(text);
    if (*ret_scope)
        return true;
    if (!parse_number(text, UINT32_MAX, &number))
        return false;
    *ret_scope = (uint32_t)number;
    return true;
}

bool dns_parse_address(const char *host, struct dns_address *ret_address)
{
    char text[INET6_ADDRSTRLEN];
    const char *percent = strchr(host, '%');
    size_t len = percent ? (size_t)(percent - host) : strlen(host);
    struct in_addr v4;
    struct in6_addr v6;
    uint32_t scope = 0;

    if (!percent && inet_pton(AF_INET, host, &v4) == 1) {
        set_v4(ret_address, v4);
        return true;
    }
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    if (inet_pton(AF_INET6, text, &v6) != 1 || (percent && !parse_scope(percent + 1, &scope)))
        return false;
    set_v6(ret_address, v6, scope);
    return true;
}

/* What inet_aton takes for a part of an address: "1", "0x7f". */
static bool is_number(const char *label, size_t len)
{
    if (len > 1 && label[0] == '0' && (label[1] | 0x20) == 'x')
        return strspn(label + 2, "0123456789abcdefABCDEF") >= len - 2;
    return strspn(label, "0123456789") >= len;
}

static bool is_label(const char *label, size_t len)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

    return len > 0 && len <= LABEL_MAX && label[0] != '-' && strspn(label, allowed) == len;
}

static bool is_name(const char *host)
{
    size_t len = strlen(host), root = len > 0 && host[len - 1] == '.';

    if (len - root > DNS_NAME_MAX)
        return false;
    for (;;) {
        size_t label = strcspn(host, ".");

        if (!is_label(host, label))
            return false;
        if (host[label] == '\0' || host[label + 1] == '\0')
            return !is_number(host, label);
        host += label + 1;
    }
}

/* RFC 6761, 6.3: "localhost." and all below it. */
static bool is_localhost(const char *name)
{
    static const char localhost[] = "localhost";
    size_t len = strlen(name), want = sizeof localhost - 1;

    if (name[len - 1] == '.')
        len--;
    return len >= want && strncasecmp(name + len - want, localhost, want) == 0 &&
           (len == want || name[len - want - 1] == '.');
}

/* c-ares 1.18 has an answer of its own for a "localhost" that the hosts file does not
 * know, and leaks ten bytes each time; it does not see it in capitals. */
const char *dns_lookup_name(const char *host, bool *ret_own)
{
    *ret_own = false;
    if (!is_name(host))
        return NULL;
    *ret_own = is_localhost(host);
    return *ret_own ? "LOCALHOST" : host;
}

/* In getaddrinfo's order. */
const struct ares_addrinfo_node *dns_own_addresses(struct dns_address own[2], int family, bool any)
{
    struct ares_addrinfo_node *v4 = &own[0].node, *v6 = &own[1].node;

    set_v4(&own[0], (struct in_addr){ htonl(any ? INADDR_ANY : INADDR_LOOPBACK) });
    set_v6(&own[1], any ? in6addr_any : in6addr_loopback, 0);
    if (family != AF_UNSPEC)
        return family == AF_INET ? v4 : v6;
    *(any ? &v4->ai_next : &v6->ai_next) = any ? v6 : v4;
    return any ? v4 : v6;
}

static int look_up_service(const char *service, const char *protocol, in_port_t *ret_port)
{
    char buf[2048];
    struct servent entry, *found;

    if (getservbyname_r(service, protocol, &entry, buf, sizeof buf, &found) != 0 || !found)
        return EAI_SERVICE;
    *ret_port = (in_port_t)found->s_port;
    return 0;
}

int dns_parse_service(const char *service, const char *protocol, bool numeric, in_port_t *ret_port)
{
    unsigned long number;

    if (parse_number(service, UINT16_MAX, &number)) {
        *ret_port = htons((uint16_t)number);
        return 0;
    }
    if (service[strspn(service, "0123456789")] == '\0')
        return EAI_SERVICE;
    if (numeric)
        return EAI_NONAME;
    return protocol ? look_up_service(service, protocol, ret_port) : EAI_SERVICE;
}

/* ---- a call of cress_getaddrinfo ------------------------------------------------- */

struct kind {
    int type, protocol;
    in_port_t port;
};

struct request {
    const char *node, *service;
    int flags, family;
    struct kind kinds[3]; /* an entry of each for every address */
    size_t kind_count;
    struct dns_address local[2]; /* addresses that need no asking */
    const struct ares_addrinfo_node *nodes;
    const char *canonical;
    struct lookup *lookup; /* NULL: there was nothing to ask */
};

/* The result: all in one block. */
struct entry {
    struct addrinfo info; /* first */
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;
};

static int add_kind(struct request *r, int type, int protocol, const char *name)
{
    struct kind *kind = &r->kinds[r->kind_count];
    int code = 0;

    *kind = (struct kind){ .type = type, .protocol = protocol };
    if (r->service)
        code = dns_parse_service(r->service, name, r->flags & AI_NUMERICSERV, &kind->port);
    if (code == 0)
        r->kind_count++;
    return code;
}

/* The kinds that the hints' socket type and protocol allow; a service by name leaves
 * those out that have none of that name. */
static int find_kinds(struct request *r, int type, int protocol)
{
    static const struct {
        int type, protocol;
        const char *name;
    } all[] = {
        { SOCK_STREAM, IPPROTO_TCP, "tcp" },
        { SOCK_DGRAM, IPPROTO_UDP, "udp" },
        { SOCK_RAW, 0, NULL },
    };
    int code = EAI_SOCKTYPE;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        bool raw = all[i].type == SOCK_RAW;

        if ((type && type != all[i].type) || (!type && protocol && raw))
            continue;
        if (protocol && protocol != all[i].protocol && !raw)
            continue;
        int error = add_kind(r, all[i].type, raw ? protocol : all[i].protocol, all[i].name);
        if (error && code != 0)
            code = error;
        else if (!error)
            code = 0;
    }
    return code;
}

static int check_hints(const struct addrinfo *hints)
{
    if (hints->ai_flags & ~KNOWN_FLAGS)
        return EAI_BADFLAGS;
    if (hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET &&
        hints->ai_family != AF_INET6)
        return EAI_FAMILY;
    return 0;
}

static int begin(struct request *r, const struct addrinfo *hints)
{
    int code = check_hints(hints);

    if (code)
        return code;
    r->flags = hints->ai_flags;
    r->family = hints->ai_family;
    if (r->family != AF_INET6)
        r->flags &= ~(AI_V4MAPPED | AI_ALL);
    if (!r->node && !r->service)
        return EAI_NONAME;
    if (!r->node && (r->flags & AI_CANONNAME))
        return EAI_BADFLAGS;
    return find_kinds(r, hints->ai_socktype, hints->ai_protocol);
}

static int use_address(struct request *r)
{
    int family = r->local[0].node.ai_family;

    if (r->family != AF_UNSPEC && r->family != family && !(r->flags & AI_V4MAPPED))
        return EAI_ADDRFAMILY;
    r->nodes = &r->local[0].node;
    r->canonical = r->node;
    return 0;
}

/* ---- asking ---------------------------------------------------------------------- */

/* The families of which this machine has an address that is not a loopback's. */
static void find_families(bool *ret_v4, bool *ret_v6)
{
    struct ifaddrs *all;

    *ret_v4 = *ret_v6 = false;
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        *ret_v4 |= i->ifa_addr->sa_family == AF_INET;
        *ret_v6 |= i->ifa_addr->sa_family == AF_INET6;
    }
    freeifaddrs(all);
}

/* AI_ADDRCONFIG: no addresses of a family that this machine has none of. */
static int narrow_family(int *family)
{
    bool v4, v6;

    find_families(&v4, &v6);
    if (v4 == v6)
        return 0;
    if (*family == AF_UNSPEC)
        *family = v4 ? AF_INET : AF_INET6;
    return *family == (v4 ? AF_INET : AF_INET6) ? 0 : EAI_ADDRFAMILY;
}

/* [waits] until the answer is known. */
static int wait_for_answer(struct lookup *l)
{
    char what[DNS_NAME_MAX + 32];

    snprintf(what, sizeof what, "lookup of %s", l->name);
    if (!l->pending)
        cress_take_turns();
    while (l->pending) {
        if (hub_wait(lookup_deadline(l), what, NULL) < 0 && (errno != ETIMEDOUT || hub_check() < 0))
            return -1;
        lookup_step(l);
    }
    return 0;
}

static const char *canonical_name(const struct ares_addrinfo *info, const char *name)
{
    const struct ares_addrinfo_cname *cname = info->cnames;

    while (cname && cname->next)
        cname = cname->next;
    if (cname && cname->name)
        return cname->name;
    return info->name ? info->name : name;
}

static int use_answer(struct request *r)
{
    const struct lookup_answer *a = &r->lookup->answers[0];

    if (a->status != ARES_SUCCESS)
        return dns_code(a->status, r->lookup->socket_error);
    r->nodes = a->info->nodes;
    r->canonical = canonical_name(a->info, r->lookup->name);
    return 0;
}

/* [waits] */
static int ask(struct request *r, struct lookup *l, enum lookup_where where, const char *name,
               int family)
{
    int status = lookup_open(l, where, name);
    int code;

    r->lookup = l;
    if (status != ARES_SUCCESS)
        return status < 0 ? EAI_SYSTEM : dns_code(status, 0);
    lookup_ask(l, 0, family, r->flags & AI_CANONNAME ? ARES_AI_CANONNAME : 0);
    code = wait_for_answer(l) < 0 ? EAI_SYSTEM : 0;
    lookup_close(l);
    return code ? code : use_answer(r);
}

static int ask_for_own(struct request *r, struct lookup *l, const char *name, int family)
{
    int code = ask(r, l, LOOKUP_HOSTS, name, family);

    if (code == 0 || code == EAI_SYSTEM || code == EAI_MEMORY)
        return code;
    r->nodes = dns_own_addresses(r->local, family, false);
    r->canonical = "localhost";
    return 0;
}

/* [waits] */
static int resolve_name(struct request *r, struct lookup *l)
{
    bool own;
    const char *name = dns_lookup_name(r->node, &own);
    int family = r->flags & AI_V4MAPPED ? AF_UNSPEC : r->family, code = 0;

    if (!name || (r->flags & AI_NUMERICHOST))
        return EAI_NONAME;
    if (r->flags & AI_ADDRCONFIG)
        code = narrow_family(&family);
    if (code)
        return code;
    return own ? ask_for_own(r, l, name, family) : ask(r, l, LOOKUP_ALL, name, family);
}

/* [waits] */
static int resolve(struct request *r, struct lookup *l)
{
    if (r->node && !dns_parse_address(r->node, &r->local[0]))
        return resolve_name(r, l);
    if (r->node)
        return use_address(r);
    r->nodes = dns_own_addresses(r->local, r->family, r->flags & AI_PASSIVE);
    return 0;
}

/* ---- the result ------------------------------------------------------------------ */

static bool has_v6(const struct ares_addrinfo_node *nodes)
{
    while (nodes && nodes->ai_family != AF_INET6)
        nodes = nodes->ai_next;
    return nodes;
}

/* Is it part of the result? An IPv4 address among IPv6's only with AI_ALL. */
static bool is_wanted(const struct request *r, const struct ares_addrinfo_node *node, bool v6)
{
    return r->family != AF_INET6 || node->ai_family == AF_INET6 || !v6 || (r->flags & AI_ALL);
}

static size_t count_nodes(const struct request *r)
{
    bool v6 = has_v6(r->nodes);
    size_t count = 0;

    for (const struct ares_addrinfo_node *node = r->nodes; node; node = node->ai_next)
        count += is_wanted(r, node, v6);
    return count;
}

static void map_v4(struct sockaddr_in6 *addr, const struct sockaddr *from)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;

    *addr = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
    addr->sin6_addr.s6_addr[10] = addr->sin6_addr.s6_addr[11] = 0xff;
    memcpy(addr->sin6_addr.s6_addr + 12, &v4->sin_addr, sizeof v4->sin_addr);
}

static void fill_entry(struct entry *e, const struct request *r, const struct kind *kind,
                       const struct ares_addrinfo_node *node)
{
    bool maps = r->family == AF_INET6 && node->ai_family == AF_INET;

    if (maps)
        map_v4(&e->addr.v6, node->ai_addr);
    else
        memcpy(&e->addr, node->ai_addr, node->ai_addrlen);
    /* The port stands at the same place in both. */
    e->addr.v4.sin_port = kind->port;
    e->info = (struct addrinfo){
        .ai_flags = r->flags,
        .ai_family = e->addr.sa.sa_family,
        .ai_socktype = kind->type,
        .ai_protocol = kind->protocol,
        .ai_addrlen = maps ? sizeof e->addr.v6 : node->ai_addrlen,
        .ai_addr = &e->addr.sa,
    };
}

static void fill_entries(struct entry *e, const struct request *r)
{
    bool v6 = has_v6(r->nodes);
    struct entry *last = NULL;

    for (const struct ares_addrinfo_node *node = r->nodes; node; node = node->ai_next) {
        if (!is_wanted(r, node, v6))
            continue;
        for (size_t i = 0; i < r->kind_count; i++, last = e++) {
            fill_entry(e, r, &r->kinds[i], node);
            if (last)
                last->info.ai_next = &e->info;
        }
    }
}

static int build(const struct request *r, struct addrinfo **ret_result)
{
    size_t count = count_nodes(r) * r->kind_count;
    const char *canonical = r->flags & AI_CANONNAME ? r->canonical : NULL;
    size_t len = canonical ? strlen(canonical) + 1 : 0;
    struct entry *entries;

    if (count == 0)
        return EAI_NODATA;
    entries = calloc(1, count * sizeof *entries + len);
    if (!entries)
        return EAI_MEMORY;
    fill_entries(entries, r);
    if (canonical)
        entries->info.ai_canonname = memcpy(entries + count, canonical, len);
    *ret_result = &entries->info;
    return 0;
}

int cress_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                      struct addrinfo **ret_result)
{
    struct request r = { .node = node, .service = service };
    struct lookup l;
    int code;

    if (hub_check() < 0)
        return EAI_SYSTEM;
    code = begin(&r, hints ? hints : &(struct addrinfo){ 0 });
    if (code == 0)
        code = resolve(&r, &l);
    if (code == 0)
        code = build(&r, ret_result);
    if (r.lookup)
        lookup_forget(r.lookup);
    return dns_fail(code);
}

void cress_freeaddrinfo(struct addrinfo *result)
{
    int saved = errno;

    free(result);
    errno = saved;
}
