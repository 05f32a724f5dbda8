/* Pipes: what makes a descriptor green. */
#define _GNU_SOURCE
#include <cress/pipe.h>

#include <fcntl.h>
#include <unistd.h>

int cress_pipe(int fds[2])
{
    return pipe2(fds, O_CLOEXEC | O_NONBLOCK);
}

int cress_make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_NONBLOCK))
        return flags < 0 ? -1 : 0;
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -1 : 1;
}
