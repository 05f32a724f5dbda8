/* A greenlet with fields of its own: a struct that holds all that its body needs,
 * the greenlet included.
 *
 * Where gevent subclasses Greenlet and overrides _run, C passes the struct as the
 * argument. It must outlive its greenlet, so its owner joins before it goes.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct greeter {
    cress_greenlet *greenlet;
    const char *message;
    cress_seconds rest;
};

static void *greeter_run(void *arg)
{
    struct greeter *self = arg;

    puts(self->message);
    return cress_sleep(self->rest) < 0 ? cress_fail(errno) : NULL;
}

static int greeter_start(struct greeter *self)
{
    self->greenlet = cress_spawn(greeter_run, self);
    return self->greenlet ? 0 : -1;
}

static void greeter_finish(struct greeter *self)
{
    cress_release(self->greenlet);
    self->greenlet = NULL;
}

static void *program(void *unused)
{
    (void)unused;
    struct greeter greeter = { .message = "Hi there!", .rest = 3 };
    cress_seconds start = cress_now();

    if (greeter_start(&greeter) < 0)
        return cress_fail(errno);
    int result = cress_join(greeter.greenlet, CRESS_FOREVER);
    fprintf(stderr, "joined after %.1f seconds\n", cress_now() - start);
    greeter_finish(&greeter);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
