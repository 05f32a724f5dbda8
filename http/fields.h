/* The fields of a response, until it leaves. */
#ifndef CRESS_HTTP_FIELDS_H
#define CRESS_HTTP_FIELDS_H

#include "exchange.h"

/* What puts a field on a head: head_add_field and its like. */
typedef int fields_put(cress_response *res, const char *name, const char *value);

/* Before start_response: `put` is called with these when a response is about to leave. Copies the
 * texts. -1: EINVAL, ENOMEM. */
int fields_wait(cress_response *res, fields_put *put, const char *name, const char *value);

/* The value of the index-th field of that name: a slice, without a NUL; absent: there is none. */
cress_str fields_find(const cress_response *res, const char *name, size_t index);

#endif
