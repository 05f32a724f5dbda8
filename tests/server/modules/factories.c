/* Applications that are made in the worker. */
#include <cress/cress.h>

#include <errno.h>

static unsigned ticks;

static void *tick(void *arg)
{
    while (cress_sleep(0.01) == 0)
        ticks++;
    return arg;
}

static int say(cress_environ *env, cress_response *res, void *self)
{
    const char *text = self;

    (void)env;
    return cress_respond(res, 200, "text/plain", text, strlen(text));
}

static void finish(void *self)
{
    cress_log(CRESS_LOG_INFO, "finished %s", ticks > 0 ? (const char *)self : "without a tick");
}

cress_factory make, make_failing, make_waiting;

/* Spawns a greenlet, and waits until that has run. */
int make(cress_application *ret_application)
{
    static char text[] = "made\n";
    cress_greenlet *ticker = cress_spawn(tick, NULL);

    if (!ticker)
        return -1;
    cress_release(ticker);
    while (ticks == 0)
        if (cress_sleep(0.01) < 0)
            return -1;
    *ret_application = (cress_application){ .app = say, .self = text, .finish = finish };
    return 0;
}

int make_failing(cress_application *ret_application)
{
    (void)ret_application;
    errno = ENOENT;
    return -1;
}

/* [waits] for what never comes. */
int make_waiting(cress_application *ret_application)
{
    *ret_application = (cress_application){ .app = say, .self = "too early\n", .finish = finish };
    cress_log(CRESS_LOG_INFO, "the factory waits");
    return cress_sleep(CRESS_FOREVER);
}

extern int number;
int number = 42;
