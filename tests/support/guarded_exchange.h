/* Received bytes of a request, followed by a page that cannot be touched. */
#ifndef GUARDED_EXCHANGE_H
#define GUARDED_EXCHANGE_H

#include "../../http/exchange.h"

/* It thinks that there is more room, so that nothing is moved. One at a time. */
struct http_exchange *guarded_exchange(const char *data, size_t len);
void guarded_exchange_free(struct http_exchange *x, size_t len);

#endif
