/* <cress/cookie.h>: cookies, plain and signed. RFC 6265bis.
 *
 *     cress_str theme = cress_cookie_get(env, "theme");
 *     ...
 *     if (cress_set_cookie(res, &(cress_cookie){ .name = "theme", .value = "dark",
 *                                                .path = "/", .max_age = 365 * 86400,
 *                                                .same_site = CRESS_SAME_SITE_LAX }) < 0)
 *         return -1;
 *     return cress_redirect(res, 303, "/settings");
 *
 * A client can send any cookie it likes. What must come back as it was set is signed: the client
 * can read it, but not change it, nor use it under another name or beyond its time.
 */
#ifndef CRESS_COOKIE_H
#define CRESS_COOKIE_H

#include <cress/response.h>

#include <time.h>

/* The first cookie of that name, as sent, in the request's memory. Browsers send the one with the
 * longest path first. Absent: data == NULL; also, with errno ENOMEM, when memory ran out. */
CRESS_API cress_str cress_cookie_get(cress_environ *env, const char *name);

typedef enum cress_same_site {
    CRESS_SAME_SITE_UNSET, /* not said: browsers take Lax, more or less */
    CRESS_SAME_SITE_STRICT,
    CRESS_SAME_SITE_LAX,
    CRESS_SAME_SITE_NONE, /* only with secure */
} cress_same_site;

typedef struct cress_cookie {
    const char *name;  /* a token */
    const char *value; /* without blanks, quotes, commas, semicolons, backslashes: else encode it */
    const char *path;  /* begins with a slash; NULL: the directory of the request's */
    const char *domain; /* NULL: this host only */
    long max_age;   /* seconds; 0: not said, it ends with the session; negative: forget it now */
    time_t expires; /* the same as a time, for old clients; 0: not said */
    cress_same_site same_site;
    bool secure, http_only;
    bool partitioned; /* one for each top-level site (CHIPS); only with secure */
} cress_cookie;

/* Adds Set-Cookie, to the response that was started or, before there is one, to the next: see
 * cress_response_add_header, whose errors it has; EINVAL also
 * for what browsers would refuse: a name or value that is malformed, or longer than 4096 bytes
 * together, an attribute longer than 1024; SameSite=None or Partitioned without secure; a name that begins with
 * __Secure- without secure, or with __Host- without secure, with another path than "/", or
 * with a domain. To delete a cookie set it with the same path and domain, "" and max_age -1. */
CRESS_API int cress_set_cookie(cress_response *res, const cress_cookie *cookie);

/* ---- signed ------------------------------------------------------------------------------
 *
 * Keys are secrets of 16 bytes and more, 32 being best. The first one signs, all are accepted: put a
 * new one in front, and drop an old one when what it signed has expired. The list ends with
 * an absent one. HMAC-SHA-256; text in base64url. */

/* What a client may keep for us: data (any bytes), until `expires`, for one purpose. A
 * text of letters, digits, '-', '_' and '.' in the request's memory; absent, with errno
 * EINVAL (a key is too short, there is none) or ENOMEM. */
CRESS_API cress_str cress_sign(cress_environ *env, const cress_str keys[], const char *purpose,
                               cress_str data, time_t expires);
/* The data, if it was signed so. Absent, with errno EBADMSG (it was not), EKEYEXPIRED (it was, and
 * its time is over), EINVAL, ENOMEM. */
CRESS_API cress_str cress_unsign(cress_environ *env, const cress_str keys[], const char *purpose,
                                 cress_str text);

/* As cress_set_cookie, with `data` instead of cookie->value. It holds for `lifetime` seconds, whatever
 * max_age tells the browser. The purpose is the cookie's name. */
CRESS_API int cress_set_signed_cookie(cress_response *res, const cress_str keys[],
                                      const cress_cookie *cookie, cress_str data, long lifetime);
/* Errors of cress_unsign, and ENOENT: there is no such cookie. */
CRESS_API cress_str cress_signed_cookie_get(cress_environ *env, const cress_str keys[],
                                            const char *name);

#endif
