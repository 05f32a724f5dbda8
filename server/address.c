/* Addresses to listen on, from text to socket.
 *
 * The one case with a story is a unix socket: its file stays behind when a server is
 * killed, and bind then fails although nobody listens. The file is replaced only when
 * it is a socket and connecting to it is refused; a live server's, or somebody's file
 * of another kind, is left alone.
 */
#include "address.h"

#include "log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HOST_MAX_BYTES 256
#define PORT_MAX_BYTES 8
/* Seconds that the kernel keeps a new connection back that has sent nothing yet. */
#define DEFER_SECONDS 1
#define NOTSENT_BYTES (128 << 10)

/* ---- text to address ---------------------------------------------------------------- */

static int parse_unix(const char *path, address *ret_address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret_address->storage;
    size_t len = strlen(path);

    if (len == 0) {
        errno = EINVAL;
        return -1;
    }
    if (len >= sizeof un->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    *ret_address =
        (address){ .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1) };
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

static int resolve(const char *host, const char *port, int family, int flags, address *ret_address)
{
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV | flags };
    struct addrinfo *found;
    int error = getaddrinfo(*host ? host : NULL, port, &hints, &found);

    if (error) {
        errno = error == EAI_MEMORY ? ENOMEM : ENOENT;
        return -1;
    }
    *ret_address = (address){ .len = found->ai_addrlen };
    memcpy(&ret_address->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static int parse_host_port(const char *text, address *ret_address)
{
    char host[HOST_MAX_BYTES];
    const char *port;
    bool v6;

    if (split_host(text, host, &port, &v6) < 0 || !is_port(port)) {
        errno = EINVAL;
        return -1;
    }
    if (v6) {
        if (resolve(host, port, AF_INET6, AI_NUMERICHOST, ret_address) == 0)
            return 0;
        errno = errno == ENOENT ? EINVAL : errno;
        return -1;
    }
    if (resolve(host, port, AF_INET, 0, ret_address) == 0)
        return 0;
    return resolve(host, port, AF_INET6, 0, ret_address);
}

int address_parse(const char *text, address *ret_address)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, ret_address);
    if (is_port(text))
        return resolve("127.0.0.1", text, AF_INET, AI_NUMERICHOST, ret_address);
    if (!strchr(text, ':')) {
        errno = EINVAL;
        return -1;
    }
    return parse_host_port(text, ret_address);
}

static const char *parse_reason(int error)
{
    switch (error) {
    case EINVAL:
        return "is not HOST:PORT, [V6]:PORT, :PORT, PORT or unix:PATH";
    case ENOENT:
        return "has a host that is not known";
    case ENAMETOOLONG:
        return "has too long a path for a unix socket";
    default:
        return strerror(error);
    }
}

static size_t count_commas(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == ',';
    return count;
}

int address_parse_list(const char *texts, address **ret_addresses, size_t *ret_count)
{
    size_t count = count_commas(texts) + 1;
    address *addresses = calloc(count, sizeof *addresses);
    char *copy = strdup(texts), *rest = copy;
    int status = CRESS_EXIT_BIND;

    if (!addresses || !copy) {
        log_complain("--bind: %s", strerror(errno));
        status = CRESS_EXIT_FAILURE;
        goto fail;
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = strsep(&rest, ",");

        if (address_parse(text, &addresses[i]) < 0) {
            log_complain("--bind: \"%s\" %s", text, parse_reason(errno));
            goto fail;
        }
    }
    free(copy);
    *ret_addresses = addresses;
    *ret_count = count;
    return CRESS_EXIT_OK;
fail:
    free(copy);
    free(addresses);
    return status;
}

/* ---- address to text ---------------------------------------------------------------- */

void address_split(const address *a, char *host, size_t host_size, char *port, size_t port_size)
{
    int flags = NI_NUMERICHOST | NI_NUMERICSERV;

    if (a->storage.ss_family == AF_UNIX ||
        getnameinfo((const struct sockaddr *)&a->storage, a->len, host, (socklen_t)host_size, port,
                    (socklen_t)port_size, flags) != 0)
        *host = *port = '\0';
}

void address_format(const address *a, char *buf, size_t size)
{
    char host[HOST_MAX_BYTES], port[PORT_MAX_BYTES];

    if (a->storage.ss_family == AF_UNIX) {
        snprintf(buf, size, "unix:%s", ((const struct sockaddr_un *)&a->storage)->sun_path);
        return;
    }
    address_split(a, host, sizeof host, port, sizeof port);
    snprintf(buf, size, strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

/* ---- address to socket -------------------------------------------------------------- */

static const char *unix_path(const address *a)
{
    return ((const struct sockaddr_un *)&a->storage)->sun_path;
}

static bool is_stale_socket(const address *a)
{
    struct stat st;
    bool refused;
    int fd;

    if (lstat(unix_path(a), &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    refused =
        connect(fd, (const struct sockaddr *)&a->storage, a->len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_address(int fd, const address *a)
{
    const struct sockaddr *addr = (const struct sockaddr *)&a->storage;

    if (bind(fd, addr, a->len) == 0)
        return 0;
    if (errno != EADDRINUSE || a->storage.ss_family != AF_UNIX)
        return -1;
    if (!is_stale_socket(a) || unlink(unix_path(a)) < 0) {
        errno = EADDRINUSE;
        return -1;
    }
    return bind(fd, addr, a->len);
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* Accepted sockets inherit these. TCP_NOTSENT_LOWAT keeps little in the kernel that has not
 * been sent: a slow reader costs less, and its progress is seen in small steps. */
static int set_options(int fd, int family)
{
    if (family == AF_UNIX)
        return 0;
    if (family == AF_INET6 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0)
        return -1;
    if (set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0 ||
        set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES) < 0)
        return -1;
    return set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER_SECONDS);
}

int address_listen(const address *a, int backlog)
{
    int family = a->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0)
        return -1;
    if (set_options(fd, family) == 0 && bind_address(fd, a) == 0 && listen(fd, backlog) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int address_of_socket(int fd, address *ret_address)
{
    address a = { .len = sizeof a.storage };

    if (getsockname(fd, (struct sockaddr *)&a.storage, &a.len) < 0)
        return -1;
    *ret_address = a;
    return 0;
}

void address_close_listener(int fd)
{
    address a;

    if (address_of_socket(fd, &a) == 0 && a.storage.ss_family == AF_UNIX && *unix_path(&a))
        unlink(unix_path(&a));
    close(fd);
}
