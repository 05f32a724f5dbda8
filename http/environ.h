/* What http1.c needs of the environ, beyond <cress/environ.h>. */
#ifndef CRESS_HTTP_ENVIRON_H
#define CRESS_HTTP_ENVIRON_H

#include "exchange.h"

/* Is the token an element of a field's list? */
bool environ_has_option(const cress_environ *env, const char *name, cress_str token);
/* Calls what was deferred, the last first. */
void environ_run_deferred(cress_environ *env);

#endif
