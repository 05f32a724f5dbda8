/* cress_serve: from a configuration to a running worker, and back. */
#include <cress/serve.h>

#include "bind.h"
#include "config.h"
#include "https.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listeners {
    cress_address *addresses;
    int *fds;
    size_t count; /* of addresses */
    size_t open;  /* of fds */
};

/* ---- listeners -------------------------------------------------------------------- */

static int open_one(const cress_address *a, const cress_config *config, struct listeners *listeners)
{
    char text[160];
    int fd = bind_listen(a, config->backlog);

    if (fd < 0) {
        int error = errno;
        bind_format(a, config->certfile ? "https" : "http", text, sizeof text);
        log_complain("can't listen at %s: %s", text, strerror(error));
        return CRESS_EXIT_BIND;
    }
    listeners->fds[listeners->open++] = fd;
    return CRESS_EXIT_OK;
}

static int open_listeners(const cress_config *config, struct listeners *listeners)
{
    int status = config_check_descriptors(config, listeners->count);

    listeners->fds = calloc(listeners->count, sizeof *listeners->fds);
    if (!listeners->fds) {
        log_complain("%s", strerror(errno));
        return CRESS_EXIT_FAILURE;
    }
    for (size_t i = 0; i < listeners->count && status == CRESS_EXIT_OK; i++)
        status = open_one(&listeners->addresses[i], config, listeners);
    return status;
}

static void close_listeners(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->open; i++)
        cress_close_listener(listeners->fds[i]);
}

/* ---- the process --------------------------------------------------------------------- */

static int write_pidfile(const char *path)
{
    FILE *file = path ? fopen(path, "we") : NULL;

    if (!path)
        return CRESS_EXIT_OK;
    if (file && fprintf(file, "%ld\n", (long)getpid()) > 0 && fclose(file) == 0)
        return CRESS_EXIT_OK;
    log_complain("%s: %s", path, strerror(errno));
    return CRESS_EXIT_LOG;
}

/* Unless a successor has written its own meanwhile. */
static void remove_pidfile(const char *path)
{
    FILE *file = path ? fopen(path, "re") : NULL;
    long pid = 0;

    if (!file)
        return;
    bool is_ours = fscanf(file, "%ld", &pid) == 1 && pid == (long)getpid();
    fclose(file);
    if (is_ours)
        unlink(path);
}

static int open_log(const cress_config *config)
{
    if (log_open(config->error_logfile, log_level_by_name(config->log_level)) == 0)
        return CRESS_EXIT_OK;
    log_complain("%s: %s", config->error_logfile, strerror(errno));
    return CRESS_EXIT_LOG;
}

/* The listeners are closed by the worker, or here if it never came to that. */
static int serve_on(const cress_config *config, cress_tls_context *tls,
                    const struct listeners *listeners)
{
    int status = write_pidfile(config->pidfile);

    if (status != CRESS_EXIT_OK) {
        close_listeners(listeners);
        return status;
    }
    cress_log(CRESS_LOG_INFO, "Starting cress %s", CRESS_VERSION);
    status = worker_run(config, tls, listeners->fds, listeners->count);
    remove_pidfile(config->pidfile);
    return status;
}

static int listen_and_serve(const cress_config *config, cress_tls_context *tls)
{
    struct listeners listeners = { 0 };
    int status = bind_parse_list(config->bind, &listeners.addresses, &listeners.count);

    if (status == CRESS_EXIT_OK)
        status = open_listeners(config, &listeners);
    if (status == CRESS_EXIT_OK)
        status = serve_on(config, tls, &listeners);
    else
        close_listeners(&listeners);
    free(listeners.addresses);
    free(listeners.fds);
    return status;
}

int cress_serve(const cress_config *config)
{
    cress_config filled = *config;
    cress_tls_context *tls;

    config_fill(&filled);
    if (config_check(&filled) < 0)
        return CRESS_EXIT_USAGE;
    int status = open_log(&filled);
    if (status != CRESS_EXIT_OK)
        return status;
    signal(SIGPIPE, SIG_IGN);
    status = https_load(&filled, &tls);
    if (status == CRESS_EXIT_OK)
        status = listen_and_serve(&filled, tls);
    cress_tls_context_release(tls);
    log_close();
    return status;
}
