/* Happy Eyeballs, version 2 (RFC 8305), in one greenlet: two questions to the name
 * servers and up to 16 connections being made are all waited for at once.
 *
 * The hosts file goes first, and decides alone if it knows the name: asking the servers
 * for the family that it says nothing of would find another machine. Its addresses are
 * in the order of RFC 6724, across families. Where the servers are asked, IPv6 begins
 * unless IPv4 had to go ahead without it, and each family keeps its own order.
 */
#define _GNU_SOURCE
#include <cress/dial.h>

#include <cress/dns.h>
#include <cress/greenlet.h>
#include <cress/io.h>

#include "dns.h"
#include "fd.h"
#include "lookup.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { V6, V4, FAMILIES };
enum { ATTEMPTS_MOST = 16 }; /* at a time; the oldest makes room */

static const int family_of[FAMILIES] = { [V6] = AF_INET6, [V4] = AF_INET };
static const cress_seconds ATTEMPT_DELAY = 0.25, LEAST_ATTEMPT_DELAY = 0.01,
                           RESOLUTION_DELAY = 0.05;

/* A connection being made. */
struct attempt {
    struct fd_wait wait; /* its fd is the socket */
    bool used;
    uint64_t number; /* in the order in which they began */
};

struct dial {
    cress_seconds attempt_delay, resolution_delay;
    in_port_t port;
    int family;
    struct dns_address local[2];                     /* addresses that need no asking */
    struct lookup hosts, servers;                    /* and if it is a name */
    bool asked[FAMILIES];                            /* the servers, who have not answered yet */
    int lookup_error;                                /* why there are no addresses */
    const struct ares_addrinfo_node *next[FAMILIES]; /* the address to try next */
    int turn;                                        /* the family that has it */
    struct attempt attempts[ATTEMPTS_MOST];
    size_t count;               /* under way */
    uint64_t begun;             /* so far */
    cress_seconds next_attempt; /* while others are under way: not before that */
    cress_seconds v4_until;     /* IPv4 waits for IPv6's addresses: until then */
    int error;                  /* of the attempts so far */
    char what[DNS_NAME_MAX + 32];
};

/* ---- addresses ------------------------------------------------------------------- */

static const struct ares_addrinfo_node *first_of(const struct ares_addrinfo_node *node, int family)
{
    while (node && node->ai_family != family)
        node = node->ai_next;
    return node;
}

static bool has_address(const struct dial *d)
{
    return d->next[V6] || d->next[V4];
}

/* The next one, the families taking turns. */
static const struct ares_addrinfo_node *take_address(struct dial *d)
{
    int i = d->next[d->turn] ? d->turn : !d->turn;
    const struct ares_addrinfo_node *node = d->next[i];

    d->next[i] = first_of(node->ai_next, family_of[i]);
    d->turn = !i;
    return node;
}

/* All that there will be: the first one's family begins. */
static int use_list(struct dial *d, const struct ares_addrinfo_node *nodes)
{
    for (int i = 0; i < FAMILIES; i++)
        if (d->family == AF_UNSPEC || d->family == family_of[i])
            d->next[i] = first_of(nodes, family_of[i]);
    d->turn = nodes && nodes->ai_family == AF_INET ? V4 : V6;
    return has_address(d) ? 0 : fail_with(ENXIO);
}

/* ---- names ----------------------------------------------------------------------- */

static int lookup_failed(int status, const struct lookup *l)
{
    if (status < 0)
        return -1;
    dns_fail(dns_code(status, l->socket_error));
    return -1;
}

/* 1: it knows the name. */
static int ask_hosts_file(struct dial *d, const char *name)
{
    int status = lookup_open(&d->hosts, LOOKUP_HOSTS, name);

    if (status != ARES_SUCCESS)
        return lookup_failed(status, &d->hosts);
    lookup_ask(&d->hosts, 0, d->family, 0);
    lookup_close(&d->hosts);
    return d->hosts.answers[0].status == ARES_SUCCESS;
}

/* [waits] for a place, if many lookups are under way. */
static int ask_servers(struct dial *d, const char *name)
{
    int status = lookup_open(&d->servers, LOOKUP_SERVERS, name);

    if (status != ARES_SUCCESS)
        return lookup_failed(status, &d->servers);
    for (int i = 0; i < FAMILIES; i++) {
        if (d->family != AF_UNSPEC && d->family != family_of[i])
            continue;
        d->asked[i] = true;
        lookup_ask(&d->servers, i, family_of[i], 0);
    }
    return 0;
}

