/* Runs the wire cases of tests/http/cases/: bytes in, response out.
 *
 * Each case is served whole, in every two parts that it can be cut into, and byte by
 * byte, with a server that waits in next and with one that does not. The answers and
 * what the app saw must be the same each time.
 *
 * A case is a heading of level two, which names the clauses that it is about, and fenced
 * blocks below it. In blocks, line ends
 * do not count; \r \n \t \0 \\ \xNN stand for bytes and \{N*text} for N times text.
 *
 *     config    "name value" lines: fields of cress_http1_config; `end 1`: the client sends
 *               no more; `https 1`: the server's scheme; `without_continue 1`: whether the
 *               client is told to go on depends on the packets and is not compared
 *     request   what the client sends
 *     response  what it gets, to the byte; Date is "*"
 *     answers   instead of that: the statuses, then open or closed
 *     seen      a line for each call of the app: method, path, query, body
 *
 * README.md beside the cases lists the requirements: each needs a case that names its clause.
 * CRESS_CASES_TABLE=1 prints how many cases there are for each.
 */
#define _GNU_SOURCE /* strverscmp */
#include "hub_test.h"
#include "wire.h"

#include <cress/upgrade.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *data;
    size_t len, capacity;
};

struct wire_case {
    char name[240];
    struct text config, request, response, answers, seen;
};

static struct text seen; /* in this run */
static struct {
    bool ends, without_continue;
} how_to_run;
static int failures;

/* ---- text ------------------------------------------------------------------------------ */

static void add(struct text *t, const char *data, size_t len)
{
    if (t->len + len >= t->capacity) {
        t->capacity = 2 * (t->len + len) + 64;
        t->data = realloc(t->data, t->capacity);
        assert_non_null(t->data);
    }
    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}

static void add_escaped(struct text *t, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char hex[8];
        if (data[i] >= ' ' && data[i] < 127)
            add(t, &data[i], 1);
        else
            add(t, hex, (size_t)snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)data[i]));
    }
}

static void free_text(struct text *t)
{
    free(t->data);
    *t = (struct text){ .data = NULL };
}

/* \{N*text}: returns what follows. */
static const char *add_repeated(struct text *t, const char *at)
{
    char *star;
    unsigned long count = strtoul(at, &star, 10);
    const char *end = strchr(star, '}');

    assert_true(*star == '*' && end);
    while (count-- > 0)
        add(t, star + 1, (size_t)(end - star) - 1);
    return end + 1;
}

static const char *add_escape(struct text *t, const char *at)
{
    static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
    const char *found = strchr(from, *at);
    char hex[3] = { at[0] == 'x' ? at[1] : '0', at[2], '\0' };

    if (*at == '{')
        return add_repeated(t, at + 1);
    if (*at == 'x') {
        char c = (char)strtoul(hex, NULL, 16);
        add(t, &c, 1);
        return at + 3;
    }
    assert_non_null(found);
    add(t, &to[found - from], 1);
    return at + 1;
}

static void add_line(struct text *t, const char *line)
{
    while (*line != '\n' && *line != '\0') {
        if (*line == '\\') {
            line = add_escape(t, line + 1);
        } else {
            add(t, line, 1);
            line++;
        }
    }
}

/* ---- reading a file of cases ------------------------------------------------------------- */

static struct text *block_of(struct wire_case *c, const char *fence)
{
    if (strncmp(fence, "config", 6) == 0)
        return &c->config;
    if (strncmp(fence, "request", 7) == 0)
        return &c->request;
    if (strncmp(fence, "response", 8) == 0)
        return &c->response;
    if (strncmp(fence, "answers", 7) == 0)
        return &c->answers;
    if (strncmp(fence, "seen", 4) == 0)
        return &c->seen;
    fail_msg("unknown block: %s", fence);
    return NULL;
}

static void free_case(struct wire_case *c)
{
    free_text(&c->config);
    free_text(&c->request);
    free_text(&c->response);
    free_text(&c->answers);
    free_text(&c->seen);
}

