/* A descriptor is replaced by a memory file and put back. */
#define _GNU_SOURCE /* memfd_create */

#include "capture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int captured = -1, original = -1, file = -1;

void capture_start(int fd)
{
    assert(captured < 0);
    fflush(NULL);
    file = memfd_create("capture", MFD_CLOEXEC);
    original = dup(fd);
    assert(file >= 0 && original >= 0);
    dup2(file, fd);
    captured = fd;
}

char *capture_end(void)
{
    off_t size;
    char *text;

    fflush(NULL);
    dup2(original, captured);
    close(original);
    size = lseek(file, 0, SEEK_END);
    text = calloc(1, (size_t)size + 1);
    assert(text && pread(file, text, (size_t)size, 0) == size);
    close(file);
    captured = -1;
    return text;
}
