/* Three ways to make a greenlet: at once, after a delay, and as a member of a
 * group. Each gets one argument, returns one value, and is waited for like the
 * others.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct greeting {
    const char *message;
    cress_seconds after;
};

static void *greet(void *arg)
{
    struct greeting *greeting = arg;

    if (cress_sleep(greeting->after) < 0)
        return cress_fail(errno);
    puts(greeting->message);
    return NULL;
}

/* Small numbers travel in the pointer itself. */
static void *add_one(void *arg)
{
    return (void *)((intptr_t)arg + 1);
}

static cress_group group = CRESS_GROUP_INIT;

static void *program(void *unused)
{
    (void)unused;
    struct greeting hello = { "Hello", 1 }, alive = { "I live!", 0 };
    cress_seconds start = cress_now();
    cress_greenlet *all[] = {
        cress_spawn(greet, &hello),
        cress_spawn_later(2, greet, &alive),
        cress_pool_spawn_greenlet(&group, add_one, (void *)(intptr_t)2),
    };
    int result = cress_joinall(all, 3, CRESS_FOREVER);

    fprintf(stderr, "the third's value is %d, done at %.1f seconds\n",
            (int)(intptr_t)cress_value(all[2]), cress_now() - start);
    for (size_t i = 0; i < 3; i++)
        cress_release(all[i]);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
