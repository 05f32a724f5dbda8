/* TLS, between its files: contexts (tls_context.c), streams (tls.c), what lies between OpenSSL and
 * the socket (tls_bio.c), and a client's sessions (tls_session.c). */
#ifndef CRESS_TLS_PRIVATE_H
#define CRESS_TLS_PRIVATE_H

#include <cress/tls.h>

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { TLS_RECORD = SSL3_RT_MAX_PLAIN_LENGTH };

enum { TICKET_KEYS = 2 }; /* the one in use, and the one before */

struct tls_ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    bool is_made;
    cress_seconds made_at;
};

struct cress_tls_context {
    atomic_uint references;
    bool is_server, insecure;
    SSL_CTX *ssl;
    SSL_CTX **others; /* a server's further certificates */
    size_t other_count;
    char *protocols; /* ALPN: each with its NUL, and an empty one behind */
    unsigned char *wire;
    unsigned wire_len;

    pthread_mutex_t mutex; /* of the keys */
    struct tls_ticket_key keys[TICKET_KEYS];
};

/* The context of a handshake that is under way. tls.c: it is the stream's. */
cress_tls_context *tls_context_of(const SSL *ssl);
/* The name among the context's protocols; "" when it is not there. */
const char *tls_protocol(const cress_tls_context *c, const unsigned char *name, size_t len);

/* tls_bio.c: OpenSSL reads and writes s->socket from now on. -1: ENOMEM. */
int tls_bio_open(cress_tls_stream *s);
/* Offers what is out to the kernel, and what it does not take again when there is room. */
void tls_send_out(cress_tls_stream *s, int flags);
/* It will not be sent. */
void tls_forget_out(cress_tls_stream *s);

static inline void tls_send_held(cress_tls_stream *s)
{
    if (s->held)
        tls_send_out(s, 0);
}

#endif
