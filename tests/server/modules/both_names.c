/* Both of the default names: the first counts. */
#include <cress/cress.h>

cress_app app, application;

int app(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "app\n", 4);
}

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "application\n", 12);
}
