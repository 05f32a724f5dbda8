/* Starting a program, and talking to it.
 *
 * The child is made by vfork: it runs in this process' memory, while this thread stands still, until
 * it has become the program. So it makes system calls only, on what was prepared
 * before, and a process of many GiB starts a child as fast as a small one. What goes wrong in the
 * child comes back through a pipe that the program's start closes.
 */
#define _GNU_SOURCE
#include <cress/subprocess.h>

#include "child.h"
#include "hub.h"
#include "misuse.h"

#include <cress/io.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

enum { IN, OUT, ERR, STANDARD };
enum { FIRST_PIECE = 4096, ENOUGH_DESCRIPTORS = 1 << 16 };

struct plan {
    const cress_subprocess_options *options;
    const char *program, *path;
    char *buffer; /* for a directory of path and the program's name */
    char **env;
    int theirs[STANDARD];   /* where the child's descriptors lead */
    int ours[STANDARD];     /* our ends of pipes, or -1 */
    int to_close[STANDARD]; /* what was opened for the child, or -1 */
    int report[2];
};

/* ---- in the child ------------------------------------------------------------------------ */

static int arrange_standard(int theirs[STANDARD])
{
    for (int fd = 0; fd < STANDARD; fd++) /* none may be in the way of another */
        if (theirs[fd] != fd && theirs[fd] < STANDARD)
            if ((theirs[fd] = fcntl(theirs[fd], F_DUPFD_CLOEXEC, STANDARD)) < 0)
                return -1;
    for (int fd = 0; fd < STANDARD; fd++) {
        if (theirs[fd] == fd)
            fcntl(fd, F_SETFD, 0); /* it may be closed, then it stays so */
        else if (dup2(theirs[fd], fd) < 0)
            return -1;
    }
    return 0;
}

