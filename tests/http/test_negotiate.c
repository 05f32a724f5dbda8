#include "hub_test.h"
#include "wire.h"

#include <cress/negotiate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int accept_fn(const cress_environ *env, const char *const offers[]);

struct question {
    accept_fn *fn;
    const char *const *offers;
    int answer;
};

static int ask(cress_environ *env, cress_response *res, void *self)
{
    struct question *question = self;

    question->answer = question->fn(env, question->offers);
    return cress_respond(res, 204, NULL, NULL, 0);
}

/* The chosen offer, or "-". field: NULL without. */
static const char *choose(accept_fn *fn, const char *name, const char *field,
                          const char *const offers[])
{
    struct question question = { .fn = fn, .offers = offers };
    char request[1000];
    struct wire w;

    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s%s%s%s\r\n",
             field ? name : "", field ? ": " : "", field ? field : "", field ? "\r\n" : "");
    wire_init(&w, ask, &question);
    wire_start(&w);
    wire_send(&w, request);
    assert_non_null(strstr(w.stream.out, " 204 "));
    wire_finish(&w);
    return question.answer < 0 ? "-" : offers[question.answer];
}

#define OFFERS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define check(fn, name, field, offers, expected) \
    assert_string_equal(choose(fn, name, field, offers), expected)
#define check_type(field, offers, expected) \
    check(cress_accept_type, "Accept", field, offers, expected)
#define check_encoding(field, offers, expected) \
    check(cress_accept_encoding, "Accept-Encoding", field, offers, expected)
#define check_language(field, offers, expected) \
    check(cress_accept_language, "Accept-Language", field, offers, expected)
#define check_charset(field, offers, expected) \
    check(cress_accept_charset, "Accept-Charset", field, offers, expected)

/* RFC 9110 12.5.1 */
static void test_types(void)
{
    const char *const *offers = OFFERS("application/json", "text/html", "text/plain");

    check_type(NULL, offers, "application/json");
    check_type("", offers, "application/json");
    check_type("*/*", offers, "application/json");
    check_type("text/html", offers, "text/html");
    check_type("TEXT/HTML", offers, "text/html");
    check_type("text/*", offers, "text/html");
    check_type("text/*;q=0.5, application/json;q=0.4", offers, "text/html");
    check_type("text/html;q=0.5, text/plain", offers, "text/plain");
    check_type("text/*, text/html;q=0", offers, "text/plain");
    check_type("*/*, application/*;q=0.1", offers, "text/html");
    check_type("image/png", offers, "-");
    check_type("*/*;q=0", offers, "-");
    check_type("text/htm, tex/*, text", offers, "-");
    check_type("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
               OFFERS("application/xml", "application/json"), "application/xml");
}

static void test_parameters_of_types(void)
{
    const char *const *offers = OFFERS("text/html;level=1", "text/html; level=2; charset=utf-8");

    check_type("text/html;level=2", offers, "text/html; level=2; charset=utf-8");
    check_type("text/html;q=0.2, text/html;LEVEL=2;q=0.9", offers,
               "text/html; level=2; charset=utf-8");
    check_type("text/html;level=3", offers, "-");
    check_type("text/html;level=1;q=0, text/html", offers, "text/html; level=2; charset=utf-8");
    check_type("text/html;x=\"a,b;q=1\";q=0.5, text/html;level=2;q=0.1", offers,
               "text/html; level=2; charset=utf-8");
    check_type("text/html;q=0.5;ext=1", offers, "text/html;level=1");
}

