/* What a file's name says of its type. The system's table has some 1,500 endings; it is read
 * once, kept as it was read with NULs put between its words, and searched by halving. */
#include <cress/file.h>

#include "text.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLE "/etc/mime.types"

enum { MAX_TABLE = 1 << 20 };

struct ending {
    const char *text, *type;
};

static struct {
    struct ending *endings;
    size_t count, capacity;
} table;

/* Enough for a web site where the system has no table. */
static const struct ending common[] = {
    { "avif", "image/avif" },      { "css", "text/css" },
    { "csv", "text/csv" },         { "gif", "image/gif" },
    { "gz", "application/gzip" },  { "htm", "text/html" },
    { "html", "text/html" },       { "ico", "image/vnd.microsoft.icon" },
    { "jpeg", "image/jpeg" },      { "jpg", "image/jpeg" },
    { "js", "text/javascript" },   { "json", "application/json" },
    { "map", "application/json" }, { "md", "text/markdown" },
    { "mjs", "text/javascript" },  { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },        { "pdf", "application/pdf" },
    { "png", "image/png" },        { "svg", "image/svg+xml" },
    { "txt", "text/plain" },       { "wasm", "application/wasm" },
    { "webm", "video/webm" },      { "webmanifest", "application/manifest+json" },
    { "webp", "image/webp" },      { "woff", "font/woff" },
    { "woff2", "font/woff2" },     { "xhtml", "application/xhtml+xml" },
    { "xml", "application/xml" },  { "zip", "application/zip" },
};

static int compare(const void *a, const void *b)
{
    return strcasecmp(((const struct ending *)a)->text, ((const struct ending *)b)->text);
}

/* Among equal ones the first of the table stays in front. */
static int compare_in_order(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;
    int order = compare(x, y);

    return order != 0 ? order : (x->text > y->text) - (x->text < y->text);
}

/* ---- the system's table ---------------------------------------------------------------------- */

/* NUL-terminated, to be freed; NULL: there is none. */
static char *read_table(void)
{
    int fd = open(TABLE, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = fd < 0 ? NULL : malloc(MAX_TABLE + 1);
    size_t len = 0;
    ssize_t got = 1;

    while (text && got > 0 && len < MAX_TABLE) {
        got = read(fd, text + len, MAX_TABLE - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    if (!text)
        return NULL;
    text[len] = '\0';
    char *fitted = realloc(text, len + 1);
    return fitted ? fitted : text;
}

static bool add(const char *ending, const char *type)
{
    if (table.count == table.capacity) {
        size_t capacity = table.capacity ? table.capacity * 2 : 2048;
        struct ending *more = realloc(table.endings, capacity * sizeof *more);
        if (!more)
            return false;
        table.endings = more;
        table.capacity = capacity;
    }
    table.endings[table.count++] = (struct ending){ ending, type };
    return true;
}

/* "TYPE ENDING ENDING..." */
static bool take_line(char *line)
{
    char *rest, *type, *ending;

    line[strcspn(line, "#")] = '\0';
    type = strtok_r(line, " \t\r", &rest);
    if (!type || text_value_len(type) == TEXT_UNFIT)
        return true;
    while ((ending = strtok_r(NULL, " \t\r", &rest)))
        if (!add(ending, type))
            return false;
    return true;
}

/* What does not fit into memory is not known. */
static void load(void)
{
    char *text = read_table(), *line = text;

    while (line) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        if (!take_line(line))
            break;
        line = end ? end + 1 : NULL;
    }
    if (table.count > 0)
        qsort(table.endings, table.count, sizeof *table.endings, compare_in_order);
    else
        free(text);
}

static const struct ending *find(const struct ending *endings, size_t count, const char *text)
{
    const struct ending key = { .text = text };
    const struct ending *found =
        count > 0 ? bsearch(&key, endings, count, sizeof key, compare) : NULL;

    while (found && found > endings && compare(found - 1, &key) == 0)
        found--;
    return found;
}

const char *cress_mime_type(const char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');
    const struct ending *found;

    pthread_once(&once, load);
    if (!dot)
        return NULL;
    found = find(table.endings, table.count, dot + 1);
    if (!found)
        found = find(common, sizeof common / sizeof common[0], dot + 1);
    return found ? found->type : NULL;
}
