/* <cress/hook.h>: seeing and changing a response before it leaves.
 *
 * A middleware (see <cress/middleware.h>) that wants to change what an application
 * answers puts a hook on the response, then calls the application. The hook sees the head
 * when it is about to leave, and may filter the body. It makes no difference how the
 * response comes about: by cress_respond, by writes over minutes, by
 * cress_response_send_file, without a body (HEAD, 204, 304), or made by the server because
 * the application returned -1. Only requests that were refused before the application was
 * called are not seen. A response without hooks pays nothing for them.
 *
 * Hooks nest: of several, the one that was put on last is the innermost. It sees what
 * the application gave; the one that was put on first sees last, what the others made
 * of it.
 *
 *     static int add_server_timing(cress_hook *hook, cress_response *res)
 *     {
 *         struct timing *timing = (struct timing *)hook;
 *         cress_str text = cress_environ_printf(cress_response_environ(res), "app;dur=%.1f",
 *                                               (cress_now() - timing->start) * 1000);
 *         return text.data ? cress_response_set_header(res, "Server-Timing", text.data) : -1;
 *     }
 *
 *     struct timing { cress_hook hook; cress_seconds start; };
 *
 *     int time_requests(cress_environ *env, cress_response *res, void *self)
 *     {
 *         struct timing *timing = cress_environ_alloc(env, sizeof *timing);
 *         if (!timing)
 *             return -1;
 *         *timing = (struct timing){ .hook = { .head = add_server_timing }, .start = cress_now() };
 *         if (cress_response_add_hook(res, &timing->hook) < 0)
 *             return -1;
 *         return cress_next(env, res);
 *     }
 */
#ifndef CRESS_HOOK_H
#define CRESS_HOOK_H

#include <cress/response.h>

/* First in a struct of your own, in the request's memory: it is used until after the
 * application has returned. Each function may be NULL. -1 (errno) from any of them fails the
 * call of the application that led to it; nothing more can be written then, and the client
 * gets an error page without hooks, or a cut message.
 *
 * head   once before the first byte of the body, or at the end if there is none: status and
 *        fields are as the application and the inner hooks left them. Called again
 *        when another response takes its place (an error page): then forget the first one.
 * write  a piece of the body, never empty: give what is to be sent to cress_hook_pass. It may
 *        hold bytes back until flush or end. A hook that finds in head that it has
 *        nothing to do with this body sets write (and flush and end) to NULL:
 *        files are then sent without being read.
 * flush  what was held back must leave: the application has called cress_response_flush,
 *        or its greenlet is about to wait for something. In the latter case nothing
 *        here may wait, and cress_hook_pass fails with EAGAIN when the client does not take
 *        what it was sent: keep the bytes, and return -1. Pieces below 4000 bytes are
 *        taken whole or not at all, larger ones not at all.
 * end    the last bytes. Not called for a response that was given up.
 *
 * They run in the greenlet that writes. Of the answer to HEAD the body is written, too, if the
 * application does so, and dropped behind the last hook. */
typedef struct cress_hook cress_hook;
struct cress_hook {
    int (*head)(cress_hook *hook, cress_response *res);
    int (*write)(cress_hook *hook, cress_response *res, const void *data, size_t len);
    int (*flush)(cress_hook *hook, cress_response *res);
    int (*end)(cress_hook *hook, cress_response *res);
    /* The library's. */
    cress_hook *outer;
    bool begun;
};

/* -1: EALREADY (the body has begun), ENOMEM. */
CRESS_API int cress_response_add_hook(cress_response *res, cress_hook *hook);

/* [waits] From a hook's write, flush and end: bytes for the next outer hook, and at last for the
 * client. As long as nothing was passed on, status and fields may still be changed.
 * Errors of cress_response_write, and EAGAIN (see flush). */
CRESS_API int cress_hook_pass(cress_hook *hook, cress_response *res, const void *data, size_t len);

/* ---- the head, from start_response until it leaves -------------------------------------
 *
 * For hooks, and for applications before the body. Those that change something fail with EALREADY
 * when the head has left, and otherwise as cress_response_add_header does, which is good in hooks,
 * too. Before there is a response set_header and vary wait for it as that does; set_status and
 * remove_header are EINVAL. */

/* 0: not started. */
CRESS_API int cress_response_status(const cress_response *res);
CRESS_API int cress_response_set_status(cress_response *res, int status);
/* The first field of that name, in the request's memory; absent: data == NULL, also (errno
 * ENOMEM) when memory ran out. Date, Server and Content-Length that the server will add are
 * not there yet; a Content-Length that the application said, or that follows from
 * cress_respond and cress_response_send_file, is. */
CRESS_API cress_str cress_response_get_header(cress_response *res, const char *name);
/* In place of all fields of that name. */
CRESS_API int cress_response_set_header(cress_response *res, const char *name, const char *value);
/* All of that name. Without a Content-Length, the body's end is marked in another way. */
CRESS_API int cress_response_remove_header(cress_response *res, const char *name);
/* The response depends on that request field: it is added to Vary, unless it stands there or Vary
 * is "*" (RFC 9110 12.5.5). */
CRESS_API int cress_response_vary(cress_response *res, const char *name);
/* Does a body that is written reach the client? Not in an answer to HEAD, and not with 204, 205
 * and 304. */
CRESS_API bool cress_response_has_body(const cress_response *res);

CRESS_API cress_environ *cress_response_environ(cress_response *res);

#endif
