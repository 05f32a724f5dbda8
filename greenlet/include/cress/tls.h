/* <cress/tls.h>: TLS over sockets, as streams.
 *
 * A TLS stream stands on a socket stream and is used through the same table: read,
 * writev, shutdown, close. TLS 1.2 and 1.3 are spoken, nothing older; renegotiation is
 * refused. A client verifies its server's chain and name unless told not to.
 *
 *     cress_socket_stream socket;
 *     cress_tls_stream tls;
 *     cress_socket_stream_init(&socket, fd, NULL);
 *     if (cress_tls_client_init(&tls, context, &socket, "example.org") < 0)
 *         ...                                   (close the socket stream)
 *     if (cress_tls_handshake(&tls, 0) < 0)     (or let the first read or write do it)
 *         puts(cress_tls_error(&tls));
 *     ...
 *     cress_stream_shutdown(&tls.stream);       (says goodbye: else the peer sees a cut)
 *     cress_stream_close(&tls.stream);          (closes the socket too)
 *
 * One greenlet may read while another writes. Of several that write, each writev goes
 * out whole, in the order in which they came.
 *
 * What the table's calls say beside POSIX errors; they stay, and cress_tls_error tells
 * more:
 *   EPROTO        the peer broke the protocol, or there is no common version or cipher,
 *                 or it refused us (its alert), or sent more than 32 records in a row
 *                 without data
 *   EPROTOTYPE    the peer sent a plain HTTP request where a handshake was expected; the
 *                 socket stream may still be used to answer it
 *   EKEYREJECTED  its certificate does not hold: expired, of an unknown issuer, of
 *                 another host ...
 *   ECONNRESET    the connection ended without a goodbye: what was read may be only a
 *                 part. A clean end reads as 0.
 *
 * With CRESS_STREAM_DONTWAIT writev takes what the kernel takes and at most one record
 * (16 KiB) more, which the hub hands on by itself as soon as there is room; a waiting
 * writev, also one of no bytes, returns when the kernel has everything, and so does
 * shutdown. close drops what the kernel has not taken. shutdown shows the greenlet's
 * limits and kill to nobody, and takes 2 seconds at most.
 *
 * gevent: gevent.ssl.
 */
#ifndef CRESS_TLS_H
#define CRESS_TLS_H

#include <cress/semaphore.h>
#include <cress/stream.h>

/* ---- contexts: what many streams share ----------------------------------------- */

/* Counted; yours is one reference, each stream holds another. May be shared between
 * threads. */
typedef struct cress_tls_context cress_tls_context;

/* Zeroed is the default for each. Borrowed during the call. */
typedef struct cress_tls_options {
    /* PEM: the own certificate, with those between it and the root behind it, and its
     * private key without a passphrase (NULL: it stands in certfile). Servers need
     * them; a client shows them when asked. */
    const char *certfile, *keyfile;
    /* PEM: whom to trust. NULL: a client trusts the system's store. A server with one
     * demands a certificate of every client. */
    const char *ca_file;
    /* Of TLS 1.2, in OpenSSL's notation; NULL: OpenSSL's default. Of TLS 1.3's a server takes
     * AES-128 before AES-256, and ChaCha20 from clients that want it most. */
    const char *ciphers;
    /* ALPN (RFC 7301), the most wanted first: "h2,http/1.1". A client offers them; of
     * what it is offered a server takes its own first, and refuses a client that offers
     * other ones only. NULL: not spoken. */
    const char *alpn;
    bool insecure;         /* a client: verify nothing */
    bool allow_truncation; /* an end without a goodbye reads as 0, not ECONNRESET */
} cress_tls_options;

/* NULL: ENOENT, EACCES ... (a file), EBADMSG (not PEM, or with a passphrase),
 * EKEYREJECTED (the key is another certificate's), EINVAL (ciphers, alpn), ENOMEM;
 * cress_tls_context_error says more. Reads files, and blocks for that. */
CRESS_API cress_tls_context *cress_tls_server_context(const cress_tls_options *options);
CRESS_API cress_tls_context *cress_tls_client_context(const cress_tls_options *options);
/* A server: another certificate, for clients that ask for a name which it has (SNI,
 * RFC 6066); others see the first. Before there are streams. -1: as above. */
CRESS_API int cress_tls_add_certificate(cress_tls_context *c, const char *certfile,
                                        const char *keyfile);
