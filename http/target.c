/* The target of a request: RFC 9112 3.2. */
#include "target.h"

#include "host.h"
#include "query.h"
#include "text.h"

/* Sets path and query; `at` is where the path begins. One that stands there whole, up to the target's
 * NUL, is not copied. */
static int split_path(struct http_exchange *x, const char *at, const char *end)
{
    cress_environ *env = &x->env;
    const char *mark = x->query ? x->head + x->query : end;

    if (mark < end)
        env->query = (cress_str){ mark + 1, (size_t)(end - mark) - 1 };
    env->path = (cress_str){ at, (size_t)(mark - at) };
    if (mark == end && !x->is_encoded)
        return 0;
    char *copy = arena_copy(&x->arena, at, env->path.len);
    if (!copy)
        return exchange_refuse(x, 500, "out of memory");
    ssize_t len = query_decode_path(copy, copy, env->path.len);
    if (len < 0)
        return exchange_refuse(x, 400, "a malformed escape in the path");
    copy[len] = '\0';
    env->path = (cress_str){ copy, (size_t)len };
    return 0;
}

static bool is_over_tls(const cress_http1 *http)
{
    const char *scheme = http->config->scheme;

    return http->tls || (scheme && strcmp(scheme, "https") == 0);
}

/* RFC 9112 3.2.2: the authority of the target is meant, whatever Host says. */
static int replace_host(struct http_exchange *x, cress_str authority)
{
    cress_environ *env = &x->env;

    if (!host_is_valid(authority))
        return exchange_refuse(x, 400, "a malformed authority");
    if (env->host.len == authority.len &&
        memcmp(env->host.data, authority.data, authority.len) == 0)
        return 0;
    const char *copy = arena_copy(&x->arena, authority.data, authority.len);
    if (!copy)
        return exchange_refuse(x, 500, "out of memory");
    env->host = (cress_str){ copy, authority.len };
    return 0;
}

/* A target without a path is all of the server to OPTIONS (RFC 9112 3.2.4), else its
 * root. */
static int split_absolute(struct http_exchange *x)
{
    cress_environ *env = &x->env;
    cress_str target = env->target;
    const char *end = target.data + target.len;
    bool is_tls = strncasecmp(target.data, "https://", 8) == 0;

    if (!is_tls && strncasecmp(target.data, "http://", 7) != 0)
        return exchange_refuse(x, 400, "a target that is neither a path nor a URI of HTTP");
    const char *authority = target.data + (is_tls ? 8 : 7);
    const char *path = authority + strcspn(authority, "/?");
    int status = replace_host(x, (cress_str){ authority, (size_t)(path - authority) });
    if (status)
        return status;
    if (is_tls && !is_over_tls(x->http)) /* RFC 9110 7.4 */
        return exchange_refuse(x, 421, "a target of https without TLS");
    status = split_path(x, path, end);
    if (status == 0 && env->path.len == 0)
        env->path = env->is_options && path == end ? CRESS_STR("*") : CRESS_STR("/");
    return status;
}

static int take_asterisk(struct http_exchange *x, cress_str target)
{
    if (target.len > 1 || !x->env.is_options)
        return exchange_refuse(x, 400, "a stray asterisk");
    x->env.path = target;
    return 0;
}

static inline int take_path(struct http_exchange *x, cress_str target)
{
    if (x->query || x->is_encoded)
        return split_path(x, target.data, target.data + target.len);
    x->env.path = target;
    return 0;
}

/* RFC 9110 4.2.1: without a host there is no URI. */
int target_finish(struct http_exchange *x)
{
    cress_str target = x->env.target;
    bool is_path = target.data[0] == '/';

    if (!is_path && target.data[0] != '*')
        return split_absolute(x);
    if (x->env.host.data && x->env.host.len == 0)
        return exchange_refuse(x, 400, "an empty Host");
    return is_path ? take_path(x, target) : take_asterisk(x, target);
}
