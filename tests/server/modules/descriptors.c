/* Takes all descriptors that are left, and gives them back. */
#include <cress/cress.h>

#include <fcntl.h>
#include <unistd.h>

enum { MANY = 4096 };

static int taken[MANY];
static size_t count;

static void take(void)
{
    int fd;

    while (count < MANY && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        taken[count++] = fd;
}

static void give(void)
{
    while (count > 0)
        close(taken[--count]);
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str path = cress_path(env);

    (void)self;
    if (cress_str_equal(path, "/take"))
        take();
    else if (cress_str_equal(path, "/give"))
        give();
    return cress_respond(res, 200, "text/plain", "done\n", 5);
}
