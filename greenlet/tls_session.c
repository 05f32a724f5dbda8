/* A client's sessions: what it brings to the same server again, so that the next handshake is short.
 * One is only taken back in the context and for the host that it came from: resuming stands in for
 * the verification. */
#include "tls.h"

#include "hub.h"
#include "misuse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cress_tls_session {
    SSL_SESSION *ssl;
    cress_tls_context *context;
    char host[]; /* "": none */
};

static const char *host_of(const cress_tls_stream *s)
{
    return s->host ? s->host : "";
}

cress_tls_session *cress_tls_session_take(cress_tls_stream *s)
{
    SSL_SESSION *ssl = s->established ? SSL_get1_session(s->ssl) : NULL;
    size_t size = strlen(host_of(s)) + 1;
    cress_tls_session *session = NULL;

    if (ssl && SSL_SESSION_is_resumable(ssl))
        session = malloc(sizeof *session + size);
    if (!session) {
        SSL_SESSION_free(ssl);
        return NULL;
    }
    session->ssl = ssl;
    session->context = cress_tls_context_retain(s->context);
    memcpy(session->host, host_of(s), size);
    return session;
}

void cress_tls_session_release(cress_tls_session *session)
{
    if (!session)
        return;
    SSL_SESSION_free(session->ssl);
    cress_tls_context_release(session->context);
    free(session);
}

int cress_tls_session_show(cress_tls_stream *s, cress_tls_session *session)
{
    if (s->established || session->context != s->context || strcmp(session->host, host_of(s)) != 0)
        return misuse(EINVAL, "cress_tls_session_show: of another context or host, or too late");
    return SSL_set_session(s->ssl, session->ssl) == 1 ? 0 : fail_with(ENOMEM);
}

bool cress_tls_resumed(const cress_tls_stream *s)
{
    return s->established && SSL_session_reused(s->ssl);
}
