/* Children are shells and small programs of the system. They live in real time; a test
 * waits for what they do, never for a span. */
#define _GNU_SOURCE
#include "descriptors.h"
#include "fail_alloc.h"
#include "hub_test.h"

#include "../../greenlet/hub.h"

#include <cress/event.h>
#include <cress/io.h>
#include <cress/pipe.h>
#include <cress/signal.h>
#include <cress/subprocess.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- kernels without ------------------------------------------------------------------------ */

static bool no_pidfd, no_close_range;

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
int __real_close_range(unsigned first, unsigned last, int flags);
int __wrap_close_range(unsigned first, unsigned last, int flags);

int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    if (!no_pidfd)
        return __real_pidfd_open(pid, flags);
    errno = ENOSYS;
    return -1;
}

int __wrap_close_range(unsigned first, unsigned last, int flags)
{
    if (!no_close_range)
        return __real_close_range(first, last, flags);
    errno = ENOSYS;
    return -1;
}

/* ---- helpers ------------------------------------------------------------------------------------ */

#define ARGV(...)         \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define SHELL(script) ARGV("sh", "-c", script)

enum { LIMIT = 1 << 20 };

static int start(cress_subprocess *p, const char *script)
{
    return cress_subprocess_spawn(p, &(cress_subprocess_options){
                                         .argv = SHELL(script),
                                         .in = CRESS_PIPE,
                                         .out = CRESS_PIPE,
                                         .err = CRESS_PIPE,
                                     });
}

/* Its stdout; its stderr is ours. */
static char *output_of(const cress_subprocess_options *wanted)
{
    cress_subprocess_options options = *wanted;
    cress_subprocess p;
    cress_subprocess_output output;

    options.out = CRESS_PIPE;
    assert_ok(cress_subprocess_spawn(&p, &options));
    assert_ok(cress_subprocess_communicate(&p, NULL, 0, LIMIT, &output, CRESS_FOREVER));
    assert_int_equal(output.status, 0);
    assert_int_equal(output.out_len, strlen(output.out));
    cress_subprocess_finish(&p);
    free(output.err);
    return output.out;
}

#define assert_output(expected, ...)                                       \
    do {                                                                   \
        char *got = output_of(&(cress_subprocess_options){ __VA_ARGS__ }); \
        assert_string_equal(got, expected);                                \
        free(got);                                                         \
    } while (0)

static void assert_no_child_left(void)
{
    assert_errno(ECHILD, waitpid(-1, NULL, WNOHANG));
    assert_null(hub_current->children);
}

/* ---- status ------------------------------------------------------------------------------------------ */

static int status_of(const char *script)
{
    cress_subprocess p;
    int status = 4711;

    assert_ok(cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = SHELL(script) }));
    assert_ok(cress_subprocess_wait(&p, &status, CRESS_FOREVER));
    int again = 0;
    assert_ok(cress_subprocess_wait(&p, &again, 0)); /* it is known for good */
    assert_int_equal(again, status);
    assert_int_equal(cress_subprocess_poll(&p, NULL), 1);
    assert_errno(ESRCH, cress_subprocess_kill(&p, SIGTERM));
    cress_subprocess_finish(&p);
    return status;
}

static void test_status(void)
{
    assert_int_equal(status_of("exit 0"), 0);
    assert_int_equal(status_of("exit 7"), 7);
    assert_int_equal(status_of("exit 255"), 255);
    assert_int_equal(status_of("kill -TERM $$"), -SIGTERM);
    assert_int_equal(status_of("kill -KILL $$"), -SIGKILL);
    assert_no_child_left();
}

static void test_poll_and_kill(void)
{
    cress_subprocess p;
    int status = 4711;

    assert_ok(
        cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = ARGV("sleep", "1000") }));
    assert_true(p.pid > 0);
    assert_int_equal(p.in, -1);
    assert_int_equal(cress_subprocess_poll(&p, &status), 0);
    assert_errno(ETIMEDOUT, cress_subprocess_wait(&p, &status, 0));
    assert_errno(ETIMEDOUT, cress_subprocess_wait(&p, &status, 0.01));
    assert_int_equal(status, 4711);
    assert_ok(cress_subprocess_kill(&p, SIGTERM));
    assert_ok(cress_subprocess_wait(&p, &status, CRESS_FOREVER));
    assert_int_equal(status, -SIGTERM);
    cress_subprocess_finish(&p);
    assert_no_child_left();
}

