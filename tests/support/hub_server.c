/* See hub_server.h. */
#include "hub_server.h"

#include "../../server/config.h"
#include "hub_test.h"

#include <cress/io.h>

#include <sys/socket.h>

void hub_server_start(struct hub_server *s, cress_app *app, void *self)
{
    struct worker *worker = &s->worker;
    socklen_t len = sizeof s->address;

    config_fill(&s->config);
    *worker = (struct worker){ .config = &s->config, .application = { .app = app, .self = self } };
    worker->http.keep_alive = s->config.keep_alive;
    worker->http.body_timeout = s->config.body_timeout;
    worker->http.write_timeout = s->config.write_timeout;
    admission_init(&worker->admission, s->config.concurrency, s->config.concurrency_backlog);
    assert_ok(connection_start_lists(worker));

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_ok(bind(fd, (struct sockaddr *)&s->address, len));
    assert_ok(listen(fd, 16));
    assert_ok(getsockname(fd, (struct sockaddr *)&s->address, &len));
    assert_ok(listener_start(&s->listener, worker, fd));
}

void hub_server_stop(struct hub_server *s)
{
    listener_stop(&s->listener);
    s->worker.draining = true;
    connection_rouse_all(&s->worker);
    while (s->worker.open > 0) {
        cress_event_clear(&s->worker.closed);
        assert_ok(cress_event_wait(&s->worker.closed, CRESS_FOREVER));
    }
    connection_stop_lists(&s->worker);
}

int hub_server_dial(const struct hub_server *s)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_ok(cress_connect(fd, (const struct sockaddr *)&s->address, sizeof s->address));
    return fd;
}
