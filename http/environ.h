/* What http1.c needs of the environ, beyond <cress/environ.h>. */
#ifndef CRESS_HTTP_ENVIRON_H
#define CRESS_HTTP_ENVIRON_H

#include "exchange.h"

/* Makes h the connection that the running greenlet serves. -1: ENOMEM. */
int environ_set_current(cress_http1 *h);
/* Is the token an element of a field's list? */
bool environ_has_option(const cress_environ *env, const char *name, cress_str token);
/* Takes that back. */
void environ_clear_current(const cress_http1 *h);
/* Calls what was deferred, the last first. */
void environ_run_deferred(cress_environ *env);

#endif
