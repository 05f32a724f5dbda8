/* From a request's path to a file: which one is meant, and how it is answered. Nothing is
 * remembered of files, so what is replaced on disk is seen by the next request; looking up
 * a name that the kernel has in memory costs two microseconds.
 *
 * Where a path is taken apart, empty names count for nothing ("/a//b" is "/a/b"), and a
 * name that begins with a dot is no name: neither the folder above nor what somebody hid.
 */
#include <cress/static.h>

#include "sibling.h"

#include <cress/file.h>
#include <cress/middleware.h>
#include <cress/negotiate.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct cress_static_root {
    struct beneath beneath;
    cress_static_options options; /* texts are ours; prefix and index are never NULL */
    size_t prefix_len;            /* without a slash at its end */
};

/* A request that is looked at. */
struct visit {
    const cress_static_root *files;
    cress_environ *env;
    cress_response *res;
    char *path;     /* below the root; "." is the root itself */
    bool is_folder; /* it ended with a slash */
};

/* ---- the folder -------------------------------------------------------------------------------- */

static int copy_text(const char **text, const char *fallback)
{
    const char *from = *text ? *text : fallback;

    *text = from ? strdup(from) : NULL;
    return from && !*text ? -1 : 0;
}

/* All or, in the end, none: destroy frees what there is. */
static int copy_texts(cress_static_options *options)
{
    int failed = 0;

    options->root = NULL;
    failed |= copy_text(&options->prefix, "");
    failed |= copy_text(&options->index, "index.html");
    failed |= copy_text(&options->cache_control, NULL);
    failed |= copy_text(&options->default_type, "application/octet-stream");
    failed |= copy_text(&options->charset, NULL);
    return failed;
}

static bool is_value(const char *text)
{
    for (; text && *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static bool is_sound(const cress_static_options *o)
{
    return o->root && (!o->prefix || !*o->prefix || *o->prefix == '/') &&
           !(o->index && strchr(o->index, '/')) && is_value(o->cache_control) &&
           is_value(o->default_type) && is_value(o->charset);
}

static size_t prefix_len(const char *prefix)
{
    size_t len = strlen(prefix);

    while (len > 0 && prefix[len - 1] == '/')
        len--;
    return len;
}

cress_static_root *cress_static_create(const cress_static_options *options)
{
    cress_static_root *files = is_sound(options) ? calloc(1, sizeof *files) : NULL;

    if (!files) {
        errno = is_sound(options) ? ENOMEM : EINVAL;
        return NULL;
    }
    if (beneath_init(&files->beneath, options->root) < 0) {
        int error = errno;
        free(files);
        errno = error;
        return NULL;
    }
    files->options = *options;
    if (copy_texts(&files->options) < 0) {
        cress_static_destroy(files);
        return NULL;
    }
    files->prefix_len = prefix_len(files->options.prefix);
    cress_mime_type(".txt"); /* reads the table, while nobody waits */
    return files;
}

static void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

void cress_static_destroy(cress_static_root *files)
{
    if (!files)
        return;
    beneath_finish(&files->beneath);
    free_text(files->options.prefix);
    free_text(files->options.index);
    free_text(files->options.cache_control);
    free_text(files->options.default_type);
    free_text(files->options.charset);
    free(files);
}

/* ---- paths --------------------------------------------------------------------------------------- */

/* Is it below the prefix? Then the rest, "" or with a slash in front. */
static bool take_prefix(const cress_static_root *files, cress_str path, cress_str *ret_rest)
{
    size_t len = files->prefix_len;

    if (path.len < len || memcmp(path.data, files->options.prefix, len) != 0 ||
        (path.len > len && path.data[len] != '/'))
        return false;
    *ret_rest = (cress_str){ path.data + len, path.len - len };
    return true;
}

/* RFC 8615: what lies there is meant to be found (certificates are had by it). */
static bool is_well_known(const char *name, size_t len)
{
    static const char well_known[] = ".well-known";

    return len == sizeof well_known - 1 && memcmp(name, well_known, len) == 0;
}

static bool is_allowed(const struct visit *v, const char *name, size_t len, bool is_first)
{
    if (*name != '.' || (is_first && is_well_known(name, len)))
        return true;
    return v->files->options.dotfiles && len > 1 && !(len == 2 && name[1] == '.');
}

/* Its names, with single slashes between them. False: one is not allowed. */
static bool put_names(struct visit *v, char *to, cress_str rest)
{
    const char *at = rest.data, *end = rest.data + rest.len;

    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at)), *stop = slash ? slash : end;
        size_t len = (size_t)(stop - at);
        if (len > 0 && !is_allowed(v, at, len, to == v->path))
            return false;
        if (len > 0 && to > v->path)
            *to++ = '/';
        memcpy(to, at, len);
        to += len;
        at = slash ? slash + 1 : end;
    }
    if (to == v->path)
        *to++ = '.';
    *to = '\0';
    return true;
}

/* 1; 0: no file can have this path; -1: ENOMEM. */
static int set_path(struct visit *v, cress_str rest)
{
    size_t room = rest.len + strlen(v->files->options.index) + SIBLING_ROOM + sizeof "./";

    v->path = cress_environ_alloc(v->env, room);
    v->is_folder = rest.len > 0 && rest.data[rest.len - 1] == '/';
    return v->path ? put_names(v, v->path, rest) : -1;
}

/* ---- answers -------------------------------------------------------------------------------------- */

/* What could not be opened. */
static int respond_failure(const struct visit *v, int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV:
    case ENXIO: /* a socket */
        return cress_respond_error(v->res, 404, NULL);
    case EACCES:
    case EPERM:
        return cress_respond_error(v->res, 403, NULL);
    default:
        errno = error;
        return -1;
    }
}