static void test_without_pidfd(void)
{
    no_pidfd = true;
    test_status();
    test_poll_and_kill();
    no_pidfd = false;
}

/* ---- waiting -------------------------------------------------------------------------------------------- */

static void *wait_for_it(void *arg)
{
    int status = 0;

    if (cress_subprocess_wait(arg, &status, CRESS_FOREVER) < 0)
        trace("%s", strerror(errno));
    else
        trace("status %d", status);
    return NULL;
}

static void test_several_wait(void)
{
    cress_subprocess p;
    cress_greenlet *gs[3];
    int turns = 0;

    assert_ok(start(&p, "read line; exit 3"));
    for (int i = 0; i < 3; i++)
        gs[i] = cress_spawn(wait_for_it, &p);
    for (; turns < 10; turns++)
        assert_ok(cress_sleep(0.0001)); /* the others run meanwhile */
    assert_ok(cress_kill(gs[1], CRESS_FOREVER));
    assert_trace("Operation canceled\n");
    assert_int_equal(cress_write(p.in, "\n", 1), 1);
    assert_ok(cress_joinall(gs, 3, CRESS_FOREVER));
    assert_trace("status 3\nstatus 3\n");
    for (int i = 0; i < 3; i++)
        cress_release(gs[i]);
    cress_subprocess_finish(&p);
    assert_no_child_left();
}

static void test_limits(void)
{
    cress_subprocess p;
    cress_timeout limit;

    assert_ok(start(&p, "read line"));
    cress_timeout_start(&limit, 0.01);
    assert_errno(ETIMEDOUT, cress_subprocess_wait(&p, NULL, CRESS_FOREVER));
    assert_errno(ETIMEDOUT, cress_subprocess_wait(&p, NULL, CRESS_FOREVER));
    cress_subprocess_finish(&p); /* even so */
    cress_timeout_close(&limit);
    assert_no_child_left();
}

static void *finish_it(void *p)
{
    assert_errno(ECANCELED, cress_sleep(CRESS_FOREVER));
    errno = EXDEV;
    cress_subprocess_finish(p);
    assert_int_equal(errno, EXDEV);
    return p;
}

static void test_a_killed_greenlet_can_finish(void)
{
    cress_subprocess p;

    assert_ok(
        cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = ARGV("sleep", "1000") }));
    cress_greenlet *g = cress_spawn(finish_it, &p);
    cress_greenlet *waiter = cress_spawn(wait_for_it, &p);
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_ok(cress_join(waiter, CRESS_FOREVER));
    assert_true(p.ended && p.watched == -1);
    assert_trace("status -9\n");
    assert_true(cress_was_killed(g)); /* and it has come to its end */
    cress_release(g);
    cress_release(waiter);
    assert_no_child_left();
}

/* A child whose end nobody waits for is no reason to be stuck, nor to jump over what it does. */
static void test_the_virtual_clock_goes_along(void)
{
    cress_subprocess p;
    char c;

    assert_ok(start(&p, "read line; echo x"));
    assert_ok(cress_sleep(0.001));
    assert_int_equal(cress_write(p.in, "\n", 1), 1);
    cress_timeout limit;
    cress_timeout_start(&limit, 50);
    assert_int_equal(cress_read(p.out, &c, 1), 1); /* long before that */
    cress_timeout_close(&limit);
    cress_subprocess_finish(&p);
    assert_true(cress_now() < 50);
    assert_ok(cress_sleep(100000)); /* and jumps again */
}

/* ---- what the child gets ------------------------------------------------------------------------------------ */

static void test_arguments(void)
{
    assert_output("a b\n", .argv = ARGV("echo", "a", "b"));
    assert_output("", .argv = ARGV("/bin/true"));
    assert_output("hi there\n", .argv = ARGV("not echo", "hi there"), .program = "echo");
}

static void test_environment(void)
{
    setenv("CRESS_TEST_VARIABLE", "ours", 1);
    assert_output("ours\n", .argv = SHELL("echo $CRESS_TEST_VARIABLE"));
    assert_output("its\n", .argv = ARGV("/bin/sh", "-c", "echo $CRESS_TEST_VARIABLE"),
                  .env = ARGV("CRESS_TEST_VARIABLE=its"));
    assert_output("A=1\nB=2\n", .argv = ARGV("env"), .env = ARGV("A=1", "B=2"));
    unsetenv("CRESS_TEST_VARIABLE");
}