static bool is_plain_block(const struct wire_case *c, const struct text *block)
{
    return block == &c->config || block == &c->answers || block == &c->seen;
}

/* The next case of the file; false: none. A heading that was read ahead stays in `line`. */
static bool read_case(FILE *file, char *line, int size, struct wire_case *c)
{
    struct text *block = NULL;

    *c = (struct wire_case){ .name = "" };
    if (strncmp(line, "## ", 3) != 0)
        while (fgets(line, size, file) && strncmp(line, "## ", 3) != 0)
            continue;
    if (feof(file))
        return false;
    snprintf(c->name, sizeof c->name, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    while (fgets(line, size, file)) {
        if (strncmp(line, "```", 3) == 0)
            block = block ? NULL : block_of(c, line + 3);
        else if (block && is_plain_block(c, block))
            add(block, line, strlen(line));
        else if (block)
            add_line(block, line);
        else if (strncmp(line, "## ", 3) == 0)
            return true;
    }
    *line = '\0';
    return true;
}

/* ---- the app ----------------------------------------------------------------------------- */

static void record(cress_environ *env, cress_str body)
{
    add(&seen, cress_method(env).data, cress_method(env).len);
    add(&seen, " ", 1);
    add_escaped(&seen, cress_path(env).data, cress_path(env).len);
    add(&seen, " ?", 2);
    add_escaped(&seen, cress_query_string(env).data, cress_query_string(env).len);
    add(&seen, " [", 2);
    add_escaped(&seen, body.data, body.len);
    add(&seen, "]\n", 2);
}

/* /fields: what cress_header_at says. */
static int show_fields(cress_environ *env, cress_response *res)
{
    cress_str name, value;

    if (cress_start_response(res, 200, NULL) < 0)
        return -1;
    for (size_t i = 0; cress_header_at(env, i, &name, &value); i++)
        if (cress_response_printf(res, "%s=[%s]", name.data, value.data) < 0)
            return -1;
    return 0;
}

/* /variable?KEY */
static int show_variable(cress_environ *env, cress_response *res)
{
    cress_str value = cress_environ_get(env, cress_query_string(env).data);

    if (!value.data)
        return cress_respond(res, 404, NULL, NULL, 0);
    return cress_respond(res, 200, NULL, value.data, value.len);
}

static int say_hello_in_two(cress_response *res)
{
    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Type", "text/html" })) < 0 ||
        cress_response_write(res, "<p>Hello\n", 8) < 0)
        return -1;
    return cress_response_write(res, "World</p>\n", 9);
}

/* /length/SAID/WRITTEN */
static int write_length(cress_environ *env, cress_response *res)
{
    unsigned said, written;

    if (sscanf(cress_path(env).data, "/length/%u/%u", &said, &written) != 2)
        return -1;
    cress_str length = cress_environ_printf(env, "%u", said);
    if (cress_start_response(res, 200, CRESS_HEADERS({ "Content-Length", length.data })) < 0)
        return -1;
    for (unsigned i = 0; i < written; i++)
        if (cress_response_write(res, "x", 1) < 0)
            return -1;
    return 0;
}

/* /trailer?NAME */
static int show_trailer(cress_environ *env, cress_response *res)
{
    cress_str value = cress_trailer_get(env, cress_query_string(env).data);

    return cress_respond(res, value.data ? 200 : 404, NULL, value.data, value.len);
}

static int write_trailer(cress_response *res)
{
    if (cress_start_response(res, 200, CRESS_HEADERS({ "Trailer", "X-Sum" })) < 0 ||
        cress_response_write(res, "body", 4) < 0)
        return -1;
    return cress_response_add_trailer(res, "X-Sum", "42");
}

