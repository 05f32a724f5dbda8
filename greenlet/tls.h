/* TLS, between its two files: contexts (tls_context.c) and streams (tls.c). */
#ifndef CRESS_TLS_PRIVATE_H
#define CRESS_TLS_PRIVATE_H

#include <cress/tls.h>

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

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

struct cress_tls_session {
    SSL_SESSION *ssl;
    cress_tls_context *context;
    char host[]; /* "": none */
};

/* The context of a handshake that is under way. tls.c: it is the stream's. */
cress_tls_context *tls_context_of(const SSL *ssl);
/* The name among the context's protocols; "" when it is not there. */
const char *tls_protocol(const cress_tls_context *c, const unsigned char *name, size_t len);

#endif
