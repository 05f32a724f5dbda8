/* <cress/response.h>: the answer, as an application gives it.
 *
 * start_response sets status and header fields, writes send the body. Small
 * responses leave in one piece: what is written is collected and handed to the
 * kernel when there is much of it, when the handler waits for anything, or when it
 * returns, so nothing is ever held back while others run. With a Content-Length
 * the body is sent as it is and checked against it; without, chunked on HTTP/1.1
 * and until close on 1.0.
 *
 * PEP 3333: start_response, write, wsgi.file_wrapper.
 */
#ifndef CRESS_RESPONSE_H
#define CRESS_RESPONSE_H

#include <cress/environ.h>
#include <cress/waitable.h>

typedef struct cress_response cress_response;

typedef struct cress_header {
    const char *name, *value;
} cress_header;
#define CRESS_HEADERS(...) ((const cress_header[]){ __VA_ARGS__, { NULL, NULL } })

/* An application. 0: the response is complete. -1: the server answers from errno
 * (ETIMEDOUT and ECANCELED 503, or 408 when the body was too slow; EMSGSIZE 413, EBADMSG
 * 400, else 500), or, if bytes are out already, drops the connection so that the client
 * sees a truncated message. The same when it returns 0 after a write that failed and
 * was not followed by one that succeeded. env and res end with its return: greenlets
 * of its own that use them must have ended by then. */
typedef int cress_app(cress_environ *env, cress_response *res, void *self);

/* May be repeated, the last one counting, until the first body byte (then
 * EALREADY). Copies its arguments; headers may be NULL. EINVAL: a status outside
 * 200..599, or a header that would split the response or is the server's own
 * (Connection, Transfer-Encoding, Keep-Alive). E2BIG: too large a head. */
CRESS_API int cress_start_response(cress_response *res, int status, const cress_header headers[]);
/* One more field for the head: the same errors. Before there is a response it waits for the next
 * one, whichever call makes it (cress_respond, a redirect, a file, cress_respond_error), and goes
 * on that beside its own fields; cress_response_set_header, cress_response_vary and
 * cress_set_cookie do so too. An error page that the server makes because the application
 * returned -1 has none of them. Starting a response drops what was added to the one before. Not before
 * there is a response: Content-Length (EINVAL). */
CRESS_API int cress_response_add_header(cress_response *res, const char *name, const char *value);
/* A field for behind the body: a checksum, say. It is sent if the body is in chunks, and
 * dropped where there is no place for it: on HTTP/1.0, with a Content-Length, with
 * cress_respond, for HEAD. A Trailer header field that announces it is the app's to add. EINVAL: as
 * above, no start_response yet, the response is complete, or a field that has no meaning
 * there. E2BIG: too many. RFC 9110 6.5. */
CRESS_API int cress_response_add_trailer(cress_response *res, const char *name, const char *value);
/* [waits] 103 Early Hints (RFC 8297): these fields, Link most of all, go out at once, and the
 * response itself is still to come. HTTP/1.0 knows none: nothing is sent. EALREADY: the
 * response has begun. EINVAL, E2BIG: as start_response. EPIPE: the client left. */
CRESS_API int cress_response_early_hints(cress_response *res, const cress_header headers[]);
/* [waits] The data is used until it returns. EPIPE: the client left; EMSGSIZE:
 * more than the Content-Length said (the connection will be cut); ETIMEDOUT: also a
 * client that reads too slowly. Without a start_response, or with 204 and 205: EINVAL.
 * The answer to HEAD and 304 have no body: what is written is dropped. For one greenlet
 * at a time: EBUSY while another waits in a write. */
CRESS_API int cress_response_write(cress_response *res, const void *data, size_t len);
CRESS_API int cress_response_printf(cress_response *res, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* [waits] Hands what was written so far to the kernel, head and all, for handlers that compute
 * for long between two writes. */
CRESS_API int cress_response_flush(cress_response *res);
/* [waits] len bytes of a file from offset; with no body framing said so far, they
 * become the Content-Length. EIO: the file is shorter. */
CRESS_API int cress_response_send_file(cress_response *res, int fd, off_t offset, size_t len);
/* [waits, if the body is large] start_response, Content-Length, and the whole body in one
 * call: the errors of both; type may be NULL. */
CRESS_API int cress_respond(cress_response *res, int status, const char *type, const void *body,
                            size_t len);

/* Ready when the client has left: for cress_wait_any. */
CRESS_API cress_waitable *cress_response_gone(cress_response *res);
/* From now on a client that leaves does not cancel this handler's waits. */
CRESS_API void cress_response_ignore_gone(cress_response *res);

/* The reason phrase of a status (RFC 9110 15), or "Unknown". */
CRESS_API const char *cress_status_reason(int status);

#endif
