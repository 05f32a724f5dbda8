/* Calls a function that is nowhere. */
#include <cress/cress.h>

int function_that_is_nowhere(cress_response *res);

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return function_that_is_nowhere(res);
}
