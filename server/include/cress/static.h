/* <cress/static.h>: folders of files, served.
 *
 *     cress_static_root *files = cress_static_create(&(cress_static_options){
 *         .root = "/srv/www", .prefix = "/assets" });
 *     ...
 *     cress_serve(&(cress_config){ .app = cress_static, .self = files });
 *
 * Each request opens its file beneath the root and nowhere else: symbolic links that lead out
 * of it, "..", and names that begin with a dot are not found (but for a folder ".well-known"
 * right below the root: RFC 8615). A file goes out with Last-Modified, an
 * ETag of time and size, and ranges; conditions are answered (<cress/file.h>). Where a client
 * takes it and NAME.br, NAME.zst or NAME.gz lies beside NAME, that is sent instead, with
 * NAME's type and without ranges, unless it is older. A folder is answered with its index; without the slash at its end, by a
 * redirect to it. Folders are not listed.
 *
 * The program does the same by `cress --static PREFIX=DIR`.
 */
#ifndef CRESS_STATIC_H
#define CRESS_STATIC_H

#include <cress/response.h>

/* Texts are copied. Zeroed but for the root: the defaults. */
typedef struct cress_static_options {
    const char *root;          /* a folder; what takes its place later is not seen */
    const char *prefix;        /* of the paths that are served: "/assets"; NULL, "", "/": all */
    const char *index;         /* of a folder; NULL: index.html; "": there is none, 403 */
    const char *cache_control; /* the field's value; NULL: it is not sent */
    const char *default_type;  /* of what has no known type; NULL: application/octet-stream */
    const char *charset;       /* of text/ types: "utf-8"; NULL: not said, browsers guess */
    bool dotfiles;             /* serve them too (but never "." and "..") */
    bool no_siblings;          /* do not look for .br, .zst and .gz */
    /* What is called for paths that do not begin with the prefix; NULL: they get 404. */
    cress_app *otherwise;
    void *otherwise_self;
} cress_static_options;

typedef struct cress_static_root cress_static_root;

/* Opens the root. NULL: as open(2); EINVAL: no root, a prefix that does not begin with a slash, an
 * index with one, a value that is none for a field. */
CRESS_API cress_static_root *cress_static_create(const cress_static_options *options);
/* When no request is in it any more. */
CRESS_API void cress_static_destroy(cress_static_root *files);

/* [waits] The application (a cress_app); self is the cress_static_root. It lifts the request's
 * limit while it sends a file: the server's write-timeout watches over clients that stall. */
CRESS_API int cress_static(cress_environ *env, cress_response *res, void *self);

#endif
