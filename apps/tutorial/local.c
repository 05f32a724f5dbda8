/* Values that each greenlet has for itself: what one stores under a key, another
 * does not see.
 *
 * The key is a variable's address; the variable itself stays zero.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static cress_local x, y;

static void *set_x(void *one)
{
    if (cress_local_set(&x, one) < 0)
        return cress_fail(errno);
    printf("%d\n", *(int *)cress_local_get(&x));
    return NULL;
}

static void *set_y(void *two)
{
    if (cress_local_set(&y, two) < 0)
        return cress_fail(errno);
    printf("%d\n", *(int *)cress_local_get(&y));
    if (!cress_local_get(&x))
        puts("x is not local to f2");
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    int one = 1, two = 2;
    cress_greenlet *both[] = { cress_spawn(set_x, &one), cress_spawn(set_y, &two) };
    int result = cress_joinall(both, 2, CRESS_FOREVER);

    for (size_t i = 0; i < 2; i++)
        cress_release(both[i]);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
