/* Servers under simulation: never more handlers than allowed, none after stop, every
 * descriptor closed; and who is answered is answered right.
 */
#include "seeds.h"

#include <cress/datagram_server.h>
#include <cress/io.h>
#include <cress/stream_server.h>
#include <cress/timeout.h>

#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static cress_stream_server server;
static cress_datagram_server datagrams;
static unsigned running, most, answered;
static char address[64];
static cress_address peer_address;

/* The lowest descriptor that is free. */
static int lowest(void)
{
    int fd = dup(0);

    check(fd >= 0);
    close(fd);
    return fd;
}

static void enter(void)
{
    check(++running <= most);
}

/* ---- streams ------------------------------------------------------------------------------- */

/* Answers each byte by the next one. */
static void answer(cress_stream *stream, const cress_address *peer, void *self)
{
    char byte;

    (void)self;
    enter();
    check(peer->storage.ss_family == AF_UNIX);
    while (cress_stream_read(stream, &byte, 1, 0) == 1) {
        byte++;
        if (coin() && cress_sleep(pick_span()) < 0)
            break;
        if (cress_stream_write_all(stream, &byte, 1) < 0)
            break;
        if (pick(20) == 0)
            cress_stream_server_close(&server);
    }
    if (pick(8) == 0)
        cress_sleep(CRESS_FOREVER);
    running--;
}

static bool connection_is_lost(void)
{
    return errno == ECONNRESET || errno == EPIPE || errno == ECANCELED;
}

static void ask(int fd)
{
    for (char sent = 'a'; sent < 'z' && pick(6); sent++) {
        char got;
        ssize_t count = cress_write(fd, &sent, 1);

        check(count == 1 || connection_is_lost());
        if (count < 0)
            return;
        count = cress_read(fd, &got, 1);
        check(count == 0 || (count == 1 && got == sent + 1) || (count < 0 && connection_is_lost()));
        if (count <= 0)
            return;
        answered++;
    }
}

static void *use_stream(void *arg)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    check(fd >= 0);
    if (cress_connect(fd, (struct sockaddr *)&peer_address.storage, peer_address.len) == 0)
        ask(fd);
    else
        check(errno == ECONNREFUSED || errno == ENOENT || connection_is_lost());
    check(cress_close(fd) == 0);
    return arg;
}

static void *serve(void *arg)
{
    if (server.service && cress_stream_server_serve_forever(&server) < 0)
        check(errno == ECANCELED);
    return arg;
}

static void *stop(void *arg)
{
    cress_sleep(pick(10));
    if (coin())
        cress_stream_server_close(&server);
    else if (cress_stream_server_stop(&server, pick_timeout()) < 0)
        check(errno == ECANCELED);
    return arg;
}

static void begin(void)
{
    snprintf(address, sizeof address, "unix:/tmp/cress-seeds-%ld", (long)getpid());
    check(cress_address_parse(address, &peer_address) == 0);
    running = 0;
    most = pick_between(1, 4);
}

static void streams(void)
{
    struct crowd crowd = { .count = 0 };
    int before = lowest();

    begin();
    server = (cress_stream_server){ .address = address, .handle = answer, .max = most };
    check(cress_stream_server_start(&server) == 0);
    if (coin())
        crowd_spawn(&crowd, serve, NULL);
    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, use_stream, NULL);
    for (unsigned i = pick(3); i > 0; i--)
        crowd_spawn(&crowd, stop, NULL);
    crowd_harass(&crowd, pick(4));
    cress_sleep(pick(10));
    check(cress_stream_server_stop(&server, pick_span()) == 0);
    check(running == 0 && !server.service);
    crowd_join(&crowd);
    check(cress_stream_server_stop(&server, 0) == 0);
    check(lowest() == before);
    check(access(address + 5, F_OK) < 0);
}

/* ---- datagrams ------------------------------------------------------------------------------ */

static void answer_one(cress_datagram_server *s, const cress_datagram *datagram, void *self)
{
    char text[8];

    (void)self;
    enter();
    check(datagram->len == 3 && !datagram->truncated);
    memcpy(text, datagram->data, 3);
    text[0]++;
    if (coin())
        cress_sleep(pick_span());
    if (cress_datagram_server_send(s, text, 3, &datagram->peer) < 0)
        check(errno == ECANCELED || errno == ECONNREFUSED || errno == ENOENT);
    if (pick(8) == 0)
        cress_sleep(CRESS_FOREVER);
    running--;
}

static void exchange(int fd)
{
    char text[8] = { 0 };
    cress_timeout limit;

    cress_timeout_start(&limit, pick_span());
    for (text[0] = 'a'; text[0] < 'z' && pick(5); text[0]++) {
        char got[8];

        if (cress_send(fd, text, 3, 0) < 0)
            break;
        if (cress_recv(fd, got, sizeof got, 0) < 0)
            break;
        check(got[0] == text[0] + 1);
        answered++;
    }
    check(errno != EBADF);
    cress_timeout_close(&limit);
}

static void *use_datagrams(void *number)
{
    char text[80];
    cress_address own;
    int fd;

    snprintf(text, sizeof text, "%s-%ld", address, (long)(intptr_t)number);
    check(cress_address_parse(text, &own) == 0);
    fd = cress_bind_datagram(&own);
    check(fd >= 0);
    if (cress_connect(fd, (struct sockaddr *)&peer_address.storage, peer_address.len) == 0)
        exchange(fd);
    cress_close_listener(fd);
    return NULL;
}

static void datagram_servers(void)
{
    struct crowd crowd = { .count = 0 };
    int before = lowest();

    begin();
    datagrams = (cress_datagram_server){ .address = address, .handle = answer_one, .max = most };
    check(cress_datagram_server_start(&datagrams) == 0);
    for (unsigned i = pick_between(1, 8); i > 0; i--)
        crowd_spawn(&crowd, use_datagrams, (void *)(intptr_t)i);
    crowd_harass(&crowd, pick(4));
    cress_sleep(pick(10));
    check(cress_datagram_server_stop(&datagrams, pick_span()) == 0);
    check(running == 0 && !datagrams.service);
    crowd_join(&crowd);
    check(lowest() == before);
    check(access(address + 5, F_OK) < 0);
}

int main(int argc, char *argv[])
{
    static const struct scenario scenarios[] = {
        { "streams", streams, 0, 0 },
        { "streams_with_resets", streams, 0, 0.02 },
        { "datagrams", datagram_servers, 0, 0 },
    };

    return seeds_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
