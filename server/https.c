/* See https.h. Of ALPN's protocols only HTTP/1 is spoken here; a client that offers
 * others beside it gets that, one that offers none is served all the same. */
#include "https.h"

#include "log.h"

int https_load(const cress_config *config, cress_tls_context **ret_context)
{
    cress_tls_options options = {
        .certfile = config->certfile,
        .keyfile = config->keyfile,
        .ciphers = config->ciphers,
        .alpn = "http/1.1,http/1.0",
    };

    *ret_context = NULL;
    if (!config->certfile)
        return CRESS_EXIT_OK;
    *ret_context = cress_tls_server_context(&options);
    if (*ret_context)
        return CRESS_EXIT_OK;
    log_complain("%s", cress_tls_context_error());
    return CRESS_EXIT_TLS;
}
