/* <cress/negotiate.h>: which of several representations a client prefers, and sending it
 * elsewhere.
 *
 *     static const char *const types[] = { "application/json", "text/html", NULL };
 *     int best = cress_accept_type(env, types);
 *     if (best < 0)
 *         return cress_respond_error(res, 406, NULL);
 *
 * RFC 9110 12. Offers are listed in the order of the application's own preference, up to NULL. The
 * client's weights go first, that order second. Each function returns the index of the best
 * offer; -1: none is acceptable. Whether that is answered by 406, or the first offer sent
 * anyhow, is the application's choice. Members of a field that are malformed are passed over.
 *
 * A response that was chosen so says it: cress_response_vary(res, "Accept").
 */
#ifndef CRESS_NEGOTIATE_H
#define CRESS_NEGOTIATE_H

#include <cress/response.h>

/* Accept: "text/html", "text/html; charset=utf-8". For each offer the most specific range that
 * matches it counts: type, subtype and parameters, type and subtype, "text/" "*", then everything.
 * Without the field the first offer. */
CRESS_API int cress_accept_type(const cress_environ *env, const char *const offers[]);
/* Accept-Encoding: "br", "gzip", "identity" (the representation as it is). That one is acceptable
 * unless it is excluded, but last among those of the client's; without the field it is what is
 * taken, where it is offered. */
CRESS_API int cress_accept_encoding(const cress_environ *env, const char *const offers[]);
/* Accept-Language: "en", "de-AT". A range matches tags that begin with it (RFC 4647 3.3.1); where none
 * does, an offer that the range begins with is good, too: "de" for "de-AT" (3.4). */
CRESS_API int cress_accept_language(const cress_environ *env, const char *const offers[]);
/* Accept-Charset: "utf-8". */
CRESS_API int cress_accept_charset(const cress_environ *env, const char *const offers[]);

/* Starts a response without a body: 301, 302, 303, 307 or 308, else EINVAL; and the errors of
 * cress_start_response. The location may be relative. What cannot stand in a URI (blanks,
 * controls, backslashes, bytes beyond ASCII, a lone '%') is percent-encoded, so that it can neither
 * split the response nor be taken for something else. */
CRESS_API int cress_redirect(cress_response *res, int status, const char *location);
/* Is it a path of this site, as one must ask of a location that comes from a client? Begins with one
 * slash, not two, nor a slash and a backslash. */
CRESS_API bool cress_is_local_path(cress_str location);

#endif
