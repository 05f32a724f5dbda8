/* Addresses, from text to bound socket.
 *
 * The one case with a story is a unix socket: its file stays behind when a server is
 * killed, and bind then fails although nobody listens. The file is replaced only when
 * it is a socket and connecting to it is refused; a live server's, or somebody's file
 * of another kind, is left alone. The same question decides whether the file goes
 * when a server stops: by then it may be its successor's.
 */
#define _GNU_SOURCE
#include <cress/address.h>

#include "fd.h"

#include <cress/dns.h>
#include <cress/hub.h>
#include <cress/io.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HOST_MAX_BYTES = 256, PORT_MAX_BYTES = 8 };

static struct sockaddr *sockaddr_of(const cress_address *a)
{
    return (struct sockaddr *)(uintptr_t)&a->storage;
}

static const struct sockaddr_un *unix_of(const cress_address *a)
{
    return (const struct sockaddr_un *)(const void *)&a->storage;
}

/* ---- text to address ---------------------------------------------------------------- */

static int parse_unix(const char *path, cress_address *ret_address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&ret_address->storage;
    size_t len = strlen(path);

    if (len == 0)
        return fail_with(EINVAL);
    if (len >= sizeof un->sun_path)
        return fail_with(ENAMETOOLONG);
    *ret_address = (cress_address){
        .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1),
    };
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    return 0;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits <= 5 && text[digits] == '\0' && strtol(text, NULL, 10) <= 65535;
}

/* Cuts "HOST:PORT" into the host, without brackets, and a pointer to the port. */
static int split_host(const char *text, char *host, const char **ret_port, bool *ret_v6)
{
    const char *colon = strrchr(text, ':');
    const char *begin = text, *end = colon;

    *ret_v6 = text[0] == '[';
    if (*ret_v6) {
        begin++;
        end = strchr(text, ']');
        if (!end || end + 1 != colon || end == begin)
            return -1;
    } else if (strchr(text, ':') != colon) {
        return -1; /* an IPv6 address without brackets */
    }
    if (end - begin >= HOST_MAX_BYTES)
        return -1;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int reason(int error)
{
    switch (error) {
    case EAI_MEMORY:
        return ENOMEM;
    case EAI_SYSTEM:
        return errno;
    case EAI_AGAIN: /* cress_getaddrinfo has set errno */
    case EAI_FAIL:
        return cress_running() ? errno : ENOENT;
    default:
        return ENOENT;
    }
}

/* [waits, for a name] */
static int resolve(const char *host, const char *port, int family, int flags,
                   cress_address *ret_address)
{
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV | flags };
    const char *node = *host ? host : NULL;
    bool green = cress_running() && node && !(flags & AI_NUMERICHOST);
    struct addrinfo *found;
    int error = green ? cress_getaddrinfo(node, port, &hints, &found)
                      : getaddrinfo(node, port, &hints, &found);

    if (error)
        return fail_with(reason(error));
    *ret_address = (cress_address){ .len = found->ai_addrlen };
    memcpy(&ret_address->storage, found->ai_addr, found->ai_addrlen);
    (green ? cress_freeaddrinfo : freeaddrinfo)(found);
    return 0;
}

static int resolve_numeric(const char *host, const char *port, int family,
                           cress_address *ret_address)
{
    return resolve(host, port, family, AI_NUMERICHOST, ret_address);
}

static int parse_host_port(const char *text, cress_address *ret_address)
{
    char host[HOST_MAX_BYTES];
    const char *port;
    bool v6;

    if (split_host(text, host, &port, &v6) < 0 || !is_port(port))
        return fail_with(EINVAL);
    if (v6) {
        if (resolve_numeric(host, port, AF_INET6, ret_address) == 0)
            return 0;
        return fail_with(errno == ENOENT ? EINVAL : errno);
    }
    if (resolve_numeric(host, port, AF_INET, ret_address) == 0)
        return 0;
    if (resolve(host, port, AF_INET, 0, ret_address) == 0)
        return 0;
    return errno == ENOENT ? resolve(host, port, AF_INET6, 0, ret_address) : -1;
}

