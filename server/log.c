/* The error log.
 *
 * A line must never hold up the requests: it is one write(2), and when the other
 * end of a pipe or a terminal does not keep up the line is dropped and counted, and
 * the count goes out before the next one. Nor may what a client sent forge lines or
 * steer a terminal: control bytes are escaped. Threads beside the server's may log too.
 *
 *     [2026-11-22 16:00:00 +0000] [4711] [INFO] Listening at: http://127.0.0.1:8000 (4711)
 *     [2026-11-22 16:00:05 +0000] [4711] [ERROR] [GET /chat] text
 */
#include "log.h"

#include <cress/greenlet.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A pipe that is writable takes this much without blocking (PIPE_BUF). */
#define LINE_MAX_BYTES 4096
#define NAME_MAX_BYTES 80

static const char *const level_names[] = { "debug", "info", "warning", "error", "critical" };
static const char *const level_labels[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
#define LEVEL_COUNT ((int)(sizeof level_names / sizeof level_names[0]))

static struct {
    int fd;       /* -1: stderr */
    int level;    /* the least that is written */
    bool regular; /* a file: never blocks */
    char *path;
    const char *program;
    unsigned long lost;
} state = { .fd = -1, .level = CRESS_LOG_INFO, .program = "cress" };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for writing, and for a new file */

/* ---- life ----------------------------------------------------------------------- */

static bool is_regular(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int open_file(const char *path)
{
    return open(path, LOG_OPEN_FLAGS, 0644);
}

int log_open(const char *path, int level)
{
    bool to_file = path && strcmp(path, "-") != 0;
    char *copy = NULL;
    int fd = -1;

    if (to_file) {
        copy = strdup(path);
        if (!copy)
            return -1;
        fd = open_file(path);
        if (fd < 0) {
            free(copy);
            return -1;
        }
    }
    log_close();
    state.fd = fd;
    state.path = copy;
    state.level = level;
    state.regular = is_regular(to_file ? fd : STDERR_FILENO);
    return 0;
}

void log_close(void)
{
    int saved = errno;

    if (state.fd >= 0)
        close(state.fd);
    free(state.path);
    state.fd = -1;
    state.path = NULL;
    state.level = CRESS_LOG_INFO;
    state.regular = false;
    errno = saved;
}

int log_reopen(void)
{
    int fd;

    if (!state.path)
        return 0;
    fd = open_file(state.path);
    if (fd < 0)
        return -1;
    pthread_mutex_lock(&lock);
    close(state.fd);
    state.fd = fd;
    state.regular = is_regular(fd);
    pthread_mutex_unlock(&lock);
    return 0;
}

int log_level_by_name(const char *name)
{
    for (int i = 0; i < LEVEL_COUNT; i++)
        if (strcmp(name, level_names[i]) == 0)
            return i;
    return -1;
}

bool log_enabled(int level)
{
    return level >= state.level;
}

/* ---- a line ---------------------------------------------------------------------- */

/* The bytes of a character that is written as it is; 0: it would end the line, steer a terminal
 * (C0, DEL, and C1 in UTF-8), or is none. */
static size_t sound_len(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t len = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;

    if (len == 1)
        return *at >= ' ' && *at != 0x7f;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return *at > 0xf4 || (*at == 0xc2 && at[1] < 0xa0) ? 0 : len;
}

static char *put_escape(char *to, char byte)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)byte;

    *to++ = '\\';
    *to++ = 'x';
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
    return to;
}

/* "%.*s" of text, with what is not sound as \xHH, in what is left of buf. */
static size_t append_escaped(char *buf, size_t size, size_t used, const char *text)
{
    while (*text && used + 4 < size) {
        size_t len = sound_len(text);

        if (len == 0) {
            put_escape(buf + used, *text++);
            used += 4;
            continue;
        }
        memcpy(buf + used, text, len);
        used += len;
        text += len;
    }
    return used;
}

static bool must_escape_any(const char *text)
{
    size_t len;

    while (*text && (len = sound_len(text)) > 0)
        text += len;
    return *text != '\0';
}

/* Rare, hence apart: it needs a second buffer on a greenlet's stack. */
__attribute__((noinline)) static size_t escape_line(char *line)
{
    char raw[LINE_MAX_BYTES];

    memcpy(raw, line, strlen(line) + 1);
    return append_escaped(line, LINE_MAX_BYTES - 1, 0, raw);
}