/* A program in a directory of its own. */
static char directory[] = "/tmp/cress-subprocess-XXXXXX";

static const char *in_directory(const char *name)
{
    static char path[100];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_script(const char *name, mode_t mode, const char *text)
{
    int fd = open(in_directory(name), O_WRONLY | O_CREAT | O_CLOEXEC, mode);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    write_script("program", 0755, "#!/bin/sh\necho from the directory\n");
    write_script("text", 0644, "nothing\n");
    write_script("no-interpreter", 0755, "#!/no/such\n");
    write_script("no-format", 0755, "nothing\n");
    return 0;
}

static int remove_directory(void **state)
{
    static const char *const names[] = { "program", "text", "no-interpreter", "no-format" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_directory(names[i]));
    return rmdir(directory);
}

static void test_path(void)
{
    char path[200];

    snprintf(path, sizeof path, "PATH=/no/such:%s:/bin", directory);
    assert_output("from the directory\n", .argv = ARGV("program"), .env = ARGV(path));
    assert_output("found\n", .argv = ARGV("echo", "found"), .env = ARGV(path));
    assert_output("found\n", .argv = ARGV("echo", "found"), .env = ARGV("X=no path at all"));
    assert_output("from the directory\n", .argv = ARGV("program"), .cwd = directory,
                  .env = ARGV("PATH=/bin:")); /* an empty part: the working directory */
}

static void test_working_directory(void)
{
    char expected[100];

    snprintf(expected, sizeof expected, "%s\n", directory);
    assert_output(expected, .argv = ARGV("/bin/pwd"), .cwd = directory);
    assert_output("from the directory\n", .argv = ARGV("./program"), .cwd = directory);
}

static void test_groups(void)
{
    cress_subprocess p;
    pid_t group, session;

    for (int i = 0; i < 3; i++) {
        assert_ok(cress_subprocess_spawn(&p, &(cress_subprocess_options){
                                                 .argv = ARGV("sleep", "1000"),
                                                 .group = i == 1,
                                                 .session = i == 2,
                                             }));
        group = getpgid(p.pid);
        session = getsid(p.pid);
        assert_int_equal(group, i ? p.pid : getpgrp());
        assert_int_equal(session, i == 2 ? p.pid : getsid(0));
        cress_subprocess_finish(&p);
    }
}

static void *ignore_it(void *arg)
{
    return arg;
}

/* Of a program that blocks and ignores none itself. */
static void test_signals_are_at_their_defaults(void)
{
    sigset_t blocked, previous;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, &previous);
    signal(SIGPIPE, SIG_IGN);
    assert_ok(cress_signal(SIGUSR1, ignore_it, NULL));
    assert_output("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
                  .argv = ARGV("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"));
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, &previous, &now);
    assert_true(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGHUP)); /* ours: as before */
    assert_true(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    assert_ok(cress_signal(SIGUSR1, NULL, NULL));
}

/* ---- descriptors --------------------------------------------------------------------------------------------- */

/* `ls` itself has the directory open, as the lowest number that is free. */
static void list_descriptors(const char *expected, const int *pass, size_t count)
{
    assert_output(expected, .argv = ARGV("ls", "/proc/self/fd"), .pass_fds = pass,
                  .pass_count = count);
    assert_output(expected, .argv = ARGV("ls", "/proc/self/fd"), .in = CRESS_DEVNULL,
                  .err = CRESS_STDOUT, .pass_fds = pass, .pass_count = count);
}

static void test_no_descriptor_leaks(void)
{
    int plain[20], high = -1;

    for (int i = 0; i < 20; i++) {
        plain[i] = open("/dev/null", O_RDONLY); /* not close-on-exec */
        assert_true(plain[i] > 2);
    }
    high = fcntl(plain[0], F_DUPFD, 700);
    assert_true(high >= 700);
    for (int i = 0; i < 2; i++) {
        no_close_range = i == 1;
        list_descriptors("0\n1\n2\n3\n", NULL, 0);
    }
    no_close_range = false;
    assert_false(fcntl(plain[0], F_GETFD) & FD_CLOEXEC); /* ours are as they were */
    close(high);
    for (int i = 0; i < 20; i++)
        close(plain[i]);
}

static void test_some_are_passed(void)
{
    int fds[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC), -1 };

    fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 50);
    assert_int_equal(fds[1], 50);
    int three = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
    list_descriptors("0\n1\n2\n3\n50\n", &fds[1], 1);
    close(three);
    assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
}