/* That the servers failed is said rather than that one family has no address. */
static void note_lookup_error(struct dial *d, int status)
{
    dns_fail(dns_code(status, d->servers.socket_error));
    if (!d->lookup_error || d->lookup_error == ENXIO)
        d->lookup_error = errno;
}

static void take_in(struct dial *d, int i)
{
    const struct lookup_answer *a = &d->servers.answers[i];

    d->asked[i] = false;
    if (a->status == ARES_SUCCESS)
        d->next[i] = first_of(a->info->nodes, family_of[i]);
    else
        note_lookup_error(d, a->status);
    if (i == V4)
        d->v4_until = hub_current->now + d->resolution_delay;
}

static void take_in_answers(struct dial *d)
{
    for (int i = 0; i < FAMILIES; i++)
        if (d->asked[i] && d->servers.answers[i].known)
            take_in(d, i);
    if (!d->servers.pending)
        lookup_close(&d->servers);
}

/* ---- attempts -------------------------------------------------------------------- */

/* Says only that there is no way to that address. */
static bool has_no_way(int error)
{
    return error == ENETUNREACH || error == EHOSTUNREACH || error == EADDRNOTAVAIL ||
           error == EAFNOSUPPORT;
}

/* The next address is tried at once. */
static void note_error(struct dial *d, int error)
{
    if (!d->error || (has_no_way(d->error) && !has_no_way(error)))
        d->error = error;
    d->next_attempt = hub_current->now;
}

static struct attempt *oldest(struct dial *d)
{
    struct attempt *found = NULL;

    for (size_t i = 0; i < ATTEMPTS_MOST; i++)
        if (d->attempts[i].used && (!found || d->attempts[i].number < found->number))
            found = &d->attempts[i];
    return found;
}

/* The socket stays open. */
static int release(struct dial *d, struct attempt *a)
{
    fd_step_out(&a->wait);
    a->used = false;
    d->count--;
    return a->wait.io.fd;
}

static struct attempt *unused_attempt(struct dial *d)
{
    size_t i = 0;

    if (d->count == ATTEMPTS_MOST) {
        close(release(d, oldest(d)));
        note_error(d, ETIMEDOUT);
    }
    while (d->attempts[i].used)
        i++;
    return &d->attempts[i];
}

static int watch(struct dial *d, int fd)
{
    struct attempt *a = unused_attempt(d);

    if (fd_stand(&a->wait, fd, LOOP_WRITE) < 0)
        return -1;
    a->used = true;
    a->number = d->begun;
    d->count++;
    return 0;
}

static int connect_to(int fd, const struct ares_addrinfo_node *node, in_port_t port)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;

    memcpy(&addr, node->ai_addr, node->ai_addrlen);
    addr.v4.sin_port = port; /* which is at the same place in both */
    return connect(fd, &addr.sa, node->ai_addrlen);
}

