/* A name server of the tests' own: UDP and TCP on one port of loopback, in greenlets of
 * the test's hub. A function says what it answers, truth or lie. */
#ifndef CRESS_TEST_DNS_SERVER_H
#define CRESS_TEST_DNS_SERVER_H

#include <cress/pool.h>

enum { DNS_A = 1, DNS_CNAME = 5, DNS_TXT = 16, DNS_AAAA = 28 };
enum { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };

struct dns_query {
    char name[256];
    int type;
    bool tcp;
    unsigned number; /* the server's queries count from 1 */
};

struct dns_reply {
    unsigned char bytes[80000];
    size_t len;           /* 0: the server says nothing */
    size_t question_end;  /* where the answers begin */
    int length_lie;       /* TCP: added to the length that goes before it */
    bool hangs_up;        /* TCP: closes the connection behind it */
    bool from_other_port; /* UDP */
    unsigned copies;      /* UDP: sent so often */
};

/* Gets a reply that repeats the question and has no answer yet. Each call is made in
 * a greenlet of its own and may wait. */
typedef void dns_answer_fn(const struct dns_query *q, struct dns_reply *r, void *arg);

struct dns_server {
    dns_answer_fn *answer;
    void *arg;
    int udp, tcp;
    char address[32]; /* "127.0.0.1:PORT" */
    unsigned queries, connections;
    cress_group greenlets;
};

void dns_server_start(struct dns_server *s, dns_answer_fn *answer, void *arg);
void dns_server_stop(struct dns_server *s);
/* And the hub's lookups ask it, and only it, with no search list and one second for
 * each of three tries. */
void dns_server_start_as_resolver(struct dns_server *s, dns_answer_fn *answer, void *arg);

/* Header bits. */
void dns_set_code(struct dns_reply *r, int code);
void dns_set_truncated(struct dns_reply *r);
void dns_set_answers(struct dns_reply *r, unsigned count);
/* A record of `owner`, NULL: the question's name; with the length as given. */
void dns_add_record(struct dns_reply *r, const char *owner, int type, const void *data, size_t len,
                    size_t length_said);
/* An A or AAAA record; a CNAME record. */
void dns_add_address(struct dns_reply *r, const char *owner, const char *address);
void dns_add_alias(struct dns_reply *r, const char *owner, const char *target);
/* The address, if it is of the family that is asked for. */
void dns_answer_address(const struct dns_query *q, struct dns_reply *r, const char *address);

#endif
