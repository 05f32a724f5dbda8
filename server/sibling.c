/* Which of a file's compressed siblings a client gets. A sibling that is there, but not for this
 * client, matters too: caches must know that others get something else (Vary). So
 * all are looked for, which is three looks into the kernel's memory of names: the first as
 * one that opens and takes to a thread what is not in memory; then that is where the folder is, and
 * the others are asked for by the cheaper fstatat. */
#include "sibling.h"

#include <cress/greenlet.h>
#include <cress/negotiate.h>

#include <string.h>
#include <unistd.h>

/* Of two that are wanted alike, the first: it is the smaller as a rule. */
static const struct coding {
    const char *name, *ending;
} codings[] = {
    { "br", ".br" },
    { "zstd", ".zst" },
    { "gzip", ".gz" },
};

enum { CODINGS = sizeof codings / sizeof codings[0] };

/* Its descriptor; -1: there is none. */
static int open_one(const struct beneath *b, char *path, const struct coding *coding,
                    const struct stat *about, struct stat *ret_found)
{
    size_t len = strlen(path);

    strcpy(path + len, coding->ending);
    int fd = coding == codings || beneath_has(b, path) ? beneath_open(b, path) : -1;
    path[len] = '\0';
    if (fd < 0 || (fstat(fd, ret_found) == 0 && S_ISREG(ret_found->st_mode) &&
                   ret_found->st_mtime >= about->st_mtime))
        return fd;
    close(fd);
    return -1;
}

static void close_others(const int fds[], const int *chosen)
{
    for (int i = 0; i < CODINGS; i++)
        if (fds[i] >= 0 && &fds[i] != chosen)
            close(fds[i]);
}

/* The place of the one that suits the request best; NULL: the file itself does. */
static const int *choose(const cress_environ *env, const int fds[])
{
    const char *offers[CODINGS + 2];
    int places[CODINGS], count = 0;

    for (int i = 0; i < CODINGS; i++)
        if (fds[i] >= 0) {
            offers[count] = codings[i].name;
            places[count++] = i;
        }
    offers[count] = "identity";
    offers[count + 1] = NULL;
    int offer = count > 0 ? cress_accept_encoding(env, offers) : -1;
    return offer >= 0 && offer < count ? &fds[places[offer]] : NULL;
}

int sibling_open(const struct beneath *b, const cress_environ *env, char *path,
                 const struct stat *about, struct sibling *ret_sibling)
{
    struct sibling sibling = { .fd = -1 };
    struct stat found[CODINGS];
    int fds[CODINGS];

    for (int i = 0; i < CODINGS; i++) {
        fds[i] = open_one(b, path, &codings[i], about, &found[i]);
        sibling.exists |= fds[i] >= 0;
    }
    const int *chosen = cress_check() == 0 ? choose(env, fds) : NULL;
    close_others(fds, chosen);
    if (chosen) {
        sibling.fd = *chosen;
        sibling.about = found[chosen - fds];
        sibling.encoding = codings[chosen - fds].name;
    }
    *ret_sibling = sibling;
    return cress_check();
}
