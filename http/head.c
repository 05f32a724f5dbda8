/* A response's head is formatted once. Until then the app's fields wait in the request's
 * memory, already as lines; what the server adds goes before them. Trailer fields wait
 * likewise for the end of the body.
 */
#include "head.h"

#include "chunked.h"
#include "date.h"
#include "fail.h"
#include "fields.h"
#include "hook.h"
#include "status.h"
#include "text.h"

#define SERVER "cress/" CRESS_VERSION

/* ---- the app's fields ------------------------------------------------------------------- */

static bool is_servers_own(cress_str name)
{
    return cress_str_equal_nocase(name, "Connection") ||
           cress_str_equal_nocase(name, "Transfer-Encoding") ||
           cress_str_equal_nocase(name, "Keep-Alive");
}

bool head_is_field(cress_str name, cress_str value)
{
    return text_all(name.data, name.len, TEXT_TOKEN) && text_is_value(value.data, value.len) &&
           !is_servers_own(name);
}

int head_reserve_fields(cress_response *res, size_t more)
{
    struct http_exchange *x = exchange_of_response(res);
    size_t wanted = res->fields_len + more, capacity = wanted < 512 ? wanted : wanted * 2;

    if (wanted > HEAD_MAX_FIELDS)
        return fail_with(E2BIG);
    if (wanted <= res->fields_capacity)
        return 0;
    char *fields = arena_alloc_text(&x->arena, capacity);
    if (!fields)
        return -1;
    memcpy(fields, res->fields ? res->fields : "", res->fields_len);
    res->fields = fields;
    res->fields_capacity = (uint32_t)capacity;
    return 0;
}

char *head_put_field(char *to, cress_str name, cress_str value)
{
    to = text_put(to, name.data, name.len);
    to = TEXT_PUT(to, ": ");
    to = text_put(to, value.data, value.len);
    return TEXT_PUT(to, "\r\n");
}

/* The Content-Length is ours to print: it may be dropped, and says when to stop. */
static int set_length(cress_response *res, cress_str value)
{
    uint64_t length;

    if (!text_parse_u64(value, &length) || (res->has_length && length != res->length))
        return fail_with(EINVAL);
    res->length = length;
    res->has_length = true;
    return 0;
}

int head_add_field(cress_response *res, const char *name_text, const char *value_text)
{
    if (!value_text)
        return fail_with(EINVAL);

    cress_str name = head_str(name_text), value = head_str(value_text);

    if (!head_is_field(name, value))
        return fail_with(EINVAL);
    if (cress_str_equal_nocase(name, "Content-Length"))
        return set_length(res, value);
    if (head_reserve_fields(res, name.len + value.len + sizeof ": \r\n") < 0)
        return -1;
    res->has_date |= cress_str_equal_nocase(name, "Date");
    res->has_server |= cress_str_equal_nocase(name, "Server");
    res->has_upgrade |= cress_str_equal_nocase(name, "Upgrade");
    const char *end = head_put_field(res->fields + res->fields_len, name, value);
    res->fields_len = (uint32_t)(end - res->fields);
    return 0;
}

int head_check_startable(const cress_response *res, int status)
{
    if (res->begun || res->committed)
        return fail_with(EALREADY);
    if (status < 200 || status > 599)
        return fail_with(EINVAL);
    return 0;
}

void head_restart(cress_response *res, int status)
{
    res->status = (uint16_t)status;
    res->fields_len = 0;
    res->trailers_len = 0;
    res->has_length = res->has_date = res->has_server = res->has_upgrade = false;
}

int cress_start_response(cress_response *res, int status, const cress_header headers[])
{
    if (head_check_startable(res, status) < 0)
        return -1;
    head_restart(res, status);
    for (const cress_header *header = headers; header && header->name; header++)
        if (head_add_field(res, header->name, header->value) < 0) {
            int error = errno;
            head_restart(res, 0);
            return fail_with(error);
        }
    return 0;
}

int cress_response_add_header(cress_response *res, const char *name, const char *value)
{
    if (res->status == 0)
        return fields_wait(res, head_add_field, name, value);
    if (res->committed || (res->begun && !hooks_are_running(res)))
        return fail_with(EALREADY);
    return head_add_field(res, name, value);
}

