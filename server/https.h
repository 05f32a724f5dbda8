/* The TLS side of the configuration. */
#ifndef CRESS_HTTPS_H
#define CRESS_HTTPS_H

#include <cress/serve.h>
#include <cress/tls.h>

/* Loads --certfile and --keyfile; *ret_context is NULL when none are wanted. CRESS_EXIT_OK, or
 * CRESS_EXIT_TLS after a line on stderr. */
int https_load(const cress_config *config, cress_tls_context **ret_context);

#endif
