/* What is chosen by the Accept fields, and where a redirect goes.
 *
 * The choice must be one of the offers; it must stay the same when the field is written in capitals,
 * with more blanks, with empty and senseless members, or in another order, since none of that
 * means anything; and when the field also names what was chosen, nothing behind that can win. A
 * redirect's Location has only what may stand in a URI, and is the same text once it is decoded; one
 * that is a path of this site stays one.
 *
 * The first byte picks field and offers; the rest is the field's value, and the location. */
#include "../../http/exchange.h"
#include "../../http/parser.h"
#include "reply.h"

#include <cress/hook.h>
#include <cress/negotiate.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_MEMBERS = 200 };

static const cress_http1_config config = { .keep_alive = 5 };

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool begin(cress_http1 *http, const char *name, const char *value)
{
    size_t size = strlen(value) + 200;

    *http = (cress_http1){ .config = &config };
    struct http_exchange *x = exchange_acquire(http);
    check(x && exchange_make_room(x, size) == 0, "memory");
    x->fill =
        (size_t)snprintf(x->in, size, "GET / HTTP/1.1\r\nHost: a\r\n%s:%s\r\n\r\n", name, value);
    if (parser_head(x) == PARSE_DONE)
        return true;
    exchange_release(http);
    return false;
}

/* ---- choices ------------------------------------------------------------------------------- */

static const struct negotiation {
    const char *name;
    int (*choose)(const cress_environ *env, const char *const offers[]);
    const char *const offers[6];
} negotiations[] = {
    { "Accept",
      cress_accept_type,
      { "text/html", "text/html;level=1", "application/json", "text/plain; charset=utf-8" } },
    { "Accept", cress_accept_type, { "image/png", "image/webp" } },
    { "Accept-Encoding", cress_accept_encoding, { "zstd", "br", "gzip", "identity" } },
    { "Accept-Encoding", cress_accept_encoding, { "identity", "gzip" } },
    { "Accept-Encoding", cress_accept_encoding, { "gzip" } },
    { "Accept-Language", cress_accept_language, { "en", "de", "de-AT", "zh-Hant-TW" } },
    { "Accept-Charset", cress_accept_charset, { "utf-8", "iso-8859-1" } },
};

static int count_offers(const struct negotiation *n)
{
    int count = 0;

    while (n->offers[count])
        count++;
    return count;
}

/* -2: the field cannot be sent. */
static int choose(const struct negotiation *n, const char *value)
{
    cress_http1 http;
    int chosen = -2;

    if (begin(&http, n->name, value)) {
        chosen = n->choose(cress_http1_environ(&http), n->offers);
        check(chosen >= -1 && chosen < count_offers(n), "no offer");
        cress_http1_destroy(&http);
    }
    return chosen;
}

static void expect(const struct negotiation *n, const struct reply_text *value, int chosen,
                   const char *what)
{
    check(choose(n, value->data) == chosen, what);
}

static void append(struct reply_text *text, const char *what)
{
    reply_append(text, what, strlen(what));
}

static bool is_empty(const char *value)
{
    return strspn(value, " \t") == strlen(value);
}

static void check_capitals(const struct negotiation *n, const char *value, int chosen)
{
    struct reply_text changed = { .data = NULL };

    append(&changed, value);
    for (char *at = changed.data; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    expect(n, &changed, chosen, "capitals matter");
    free(changed.data);
}

/* The end of the member: a comma that is not in quotes. */
static const char *member_end(const char *at)
{
    for (bool is_quoted = false; *at && (is_quoted || *at != ','); at++) {
        if (*at == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && *at == '\\' && at[1])
            at++;
    }
    return at;
}

static bool is_closed(const char *at)
{
    bool is_quoted = false;

    for (; *at; at++) {
        if (*at == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && *at == '\\' && at[1])
            at++;
    }
    return !is_quoted;
}

static void check_other_order(const struct negotiation *n, const char *value, int chosen)
{
    const char *members[MAX_MEMBERS], *at = value;
    struct reply_text changed = { .data = NULL };
    bool is_whole = false;
    size_t count = 0;

    for (; count < MAX_MEMBERS; at = member_end(at) + 1) {
        members[count++] = at;
        is_whole = !*member_end(at);
        if (is_whole)
            break;
    }
    append(&changed, "");
    while (count > 0) {
        const char *member = members[--count];
        reply_append(&changed, member, (size_t)(member_end(member) - member));
        append(&changed, count ? " , " : "");
    }
    if (is_whole)
        expect(n, &changed, chosen, "the order matters");
    free(changed.data);
}

static void check_additions(const struct negotiation *n, const char *value, int chosen)
{
    static const char *const senseless[] = {
        ",", " ,\t, ", ",;q=1", ",x/y;q=2", ",*/*;q=a", ",*;q="
    };
    struct reply_text changed;

    for (size_t i = 0; i < sizeof senseless / sizeof senseless[0]; i++) {
        changed = (struct reply_text){ .data = NULL };
        append(&changed, value);
        append(&changed, senseless[i]);
        expect(n, &changed, chosen, "a senseless member matters");
        free(changed.data);
    }
    if (chosen < 0)
        return;
    changed = (struct reply_text){ .data = NULL };
    append(&changed, value);
    append(&changed, ", ");
    append(&changed, n->offers[chosen]);
    int now = choose(n, changed.data);
    check(now >= 0 && now <= chosen, "what is named does not win");
    free(changed.data);
}

static void check_negotiation(const struct negotiation *n, const char *value)
{
    int chosen = strpbrk(value, "\r\n") ? -2 : choose(n, value);

    if (chosen < -1 || strlen(value) > 2000)
        return;
    check_capitals(n, value, chosen);
    if (!is_closed(value) || is_empty(value))
        return;
    check_other_order(n, value, chosen);
    check_additions(n, value, chosen);
}

/* ---- redirects ----------------------------------------------------------------------------- */

static bool is_escape(const char *at)
{
    return *at == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2]);
}

static char decode(const char **at)
{
    char hex[3] = { 0 };

    if (!is_escape(*at))
        return *(*at)++;
    memcpy(hex, *at + 1, 2);
    *at += 3;
    return (char)strtol(hex, NULL, 16);
}

static void check_location(cress_str found, const char *location)
{
    static const char others[] = "-._~:/?#[]@!$&'()*+,;=";

    for (const char *at = found.data; *at; at++)
        check(isalnum((unsigned char)*at) || strchr(others, *at) || is_escape(at), "no URI");
    check(!cress_is_local_path((cress_str){ location, strlen(location) }) ||
              cress_is_local_path(found),
          "it leads elsewhere");
    const char *at = found.data;
    while (*at || *location)
        check(decode(&at) == decode(&location), "another location");
}

static void check_redirect(const char *location)
{
    cress_http1 http;

    check(begin(&http, "A", "b"), "a request");
    cress_response *res = cress_http1_response(&http);
    if (cress_redirect(res, 303, location) == 0) {
        cress_str found = cress_response_get_header(res, "Location");
        check(found.data && strlen(found.data) == found.len, "no C string");
        check_location(found, location);
    } else {
        check(errno == E2BIG, "why it failed");
    }
    cress_http1_destroy(&http);
}

/* ---- both ---------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { COUNT = sizeof negotiations / sizeof negotiations[0] };

    if (size < 1)
        return 0;
    char *text = malloc(size);
    check(text, "memory");
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check_negotiation(&negotiations[data[0] % COUNT], text);
    check_redirect(text);
    free(text);
    return 0;
}
