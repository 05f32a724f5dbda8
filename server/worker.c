/* A worker's life: make the application, serve, drain, stop.
 *
 * SIGTERM and SIGHUP drain: nothing new is accepted, connections without a request close at
 * once, requests in flight finish within graceful_timeout and are then cancelled, so that
 * their clean-up runs. SIGINT and SIGQUIT cancel at once. SIGUSR1 reopens the logs. These are
 * gunicorn's signals; SIGUSR2 writes down what every greenlet is doing.
 */
#include "worker.h"

#include "log.h"
#include "mounts.h"

#include <cress/hub.h>
#include <cress/io.h>
#include <cress/monitor.h>
#include <cress/signal.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cress_seconds CLEANUP_TIME = 5.0; /* for what was cancelled */
static const cress_seconds DUMP_PAUSE = 0.01, DUMP_PATIENCE = 10.0;

/* What it is started with, and how that went. */
struct start {
    struct worker *worker;
    const int *fds;
    size_t count;
    int status;
};

/* ---- signals -------------------------------------------------------------------- */

static void *on_graceful(void *arg)
{
    struct worker *worker = arg;

    cress_log(CRESS_LOG_INFO, "Handling signal: term or hup");
    cress_event_set(&worker->stop);
    return NULL;
}

static void *on_quick(void *arg)
{
    struct worker *worker = arg;

    cress_log(CRESS_LOG_INFO, "Handling signal: int or quit");
    worker->quick = true;
    cress_event_set(&worker->stop);
    cress_event_set(&worker->closed); /* a drain looks again */
    return NULL;
}

static void *on_reopen(void *arg)
{
    struct worker *worker = arg;

    if (worker->access_log && access_log_reopen(worker->access_log) < 0)
        cress_log(CRESS_LOG_ERROR, "the access log was not reopened: %s", strerror(errno));
    if (log_reopen() < 0)
        cress_log(CRESS_LOG_ERROR, "the error log was not reopened: %s", strerror(errno));
    return NULL;
}

