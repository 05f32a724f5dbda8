/* <cress/router.h>: which application answers which path.
 *
 *     static const cress_route routes[] = {
 *         CRESS_ROUTE("GET", "/", home),
 *         CRESS_ROUTE("GET", "/items", list_items),
 *         CRESS_ROUTE("POST", "/items", add_item),
 *         CRESS_ROUTE("GET", "/items/:id", show_item),
 *         CRESS_ROUTE("GET", "/tree/:branch/" "*path", show_file, .self = &repository),
 *         CRESS_MOUNT("/admin", admin),
 *         { 0 },
 *     };
 *
 * (in two parts only since this is a comment)
 *
 *
 *     int application(cress_environ *env, cress_response *res, void *self)
 *     {
 *         return cress_route_request(env, res, routes);
 *     }
 *
 * A pattern is a path whose segments are texts, parameters (`:name`: one segment, not
 * empty) or, as the last one, a rest (`*name`: everything that is left, also nothing). A
 * slash at the end counts: "/items" and "/items/" are two paths. Texts are compared with the
 * segments of the request's target after percent-decoding, so that "%2F" within a segment
 * does not cut it in two; upper and lower case differ.
 *
 * Of several routes that match path and method the most specific one is taken: at the first segment
 * where two of them differ a text goes before a parameter, a parameter before a rest, a rest
 * before a mount; of equal ones the first in the table. The order is of no other importance. Every
 * route is looked at, for some tens of nanoseconds each, and nothing is allocated.
 *
 * HEAD is answered by the route for GET where there is none for HEAD; OPTIONS, where there is
 * none, by 204 with Allow. Otherwise, when only the method does not match: 405 with Allow; when
 * nothing matches: 404; both by cress_respond_error, so that they may have a page of yours.
 */
#ifndef CRESS_ROUTER_H
#define CRESS_ROUTER_H

#include <cress/response.h>

/* A table ends with one that has neither pattern nor mount. Zeroed fields are as said. */
typedef struct cress_route {
    const char *method;  /* "GET"; NULL: any */
    const char *pattern; /* begins with a slash */
    cress_app *app;
    void *self; /* what app is called with */
    /* Instead of a pattern: all paths that begin with these segments, parameters among them; "" or
     * "/": all. A slash at its end says nothing. The segments are moved from PATH_INFO (cress_path) to the end of SCRIPT_NAME, as PEP 3333 says for
     * an application that lies at a place of its own. What is left is "" or begins with a
     * slash; to a router there, "" is "/". */
    const char *mount;
} cress_route;

/* Behind the application other members may follow: .self = &settings. */
#define CRESS_ROUTE(method_, pattern_, ...)                            \
    {                                                                  \
        .method = (method_), .pattern = (pattern_), .app = __VA_ARGS__ \
    }
#define CRESS_MOUNT(mount_, ...)              \
    {                                         \
        .mount = (mount_), .app = __VA_ARGS__ \
    }

/* [waits] as the application does. Its result. */
CRESS_API int cress_route_request(cress_environ *env, cress_response *res,
                                  const cress_route routes[]);
/* The same as an application, whose self is the table: for a table behind a mount or in a chain. */
CRESS_API cress_app cress_router;

/* While an application runs that a router has called: what the parameter or rest of that name
 * stands for, decoded, in the request's memory; of an outer router's, too. In a rest
 * an encoded slash cannot be told from others. Absent: data == NULL; also, with errno ENOMEM,
 * when memory ran out. */
CRESS_API cress_str cress_route_get(cress_environ *env, const char *name);

/* The pattern or mount of the route that was taken last, by the innermost router: "/items/:id". Also
 * when it has returned, for logs and statistics in a layer around it. NULL: none was. */
CRESS_API const char *cress_route_pattern(const cress_environ *env);

#endif
