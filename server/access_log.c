/* The access log.
 *
 * A request appends its line to a buffer in memory and wakes the writer, a greenlet that
 * runs once everything that is ready now has run: what a loop turn collects
 * leaves in one write. Two buffers trade places, so that lines go on being collected
 * while the writer waits for a slow pipe; one that is full drops lines, and says how
 * many.
 *
 * What came from the client is escaped as Apache does (\" \\ \xHH), so that a line is
 * always one line and its fields can be told apart.
 */
#include "access_log.h"

#include "log.h"

#include <cress/event.h>
#include <cress/greenlet.h>
#include <cress/io.h>
#include <cress/timeout.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)256 * 1024)
#define LINE_MAX_BYTES ((size_t)32 * 1024)
/* A field's longest form, escapes counted; what is longer is cut. A line has three, and a few
 * hundred bytes. */
#define FIELD_MAX_BYTES ((size_t)10 * 1024)
/* nginx's status of a request that nothing was sent for, because its client had left. */
#define CLIENT_LEFT 499
/* For a reader of the log that has stopped reading, when the server stops. */
#define CLOSE_SECONDS 2.0

struct buffer {
    char *data;
    size_t used;
};

struct access_log {
    int fd, next_fd; /* next_fd: opened again, for what the writer writes next; -1: none */
    bool waits, combined, closing;
    char *path; /* NULL: stdout */
    cress_greenlet *writer;
    cress_event wake;
    struct buffer filling, leaving;
    uint64_t lost;
    int error; /* of the last write, told once */
    time_t second;
    size_t time_len;
    char time[40]; /* " [22/Nov/2026:16:00:00 +0000] \"" */
};

/* ---- a line ---------------------------------------------------------------------- */

static char *put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    size_t count = 0;

    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static char *put_escape(char *at, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    *at++ = '\\';
    if (c == '"' || c == '\\') {
        *at++ = (char)c;
        return at;
    }
    *at++ = 'x';
    *at++ = hex[c >> 4];
    *at++ = hex[c & 15];
    return at;
}

/* At most `room` bytes. */
static char *put_escaped(char *at, cress_str text, size_t room)
{
    const char *end = at + room;

    for (size_t i = 0; i < text.len && end - at >= 4; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (is_plain(c))
            *at++ = (char)c;
        else
            at = put_escape(at, c);
    }
    return at;
}

static char *put_field(char *at, cress_str text)
{
    *at++ = ' ';
    *at++ = '"';
    if (text.len > 0)
        at = put_escaped(at, text, FIELD_MAX_BYTES);
    else
        *at++ = '-';
    *at++ = '"';
    return at;
}

static char *put_pair(char *at, int value)
{
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/* Not strftime: %b would follow the application's locale. */
static void format_time(access_log *log, time_t now)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char *at = log->time;
    struct tm tm;
    long offset;

    localtime_r(&now, &tm);
    offset = tm.tm_gmtoff < 0 ? -tm.tm_gmtoff : tm.tm_gmtoff;
    at = put(at, " [", 2);
    at = put_pair(at, tm.tm_mday);
    *at++ = '/';
    at = put(at, months + (ptrdiff_t)3 * tm.tm_mon, 3);
    *at++ = '/';
    at = put_number(at, (uint64_t)tm.tm_year + 1900);
    *at++ = ':';
    at = put_pair(at, tm.tm_hour);
    *at++ = ':';
    at = put_pair(at, tm.tm_min);
    *at++ = ':';
    at = put_pair(at, tm.tm_sec);
    *at++ = ' ';
    *at++ = tm.tm_gmtoff < 0 ? '-' : '+';
    at = put_pair(at, (int)(offset / 3600));
    at = put_pair(at, (int)(offset / 60 % 60));
    at = put(at, "] \"", 3);
    log->time_len = (size_t)(at - log->time);
    log->second = now;
}

static char *put_time(char *at, access_log *log)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != log->second || log->time_len == 0)
        format_time(log, now.tv_sec);
    return put(at, log->time, log->time_len);
}

/* `GET / HTTP/1.1`, or `-` when no request line was understood. */
static char *put_request(char *at, const cress_http1_log *entry)
{
    if (entry->method.len == 0) {
        *at++ = '-';
        return at;
    }
    at = put_escaped(at, entry->method, 64);
    *at++ = ' ';
    at = put_escaped(at, entry->target, FIELD_MAX_BYTES);
    at = put(at, " HTTP/1.", 8);
    *at++ = entry->minor == 0 ? '0' : '1';
    return at;
}

static char *put_line(char *at, access_log *log, cress_str remote_addr,
                      const cress_http1_log *entry)
{
    if (remote_addr.len > 0)
        at = put_escaped(at, remote_addr, 64);
    else
        *at++ = '-';
    at = put(at, " - -", 4);
    at = put_time(at, log);
    at = put_request(at, entry);
    at = put(at, "\" ", 2);
    at = put_number(at, entry->status ? (uint64_t)entry->status : CLIENT_LEFT);
    *at++ = ' ';
    if (entry->body_bytes > 0)
        at = put_number(at, entry->body_bytes);
    else
        *at++ = '-';
    if (log->combined) {
        at = put_field(at, entry->referer);
        at = put_field(at, entry->user_agent);
    }
    *at++ = '\n';
    return at;
}

