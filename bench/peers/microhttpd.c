/* libmicrohttpd, one thread on epoll. microhttpd PORT APP FOLDER [tls]
 *
 * The loop is ours: that of 0.9.75 (MHD_USE_EPOLL_INTERNAL_THREAD) asks epoll again after 128
 * events, and waits there while those 128 have no answer.
 *
 * APP is what it does: hello; count (the bytes of a body); files (of FOLDER/files). */
#include <microhttpd.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECTIONS = 16000, PATH_SIZE = 4096 };

static const char *folder;

static char *in_folder(const char *name)
{
    static char path[2 * PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A handler is called with the head, with each piece of a body, and at the end. What is answered
 * at once, with the head, would be the connection's last. */
static bool is_head(void **state)
{
    static char seen;
    bool first = !*state;

    *state = &seen;
    return first;
}

static enum MHD_Result respond(struct MHD_Connection *connection, struct MHD_Response *response)
{
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result hello(void *arg, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    static char text[] = "hello, world\n";

    (void)arg, (void)url, (void)method, (void)version, (void)data, (void)size;
    if (is_head(state))
        return MHD_YES;
    return respond(connection,
                   MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result count(void *arg, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    uint64_t *bytes = *state;
    char text[32];

    (void)arg, (void)url, (void)method, (void)version, (void)data;
    if (!bytes) {
        *state = calloc(1, sizeof *bytes);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        *bytes += *size;
        *size = 0;
        return MHD_YES;
    }
    int len = snprintf(text, sizeof text, "%ju\n", (uintmax_t)*bytes);
    free(bytes);
    *state = NULL;
    return respond(connection,
                   MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result files(void *arg, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    char name[PATH_SIZE];
    struct stat st;

    (void)arg, (void)method, (void)version, (void)data, (void)size;
    if (is_head(state))
        return MHD_YES;
    snprintf(name, sizeof name, "files%s", url);
    int fd = open(in_folder(name), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return MHD_NO;
    return respond(connection, MHD_create_response_from_fd((size_t)st.st_size, fd));
}

static char *read_file(const char *name)
{
    FILE *file = fopen(in_folder(name), "r");
    char *text = calloc(1, 65536);

    if (!file || !text || fread(text, 1, 65535, file) == 0) {
        perror(name);
        exit(1);
    }
    fclose(file);
    return text;
}

int main(int argc, char *argv[])
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO;
    bool tls = argc == 5;

    if (argc < 4) {
        printf("%s\n", MHD_get_version());
        return 0;
    }
    signal(SIGPIPE, SIG_IGN); /* without which it does not use sendfile */
    folder = argv[3];
    MHD_AccessHandlerCallback app = strcmp(argv[2], "files") == 0   ? files
                                    : strcmp(argv[2], "count") == 0 ? count
                                                                    : hello;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags | (tls ? MHD_USE_TLS : 0), (uint16_t)atoi(argv[1]), NULL, NULL, app, NULL,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, 300,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, tls ? read_file("cert.pem") : NULL,
        MHD_OPTION_HTTPS_MEM_KEY, tls ? read_file("key.pem") : NULL, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "MHD_start_daemon failed\n");
        return 1;
    }
    struct pollfd events = {
        .fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
        .events = POLLIN,
    };
    for (;;) {
        MHD_UNSIGNED_LONG_LONG ms;
        int timeout = MHD_get_timeout(daemon, &ms) == MHD_YES ? (int)ms : -1;

        if (poll(&events, 1, timeout) >= 0)
            MHD_run(daemon);
    }
}