/* [waits] For a reader of the log that does not keep up; not for ever. */
static int write_to_log(const char *text, size_t len, void *arg)
{
    cress_seconds *patience = arg;

    while (len > 0) {
        size_t count = log_lines(text, len);
        text += count;
        len -= count;
        if (count > 0)
            continue;
        if (*patience <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        *patience -= DUMP_PAUSE;
        if (cress_sleep(DUMP_PAUSE) < 0)
            return -1;
    }
    return 0;
}

static int dump(void)
{
    cress_seconds patience = DUMP_PATIENCE;
    cress_hub_stats stats;

    cress_get_hub_stats(&stats);
    cress_log(CRESS_LOG_INFO, "Handling signal: usr2: %zu greenlets", stats.greenlets);
    if (cress_dump_greenlets(write_to_log, &patience) < 0) {
        cress_log(CRESS_LOG_ERROR, "the dump was cut short: %s", strerror(errno));
        return -1;
    }
    cress_log(CRESS_LOG_INFO, "Dumped");
    return 0;
}

static void *on_dump(void *arg)
{
    struct worker *worker = arg;
    int result;

    if (worker->dumping) {
        worker->dump_again = true;
        return NULL;
    }
    cress_set_name(cress_self(), "dump");
    worker->dumping = true;
    do {
        worker->dump_again = false;
        result = dump();
    } while (result == 0 && worker->dump_again);
    worker->dumping = false;
    return NULL;
}

/* In the thread of the hub's monitor, while the hub is stuck: a reader of the log that does not
 * keep up gets no more than the first line. */
static void on_stall(const char *report, void *arg)
{
    size_t first = strcspn(report, "\n"), len = strlen(report), count = 1;

    (void)arg;
    cress_log(CRESS_LOG_WARNING, "%.*s", (int)first, report);
    for (size_t at = first + 1; at < len && count > 0; at += count)
        count = log_lines(report + at, len - at);
}

/* Under nohup a hang-up stays ignored. */
static bool heeds_hangup(void)
{
    struct sigaction now;

    return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN;
}

static int catch_signals(struct worker *worker)
{
    if (cress_signal(SIGTERM, on_graceful, worker) < 0 ||
        (heeds_hangup() && cress_signal(SIGHUP, on_graceful, worker) < 0) ||
        cress_signal(SIGINT, on_quick, worker) < 0 || cress_signal(SIGQUIT, on_quick, worker) < 0 ||
        cress_signal(SIGUSR1, on_reopen, worker) < 0 ||
        cress_signal(SIGUSR2, on_dump, worker) < 0) {
        cress_log(CRESS_LOG_CRITICAL, "signals can't be caught: %s", strerror(errno));
        return CRESS_EXIT_FAILURE;
    }
    return CRESS_EXIT_OK;
}

/* ---- starting --------------------------------------------------------------------- */

static void *run_factory(void *arg)
{
    struct worker *worker = arg;
    bool made = worker->config->factory(&worker->application) == 0 && worker->application.app;

    worker->factory_error = made ? 0 : errno ? errno : EINVAL;
    return NULL;
}

/* [waits] In a greenlet of its own: a signal ends one that waits for something. */
static bool run_factory_until_stop(struct worker *worker)
{
    cress_greenlet *g = cress_spawn(run_factory, worker);

    if (!g) {
        worker->factory_error = errno;
        return false;
    }
    worker->factory_error = ECANCELED;
    cress_waitable *objects[] = { cress_greenlet_waitable(g), &worker->stop.waitable };
    if (cress_wait_any(objects, 2, CRESS_FOREVER) != 0)
        cress_kill(g, CRESS_FOREVER);
    cress_release(g);
    return worker->factory_error == 0;
}

static int make_application(struct worker *worker)
{
    const cress_config *config = worker->config;

    worker->application = (cress_application){ .app = config->app, .self = config->self };
    if (!config->factory)
        return CRESS_EXIT_OK;
    if (run_factory_until_stop(worker) || cress_event_is_set(&worker->stop))
        return CRESS_EXIT_OK;
    cress_log(CRESS_LOG_CRITICAL, "%s could not be made: %s", config->app_name,
              strerror(worker->factory_error));
    return CRESS_EXIT_FACTORY;
}

static int open_access_log(struct worker *worker)
{
    const cress_config *config = worker->config;

    if (!config->access_logfile)
        return CRESS_EXIT_OK;
    worker->access_log = access_log_open(config->access_logfile, config->access_logformat);
    if (worker->access_log)
        return CRESS_EXIT_OK;
    cress_log(CRESS_LOG_CRITICAL, "%s: %s", config->access_logfile, strerror(errno));
    return CRESS_EXIT_LOG;
}

static int start_lists(struct worker *worker)
{
    const cress_config *config = worker->config;

    admission_init(&worker->admission, config->concurrency, config->concurrency_backlog);
    if (connection_start_lists(worker) == 0)
        return CRESS_EXIT_OK;
    cress_log(CRESS_LOG_CRITICAL, "%s", strerror(errno));
    return CRESS_EXIT_FAILURE;
}

static void announce(const struct listener *l)
{
    cress_address a;
    char text[160];

    if (cress_address_of_socket(cress_watch_fd(&l->watch), &a) < 0)
        return;
    bind_format(&a, l->worker->http.scheme, text, sizeof text);
    cress_log(CRESS_LOG_INFO, "Listening at: %s (%ld)", text, (long)getpid());
}

static void close_from(const struct start *start, size_t first)
{
    for (size_t i = first; i < start->count; i++)
        cress_close_listener(start->fds[i]);
}

static int start_listeners(struct worker *worker, const struct start *start)
{
    worker->listeners = calloc(start->count, sizeof *worker->listeners);
    while (worker->listeners && worker->listener_count < start->count) {
        size_t i = worker->listener_count;
        if (listener_start(&worker->listeners[i], worker, start->fds[i]) < 0)
            break;
        worker->listener_count++;
    }
    if (worker->listener_count < start->count) {
        cress_log(CRESS_LOG_CRITICAL, "%s", strerror(errno));
        close_from(start, worker->listener_count);
        return CRESS_EXIT_FAILURE;
    }
    for (size_t i = 0; i < start->count; i++)
        announce(&worker->listeners[i]);
    return CRESS_EXIT_OK;
}

/* ---- stopping ----------------------------------------------------------------------- */

static void stop_listeners(struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++)
        listener_stop(&worker->listeners[i]);
}

