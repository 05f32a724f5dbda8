/* The same work four times: ten greenlets of a pool that sleep for a millisecond each,
 * their results in the order in which they end. All four orders are the same.
 *
 * Greenlets switch only where they wait, and who waited first goes on first: the same
 * input gives the same order, which threads do not promise.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 10, RUNS = 4 };

static void *echo(void *item)
{
    return cress_sleep(0.001) < 0 ? cress_fail(errno) : item;
}

/* Fills order with the results as they come. */
static int run(cress_pool *pool, int *items, int *order)
{
    cress_imap it;
    void *item;
    int got, count = 0;

    if (cress_imap_init(&it, pool, echo,
                        &(cress_imap_options){
                            .items = items,
                            .count = ITEMS,
                            .item_size = sizeof items[0],
                            .unordered = true,
                        }) < 0)
        return -1;
    while ((got = cress_imap_next(&it, &item, CRESS_FOREVER)) > 0)
        order[count++] = *(int *)item;
    cress_imap_finish(&it);
    return got;
}

static void *program(void *unused)
{
    (void)unused;
    cress_pool pool = CRESS_POOL_INIT(10);
    int items[ITEMS], orders[RUNS][ITEMS] = { { 0 } };
    bool equal = true;

    for (int i = 0; i < ITEMS; i++)
        items[i] = i;
    for (int i = 0; i < RUNS; i++) {
        if (run(&pool, items, orders[i]) < 0)
            return cress_fail(errno);
        equal = equal && memcmp(orders[i], orders[0], sizeof orders[0]) == 0;
    }
    puts(equal ? "True" : "False");
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
