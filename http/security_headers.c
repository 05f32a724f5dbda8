/* Fields by which a site tells browsers what not to do with its pages. */
#include <cress/middleware.h>

struct security {
    cress_hook hook;
    const cress_security_options *options;
    bool is_https;
};

/* The app's own goes first. */
static int set_default(cress_response *res, const char *name, const char *value,
                       const char *otherwise)
{
    const char *text = value ? value : otherwise;

    if (!text || !*text || cress_response_get_header(res, name).data)
        return 0;
    return cress_response_set_header(res, name, text);
}

static int set_all(cress_hook *hook, cress_response *res)
{
    static const cress_security_options defaults;
    const struct security *security = (const struct security *)(const void *)hook;
    const cress_security_options *o = security->options ? security->options : &defaults;
    const struct {
        const char *name, *value, *otherwise;
    } fields[] = {
        { "X-Content-Type-Options", o->content_type_options, "nosniff" },
        { "X-Frame-Options", o->frame_options, "DENY" },
        { "Referrer-Policy", o->referrer_policy, "strict-origin-when-cross-origin" },
        { "Cross-Origin-Opener-Policy", o->opener_policy, "same-origin" },
        { "Cross-Origin-Resource-Policy", o->resource_policy, NULL },
        { "Content-Security-Policy", o->content_security_policy, NULL },
        { "Permissions-Policy", o->permissions_policy, NULL },
        { "Strict-Transport-Security", security->is_https ? o->transport_security : "", NULL },
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (set_default(res, fields[i].name, fields[i].value, fields[i].otherwise) < 0)
            return -1;
    return 0;
}

int cress_security_headers(cress_environ *env, cress_response *res, void *self)
{
    struct security *security = cress_environ_alloc(env, sizeof *security);

    if (!security)
        return -1;
    *security = (struct security){
        .hook = { .head = set_all },
        .options = self,
        .is_https = cress_str_equal(cress_environ_get(env, "wsgi.url_scheme"), "https"),
    };
    if (cress_response_add_hook(res, &security->hook) < 0)
        return -1;
    return cress_next(env, res);
}
