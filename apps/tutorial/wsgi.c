/* A web page in one call: status, type and body. The body's length is known, so
 * it is said.
 *
 *     wsgi --bind 127.0.0.1:8000
 *     curl -i 127.0.0.1:8000
 */
#include <cress/cress.h>

static int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/html", "<p>Hello World</p>", 18);
}

int main(int argc, char *argv[])
{
    return cress_main(argc, argv, application, NULL);
}