/* A connection that stands at once; else -1, and it is under way or its error noted. */
static int attempt(struct dial *d)
{
    const struct ares_addrinfo_node *node = take_address(d);
    int fd = socket(node->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    d->begun++;
    if (fd < 0) {
        note_error(d, errno);
        return -1;
    }
    if (connect_to(fd, node, d->port) == 0)
        return fd;
    if ((errno != EINPROGRESS && errno != EINTR) || watch(d, fd) < 0) {
        note_error(d, errno);
        close(fd);
        return -1;
    }
    d->next_attempt = hub_current->now + d->attempt_delay;
    return -1;
}

/* IPv4 gives IPv6 its time. */
static bool may_begin(const struct dial *d)
{
    return d->begun || !d->asked[V6] || hub_current->now >= d->v4_until;
}

static bool is_due(const struct dial *d)
{
    return has_address(d) && may_begin(d) && (!d->count || hub_current->now >= d->next_attempt);
}

static int socket_error(const struct attempt *a)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (a->wait.closed)
        return EBADF;
    return getsockopt(a->wait.io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

/* A connection that stands by now, or -1. */
static int check_attempts(struct dial *d)
{
    for (size_t i = 0; i < ATTEMPTS_MOST; i++) {
        struct attempt *a = &d->attempts[i];
        if (!a->used || (!a->wait.revents && !a->wait.closed))
            continue;
        int error = socket_error(a), fd = release(d, a);
        if (!error)
            return fd;
        note_error(d, error);
        if (!a->wait.closed)
            close(fd);
    }
    return -1;
}

/* ---- the whole ------------------------------------------------------------------- */

static cress_seconds next_deadline(const struct dial *d)
{
    cress_seconds deadline = lookup_deadline(&d->servers);

    if (!has_address(d))
        return deadline;
    return fmin(deadline, may_begin(d) ? d->next_attempt : d->v4_until);
}

static bool has_ended(const struct dial *d)
{
    return !d->count && !d->servers.pending && !has_address(d);
}

/* [waits] The first connection that stands. */
static int race(struct dial *d)
{
    int fd = -1;

    for (;;) {
        if (d->servers.channel)
            take_in_answers(d);
        while (fd < 0 && is_due(d))
            fd = attempt(d);
        if (fd >= 0)
            return fd;
        if (has_ended(d))
            return fail_with(d->error ? d->error : d->lookup_error);
        if (hub_wait(next_deadline(d), d->what, NULL) < 0 &&
            (errno != ETIMEDOUT || hub_check() < 0))
            return -1;
        if (d->servers.pending)
            lookup_step(&d->servers);
        fd = check_attempts(d);
    }
}

/* [waits] */
static int find_addresses(struct dial *d, const char *host)
{
    bool own;
    const char *name;
    int known;

    if (dns_parse_address(host, &d->local[0]))
        return use_list(d, &d->local[0].node);
    name = dns_lookup_name(host, &own);
    if (!name)
        return fail_with(ENXIO);
    known = ask_hosts_file(d, name);
    if (known > 0)
        return use_list(d, d->hosts.answers[0].info->nodes);
    if (known == 0 && own)
        return use_list(d, dns_own_addresses(d->local, d->family, false));
    return known < 0 ? -1 : ask_servers(d, name);
}

static void finish(struct dial *d)
{
    int saved = errno;
    struct attempt *a;

    while ((a = oldest(d))) {
        int fd = release(d, a);
        if (!a->wait.closed)
            close(fd);
    }
    lookup_close(&d->servers);
    lookup_forget(&d->servers);
    lookup_forget(&d->hosts);
    errno = saved;
}

/* [waits] */
static int dial_host(struct dial *d, const char *host)
{
    int fd, one = 1;

    snprintf(d->what, sizeof d->what, "a connection to %s", host);
    fd = find_addresses(d, host) < 0 ? -1 : race(d);
    finish(d);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* [waits] */
static int dial_unix(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd;

    if (!*path)
        return fail_with(EINVAL);
    if (strlen(path) >= sizeof addr.sun_path)
        return fail_with(ENAMETOOLONG);
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || cress_connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;

    int saved = errno;

    close(fd);
    return fail_with(saved);
}

static int check_family(int family)
{
    bool known = family == AF_UNSPEC || family == AF_INET || family == AF_INET6;

    return known ? 0 : fail_with(EINVAL);
}

int cress_dial_with(const cress_dial_options *options, const char *host, const char *service)
{
    struct dial d = {
        .attempt_delay = options->attempt_delay > 0 ? options->attempt_delay : ATTEMPT_DELAY,
        .resolution_delay =
            options->resolution_delay > 0 ? options->resolution_delay : RESOLUTION_DELAY,
        .family = options->family,
        .v4_until = CRESS_FOREVER,
    };

    if (hub_check() < 0)
        return -1;
    if (strncmp(host, "unix:", 5) == 0 && !service)
        return dial_unix(host + 5);
    if (!service || check_family(d.family) < 0)
        return fail_with(EINVAL);
    if (dns_fail(dns_parse_service(service, "tcp", false, &d.port)) != 0)
        return -1;
    d.attempt_delay = fmax(d.attempt_delay, LEAST_ATTEMPT_DELAY);
    return dial_host(&d, host);
}

int cress_dial(const char *host, const char *service)
{
    return cress_dial_with(&(cress_dial_options){ 0 }, host, service);
}
