/* The application of the probes (tests/probes/probes.py): tells what reached it, in lines
 * that a program can take apart, and answers /status/NNN by that status without a body.
 */
#include <cress/cress.h>

#include <stdlib.h>
#include <string.h>

enum { MAX_BODY = 1 << 20 };

static int echo(cress_environ *env, cress_response *res)
{
    cress_str method = cress_method(env), target = cress_target(env);
    cress_str host = cress_environ_get(env, "HTTP_HOST");
    cress_str probe = cress_header_get(env, "X-Probe");
    cress_str body;
    char *text;

    if (cress_input_read_all(env, MAX_BODY, &body) < 0)
        return -1;
    cress_str head =
        cress_environ_printf(env, "method=%s\ntarget=%s\nhost=%s\nprobe=%s\nbody=", method.data,
                             target.data, host.data ? host.data : "", probe.data ? probe.data : "");
    if (!head.data || !(text = cress_environ_alloc(env, head.len + body.len + 1)))
        return -1;
    memcpy(text, head.data, head.len);
    memcpy(text + head.len, body.data, body.len);
    return cress_respond(res, 200, "text/plain", text, head.len + body.len);
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    static const char prefix[] = "/status/";
    cress_str path = cress_path(env);

    (void)self;
    if (strncmp(path.data, prefix, sizeof prefix - 1) != 0)
        return echo(env, res);
    return cress_respond(res, atoi(path.data + sizeof prefix - 1), NULL, NULL, 0);
}
