/* What the parts cost, one at a time.
 *
 * Each bench does one operation many times inside a hub and reports nanoseconds of
 * this thread's CPU time for one: other programs on the machine disturb it little.
 * A first run doubles its count until it lasts long enough, which also warms the
 * stacks and buffers; then as many again are timed, several times, and the median
 * and the least are printed.
 *
 *     micro [--seconds S] [--runs N] [NAME...]
 */
#include <cress/cress.h>
#include <cress/http1.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RUNS = 99, CROWD = 1000, BATCH = 16 };

static void die(const char *what)
{
    fprintf(stderr, "micro: %s: %s\n", what, strerror(errno));
    exit(1);
}

static cress_greenlet *spawn(cress_fn *fn, void *arg)
{
    cress_greenlet *g = cress_spawn(fn, arg);

    if (!g)
        die("cress_spawn");
    return g;
}

static void join(cress_greenlet *g)
{
    if (cress_join(g, CRESS_FOREVER) < 0)
        die("cress_join");
    cress_release(g);
}

/* ---- switch: greenlets that let each other run --------------------------------- */

static void *yield_often(void *arg)
{
    for (size_t left = *(size_t *)arg; left > 0; left--)
        if (cress_sleep(0) < 0)
            return cress_fail(errno);
    return NULL;
}

static void switch_between(size_t greenlets, size_t count, cress_fn *fn)
{
    cress_greenlet *gs[CROWD];
    size_t each = count / greenlets;

    for (size_t i = 0; i < greenlets; i++)
        gs[i] = spawn(fn, &each);
    for (size_t i = 0; i < greenlets; i++)
        join(gs[i]);
}

static void bench_switch_two(size_t count)
{
    switch_between(2, count, yield_often);
}

static void bench_switch_crowd(size_t count)
{
    switch_between(CROWD, count, yield_often);
}

/* An inexact result sets a flag in the processor's floating-point status: one of two
 * divides by 3, the other by 1. */
static void *divide_and_yield(void *arg)
{
    static size_t number;
    volatile double quotient = 1, divisor = number++ % 2 ? 3 : 1;

    for (size_t left = *(size_t *)arg; left > 0; left--) {
        quotient = 1 / divisor;
        if (cress_sleep(0) < 0)
            return cress_fail(errno);
    }
    return quotient > 0 ? arg : NULL;
}

static void bench_switch_doubles(size_t count)
{
    switch_between(2, count, divide_and_yield);
}

/* ---- boost.context's jump, to compare with -------------------------------------------- */

typedef struct jump {
    void *context, *data;
} jump;

extern jump jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *top, size_t size, void (*entry)(jump));

static void jump_back(jump from)
{
    for (;;)
        from = jump_fcontext(from.context, NULL);
}

static void bench_jump(size_t count)
{
    static _Alignas(16) char stack[64 * 1024];
    jump other = { make_fcontext(stack + sizeof stack, sizeof stack, jump_back), NULL };

    for (count /= 2; count > 0; count--)
        other = jump_fcontext(other.context, NULL);
}

/* ---- spawn and join -------------------------------------------------------------- */

static void *do_nothing(void *arg)
{
    return arg;
}

static void bench_spawn_join(size_t count)
{
    while (count-- > 0)
        join(spawn(do_nothing, NULL));
}

/* ---- events: two greenlets that wake each other in turn --------------------------- */

struct rally {
    cress_event ping, pong;
    size_t left;
};

static void wake(cress_event *e)
{
    cress_event_set(e);
    cress_event_clear(e);
}

static void *return_events(void *arg)
{
    struct rally *rally = arg;

    for (size_t left = rally->left; left > 0; left--) {
        if (cress_event_wait(&rally->ping, CRESS_FOREVER) < 0)
            return cress_fail(errno);
        wake(&rally->pong);
    }
    return NULL;
}

