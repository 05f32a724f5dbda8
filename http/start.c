/* Nearly every head begins with one of a few texts, each of which is good for a second. They are
 * put together out of the way, and kept by thread.
 */
#include "start.h"

#include "date.h"
#include "fail.h"
#include "head.h"
#include "status.h"
#include "text.h"

#define SERVER "Server: cress/" CRESS_VERSION "\r\n"

enum { DATE_LINE_LEN = sizeof "Date: \r\n" - 1 + DATE_LEN };

_Static_assert(STATUS_ROOM + sizeof SERVER + DATE_LINE_LEN <= START_ROOM, "all has room");

_Thread_local struct start start_kept[START_PLACES];

static char *put_date(char *to, time_t now)
{
    static _Thread_local struct {
        time_t second;
        char text[DATE_LEN + 1];
    } date = { .second = -1 };

    if (now != date.second)
        date_format(date.text, now);
    date.second = now;
    return head_put_field(to, CRESS_STR("Date"), (cress_str){ date.text, DATE_LEN });
}

COLD void start_keep(struct start *start, int status, time_t now)
{
    char *line_end = status_put_line(start->text, status);
    const char *end = put_date(TEXT_PUT(line_end, SERVER), now);

    start->second = now;
    start->status = (uint16_t)status;
    start->line_len = (uint8_t)(line_end - start->text);
    start->len = (uint8_t)(end - start->text);
}

static char *put_server(char *to, const char *software)
{
    if (!software)
        return TEXT_PUT(to, SERVER);
    if (!*software)
        return to;
    return head_put_field(to, CRESS_STR("Server"),
                          (cress_str){ software, strnlen(software, START_MAX_SOFTWARE) });
}

COLD char *start_put_own(char *to, const struct http_exchange *x)
{
    const struct start *start = start_now(x->res.status);

    to = text_put(to, start->text, start->line_len);
    if (!x->res.has_server)
        to = put_server(to, x->http->config->server_software);
    if (x->res.has_date)
        return to;
    return text_put(to, start->text + start->len - DATE_LINE_LEN, DATE_LINE_LEN);
}
