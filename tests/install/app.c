/* A program outside the project: what a user of an installed cress writes. */
#include <cress/cress.h>

static int hello(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

int main(int argc, char *argv[])
{
    return cress_main(argc, argv, hello, NULL);
}
