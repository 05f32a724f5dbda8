/* Sleeps for ?ms= milliseconds and says so: thousands of such requests sleep at the
 * same time. One that asks for more than the server's --request-timeout gets 503.
 *
 *     cress apps/slow.so
 *     curl '127.0.0.1:8000/?ms=1500'
 *
 * With &how=compute it computes instead, which is what a handler must not do: all others
 * wait meanwhile. The log then names the function, as --max-blocking-time wants it.
 */
#include <cress/cress.h>

#include <stdlib.h>
#include <time.h>

enum { MAX_MS = 600000 };

/* 0, or -1 for what is no whole number of at most MAX_MS. */
static int parse_ms(cress_str text, long *ret_ms)
{
    if (!text.data || text.len == 0 || strspn(text.data, "0123456789") != text.len)
        return -1;
    *ret_ms = strtol(text.data, NULL, 10);
    return *ret_ms <= MAX_MS ? 0 : -1;
}

static int refuse(cress_response *res, int status, const char *why)
{
    return cress_respond(res, status, "text/plain", why, strlen(why));
}

static long machine_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((noinline)) static unsigned compute(long ms)
{
    unsigned result = 1;

    for (long end = machine_ms() + ms; machine_ms() < end;)
        result = result * 1664525 + 1013904223;
    return result;
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str method = cress_method(env);
    long ms;

    (void)self;
    if (!cress_str_equal(method, "GET") && !cress_str_equal(method, "HEAD"))
        return cress_start_response(res, 405, CRESS_HEADERS({ "Allow", "GET, HEAD" }));
    if (parse_ms(cress_query_get(env, "ms"), &ms) < 0)
        return refuse(res, 400, "ask for ?ms=0 to ?ms=600000\n");

    cress_str text;
    if (cress_str_equal(cress_query_get(env, "how"), "compute")) {
        text = cress_environ_printf(env, "computed %u in %ld ms\n", compute(ms), ms);
    } else {
        if (cress_sleep(1e-3 * (double)ms) < 0)
            return -1;
        text = cress_environ_printf(env, "slept %ld ms\n", ms);
    }
    return text.data ? cress_respond(res, 200, "text/plain", text.data, text.len) : -1;
}