static void test_no_descriptor_is_left(void)
{
    size_t before = count_descriptors();
    cress_subprocess p;

    for (int i = 0; i < 5; i++) {
        assert_ok(start(&p, "cat; echo x >&2"));
        cress_subprocess_finish(&p);
        assert_errno(ENOENT, cress_subprocess_spawn(
                                 &p, &(cress_subprocess_options){ .argv = ARGV("/no/such"),
                                                                  .in = CRESS_PIPE,
                                                                  .out = CRESS_PIPE,
                                                                  .err = CRESS_DEVNULL }));
    }
    assert_int_equal(count_descriptors(), before);
    assert_no_child_left();
}

static void test_streams_go_where_they_shall(void)
{
    cress_subprocess p;
    cress_subprocess_output output;
    const char *script = "cat; echo out; echo err >&2";
    int fds[2];
    char text[32] = "";

    assert_ok(cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = SHELL(script),
                                                                      .in = CRESS_DEVNULL,
                                                                      .out = CRESS_PIPE,
                                                                      .err = CRESS_STDOUT }));
    assert_ok(cress_subprocess_communicate(&p, NULL, 0, LIMIT, &output, CRESS_FOREVER));
    assert_string_equal(output.out, "out\nerr\n");
    assert_null(output.err);
    cress_subprocess_output_finish(&output);
    cress_subprocess_finish(&p);

    assert_ok(cress_pipe(fds));
    assert_ok(cress_subprocess_spawn(
        &p, &(cress_subprocess_options){
                .argv = SHELL(script), .in = CRESS_DEVNULL, .out = CRESS_DEVNULL, .err = fds[1] }));
    cress_close(fds[1]);
    assert_int_equal(cress_read(fds[0], text, sizeof text), 4);
    assert_string_equal(text, "err\n");
    assert_int_equal(cress_read(fds[0], text, sizeof text), 0);
    cress_close(fds[0]);
    cress_subprocess_finish(&p);
}

/* The child's stdout is our stderr, and its stderr our stdout. */
static void test_streams_may_change_places(void)
{
    int out[2], err[2], saved[3];
    char text[16] = "";

    assert_ok(pipe(out));
    assert_ok(pipe(err));
    for (int fd = 0; fd < 3; fd++)
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    dup2(out[1], 1);
    dup2(err[1], 2);
    close(0); /* and there is no stdin: the next pipe's number */
    cress_subprocess p;
    int spawned = cress_subprocess_spawn(
        &p,
        &(cress_subprocess_options){
            .argv = SHELL("cat; echo out; echo err >&2"), .in = CRESS_PIPE, .out = 2, .err = 1 });
    int wrote = (int)cress_write(p.in, "in\n", 3);
    cress_close(p.in);
    p.in = -1;
    int waited = cress_subprocess_wait(&p, NULL, CRESS_FOREVER);
    for (int fd = 0; fd < 3; fd++) {
        dup2(saved[fd], fd);
        close(saved[fd]);
    }
    assert_ok(spawned);
    assert_int_equal(wrote, 3);
    assert_ok(waited);
    cress_subprocess_finish(&p);
    assert_int_equal(read(err[0], text, sizeof text), 7);
    assert_memory_equal(text, "in\nout\n", 7);
    assert_int_equal(read(out[0], text, sizeof text), 4);
    assert_memory_equal(text, "err\n", 4);
    for (int i = 0; i < 2; i++) {
        close(out[i]);
        close(err[i]);
    }
}

/* ---- what cannot be started --------------------------------------------------------------------------------- */

static void assert_refused(int error, const cress_subprocess_options *options)
{
    cress_subprocess p;

    assert_errno(error, cress_subprocess_spawn(&p, options));
    assert_int_equal(p.pid, 0);
    cress_subprocess_finish(&p);
}

#define REFUSED(error, ...) assert_refused(error, &(cress_subprocess_options){ __VA_ARGS__ })

