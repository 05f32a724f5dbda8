/* Where to listen: HOST:PORT, [V6]:PORT, :PORT, PORT, unix:PATH. */
#ifndef CRESS_ADDRESS_H
#define CRESS_ADDRESS_H

#include <cress/str.h>

#include <sys/socket.h>

typedef struct address {
    struct sockaddr_storage storage;
    socklen_t len;
} address;

/* Parses one (host names are resolved, before any hub runs; IPv4 is preferred). ":PORT" is every
 * IPv4 address of the machine, "PORT" is 127.0.0.1. -1: EINVAL malformed, ENOENT unknown
 * host, ENAMETOOLONG. */
int address_parse(const char *text, address *ret_address);
/* Parses several, with commas between. CRESS_EXIT_OK and a malloc'ed array, or CRESS_EXIT_BIND
 * (CRESS_EXIT_FAILURE: ENOMEM) after a line on stderr. */
int address_parse_list(const char *texts, address **ret_addresses, size_t *ret_count);
/* "http://127.0.0.1:8000" or "unix:/run/x.sock". */
void address_format(const address *a, char *buf, size_t size);
/* The host ("127.0.0.1", "::1", "" for unix) and port as text. */
void address_split(const address *a, char *host, size_t host_size, char *port, size_t port_size);
/* A listening socket: non-blocking, close-on-exec, SO_REUSEADDR, TCP_NODELAY and
 * TCP_DEFER_ACCEPT for TCP; a stale unix socket file that nobody answers on is replaced. -1: errno. */
int address_listen(const address *a, int backlog);
/* Closes a listening socket; a unix socket's file goes with it. */
void address_close_listener(int fd);
/* What fd is bound to: with the port that the kernel chose for port 0. -1: errno. */
int address_of_socket(int fd, address *ret_address);

#endif