int cress_address_parse(const char *text, cress_address *ret_address)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, ret_address);
    if (is_port(text))
        return resolve_numeric("127.0.0.1", text, AF_INET, ret_address);
    if (!strchr(text, ':'))
        return fail_with(EINVAL);
    return parse_host_port(text, ret_address);
}

/* ---- address to text ---------------------------------------------------------------- */

void cress_address_split(const cress_address *a, char *host, size_t host_size, char *port,
                         size_t port_size)
{
    int flags = NI_NUMERICHOST | NI_NUMERICSERV;

    if (a->storage.ss_family == AF_UNIX ||
        getnameinfo(sockaddr_of(a), a->len, host, (socklen_t)host_size, port, (socklen_t)port_size,
                    flags) != 0)
        *host = *port = '\0';
}

/* A path need not be terminated when it is as long as can be. */
static void format_unix(const cress_address *a, char *buf, size_t size)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    int len = a->len > head ? (int)(a->len - head) : 0;

    snprintf(buf, size, "unix:%.*s", len, unix_of(a)->sun_path);
}

const char *cress_address_format(const cress_address *a, char *buf, size_t size)
{
    char host[HOST_MAX_BYTES], port[PORT_MAX_BYTES];

    if (a->storage.ss_family == AF_UNIX) {
        format_unix(a, buf, size);
        return buf;
    }
    cress_address_split(a, host, sizeof host, port, sizeof port);
    snprintf(buf, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return buf;
}

unsigned cress_address_port(const cress_address *a)
{
    const void *storage = &a->storage;

    switch (a->storage.ss_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)storage)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)storage)->sin6_port);
    default:
        return 0;
    }
}

int cress_address_of_socket(int fd, cress_address *ret_address)
{
    cress_address a = { .len = sizeof a.storage };

    if (getsockname(fd, sockaddr_of(&a), &a.len) < 0)
        return -1;
    *ret_address = a;
    return 0;
}

/* ---- address to socket -------------------------------------------------------------- */

/* A socket of the other type gets EPROTOTYPE where somebody is bound. */
static bool is_stale_socket(const cress_address *a)
{
    struct stat st;
    bool refused;
    int fd;

    if (lstat(unix_of(a)->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    refused = connect(fd, sockaddr_of(a), a->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_to(int fd, const cress_address *a)
{
    if (bind(fd, sockaddr_of(a), a->len) == 0)
        return 0;
    if (errno != EADDRINUSE || a->storage.ss_family != AF_UNIX)
        return -1;
    if (!is_stale_socket(a) || unlink(unix_of(a)->sun_path) < 0)
        return fail_with(EADDRINUSE);
    return bind(fd, sockaddr_of(a), a->len);
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

static int set_options(int fd, int family, int type)
{
    if (family == AF_INET6 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0)
        return -1;
    if (family == AF_UNIX || type != SOCK_STREAM)
        return 0;
    return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ? -1
                                                        : set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static int close_failed(int fd)
{
    int saved = errno;

    close(fd);
    return fail_with(saved);
}

static int open_bound(const cress_address *a, int type)
{
    int family = a->storage.ss_family;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (set_options(fd, family, type) < 0 || bind_to(fd, a) < 0)
        return close_failed(fd);
    return fd;
}

int cress_listen(const cress_address *a, int backlog)
{
    int fd = open_bound(a, SOCK_STREAM);

    if (fd >= 0 && listen(fd, backlog) < 0)
        return close_failed(fd);
    return fd;
}

int cress_bind_datagram(const cress_address *a)
{
    return open_bound(a, SOCK_DGRAM);
}

void cress_close_listener(int fd)
{
    int saved = errno;
    cress_address a;
    bool has_file = cress_address_of_socket(fd, &a) == 0 && a.storage.ss_family == AF_UNIX &&
                    *unix_of(&a)->sun_path;

    cress_close(fd);
    if (has_file && is_stale_socket(&a))
        unlink(unix_of(&a)->sun_path);
    errno = saved;
}
