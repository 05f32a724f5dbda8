/* Addresses to listen on: lists of them, as URLs, and with the socket options that
 * suit HTTP. */
#include "bind.h"

#include "log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds that the kernel keeps a new connection back that has sent nothing yet. */
#define DEFER_SECONDS 1
#define NOTSENT_BYTES (128 << 10)

/* ---- lists -------------------------------------------------------------------------- */

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

int bind_parse_list(const char *texts, cress_address **ret_addresses, size_t *ret_count)
{
    size_t count = count_commas(texts) + 1;
    cress_address *addresses = calloc(count, sizeof *addresses);
    char *copy = strdup(texts), *rest = copy;
    int status = CRESS_EXIT_BIND;

    if (!addresses || !copy) {
        log_complain("--bind: %s", strerror(errno));
        status = CRESS_EXIT_FAILURE;
        goto fail;
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = strsep(&rest, ",");

        if (cress_address_parse(text, &addresses[i]) < 0) {
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

/* ---- one ---------------------------------------------------------------------------- */

void bind_format(const cress_address *a, const char *scheme, char *buf, size_t size)
{
    char text[CRESS_ADDRESS_TEXT];
    bool is_unix = a->storage.ss_family == AF_UNIX;

    snprintf(buf, size, "%s%s%s", is_unix ? "" : scheme, is_unix ? "" : "://",
             cress_address_format(a, text, sizeof text));
}

static int set_tcp(int fd, int name, int value)
{
    return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
}

/* Accepted sockets inherit these. TCP_NOTSENT_LOWAT keeps little in the kernel that has not
 * been sent: a slow reader costs less, and its progress is seen in small steps. */
int bind_listen(const cress_address *a, int backlog)
{
    int fd = cress_listen(a, backlog), saved;

    if (fd < 0 || a->storage.ss_family == AF_UNIX)
        return fd;
    if (set_tcp(fd, TCP_NOTSENT_LOWAT, NOTSENT_BYTES) == 0 &&
        set_tcp(fd, TCP_DEFER_ACCEPT, DEFER_SECONDS) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}
