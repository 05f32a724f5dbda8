/* What the black-box tests ask of an application: waiting, failing, and misbehaving,
 * one path each. GET /state tells how often what has happened.
 */
#include <cress/cress.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static struct {
    unsigned waiting, cleaned, deferred, gone, finished;
} counts;

static cress_event woken;

static long query_number(cress_environ *env, const char *name, long otherwise)
{
    cress_str text = cress_query_get(env, name);

    return text.data ? strtol(text.data, NULL, 10) : otherwise;
}

static const char *error_name(int error)
{
    return error == ECANCELED ? "ECANCELED" : error == ETIMEDOUT ? "ETIMEDOUT" : strerror(error);
}

static int respond_text(cress_response *res, cress_str text)
{
    return text.data ? cress_respond(res, 200, "text/plain", text.data, text.len) : -1;
}

static int state(cress_environ *env, cress_response *res)
{
    return respond_text(
        res, cress_environ_printf(env, "waiting=%u cleaned=%u deferred=%u gone=%u finished=%u\n",
                                  counts.waiting, counts.cleaned, counts.deferred, counts.gone,
                                  counts.finished));
}

/* ---- waiting ------------------------------------------------------------------------ */

static void count_deferred(void *arg)
{
    (void)arg;
    counts.deferred++;
}

/* [waits] for POST /wake. */
static int await_wake(void)
{
    counts.waiting++;
    int result = cress_event_wait(&woken, CRESS_FOREVER);
    counts.waiting--;
    return result;
}

static int wait_for_wake(cress_environ *env, cress_response *res)
{
    if (cress_defer(env, count_deferred, NULL) < 0)
        return -1;
    if (await_wake() < 0) {
        counts.cleaned++;
        cress_log(CRESS_LOG_INFO, "cleaned up after %s", error_name(errno));
        return -1;
    }
    counts.finished++;
    return respond_text(res, CRESS_STR("woken\n"));
}

static int wait_without_client(cress_environ *env, cress_response *res)
{
    cress_response_ignore_gone(res);
    return wait_for_wake(env, res);
}

/* Notices by itself that the client has left. */
static int wait_for_gone(cress_environ *env, cress_response *res)
{
    cress_waitable *objects[] = { cress_response_gone(res), &woken.waitable };

    (void)env;
    cress_response_ignore_gone(res);
    counts.waiting++;
    ssize_t which = cress_wait_any(objects, 2, CRESS_FOREVER);
    counts.waiting--;
    if (which == 0)
        counts.gone++;
    return which < 0 ? -1 : respond_text(res, CRESS_STR("done\n"));
}

static int clean_up_slowly(cress_environ *env, cress_response *res)
{
    cress_timeout limit;

    if (await_wake() == 0)
        return respond_text(res, CRESS_STR("woken\n"));
    cress_timeout_start_shielded(&limit, 60.0);
    if (cress_sleep(1e-3 * (double)query_number(env, "ms", 300)) == 0)
        cress_log(CRESS_LOG_INFO, "slow clean-up has ended");
    cress_timeout_close(&limit);
    counts.cleaned++;
    return -1;
}

/* Goes on long after it was killed. */
static int ignore_kill(cress_environ *env, cress_response *res)
{
    (void)env;
    for (int failures = 0; failures < 20000;)
        if (cress_sleep(60) < 0)
            failures++;
    cress_log(CRESS_LOG_INFO, "gave in");
    return respond_text(res, CRESS_STR("too late\n"));
}

static int wake(cress_environ *env, cress_response *res)
{
    (void)env;
    cress_event_set(&woken);
    cress_event_clear(&woken);
    return cress_respond(res, 204, NULL, NULL, 0);
}

static int nap(cress_environ *env, cress_response *res)
{
    long ms = query_number(env, "ms", 0);

    if (cress_sleep(1e-3 * (double)ms) < 0)
        return -1;
    return respond_text(res, cress_environ_printf(env, "slept %ld\n", ms));
}

/* ---- bodies -------------------------------------------------------------------------- */

static int drip(cress_environ *env, cress_response *res)
{
    long count = query_number(env, "count", 3);
    double pause = 1e-3 * (double)query_number(env, "ms", 100);

    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })) < 0)
        return -1;
    for (long i = 0; i < count; i++)
        if (cress_response_printf(res, "drop %ld\n", i) < 0 || cress_sleep(pause) < 0)
            return -1;
    return 0;
}

/* ?count= writes, or no end of them, of ?size= bytes. */
static int flood(cress_environ *env, cress_response *res)
{
    static const char block[65536];
    long count = query_number(env, "count", LONG_MAX);
    size_t size = (size_t)query_number(env, "size", sizeof block) % (sizeof block + 1);

    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })) < 0)
        return -1;
    for (long i = 0; i < count; i++)
        if (cress_response_write(res, block, size) < 0) {
            counts.cleaned++;
            cress_log(CRESS_LOG_INFO, "flood ended by %s", error_name(errno));
            return -1;
        }
    return 0;
}

