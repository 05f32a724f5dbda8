#define _GNU_SOURCE
#include "dns_server.h"

#include <cress/dns.h>
#include <cress/io.h>

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 12 };

struct job {
    struct dns_server *server;
    struct sockaddr_in from;
    int fd; /* TCP: the connection */
    size_t len;
    unsigned char bytes[512];
    struct dns_query query;
    struct dns_reply reply;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    assert(memory);
    return memory;
}

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* ---- messages -------------------------------------------------------------------- */

static void put16(unsigned char *at, size_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static unsigned get16(const unsigned char *at)
{
    return (unsigned)(at[0] << 8 | at[1]);
}

static void add(struct dns_reply *r, const void *data, size_t len)
{
    must(r->len + len <= sizeof r->bytes);
    memcpy(r->bytes + r->len, data, len);
    r->len += len;
}

static void add16(struct dns_reply *r, size_t value)
{
    unsigned char bytes[2];

    put16(bytes, value);
    add(r, bytes, 2);
}

static size_t encode_name(unsigned char *out, const char *name)
{
    unsigned char *at = out;

    while (*name) {
        size_t len = strcspn(name, ".");

        *at++ = (unsigned char)len;
        memcpy(at, name, len);
        at += len;
        name += len + (name[len] == '.');
    }
    *at++ = 0;
    return (size_t)(at - out);
}

/* The question's end. */
static size_t decode_question(struct dns_query *q, const unsigned char *bytes, size_t len)
{
    size_t at = HEADER, to = 0;

    while (at < len && bytes[at]) {
        size_t label = bytes[at++];

        must(at + label < len && to + label + 1 < sizeof q->name);
        if (to)
            q->name[to++] = '.';
        memcpy(q->name + to, bytes + at, label);
        at += label;
        to += label;
    }
    must(at + 5 <= len);
    q->name[to] = '\0';
    q->type = (int)get16(bytes + at + 1);
    return at + 5;
}

void dns_set_code(struct dns_reply *r, int code)
{
    r->bytes[3] = (unsigned char)((r->bytes[3] & 0xf0) | code);
}

void dns_set_truncated(struct dns_reply *r)
{
    r->bytes[2] |= 0x02;
}

void dns_set_answers(struct dns_reply *r, unsigned count)
{
    put16(r->bytes + 6, count);
}

void dns_add_record(struct dns_reply *r, const char *owner, int type, const void *data, size_t len,
                    size_t length_said)
{
    unsigned char name[256] = { 0xc0, HEADER };
    size_t name_len = owner ? encode_name(name, owner) : 2;

    add(r, name, name_len);
    add16(r, (size_t)type);
    add16(r, 1); /* IN */
    add16(r, 0);
    add16(r, 60); /* seconds to live */
    add16(r, length_said);
    add(r, data, len);
    dns_set_answers(r, get16(r->bytes + 6) + 1);
}

void dns_add_address(struct dns_reply *r, const char *owner, const char *address)
{
    unsigned char bytes[16];

    if (inet_pton(AF_INET, address, bytes) == 1) {
        dns_add_record(r, owner, DNS_A, bytes, 4, 4);
        return;
    }
    must(inet_pton(AF_INET6, address, bytes) == 1);
    dns_add_record(r, owner, DNS_AAAA, bytes, 16, 16);
}

void dns_add_alias(struct dns_reply *r, const char *owner, const char *target)
{
    unsigned char name[256];
    size_t len = encode_name(name, target);

    dns_add_record(r, owner, DNS_CNAME, name, len, len);
}

void dns_answer_address(const struct dns_query *q, struct dns_reply *r, const char *address)
{
    if (q->type == (strchr(address, ':') ? DNS_AAAA : DNS_A))
        dns_add_address(r, NULL, address);
}

static void begin_reply(struct job *job)
{
    struct dns_reply *r = &job->reply;

    r->copies = 1;
    r->question_end = decode_question(&job->query, job->bytes, job->len);
    add(r, job->bytes, r->question_end);
    r->bytes[2] = 0x81; /* a response, recursion desired */
    r->bytes[3] = 0x80; /* and available */
    memset(r->bytes + 6, 0, 6);
}

static void answer(struct job *job)
{
    struct dns_server *s = job->server;

    job->query.number = ++s->queries;
    begin_reply(job);
    s->answer(&job->query, &job->reply, s->arg);
}

static void end_job(cress_greenlet *g, void *arg)
{
    struct job *job = arg;

    (void)g;
    if (job->fd >= 0)
        cress_close(job->fd);
    free(job);
}

/* In a greenlet of its own, whose end is the job's even if it never ran. */
static void begin_job(struct job *job, cress_fn *fn)
{
    cress_greenlet *g = cress_pool_spawn_greenlet(&job->server->greenlets, fn, job);

    must(g && cress_link(g, end_job, job) == 0);
    cress_release(g);
}

/* ---- UDP ------------------------------------------------------------------------- */

static void send_udp(const struct job *job)
{
    const struct dns_reply *r = &job->reply;
    int fd = job->server->udp;

    if (r->from_other_port)
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (unsigned i = 0; i < r->copies; i++)
        sendto(fd, r->bytes, r->len, MSG_DONTWAIT, (const struct sockaddr *)&job->from,
               sizeof job->from);
    if (r->from_other_port)
        close(fd);
}

static void *answer_udp(void *arg)
{
    struct job *job = arg;

    answer(job);
    if (job->reply.len)
        send_udp(job);
    return NULL;
}

static void *serve_udp(void *arg)
{
    struct dns_server *s = arg;

    for (;;) {
        struct job *job = allocate(sizeof *job);
        struct iovec iov = { job->bytes, sizeof job->bytes };
        struct msghdr message = { .msg_name = &job->from,
                                  .msg_namelen = sizeof job->from,
                                  .msg_iov = &iov,
                                  .msg_iovlen = 1 };
        ssize_t len = cress_recvmsg(s->udp, &message, 0);

        if (len < 0) {
            free(job);
            return NULL;
        }
        job->server = s;
        job->fd = -1;
        job->len = (size_t)len;
        begin_job(job, answer_udp);
    }
}

/* ---- TCP ------------------------------------------------------------------------- */

static bool read_query(struct job *job)
{
    unsigned char prefix[2];

    if (cress_recv(job->fd, prefix, 2, MSG_WAITALL) != 2)
        return false;
    job->len = get16(prefix);
    must(job->len <= sizeof job->bytes);
    return cress_recv(job->fd, job->bytes, job->len, MSG_WAITALL) == (ssize_t)job->len;
}

static void send_tcp(const struct job *job)
{
    const struct dns_reply *r = &job->reply;
    unsigned char prefix[2];

    put16(prefix, (size_t)((int)r->len + r->length_lie));
    if (cress_write(job->fd, prefix, 2) == 2)
        (void)!cress_write(job->fd, r->bytes, r->len);
}

static void *answer_tcp(void *arg)
{
    struct job *job = arg;
    bool goes_on = true;

    while (goes_on && read_query(job)) {
        job->query = (struct dns_query){ .tcp = true };
        job->reply.len = 0;
        job->reply.length_lie = 0;
        answer(job);
        if (job->reply.len)
            send_tcp(job);
        goes_on = !job->reply.hangs_up;
    }
    return NULL;
}

static void *serve_tcp(void *arg)
{
    struct dns_server *s = arg;
    int fd;

    while ((fd = cress_accept(s->tcp, NULL, NULL)) >= 0) {
        struct job *job = allocate(sizeof *job);

        s->connections++;
        job->server = s;
        job->fd = fd;
        begin_job(job, answer_tcp);
    }
    return NULL;
}

/* ---- its life -------------------------------------------------------------------- */

/* A port that is free for both. */
static bool bind_both(struct dns_server *s, struct sockaddr_in *addr)
{
    socklen_t len = sizeof *addr;

    *addr = (struct sockaddr_in){ .sin_family = AF_INET };
    addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(s->udp >= 0 && s->tcp >= 0);
    must(bind(s->udp, (struct sockaddr *)addr, len) == 0);
    must(getsockname(s->udp, (struct sockaddr *)addr, &len) == 0);
    if (bind(s->tcp, (struct sockaddr *)addr, len) == 0 && listen(s->tcp, 16) == 0)
        return true;
    close(s->udp);
    close(s->tcp);
    return false;
}

void dns_server_start(struct dns_server *s, dns_answer_fn *answer_fn, void *arg)
{
    struct sockaddr_in addr;

    *s = (struct dns_server){ .answer = answer_fn, .arg = arg };
    while (!bind_both(s, &addr))
        continue;
    snprintf(s->address, sizeof s->address, "127.0.0.1:%d", ntohs(addr.sin_port));
    must(cress_pool_spawn(&s->greenlets, serve_udp, s) == 0);
    must(cress_pool_spawn(&s->greenlets, serve_tcp, s) == 0);
}

void dns_server_start_as_resolver(struct dns_server *s, dns_answer_fn *answer_fn, void *arg)
{
    dns_server_start(s, answer_fn, arg);
    must(cress_dns_configure(
             &(cress_dns_options){ .servers = s->address, .search = "", .timeout = 1 }) == 0);
}

void dns_server_stop(struct dns_server *s)
{
    cress_pool_kill(&s->greenlets, CRESS_FOREVER);
    cress_close(s->udp);
    cress_close(s->tcp);
}
