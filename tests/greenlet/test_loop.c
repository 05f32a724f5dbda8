/* The event loop alone: no hub, no greenlets. */
#define _GNU_SOURCE
#include "../../greenlet/clock.h"
#include "../../greenlet/loop.h"

#include "descriptors.h"
#include "hub_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what the loop calls ----------------------------------------------------------- */

static unsigned controls; /* calls of epoll_ctl */
static int control_error; /* that it fails with; 0: it does not */
static bool old_kernel, no_memory;

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    controls++;
    if (!control_error)
        return __real_epoll_ctl(epoll, operation, fd, event);
    errno = control_error;
    return -1;
}

void *__wrap_realloc(void *old, size_t size)
{
    if (!no_memory)
        return __real_realloc(old, size);
    errno = ENOMEM;
    return NULL;
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
#ifdef SYS_epoll_pwait2
    if (number == SYS_epoll_pwait2 && old_kernel) {
        errno = ENOSYS;
        return -1;
    }
#endif
    return __real_syscall(number, a, b, c, d, e, f);
}

/* ---- a loop, and watchers that trace what they are told -------------------------------- */

struct watcher {
    struct loop_io io; /* first */
    const char *name;
    unsigned told;
    struct watcher *stops, *starts; /* when it is told; NULL: nobody */
};

static struct loop loop;
static unsigned woken;

static void note(struct loop_io *io, int events)
{
    struct watcher *w = (struct watcher *)(void *)io;

    w->told++;
    if (w->name && events < 0)
        trace("%s: %s", w->name, strerrorname_np(-events));
    else if (w->name)
        trace("%s%s%s", w->name, events & LOOP_READ ? " reads" : "",
              events & LOOP_WRITE ? " writes" : "");
    if (w->stops)
        loop_stop(&loop, &w->stops->io);
    if (w->starts)
        assert_ok(loop_start(&loop, &w->starts->io));
}

static void note_wake(struct loop *l)
{
    assert_ptr_equal(l, &loop);
    woken++;
}

static loop_handler *const handlers[] = { note, note };

static int open_loop(void **state)
{
    (void)state;
    assert_ok(loop_open(&loop, handlers, note_wake));
    woken = controls = 0;
    return 0;
}

static int close_loop(void **state)
{
    (void)state;
    loop_close(&loop);
    assert_trace("");
    return 0;
}

static void init(struct watcher *w, const char *name, int fd, int events, bool steady)
{
    *w = (struct watcher){ .name = name };
    loop_io_init(&w->io, 0, fd, events, steady);
}

static void start(struct watcher *w, const char *name, int fd, int events)
{
    init(w, name, fd, events, false);
    assert_ok(loop_start(&loop, &w->io));
}

static int ready_counter(void)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

/* Nothing is reported any more, not even what is dropped. */
static void assert_silent(void)
{
    struct epoll_event event;

    loop_look(&loop, 0);
    assert_int_equal(epoll_wait(loop.epoll, &event, 1, 0), 0);
}

/* ---- watching --------------------------------------------------------------------------- */

