/* A chain keeps its place in the environ, so that a layer needs to know nothing of the
 * one behind it, and one table serves all requests. Error pages hang there as well: a
 * router deep inside, and the server after the application has failed, ask for them. */
#include <cress/middleware.h>

#include "head.h"
#include "hook.h"
#include "response.h"
#include "text.h"

#include <cress/timeout.h>

#include <errno.h>

/* ---- chains --------------------------------------------------------------------------- */

static int call(cress_environ *env, cress_response *res, const cress_layer *layer)
{
    const cress_layer *outer = env->layer;

    if (!layer->app)
        return cress_respond_error(res, 404, NULL);
    env->layer = layer;
    int result = layer->app(env, res, layer->self);
    env->layer = outer;
    return result;
}

int cress_run_chain(cress_environ *env, cress_response *res, const cress_layer layers[])
{
    return call(env, res, layers);
}

int cress_chain(cress_environ *env, cress_response *res, void *self)
{
    return call(env, res, self);
}

int cress_next(cress_environ *env, cress_response *res)
{
    if (!env->layer) {
        errno = EINVAL;
        return -1;
    }
    return call(env, res, env->layer + 1);
}

/* ---- error pages ------------------------------------------------------------------------ */

struct error_pages {
    const cress_error_page *table;
    struct error_pages *outer;
};

int cress_error_pages(cress_environ *env, cress_response *res, void *self)
{
    if (!self)
        return cress_next(env, res);

    struct error_pages *pages = cress_environ_alloc(env, sizeof *pages);

    if (!pages)
        return -1;
    *pages = (struct error_pages){ .table = self, .outer = env->pages };
    env->pages = pages;
    return cress_next(env, res);
}

static const cress_error_page *find_page(const cress_error_page *page, int status)
{
    const cress_error_page *any = NULL;

    for (; page->app; page++) {
        if (page->status == status)
            return page;
        if (page->status == 0 && !any)
            any = page;
    }
    return any;
}

/* The page's own errors get pages that are further out. */
static int call_page(struct http_exchange *x, struct error_pages *pages,
                     const cress_error_page *page)
{
    struct error_pages *innermost = x->env.pages;
    cress_timeout limit;

    x->env.pages = pages->outer;
    cress_timeout_start(&limit, config_write_timeout(x->http->config));
    int result = page->app(&x->env, &x->res, page->self), error = errno;
    cress_timeout_close(&limit);
    x->env.pages = innermost;
    errno = error;
    return result;
}

/* The one line of text; what was put on the head before stays. */
static int respond_plain(cress_response *res)
{
    char page[64], length[24], *end = text_put_u64(page, res->status);
    const char *reason = cress_status_reason(res->status);

    end = TEXT_PUT(end, " ");
    end = text_put(end, reason, strlen(reason));
    end = TEXT_PUT(end, "\n");
    size_t len = (size_t)(end - page);
    *text_put_u64(length, len) = '\0';
    if (head_add_field(res, "Content-Type", "text/plain") < 0 ||
        head_add_field(res, "Content-Length", length) < 0)
        return -1;
    return cress_response_write(res, page, len);
}

int pages_respond(cress_response *res, int status)
{
    struct http_exchange *x = exchange_of_response(res);

    for (struct error_pages *pages = x->env.pages; pages; pages = pages->outer) {
        const cress_error_page *page = find_page(pages->table, status);
        if (!page)
            continue;
        if (cress_start_response(res, status, NULL) < 0)
            return -1;
        if (call_page(x, pages, page) == 0 && res->lost == 0)
            return 0;
        if (res->begun)
            return -1;
    }
    return cress_start_response(res, status, NULL) < 0 ? -1 : respond_plain(res);
}

struct error_headers {
    cress_hook hook;
    cress_header headers[];
};

static int add_headers(cress_hook *hook, cress_response *res)
{
    const struct error_headers *error = (const struct error_headers *)(const void *)hook;

    for (const cress_header *header = error->headers; header->name; header++)
        if (cress_response_set_header(res, header->name, header->value) < 0)
            return -1;
    return 0;
}

static const char *copy_text(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text));
}

/* A page starts its own response, so the fields are put on it behind its back. */
static int hook_headers(cress_response *res, const cress_header headers[])
{
    struct arena *arena = &exchange_of_response(res)->arena;
    size_t count = 0;

    while (headers[count].name)
        count++;
    struct error_headers *error =
        arena_alloc(arena, sizeof *error + (count + 1) * sizeof error->headers[0]);
    if (!error)
        return -1;
    error->hook = (cress_hook){ .head = add_headers };
    for (size_t i = 0; i < count; i++) {
        error->headers[i].name = copy_text(arena, headers[i].name);
        error->headers[i].value = copy_text(arena, headers[i].value);
        if (!error->headers[i].name || !error->headers[i].value)
            return -1;
    }
    error->headers[count] = (cress_header){ NULL, NULL };
    return cress_response_add_hook(res, &error->hook);
}

int cress_respond_error(cress_response *res, int status, const cress_header headers[])
{
    /* Also sees to it that the arguments are sound. */
    if (cress_start_response(res, status, headers) < 0)
        return -1;
    if (!exchange_of_response(res)->env.pages)
        return respond_plain(res);
    if (headers && hook_headers(res, headers) < 0)
        return -1;
    return pages_respond(res, status);
}

/* ---- bodies ------------------------------------------------------------------------------- */

int cress_body_limit(cress_environ *env, cress_response *res, void *self)
{
    const uint64_t *bytes = self;

    if (bytes && cress_input_limit(env, *bytes) < 0)
        return cress_respond_error(res, 413, NULL);
    return cress_next(env, res);
}
