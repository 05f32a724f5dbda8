/* What the floors share (limit.c, limit_tls.c, limit_broadcast.c, limit_pause.c): what they
 * answer, a listener, an epoll set, the loop around both, and an end for what goes wrong. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { BACKLOG = 4096, EVENTS = 512, READ_SIZE = 16384 };

#define STATUS_SERVER_DATE \
    "HTTP/1.1 200 OK\r\nServer: limit\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\n"
#define HEAD STATUS_SERVER_DATE "Content-Type: text/plain\r\nContent-Length: 13\r\n"
#define BODY "\r\nhello, world\n"

/* The answer of a connection that stays, and of one that ends with it. */
#define ANSWER_STAYS HEAD BODY
#define ANSWER_CLOSES HEAD "Connection: close\r\n" BODY

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

/* Hands out what waits, until nothing does. */
static inline void accept_all(int epoll, int listener, void (*accepted)(int epoll, int fd))
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        accepted(epoll, fd);
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept4");
}

/* For good: `accepted` has each new connection (to watch it, or not), `readable` each that
 * has something to read; before a wait `pause` does what is due and says for how long nothing is
 * (NULL: for good). */
_Noreturn static inline void serve(int listener, void (*accepted)(int epoll, int fd),
                                   void (*readable)(int fd), const struct timespec *(*pause)(void))
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0)
        die("epoll_create1");
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_pwait2(epoll, events, EVENTS, pause ? pause() : NULL, NULL);

        if (count < 0 && errno != EINTR)
            die("epoll_pwait2");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(epoll, listener, accepted);
            else
                readable(fd);
        }
    }
}

#endif
