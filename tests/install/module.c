/* A module outside the project, for an installed cress to load. */
#include <cress/cress.h>

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "hello, module\n", 14);
}
