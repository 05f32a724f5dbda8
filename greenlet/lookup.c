/* Name lookups by c-ares.
 *
 * A c-ares channel has three properties that don't go with greenlets: it cannot
 * abandon one of several queries, it times its retries by its own clock, and all its
 * queries leave from one port for as long as any of them is under way, which is what
 * forgers of answers hope for. So each lookup has a channel of its own, for 30
 * microseconds and 80 KiB while it lasts:
 *
 * - whoever waits owns the channel, and destroys it when it leaves, for whatever
 *   reason: nothing of a lookup outlives the call, and no callback can come late;
 * - c-ares' own timeouts are set so that they never pass. Each time it sends something,
 *   the hub's deadline for that is noted; when it passes, reading from the sockets
 *   that are open fails, which c-ares takes as it takes a dead server: it goes on with the next
 *   one, and keeps what it has. (When the only server is asked again, that is from a new port.)
 * - with several servers c-ares gives up once each has failed; the tries that are
 *   left are begun anew from here.
 *
 * The sockets are ours too (ares_set_socket_functions): close-on-exec from the start,
 * never a SIGPIPE, at most 16 at a time, and a bound to what is read of a flood before
 * others get their turn.
 */
#define _GNU_SOURCE
#include "lookup.h"

#include <cress/dns.h>
#include <cress/semaphore.h>

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TRIES = 3,
    TRIES_MOST = 10,
    MAX_LOOKUPS = 200,
    DOMAINS_MOST = 32,
    PACKETS = 64,              /* read in one turn */
    NEVER_MS = 60 * 60 * 1000, /* c-ares' timeout: 2^TRIES_MOST of these fit an int */
};
static const cress_seconds TIMEOUT = 3, TIMEOUT_MOST = 3600;

/* What a hub's lookups share. */
struct resolver {
    char *servers; /* NULL: resolv.conf's */
    char *search;  /* NULL: resolv.conf's; else the domains' text */
    char *domains[DOMAINS_MOST];
    int domain_count;
    cress_seconds timeout;
    int tries;
    size_t max_lookups;
    cress_semaphore places;
};

/* ---- the sockets ----------------------------------------------------------------- */

static struct lookup_socket *find_socket(struct lookup *l, int fd)
{
    for (int i = 0; i < LOOKUP_SOCKETS; i++)
        if (l->sockets[i].used && l->sockets[i].io.fd == fd)
            return &l->sockets[i];
    return NULL;
}

static struct lookup_socket *free_socket(struct lookup *l)
{
    for (int i = 0; i < LOOKUP_SOCKETS; i++)
        if (!l->sockets[i].used)
            return &l->sockets[i];
    return NULL;
}

void lookup_on_event(struct loop_io *io, int events)
{
    struct lookup_socket *s = (struct lookup_socket *)(void *)io;

    if (events < 0) {
        s->expired = true;
        events = LOOP_READ;
    }
    s->revents |= events;
    hub_wake(s->lookup->greenlet, 0);
}

/* c-ares sends something: the server has its time from now on. */
static void give_time(struct lookup *l)
{
    l->deadline = hub_deadline(hub_current->resolver->timeout);
}

static ares_socket_t open_socket(int family, int type, int protocol, void *arg)
{
    struct lookup *l = arg;
    struct lookup_socket *s = free_socket(l);
    int fd = -1;

    if (!s || l->opened++ >= LOOKUP_SOCKETS_MOST)
        errno = EMFILE;
    else
        fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        if (errno != EAFNOSUPPORT)
            l->socket_error = errno;
        return ARES_SOCKET_BAD;
    }
    *s = (struct lookup_socket){ .lookup = l, .used = true, .stream = type == SOCK_STREAM };
    s->io.fd = fd;
    return fd;
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct lookup_socket *s = find_socket(arg, fd);

    assert(s);
    hub_io_stop(hub_current, &s->io);
    s->used = false;
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len,
                          void *arg)
{
    if (find_socket(arg, fd)->stream)
        give_time(arg);
    return connect(fd, addr, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t len, int flags,
                            struct sockaddr *from, ares_socklen_t *from_len, void *arg)
{
    struct lookup *l = arg;

    if (find_socket(l, fd)->expired) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (l->packets == 0) {
        errno = EAGAIN;
        return -1;
    }
    l->packets--;
    return recvfrom(fd, buf, len, flags, from, from_len);
}

/* An error may be that of an earlier packet, which was refused: whoever sent that
 * would wait for its answer in vain. */
static void give_up(struct lookup *l, struct lookup_socket *s)
{
    s->expired = true;
    s->revents |= LOOP_READ;
    l->stirred = true;
}

static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *iov, int count, void *arg)
{
    struct lookup *l = arg;
    struct lookup_socket *s = find_socket(l, fd);
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                              .msg_iovlen = (size_t)count };

    give_time(l);

    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && !s->stream)
        give_up(l, s);
    return sent;
}

