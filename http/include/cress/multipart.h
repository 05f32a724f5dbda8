/* <cress/multipart.h>: forms with files, as browsers send them (multipart/form-data).
 *
 * Parts are taken one by one while they arrive, in constant memory:
 *
 *     cress_multipart form;
 *     cress_part part;
 *     int more;
 *
 *     if (cress_multipart_begin(&form, env, NULL) < 0)
 *         return -1;
 *     while ((more = cress_multipart_next(&form, &part)) > 0) {
 *         if (cress_str_equal(part.name, "title") &&
 *             cress_multipart_read_all(&form, 1000, &title) < 0)
 *             return -1;
 *         if (cress_str_equal(part.name, "photo") &&
 *             cress_multipart_save(&form, "/var/tmp", &photo) < 0)
 *             return -1;
 *     }
 *     if (more < 0)
 *         return -1;
 *
 * A part that is not read is passed over. Only after next has returned 0 is the form
 * known to be whole: a body that ends in the middle is an error.
 *
 * What fails is EBADMSG for what is malformed (the server answers 400) and EMSGSIZE for what
 * goes beyond a limit (413), or an error of cress_input_read; each stays: all later calls
 * fail with it. For one greenlet, that of the request. A form with large files takes its time:
 * see cress_request_timeout.
 *
 * RFC 7578, RFC 2046 5.1; names as browsers write them: HTML Standard 4.10.21.8.
 */
#ifndef CRESS_MULTIPART_H
#define CRESS_MULTIPART_H

#include <cress/environ.h>

#include <sys/types.h>

/* Zero: the default. */
typedef struct cress_multipart_limits {
    size_t parts;       /* 1000 */
    size_t head;        /* bytes of one part's header; 8 KiB, at most 16 KiB */
    size_t memory;      /* bytes that cress_multipart_read_all keeps, all together; 1 MiB */
    uint64_t part_size; /* bytes of one part; none but the server's on the body */
    uint64_t size;      /* bytes of the whole body; none but the server's */
} cress_multipart_limits;

/* All of it lives until the request ends. */
typedef struct cress_part {
    cress_str name; /* never absent */
    /* Absent: not a file. Empty, and the file too, where a form was sent without choosing one. A hint
     * by the client, without folders: never a path; it may be ".." and hold line ends. */
    cress_str filename;
    cress_str type; /* Content-Type; absent: it is text */
} cress_part;

/* Where a form stands. Its fields are not for use. Nothing is to be finished: what it needs is the
 * request's. */
typedef struct cress_multipart {
    struct multipart *state;
} cress_multipart;

/* Begins with the request's body. limits may be NULL: the defaults. EBADMSG: also when the
 * Content-Type is not multipart/form-data with a boundary; ENOMEM. */
CRESS_API int cress_multipart_begin(cress_multipart *form, cress_environ *env,
                                    const cress_multipart_limits *limits);

/* [waits] The next part: 1; 0: there is none, and the form is whole. -1: see above. */
CRESS_API int cress_multipart_next(cress_multipart *form, cress_part *ret_part);
/* [waits] Up to len bytes of the part; 0 at its end, and without a part. */
CRESS_API ssize_t cress_multipart_read(cress_multipart *form, void *buf, size_t len);
/* [waits] The rest of the part, in the request's memory; EMSGSIZE beyond limit bytes. */
CRESS_API int cress_multipart_read_all(cress_multipart *form, size_t limit, cress_str *ret_data);

/* [waits] Calls fn for each part until it returns non-zero: that value, else 0; -1: see
 * above. fn takes the part's bytes, or some or none of them, by the calls here. */
CRESS_API int cress_multipart_each(cress_multipart *form,
                                   int (*fn)(void *arg, cress_multipart *form,
                                             const cress_part *part),
                                   void *arg);

/* ---- files ------------------------------------------------------------------------ */

/* A part on disk. It is open until after the response, and is gone then unless it was kept. */
typedef struct cress_upload {
    int fd;        /* to read and write; at its beginning */
    uint64_t size; /* bytes */
} cress_upload;

/* [waits] Writes the rest of the part to a new file in `directory` that has no name (O_TMPFILE;
 * on file systems without it, one that begins with ".upload-"), readable by its owner only.
 * Disks are written to by the hub's threads. Besides the above: what open(2) and write(2)
 * say (ENOSPC). The file belongs to the request's memory. */
CRESS_API int cress_multipart_save(cress_multipart *form, const char *directory,
                                   cress_upload **ret_upload);
/* [waits] Gives it a name, on the same file system. EEXIST: it is taken, and nothing happens; else as
 * link(2). Once only: EINVAL. */
CRESS_API int cress_upload_keep(cress_upload *upload, const char *path);

#endif
