/* A group mapped over three items in three ways: wait for all; take results one by one, in
 * the order of the items; take them as they come.
 *
 * The last item's work is done first. In order, its result waits for those before it: all
 * three come after 3 seconds. As they come: after 1, 2 and 3.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int numbers[] = { 0, 1, 2 };

static void *hello_from(void *group)
{
    printf("Size of group %zu\n", cress_pool_size(group));
    printf("Hello from Greenlet %llu\n", (unsigned long long)cress_id(cress_self()));
    return NULL;
}

static void *work_hard(void *number)
{
    return cress_sleep(3 - *(int *)number) < 0 ? cress_fail(errno) : number;
}

static int print_results(cress_imap *it)
{
    cress_seconds start = cress_now();
    void *number;
    int got;

    while ((got = cress_imap_next(it, &number, CRESS_FOREVER)) > 0) {
        printf("('task', %d)\n", *(int *)number);
        fprintf(stderr, "after %.1f seconds\n", cress_now() - start);
    }
    return got;
}

static int iterate(bool unordered)
{
    cress_group group = CRESS_GROUP_INIT;
    cress_imap it;
    cress_imap_options options = {
        .items = numbers,
        .count = 3,
        .item_size = sizeof numbers[0],
        .unordered = unordered,
    };

    puts(unordered ? "Unordered" : "Ordered");
    if (cress_imap_init(&it, &group, work_hard, &options) < 0)
        return -1;

    int result = print_results(&it);

    cress_imap_finish(&it);
    return result;
}

static void *program(void *unused)
{
    (void)unused;
    cress_group group = CRESS_GROUP_INIT;

    /* The same item three times. */
    if (cress_pool_map(&group, hello_from, &group, 3, 0) < 0)
        return cress_fail(errno);
    if (iterate(false) < 0 || iterate(true) < 0)
        return cress_fail(errno);
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
