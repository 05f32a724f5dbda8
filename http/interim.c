/* What is said before the response: 1xx, whose fields go out as they come.
 * 100 is input.c's: it goes out when the app first reads.
 */
#include "fail.h"
#include "head.h"
#include "output.h"
#include "response.h"
#include "status.h"
#include "text.h"

/* The size of fields that are formatted right away; -1: E2BIG, EINVAL. */
static ssize_t measure_fields(const cress_header headers[])
{
    size_t size = 0;

    for (const cress_header *header = headers; header && header->name; header++) {
        cress_str name = head_str(header->name),
                  value = head_str(header->value ? header->value : "");
        if (!header->value || !head_is_field(header->name, header->value) ||
            cress_str_equal_nocase(name, "Content-Length") ||
            cress_str_equal_nocase(name, "Upgrade"))
            return fail_with(EINVAL);
        size += name.len + value.len + sizeof ": \r\n";
        if (size > HEAD_MAX_FIELDS)
            return fail_with(E2BIG);
    }
    return (ssize_t)size;
}

static char *put_fields(char *to, const cress_header headers[])
{
    for (const cress_header *header = headers; header && header->name; header++)
        to = head_put_field(to, head_str(header->name), head_str(header->value));
    return to;
}

/* Can something be said before the response? */
static int check_unanswered(const cress_response *res)
{
    const struct http_exchange *x = exchange_of_response(res);

    if (cress_check() < 0)
        return -1;
    if (res->begun || res->committed || res->complete)
        return fail_with(EALREADY);
    if (x->busy)
        return fail_with(EBUSY);
    return x->broken || x->http->gone ? fail_with(EPIPE) : 0;
}

int cress_response_early_hints(cress_response *res, const cress_header headers[])
{
    struct http_exchange *x = exchange_of_response(res);
    ssize_t size = check_unanswered(res) < 0 ? -1 : measure_fields(headers);

    if (size < 0 || x->env.minor == 0)
        return size < 0 ? -1 : 0;
    char *to = output_begin(x, HEAD_ROOM + (size_t)size);
    if (!to)
        return -1;
    to = put_fields(status_put_line(to, 103), headers);
    output_end(x, TEXT_PUT(to, "\r\n"));
    return output_flush(x);
}

int response_switch(cress_response *res, const char *protocol, const cress_header headers[])
{
    struct http_exchange *x = exchange_of_response(res);
    ssize_t size = check_unanswered(res) < 0 ? -1 : measure_fields(headers);

    if (size < 0)
        return -1;
    if (strlen(protocol) > HEAD_ROOM / 2)
        return fail_with(E2BIG);
    char *to = output_begin(x, HEAD_ROOM + (size_t)size);
    if (!to)
        return -1;
    head_restart(res, 101);
    to = TEXT_PUT(status_put_line(to, 101), "Connection: Upgrade\r\n");
    to = put_fields(head_put_field(to, CRESS_STR("Upgrade"), head_str(protocol)), headers);
    output_end(x, TEXT_PUT(to, "\r\n"));
    res->framing = FRAMING_NONE;
    res->begun = res->committed = res->complete = res->switched = true;
    x->http->closing = true;
    return output_flush(x);
}