static void bench_event_wake(size_t count)
{
    struct rally rally = { .left = count / 2 };
    cress_greenlet *other = spawn(return_events, &rally);

    cress_sleep(0); /* it waits now */
    for (size_t left = rally.left; left > 0; left--) {
        wake(&rally.ping);
        if (cress_event_wait(&rally.pong, CRESS_FOREVER) < 0)
            die("cress_event_wait");
    }
    join(other);
}

/* ---- queues: an item that goes to and fro ------------------------------------------ */

struct exchange {
    cress_queue out, back;
    size_t left;
};

static void *return_items(void *arg)
{
    struct exchange *exchange = arg;
    void *item;

    for (size_t left = exchange->left; left > 0; left--)
        if (cress_queue_get(&exchange->out, &item, CRESS_FOREVER) < 0 ||
            cress_queue_put(&exchange->back, item, CRESS_FOREVER) < 0)
            return cress_fail(errno);
    return NULL;
}

static void bench_queue(size_t count)
{
    struct exchange exchange = { .left = count / 2 };
    cress_greenlet *other = spawn(return_items, &exchange);
    void *item = &exchange;

    for (size_t left = exchange.left; left > 0; left--)
        if (cress_queue_put(&exchange.out, item, CRESS_FOREVER) < 0 ||
            cress_queue_get(&exchange.back, &item, CRESS_FOREVER) < 0)
            die("cress_queue");
    join(other);
    cress_queue_finish(&exchange.out);
    cress_queue_finish(&exchange.back);
}

/* ---- timeouts ------------------------------------------------------------------------ */

static void bench_timeout(size_t count)
{
    cress_timeout t;

    while (count-- > 0) {
        cress_timeout_start(&t, 10.0);
        cress_timeout_close(&t);
    }
}

/* ---- requests, over a stream in memory ------------------------------------------------ */

/* A client that repeats one text, one read each time, and forgets what it is told. */
struct tape {
    cress_stream stream;
    const char *text;
    size_t len, offset, left;
};

static ssize_t tape_read(cress_stream *s, void *buf, size_t len, int flags)
{
    struct tape *tape = (struct tape *)s;
    size_t count = tape->len - tape->offset;

    (void)flags;
    if (tape->left == 0)
        return 0;
    if (count > len)
        count = len;
    memcpy(buf, tape->text + tape->offset, count);
    tape->offset += count;
    if (tape->offset == tape->len) {
        tape->offset = 0;
        tape->left--;
    }
    return (ssize_t)count;
}

static ssize_t tape_writev(cress_stream *s, const struct iovec *iov, int count, int flags)
{
    size_t sum = 0;

    (void)s, (void)flags;
    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    return (ssize_t)sum;
}

static int tape_shutdown(cress_stream *s)
{
    (void)s;
    return 0;
}

static void tape_close(cress_stream *s)
{
    (void)s;
}

static const cress_stream_ops tape_ops = {
    .read = tape_read,
    .writev = tape_writev,
    .shutdown = tape_shutdown,
    .close = tape_close,
};

