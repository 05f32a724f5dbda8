/* A form with files: each file goes to disk as it comes, however large it is, and the answer
 * says what came.
 *
 *     cress apps/form.so
 *     curl 127.0.0.1:8000 -F title=Holidays -F photo=@beach.jpg -F photo=@sea.jpg
 *
 * The files are gone with the answer; an application that wants one calls cress_upload_keep.
 * Folders for them: $TMPDIR, or /var/tmp. In a browser, the same address shows the form.
 */
#include <cress/cress.h>

#include <inttypes.h>
#include <stdlib.h>

static const char page[] = "<!doctype html><meta charset=utf-8><title>Upload</title>\n"
                           "<form method=post enctype=multipart/form-data>\n"
                           "<input name=title placeholder=Title> <input name=photo type=file "
                           "multiple> <button>Send</button>\n"
                           "</form>\n";

/* What came, line by line: the answer begins only when the form is known to be whole. */
struct line {
    struct line *next;
    cress_str text;
};

struct report {
    cress_environ *env;
    struct line *first, **end;
};

/* What is shown of a text that the client chose. */
static int shown(cress_str text)
{
    return text.len < 200 ? (int)text.len : 200;
}

static int add_line(struct report *report, cress_str text)
{
    struct line *line = cress_environ_alloc(report->env, sizeof *line);

    if (!line || !text.data)
        return -1;
    *line = (struct line){ .text = text };
    *report->end = line;
    report->end = &line->next;
    return 0;
}

static int take_file(struct report *report, cress_multipart *form, const cress_part *part)
{
    const char *folder = getenv("TMPDIR");
    cress_upload *upload;

    if (cress_multipart_save(form, folder ? folder : "/var/tmp", &upload) < 0)
        return -1;
    return add_line(report,
                    cress_environ_printf(report->env, "%.*s: file %.*s, %" PRIu64 " bytes\n",
                                         shown(part->name), part->name.data, shown(part->filename),
                                         part->filename.data, upload->size));
}

static int take_field(struct report *report, cress_multipart *form, const cress_part *part)
{
    cress_str value;

    if (cress_multipart_read_all(form, 10000, &value) < 0)
        return -1;
    return add_line(report, cress_environ_printf(report->env, "%.*s: %.*s\n", shown(part->name),
                                                 part->name.data, shown(value), value.data));
}

static int take_part(void *arg, cress_multipart *form, const cress_part *part)
{
    return part->filename.data ? take_file(arg, form, part) : take_field(arg, form, part);
}

static int respond_report(cress_response *res, const struct report *report)
{
    if (cress_start_response(res, 200,
                             CRESS_HEADERS({ "Content-Type", "text/plain; charset=utf-8" })) < 0)
        return -1;
    for (const struct line *line = report->first; line; line = line->next)
        if (cress_response_write(res, line->text.data, line->text.len) < 0)
            return -1;
    return 0;
}

/* The server's limit on a request is lifted: its body-timeout watches over clients that stall. */
static int take_form(cress_environ *env, cress_response *res)
{
    struct report report = { .env = env, .end = &report.first };
    cress_multipart form;

    if (cress_request_timeout(env, CRESS_FOREVER) < 0 ||
        cress_multipart_begin(&form, env, NULL) < 0 ||
        cress_multipart_each(&form, take_part, &report) < 0)
        return -1;
    return respond_report(res, &report);
}

cress_app application;

int application(cress_environ *env, cress_response *res, void *self)
{
    cress_str method = cress_method(env);

    (void)self;
    if (cress_str_equal(method, "POST"))
        return take_form(env, res);
    if (cress_str_equal(method, "GET") || cress_str_equal(method, "HEAD"))
        return cress_respond(res, 200, "text/html", page, sizeof page - 1);
    return cress_start_response(res, 405, CRESS_HEADERS({ "Allow", "GET, HEAD, POST" }));
}