static void test_told_of_what_is_asked_for(void **state)
{
    struct watcher reader, writer, both;
    int ends[2];

    (void)state;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    start(&reader, "reader", ends[0], LOOP_READ);
    loop_look(&loop, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    loop_look(&loop, CRESS_FOREVER);
    loop_look(&loop, CRESS_FOREVER); /* it has not been read */
    assert_trace("reader reads\nreader reads\n");
    loop_stop(&loop, &reader.io);
    start(&writer, "writer", ends[0], LOOP_WRITE);
    start(&both, "both", ends[1], LOOP_READ | LOOP_WRITE);
    loop_look(&loop, CRESS_FOREVER);
    assert_int_equal(writer.told + both.told, 2);
    loop_stop(&loop, &both.io);
    close(ends[1]); /* its end is both */
    start(&reader, "reader", ends[0], LOOP_READ);
    check_trace(writer.io.fd < both.io.fd ? "writer writes\nboth writes\n"
                                          : "both writes\nwriter writes\n",
                __FILE__, __LINE__);
    loop_look(&loop, CRESS_FOREVER);
    assert_trace("writer writes\nreader reads\n");
    loop_stop(&loop, &writer.io);
    loop_stop(&loop, &reader.io);
    assert_silent(); /* although nobody took out what hangs up */
    close(ends[0]);
}

static void test_several_on_one_descriptor(void **state)
{
    struct watcher a, b, c, stands;
    int fd = ready_counter();

    (void)state;
    start(&a, "a", fd, LOOP_READ);
    start(&b, "b", fd, LOOP_WRITE);
    start(&stands, "never", fd, 0);
    start(&c, "c", fd, LOOP_READ | LOOP_WRITE);
    assert_int_equal(loop.active, 3);
    loop_look(&loop, 0);
    assert_trace("a reads\nb writes\nc reads writes\n");
    loop_stop(&loop, &a.io);
    assert_ok(loop_start(&loop, &a.io)); /* it is the last now */
    loop_look(&loop, 0);
    assert_trace("b writes\nc reads writes\na reads\n");
    assert_ptr_equal(loop_find(&loop, fd, 0), &b.io);
    assert_null(loop_find(&loop, fd, 1));
    assert_null(loop_find(&loop, fd + 100000, 0));
    loop_stop(&loop, &c.io);
    loop_stop(&loop, &b.io);
    loop_look(&loop, 0);
    assert_trace("a reads\n");
    loop_stop(&loop, &a.io);
    loop_stop(&loop, &a.io);
    assert_silent();
    loop_stop(&loop, &stands.io);
    assert_int_equal(loop.active, 0);
    close(fd);
}

/* Whatever a handler stops and starts, each of the others is told once or, if stopped, not at all. */
static void test_handlers_stop_and_start(void **state)
{
    struct watcher a, b, c, d;
    int fd = ready_counter();

    (void)state;
    start(&a, "a", fd, LOOP_READ);
    start(&b, "b", fd, LOOP_READ);
    start(&c, "c", fd, LOOP_READ);
    start(&d, "d", fd, LOOP_READ);
    a.stops = &b; /* the next */
    c.stops = &d; /* the last */
    c.starts = &b;
    loop_look(&loop, 0);
    assert_trace("a reads\nc reads\n");
    a.stops = a.starts = &a; /* itself, once in each look */
    c.stops = &c;
    c.starts = NULL;
    loop_look(&loop, 0);
    assert_trace("a reads\nc reads\nb reads\n");
    a.stops = &a;
    a.starts = NULL;
    b.stops = &b;
    b.starts = &c;
    loop_look(&loop, 0);
    assert_trace("b reads\na reads\n");
    loop_look(&loop, 0);
    assert_trace("c reads\n");
    assert_int_equal(loop.active, 0);
    close(fd);
}

static void test_a_steady_one_costs_one_call(void **state)
{
    struct watcher w, writer;
    int ends[2];

    (void)state;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    init(&w, NULL, ends[0], LOOP_READ, true);
    for (int i = 0; i < 5; i++) {
        assert_ok(loop_start(&loop, &w.io));
        loop_look(&loop, 0);
        loop_stop(&loop, &w.io);
        assert_ok(loop_start(&loop, &w.io)); /* in between nobody looks */
        loop_look(&loop, 0);
        loop_stop(&loop, &w.io);
        loop_look(&loop, 0);
    }
    assert_int_equal(controls, 1);
    assert_ok(loop_start(&loop, &w.io));
    for (int i = 0; i < 5; i++) { /* who waits for room, beside it */
        start(&writer, NULL, ends[0], LOOP_WRITE);
        loop_look(&loop, 0);
        loop_stop(&loop, &writer.io);
    }
    assert_int_equal(writer.told, 1);
    assert_int_equal(controls, 2);
    loop_look(&loop, 0); /* there is room, and nobody asks for it */
    assert_int_equal(controls, 3);
    assert_silent();
    loop_stop(&loop, &w.io);
    close(ends[0]);
    close(ends[1]);
}

/* ---- descriptors that are no longer what they were --------------------------------------- */

static void test_number_used_again(void **state)
{
    struct watcher w;

    (void)state;
    for (int i = 0; i < 5; i++) {
        int fd = eventfd(0, EFD_CLOEXEC), again;

        start(&w, "old", fd, LOOP_READ);
        loop_look(&loop, 0);
        loop_stop(&loop, &w.io);
        close(fd);
        again = ready_counter();
        assert_int_equal(again, fd);
        start(&w, "new", fd, LOOP_READ); /* within the same turn */
        loop_look(&loop, 0);
        loop_stop(&loop, &w.io);
        close(fd);
        assert_trace("new reads\n");
    }
}

/* Nobody stopped those who watched what is closed. Whoever begins to watch the number means the new
 * file, also if he vouches for the number as the one before did. */
static void watch_beside_one_left_behind(bool is_steady)
{
    struct watcher left, w;
    int fd = eventfd(0, EFD_CLOEXEC);

    init(&left, NULL, fd, LOOP_READ, is_steady);
    assert_ok(loop_start(&loop, &left.io));
    loop_look(&loop, 0);
    close(fd);
    assert_int_equal(ready_counter(), fd);
    init(&w, "new", fd, LOOP_READ, is_steady);
    assert_ok(loop_start(&loop, &w.io));
    loop_look(&loop, 0);
    assert_trace("new reads\n");
    loop_stop(&loop, &left.io);
    loop_stop(&loop, &w.io);
    close(fd);
}

static void test_number_used_again_beside_one_left_behind(void **state)
{
    (void)state;
    watch_beside_one_left_behind(false);
    watch_beside_one_left_behind(true);
}

/* The second time something else is asked of the file, and in between the same of another. */
static void test_number_means_its_file_again(void **state)
{
    struct watcher w;
    int ends[2], fd, copy, between;

    (void)state;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    fd = ends[0];
    start(&w, "first", fd, LOOP_READ);
    loop_look(&loop, 0);
    loop_stop(&loop, &w.io);
    copy = dup(fd);
    close(fd);
    between = ready_counter();
    assert_int_equal(between, fd);
    start(&w, "between", between, LOOP_WRITE);
    loop_look(&loop, 0);
    loop_stop(&loop, &w.io);
    assert_int_equal(dup2(copy, fd), fd);
    start(&w, "again", fd, LOOP_WRITE);
    loop_look(&loop, 0);
    assert_trace("between writes\nagain writes\n");
    loop_stop(&loop, &w.io);
    close(fd);
    close(copy);
    close(ends[1]);
}

/* fd's number is another file's from now on, a counter's; where the file lives on. */
static int pass_on_number(int fd)
{
    int copy = dup(fd);

    close(fd);
    assert_int_equal(eventfd(0, EFD_CLOEXEC), fd);
    return copy;
}

/* The same, and the one in between lives on as well: what happens to it is nobody's business. */
static void test_number_that_two_files_had(void **state)
{
    struct watcher w;
    int ends[2], fd, copy, between, elsewhere;

    (void)state;
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    fd = ends[0];
    start(&w, "first", fd, LOOP_READ);
    loop_look(&loop, 0);
    loop_stop(&loop, &w.io);
    copy = pass_on_number(fd);
    between = fd;
    start(&w, "between", between, LOOP_READ);
    loop_look(&loop, 0);
    loop_stop(&loop, &w.io);
    elsewhere = dup(between);
    assert_int_equal(dup2(copy, fd), fd);
    start(&w, "again", fd, LOOP_READ | LOOP_WRITE);
    assert_ok(eventfd_write(elsewhere, 1));
    loop_look(&loop, 0);
    loop_look(&loop, 0);
    assert_trace("again writes\nagain writes\n");
    loop_stop(&loop, &w.io);
    loop_look(&loop, 0);
    assert_silent();
    close(fd);
    close(copy);
    close(elsewhere);
    close(ends[1]);
}

/* The file lives on, is ready and registered, and can't be taken out: its number is another's. */
static void test_file_that_outlives_its_number(void **state)
{
    struct watcher w, other;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), copy, quiet, elsewhere = ready_counter();

    (void)state;
    start(&w, "old", fd, LOOP_READ);
    start(&other, "other", elsewhere, LOOP_READ);
    loop_look(&loop, 0);
    loop_stop(&loop, &w.io);
    copy = pass_on_number(fd);
    quiet = fd;
    start(&w, "new", quiet, LOOP_READ);
    loop_look(&loop, 0);
    assert_ok(eventfd_write(copy, 1));
    assert_trace("other reads\nother reads\n");
    descriptors_run_out();
    loop_look(&loop, 0); /* it would be replaced, and cannot be yet */
    assert_trace("other reads\n");
    descriptors_are_back();
    loop_look(&loop, 0);
    loop_look(&loop, 0);
    assert_trace("other reads\nother reads\n"); /* still there in the new instance */
    loop_stop(&loop, &other.io);
    loop_look(&loop, 0);
    assert_silent();
    assert_ok(eventfd_write(quiet, 1));
    loop_look(&loop, CRESS_FOREVER);
    assert_trace("new reads\n");
    loop_stop(&loop, &w.io);
    assert_silent();
    close(quiet);
    close(copy);
    close(elsewhere);
}