/* Nothing is closed yet: the report's pipe has to last until the program starts. */
static int mark_others(void)
{
    struct rlimit limit;

    if (close_range(STANDARD, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    int end = limit.rlim_cur < ENOUGH_DESCRIPTORS ? (int)limit.rlim_cur : ENOUGH_DESCRIPTORS;
    for (int fd = STANDARD; fd < end; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static int arrange_descriptors(struct plan *plan)
{
    const cress_subprocess_options *options = plan->options;

    if (arrange_standard(plan->theirs) < 0 || mark_others() < 0)
        return -1;
    for (size_t i = 0; i < options->pass_count; i++)
        if (fcntl(options->pass_fds[i], F_SETFD, 0) < 0)
            return -1;
    return 0;
}

static int arrange_process(const cress_subprocess_options *options)
{
    if (options->session && setsid() < 0)
        return -1;
    if (options->group && !options->session && setpgid(0, 0) < 0)
        return -1;
    return options->cwd ? chdir(options->cwd) : 0;
}

static void reset_signals(void)
{
    struct sigaction normal = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int signum = 1; signum < NSIG; signum++)
        sigaction(signum, &normal, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void exec_at(const struct plan *plan, const char *file)
{
    execve(file, (char *const *)(uintptr_t)plan->options->argv, plan->env);
}

/* As the shell looks: a directory without it, or closed to us, is passed over. */
static void exec_in_path(const struct plan *plan)
{
    bool forbidden = false;
    size_t len;

    for (const char *dir = plan->path;; dir += len + 1) {
        len = strcspn(dir, ":");
        memcpy(plan->buffer, dir, len);
        strcpy(plan->buffer + len, len ? "/" : "");
        strcat(plan->buffer, plan->program);
        exec_at(plan, plan->buffer);
        forbidden |= errno == EACCES;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            return;
        if (dir[len] == '\0')
            break;
    }
    errno = forbidden ? EACCES : ENOENT;
}

static _Noreturn __attribute__((noinline)) void become(struct plan *plan)
{
    if (arrange_process(plan->options) == 0 && arrange_descriptors(plan) == 0) {
        reset_signals();
        if (plan->path)
            exec_in_path(plan);
        else
            exec_at(plan, plan->program);
    }
    int error = errno;
    ssize_t ignored = write(plan->report[1], &error, sizeof error);
    (void)ignored;
    _exit(127);
}

/* ---- before ------------------------------------------------------------------------------- */

/* Descriptors 0 to 2 are the child's to fill. */
static int move_up(int fd)
{
    if (fd < 0 || fd >= STANDARD)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STANDARD), saved = errno;
    close(fd);
    errno = saved;
    return moved;
}

static void close_all(int fds[], size_t count)
{
    int saved = errno;

    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    errno = saved;
}

static int open_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0) {
        fds[0] = fds[1] = -1;
        return -1;
    }
    fds[0] = move_up(fds[0]);
    fds[1] = move_up(fds[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    close_all(fds, 2);
    return -1;
}

static int plan_pipe(struct plan *plan, int which)
{
    int ends[2], their_end = which == IN ? 0 : 1;

    if (open_pipe(ends) < 0)
        return -1;
    plan->theirs[which] = plan->to_close[which] = ends[their_end];
    plan->ours[which] = ends[!their_end];
    return fcntl(plan->ours[which], F_SETFL, O_NONBLOCK);
}

static int plan_null(struct plan *plan, int which)
{
    int fd = move_up(open("/dev/null", O_RDWR | O_CLOEXEC));

    plan->theirs[which] = plan->to_close[which] = fd;
    return fd < 0 ? -1 : 0;
}

static int plan_standard(struct plan *plan, int which, int wanted)
{
    switch (wanted) {
    case CRESS_INHERIT:
        plan->theirs[which] = which;
        return 0;
    case CRESS_PIPE:
        return plan_pipe(plan, which);
    case CRESS_DEVNULL:
        return plan_null(plan, which);
    case CRESS_STDOUT:
        plan->theirs[which] = plan->theirs[OUT];
        return 0;
    default:
        plan->theirs[which] = wanted;
        return fcntl(wanted, F_GETFD) < 0 ? -1 : 0;
    }
}

static int check_passed(const cress_subprocess_options *options)
{
    for (size_t i = 0; i < options->pass_count; i++)
        if (fcntl(options->pass_fds[i], F_GETFD) < 0)
            return -1;
    return 0;
}

/* PATH, as the child would see it. */
static const char *search_path(char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/bin:/usr/bin";
}

static int plan_program(struct plan *plan)
{
    const cress_subprocess_options *options = plan->options;

    plan->env = options->env ? (char **)(uintptr_t)options->env : environ;
    plan->program = options->program ? options->program : options->argv[0];
    if (strchr(plan->program, '/') || !*plan->program)
        return 0; /* an empty name is ENOENT wherever it is looked for */
    plan->path = search_path(plan->env);
    plan->buffer = malloc(strlen(plan->path) + strlen(plan->program) + 2);
    return plan->buffer ? 0 : -1;
}

static int make_plan(struct plan *plan)
{
    const cress_subprocess_options *options = plan->options;
    const int wanted[STANDARD] = { options->in, options->out, options->err };

    if (check_passed(options) < 0 || plan_program(plan) < 0)
        return -1;
    for (int which = 0; which < STANDARD; which++)
        if (plan_standard(plan, which, wanted[which]) < 0)
            return -1;
    return open_pipe(plan->report);
}

/* ---- spawning ------------------------------------------------------------------------------- */

static pid_t start(struct plan *plan)
{
    sigset_t all, previous;

    sigfillset(&all); /* no handler of ours may run in the child */
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    pid_t pid = vfork();
    if (pid == 0)
        become(plan);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    errno = saved;
    return pid;
}

/* 0: the program runs. Else the child is gone, and this is why. */
static int read_report(struct plan *plan, pid_t pid)
{
    int error = 0;
    ssize_t count;

    close_all(&plan->report[1], 1);
    do
        count = read(plan->report[0], &error, sizeof error);
    while (count < 0 && errno == EINTR);
    if (count <= 0)
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return error;
}

static pid_t run_plan(struct plan *plan)
{
    if (make_plan(plan) < 0)
        return -1;
    pid_t pid = start(plan);
    if (pid < 0)
        return -1;
    int error = read_report(plan, pid);
    if (!error)
        return pid;
    errno = error;
    return -1;
}

static bool is_place(int place, int least)
{
    return place >= least || place == CRESS_DEVNULL;
}

static bool are_valid(const cress_subprocess_options *options)
{
    for (size_t i = 0; i < options->pass_count; i++)
        if (options->pass_fds[i] < STANDARD)
            return false;
    return options->argv && options->argv[0] && is_place(options->in, CRESS_PIPE) &&
           is_place(options->out, CRESS_PIPE) && is_place(options->err, CRESS_STDOUT);
}

int cress_subprocess_spawn(cress_subprocess *p, const cress_subprocess_options *options)
{
    struct plan plan = {
        .options = options,
        .ours = { -1, -1, -1 },
        .to_close = { -1, -1, -1 },
        .report = { -1, -1 },
    };

    *p = (cress_subprocess){ .in = -1, .out = -1, .err = -1, .watched = -1 };
    if (!are_valid(options))
        return misuse(EINVAL, "cress_subprocess_spawn: no argv, or a descriptor that is none");
    struct child *child = child_create();
    pid_t pid = child ? run_plan(&plan) : -1;
    close_all(plan.to_close, STANDARD);
    close_all(plan.report, 2);
    if (pid < 0) {
        close_all(plan.ours, STANDARD);
        int saved = errno;
        free(child);
        free(plan.buffer);
        errno = saved;
        return -1;
    }
    free(plan.buffer);
    child_add(child, pid);
    *p = (cress_subprocess){ .pid = pid,
                             .in = plan.ours[IN],
                             .out = plan.ours[OUT],
                             .err = plan.ours[ERR],
                             .watched = child_open(pid),
                             .parent = getpid() };
    return 0;
}

/* ---- its end ---------------------------------------------------------------------------------- */

static bool is_ours(const cress_subprocess *p)
{
    return p->pid > 0 && p->parent == getpid();
}

/* What child_reap or child_wait said: 1, it has ended; 0, it runs; -1. */
static int note(cress_subprocess *p, int result, int status)
{
    if (p->ended) /* another greenlet was faster */
        return 1;
    if (result > 0) {
        p->ended = true;
        p->status = status;
    } else if (result < 0 && errno == ECHILD) {
        p->ended = p->lost = true;
    }
    return result;
}

/* For one that has ended. */
static int tell(const cress_subprocess *p, int *ret_status)
{
    if (p->lost) {
        errno = ECHILD;
        return -1;
    }
    if (ret_status)
        *ret_status = WIFEXITED(p->status) ? WEXITSTATUS(p->status) : -WTERMSIG(p->status);
    return 1;
}

int cress_subprocess_poll(cress_subprocess *p, int *ret_status)
{
    int status = 0, result = 1;

    if (!is_ours(p)) {
        errno = ECHILD;
        return -1;
    }
    if (!p->ended) {
        result = child_reap(p->pid, &status);
        result = note(p, result, status);
    }
    return result > 0 ? tell(p, ret_status) : result;
}

/* [waits] */
static int await(cress_subprocess *p, cress_seconds deadline)
{
    int status = 0, result = child_wait(p->pid, p->watched, deadline, &status);

    return note(p, result < 0 ? -1 : 1, status);
}

int cress_subprocess_wait(cress_subprocess *p, int *ret_status, cress_seconds timeout)
{
    if (hub_check() < 0)
        return -1;
    int result = cress_subprocess_poll(p, ret_status);
    if (result)
        return result < 0 ? -1 : 0;
    if (await(p, hub_deadline(timeout)) < 0)
        return -1;
    return tell(p, ret_status) < 0 ? -1 : 0;
}

int cress_subprocess_kill(cress_subprocess *p, int signum)
{
    if (!is_ours(p) || p->ended) {
        errno = p->ended ? ESRCH : ECHILD;
        return -1;
    }
    return kill(p->pid, signum);
}

static void await_shielded(cress_subprocess *p)
{
    cress_timeout shield;

    cress_timeout_start_shielded(&shield, CRESS_FOREVER);
    while (!p->ended && await(p, CRESS_FOREVER) < 0)
        continue;
    cress_timeout_close(&shield);
}

static void await_blocking(cress_subprocess *p)
{
    int status = 0;
    pid_t got;

    do
        got = waitpid(p->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    child_remove(p->pid);
    note(p, got < 0 ? -1 : 1, status);
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        cress_close(*fd);
    *fd = -1;
}

static void close_pipes(cress_subprocess *p)
{
    close_end(&p->in);
    close_end(&p->out);
    close_end(&p->err);
}

void cress_subprocess_finish(cress_subprocess *p)
{
    int saved = errno;

    if (!p || p->pid <= 0)
        return;
    if (is_ours(p) && cress_subprocess_poll(p, NULL) == 0) {
        kill(p->pid, SIGKILL);
        if (cress_self())
            await_shielded(p);
        else
            await_blocking(p);
    }
    close_pipes(p);
    close_end(&p->watched);
    errno = saved;
}

/* ---- talking to it ------------------------------------------------------------------------------- */

struct text {
    char *data;
    size_t len, capacity;
};

struct talk {
    cress_subprocess *p;
    const char *input;
    size_t left, limit;
    struct text out, err;
};

/* Room for a byte and the NUL behind it; for more, up to one byte above the limit. */
static int reserve(struct text *text, size_t limit)
{
    size_t most = limit + 2, capacity = text->capacity ? 2 * text->capacity : FIRST_PIECE;

    if (text->capacity >= text->len + 2)
        return 0;
    if (capacity > most)
        capacity = most;
    char *data = realloc(text->data, capacity);
    if (!data)
        return -1;
    text->data = data;
    text->capacity = capacity;
    return 0;
}

/* Takes what is there; closes the pipe at its end. */
static int drain(struct text *text, int *fd, size_t limit)
{
    if (reserve(text, limit) < 0)
        return -1;
    ssize_t count = read(*fd, text->data + text->len, text->capacity - 1 - text->len);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    text->len += (size_t)count;
    text->data[text->len] = '\0';
    if (count == 0)
        close_end(fd);
    if (text->len <= limit)
        return 0;
    errno = EMSGSIZE;
    return -1;
}

/* write(2), but a reader that has gone is EPIPE only. */
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
    sigset_t sigpipe, previous, pending;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &previous);
    ssize_t count = write(fd, data, len);
    int saved = errno;
    if (count < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&sigpipe, NULL, &(struct timespec){ 0, 0 });
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    errno = saved;
    return count;
}

static int feed(struct talk *t)
{
    ssize_t count = t->left ? write_quietly(t->p->in, t->input, t->left) : 0;

    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (count < 0 && errno != EPIPE)
        return -1;
    if (count > 0) {
        t->input += count;
        t->left -= (size_t)count;
    }
    if (count < 0 || t->left == 0)
        close_end(&t->p->in);
    return 0;
}

/* [waits] for the pipes, and does what they are ready for. */
static int exchange(struct talk *t, cress_seconds deadline)
{
    cress_subprocess *p = t->p;
    struct pollfd fds[STANDARD] = { { p->in, POLLOUT, 0 },
                                    { p->out, POLLIN, 0 },
                                    { p->err, POLLIN, 0 } };
    int ready = cress_poll(fds, STANDARD, deadline - cress_now());

    if (ready == 0)
        errno = ETIMEDOUT;
    if (ready <= 0)
        return -1;
    if (fds[IN].revents && feed(t) < 0)
        return -1;
    if (fds[OUT].revents && drain(&t->out, &p->out, t->limit) < 0)
        return -1;
    return fds[ERR].revents ? drain(&t->err, &p->err, t->limit) : 0;
}

static int hold_talk(struct talk *t, int *ret_status, cress_seconds timeout)
{
    cress_subprocess *p = t->p;

    if (hub_check() < 0)
        return -1;
    cress_seconds deadline = hub_deadline(timeout);
    if (p->in >= 0 && t->left == 0)
        close_end(&p->in);
    while (p->in >= 0 || p->out >= 0 || p->err >= 0)
        if (exchange(t, deadline) < 0)
            return -1;
    return cress_subprocess_wait(p, ret_status, deadline - cress_now());
}

int cress_subprocess_communicate(cress_subprocess *p, const void *input, size_t len, size_t limit,
                                 cress_subprocess_output *ret_output, cress_seconds timeout)
{
    const size_t most = SIZE_MAX / 4;
    struct talk t = { .p = p, .input = input, .left = len, .limit = limit < most ? limit : most };
    int status = 0;

    if (len && p->in < 0)
        return misuse(EINVAL, "cress_subprocess_communicate: input, but no pipe for it");
    if (hold_talk(&t, &status, timeout) == 0) {
        *ret_output =
            (cress_subprocess_output){ t.out.data, t.err.data, t.out.len, t.err.len, status };
        return 0;
    }
    int saved = errno;
    free(t.out.data);
    free(t.err.data);
    close_pipes(p);
    errno = saved;
    return -1;
}

void cress_subprocess_output_finish(cress_subprocess_output *output)
{
    if (!output)
        return;
    int saved = errno;
    free(output->out);
    free(output->err);
    *output = (cress_subprocess_output){ 0 };
    errno = saved;
}
