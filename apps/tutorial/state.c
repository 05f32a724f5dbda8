/* How a greenlet tells how it is and how it went, one that succeeds beside one
 * that fails.
 *
 * A failure stays inside the greenlet: it is reported once on stderr, joining
 * does not fail by it, and cress_get hands its errno on. What an errno cannot say
 * goes into the struct that the greenlet was given.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct attempt {
    const char *complaint;
};

static void *win(void *unused)
{
    (void)unused;
    return "You win!";
}

static void *lose(void *arg)
{
    struct attempt *attempt = arg;

    attempt->complaint = "You fail at failing.";
    return cress_fail(EDOM);
}

static void print_bool(bool b)
{
    puts(b ? "True" : "False");
}

static void print_text(const char *text)
{
    puts(text ? text : "None");
}

static void *program(void *unused)
{
    (void)unused;
    struct attempt attempt = { NULL };
    cress_greenlet *winner = cress_spawn(win, NULL);
    cress_greenlet *loser = cress_spawn(lose, &attempt);
    if (!winner || !loser)
        return cress_fail(errno);
    cress_set_name(loser, "loser");

    print_bool(cress_started(winner));
    print_bool(cress_started(loser));

    cress_greenlet *both[] = { winner, loser };
    if (cress_joinall(both, 2, CRESS_FOREVER) < 0)
        puts("This will never be reached");

    print_text(cress_value(winner));
    print_text(cress_value(loser));
    print_bool(cress_ready(winner));
    print_bool(cress_ready(loser));
    print_bool(cress_successful(winner));
    print_bool(cress_successful(loser));
    print_text(cress_error(loser) ? attempt.complaint : NULL);

    if (cress_get(loser, NULL, CRESS_FOREVER) < 0)
        fprintf(stderr, "cress_get: %s\n", strerror(errno));
    cress_release(winner);
    cress_release(loser);
    return NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