/* The same, and nobody watches the number now. */
static void test_file_that_outlives_its_watcher(void **state)
{
    struct watcher w;
    int fd = ready_counter(), copy = dup(fd);

    (void)state;
    start(&w, "w", fd, LOOP_READ);
    loop_look(&loop, 0);
    assert_trace("w reads\n");
    loop_stop(&loop, &w.io);
    close(fd);
    loop_look(&loop, 0);
    loop_look(&loop, 0);
    assert_silent();
    close(copy);
}

static void test_files_on_disk_are_always_ready(void **state)
{
    struct watcher reader, writer;
    FILE *file = tmpfile();
    int fd = fileno(file);

    (void)state;
    start(&reader, "reader", fd, LOOP_READ);
    start(&writer, "writer", fd, LOOP_WRITE);
    loop_look(&loop, CRESS_FOREVER);
    loop_stop(&loop, &reader.io);
    loop_look(&loop, CRESS_FOREVER);
    loop_stop(&loop, &writer.io);
    loop_look(&loop, 0);
    assert_trace("reader reads\nwriter writes\nwriter writes\n");
    start(&reader, "reader", fd, LOOP_READ);
    loop_look(&loop, CRESS_FOREVER);
    assert_trace("reader reads\n");
    loop_stop(&loop, &reader.io);
    assert_ok(dup2(ready_counter(), fd) - fd); /* what it was is asked anew */
    start(&writer, "counter", fd, LOOP_READ);
    loop_look(&loop, 0);
    assert_trace("counter reads\n");
    assert_int_equal(loop.active, 1);
    loop_stop(&loop, &writer.io);
    close(fd + 1);
    fclose(file);
}

