/* RFC 4648: base64 as in fields (with padding), and the alphabet for URLs and cookies
 * (without). */
#ifndef CRESS_HTTP_BASE64_H
#define CRESS_HTTP_BASE64_H

#include <cress/str.h>

/* Bytes that `len` become, without a NUL. */
#define BASE64URL_SIZE(len) (((len)*4 + 2) / 3)

char *base64url_put(char *to, const void *data, size_t len);

/* Only the one form that an encoder makes: no white space, no stray bits. `to` has room for
 * text.len * 3 / 4 bytes. The length; -1: malformed. */
ssize_t base64_decode(void *to, cress_str text);
ssize_t base64url_decode(void *to, cress_str text);

#endif