static int count_and_greet(cress_environ *env, cress_response *res, void *self)
{
    size_t *served = self;

    (void)env;
    ++*served;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

static void serve_tape(const char *text, size_t reads, size_t requests)
{
    static const cress_http1_config config = {
        .keep_alive = 5.0,
        .server_name = "127.0.0.1",
        .server_port = "8000",
    };
    static const cress_http1_peer peer = {
        .family = CRESS_HTTP1_PEER_IPV4,
        .address = { 127, 0, 0, 1 },
        .port = 40000,
    };
    struct tape tape = { { &tape_ops }, .text = text, .len = strlen(text), .left = reads };
    size_t served = 0;

    cress_http1_serve(&tape.stream, &config, &peer, count_and_greet, &served);
    if (served != requests) {
        errno = EBADMSG;
        die("requests were not all served");
    }
}

#define SMALL_REQUEST "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
#define FOUR(text) text text text text

static const char browser_request[] =
    "GET /rooms/lobby?since=1732291200 HTTP/1.1\r\n"
    "Host: chat.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;"
    "q=0.8\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cache-Control: max-age=0\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=6f1d2c3b4a5968778695a4b3c2d1e0f0; theme=dark; seen=42\r\n"
    "Referer: https://chat.example.org/rooms\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "\r\n";

static void bench_request(size_t count)
{
    serve_tape(SMALL_REQUEST, count, count);
}

static void bench_request_browser(size_t count)
{
    serve_tape(browser_request, count, count);
}

static void bench_request_batch(size_t count)
{
    serve_tape(FOUR(FOUR(SMALL_REQUEST)), count / BATCH, count / BATCH * BATCH);
}

/* ---- measuring --------------------------------------------------------------------------- */

static const struct bench {
    const char *name, *what;
    void (*run)(size_t count);
} benches[] = {
    { "switch-2", "cress_sleep(0), two greenlets", bench_switch_two },
    { "switch-1000", "cress_sleep(0), 1,000 greenlets", bench_switch_crowd },
    { "switch-doubles", "cress_sleep(0), two that compute with doubles", bench_switch_doubles },
    { "boost-jump", "boost.context: jump_fcontext, no queue", bench_jump },
    { "spawn-join", "spawn an empty function, join it, release", bench_spawn_join },
    { "event-wake", "set an event, its waiter runs", bench_event_wake },
    { "queue-handover", "put an item, the waiting getter runs", bench_queue },
    { "timeout", "open and close a timeout", bench_timeout },
    { "request", "parse, run the app, format: 40 bytes as wrk sends", bench_request },
    { "request-browser", "the same: 13 header fields as a browser sends", bench_request_browser },
    { "request-batch", "the same: 40 bytes, 16 of them in each read", bench_request_batch },
};
enum { BENCHES = sizeof benches / sizeof benches[0] };

static struct options {
    double seconds;
    int runs;
    char **names; /* none: all */
} options = { .seconds = 0.2, .runs = 5 };

static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double time_run(const struct bench *bench, size_t count)
{
    double start = cpu_now();

    bench->run(count);
    return cpu_now() - start;
}

static size_t find_count(const struct bench *bench)
{
    size_t count = CROWD * BATCH;

    while (time_run(bench, count) < options.seconds)
        count *= 2;
    return count;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const struct bench *bench)
{
    double ns[MAX_RUNS];
    size_t count = find_count(bench);

    for (int i = 0; i < options.runs; i++)
        ns[i] = time_run(bench, count) * 1e9 / (double)count;
    qsort(ns, (size_t)options.runs, sizeof ns[0], compare);
    printf("%-16s %9.1f %9.1f  %s\n", bench->name, ns[options.runs / 2], ns[0], bench->what);
    fflush(stdout);
}

static bool wanted(const char *name)
{
    if (!*options.names)
        return true;
    for (char **n = options.names; *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return false;
}

static void *measure_all(void *arg)
{
    for (size_t i = 0; i < BENCHES; i++)
        if (wanted(benches[i].name))
            measure(&benches[i]);
    return arg;
}

static bool known(const char *name)
{
    for (size_t i = 0; i < BENCHES; i++)
        if (strcmp(benches[i].name, name) == 0)
            return true;
    fprintf(stderr, "micro: no bench is called \"%s\"\n", name);
    return false;
}

static bool parse(int argc, char *argv[])
{
    static const struct option longs[] = {
        { "seconds", required_argument, NULL, 's' },
        { "runs", required_argument, NULL, 'r' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 's')
            options.seconds = strtod(optarg, NULL);
        else if (c == 'r')
            options.runs = (int)strtol(optarg, NULL, 10);
        else
            return false;
    }
    options.names = argv + optind;
    for (char **n = options.names; *n; n++)
        if (!known(*n))
            return false;
    return options.seconds > 0 && options.runs > 0 && options.runs <= MAX_RUNS;
}

int main(int argc, char *argv[])
{
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: %s [--seconds S] [--runs N] [NAME...]\n", argv[0]);
        return 2;
    }
    if (cress_run(measure_all, NULL) < 0)
        die("cress_run");
    return 0;
}