static int hint(cress_response *res)
{
    if (cress_response_early_hints(res, CRESS_HEADERS({ "Link", "</a.css>; rel=preload" })) < 0)
        return -1;
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

/* Up to a line feed. */
static int echo_line(cress_stream *stream)
{
    char buf[16];
    ssize_t got;
    const char *feed = NULL;

    while (!feed && (got = cress_stream_read(stream, buf, sizeof buf, 0)) > 0) {
        feed = memchr(buf, '\n', (size_t)got);
        size_t len = feed ? (size_t)(feed + 1 - buf) : (size_t)got;
        if (cress_stream_write_all(stream, buf, len) < 0)
            return -1;
    }
    return 0;
}

static int switch_to_echo(cress_environ *env, cress_response *res)
{
    cress_stream *stream;

    if (!cress_upgrade_offered(env, "echo/1"))
        return cress_start_response(res, 426, CRESS_HEADERS({ "Upgrade", "echo/1" }));
    if (cress_upgrade(res, "echo/1", CRESS_HEADERS({ "X-Extra", "yes" }), &stream) < 0)
        return -1;
    return echo_line(stream);
}

static bool begins(cress_environ *env, const char *with)
{
    return strncmp(cress_path(env).data, with, strlen(with)) == 0;
}

static int fail_with(int error)
{
    errno = error;
    return -1;
}

static int answer_specially(cress_environ *env, cress_response *res)
{
    if (begins(env, "/trailer"))
        return show_trailer(env, res);
    if (begins(env, "/add-trailer"))
        return write_trailer(res);
    if (begins(env, "/hints"))
        return hint(res);
    if (begins(env, "/upgrade"))
        return switch_to_echo(env, res);
    if (begins(env, "/te"))
        return cress_respond(res, cress_accepts_trailers(env) ? 200 : 204, NULL, NULL, 0);
    if (begins(env, "/respond/"))
        return cress_respond(res, atoi(cress_path(env).data + 9), NULL, NULL, 0);
    return cress_respond(res, 200, "text/plain", "hello, world\n", 13);
}

static int app(cress_environ *env, cress_response *res, void *self)
{
    cress_str body = CRESS_STR("");
    bool reads = !begins(env, "/unread") && !begins(env, "/upgrade-unread");

    (void)self;
    if (reads && cress_input_read_all(env, SIZE_MAX, &body) < 0)
        return -1;
    record(env, body);
    if (begins(env, "/echo"))
        return cress_respond(res, 200, NULL, body.data, body.len);
    if (begins(env, "/fields"))
        return show_fields(env, res);
    if (begins(env, "/variable"))
        return show_variable(env, res);
    if (begins(env, "/two"))
        return say_hello_in_two(res);
    if (begins(env, "/length/"))
        return write_length(env, res);
    if (begins(env, "/status/"))
        return cress_start_response(res, atoi(cress_path(env).data + 8), NULL);
    if (begins(env, "/fail/"))
        return fail_with(atoi(cress_path(env).data + 6));
    if (begins(env, "/silent"))
        return 0;
    return answer_specially(env, res);
}

/* ---- one run ------------------------------------------------------------------------------ */

static void set_option(cress_http1_config *config, const char *name, double value)
{
    if (strcmp(name, "limit_request_line") == 0)
        config->limit_request_line = (size_t)value;
    else if (strcmp(name, "limit_request_fields") == 0)
        config->limit_request_fields = (size_t)value;
    else if (strcmp(name, "limit_request_field_size") == 0)
        config->limit_request_field_size = (size_t)value;
    else if (strcmp(name, "limit_request_head") == 0)
        config->limit_request_head = (size_t)value;
    else if (strcmp(name, "limit_request_body") == 0)
        config->limit_request_body = (uint64_t)value;
    else if (strcmp(name, "keep_alive") == 0)
        config->keep_alive = value;
    else if (strcmp(name, "https") == 0)
        config->scheme = "https";
    else if (strcmp(name, "end") == 0)
        how_to_run.ends = true;
    else if (strcmp(name, "without_continue") == 0)
        how_to_run.without_continue = true;
    else
        fail_msg("unknown option: %s", name);
}

static void configure(cress_http1_config *config, const struct wire_case *c)
{
    char name[64];
    double value;
    int used;

    how_to_run.ends = how_to_run.without_continue = false;
    for (const char *at = c->config.data; at && sscanf(at, "%63s %lf %n", name, &value, &used) == 2;
         at += used)
        set_option(config, name, value);
}

/* "200 404 closed" */
static void summarize(const char *output, bool is_closed, char *to, size_t size)
{
    size_t len = 0;

    *to = '\0';
    for (const char *at = output; (at = strstr(at, "HTTP/1.1 ")); at += 9)
        if (at == output || at[-1] == '\n' || at[-1] == ']')
            len += (size_t)snprintf(to + len, size - len, "%.3s ", at + 9);
    snprintf(to + len, size - len, "%s\n", is_closed ? "closed" : "open");
}

static void compare(const struct wire_case *c, const char *how, const char *what,
                    const char *expected, const char *got)
{
    if (strcmp(expected, got) == 0)
        return;
    if (failures++ < 10)
        print_error("%s (%s): %s\n--- expected\n%s\n--- got\n%s\n", c->name, how, what, expected,
                    got);
}

static void drop_continue(char *output)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *found;

    while ((found = strstr(output, line)))
        memmove(found, found + sizeof line - 1, strlen(found + sizeof line - 1) + 1);
}

