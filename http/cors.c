/* The CORS protocol (Fetch standard, 3.2): which pages of other origins may ask, and see
 * the answer. What is not allowed is not refused here: it is the browser that keeps a page
 * from what the fields do not allow. */
#include <cress/middleware.h>

#include <stdio.h>

struct cors {
    cress_hook hook;
    const cress_cors_options *options;
    const char *origin; /* what is allowed; NULL: not this one, or there is none */
};

static bool has_credentials(const cress_cors_options *options)
{
    return options->credentials && options->origins;
}

static const char *allowed_origin(const cress_cors_options *options, cress_str origin)
{
    if (!origin.data)
        return NULL;
    if (!options->origins)
        return "*";
    for (const char *const *one = options->origins; *one; one++)
        if (cress_str_equal(origin, *one))
            return *one;
    return NULL;
}

static int allow(cress_response *res, const struct cors *cors)
{
    if (cors->options->origins && cress_response_vary(res, "Origin") < 0)
        return -1;
    if (!cors->origin)
        return 0;
    if (cress_response_set_header(res, "Access-Control-Allow-Origin", cors->origin) < 0)
        return -1;
    if (!has_credentials(cors->options))
        return 0;
    return cress_response_set_header(res, "Access-Control-Allow-Credentials", "true");
}

static int on_head(cress_hook *hook, cress_response *res)
{
    const struct cors *cors = (const struct cors *)(const void *)hook;
    const char *exposed = cors->options->exposed;

    if (allow(res, cors) < 0)
        return -1;
    if (!cors->origin || !exposed)
        return 0;
    return cress_response_set_header(res, "Access-Control-Expose-Headers", exposed);
}

static int set_preflight(cress_response *res, const cress_cors_options *options)
{
    const char *methods = options->methods ? options->methods : "GET, HEAD, POST";
    char age[24];

    if (cress_response_set_header(res, "Access-Control-Allow-Methods", methods) < 0)
        return -1;
    if (options->headers &&
        cress_response_set_header(res, "Access-Control-Allow-Headers", options->headers) < 0)
        return -1;
    if (options->max_age <= 0)
        return 0;
    snprintf(age, sizeof age, "%ld", options->max_age);
    return cress_response_set_header(res, "Access-Control-Max-Age", age);
}

static int respond_preflight(cress_response *res, const struct cors *cors)
{
    if (cress_start_response(res, 204, NULL) < 0 || allow(res, cors) < 0)
        return -1;
    if (cress_response_vary(res, "Access-Control-Request-Method") < 0 ||
        cress_response_vary(res, "Access-Control-Request-Headers") < 0)
        return -1;
    return cors->origin ? set_preflight(res, cors->options) : 0;
}

int cress_cors(cress_environ *env, cress_response *res, void *self)
{
    static const cress_cors_options defaults;
    const cress_cors_options *options = self ? self : &defaults;
    struct cors *cors = cress_environ_alloc(env, sizeof *cors);
    cress_str origin = cress_header_get(env, "Origin");

    if (!cors)
        return -1;
    *cors = (struct cors){
        .hook = { .head = on_head },
        .options = options,
        .origin = allowed_origin(options, origin),
    };
    if (origin.data && cress_str_equal(cress_method(env), "OPTIONS") &&
        cress_header_get(env, "Access-Control-Request-Method").data)
        return respond_preflight(res, cors);
    if (cress_response_add_hook(res, &cors->hook) < 0)
        return -1;
    return cress_next(env, res);
}