static void test_refused_descriptors(void **state)
{
    struct watcher a, b, stands, good;
    int fd = ready_counter();

    (void)state;
    start(&good, "good", fd, LOOP_READ);
    start(&a, "a", fd + 10, LOOP_READ);
    start(&stands, "never", fd + 10, 0);
    start(&b, "b", fd + 10, LOOP_WRITE);
    loop_look(&loop, CRESS_FOREVER);
    assert_trace("a: EBADF\nb: EBADF\ngood reads\n");
    assert_int_equal(loop.active, 1);
    assert_true(!loop_is_started(&loop, &a.io) && loop_is_started(&loop, &stands.io));
    loop_stop(&loop, &stands.io);
    loop_stop(&loop, &good.io);
    close(fd);
    fd = ready_counter();
    init(&a, "a", fd, LOOP_READ, false);
    a.starts = &a; /* it insists */
    assert_ok(loop_start(&loop, &a.io));
    control_error = ENOSPC;
    loop_look(&loop, CRESS_FOREVER);
    loop_look(&loop, CRESS_FOREVER);
    control_error = 0;
    loop_look(&loop, CRESS_FOREVER);
    assert_trace("a: ENOSPC\na: ENOSPC\na reads\n");
    loop_stop(&loop, &a.io);
    close(fd);
}

/* ---- how much, and how long ------------------------------------------------------------------ */

/* Each is told in as many looks as it takes, although all stay ready. */
static void test_more_than_a_batch(void **state)
{
    enum { MANY = 2 * LOOP_BATCH + LOOP_BATCH / 2 };
    static struct watcher ws[MANY];
    unsigned told = 0;

    (void)state;
    for (int i = 0; i < MANY; i++)
        start(&ws[i], NULL, ready_counter(), LOOP_READ);
    for (int i = 0; i < 3; i++) {
        loop_look(&loop, CRESS_FOREVER);
        assert_true(loop.was_full);
    }
    for (int i = 0; i < MANY; i++) {
        assert_true(ws[i].told > 0);
        told += ws[i].told;
        loop_stop(&loop, &ws[i].io);
        close(ws[i].io.fd);
    }
    assert_int_equal(told, 3 * LOOP_BATCH);
    loop_look(&loop, 0);
    assert_false(loop.was_full);
}

