/* What the floors share (limit.c, limit_tls.c, limit_broadcast.c): a listener, an
 * epoll set, and an end for what goes wrong. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { BACKLOG = 4096 };

_Noreturn static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* 0: not a number, or not from 1 to most. */
static inline size_t number(const char *text, size_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    return *text && !*end && value <= most ? value : 0;
}

/* How many descriptors this process may hold: the size of a table of them. */
static inline size_t descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    return limit.rlim_cur;
}

static inline void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

/* On the loopback; what is accepted from it inherits TCP_NODELAY. With `defer` a connection
 * is accepted when it has sent something (TCP_DEFER_ACCEPT). */
static inline int listen_on(uint16_t port, bool defer)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (defer)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    if (listen(fd, BACKLOG) < 0)
        die("listen");
    return fd;
}

#endif
