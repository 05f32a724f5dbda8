/* hello.c after ten milliseconds. */
#include <cress/cress.h>

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    if (cress_sleep(0.01) < 0)
        return -1;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}
