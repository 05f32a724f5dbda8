/* The smallest application: thirteen bytes of text for every request.
 *
 *     cress apps/hello.so
 *     curl -i 127.0.0.1:8000
 */
#include <cress/cress.h>

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}
