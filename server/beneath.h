/* Opening files below a folder, and nothing else of the machine. */
#ifndef CRESS_BENEATH_H
#define CRESS_BENEATH_H

#include <cress/api.h>

struct beneath {
    int fd; /* of the folder */
    bool has_openat2, has_cached;
};

/* -1: as open(2). */
int beneath_init(struct beneath *b, const char *folder);
void beneath_finish(struct beneath *b);
/* [waits, if it is not in memory] Opens for reading what a path says: names with single slashes
 * between them, or ".". It may be a folder, and anything else that is no regular file. -1: as
 * open(2); EXDEV, ELOOP: a link leads out. */
int beneath_open(const struct beneath *b, const char *path);
/* Half as dear. The folder that it names should be known to be there, and in memory; false says
 * that opening would fail, true promises nothing. */
bool beneath_has(const struct beneath *b, const char *path);

#endif
