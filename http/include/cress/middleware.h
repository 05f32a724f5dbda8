/* <cress/middleware.h>: applications around applications.
 *
 * A chain is a table of applications. The first one is called; by cress_next it calls the
 * one behind it, and may do something before and after. What changes the response is done
 * in a hook (<cress/hook.h>), since the response may be on its way when cress_next returns.
 *
 *     static const cress_layer layers[] = {
 *         { cress_request_id, NULL },
 *         { cress_security_headers, NULL },
 *         { cress_error_pages, (void *)pages },
 *         { cress_compress, &compression },
 *         { cress_router, (void *)routes },
 *         { NULL, NULL },
 *     };
 *
 *     int application(cress_environ *env, cress_response *res, void *self)
 *     {
 *         return cress_run_chain(env, res, layers);
 *     }
 *
 * The layers here, with compression in <cress/compress.h>, take their options as `self`; NULL
 * and zeroed fields are the defaults. Options are borrowed for as long as requests are served.
 * Every function below that is a layer [waits] as the applications behind it do.
 *
 * PEP 3333: Middleware.
 */
#ifndef CRESS_MIDDLEWARE_H
#define CRESS_MIDDLEWARE_H

#include <cress/hook.h>

/* A table ends with one whose app is NULL. */
typedef struct cress_layer {
    cress_app *app;
    void *self; /* what app is called with */
} cress_layer;

/* Calls the first; its result. */
CRESS_API int cress_run_chain(cress_environ *env, cress_response *res, const cress_layer layers[]);
/* The same as an application, whose self is the table: for a chain within a chain or a route. */
CRESS_API cress_app cress_chain;
/* Calls the layer behind the one that runs; behind the last one: cress_respond_error of 404.
 * In the greenlet of the request, and from within a chain: else EINVAL. */
CRESS_API int cress_next(cress_environ *env, cress_response *res);

/* ---- error pages --------------------------------------------------------------------------- */

/* [waits] Answers with the page of this status: one of cress_error_pages, or one line of
 * plain text. headers (NULL: none) are on it in either case. Errors of cress_start_response and
 * cress_response_write. */
CRESS_API int cress_respond_error(cress_response *res, int status, const cress_header headers[]);

/* A page for errors. The application finds the status in cress_response_status(res), and
 * answers as usual, by cress_respond for instance, with this status or another one. It has the
 * time of one write to a slow client. If it fails the plain page is sent. */
typedef struct cress_error_page {
    int status; /* 0: each that has no page of its own in this table */
    cress_app *app;
    void *self;
} cress_error_page;

/* Layer. self: a table that ends with one whose app is NULL; NULL: there are none. Its pages are used for
 * cress_respond_error, as called by routers and layers, and for what the server answers when an
 * application behind this layer returns -1. Of two such layers the inner one is asked first.
 * What an application answers itself is left alone, whatever its status. */
CRESS_API cress_app cress_error_pages;

/* ---- request id ------------------------------------------------------------------------------ */

/* Layer. self: cress_request_id_options, or NULL. Takes the request's id from its field, if it
 * is sound (1 to 128 letters, digits and -._~+/=:@), or makes one (128 random bits in
 * hexadecimal). It is on the response, and cress_environ_get(env, "cress.request_id"). */
CRESS_API cress_app cress_request_id;
typedef struct cress_request_id_options {
    const char *header;  /* NULL: "X-Request-ID" */
    bool ignores_client; /* always make one: there is no proxy in front that sets it */
} cress_request_id_options;

/* ---- cross-origin requests ---------------------------------------------------------------------- */

/* Layer. self: cress_cors_options, or NULL. Lets pages of other origins ask, by the Fetch standard's CORS
 * protocol: preflights are answered here, other requests go on and get the fields that allow the
 * page to see the response, also an error page. Those of an origin that is not allowed
 * get no such field; Vary says when they depend on it. */
CRESS_API cress_app cress_cors;
typedef struct cress_cors_options {
    /* "https://a.example", in lower case and without a slash at the end, up to NULL; NULL: any. Not
     * "null": any page can have that one. */
    const char *const *origins;
    const char *methods; /* NULL: "GET, HEAD, POST" */
    const char *headers; /* of requests, "X-A, X-B"; NULL: those that are always allowed */
    const char *exposed; /* of responses; NULL: those that are always exposed */
    long max_age;        /* seconds that a preflight counts; 0: not said */
    bool credentials;    /* cookies and passwords may be sent; only with origins */
} cress_cors_options;

/* ---- passwords ------------------------------------------------------------------------------------ */

/* Layer. self: cress_basic_auth_options; NULL: nobody gets through. RFC 7617: lets through who shows
 * a name and a password that hold, with REMOTE_USER and AUTH_TYPE set; answers 401 to others. Names
 * and passwords are UTF-8 without control characters. Only over TLS does nobody else see them. */
CRESS_API cress_app cress_basic_auth;
typedef struct cress_basic_auth_options {
    const char *realm; /* NULL: "restricted"; printable ASCII */
    /* [waits] 1: they hold; 0: they do not; -1 (errno): it could not be found out. Compare by
     * cress_equal_secret, or better a hash made for passwords. */
    int (*check)(cress_environ *env, cress_str user, cress_str password, void *arg);
    void *arg;
    /* Where there is no check: pairs, up to a NULL user. All are compared each time. */
    const struct cress_credential {
        const char *user, *password;
    } * users;
} cress_basic_auth_options;

/* In a time that does not depend on where they differ. */
CRESS_API bool cress_equal_secret(cress_str a, cress_str b);

/* ---- what browsers should refuse -------------------------------------------------------------------- */

/* Layer. self: cress_security_options, or NULL. Sets fields which the application has not set
 * itself. */
CRESS_API cress_app cress_security_headers;
/* NULL: the default, named behind each; "": leave it out. */
typedef struct cress_security_options {
    const char *content_type_options;    /* X-Content-Type-Options; "nosniff" */
    const char *frame_options;           /* X-Frame-Options; "DENY" */
    const char *referrer_policy;         /* Referrer-Policy; "strict-origin-when-cross-origin" */
    const char *opener_policy;           /* Cross-Origin-Opener-Policy; "same-origin" */
    const char *resource_policy;         /* Cross-Origin-Resource-Policy; left out */
    const char *content_security_policy; /* Content-Security-Policy; left out */
    const char *permissions_policy;      /* Permissions-Policy; left out */
    const char *transport_security;      /* Strict-Transport-Security, only over TLS; left out */
} cress_security_options;

/* ---- bodies --------------------------------------------------------------------------------------------- */

/* Layer. self: const uint64_t *, bytes; NULL: only the server's limit. A request whose body is larger gets 413: at once if it
 * says so, else when the application reads too far (EMSGSIZE). Below the server's own limit. */
CRESS_API cress_app cress_body_limit;

#endif