static const struct ares_socket_functions socket_functions = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = transmit,
};

/* c-ares says what it waits for; nothing: it is about to close the socket. */
static void watch_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct lookup_socket *s = find_socket(arg, fd);
    int events = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);

    hub_io_stop(hub_current, &s->io);
    if (!events)
        return;
    loop_io_init(&s->io, IO_LOOKUP, fd, events, false);
    s->io.greenlet = s->lookup->greenlet;
    if (hub_io_start(hub_current, &s->io) < 0)
        give_up(s->lookup, s);
}

/* ---- what a hub's lookups share -------------------------------------------------- */

static void destroy_resolver(struct resolver *r)
{
    if (!r)
        return;
    free(r->servers);
    free(r->search);
    free(r);
}

void dns_forget(struct hub *hub)
{
    destroy_resolver(hub->resolver);
    hub->resolver = NULL;
}

static int cut_domains(struct resolver *r)
{
    char *rest = r->search, *domain;

    while ((domain = strsep(&rest, " \t,"))) {
        if (!*domain)
            continue;
        if (r->domain_count == DOMAINS_MOST) {
            errno = EINVAL;
            return -1;
        }
        r->domains[r->domain_count++] = domain;
    }
    return 0;
}

static int copy_texts(struct resolver *r, const cress_dns_options *options)
{
    if (options->servers && !(r->servers = strdup(options->servers)))
        return -1;
    if (options->search && !(r->search = strdup(options->search)))
        return -1;
    return cut_domains(r);
}

static bool are_valid(const cress_dns_options *options)
{
    return options->timeout >= 0 && options->timeout <= TIMEOUT_MOST &&
           options->tries <= TRIES_MOST && !(options->servers && !*options->servers);
}

static struct resolver *create_resolver(const cress_dns_options *options)
{
    size_t places = options->max_lookups ? options->max_lookups : MAX_LOOKUPS;
    struct resolver *r;

    if (!are_valid(options)) {
        errno = EINVAL;
        return NULL;
    }
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->timeout = options->timeout > 0 ? options->timeout : TIMEOUT;
    r->tries = options->tries ? (int)options->tries : TRIES;
    r->max_lookups = places;
    r->places = (cress_semaphore)CRESS_SEMAPHORE_INIT(places);
    if (copy_texts(r, options) < 0) {
        destroy_resolver(r);
        return NULL;
    }
    return r;
}

/* This hub's, with the defaults if nobody has said otherwise. */
static struct resolver *get_resolver(void)
{
    struct hub *hub = hub_current;

    if (!hub->resolver)
        hub->resolver = create_resolver(&(cress_dns_options){ 0 });
    return hub->resolver;
}

/* ---- a channel ------------------------------------------------------------------- */