/* RFC 9110 12.4.2 */
static void test_weights(void)
{
    const char *const *offers = OFFERS("a/a", "a/b");

    check_type("a/a;q=0.001, a/b;q=0.002", offers, "a/b");
    check_type("a/a;q=1.000, a/b;q=1", offers, "a/a");
    check_type("a/a ; q=0.1 , a/b ; Q=0.2", offers, "a/b");
    check_type("a/a;q=0.000", offers, "-");
    check_type(", ,a/b,", offers, "a/b");
    check_type("a/a;q=1.1, a/b;q=0.1", offers, "a/b"); /* malformed ones are passed over */
    check_type("a/a;q=, a/b;q=0.1", offers, "a/b");
    check_type("a/a;q=2, a/b;q=0.1", offers, "a/b");
    check_type("a/a;q=0,9, a/b;q=0.1", offers, "a/b");
    check_type("a/a;q=-1, a/b;q=0.1", offers, "a/b");
    check_type("a/a;q=., a/b;q=0.1", offers, "a/b");
    check_type("a/a;q=1.0001, a/b;q=0.1", offers, "a/a"); /* four digits are only three */
    check_type("a/a;q=1.001, a/b;q=0.1", offers, "a/b");
    check_type("a/a;q=0.12345678901234567890, a/b;q=0.1", offers, "a/a");
    check_type("a/a;q=.05, a/b;q=.5", offers, "a/b");
    check_type("text/html, image/gif, *; q=.2, */*; q=.2", offers, "a/a"); /* Java's */
    check_type("text/html, *;q=0.5", offers, "a/a");
}

/* RFC 9110 12.5.3 */
static void test_encodings(void)
{
    const char *const *offers = OFFERS("br", "gzip", "identity");

    check_encoding(NULL, offers, "identity");
    check_encoding(NULL, OFFERS("gzip"), "gzip");
    check_encoding("", offers, "identity");
    check_encoding("gzip", offers, "gzip");
    check_encoding("x-gzip", offers, "gzip");
    check_encoding("GZIP, BR", offers, "br");
    check_encoding("gzip, br;q=0.9", offers, "gzip");
    check_encoding("*", offers, "br");
    check_encoding("*, br;q=0", offers, "gzip");
    check_encoding("deflate", offers, "identity");
    check_encoding("deflate, identity;q=0", offers, "-");
    check_encoding("deflate, *;q=0", offers, "-");
    check_encoding("identity;q=1, *;q=0", offers, "identity");
    check_encoding("identity;q=0.5, gzip;q=0.2", offers, "identity");
    check_encoding("gzip;q=0.001", offers, "gzip");
    check_encoding("identity;q=0", OFFERS("identity"), "-");
    check_encoding("", OFFERS("gzip"), "-");
}

/* RFC 9110 12.5.4, RFC 4647 3.3.1, 3.4 */
static void test_languages(void)
{
    const char *const *offers = OFFERS("en", "de", "pt-BR");

    check_language(NULL, offers, "en");
    check_language("de", offers, "de");
    check_language("de-AT", offers, "de");
    check_language("da, en-gb;q=0.8, en;q=0.7", offers, "en");
    check_language("pt", offers, "pt-BR");
    check_language("PT-br", offers, "pt-BR");
    check_language("p", offers, "-");
    check_language("pt-PT", offers, "-");
    check_language("fr, *;q=0.1", offers, "en");
    check_language("*, en;q=0", offers, "de");
    check_language("de-AT;q=0, de;q=0.5", offers, "de");
    check_language("de;q=0, de-AT", offers, "-");
    check_language("fr", offers, "-");
    check_language("de-CH, en;q=0.9", offers, "de");
}

static void test_charsets(void)
{
    const char *const *offers = OFFERS("utf-8", "iso-8859-1");

    check_charset(NULL, offers, "utf-8");
    check_charset("ISO-8859-1, utf-8;q=0.7", offers, "iso-8859-1");
    check_charset("*;q=0.5, utf-8;q=0.1", offers, "iso-8859-1");
    check_charset("koi8-r", offers, "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_types),     HUB_TEST(test_parameters_of_types), HUB_TEST(test_weights),
        HUB_TEST(test_encodings), HUB_TEST(test_languages),           HUB_TEST(test_charsets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
