/* Two processes and two greenlets over pipes: one greenlet sends ten messages to a
 * forked process, which numbers them and sends them back to the other.
 *
 * Of the process that forks the child has only the greenlet that did it: here the
 * first, which becomes the relay. A message has a fixed size, so that a reader knows where it
 * ends.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 10, MESSAGE_SIZE = 32 };

static int to_relay[2], from_relay[2];

static int receive(int fd, char message[MESSAGE_SIZE])
{
    for (size_t len = 0; len < MESSAGE_SIZE;) {
        ssize_t count = cress_read(fd, message + len, MESSAGE_SIZE - len);

        if (count <= 0)
            return -1;
        len += (size_t)count;
    }
    return 0;
}

static int relay(void)
{
    char message[MESSAGE_SIZE], numbered[MESSAGE_SIZE] = "";

    cress_close(to_relay[1]); /* the parent's ends */
    cress_close(from_relay[0]);
    for (int i = 0; i < MESSAGES; i++) {
        if (receive(to_relay[0], message) < 0)
            return -1;
        snprintf(numbered, sizeof numbered, "%.16s in %d", message, i);
        if (cress_write(from_relay[1], numbered, sizeof numbered) < 0)
            return -1;
    }
    return 0;
}

static void *put_messages(void *unused)
{
    char message[MESSAGE_SIZE] = "hi";

    (void)unused;
    for (int i = 0; i < MESSAGES; i++) {
        if (cress_wait_fd(to_relay[1], POLLOUT, CRESS_FOREVER) < 0 ||
            cress_write(to_relay[1], message, sizeof message) < 0)
            return cress_fail(errno);
    }
    return NULL;
}

static void *get_messages(void *unused)
{
    char message[MESSAGE_SIZE];

    (void)unused;
    for (int i = 0; i < MESSAGES; i++) {
        if (cress_wait_fd(from_relay[0], POLLIN, CRESS_FOREVER) < 0 ||
            receive(from_relay[0], message) < 0)
            return cress_fail(errno);
        puts(message);
    }
    return NULL;
}

static void *program(void *unused)
{
    if (cress_pipe(to_relay) < 0 || cress_pipe(from_relay) < 0)
        return cress_fail(errno);
    pid_t child = cress_fork();
    if (child < 0)
        return cress_fail(errno);
    if (child == 0)
        return relay() < 0 ? cress_fail(errno) : NULL;
    cress_close(to_relay[0]);
    cress_close(from_relay[1]);

    cress_greenlet *both[] = {
        cress_spawn(get_messages, unused),
        cress_spawn(put_messages, unused),
    };
    int error = cress_joinall(both, 2, 1.0) < 0 ? errno : 0;

    for (size_t i = 0; i < 2; i++)
        cress_release(both[i]);
    cress_close(to_relay[1]);
    cress_close(from_relay[0]);
    cress_waitpid(child, NULL, 0);
    return error ? cress_fail(error) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
