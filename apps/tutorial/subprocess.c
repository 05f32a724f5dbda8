/* A child process works for a second, and a greenlet ticks meanwhile.
 *
 * While cress_subprocess_communicate waits for what the child has to say, and for its
 * end, the others run.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void *cron(void *unused)
{
    (void)unused;
    do
        puts("cron");
    while (cress_sleep(0.2) == 0);
    return NULL;
}

static int ask(cress_subprocess *child, cress_subprocess_output *output)
{
    const cress_subprocess_options options = {
        .argv = (const char *const[]){ "sh", "-c", "sleep 1; uname", NULL },
        .out = CRESS_PIPE,
    };

    if (cress_subprocess_spawn(child, &options) < 0)
        return -1;
    return cress_subprocess_communicate(child, NULL, 0, 4096, output, CRESS_FOREVER);
}

static void *program(void *unused)
{
    cress_greenlet *ticker = cress_spawn(cron, unused);
    cress_subprocess child;
    cress_subprocess_output output = { 0 };
    int error = ask(&child, &output) < 0 ? errno : 0;

    cress_kill(ticker, CRESS_FOREVER);
    cress_release(ticker);
    if (!error)
        fputs(output.out, stdout);
    cress_subprocess_output_finish(&output);
    cress_subprocess_finish(&child);
    return error ? cress_fail(error) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