static int count_body(cress_environ *env, cress_response *res)
{
    char buf[4096];
    size_t total = 0;
    ssize_t count;

    while ((count = cress_input_read(env, buf, sizeof buf)) > 0)
        total += (size_t)count;
    if (count < 0) {
        cress_log(CRESS_LOG_INFO, "body ended by %s", error_name(errno));
        return -1;
    }
    return respond_text(res, cress_environ_printf(env, "%zu bytes\n", total));
}

/* [waits] for the whole body, and counts as waiting meanwhile. */
static int await_body(cress_environ *env)
{
    char buf[4096];
    ssize_t count;

    counts.waiting++;
    while ((count = cress_input_read(env, buf, sizeof buf)) > 0)
        continue;
    counts.waiting--;
    return (int)count;
}

/* The server's own name, looked up late. */
static int name_server(cress_environ *env, cress_response *res)
{
    return await_body(env) < 0 ? -1 : respond_text(res, cress_environ_get(env, "SERVER_NAME"));
}

static int wait_read_wait(cress_environ *env, cress_response *res)
{
    if (await_wake() < 0 || await_body(env) < 0)
        return -1;
    cress_log(CRESS_LOG_INFO, "the body is read");
    return wait_for_wake(env, res);
}

static int ignore_body(cress_environ *env, cress_response *res)
{
    (void)env;
    return respond_text(res, CRESS_STR("ignored\n"));
}

/* ---- misbehaving --------------------------------------------------------------------- */

static int fail(cress_environ *env, cress_response *res)
{
    (void)res;
    errno = (int)query_number(env, "errno", EIO);
    return -1;
}

static int fail_half_way(cress_environ *env, cress_response *res)
{
    (void)env;
    if (cress_start_response(res, 200, NULL) < 0 || cress_response_write(res, "half", 4) < 0 ||
        cress_response_flush(res) < 0)
        return -1;
    errno = EIO;
    return -1;
}

static int say_nothing(cress_environ *env, cress_response *res)
{
    (void)env, (void)res;
    return 0;
}

/* ?says= a Content-Length and ?sends= that many bytes, up to 64. */
static int miscount(cress_environ *env, cress_response *res)
{
    static const char bytes[64] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    cress_str says = cress_query_get(env, "says");
    long sends = query_number(env, "sends", 0);

    if (!says.data || sends < 0 || sends > 64 ||
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", says.data })) < 0)
        return -1;
    return cress_response_write(res, bytes, (size_t)sends);
}

static int split_response(cress_environ *env, cress_response *res)
{
    cress_str value = cress_query_get(env, "value");

    if (!value.data || cress_start_response(res, 200, CRESS_HEADERS({ "X-Value", value.data })) < 0)
        return -1;
    return cress_response_write(res, "sent\n", 5);
}

/* The compiler must neither warn of this nor turn it into a loop. */
static int (*volatile deeper)(int depth);

static int recurse(int depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    return deeper(depth + 1) + frame[0];
}

static int overflow(cress_environ *env, cress_response *res)
{
    (void)env;
    deeper = recurse;
    return cress_respond(res, 200, NULL, "", (size_t)(recurse(0) == 0));
}

/* ---- which ---------------------------------------------------------------------------- */

static int hello(cress_environ *env, cress_response *res)
{
    (void)env;
    return respond_text(res, CRESS_STR("hello, world\n"));
}

static const struct route {
    const char *path;
    int (*handle)(cress_environ *env, cress_response *res);
} routes[] = {
    { "/", hello },
    { "/state", state },
    { "/wait", wait_for_wake },
    { "/wait-without-client", wait_without_client },
    { "/wait-for-gone", wait_for_gone },
    { "/clean-up-slowly", clean_up_slowly },
    { "/ignore-kill", ignore_kill },
    { "/wake", wake },
    { "/nap", nap },
    { "/drip", drip },
    { "/flood", flood },
    { "/count-body", count_body },
    { "/ignore-body", ignore_body },
    { "/name-server", name_server },
    { "/wait-read-wait", wait_read_wait },
    { "/fail", fail },
    { "/fail-half-way", fail_half_way },
    { "/say-nothing", say_nothing },
    { "/miscount", miscount },
    { "/split", split_response },
    { "/overflow", overflow },
};

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str path = cress_path(env);

    (void)self;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (cress_str_equal(path, routes[i].path))
            return routes[i].handle(env, res);
    return cress_respond(res, 404, NULL, NULL, 0);
}
