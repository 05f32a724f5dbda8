/* A web page in two writes. Its length is not said beforehand, so each write is a
 * chunk on HTTP/1.1, and on HTTP/1.0 the end of the connection ends the page.
 *
 *     wsgi_stream --bind 127.0.0.1:8000
 *     curl -i --raw 127.0.0.1:8000
 */
#include <cress/cress.h>

static int application(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/html" })) < 0)
        return -1;
    if (cress_response_write(res, "<p>Hello", 8) < 0)
        return -1;
    return cress_response_write(res, "World</p>", 9);
}

int main(int argc, char *argv[])
{
    return cress_main(argc, argv, application, NULL);
}
