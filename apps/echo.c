/* Streams the body back as it comes, with the same Content-Type: a body of any size
 * passes through one buffer, and a client that doesn't read its answer is not read
 * from either.
 *
 *     cress apps/echo.so
 *     curl 127.0.0.1:8000 --data-binary @apps/echo.c
 */
#include <cress/cress.h>

static int start_echo(cress_environ *env, cress_response *res)
{
    cress_str type = cress_environ_get(env, "CONTENT_TYPE");
    cress_str length = cress_environ_get(env, "CONTENT_LENGTH");
    const cress_header type_alone[] = {
        { "Content-Type", type.data ? type.data : "application/octet-stream" },
        { NULL, NULL },
    };

    if (cress_start_response(res, 200, type_alone) < 0)
        return -1;
    return length.data ? cress_response_add_header(res, "Content-Length", length.data) : 0;
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    char buf[16384];
    ssize_t len;

    (void)self;
    if (!cress_str_equal(cress_method(env), "POST") && !cress_str_equal(cress_method(env), "PUT"))
        return cress_start_response(res, 405, CRESS_HEADERS({ "Allow", "POST, PUT" }));
    if (start_echo(env, res) < 0)
        return -1;
    while ((len = cress_input_read(env, buf, sizeof buf)) > 0)
        if (cress_response_write(res, buf, (size_t)len) < 0)
            return -1;
    return len < 0 ? -1 : 0;
}