static unsigned looks_until_it_is_over(cress_seconds span)
{
    cress_seconds end = clock_now() + span;
    unsigned looks = 0;

    while (clock_now() < end) {
        loop_look(&loop, end - clock_now());
        looks++;
    }
    return looks;
}

static void sleep_until_it_is_over(cress_seconds span)
{
    assert_true(looks_until_it_is_over(span) <= 3); /* it does not turn around until then */
}

static void test_sleeping(void **state)
{
    (void)state;
    loop_look(&loop, -1.0);
    sleep_until_it_is_over(0.0003);
    sleep_until_it_is_over(0.002);
}

/* What cannot be taken out is reported again and again, and there is no descriptor for a new
 * instance: it is looked at now and then, and nothing is lost. */
static void test_sleeping_without_a_descriptor_for_a_renewal(void **state)
{
    struct watcher w, other;
    int fd = ready_counter(), copy = dup(fd), elsewhere = eventfd(0, EFD_CLOEXEC);
    int epoll = loop.epoll;

    (void)state;
    start(&w, NULL, fd, LOOP_READ);
    start(&other, "other", elsewhere, LOOP_READ);
    loop_look(&loop, 0);
    loop_stop(&loop, &w.io);
    close(fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    descriptors_run_out();
    assert_true(looks_until_it_is_over(0.1) <= 20);
    assert_ok(eventfd_write(elsewhere, 1));
    loop_look(&loop, CRESS_FOREVER);
    loop_look(&loop, 0);
    assert_trace("other reads\nother reads\n");
    assert_int_equal(loop.epoll, epoll);
    loop_stop(&loop, &other.io);
    descriptors_are_back();
    while (loop.epoll == epoll) /* each look tries it again */
        loop_look(&loop, CRESS_FOREVER);
    assert_silent();
    sleep_until_it_is_over(0.002);
    close(fd);
    close(copy);
    close(elsewhere);
}

static void test_a_kernel_without_nanoseconds(void **state)
{
    struct watcher w;
    int fd = ready_counter();

    (void)state;
    old_kernel = true;
    start(&w, "w", fd, LOOP_READ);
    loop_look(&loop, 0.0001);
    old_kernel = false;
    assert_true(loop.coarse); /* asked once */
    loop_look(&loop, CRESS_FOREVER);
    loop_look(&loop, 1e18);
    assert_trace("w reads\nw reads\nw reads\n");
    loop_stop(&loop, &w.io);
    sleep_until_it_is_over(0.0003);
    close(fd);
}

/* ---- waking it from outside --------------------------------------------------------------------- */

enum { WAKES = 2000 };

static unsigned wanted; /* atomic: so many wake-ups have been answered */

/* Each time only when the loop has taken note of the one before. */
static void *wake_many(void *arg)
{
    for (unsigned i = 0; i < WAKES; i++) {
        while (__atomic_load_n(&wanted, __ATOMIC_ACQUIRE) < i)
            continue;
        loop_wake(&loop);
    }
    return arg;
}

static void test_woken_by_a_thread(void **state)
{
    pthread_t thread;

    (void)state;
    wanted = 0;
    assert_ok(loop_allow_wake(&loop));
    assert_ok(loop_allow_wake(&loop));
    assert_ok(pthread_create(&thread, NULL, wake_many, NULL));
    while (woken < WAKES) { /* a lost one would be the last */
        loop_look(&loop, CRESS_FOREVER);
        __atomic_store_n(&wanted, woken, __ATOMIC_RELEASE);
    }
    assert_ok(pthread_join(thread, NULL));
    assert_int_equal(woken, WAKES);
}

static void wake_by_signal(int signum)
{
    (void)signum;
    loop_wake(&loop);
}

static void test_woken_by_a_signal(void **state)
{
    void (*before)(int) = signal(SIGUSR1, wake_by_signal);

    (void)state;
    assert_ok(loop_allow_wake(&loop));
    for (unsigned i = 1; i <= 3; i++) {
        assert_ok(raise(SIGUSR1));
        assert_ok(raise(SIGUSR1)); /* two before a look are one */
        loop_look(&loop, i == 2 ? 0 : CRESS_FOREVER);
        assert_int_equal(woken, i);
    }
    loop_look(&loop, 0);
    assert_int_equal(woken, 3);
    signal(SIGUSR1, before);
}

/* A new epoll instance knows the counter too. */
static void test_woken_after_a_renewal(void **state)
{
    pthread_t thread;
    int epoll;

    (void)state;
    assert_ok(loop_allow_wake(&loop));
    epoll = loop.epoll;
    test_file_that_outlives_its_watcher(state);
    assert_true(epoll != loop.epoll);
    wanted = 0;
    assert_ok(pthread_create(&thread, NULL, wake_many, NULL));
    while (woken < WAKES) {
        loop_look(&loop, CRESS_FOREVER);
        __atomic_store_n(&wanted, woken, __ATOMIC_RELEASE);
    }
    assert_ok(pthread_join(thread, NULL));
}

/* ---- without memory, descriptors, or the parent ----------------------------------------------------- */

static void test_what_cannot_be_had(void **state)
{
    struct watcher w;
    struct loop another;

    (void)state;
    descriptors_run_out();
    assert_errno(EMFILE, loop_allow_wake(&loop));
    assert_errno(EMFILE, loop_open(&another, handlers, note_wake));
    descriptors_are_back();
    loop_close(&another); /* there is nothing to close */
    control_error = ENOSPC;
    assert_errno(ENOSPC, loop_allow_wake(&loop));
    control_error = 0;
    assert_ok(loop_allow_wake(&loop));
    init(&w, "w", 100000, LOOP_READ, false); /* beyond the table */
    no_memory = true;
    assert_errno(ENOMEM, loop_start(&loop, &w.io));
    no_memory = false;
    assert_false(loop_is_started(&loop, &w.io));
    assert_int_equal(loop.active, 0);
}

static int use_in_child(struct watcher *w)
{
    loop_close(&loop);
    if (loop_open(&loop, handlers, note_wake) < 0 || loop_is_started(&loop, &w->io))
        return 1;
    loop_stop(&loop, &w->io); /* is no use, and no harm */
    if (loop.active != 0 || loop_start(&loop, &w->io) < 0 || loop.active != 1)
        return 2;
    loop_look(&loop, CRESS_FOREVER);
    return w->told == 1 ? 0 : 3;
}

static void test_forked(void **state)
{
    struct watcher w;
    int fd = ready_counter(), status;

    (void)state;
    start(&w, NULL, fd, LOOP_READ);
    loop_look(&loop, 0);
    w.told = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(use_in_child(&w));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    loop_look(&loop, 0); /* the parent's has not been touched */
    assert_int_equal(w.told, 1);
    loop_stop(&loop, &w.io);
    close(fd);
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, open_loop, close_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_told_of_what_is_asked_for),
        LOOP_TEST(test_several_on_one_descriptor),
        LOOP_TEST(test_handlers_stop_and_start),
        LOOP_TEST(test_a_steady_one_costs_one_call),
        LOOP_TEST(test_number_used_again),
        LOOP_TEST(test_number_used_again_beside_one_left_behind),
        LOOP_TEST(test_number_means_its_file_again),
        LOOP_TEST(test_number_that_two_files_had),
        LOOP_TEST(test_file_that_outlives_its_number),
        LOOP_TEST(test_file_that_outlives_its_watcher),
        LOOP_TEST(test_files_on_disk_are_always_ready),
        LOOP_TEST(test_refused_descriptors),
        LOOP_TEST(test_more_than_a_batch),
        LOOP_TEST(test_sleeping),
        LOOP_TEST(test_sleeping_without_a_descriptor_for_a_renewal),
        LOOP_TEST(test_a_kernel_without_nanoseconds),
        LOOP_TEST(test_woken_by_a_thread),
        LOOP_TEST(test_woken_by_a_signal),
        LOOP_TEST(test_woken_after_a_renewal),
        LOOP_TEST(test_what_cannot_be_had),
        LOOP_TEST(test_forked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
