/* See child.h for why it is a pidfd that is waited on. */
#define _GNU_SOURCE
#include "child.h"

#include "fd.h"

#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static const cress_seconds FIRST_PAUSE = 0.001, LAST_PAUSE = 0.05;

struct child *child_create(void)
{
    return malloc(sizeof(struct child));
}

void child_add(struct child *child, pid_t pid)
{
    struct hub *hub = hub_current;

    if (!hub) {
        free(child);
        return;
    }
    child->pid = pid;
    child->next = hub->children;
    hub->children = child;
}

void child_remove(pid_t pid)
{
    struct child **at = hub_current ? &hub_current->children : NULL, *child;

    while (at && *at && (*at)->pid != pid)
        at = &(*at)->next;
    if (!at || !*at)
        return;
    child = *at;
    *at = child->next;
    free(child);
}

void child_forget_all(struct hub *hub)
{
    struct child *child, *next;

    for (child = hub->children; child; child = next) {
        next = child->next;
        free(child);
    }
    hub->children = NULL;
}

int child_open(pid_t pid)
{
    int saved = errno, watched = pidfd_open(pid, 0);

    errno = saved;
    return watched;
}

int child_reap(pid_t pid, int *ret_status)
{
    pid_t got;
    int status = 0;

    do
        got = waitpid(pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return 0;
    child_remove(pid);
    if (got < 0)
        return -1;
    *ret_status = status;
    return 1;
}

static const char what[] = "the end of process #";

static int wait_for_news(pid_t pid, int watched, cress_seconds deadline)
{
    struct fd_wait wait;

    if (fd_stand(&wait, watched, LOOP_READ) < 0)
        return -1;

    int result = hub_wait(deadline, what, (const void *)(intptr_t)pid);

    fd_step_out(&wait);
    return result == 0 && wait.closed ? fail_with(EBADF) : result;
}

static int pause_for(pid_t pid, cress_seconds pause, cress_seconds deadline)
{
    if (hub_wait(fmin(deadline, hub_deadline(pause)), what, (const void *)(intptr_t)pid) == 0)
        return 0;
    if (errno != ETIMEDOUT || deadline <= hub_current->now)
        return -1;
    return hub_check(); /* was it a limit of the caller's that passed? */
}

int child_wait(pid_t pid, int watched, cress_seconds deadline, int *ret_status)
{
    cress_seconds pause = FIRST_PAUSE;

    if (hub_check() < 0)
        return -1;
    for (;;) {
        int reaped = child_reap(pid, ret_status);

        if (reaped)
            return reaped < 0 ? -1 : 0;
        if (watched >= 0 ? wait_for_news(pid, watched, deadline) < 0
                         : pause_for(pid, pause, deadline) < 0)
            return -1;
        pause = fmin(2 * pause, LAST_PAUSE);
    }
}
