/* The floor with TLS: limit.c's loop with OpenSSL in it, and nothing of HTTP.
 *
 * One recv holds a whole record (read_ahead), one SSL_read is one request, one SSL_write
 * one answer. The rest is as OpenSSL has it by default, with its two session tickets after a
 * handshake.
 *
 *     limit_tls PORT CERTIFICATE KEY [close]
 *
 * With `close` the first answer ends a connection, and close_notify with it, as TLS demands.
 */
#define _GNU_SOURCE /* accept4 */
#include "floor.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 16384, EVENTS = 512 };

#define HEAD                                                                      \
    "HTTP/1.1 200 OK\r\nServer: limit\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\n" \
    "Content-Type: text/plain\r\nContent-Length: 13\r\n"
#define BODY "\r\nhello, world\n"

static const char stays[] = HEAD BODY, closes[] = HEAD "Connection: close\r\n" BODY;

static struct {
    int epoll, listener;
    bool close;
    SSL_CTX *tls;
    SSL **connections; /* by descriptor */
    size_t descriptors;
} server;

static void die_of_tls(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void prepare(const char *certificate, const char *key)
{
    server.descriptors = descriptors();
    server.connections = calloc(server.descriptors, sizeof *server.connections);
    if (!server.connections)
        die("calloc");
    server.tls = SSL_CTX_new(TLS_server_method());
    if (!server.tls || SSL_CTX_use_certificate_chain_file(server.tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(server.tls, key, SSL_FILETYPE_PEM) != 1)
        die_of_tls(certificate);
    SSL_CTX_set_read_ahead(server.tls, 1);
}

static void finish(int fd)
{
    SSL_free(server.connections[fd]);
    server.connections[fd] = NULL;
    close(fd);
    ERR_clear_error();
}

/* False: the connection is over. */
static bool answer(SSL *tls)
{
    static char input[READ_SIZE];
    int result = SSL_read(tls, input, sizeof input); /* which shakes hands first */

    if (result <= 0)
        return SSL_get_error(tls, result) == SSL_ERROR_WANT_READ;
    result = SSL_write(tls, server.close ? closes : stays,
                       server.close ? sizeof closes - 1 : sizeof stays - 1);
    if (server.close)
        SSL_shutdown(tls);
    return result > 0 && !server.close;
}

static void serve(int fd)
{
    SSL *tls = server.connections[fd];

    do {
        if (!answer(tls)) {
            finish(fd);
            return;
        }
    } while (SSL_pending(tls) > 0);
}

static void accept_all(void)
{
    int fd;

    while ((fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if ((size_t)fd >= server.descriptors)
            die("accept4: a descriptor above the limit");
        SSL *tls = server.connections[fd] = SSL_new(server.tls);
        if (!tls || SSL_set_fd(tls, fd) != 1)
            die_of_tls("SSL_new");
        SSL_set_accept_state(tls);
        watch(server.epoll, fd);
        serve(fd);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept4");
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(server.epoll, events, EVENTS, -1);

    if (count < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == server.listener)
            accept_all();
        else
            serve(events[i].data.fd);
    }
}

int main(int argc, char *argv[])
{
    size_t port = argc > 3 ? number(argv[1], UINT16_MAX) : 0;

    server.close = argc == 5 && strcmp(argv[4], "close") == 0;
    if (!port || argc > 5 || (argc == 5 && !server.close)) {
        fprintf(stderr, "usage: %s PORT CERTIFICATE KEY [close]\n", argv[0]);
        return 2;
    }
    prepare(argv[2], argv[3]);
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll < 0)
        die("epoll_create1");
    server.listener = listen_on((uint16_t)port, true);
    watch(server.epoll, server.listener);
    for (;;)
        turn();
}
