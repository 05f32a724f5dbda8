/* A file goes out as it is, in part, in several parts, or not at all, as the request's conditions
 * and ranges say. The forms that RFC 9110 leaves open are nginx's: an ETag of time and size in
 * hexadecimal, which all workers and machines with the same file agree on; a part of several
 * begins with a line end; a 206 says no Accept-Ranges. */
#include <cress/file.h>
#include <cress/middleware.h>
#include <cress/range.h>

#include "fail.h"
#include "response.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

struct answer {
    cress_environ *env;
    cress_response *res;
    const cress_file *file;
    uint64_t size;
    char etag[48], modified[CRESS_DATE_SIZE];
};

static int add(cress_response *res, const char *name, const char *value)
{
    return value ? cress_response_add_header(res, name, value) : 0;
}

static int add_all(cress_response *res, const cress_header headers[])
{
    for (const cress_header *header = headers; header && header->name; header++)
        if (cress_response_add_header(res, header->name, header->value) < 0)
            return -1;
    return 0;
}

static const char *etag_of(const struct answer *a)
{
    return a->file->etag ? a->file->etag : a->etag;
}

/* What 200, 206 and 304 have in common (RFC 9110 15.4.5). */
static int start(const struct answer *a, int status)
{
    if (cress_start_response(a->res, status, NULL) < 0 ||
        add(a->res, "Last-Modified", a->modified) < 0 || add(a->res, "ETag", etag_of(a)) < 0)
        return -1;
    return add_all(a->res, a->file->headers);
}

static int start_content(const struct answer *a, int status, const char *type)
{
    if (start(a, status) < 0 || add(a->res, "Content-Type", type) < 0)
        return -1;
    return add(a->res, "Content-Encoding", a->file->encoding);
}

static int send_whole(const struct answer *a)
{
    if (start_content(a, 200, a->file->type) < 0 ||
        add(a->res, "Accept-Ranges", a->file->whole ? NULL : "bytes") < 0)
        return -1;
    return response_send_known_file(a->res, a->file->fd, 0, (size_t)a->size);
}

/* ---- ranges ------------------------------------------------------------------------------------ */

static int send_range(const struct answer *a, const cress_byte_range *range)
{
    char text[80];

    snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->offset,
             range->offset + range->len - 1, a->size);
    if (start_content(a, 206, a->file->type) < 0 || add(a->res, "Content-Range", text) < 0)
        return -1;
    return response_send_known_file(a->res, a->file->fd, (off_t)range->offset, (size_t)range->len);
}

static cress_str part_head(const struct answer *a, const char *boundary,
                           const cress_byte_range *range)
{
    const char *type = a->file->type;

    return cress_environ_printf(
        a->env,
        "\r\n--%s\r\n%s%s%sContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
        boundary, type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", range->offset,
        range->offset + range->len - 1, a->size);
}

static int start_ranges(const struct answer *a, const char *boundary, uint64_t len)
{
    char type[80], length[24];

    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", boundary);
    snprintf(length, sizeof length, "%" PRIu64, len);
    if (start_content(a, 206, type) < 0)
        return -1;
    return add(a->res, "Content-Length", length);
}

/* What no client can guess and put into a file: twenty digits. */
static int choose_boundary(char to[24])
{
    uint64_t number;

    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        return fail_with(EAGAIN);
    snprintf(to, 24, "%020" PRIu64, number);
    return 0;
}

static int send_part(const struct answer *a, cress_str head, const cress_byte_range *range)
{
    if (cress_response_write(a->res, head.data, head.len) < 0)
        return -1;
    return response_send_known_file(a->res, a->file->fd, (off_t)range->offset, (size_t)range->len);
}

/* RFC 9110 14.6 */
static int send_ranges(const struct answer *a, const cress_byte_range ranges[], int count)
{
    cress_str heads[CRESS_MAX_RANGES], tail;
    char boundary[24];

    if (choose_boundary(boundary) < 0)
        return -1;
    tail = cress_environ_printf(a->env, "\r\n--%s--\r\n", boundary);
    uint64_t len = tail.len;
    for (int i = 0; i < count; i++) {
        heads[i] = part_head(a, boundary, &ranges[i]);
        len += heads[i].len + ranges[i].len;
        if (!heads[i].data)
            return -1;
    }
    if (!tail.data || start_ranges(a, boundary, len) < 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (send_part(a, heads[i], &ranges[i]) < 0)
            return -1;
    return cress_response_write(a->res, tail.data, tail.len);
}

static int refuse_range(const struct answer *a)
{
    char text[40];

    snprintf(text, sizeof text, "bytes */%" PRIu64, a->size);
    return cress_respond_error(a->res, 416, CRESS_HEADERS({ "Content-Range", text }));
}

static int send_content(const struct answer *a, const cress_validators *current)
{
    cress_byte_range ranges[CRESS_MAX_RANGES];
    int count = a->file->whole ? 0 : cress_range(a->env, current, a->size, ranges);

    if (count < 0)
        return errno == ENOMEM ? -1 : refuse_range(a);
    if (count == 0)
        return send_whole(a);
    return count == 1 ? send_range(a, ranges) : send_ranges(a, ranges, count);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static void put_etag(char *to, uint64_t time, uint64_t size)
{
    to = TEXT_PUT(to, "\"");
    to = text_put_hex(to, time);
    to = TEXT_PUT(to, "-");
    to = text_put_hex(to, size);
    memcpy(to, "\"", 2);
}

static int respond(struct answer *a, const struct stat *about)
{
    a->size = (uint64_t)about->st_size;
    put_etag(a->etag, (uint64_t)about->st_mtime, a->size);
    cress_format_date(a->modified, about->st_mtime);
    cress_validators current = {
        .etag = { etag_of(a), strlen(etag_of(a)) },
        .has_modified = true,
        .modified = about->st_mtime,
    };
    int status = cress_precondition(a->env, &current);
    if (status < 0)
        return -1;
    if (status == 304)
        return start(a, 304);
    return status ? cress_respond_error(a->res, status, NULL) : send_content(a, &current);
}

int cress_respond_file(cress_environ *env, cress_response *res, const cress_file *file)
{
    struct answer answer = { .env = env, .res = res, .file = file };
    cress_str method = cress_method(env);
    const struct stat *about = file->about;
    struct stat asked;

    if (!cress_str_equal(method, "GET") && !cress_str_equal(method, "HEAD"))
        return cress_respond_error(res, 405, CRESS_HEADERS({ "Allow", "GET, HEAD" }));
    if (!about && fstat(file->fd, &asked) < 0)
        return -1;
    about = about ? about : &asked;
    return S_ISREG(about->st_mode) ? respond(&answer, about) : fail_with(EINVAL);
}