/* Who is refused must be able to read why, and the log must know. */
static void check_refusal(const struct wire_case *c, const struct wire *w, const char *how,
                          const char *answers)
{
    static const int refusals[] = { 400, 413, 414, 417, 421, 431, 501, 505 };
    const char *closed = strstr(answers, " closed");
    int status = closed && closed - answers >= 3 ? atoi(closed - 3) : 0;

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (status == refusals[i] && !(w->lingers && w->http.refused))
            compare(c, how, "closing", "lingers, with a reason", "does not");
}

static void check(const struct wire_case *c, struct wire *w, const char *how)
{
    char *output = wire_output(w), answers[256];

    if (how_to_run.without_continue)
        drop_continue(output);

    if (c->response.data)
        compare(c, how, "response", c->response.data, output);
    summarize(output, w->is_closed, answers, sizeof answers);
    if (c->answers.data)
        compare(c, how, "answers", c->answers.data, answers);
    check_refusal(c, w, how, answers);
    if (c->seen.data)
        compare(c, how, "seen by the app", c->seen.data, seen.data ? seen.data : "");
    free(output);
}

static void run(const struct wire_case *c, enum wire_mode mode, size_t cut, size_t piece)
{
    struct wire w;
    char how[80];

    snprintf(how, sizeof how, "%s, cut at %zu, pieces of %zu",
             mode == WIRE_BLOCKING ? "blocking" : "resting", cut, piece);
    wire_init(&w, app, NULL);
    configure(&w.config, c);
    w.mode = mode;
    w.stream.piece = piece;
    wire_start(&w);
    wire_send_bytes(&w, c->request.data, cut);
    if (cut < c->request.len)
        wire_send_bytes(&w, c->request.data + cut, c->request.len - cut);
    if (how_to_run.ends) {
        memory_stream_end(&w.stream);
        wire_settle();
    }
    check(c, &w, how);
    wire_finish(&w);
    free_text(&seen);
}

static void run_all_ways(const struct wire_case *c, enum wire_mode mode)
{
    size_t step = c->request.len / 1000 + 1;

    int before = failures;

    run(c, mode, c->request.len, 0);
    if (failures > before)
        return; /* the cuts would only repeat it */
    for (size_t cut = 1; cut < c->request.len; cut += step)
        run(c, mode, cut, 0);
    run(c, mode, c->request.len, 1);
    run(c, mode, c->request.len / 2, 3);
}