static void test_errors_of_the_child_are_ours(void)
{
    static char long_argument[4 << 20];

    REFUSED(ENOENT, .argv = ARGV("/no/such"));
    REFUSED(ENOENT, .argv = ARGV("no-such-program-anywhere"));
    REFUSED(ENOENT, .argv = ARGV(""));
    REFUSED(EACCES, .argv = ARGV(in_directory("text")));
    REFUSED(EACCES, .argv = ARGV("/"));
    REFUSED(ENOENT, .argv = ARGV(in_directory("no-interpreter")));
    REFUSED(ENOEXEC, .argv = ARGV(in_directory("no-format")));
    REFUSED(ENOENT, .argv = ARGV("true"), .cwd = "/no/such");
    REFUSED(ENOTDIR, .argv = ARGV("true"), .cwd = in_directory("text"));
    memset(long_argument, 'x', sizeof long_argument - 1);
    REFUSED(E2BIG, .argv = ARGV("true", long_argument));
    assert_no_child_left();
}

static void test_errors_of_our_own(void)
{
    const int closed = 999;

    REFUSED(EBADF, .argv = ARGV("true"), .out = closed);
    REFUSED(EBADF, .argv = ARGV("true"), .pass_fds = &closed, .pass_count = 1);
    assert_no_child_left();
}

static const cress_subprocess_options misuses[] = {
    { 0 },
    { .argv = (const char *const[]){ NULL } },
    { .argv = ARGV("true"), .in = CRESS_STDOUT },
    { .argv = ARGV("true"), .out = CRESS_STDOUT },
    { .argv = ARGV("true"), .err = -4 },
    { .argv = ARGV("true"), .pass_fds = (const int[]){ 2 }, .pass_count = 1 },
};

static void test_misuse(void)
{
    cress_subprocess p;
    cress_subprocess_output output;

    for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++)
        assert_refused(EINVAL, &misuses[i]);
    assert_ok(cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = ARGV("true") }));
    assert_errno(EINVAL, cress_subprocess_communicate(&p, "x", 1, LIMIT, &output, CRESS_FOREVER));
    cress_subprocess_finish(&p);
}

static void *spawn_nothing(void *arg)
{
    cress_subprocess p;

    cress_subprocess_spawn(&p, &misuses[0]);
    return arg;
}

static void *talk_to_nobody(void *arg)
{
    cress_subprocess p;
    cress_subprocess_output output;

    cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = ARGV("true") });
    cress_subprocess_communicate(&p, "x", 1, LIMIT, &output, CRESS_FOREVER);
    return arg;
}

static void test_misuse_stops(void **state)
{
    (void)state;
    assert_misuse(spawn_nothing, "cress_subprocess_spawn: no argv");
    assert_misuse(talk_to_nobody, "cress_subprocess_communicate: input, but no pipe");
}

static void test_out_of_memory(void)
{
    bool failed = true;
    size_t before = count_descriptors();

    for (int left = 0; failed; left++) {
        cress_subprocess p;
        cress_subprocess_output output;

        allocations_left = left;
        int result = start(&p, "echo x; echo y >&2");
        if (result == 0)
            result = cress_subprocess_communicate(&p, NULL, 0, LIMIT, &output, CRESS_FOREVER);
        int error = errno;
        failed = end_failing();
        assert_int_equal(result, failed ? -1 : 0);
        if (failed)
            assert_int_equal(error, ENOMEM);
        else
            cress_subprocess_output_finish(&output);
        cress_subprocess_finish(&p);
        assert_no_child_left();
    }
    assert_int_equal(count_descriptors(), before);
}

/* ---- communicate ------------------------------------------------------------------------------------------------ */

enum { MUCH = 1 << 20 }; /* more than pipes hold */

static char much[MUCH];

static void test_much_both_ways(void)
{
    cress_subprocess p;
    cress_subprocess_output output;

    for (int i = 0; i < MUCH; i++)
        much[i] = (char)(i * 31 + i / 256);
    assert_ok(start(&p, "tee /dev/stderr"));
    assert_ok(cress_subprocess_communicate(&p, much, MUCH, MUCH, &output, CRESS_FOREVER));
    assert_int_equal(output.out_len, MUCH); /* just what the limit allows */
    assert_int_equal(output.err_len, MUCH);
    assert_memory_equal(output.out, much, MUCH);
    assert_memory_equal(output.err, much, MUCH);
    assert_int_equal(output.out[MUCH], '\0');
    assert_int_equal(output.status, 0);
    cress_subprocess_output_finish(&output);
    cress_subprocess_finish(&p);
}

