/* A response that comes over time: ?n= chunks, one every ?ms= milliseconds.
 *
 * What was written leaves as soon as the handler waits, so each line arrives when
 * it is due. A client that leaves ends the handler.
 *
 *     cress apps/stream.so
 *     curl -N '127.0.0.1:8000/?n=5&ms=1000'
 */
#include <cress/cress.h>

#include <stdlib.h>

/* A parameter that is a whole number of at most max; -1: it is anything else. */
static long query_number(cress_environ *env, const char *name, long otherwise, long max)
{
    cress_str text = cress_query_get(env, name);

    if (!text.data)
        return otherwise;
    if (text.len == 0 || strspn(text.data, "0123456789") != text.len)
        return -1;
    long number = strtol(text.data, NULL, 10);
    return number <= max ? number : -1;
}

static int send_lines(cress_response *res, long count, cress_seconds interval)
{
    for (long i = 1; i <= count; i++) {
        if (cress_response_printf(res, "line %ld of %ld\n", i, count) < 0)
            return -1;
        if (i < count && cress_sleep(interval) < 0)
            return -1;
    }
    return 0;
}

static int refuse(cress_response *res, int status, const char *why)
{
    return cress_respond(res, status, "text/plain", why, strlen(why));
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    bool head = cress_str_equal(cress_method(env), "HEAD");
    long count = query_number(env, "n", 10, 1000000);
    long ms = query_number(env, "ms", 1000, 60000);

    (void)self;
    if (!head && !cress_str_equal(cress_method(env), "GET"))
        return cress_start_response(res, 405, CRESS_HEADERS({ "Allow", "GET, HEAD" }));
    if (count < 0 || ms < 0)
        return refuse(res, 400, "n is at most 1000000, ms at most 60000\n");
    /* The server's limit on a request is for answers; this one may go on for days. */
    if (cress_request_timeout(env, CRESS_FOREVER) < 0 ||
        cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/plain" })) < 0)
        return -1;
    if (head)
        return cress_response_flush(res);
    return send_lines(res, count, 1e-3 * (double)ms);
}