/* ---- clauses ------------------------------------------------------------------------------- */

enum { MAX_CLAUSES = 200 };

static struct clause {
    char name[24]; /* "RFC 9112 7.1.2" */
    int count;     /* of cases */
} clauses[MAX_CLAUSES];

static struct clause *find_clause(const char *name)
{
    struct clause *clause = clauses;

    while (*clause->name && strcmp(clause->name, name) != 0)
        clause++;
    assert_true(clause < clauses + MAX_CLAUSES - 1);
    return clause;
}

/* Reads "RFC 9112 7.1.2" at the beginning of text; false: something else. */
static bool read_clause(const char *text, char *name, size_t size)
{
    int rfc, len = 0;
    char section[12];

    if (sscanf(text, "RFC %d %11[A-Z0-9.]%n", &rfc, section, &len) != 2)
        return false;
    snprintf(name, size, "RFC %d %s", rfc, section);
    return true;
}

static void count_clauses(const struct wire_case *c)
{
    char name[24];
    int count = 0;

    for (const char *at = c->name; (at = strstr(at, "RFC ")); at += 4)
        if (read_clause(at, name, sizeof name)) {
            struct clause *clause = find_clause(name);
            strcpy(clause->name, name);
            clause->count++;
            count++;
        }
    if (count == 0)
        fail_msg("%s: which clause is it about?", c->name);
}

static int compare_clauses(const void *a, const void *b)
{
    return strverscmp(((const struct clause *)a)->name, ((const struct clause *)b)->name);
}

static void print_clauses(void)
{
    size_t count = (size_t)(find_clause("") - clauses);

    qsort(clauses, count, sizeof *clauses, compare_clauses);
    for (size_t i = 0; i < count; i++)
        print_message("%-18s %3d\n", clauses[i].name, clauses[i].count);
}

/* Rows "| RFC 9112 2.2 | MUST | ... | cases |" of README.md. */
static int check_requirements(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[1024], name[24];
    int count = 0;

    if (!file)
        fail_msg("%s cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "| RFC ", 6) != 0 || !read_clause(line + 2, name, sizeof name))
            continue;
        count++;
        if (strstr(line, "| cases |") && find_clause(name)->count == 0 && failures++ < 10)
            print_error("no case names %s: %s", name, line);
    }
    fclose(file);
    return count;
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[1024] = "";
    struct wire_case c;
    int count = 0;

    if (!file)
        fail_msg("%s cannot be read", path);
    while (read_case(file, line, sizeof line, &c)) {
        if (!c.request.data || (!c.response.data && !c.answers.data))
            fail_msg("%s: %s: a case needs a request and what it gets", path, c.name);
        count_clauses(&c);
        run_all_ways(&c, WIRE_BLOCKING);
        run_all_ways(&c, WIRE_RESTING);
        free_case(&c);
        count++;
    }
    fclose(file);
    return count;
}

/* ---- all of them --------------------------------------------------------------------------- */

static const char *cases_dir(char *path, size_t size)
{
    const char *source = getenv("CRESS_SOURCE_DIR");

    snprintf(path, size, "%s/tests/http/cases", source ? source : ".");
    return path;
}

static void test_cases(void)
{
    char path[512], file[1024];
    struct dirent *entry;
    int count = 0;
    DIR *dir = opendir(cases_dir(path, sizeof path));

    if (!dir)
        fail_msg("%s is not there: set CRESS_SOURCE_DIR", path);
    while ((entry = readdir(dir))) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".md") != 0 || strcmp(entry->d_name, "README.md") == 0)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        count += run_file(file);
    }
    closedir(dir);
    snprintf(file, sizeof file, "%s/README.md", path);
    int requirements = check_requirements(file);
    if (getenv("CRESS_CASES_TABLE"))
        print_clauses();
    print_message("%d cases, %d requirements\n", count, requirements);
    assert_int_equal(failures, 0);
    assert_true(count > 500 && requirements > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_cases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