/* ---- behind the body ----------------------------------------------------------------------- */

static int reserve_trailers(cress_response *res, size_t more)
{
    size_t wanted = res->trailers_len + more;

    if (wanted > HEAD_MAX_FIELDS)
        return fail_with(E2BIG);
    if (wanted <= res->trailers_capacity)
        return 0;
    char *trailers = arena_alloc_text(&exchange_of_response(res)->arena, wanted * 2);
    if (!trailers)
        return -1;
    memcpy(trailers, res->trailers ? res->trailers : "", res->trailers_len);
    res->trailers = trailers;
    res->trailers_capacity = (uint32_t)(wanted * 2);
    return 0;
}

int cress_response_add_trailer(cress_response *res, const char *name_text, const char *value_text)
{
    if (res->status == 0 || res->complete || !value_text)
        return fail_with(EINVAL);

    cress_str name = head_str(name_text), value = head_str(value_text);

    if (!text_all(name.data, name.len, TEXT_TOKEN) || !text_is_value(value.data, value.len) ||
        chunked_is_no_trailer(name))
        return fail_with(EINVAL);
    if (reserve_trailers(res, name.len + value.len + sizeof ": \r\n") < 0)
        return -1;
    const char *end = head_put_field(res->trailers + res->trailers_len, name, value);
    res->trailers_len = (uint32_t)(end - res->trailers);
    return 0;
}

/* ---- the head ------------------------------------------------------------------------------ */

static char *put_status_line(char *to, int status)
{
    cress_str line = status == 200 ? CRESS_STR("HTTP/1.1 200 OK\r\n") : status_line(status);

    if (line.data)
        return text_put(to, line.data, line.len);
    to = TEXT_PUT(to, "HTTP/1.1 ");
    to = text_put_u64(to, (uint64_t)status);
    return TEXT_PUT(to, " Unknown\r\n");
}

static char *put_server(char *to, const char *software)
{
    if (!software)
        return TEXT_PUT(to, "Server: " SERVER "\r\n");
    if (!*software)
        return to;
    return head_put_field(to, CRESS_STR("Server"),
                          (cress_str){ software, strnlen(software, HEAD_MAX_SOFTWARE) });
}

static char *put_date(char *to)
{
    to = TEXT_PUT(to, "Date: ");
    to = text_put(to, date_now(), DATE_LEN);
    return TEXT_PUT(to, "\r\n");
}

bool head_closes(const struct http_exchange *x)
{
    return x->http->closing || x->env.closes || x->http->config->keep_alive <= 0;
}

/* RFC 9110 7.8: who names a protocol, as in a 426, says so in Connection as well. */
static char *put_upgrade_option(char *to, struct http_exchange *x)
{
    if (!head_closes(x))
        return TEXT_PUT(to, "Connection: Upgrade\r\n");
    x->http->closing = true;
    return TEXT_PUT(to, "Connection: close, Upgrade\r\n");
}

/* Says whether the connection goes on, where the version does not say so itself. */
static char *put_connection(char *to, struct http_exchange *x)
{
    if (x->res.has_upgrade && x->env.minor == 1)
        return put_upgrade_option(to, x);
    if (!head_closes(x))
        return x->env.minor == 0 ? TEXT_PUT(to, "Connection: keep-alive\r\n") : to;
    x->http->closing = true;
    return x->env.minor == 0 && x->env.method.data ? to : TEXT_PUT(to, "Connection: close\r\n");
}

char *head_put_length(char *to, uint64_t length)
{
    to = TEXT_PUT(to, "Content-Length: ");
    to = text_put_u64(to, length);
    return TEXT_PUT(to, "\r\n");
}

char *head_put_opening(char *to, struct http_exchange *x, cress_response *res)
{
    to = put_status_line(to, res->status);
    if (!res->has_server)
        to = put_server(to, x->http->config->server_software);
    if (!res->has_date)
        to = put_date(to);
    return put_connection(to, x);
}

size_t head_size(const struct http_exchange *x, const cress_response *res)
{
    const char *software = x->http->config->server_software;

    return HEAD_ROOM + res->fields_len + (software ? strnlen(software, HEAD_MAX_SOFTWARE) : 0);
}
