/* <cress/pipe.h>: pipes for greenlets, of one process or of several.
 *
 * Their ends are used by cress_read, cress_write, cress_poll, cress_wait_fd and cress_close
 * of <cress/io.h>. A write to a pipe that nobody reads any more raises SIGPIPE, as ever, and is
 * EPIPE when that is ignored.
 *
 * gevent: gevent.os.make_nonblocking, gevent.os.nb_read, nb_write.
 */
#ifndef CRESS_PIPE_H
#define CRESS_PIPE_H

#include <cress/api.h>

/* As pipe(2): fds[0] to read, fds[1] to write; non-blocking and close-on-exec. */
CRESS_API int cress_pipe(int fds[2]);
/* Sets O_NONBLOCK, for every process that shares the open file: 1; 0: it was set. */
CRESS_API int cress_make_nonblocking(int fd);

#endif
