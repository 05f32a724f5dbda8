/* The target of a request. */
#ifndef CRESS_HTTP_TARGET_H
#define CRESS_HTTP_TARGET_H

#include "exchange.h"

/* Sets path, query and, of a target that names one, the host: 0, or the status to refuse it with. */
int target_finish(struct http_exchange *x);

#endif
