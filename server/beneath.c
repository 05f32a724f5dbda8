/* The kernel itself keeps to the folder: openat2 with RESOLVE_BENEATH follows symbolic links
 * that stay inside and no others, whatever anybody renames meanwhile. Kernels before 5.6
 * lack it, and sandboxes forbid it: there each name of a path is opened by itself, and no
 * link is followed at all.
 *
 * A path that was looked up before is found in memory; one that was not may take a disk's or
 * a network's time, and that would be everybody's. RESOLVE_CACHED tells them apart: what is in
 * memory is opened right here, and the rest by a thread. Without it (before 5.12) all is
 * opened here.
 */
#define _GNU_SOURCE /* O_PATH, syscall */

#include "beneath.h"

#include <cress/threadpool.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

enum {
    READ = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
    BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    RACES = 16, /* tries while somebody renames folders */
};

static int open2(int fd, const char *path, int flags, int resolve)
{
    struct open_how how = { .flags = (unsigned)flags, .resolve = (unsigned)resolve };

    return (int)syscall(SYS_openat2, fd, path, &how, sizeof how);
}

static int open_beneath(int folder, const char *path)
{
    int fd = open2(folder, path, READ, BENEATH);

    for (int i = 0; i < RACES && fd < 0 && errno == EAGAIN; i++)
        fd = open2(folder, path, READ, BENEATH);
    return fd;
}

/* ---- on a thread ------------------------------------------------------------------------------- */

struct job {
    int folder, fd;
    const char *path;
};

static void *run_job(void *arg)
{
    struct job *job = arg;

    job->fd = open_beneath(job->folder, job->path);
    return job->fd < 0 ? cress_fail(errno) : NULL;
}

static int open_on_thread(int folder, const char *path)
{
    struct job job = { .folder = folder, .fd = -1, .path = path };

    if (cress_threadpool_apply(NULL, run_job, &job, NULL) == 0)
        return job.fd;
    int error = errno;
    if (job.fd >= 0)
        close(job.fd);
    errno = error;
    return -1;
}

/* ---- without openat2 ----------------------------------------------------------------------------- */

/* Gives up `fd`, unless it is the folder's. */
static int step(int folder, int fd, const char *name, int flags)
{
    int next = openat(fd, name, flags | O_NOFOLLOW | O_CLOEXEC), error = errno;

    if (fd != folder)
        close(fd);
    errno = error;
    return next;
}

static int open_by_steps(int folder, const char *path)
{
    char name[NAME_MAX + 1];
    int fd = folder;

    for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        size_t len = (size_t)(slash - path);
        bool fits = len < sizeof name;
        memcpy(name, path, fits ? len : 0);
        name[fits ? len : 0] = '\0'; /* no such name: ENOENT */
        fd = step(folder, fd, name, O_PATH | O_DIRECTORY);
    }
    return fd < 0 ? -1 : step(folder, fd, path, READ);
}

/* ---- the folder ------------------------------------------------------------------------------------ */

static bool can_open(int folder, int resolve)
{
    int fd = open2(folder, ".", O_PATH | O_CLOEXEC, resolve);

    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno == EAGAIN;
}

int beneath_init(struct beneath *b, const char *folder)
{
    b->fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (b->fd < 0)
        return -1;
    b->has_openat2 = can_open(b->fd, BENEATH);
    b->has_cached = b->has_openat2 && can_open(b->fd, BENEATH | RESOLVE_CACHED);
    return 0;
}

void beneath_finish(struct beneath *b)
{
    int error = errno;

    close(b->fd);
    errno = error;
}

int beneath_open(const struct beneath *b, const char *path)
{
    if (!b->has_openat2)
        return open_by_steps(b->fd, path);
    if (!b->has_cached)
        return open_beneath(b->fd, path);
    int fd = open2(b->fd, path, READ, BENEATH | RESOLVE_CACHED);
    return fd < 0 && errno == EAGAIN ? open_on_thread(b->fd, path) : fd;
}

bool beneath_has(const struct beneath *b, const char *path)
{
    struct stat about;

    return fstatat(b->fd, path, &about, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}
