/* Folders in front of an application are a chain: each serves what begins with its prefix and
 * hands on what does not, the longest prefix first, so that the order on the command line does
 * not matter. */
#include "mounts.h"

#include "log.h"

#include <cress/static.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct mount {
    const char *prefix, *folder; /* in `text` */
    size_t prefix_len;
    cress_static_root *files;
};

struct mounts {
    cress_application inner;
    char *text;
    size_t count;
    struct mount each[];
};

static void destroy(struct mounts *m)
{
    for (size_t i = 0; i < m->count; i++)
        cress_static_destroy(m->each[i].files);
    free(m->text);
    free(m);
}

static void finish(void *self)
{
    struct mounts *m = self;

    if (m->inner.finish)
        m->inner.finish(m->inner.self);
    destroy(m);
}

static int serve(cress_environ *env, cress_response *res, void *self)
{
    struct mounts *m = self;

    return cress_static(env, res, m->each[0].files);
}

/* ---- the list --------------------------------------------------------------------------------- */

static int refuse(const char *text)
{
    log_complain("--static: \"%s\" is not PREFIX=DIR, as in /assets=public", text);
    return CRESS_EXIT_USAGE;
}

static int parse_one(struct mounts *m, char *text)
{
    char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : 0;

    if (len == 0 || *text != '/' || !equals[1])
        return refuse(text);
    *equals = '\0';
    while (len > 0 && text[len - 1] == '/')
        text[--len] = '\0';
    m->each[m->count++] = (struct mount){
        .prefix = text,
        .prefix_len = len,
        .folder = equals + 1,
    };
    return CRESS_EXIT_OK;
}

static int compare(const void *a, const void *b)
{
    const struct mount *x = a, *y = b;

    return (x->prefix_len < y->prefix_len) - (x->prefix_len > y->prefix_len);
}

static int check_twice(const struct mounts *m)
{
    for (size_t i = 0; i < m->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(m->each[i].prefix, m->each[j].prefix) == 0) {
                log_complain("--static: \"%s/\" is there twice", m->each[i].prefix);
                return CRESS_EXIT_USAGE;
            }
    return CRESS_EXIT_OK;
}

static int parse(struct mounts *m)
{
    int status = CRESS_EXIT_OK;

    for (char *at = m->text, *next; at && status == CRESS_EXIT_OK; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = '\0';
        status = parse_one(m, at);
    }
    qsort(m->each, m->count, sizeof m->each[0], compare);
    return status == CRESS_EXIT_OK ? check_twice(m) : status;
}

/* ---- opening ------------------------------------------------------------------------------------ */

/* From the last of the chain to the first. */
static int open_all(struct mounts *m, const cress_application *behind)
{
    cress_app *app = behind->app;
    void *self = behind->self;

    for (size_t i = m->count; i-- > 0; app = cress_static, self = m->each[i].files) {
        m->each[i].files = cress_static_create(&(cress_static_options){
            .root = m->each[i].folder,
            .prefix = m->each[i].prefix,
            .otherwise = app,
            .otherwise_self = self,
        });
        if (!m->each[i].files) {
            log_complain("--static: %s: %s", m->each[i].folder, strerror(errno));
            return CRESS_EXIT_USAGE;
        }
    }
    return CRESS_EXIT_OK;
}

static size_t count_items(const char *list)
{
    size_t count = 1;

    for (; *list; list++)
        count += *list == ',';
    return count;
}

static struct mounts *create(const char *list)
{
    struct mounts *m = calloc(1, sizeof *m + count_items(list) * sizeof m->each[0]);
    char *text = strdup(list);

    if (m && text) {
        m->text = text;
        return m;
    }
    free(m);
    free(text);
    log_complain("--static: out of memory");
    return NULL;
}

int mounts_open(const char *list, cress_application *application)
{
    struct mounts *m = list ? create(list) : NULL;

    if (!m)
        return list ? CRESS_EXIT_FAILURE : CRESS_EXIT_OK;
    int status = parse(m);
    if (status == CRESS_EXIT_OK)
        status = open_all(m, application);
    if (status != CRESS_EXIT_OK) {
        destroy(m);
        return status;
    }
    m->inner = *application;
    *application = (cress_application){ .app = serve, .self = m, .finish = finish };
    return CRESS_EXIT_OK;
}

int mounts_check(const char *list)
{
    cress_application none = { .app = NULL };
    int status = mounts_open(list, &none);

    if (status == CRESS_EXIT_OK && none.finish)
        none.finish(none.self);
    return status;
}
