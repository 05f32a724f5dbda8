/* cress_serve: from a configuration to a running worker, and back. */
#include <cress/serve.h>

#include "address.h"
#include "config.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTENERS_MAX = 16, SPARE_DESCRIPTORS = 32 };

struct listeners {
    int fds[LISTENERS_MAX];
    address addresses[LISTENERS_MAX];
    size_t count;
};

/* ---- listeners -------------------------------------------------------------------- */

static int refuse_bind(const char *text, const char *reason)
{
    cress_log(CRESS_LOG_CRITICAL, "can't listen on %s: %s", text, reason);
    return CRESS_EXIT_BIND;
}

static int open_one(const char *text, int backlog, struct listeners *listeners)
{
    if (listeners->count == LISTENERS_MAX)
        return refuse_bind(text, "too many addresses");
    address *a = &listeners->addresses[listeners->count];
    if (address_parse(text, a) < 0)
        return refuse_bind(text, errno == EINVAL ? "not an address" : strerror(errno));
    int fd = address_listen(a, backlog);
    if (fd < 0)
        return refuse_bind(text, strerror(errno));
    listeners->fds[listeners->count++] = fd;
    return CRESS_EXIT_OK;
}

static int open_listeners(const cress_config *config, struct listeners *listeners)
{
    char *list = strdup(config->bind), *rest = list, *text;
    int status = list ? CRESS_EXIT_OK : CRESS_EXIT_FAILURE;

    while (status == CRESS_EXIT_OK && (text = strsep(&rest, ",")) != NULL)
        status = open_one(text, config->backlog, listeners);
    free(list);
    return status;
}

/* A unix socket's file goes with its server. */
static void remove_socket_files(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct sockaddr_un *un = (const void *)&listeners->addresses[i].storage;
        if (un->sun_family == AF_UNIX)
            unlink(un->sun_path);
    }
}

static void close_listeners(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        close(listeners->fds[i]);
}

/* ---- the process --------------------------------------------------------------------- */

/* Enough descriptors for every connection, the listeners, the logs and some of the
 * application's own. */
static int raise_descriptors(const cress_config *config)
{
    rlim_t needed = (rlim_t)config->worker_connections + SPARE_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
        return CRESS_EXIT_OK;
    if (limit.rlim_max >= needed || limit.rlim_max == RLIM_INFINITY) {
        limit.rlim_cur = needed;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
            return CRESS_EXIT_OK;
    }
    cress_log(CRESS_LOG_CRITICAL,
              "%d worker connections need %llu descriptors, the limit is %llu (ulimit -n)",
              config->worker_connections, (unsigned long long)needed,
              (unsigned long long)limit.rlim_max);
    return CRESS_EXIT_DESCRIPTORS;
}

static int write_pidfile(const char *path)
{
    FILE *file = path ? fopen(path, "we") : NULL;

    if (!path)
        return CRESS_EXIT_OK;
    if (file && fprintf(file, "%ld\n", (long)getpid()) > 0 && fclose(file) == 0)
        return CRESS_EXIT_OK;
    cress_log(CRESS_LOG_CRITICAL, "%s: %s", path, strerror(errno));
    return CRESS_EXIT_LOG;
}

static int open_log(const cress_config *config)
{
    if (log_open(config->error_logfile, log_level_by_name(config->log_level)) == 0)
        return CRESS_EXIT_OK;
    fprintf(stderr, "cress: %s: %s\n", config->error_logfile, strerror(errno));
    return CRESS_EXIT_LOG;
}

static int serve_on(const cress_config *config, const struct listeners *listeners)
{
    int status = write_pidfile(config->pidfile);

    if (status != CRESS_EXIT_OK)
        return status;
    cress_log(CRESS_LOG_INFO, "Starting cress %s", CRESS_VERSION);
    status = worker_run(config, listeners->fds, listeners->count);
    remove_socket_files(listeners);
    if (config->pidfile)
        unlink(config->pidfile);
    return status;
}

int cress_serve(const cress_config *config)
{
    cress_config filled = *config;
    struct listeners listeners = { .count = 0 };

    config_fill(&filled);
    if (config_check(&filled) < 0)
        return CRESS_EXIT_USAGE;
    int status = open_log(&filled);
    if (status != CRESS_EXIT_OK)
        return status;
    signal(SIGPIPE, SIG_IGN);
    status = raise_descriptors(&filled);
    if (status == CRESS_EXIT_OK)
        status = open_listeners(&filled, &listeners);
    if (status == CRESS_EXIT_OK)
        status = serve_on(&filled, &listeners);
    else
        close_listeners(&listeners);
    log_close();
    return status;
}
