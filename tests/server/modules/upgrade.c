/* Upgrades to "line", a protocol that answers each line with itself, in capitals where it is a
 * letter; and to what its tests need beside that, one path each. */
#define _GNU_SOURCE /* memrchr */
#include <cress/cress.h>

#include <ctype.h>
#include <errno.h>

static const char *error_name(int error)
{
    return error == ECANCELED ? "ECANCELED" : error == ETIMEDOUT ? "ETIMEDOUT" : strerror(error);
}

static int say(cress_stream *stream, const char *text)
{
    return cress_stream_write_all(stream, text, strlen(text));
}

static void *note(const char *what, ssize_t result)
{
    cress_log(CRESS_LOG_INFO, "%s: %s", what, result < 0 ? error_name(errno) : "end");
    return NULL;
}

/* Answers with as much as are whole lines; what is left is moved to the front. */
static int answer_lines(cress_stream *stream, char *buf, size_t *len)
{
    char *last = memrchr(buf, '\n', *len);

    if (!last)
        return 0;
    size_t whole = (size_t)(last + 1 - buf);
    for (size_t i = 0; i < whole; i++)
        buf[i] = (char)toupper((unsigned char)buf[i]);
    if (cress_stream_write_all(stream, buf, whole) < 0)
        return -1;
    *len -= whole;
    memmove(buf, buf + whole, *len);
    return 0;
}

/* Until the client ends its side, or says "quit". A farewell follows. */
static int echo_lines(cress_stream *stream)
{
    char buf[16384];
    size_t len = 0;
    ssize_t got;

    while ((got = cress_stream_read(stream, buf + len, sizeof buf - len, 0)) > 0) {
        len += (size_t)got;
        bool quits = len >= 5 && memcmp(buf + len - 5, "quit\n", 5) == 0;
        if (answer_lines(stream, buf, &len) < 0)
            return -1;
        if (quits || len == sizeof buf)
            break;
    }
    note("echo", got);
    return got < 0 ? -1 : say(stream, "farewell\n");
}

/* Waits for nothing of the client's. */
static int sleep_on(cress_stream *stream)
{
    (void)stream;
    int result = cress_sleep(CRESS_FOREVER);
    note("sleep", result);
    return result;
}

static int flood(cress_stream *stream)
{
    static char block[65536];
    int result;

    do
        result = cress_stream_write_all(stream, block, sizeof block);
    while (result == 0);
    note("flood", result);
    return result;
}

static void *say_and_end(void *arg)
{
    say(arg, "not read\n");
    return note("writer", cress_stream_shutdown(arg));
}

/* One greenlet reads, another writes and ends its side first. */
static int two(cress_stream *stream)
{
    char buf[100];
    ssize_t got;
    cress_greenlet *writer = cress_spawn(say_and_end, stream);

    while ((got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0)
        cress_log(CRESS_LOG_INFO, "two: %zd bytes", got);
    note("two", got);
    cress_join(writer, CRESS_FOREVER);
    cress_release(writer);
    return (int)got;
}

static const struct {
    const char *path;
    int (*speak)(cress_stream *stream);
    bool ignores_gone;
} protocols[] = {
    { "/", echo_lines, false },    { "/half-closed", echo_lines, true },
    { "/sleep", sleep_on, false }, { "/flood", flood, false },
    { "/two", two, false },
};

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_stream *stream;

    (void)self;
    if (!cress_upgrade_offered(env, "line"))
        return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
        if (cress_str_equal(cress_path(env), protocols[i].path)) {
            if (protocols[i].ignores_gone)
                cress_response_ignore_gone(res);
            if (cress_upgrade(res, "line", NULL, &stream) < 0)
                return -1;
            return protocols[i].speak(stream);
        }
    return cress_respond(res, 404, NULL, NULL, 0);
}