/* NULL: ENOMEM. */
static const char *type_of(const struct visit *v)
{
    const char *type = cress_mime_type(v->path), *charset = v->files->options.charset;

    if (!type)
        type = v->files->options.default_type;
    if (!charset || strncasecmp(type, "text/", 5) != 0 || strchr(type, ';'))
        return type;
    return cress_environ_printf(v->env, "%s; charset=%s", type, charset).data;
}

static int send_file(const struct visit *v, int fd, const struct stat *about,
                     const struct sibling *sibling)
{
    const char *cache_control = v->files->options.cache_control, *type = type_of(v);
    cress_header headers[3] = { { NULL, NULL } }, *end = headers;

    if (!type)
        return -1;
    if (sibling->exists)
        *end++ = (cress_header){ "Vary", "Accept-Encoding" };
    if (cache_control)
        *end++ = (cress_header){ "Cache-Control", cache_control };
    if (cress_request_timeout(v->env, CRESS_FOREVER) < 0)
        return -1;
    return cress_respond_file(v->env, v->res,
                              &(cress_file){
                                  .fd = sibling->fd < 0 ? fd : sibling->fd,
                                  .type = type,
                                  .encoding = sibling->encoding,
                                  .whole = sibling->encoding != NULL, /* as nginx */
                                  .headers = headers,
                                  .about = sibling->fd < 0 ? about : &sibling->about,
                              });
}

static int respond_file(const struct visit *v, int fd, const struct stat *about)
{
    struct sibling sibling = { .fd = -1 };

    if (!v->files->options.no_siblings &&
        sibling_open(&v->files->beneath, v->env, v->path, about, &sibling) < 0)
        return -1;
    int result = send_file(v, fd, about, &sibling), error = errno;
    if (sibling.fd >= 0)
        close(sibling.fd);
    errno = error;
    return result;
}

/* ---- redirects -------------------------------------------------------------------------------------- */

/* RFC 3986 3.3 */
static bool is_path_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("/-._~!$&'()*+,;=:@", c));
}

static char *put_escaped(char *to, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_path_char(text[i])) {
            *to++ = text[i];
            continue;
        }
        *to++ = '%';
        *to++ = "0123456789ABCDEF"[c >> 4];
        *to++ = "0123456789ABCDEF"[c & 15];
    }
    return to;
}

static char *put_folder(char *to, const struct visit *v)
{
    to = put_escaped(to, v->files->options.prefix, v->files->prefix_len);
    *to++ = '/';
    if (strcmp(v->path, ".") == 0)
        return to;
    to = put_escaped(to, v->path, strlen(v->path));
    *to++ = '/';
    return to;
}

/* To the same with a slash, so that what the folder's index links to is found in it. */
static int redirect_to_folder(const struct visit *v)
{
    cress_str mounted = cress_environ_get(v->env, "SCRIPT_NAME");
    cress_str query = cress_query_string(v->env);
    size_t raw = mounted.len + v->files->prefix_len + strlen(v->path);
    char *location = cress_environ_alloc(v->env, 3 * raw + query.len + sizeof "//?"),
         *to = location;

    if (!location)
        return -1;
    to = put_folder(put_escaped(to, mounted.data, mounted.len), v);
    if (query.len > 0) {
        *to++ = '?';
        memcpy(to, query.data, query.len);
        to += query.len;
    }
    *to = '\0';
    while (location[0] == '/' && location[1] == '/')
        location++; /* two would be another host's name */
    return cress_redirect(v->res, 301, location);
}

/* ---- what it is ------------------------------------------------------------------------------------- */

static int open_in(struct visit *v, size_t len, const char *name)
{
    v->path[len] = '/';
    strcpy(v->path + len + 1, name);
    return beneath_open(&v->files->beneath, v->path);
}

/* Is there an index? Otherwise there is the folder, or not even that. */
static int open_index(struct visit *v)
{
    size_t len = strlen(v->path);
    const char *index = v->files->options.index;
    int fd = *index ? open_in(v, len, index) : -1;

    if (fd >= 0 || (*index && errno != ENOENT))
        return fd;
    fd = open_in(v, len, ".");
    if (fd >= 0) {
        close(fd);
        errno = EACCES;
    }
    return -1;
}

static int respond_opened(struct visit *v, int fd)
{
    struct stat about;

    if (fstat(fd, &about) < 0)
        return -1;
    if (S_ISREG(about.st_mode))
        return respond_file(v, fd, &about);
    if (S_ISDIR(about.st_mode) && !v->is_folder)
        return redirect_to_folder(v);
    return cress_respond_error(v->res, 404, NULL);
}

static int respond_path(struct visit *v)
{
    int fd = v->is_folder ? open_index(v) : beneath_open(&v->files->beneath, v->path);

    if (fd < 0)
        return respond_failure(v, errno);
    int result = respond_opened(v, fd), error = errno;
    close(fd);
    errno = error;
    return result;
}

static int respond_otherwise(const struct visit *v)
{
    const cress_static_options *o = &v->files->options;

    return o->otherwise ? o->otherwise(v->env, v->res, o->otherwise_self)
                        : cress_respond_error(v->res, 404, NULL);
}

int cress_static(cress_environ *env, cress_response *res, void *self)
{
    struct visit v = { .files = self, .env = env, .res = res };
    cress_str method = cress_method(env), rest;

    if (!take_prefix(v.files, cress_path(env), &rest))
        return respond_otherwise(&v);
    if (!cress_str_equal(method, "GET") && !cress_str_equal(method, "HEAD"))
        return cress_respond_error(res, 405, CRESS_HEADERS({ "Allow", "GET, HEAD" }));
    int is_path = set_path(&v, rest);
    if (is_path < 0)
        return -1;
    return is_path ? respond_path(&v) : cress_respond_error(res, 404, NULL);
}
