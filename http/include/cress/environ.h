/* <cress/environ.h>: the request, as an application sees it.
 *
 * WSGI's environ without the dictionary: nothing is built until it is asked for.
 * cress_environ_get(env, "HTTP_X_FORWARDED_FOR") is the CGI/1.1 and PEP 3333 view;
 * cress_header_get(env, "X-Forwarded-For"), cress_method(env) and cress_path(env)
 * are the same data without the detour. Everything that comes from a request lives
 * until the handler returns, is NUL-terminated, and is never freed by the app.
 *
 * `env`, not `environ`, as a parameter: unistd.h has a global of that name.
 */
#ifndef CRESS_ENVIRON_H
#define CRESS_ENVIRON_H

#include <cress/str.h>

typedef struct cress_environ cress_environ;

/* One key:
 *
 *   REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING CONTENT_TYPE CONTENT_LENGTH SERVER_NAME
 *   SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE GATEWAY_INTERFACE REMOTE_ADDR REMOTE_HOST (the
 *   address) REMOTE_PORT REQUEST_URI RAW_URI
 *   HTTPS ("on") SSL_PROTOCOL SSL_CIPHER SSL_TLS_SNI, with TLS
 *   wsgi.version wsgi.url_scheme, and "true" or "false": wsgi.multithread wsgi.multiprocess
 *   wsgi.run_once wsgi.input_terminated
 *   HTTP_*, header fields: a repeated field's values are joined as RFC 9110 5.3 says (Cookie by
 *   "; "); a field with an underscore in its name is not seen (it would collide)
 *
 * wsgi.input is cress_input_read and its like, wsgi.errors cress_log, wsgi.file_wrapper
 * cress_response_send_file. Absent: data == NULL; also, with errno ENOMEM, when memory ran out. */
CRESS_API cress_str cress_environ_get(const cress_environ *env, const char *key);

/* Calls fn for each key above that is there, then for each HTTP_*, until fn
 * returns non-zero: that value, else 0. */
CRESS_API int cress_environ_each(const cress_environ *env,
                                 int (*fn)(void *arg, cress_str key, cress_str value), void *arg);

/* Sets a variable for those that are called after: a middleware's REMOTE_USER, or a name of your
 * own ("myapp.session"). Instead of one that the request has; absent (data == NULL): as if the
 * request did not have it. Seen by cress_environ_get and _each only. Copies key and
 * value. -1: ENOMEM. PEP 3333: the environ may be modified. */
CRESS_API int cress_environ_set(cress_environ *env, const char *key, cress_str value);

CRESS_API cress_str cress_method(const cress_environ *env);
/* Percent-decoded path, without the query: PATH_INFO. An encoded zero byte or a
 * malformed escape in a path is answered by 400 before the app is called. */
CRESS_API cress_str cress_path(const cress_environ *env);
/* What stands behind the first '?', as sent; "" when there is none. */
CRESS_API cress_str cress_query_string(const cress_environ *env);
/* The request target as sent: REQUEST_URI. */
CRESS_API cress_str cress_target(const cress_environ *env);

/* A header field's value by name, in any case; repeated ones joined as above. Host is
 * the authority of the target where that has one (RFC 9112 3.2.2). */
CRESS_API cress_str cress_header_get(const cress_environ *env, const char *name);
/* The fields as sent, in order (but for Host: as above). False past the last. */
CRESS_API bool cress_header_at(const cress_environ *env, size_t index, cress_str *ret_name,
                               cress_str *ret_value);

/* A query parameter's first value, decoded (application/x-www-form-urlencoded: '+'
 * is a space; a malformed escape stands for itself). Absent: data == NULL. */
CRESS_API cress_str cress_query_get(cress_environ *env, const char *name);
/* The same in a form body read before. gevent's tutorial: request.form. */
CRESS_API cress_str cress_form_get(cress_environ *env, cress_str form, const char *name);
/* All of them in order, also repeated ones, one with each call: `rest` begins as a form or as
 * cress_query_string(env) and loses its first pair. 1; 0: there are no more; -1: ENOMEM.
 *
 *     for (cress_str rest = form, name, value; cress_form_next(env, &rest, &name, &value) > 0;)
 */
CRESS_API int cress_form_next(cress_environ *env, cress_str *rest, cress_str *ret_name,
                              cress_str *ret_value);

/* The peer's address as text ("" for a unix socket), made in the request's memory: REMOTE_ADDR. */
CRESS_API cress_str cress_remote_addr(const cress_environ *env);

/* Memory that lives until after the response; NULL: ENOMEM. */
CRESS_API void *cress_environ_alloc(cress_environ *env, size_t size);
CRESS_API cress_str cress_environ_printf(cress_environ *env, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* fn(arg) runs after the response, also when the handler was killed or its
 * client left; in reverse order. It may not wait. -1: ENOMEM, and fn(arg) is not called. */
CRESS_API int cress_defer(cress_environ *env, void (*fn)(void *), void *arg);

/* The request that the running greenlet serves; NULL outside one. Greenlets that
 * a handler spawns do not inherit it. gevent's tutorial: werkzeug's request local. */
CRESS_API cress_environ *cress_environ_current(void);

/* Replaces the limit that the server opened around this request: from now, span
 * seconds; CRESS_FOREVER: none (for streams without an end). Not after it passed:
 * ETIMEDOUT. 0 also when the server opened none. Call it in the handler's own greenlet. */
CRESS_API int cress_request_timeout(cress_environ *env, cress_seconds span);

/* ---- the request's body: wsgi.input -----------------------------------------
 *
 * For one greenlet at a time: EBUSY for a second one. A client that waits to be told
 * (Expect: 100-continue) is told by the first read. What the app leaves unread is
 * dropped, up to 64 KiB; beyond that the connection closes. */

/* [waits] Up to len bytes, as soon as there are some; 0 at the end. EPIPE: the
 * client left in the middle; EBADMSG: malformed chunks; EMSGSIZE: more than the
 * server's limit; ETIMEDOUT: also the server's limit on a slow body. */
CRESS_API ssize_t cress_input_read(cress_environ *env, void *buf, size_t len);
/* [waits] Bytes up to and with the next '\n', at most len - 1, and a '\0'; 0 at the end.
 * Errors as above; EINVAL: len is less than 2. */
CRESS_API ssize_t cress_input_readline(cress_environ *env, char *buf, size_t len);
/* [waits] All that is left, in the request's memory; EMSGSIZE beyond limit bytes, ENOMEM,
 * and errors as above. */
CRESS_API int cress_input_read_all(cress_environ *env, size_t limit, cress_str *ret_body);
/* A bound for this request's body, below the server's: reads beyond it fail with EMSGSIZE. -1:
 * EMSGSIZE, it is known to be larger. */
CRESS_API int cress_input_limit(cress_environ *env, uint64_t bytes);

/* A trailer field's value, once the body was read to its end; absent before. Repeated ones are
 * joined as header fields are. Fields that say how to read the message, where it goes or who
 * sent it (Content-Length, Host, Authorization ...) are dropped. RFC 9110 6.5. */
CRESS_API cress_str cress_trailer_get(const cress_environ *env, const char *name);
/* Does the client want trailer fields (TE: trailers)? Others may drop them. RFC 9110 10.1.4. */
CRESS_API bool cress_accepts_trailers(const cress_environ *env);

#endif
