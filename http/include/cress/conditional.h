/* <cress/conditional.h>: requests that hold only for a known state of what they ask for.
 *
 * A client that has a copy asks for a new one only if it changed (If-None-Match,
 * If-Modified-Since: 304); one that writes makes sure that nobody else wrote meanwhile
 * (If-Match, If-Unmodified-Since: 412). The application says what it has now:
 *
 *     cress_validators now = { .etag = CRESS_STR("\"v17\"") };
 *     int status = cress_precondition(env, &now);
 *     if (status < 0)
 *         return -1;
 *     if (status > 0)
 *         return cress_start_response(res, status, CRESS_HEADERS({ "ETag", "\"v17\"" }));
 *
 * RFC 9110 13. Ranges, and If-Range with them: <cress/range.h>; files with all of it:
 * <cress/file.h>.
 */
#ifndef CRESS_CONDITIONAL_H
#define CRESS_CONDITIONAL_H

#include <cress/environ.h>

#include <time.h>

/* Zeroed: nothing is known but that there is a representation. */
typedef struct cress_validators {
    cress_str etag;    /* with its quotes, "\"v17\"" or "W/\"v17\""; absent: none */
    bool has_modified; /* the next counts */
    time_t modified;   /* since when it is as it is: Last-Modified */
} cress_validators;

/* What the request's conditions, in the order of RFC 9110 13.2.2, make of what is there now
 * (NULL: nothing, as before a PUT that creates it). 0: they hold, go on; 304 (GET and HEAD)
 * or 412: answer that, a 304 with the ETag, Vary, Cache-Control and Expires that a 200 would have.
 * -1: ENOMEM. Ask it when the request would otherwise succeed: an error of its own goes first. */
CRESS_API int cress_precondition(const cress_environ *env, const cress_validators *current);

/* Is this tag among those of a list as in If-Match, or is the list "*"? `weak`: W/ makes no
 * difference; otherwise both must be without (RFC 9110 8.8.3.2). */
CRESS_API bool cress_etag_matches(cress_str list, cress_str etag, bool weak);

/* RFC 9110 5.6.7: all three forms, "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94
 * 08:49:37 GMT" (the year is at most 50 years ahead) and "Sun Nov  6 08:49:37 1994". False:
 * it is none of them, and *ret_time stays. */
CRESS_API bool cress_parse_date(cress_str text, time_t *ret_time);

enum { CRESS_DATE_SIZE = 30 };
/* The first of these forms, with its NUL; what lies beyond the years 1 to 9999 is their end. */
CRESS_API void cress_format_date(char to[CRESS_DATE_SIZE], time_t time);

#endif
