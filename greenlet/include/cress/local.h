/* <cress/local.h>: a value per greenlet under one key.
 *
 * The key is a variable's address; a zeroed cress_local is a key. A greenlet's
 * values end with it: finish(value) is then called for each that is not NULL, on
 * its own stack, in reverse order of first setting.
 *
 * gevent: gevent.local.local.
 */
#ifndef CRESS_LOCAL_H
#define CRESS_LOCAL_H

#include <cress/api.h>

typedef struct cress_local {
    void (*finish)(void *value); /* may be NULL */
} cress_local;

/* When this greenlet has not set it: what its hooks have for it, else NULL. */
CRESS_API void *cress_local_get(const cress_local *key);
/* -1: ENOMEM; EPERM: not in a greenlet. A value that was set before is not
 * finished. */
CRESS_API int cress_local_set(const cress_local *key, void *value);

#endif
