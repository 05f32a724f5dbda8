/* Files that lie beside others, compressed before: app.js.br beside app.js. */
#ifndef CRESS_SIBLING_H
#define CRESS_SIBLING_H

#include "beneath.h"

#include <cress/environ.h>

#include <sys/stat.h>

struct sibling {
    int fd;               /* -1: the file itself is to be sent */
    struct stat about;    /* fd */
    const char *encoding; /* of fd */
    bool exists;          /* the answer depends on Accept-Encoding */
};

/* [waits] The one that suits the request best (Accept-Encoding), which the caller closes. A
 * sibling that is older than the file counts as none. `path` has room for an ending behind its
 * NUL (SIBLING_ROOM), and is as it was afterwards. -1: cancelled or late. */
enum { SIBLING_ROOM = 4 };
int sibling_open(const struct beneath *b, const cress_environ *env, char *path,
                 const struct stat *about, struct sibling *ret_sibling);

#endif
