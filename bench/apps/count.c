/* Reads a body and answers how many bytes it had. */
#include <cress/cress.h>

#include <inttypes.h>

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    static char buf[65536]; /* nobody looks at what is in it */
    uint64_t bytes = 0;
    ssize_t len;

    (void)self;
    while ((len = cress_input_read(env, buf, sizeof buf)) > 0)
        bytes += (uint64_t)len;
    if (len < 0)
        return -1;
    cress_str text = cress_environ_printf(env, "%" PRIu64 "\n", bytes);
    return text.data ? cress_respond(res, 200, "text/plain", text.data, text.len) : -1;
}
