/* <cress/escape.h>: text that somebody typed, put where it cannot be taken for something else.
 *
 *     cress_str path = cress_escape_url(env, room), title = cress_escape_html(env, room);
 *
 *     if (!path.data || !title.data)
 *         return -1;
 *     cress_response_printf(res, "<a href=\"/rooms/%s\">%s</a>", path.data, title.data);
 *
 * Each returns a copy in the request's memory, or the text itself where there is nothing to escape.
 * Absent: the text is absent, or, with errno ENOMEM, memory ran out. JSON: <cress/json.h>.
 */
#ifndef CRESS_ESCAPE_H
#define CRESS_ESCAPE_H

#include <cress/environ.h>

/* For HTML, between tags and in the quotes of an attribute: & < > " ' become references. Not for
 * scripts, styles, and attributes without quotes. A zero byte becomes U+FFFD, as in browsers. */
CRESS_API cress_str cress_escape_html(cress_environ *env, cress_str text);

/* For one segment of a path, or a name or value in a query: all but letters, digits and "-._~" is
 * percent-encoded (RFC 3986 2.3). */
CRESS_API cress_str cress_escape_url(cress_environ *env, cress_str text);

#endif