static void test_too_much(void)
{
    cress_subprocess p;
    cress_subprocess_output output = { .status = 4711 };

    assert_ok(start(&p, "yes"));
    assert_errno(EMSGSIZE,
                 cress_subprocess_communicate(&p, NULL, 0, 10000, &output, CRESS_FOREVER));
    assert_int_equal(output.status, 4711);
    assert_int_equal(p.out, -1);
    cress_subprocess_finish(&p);
    assert_ok(start(&p, "echo four >&2"));
    assert_errno(EMSGSIZE, cress_subprocess_communicate(&p, NULL, 0, 4, &output, CRESS_FOREVER));
    cress_subprocess_finish(&p);
    assert_ok(start(&p, "true"));
    assert_ok(cress_subprocess_communicate(&p, NULL, 0, 0, &output, CRESS_FOREVER));
    assert_int_equal(output.out_len, 0);
    assert_string_equal(output.out, "");
    cress_subprocess_output_finish(&output);
    cress_subprocess_finish(&p);
}

/* The child reads nothing: no SIGPIPE here, no error. */
static void test_input_that_nobody_reads(void)
{
    cress_subprocess p;
    cress_subprocess_output output;

    assert_ok(start(&p, "exec <&-; echo done; exit 2"));
    assert_ok(cress_subprocess_communicate(&p, much, MUCH, LIMIT, &output, CRESS_FOREVER));
    assert_string_equal(output.out, "done\n");
    assert_int_equal(output.status, 2);
    cress_subprocess_output_finish(&output);
    cress_subprocess_finish(&p);
}

static void test_communicate_has_limits(void)
{
    cress_subprocess p;
    cress_subprocess_output output;

    assert_ok(start(&p, "echo something; exec sleep 1000"));
    assert_errno(ETIMEDOUT, cress_subprocess_communicate(&p, NULL, 0, LIMIT, &output, 0.01));
    assert_int_equal(cress_subprocess_poll(&p, NULL), 0);
    cress_subprocess_finish(&p);
    assert_ok(start(&p, "exec >&- 2>&-; exec sleep 1000")); /* it lives longer than its pipes */
    assert_errno(ETIMEDOUT, cress_subprocess_communicate(&p, NULL, 0, LIMIT, &output, 0.01));
    cress_subprocess_finish(&p);
    assert_no_child_left();
}

static void *talk_for_ever(void *p)
{
    cress_subprocess_output output;

    assert_errno(ECANCELED,
                 cress_subprocess_communicate(p, NULL, 0, LIMIT, &output, CRESS_FOREVER));
    trace("killed");
    return NULL;
}

static void test_a_kill_does_not_lose_the_child(void)
{
    cress_subprocess p;
    int status = 0;

    assert_ok(start(&p, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"));
    char line[6];
    assert_int_equal(cress_read(p.out, line, 6), 6);
    cress_greenlet *g = cress_spawn(talk_for_ever, &p);
    settle();
    assert_ok(cress_kill(g, CRESS_FOREVER));
    assert_trace("killed\n");
    assert_ok(cress_subprocess_kill(&p, SIGTERM));
    assert_ok(cress_subprocess_wait(&p, &status, CRESS_FOREVER));
    assert_int_equal(status, 5);
    cress_release(g);
    cress_subprocess_finish(&p);
}

static void test_nothing_to_talk_about(void)
{
    cress_subprocess p;
    cress_subprocess_output output;

    assert_ok(cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = SHELL("exit 9") }));
    assert_ok(cress_subprocess_communicate(&p, NULL, 0, 0, &output, CRESS_FOREVER));
    assert_int_equal(output.status, 9);
    assert_null(output.out);
    cress_subprocess_output_finish(&output);
    cress_subprocess_output_finish(NULL);
    cress_subprocess_finish(&p);
}

/* ---- beside others ---------------------------------------------------------------------------------------------- */

static cress_event child_signal;

static void *on_child(void *arg)
{
    cress_event_set(&child_signal);
    return arg;
}

/* A handler for SIGCHLD sees the signal, and takes nothing away. */
static void test_beside_a_handler_for_sigchld(void)
{
    assert_ok(cress_signal(SIGCHLD, on_child, NULL));
    assert_int_equal(status_of("exit 4"), 4);
    assert_ok(cress_event_wait(&child_signal, CRESS_FOREVER));
    assert_ok(cress_signal(SIGCHLD, NULL, NULL));
}

static void test_children_of_others_are_left_alone(void)
{
    int status = 0;
    pid_t other = fork();

    if (other == 0)
        _exit(6);
    for (int i = 0; i < 5; i++)
        assert_int_equal(status_of("exit 1"), 1);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 6);
}