static void start_library(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

/* Reads resolv.conf, unless only the hosts file is to be looked at. */
static int open_channel(const struct resolver *r, enum lookup_where where, struct lookup *l)
{
    static const char *const lookups[] = {
        [LOOKUP_HOSTS] = "f", [LOOKUP_SERVERS] = "b", [LOOKUP_ALL] = "fb"
    };
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ares_options options = {
        .timeout = NEVER_MS,
        .tries = r->tries,
        .ndots = 1,
        .lookups = (char *)(uintptr_t)lookups[where],
        .domains = (char **)(uintptr_t)r->domains,
        .ndomains = r->domain_count,
        .sock_state_cb = watch_socket,
        .sock_state_cb_data = l,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;

    if (where == LOOKUP_HOSTS)
        mask |= ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_NDOTS | ARES_OPT_SORTLIST;
    if (r->search)
        mask |= ARES_OPT_DOMAINS;
    pthread_once(&once, start_library);
    return ares_init_options(&l->channel, &options, mask);
}

static int count_servers(struct lookup *l)
{
    struct ares_addr_port_node *servers;
    int status = ares_get_servers_ports(l->channel, &servers);

    if (status != ARES_SUCCESS)
        return status;
    for (const struct ares_addr_port_node *s = servers; s; s = s->next)
        l->server_count++;
    ares_free_data(servers);
    return ARES_SUCCESS;
}

static int set_up_channel(const struct resolver *r, enum lookup_where where, struct lookup *l)
{
    int status = open_channel(r, where, l);

    if (status != ARES_SUCCESS) {
        l->channel = NULL;
        return status;
    }
    ares_set_socket_functions(l->channel, &socket_functions, l);
    if (where == LOOKUP_HOSTS)
        return ARES_SUCCESS;
    if (r->servers)
        status = ares_set_servers_ports_csv(l->channel, r->servers);
    return status == ARES_SUCCESS ? count_servers(l) : status;
}

int lookup_open(struct lookup *l, enum lookup_where where, const char *name)
{
    struct resolver *r = get_resolver();
    int status;

    *l = (struct lookup){ .greenlet = greenlet_current, .name = name, .deadline = CRESS_FOREVER };
    if (!r)
        return -1;
    if (where != LOOKUP_HOSTS) {
        if (cress_semaphore_acquire(&r->places, CRESS_FOREVER) < 0)
            return -1;
        l->place = true;
    }
    status = set_up_channel(r, where, l);
    if (status != ARES_SUCCESS)
        lookup_close(l);
    return status;
}

/* ---- asking ---------------------------------------------------------------------- */

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct lookup_answer *a = arg;

    (void)timeouts;
    a->known = true;
    a->status = status;
    a->info = info;
    a->lookup->pending--;
}

static void ask(struct lookup_answer *a)
{
    struct ares_addrinfo_hints hints = { .ai_family = a->family,
                                         .ai_flags = a->flags | ARES_AI_ENVHOSTS };

    a->known = false;
    a->lookup->pending++;
    ares_getaddrinfo(a->lookup->channel, a->lookup->name, NULL, &hints, on_answer, a);
}

void lookup_ask(struct lookup *l, int index, int family, int flags)
{
    struct lookup_answer *a = &l->answers[index];

    *a = (struct lookup_answer){ .lookup = l, .family = family, .flags = flags };
    ask(a);
}

cress_seconds lookup_deadline(const struct lookup *l)
{
    if (!l->pending)
        return CRESS_FOREVER;
    return l->stirred ? 0 : l->deadline;
}

static void process(struct lookup *l)
{
    l->packets = PACKETS;
    l->stirred = false;
    for (int i = 0; i < LOOKUP_SOCKETS; i++) {
        struct lookup_socket *s = &l->sockets[i];
        int revents = s->revents;

        s->revents = 0;
        if (s->used && revents)
            ares_process_fd(l->channel, revents & LOOP_READ ? s->io.fd : ARES_SOCKET_BAD,
                            revents & LOOP_WRITE ? s->io.fd : ARES_SOCKET_BAD);
    }
}

/* The servers that were asked have had their time. */
static void expire(struct lookup *l)
{
    l->lost = true;
    for (int i = 0; i < LOOKUP_SOCKETS; i++)
        l->sockets[i].expired = true;
    for (int i = 0; i < LOOKUP_SOCKETS; i++)
        if (l->sockets[i].used && l->sockets[i].expired)
            ares_process_fd(l->channel, l->sockets[i].io.fd, ARES_SOCKET_BAD);
    if (l->pending && l->deadline <= hub_current->now)
        ares_cancel(l->channel);
}

/* All servers have been asked, and some did not answer: again. */
static void ask_again(struct lookup *l)
{
    for (int i = 0; i < LOOKUP_ANSWERS; i++) {
        struct lookup_answer *a = &l->answers[i];

        if (a->known && (a->status == ARES_ECONNREFUSED || a->status == ARES_ETIMEOUT) &&
            ++a->rounds < (unsigned)hub_current->resolver->tries)
            ask(a);
    }
}

void lookup_step(struct lookup *l)
{
    process(l);
    if (l->pending && l->deadline <= hub_current->now)
        expire(l);
    if (l->lost && l->server_count > 1)
        ask_again(l);
}

void lookup_close(struct lookup *l)
{
    int saved = errno;

    ares_destroy(l->channel);
    l->channel = NULL;
    if (l->place)
        cress_semaphore_release(&hub_current->resolver->places);
    l->place = false;
    errno = saved;
}

void lookup_forget(struct lookup *l)
{
    int saved = errno;

    for (int i = 0; i < LOOKUP_ANSWERS; i++) {
        ares_freeaddrinfo(l->answers[i].info);
        l->answers[i].info = NULL;
    }
    errno = saved;
}

/* ---- configuration --------------------------------------------------------------- */

/* Does c-ares take its servers? */
static int try_servers(const struct resolver *r)
{
    struct lookup l = { 0 };
    int status = set_up_channel(r, LOOKUP_ALL, &l);

    ares_destroy(l.channel);
    if (status == ARES_SUCCESS)
        return 0;
    errno = status == ARES_ENOMEM ? ENOMEM : EINVAL;
    return -1;
}

int cress_dns_configure(const cress_dns_options *options)
{
    struct hub *hub = hub_current;
    struct resolver *r;

    if (!cress_running()) {
        errno = EPERM;
        return -1;
    }
    r = hub->resolver;
    if (r && cress_semaphore_free_count(&r->places) < r->max_lookups) {
        errno = EBUSY;
        return -1;
    }
    r = create_resolver(options);
    if (!r)
        return -1;
    if (try_servers(r) < 0) {
        destroy_resolver(r);
        return -1;
    }
    dns_forget(hub);
    hub->resolver = r;
    return 0;
}
