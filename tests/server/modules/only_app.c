/* The second of the default names. */
#include <cress/cress.h>

cress_app app;

int app(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "app\n", 4);
}