static void test_reaped_by_somebody_else(void)
{
    cress_subprocess p;
    int status = 4711;

    assert_ok(cress_subprocess_spawn(&p, &(cress_subprocess_options){ .argv = ARGV("true") }));
    assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
    assert_errno(ECHILD, cress_subprocess_wait(&p, &status, CRESS_FOREVER));
    assert_errno(ECHILD, cress_subprocess_poll(&p, &status));
    assert_errno(ESRCH, cress_subprocess_kill(&p, SIGTERM));
    assert_int_equal(status, 4711);
    cress_subprocess_finish(&p);
    assert_no_child_left();
}

static void *use_children(void *arg)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(status_of("exit 3"), 3);
    return arg;
}

static void *run_hub(void *arg)
{
    return run_virtual(use_children, arg) < 0 ? arg : NULL;
}

static void test_in_every_thread(void **state)
{
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_ok(pthread_create(&threads[i], NULL, run_hub, NULL));
    for (int i = 0; i < 3; i++)
        assert_ok(pthread_join(threads[i], NULL));
}

static void *leave_a_child(void *arg)
{
    return cress_subprocess_spawn(arg, &(cress_subprocess_options){ .argv = ARGV("sleep", "1000"),
                                                                    .out = CRESS_PIPE }) < 0
               ? cress_fail(errno)
               : NULL;
}

static void test_outside_a_hub(void **state)
{
    cress_subprocess p;
    cress_subprocess_output output;
    size_t before = count_descriptors();

    (void)state;
    assert_ok(run_virtual(leave_a_child, &p)); /* its hub ends, it does not */
    assert_int_equal(cress_subprocess_poll(&p, NULL), 0);
    assert_errno(EPERM, cress_subprocess_wait(&p, NULL, 0));
    cress_subprocess_finish(&p);
    assert_int_equal(p.status, SIGKILL);
    assert_null(leave_a_child(&p));
    cress_subprocess_finish(&p);
    cress_subprocess_finish(&p);
    assert_errno(ECHILD, waitpid(-1, NULL, WNOHANG));
    assert_ok(cress_subprocess_spawn(
        &p, &(cress_subprocess_options){ .argv = (const char *const[]){ "true", NULL },
                                         .out = CRESS_PIPE }));
    assert_errno(EPERM, cress_subprocess_communicate(&p, NULL, 0, 10, &output, 1));
    cress_subprocess_finish(&p);
    p = (cress_subprocess){ 0 };
    cress_subprocess_finish(&p); /* closes nothing */
    cress_subprocess_finish(NULL);
    assert_int_equal(count_descriptors(), before);
    assert_errno(ECHILD, cress_subprocess_poll(&p, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_status),
        HUB_TEST(test_poll_and_kill),
        HUB_TEST(test_without_pidfd),
        HUB_TEST(test_several_wait),
        HUB_TEST(test_limits),
        HUB_TEST(test_a_killed_greenlet_can_finish),
        HUB_TEST(test_the_virtual_clock_goes_along),
        HUB_TEST(test_arguments),
        HUB_TEST(test_environment),
        HUB_TEST(test_path),
        HUB_TEST(test_working_directory),
        HUB_TEST(test_groups),
        HUB_TEST(test_signals_are_at_their_defaults),
        HUB_TEST(test_no_descriptor_leaks),
        HUB_TEST(test_some_are_passed),
        HUB_TEST(test_no_descriptor_is_left),
        HUB_TEST(test_streams_go_where_they_shall),
        HUB_TEST(test_streams_may_change_places),
        HUB_TEST(test_errors_of_the_child_are_ours),
        HUB_TEST(test_errors_of_our_own),
        HUB_TEST(test_misuse),
        cmocka_unit_test(test_misuse_stops),
        HUB_TEST(test_out_of_memory),
        HUB_TEST(test_much_both_ways),
        HUB_TEST(test_too_much),
        HUB_TEST(test_input_that_nobody_reads),
        HUB_TEST(test_communicate_has_limits),
        HUB_TEST(test_a_kill_does_not_lose_the_child),
        HUB_TEST(test_nothing_to_talk_about),
        HUB_TEST(test_beside_a_handler_for_sigchld),
        HUB_TEST(test_children_of_others_are_left_alone),
        HUB_TEST(test_reaped_by_somebody_else),
        cmocka_unit_test(test_in_every_thread),
        cmocka_unit_test(test_outside_a_hub),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
