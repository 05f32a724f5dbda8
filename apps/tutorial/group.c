/* A group of three talkers: two are waited for together, the third joins the
 * group later and is waited for after them.
 *
 * It runs before it is a member: adding a greenlet to a group does not start it.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static cress_group group = CRESS_GROUP_INIT;

static void *talk(void *message)
{
    for (int i = 0; i < 3; i++)
        puts(message);
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    cress_greenlet *bar = cress_spawn(talk, "bar");
    cress_greenlet *foo = cress_spawn(talk, "foo");
    cress_greenlet *fizz = cress_spawn(talk, "fizz");
    if (!bar || !foo || !fizz)
        return cress_fail(errno);

    cress_pool_add(&group, bar);
    cress_pool_add(&group, foo);
    int result = cress_pool_join(&group, CRESS_FOREVER);
    if (result == 0) {
        cress_pool_add(&group, fizz);
        result = cress_pool_join(&group, CRESS_FOREVER);
    }
    cress_release(bar);
    cress_release(foo);
    cress_release(fizz);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
