/* <cress/file.h>: an open file as the answer.
 *
 * With all that clients ask of files: conditions (304, 412), ranges (206, 416), HEAD. The
 * bytes go from the page cache into the socket. Which file it is, who may have it and
 * what its type is, the application has decided before:
 *
 *     int fd = open(path, O_RDONLY | O_CLOEXEC);
 *     ...
 *     int result = cress_respond_file(env, res, &(cress_file){
 *         .fd = fd, .type = cress_mime_type(path) });
 *     close(fd);
 *     return result;
 *
 * Whole folders: <cress/static.h>.
 */
#ifndef CRESS_FILE_H
#define CRESS_FILE_H

#include <cress/response.h>

struct stat;

typedef struct cress_file {
    int fd;               /* of a regular file; stays the caller's */
    const char *type;     /* Content-Type; NULL: not said */
    const char *encoding; /* Content-Encoding; NULL: none */
    const char *etag; /* with its quotes; NULL: made of the file's time and size, as nginx does */
    bool whole;       /* no ranges of it are given */
    const cress_header *headers; /* further fields of 200, 206 and 304; NULL: none */
    const struct stat *about;    /* what fstat(2) has just said of it; NULL: it is asked */
} cress_file;

/* [waits] Answers GET and HEAD with the file, or with what the request's conditions and
 * ranges make of it; other methods: 405. Returns what the handler may return. EINVAL: not a
 * regular file; else the errors of fstat(2), cress_start_response and cress_response_send_file.
 * A large file may take a slow client longer than the request's limit: see
 * cress_request_timeout. A client that takes nothing is the server's write-timeout's matter. */
CRESS_API int cress_respond_file(cress_environ *env, cress_response *res, const cress_file *file);

/* The type that a file's name stands for by what follows its last dot, from the system's table
 * (/etc/mime.types, read once a process, when it is first needed) and a small one of our own. NULL:
 * not known. The text stays until the process ends. Thread-safe. */
CRESS_API const char *cress_mime_type(const char *name);

#endif