/* One line about the calling thread's last of these calls that failed. */
CRESS_API const char *cress_tls_context_error(void);
CRESS_API cress_tls_context *cress_tls_context_retain(cress_tls_context *c);
CRESS_API void cress_tls_context_release(cress_tls_context *c);

/* ---- streams ------------------------------------------------------------------------ */

typedef struct cress_tls_stream {
    cress_stream stream;
    cress_socket_stream *socket;
    cress_tls_context *context;
    struct ssl_st *ssl;
    uint64_t io[3]; /* the event loop's watcher for room to write */
    char *out;      /* what the kernel has not taken: out + out_start, up to out_end */
    size_t out_start, out_end, out_size;
    cress_semaphore turn;  /* to write */
    cress_waitable room;   /* for the kernel's taking what is out */
    cress_waitable others; /* while one waits for the descriptor to be readable */
    char *host;            /* a client's: whom it asked for */
    char *why;             /* what error is about */
    int error;             /* every later call fails with it */
    int read_error;        /* the socket's */
    int write_error;       /* the socket takes no more: of writes only */
    int budget;            /* what may still be taken in before others have their turn */
    unsigned barren;       /* records begun since the last with data */
    bool established, reading, pending, eof, ended, shut;
    bool held;    /* the kernel was not asked to take what is out */
    bool more;    /* what is being written is to be held */
    bool drained; /* the socket had no more when it was last read in this call */
} cress_tls_stream;

/* Over a connected socket, as the server or as the client of its other side. The
 * socket stream must not be used or moved any more, and is closed with this one. -1:
 * ENOMEM; the socket stream is still yours then. */
CRESS_API int cress_tls_server_init(cress_tls_stream *s, cress_tls_context *c,
                                    cress_socket_stream *socket);
/* `host` is whom the server must be: a name, sent as SNI, or an IP address. NULL only
 * in an insecure context (misuse otherwise: EINVAL). */
CRESS_API int cress_tls_client_init(cress_tls_stream *s, cress_tls_context *c,
                                    cress_socket_stream *socket, const char *host);
/* [waits] Until both sides have agreed. With CRESS_STREAM_DONTWAIT: EAGAIN, and it goes on
 * when called again. Reading and writing do it too. */
CRESS_API int cress_tls_handshake(cress_tls_stream *s, int flags);

/* The goodbye of cress_stream_shutdown without waiting: the hub hands on what the kernel does not
 * take. Nothing can be written behind it. -1: EAGAIN, another greenlet is writing. */
CRESS_API int cress_tls_goodbye(cress_tls_stream *s);

/* Why the last call failed, one line; "" before. Lives as long as the stream, as all below. */
CRESS_API const char *cress_tls_error(const cress_tls_stream *s);
/* After the handshake: "TLSv1.3"; "TLS_AES_256_GCM_SHA384"; the protocol that both
 * chose, "" without; the name that the client asked for, "" without. */
CRESS_API const char *cress_tls_version(const cress_tls_stream *s);
CRESS_API const char *cress_tls_cipher(const cress_tls_stream *s);
CRESS_API const char *cress_tls_alpn(const cress_tls_stream *s);
CRESS_API const char *cress_tls_server_name(const cress_tls_stream *s);

/* ---- resumption: a shorter handshake with whom one has met before ------------------- */

/* Servers hand out tickets; their keys are replaced every two hours, and honoured for
 * two more. A client that comes back shows the session it took from an earlier stream
 * before the handshake. A server's TLS 1.3 ticket comes behind the handshake: take the
 * session after a read. */
typedef struct cress_tls_session cress_tls_session;
CRESS_API cress_tls_session *cress_tls_session_take(cress_tls_stream *s); /* NULL: there is none */
CRESS_API void cress_tls_session_release(cress_tls_session *session);
/* To the same host, in the same context, more than once if need be. -1: EINVAL, another
 * one's: it would stand in for the verification; ENOMEM. */
CRESS_API int cress_tls_session_show(cress_tls_stream *s, cress_tls_session *session);
/* After the handshake: was it a shorter one? */
CRESS_API bool cress_tls_resumed(const cress_tls_stream *s);

/* OpenSSL's own object (SSL *), for what is not offered here. Its message callback is taken:
 * by it the peer's records are counted. */
CRESS_API struct ssl_st *cress_tls_handle(const cress_tls_stream *s);

#endif