/* [waits] Until no connection is left: false, if some still are after span seconds or a
 * quick stop was asked for. */
static bool await_empty(struct worker *worker, cress_seconds span, bool heed_quick)
{
    cress_timeout limit;
    bool going_on = true;

    cress_timeout_start(&limit, span);
    while (worker->open > 0 && going_on && !(heed_quick && worker->quick)) {
        cress_event_clear(&worker->closed);
        going_on = cress_event_wait(&worker->closed, CRESS_FOREVER) == 0;
    }
    cress_timeout_close(&limit);
    return worker->open == 0;
}

static void drain(struct worker *worker)
{
    worker->draining = true;
    stop_listeners(worker);
    connection_rouse_all(worker);
    if (!worker->quick && await_empty(worker, worker->config->graceful_timeout, true))
        return;
    if (worker->open > 0 && !worker->quick)
        cress_log(CRESS_LOG_WARNING, "%zu connections are cut after %g s", worker->open,
                  worker->config->graceful_timeout);
    worker->quick = true;
    connection_cancel_all(worker);
    if (!await_empty(worker, CLEANUP_TIME, false))
        cress_log(CRESS_LOG_ERROR, "%zu connections did not end in time", worker->open);
}

static void close_all(struct worker *worker)
{
    connection_stop_lists(worker);
    if (worker->application.finish && worker->factory_error == 0)
        worker->application.finish(worker->application.self);
    access_log_close(worker->access_log);
    worker->access_log = NULL; /* a connection that has not ended in time looks there */
}

/* ---- the whole ------------------------------------------------------------------------ */

static int start_all(struct worker *worker, const struct start *start)
{
    int status = catch_signals(worker);

    if (status == CRESS_EXIT_OK)
        status = open_access_log(worker);
    if (status == CRESS_EXIT_OK)
        status = start_lists(worker);
    if (status == CRESS_EXIT_OK)
        status = make_application(worker);
    if (status == CRESS_EXIT_OK && worker->factory_error == 0)
        status = mounts_open(worker->config->static_files, &worker->application);
    if (status == CRESS_EXIT_OK)
        return start_listeners(worker, start);
    close_from(start, 0);
    return status;
}

static void *serve(void *arg)
{
    struct start *start = arg;
    struct worker *worker = start->worker;

    start->status = start_all(worker, start);
    if (start->status == CRESS_EXIT_OK)
        cress_event_wait(&worker->stop, CRESS_FOREVER);
    drain(worker);
    close_all(worker);
    if (start->status == CRESS_EXIT_OK)
        cress_log(CRESS_LOG_INFO, "Stopped");
    return NULL;
}

static void configure_http(struct worker *worker)
{
    const cress_config *config = worker->config;

    worker->http = (cress_http1_config){
        .limit_request_line = config->limit_request_line,
        .limit_request_fields = config->limit_request_fields,
        .limit_request_field_size = config->limit_request_field_size,
        .limit_request_head = config->limit_request_head,
        .limit_request_body = config->limit_request_body,
        .body_timeout = config->body_timeout,
        .write_timeout = config->write_timeout,
        .keep_alive = config->keep_alive > 0 ? config->keep_alive : 0,
        .allow_half_close = config->allow_half_close,
        .scheme = worker->tls ? "https" : "http",
    };
}

int worker_run(const cress_config *config, cress_tls_context *tls, const int fds[], size_t count)
{
    struct worker worker = { .config = config, .tls = tls };
    struct start start = { .worker = &worker, .fds = fds, .count = count };
    cress_hub_options options = {
        .stack_size = config->stack_size,
        .max_blocking_time = config->max_blocking_time,
        .on_stall = on_stall,
    };

    configure_http(&worker);
    int result = cress_run_with(&options, serve, &start);
    free(worker.listeners); /* connections name them to the end */
    if (result < 0) {
        cress_log(CRESS_LOG_CRITICAL, "the worker failed: %s", strerror(errno));
        return CRESS_EXIT_FAILURE;
    }
    return start.status;
}
