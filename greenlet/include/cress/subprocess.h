/* <cress/subprocess.h>: other programs as children of this process.
 *
 *     cress_subprocess p;
 *     cress_subprocess_output output;
 *
 *     if (cress_subprocess_spawn(&p, &(cress_subprocess_options){
 *             .argv = (const char *const[]){ "uname", "-s", NULL }, .out = CRESS_PIPE }) < 0)
 *         return -1;
 *     int result = cress_subprocess_communicate(&p, NULL, 0, 4096, &output, 5.0);
 *     if (result == 0)
 *         fwrite(output.out, 1, output.out_len, stdout);
 *     cress_subprocess_output_finish(&output);
 *     cress_subprocess_finish(&p);
 *
 * A child has descriptors 0, 1 and 2 and those of pass_fds, no other, whatever flags
 * ours have; every signal at its default and none blocked. Its end is noticed by a
 * descriptor of its own (pidfd), not by SIGCHLD, and no other child is ever reaped. While
 * SIGCHLD is ignored (SIG_IGN) or somebody else reaps it, its status is lost: ECHILD.
 *
 * gevent: gevent.subprocess.
 */
#ifndef CRESS_SUBPROCESS_H
#define CRESS_SUBPROCESS_H

#include <cress/api.h>

#include <sys/types.h>

/* Where a standard descriptor of the child leads; or a descriptor of ours, greater than 0. */
enum {
    CRESS_INHERIT = 0,  /* where ours leads */
    CRESS_PIPE = -1,    /* to a pipe, whose other end is in the cress_subprocess */
    CRESS_STDOUT = -2,  /* err only: to the same as out */
    CRESS_DEVNULL = -3, /* to /dev/null */
};

/* Zeroed but for argv: the defaults. All is borrowed during the call. */
typedef struct cress_subprocess_options {
    const char *const *argv; /* up to a NULL; argv[0] is the program, looked for in PATH if it
                              * has no slash */
    const char *program;     /* instead of argv[0], looked for in the same way */
    const char *const *env;  /* "NAME=value" up to a NULL; NULL: ours. Its PATH counts */
    const char *cwd;         /* its working directory; a relative program is looked for there */
    int in, out, err;        /* see above */
    const int *pass_fds;     /* descriptors, from 3 on, that it also gets, at the same number */
    size_t pass_count;
    bool group;   /* in a process group of its own: kill(-p.pid, SIGTERM) reaches its children */
    bool session; /* in a session of its own, and so a group too */
} cress_subprocess_options;

typedef struct cress_subprocess {
    pid_t pid;
    /* Our ends of pipes; -1: none. Non-blocking, for cress_read and cress_write; to be closed by
     * cress_close and set to -1, or by _finish. */
    int in, out, err;
    int watched;  /* its pidfd */
    int status;   /* waitpid's, once it has ended */
    bool ended;   /* and been reaped */
    bool lost;    /* but not by us: there is no status */
    pid_t parent; /* who may wait for it and kill it */
} cress_subprocess;

/* Starts it; stops this thread until it has, some 0.5 ms. -1: errno of what failed, here or in the
 * child: ENOENT (the program, its interpreter, cwd), EACCES, ENOEXEC, E2BIG, EMFILE, EAGAIN; EBADF, a
 * descriptor named in options is not open; EINVAL, no argv, or no such place. Then
 * there is no child, and *p may be finished or not. gevent: Popen. */
CRESS_API int cress_subprocess_spawn(cress_subprocess *p, const cress_subprocess_options *options);
/* [waits] until it has ended. *ret_status (may be NULL): its exit status, 0 to 255, or minus
 * the signal that ended it. -1 leaves it as it is: ETIMEDOUT, ECANCELED; ECHILD, see
 * above. A child that writes to a pipe which nobody reads may never end. gevent: Popen.wait. */
CRESS_API int cress_subprocess_wait(cress_subprocess *p, int *ret_status, cress_seconds timeout);
/* The same without waiting: 1, it has ended; 0, it runs; -1 with ECHILD. gevent: Popen.poll. */
CRESS_API int cress_subprocess_poll(cress_subprocess *p, int *ret_status);
/* Sends it a signal. ESRCH: it has ended. gevent: Popen.send_signal, terminate, kill. */
CRESS_API int cress_subprocess_kill(cress_subprocess *p, int signum);
/* Kills it (SIGKILL) if it runs, [waits] until it has ended, whatever happens, and closes the
 * pipes. Leaves errno alone. NULL does nothing, and so does one that was never spawned but is
 * zeroed. Also outside greenlets, where the whole thread waits. In a forked child: closes only. */
CRESS_API void cress_subprocess_finish(cress_subprocess *p);

/* What it wrote; each with a NUL behind its len bytes. Freed by _finish; zeroed is empty. */
typedef struct cress_subprocess_output {
    char *out, *err; /* NULL: no such pipe */
    size_t out_len, err_len;
    int status; /* as of wait */
} cress_subprocess_output;

/* [waits] Writes input to its stdin and closes that, while it reads stdout and stderr up to their
 * end, and then waits for its end: for what was made with CRESS_PIPE. A child that does not
 * read all its input is no error. -1, without output, pipes closed (but for EINVAL),
 * the child running on:
 *   EMSGSIZE  it wrote more than `limit` bytes to one of them
 *   ETIMEDOUT, ECANCELED, ENOMEM, ECHILD, EPERM (outside greenlets)
 *   EINVAL    there is input, but no pipe for it
 * gevent: Popen.communicate. */
CRESS_API int cress_subprocess_communicate(cress_subprocess *p, const void *input, size_t len,
                                           size_t limit, cress_subprocess_output *ret_output,
                                           cress_seconds timeout);
CRESS_API void cress_subprocess_output_finish(cress_subprocess_output *output);

#endif