static size_t put_prefix(char *line, int level)
{
    char when[40], name[NAME_MAX_BYTES] = "";
    time_t now = time(NULL);
    struct tm tm;
    int used;

    localtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %z", &tm);
    used =
        snprintf(line, LINE_MAX_BYTES, "[%s] [%d] [%s] ", when, (int)getpid(), level_labels[level]);
    if (cress_environ_current()) {
        cress_name(cress_self(), name, sizeof name);
        used += snprintf(line + used, LINE_MAX_BYTES - (size_t)used, "[%s] ", name);
    }
    return (size_t)used;
}

static size_t put_text(char *line, size_t used, const char *format, va_list args)
{
    size_t room = LINE_MAX_BYTES - 1 - used; /* the '\n' */
    int len = vsnprintf(line + used, room, format, args);

    if (len < 0)
        line[used] = '\0';
    else if ((size_t)len >= room)
        memcpy(line + LINE_MAX_BYTES - 5, "...", 4);
    return used + strlen(line + used);
}

static bool writable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };

    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static bool put_line(const char *line, size_t len)
{
    int fd = state.fd >= 0 ? state.fd : STDERR_FILENO;

    if (!state.regular && !writable(fd))
        return false;
    return write(fd, line, len) == (ssize_t)len;
}

__attribute__((noinline)) static void report_lost(void)
{
    char line[LINE_MAX_BYTES];
    size_t used;

    used = put_prefix(line, CRESS_LOG_WARNING);
    used += (size_t)snprintf(line + used, sizeof line - used,
                             "%lu log lines lost: nobody took them in time\n", state.lost);
    if (put_line(line, used))
        state.lost = 0;
}

/* On stderr, whether or not somebody listens. */
static void say(const char *line, size_t len)
{
    ssize_t ignored = write(STDERR_FILENO, line, len);

    (void)ignored;
}

static void write_line(int level, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    int saved = errno; /* for %m */
    size_t used = put_prefix(line, level);

    errno = saved;
    used = put_text(line, used, format, args);
    if (must_escape_any(line))
        used = escape_line(line);
    line[used++] = '\n';
    if (!put_line(line, used))
        state.lost++;
    if (level == CRESS_LOG_CRITICAL && state.fd >= 0)
        say(line, used); /* what ends the server is said where it was started, too */
}

void cress_log(int level, const char *format, ...)
{
    int saved = errno;
    va_list args;

    if (level < 0 || level >= LEVEL_COUNT)
        level = level < 0 ? CRESS_LOG_DEBUG : CRESS_LOG_CRITICAL;
    if (!log_enabled(level))
        return;
    pthread_mutex_lock(&lock);
    if (state.lost > 0)
        report_lost();
    errno = saved;
    va_start(args, format);
    write_line(level, format, args);
    va_end(args);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

/* Whole lines that fit into one write; a single one that does not is cut. */
static size_t take_lines(const char *text, size_t len, char *lines, size_t *ret_used)
{
    size_t used = 0, taken = 0;

    while (taken < len) {
        const char *end = memchr(text + taken, '\n', len - taken);
        size_t count = end ? (size_t)(end - text) - taken : len - taken;
        char line[LINE_MAX_BYTES / 4 - 8];

        snprintf(line, sizeof line, "%.*s", (int)count, text + taken);
        if (used + 4 * strlen(line) + 5 > LINE_MAX_BYTES)
            break;
        used = append_escaped(lines, LINE_MAX_BYTES - 1, used, line);
        lines[used++] = '\n';
        taken += count + (end != NULL);
    }
    *ret_used = used;
    return taken;
}

size_t log_lines(const char *text, size_t len)
{
    char lines[LINE_MAX_BYTES];
    size_t used, taken = take_lines(text, len, lines, &used);

    pthread_mutex_lock(&lock);
    bool put = put_line(lines, used);
    pthread_mutex_unlock(&lock);
    return put ? taken : 0;
}

/* ---- before there is a log ------------------------------------------------------- */

void log_set_program(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    state.program = slash ? slash + 1 : argv0;
}

const char *log_program(void)
{
    return state.program;
}

void log_complain(const char *format, ...)
{
    char text[LINE_MAX_BYTES / 2], line[LINE_MAX_BYTES];
    int saved = errno;
    va_list args;
    size_t used;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    used = append_escaped(line, sizeof line - 1, 0, state.program);
    used = append_escaped(line, sizeof line - 1, used, ": ");
    used = append_escaped(line, sizeof line - 1, used, text);
    line[used++] = '\n';
    say(line, used);
    errno = saved;
}
