/* Nine pages fetched over HTTP from a server that takes 100 ms for each: in turn, then
 * all at once.
 *
 * The server is a part of the program, in greenlets of its own. In turn the pages take
 * nine times 100 ms, at once they take 100 ms.
 */
#include <cress/cress.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES = 9 };

struct fetch {
    int number;
    const char *port;
    char page[64];
};

/* ---- the server ------------------------------------------------------------------ */

/* What "GET /3 HTTP/1.0" asks for, once its header is complete; -1: it never is. */
static int read_request(cress_stream *stream)
{
    char request[256];
    size_t len = 0;
    ssize_t count;
    int number;

    do {
        count = cress_stream_read(stream, request + len, sizeof request - 1 - len, 0);
        if (count <= 0)
            return -1;
        len += (size_t)count;
        request[len] = '\0';
    } while (!strstr(request, "\r\n\r\n"));
    return sscanf(request, "GET /%d HTTP/", &number) == 1 ? number : -1;
}

static void serve_page(cress_stream *stream, const cress_address *peer, void *self)
{
    int number = read_request(stream);
    char response[128];

    (void)peer, (void)self;
    if (number < 0 || cress_sleep(0.1) < 0)
        return;
    int len = snprintf(response, sizeof response,
                       "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\npage %d", number);
    cress_stream_write_all(stream, response, (size_t)len);
}

/* ---- the client ------------------------------------------------------------------ */

/* All that comes, as a string. */
static int read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t count;

    while ((count = cress_read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)count;
    text[len] = '\0';
    return count < 0 ? -1 : 0;
}

static int exchange(struct fetch *fetch, int fd)
{
    char text[256];
    int len = snprintf(text, sizeof text, "GET /%d HTTP/1.0\r\n\r\n", fetch->number);

    if (cress_write(fd, text, (size_t)len) != len || read_all(fd, text, sizeof text) < 0)
        return -1;

    const char *body = strstr(text, "\r\n\r\n");

    if (!body || strncmp(text, "HTTP/1.0 200 ", 13) != 0) {
        errno = EBADMSG;
        return -1;
    }
    snprintf(fetch->page, sizeof fetch->page, "%s", body + 4);
    return 0;
}

static void *fetch_page(void *arg)
{
    struct fetch *fetch = arg;
    int fd = cress_dial("localhost", fetch->port), error = 0;

    if (fd < 0)
        return cress_fail(errno);
    if (exchange(fetch, fd) < 0)
        error = errno;
    cress_close(fd);
    return error ? cress_fail(error) : NULL;
}

static void print_pages(struct fetch fetches[])
{
    for (int i = 0; i < PAGES; i++) {
        printf("Process %d: %s\n", fetches[i].number, fetches[i].page);
        *fetches[i].page = '\0';
    }
}

static void *program(void *arg)
{
    cress_stream_server server = { .address = "127.0.0.1:0", .handle = serve_page };
    cress_group group = CRESS_GROUP_INIT;
    struct fetch fetches[PAGES];
    char port[8];

    (void)arg;
    if (cress_stream_server_start(&server) < 0)
        return cress_fail(errno);
    snprintf(port, sizeof port, "%u", cress_stream_server_port(&server));
    for (int i = 0; i < PAGES; i++)
        fetches[i] = (struct fetch){ .number = i + 1, .port = port };

    cress_seconds start = cress_now();
    puts("Synchronous:");
    for (int i = 0; i < PAGES; i++)
        fetch_page(&fetches[i]);
    print_pages(fetches);
    cress_seconds middle = cress_now();
    puts("Asynchronous:");
    int result = cress_pool_map(&group, fetch_page, fetches, PAGES, sizeof fetches[0]);
    print_pages(fetches);
    fprintf(stderr, "in turn %.1f seconds, at once %.1f seconds\n", middle - start,
            cress_now() - middle);
    cress_stream_server_stop(&server, 0);
    return result < 0 ? cress_fail(errno) : NULL;
}

int main(void)
{
    return cress_run(program, NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
