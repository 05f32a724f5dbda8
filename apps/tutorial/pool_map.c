/* A function mapped over three items by a pool of two: the third starts when one
 * of the first two has left the pool.
 *
 * cress_pool_map hands each call the address of its item, and returns when none
 * runs any more, so the items may live on the stack.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static cress_pool pool = CRESS_POOL_INIT(2);

static void *hello_from(void *item)
{
    (void)item;
    printf("Size of pool %zu\n", cress_pool_size(&pool));
    return NULL;
}

static void *program(void *unused)
{
    (void)unused;
    int items[] = { 0, 1, 2 };

    if (cress_pool_map(&pool, hello_from, items, 3, sizeof items[0]) < 0)
        return cress_fail(errno);
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
