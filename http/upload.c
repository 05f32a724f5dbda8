/* Parts of a form on disk. A file has no name while it is written, so that nothing is left of it
 * when the program ends, however it does; only where the file system cannot do that it has one,
 * which is removed with the request. Disks are waited for by threads.
 */
#define _GNU_SOURCE /* O_TMPFILE, mkostemp */

#include "multipart.h"

#include "fail.h"

#include <cress/greenlet.h>
#include <cress/threadpool.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE_FILE = 1 << 20 };

struct upload {
    cress_upload shown;
    char *path; /* where the file system has no nameless files; NULL: it has no name */
    bool kept;
};

/* What a thread does for us. */
struct job {
    struct upload *upload;
    const char *path; /* the folder, or the new name */
    const char *data;
    size_t len;
};

static void *close_file(void *arg)
{
    int *fd = arg;

    close(*fd);
    *fd = -1;
    return NULL;
}

/* A greenlet of its own, since the request is over. */
static void *close_on_thread(void *arg)
{
    int fd = (int)(intptr_t)arg;

    if (cress_threadpool_apply(NULL, close_file, &fd, NULL) < 0 && fd >= 0)
        close(fd);
    return NULL;
}

/* With a file that has no name, its bytes go: of a large one that takes a disk's time. */
static void give_up(int fd, uint64_t size)
{
    cress_greenlet *closer = NULL;

    if (size >= LARGE_FILE)
        closer = cress_spawn(close_on_thread, (void *)(intptr_t)fd);
    if (closer)
        cress_release(closer);
    else
        close(fd);
}

static void drop(void *arg)
{
    struct upload *upload = arg;
    int error = errno;

    if (upload->path && !upload->kept)
        unlink(upload->path);
    if (upload->shown.fd >= 0)
        give_up(upload->shown.fd, upload->kept ? 0 : upload->shown.size);
    errno = error;
}

static void *open_file(void *arg)
{
    struct job *job = arg;
    struct upload *upload = job->upload;
    char *path = upload->path;

    upload->path = NULL;
    upload->shown.fd = open(job->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (upload->shown.fd >= 0)
        return NULL;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return cress_fail(errno);
    upload->shown.fd = mkostemp(path, O_CLOEXEC);
    if (upload->shown.fd < 0)
        return cress_fail(errno);
    upload->path = path;
    return NULL;
}

static void *write_file(void *arg)
{
    struct job *job = arg;

    while (job->len > 0) {
        ssize_t written = write(job->upload->shown.fd, job->data, job->len);
        if (written < 0 && errno != EINTR)
            return cress_fail(errno);
        job->data += written > 0 ? written : 0;
        job->len -= written > 0 ? (size_t)written : 0;
    }
    return NULL;
}

/* What has no name is linked by the one that the kernel shows it under. */
static void *name_file(void *arg)
{
    struct job *job = arg;
    struct upload *upload = job->upload;
    char shown[40];

    snprintf(shown, sizeof shown, "/proc/self/fd/%d", upload->shown.fd);
    if (linkat(AT_FDCWD, upload->path ? upload->path : shown, AT_FDCWD, job->path,
               upload->path ? 0 : AT_SYMLINK_FOLLOW) < 0)
        return cress_fail(errno);
    if (upload->path)
        unlink(upload->path);
    upload->kept = true;
    return NULL;
}

static int on_thread(cress_fn *fn, struct job *job)
{
    return cress_threadpool_apply(NULL, fn, job, NULL);
}

/* [waits] Closed and removed with the request, whatever happens. */
static struct upload *create_upload(cress_environ *env, const char *directory)
{
    struct upload *upload = cress_environ_alloc(env, sizeof *upload);
    cress_str path = cress_environ_printf(env, "%s/.upload-XXXXXX", directory);

    if (!upload || !path.data)
        return NULL;
    *upload = (struct upload){ .shown.fd = -1, .path = (char *)(uintptr_t)path.data };
    struct job job = { .upload = upload, .path = directory };
    if (on_thread(open_file, &job) < 0) {
        int error = errno;
        upload->path = upload->shown.fd < 0 ? NULL : upload->path;
        drop(upload);
        errno = error;
        return NULL;
    }
    if (cress_defer(env, drop, upload) == 0)
        return upload;
    drop(upload);
    return NULL;
}

static int write_all(cress_multipart *form, struct upload *upload)
{
    const char *data;
    ssize_t there;

    while ((there = multipart_content(form, MULTIPART_MOST, &data)) > 0) {
        struct job job = { .upload = upload, .data = data, .len = (size_t)there };
        if (on_thread(write_file, &job) < 0)
            return multipart_fail(form, errno);
        upload->shown.size += (uint64_t)there;
        multipart_take(form, (size_t)there);
    }
    if (there == 0 && lseek(upload->shown.fd, 0, SEEK_SET) < 0)
        return multipart_fail(form, errno);
    return (int)there;
}

int cress_multipart_save(cress_multipart *form, const char *directory, cress_upload **ret_upload)
{
    if (multipart_check(form) < 0)
        return -1;
    struct upload *upload = create_upload(multipart_environ(form), directory);
    if (!upload)
        return multipart_fail(form, errno);
    if (write_all(form, upload) < 0)
        return -1;
    *ret_upload = &upload->shown;
    return 0;
}

int cress_upload_keep(cress_upload *shown, const char *path)
{
    struct upload *upload = (struct upload *)(void *)shown;
    struct job job = { .upload = upload, .path = path };

    return upload->kept ? fail_with(EINVAL) : on_thread(name_file, &job);
}
