/* The floor with TLS: limit.c's loop with OpenSSL in it, and nothing of HTTP.
 *
 * One recv holds a whole record (read_ahead), one SSL_read is one request, one SSL_write
 * one answer. Of OpenSSL's three suites it takes the one that costs least; the rest is as OpenSSL
 * has it by default, with its two session tickets after a handshake.
 *
 *     limit_tls PORT CERTIFICATE KEY [close]
 *
 * With `close` the first answer ends a connection, and close_notify with it, as TLS demands.
 */
#include "floor.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

static const char stays[] = ANSWER_STAYS, closes[] = ANSWER_CLOSES;

static struct {
    bool close;
    SSL_CTX *tls;
    SSL **connections; /* by descriptor */
} server;

static void die_of_tls(const char *what)
{
    fprintf(stderr, "%s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void prepare(const char *certificate, const char *key)
{
    server.connections = calloc(descriptors(), sizeof *server.connections);
    if (!server.connections)
        die("calloc");
    server.tls = SSL_CTX_new(TLS_server_method());
    if (!server.tls || SSL_CTX_use_certificate_chain_file(server.tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(server.tls, key, SSL_FILETYPE_PEM) != 1)
        die_of_tls(certificate);
    SSL_CTX_set_read_ahead(server.tls, 1);
    if (SSL_CTX_set_ciphersuites(server.tls, "TLS_AES_128_GCM_SHA256") != 1)
        die_of_tls("SSL_CTX_set_ciphersuites");
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

static void readable(int fd)
{
    SSL *tls = server.connections[fd];

    do {
        if (!answer(tls)) {
            finish(fd);
            return;
        }
    } while (SSL_pending(tls) > 0);
}

static void accepted(int epoll, int fd)
{
    SSL *tls = server.connections[fd] = SSL_new(server.tls);

    if (!tls || SSL_set_fd(tls, fd) != 1)
        die_of_tls("SSL_new");
    SSL_set_accept_state(tls);
    watch(epoll, fd);
    readable(fd);
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
    serve(listen_on((uint16_t)port, true), accepted, readable, NULL);
}