void access_log_write(access_log *log, cress_str remote_addr, const cress_http1_log *entry)
{
    struct buffer *b = &log->filling;
    char *begin = b->data + b->used;

    if (BUFFER_BYTES - b->used < LINE_MAX_BYTES) {
        log->lost++;
        return;
    }
    b->used += (size_t)(put_line(begin, log, remote_addr, entry) - begin);
    if (!cress_event_is_set(&log->wake))
        cress_event_set(&log->wake);
}

/* ---- the writer ------------------------------------------------------------------- */

/* Pipes, sockets and terminals may keep a writer waiting; files and /dev/null never do. */
static bool may_wait(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return false;
    return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd));
}

static ssize_t write_out(access_log *log, const char *data, size_t len)
{
    return log->waits ? cress_write(log->fd, data, len) : write(log->fd, data, len);
}

/* A full disk or a reader that is gone: told once, and again after it was well. */
static void tell_error(access_log *log, int error)
{
    if (error && error != log->error && error != ECANCELED)
        cress_log(CRESS_LOG_ERROR, "access log: %s", strerror(error));
    log->error = error;
}

static void tell_lost(access_log *log)
{
    if (log->lost == 0)
        return;
    cress_log(CRESS_LOG_WARNING, "access log: %llu lines lost, nobody took them in time",
              (unsigned long long)log->lost);
    log->lost = 0;
}

static void use_file(access_log *log, int fd)
{
    log->fd = fd;
    log->waits = may_wait(fd);
}

/* Not in the middle of a line: only between two buffers. */
static void take_next_file(access_log *log)
{
    if (log->next_fd < 0)
        return;
    cress_close(log->fd);
    use_file(log, log->next_fd);
    log->next_fd = -1;
}

static void write_leaving(access_log *log)
{
    struct buffer *b = &log->leaving;
    size_t done = 0;
    int error = 0;

    take_next_file(log);
    while (done < b->used && !error) {
        ssize_t count = write_out(log, b->data + done, b->used - done);

        if (count > 0)
            done += (size_t)count;
        else if (count == 0 || errno != EINTR)
            error = count == 0 ? EIO : errno;
    }
    b->used = 0;
    tell_error(log, error);
}

static void swap_buffers(access_log *log)
{
    struct buffer full = log->filling;

    log->filling = log->leaving;
    log->leaving = full;
}

static void *run_writer(void *arg)
{
    access_log *log = arg;

    while (cress_event_wait(&log->wake, CRESS_FOREVER) == 0) {
        cress_event_clear(&log->wake);
        while (log->filling.used > 0) {
            swap_buffers(log);
            write_leaving(log);
            if (cress_check() < 0)
                return NULL;
        }
        tell_lost(log);
        if (log->closing)
            break;
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------- */

static int open_file(const char *path)
{
    if (!path)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return open(path, LOG_OPEN_FLAGS, 0644);
}

static void free_log(access_log *log)
{
    int saved = errno;

    if (log->next_fd >= 0)
        cress_close(log->next_fd);
    if (log->fd >= 0)
        cress_close(log->fd);
    free(log->filling.data);
    free(log->leaving.data);
    free(log->path);
    free(log);
    errno = saved;
}

static int init_log(access_log *log, const char *path)
{
    log->filling.data = malloc(BUFFER_BYTES);
    log->leaving.data = malloc(BUFFER_BYTES);
    if (!log->filling.data || !log->leaving.data)
        return -1;
    if (strcmp(path, "-") != 0) {
        log->path = strdup(path);
        if (!log->path)
            return -1;
    }
    log->fd = open_file(log->path);
    if (log->fd < 0)
        return -1;
    use_file(log, log->fd);
    log->writer = cress_spawn(run_writer, log);
    if (!log->writer)
        return -1;
    cress_set_name(log->writer, "access log");
    return 0;
}

access_log *access_log_open(const char *path, const char *format)
{
    access_log *log;

    if (strcmp(format, "common") != 0 && strcmp(format, "combined") != 0) {
        errno = EINVAL;
        return NULL;
    }
    log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->fd = log->next_fd = -1;
    log->combined = strcmp(format, "combined") == 0;
    if (init_log(log, path) < 0) {
        free_log(log);
        return NULL;
    }
    return log;
}

void access_log_close(access_log *log)
{
    int saved = errno;
    cress_timeout limit;

    if (!log)
        return;
    log->closing = true;
    cress_event_set(&log->wake);
    cress_timeout_start_shielded(&limit, CLOSE_SECONDS);
    cress_join(log->writer, CRESS_FOREVER);
    cress_timeout_close(&limit);
    cress_timeout_start_shielded(&limit, CRESS_FOREVER);
    cress_kill(log->writer, CRESS_FOREVER);
    cress_timeout_close(&limit);
    cress_release(log->writer);
    free_log(log);
    errno = saved;
}

int access_log_reopen(access_log *log)
{
    int fd;

    if (!log->path)
        return 0;
    fd = open_file(log->path);
    if (fd < 0)
        return -1;
    if (log->next_fd >= 0)
        cress_close(log->next_fd);
    log->next_fd = fd;
    return 0;
}
