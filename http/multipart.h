/* A part's content in place, for who need not copy it. */
#ifndef CRESS_HTTP_MULTIPART_H
#define CRESS_HTTP_MULTIPART_H

#include <cress/multipart.h>

enum { MULTIPART_MOST = 16 << 10 };

/* [waits] How many bytes of the part are there, at *ret_data: at least `wanted` of them, which is at
 * most MULTIPART_MOST, if it has so many more; 0: it has ended; -1: as cress_multipart_read. Good
 * until the next call. */
ssize_t multipart_content(cress_multipart *form, size_t wanted, const char **ret_data);
/* So many of these were used. */
void multipart_take(cress_multipart *form, size_t len);

/* -1: it has failed, or the greenlet is being killed. */
int multipart_check(const cress_multipart *form);
/* -1; and so does every later call, with this errno. */
int multipart_fail(cress_multipart *form, int error);
cress_environ *multipart_environ(const cress_multipart *form);

#endif
