/* The table of options, from which everything follows: what the command line
 * takes, what --help and --print-config show, which values are allowed, and what a
 * zeroed field means.
 *
 * Two readings of zero meet here. In a cress_config zero is "the default", so that
 * { .bind = ... } is a whole configuration; on a command line `--keep-alive 0` is
 * the user's word for "none". `off` is what the latter is stored as.
 */
#define _GNU_SOURCE /* asprintf */

#include "option.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GIB (1024.0 * MIB)
#define YEAR (365.0 * 86400.0)
#define MAX_CONNECTIONS 10e6
#define BYTES_UNLIMITED 0x1p64 /* UINT64_MAX, rounded */

#define NUMBER(kind_, name_, member, operand_, number_, min_, max_, off_, help_)                 \
    {                                                                                            \
        .kind = (kind_), .name = (name_), .offset = offsetof(cress_config, member),              \
        .operand = (operand_), .number = (number_), .min = (min_), .max = (max_), .off = (off_), \
        .help = (help_)                                                                          \
    }
#define COUNT(...) NUMBER(OPTION_COUNT, __VA_ARGS__)
#define SECONDS(name, member, number, off, help) \
    NUMBER(OPTION_SECONDS, name, member, "SECONDS", number, 0.001, YEAR, off, help)
#define SIZE(...) NUMBER(OPTION_SIZE, __VA_ARGS__)
#define TEXT(kind_, name_, member, operand_, text_, help_, ...)                     \
    {                                                                               \
        .kind = (kind_), .name = (name_), .offset = offsetof(cress_config, member), \
        .operand = (operand_), .text = (text_), .help = (help_), __VA_ARGS__        \
    }
#define FLAG(name_, member, help_)                                                      \
    {                                                                                   \
        .kind = OPTION_FLAG, .name = (name_), .offset = offsetof(cress_config, member), \
        .help = (help_)                                                                 \
    }
#define ACTION(kind_, name_, letter_, help_)                                   \
    {                                                                          \
        .kind = (kind_), .name = (name_), .letter = (letter_), .help = (help_) \
    }

/* clang-format off */
const struct option option_table[] = {
    TEXT(OPTION_LIST, "bind", bind, "ADDRESS", "127.0.0.1:8000",
         "listen on HOST:PORT, [V6]:PORT, :PORT or unix:PATH; may be repeated", .letter = 'b'),
    /*    name, field, operand, default, least, most, what 0 means (0: itself) */
    COUNT("backlog", backlog, "COUNT", 2048, 1, 1 << 20, 0,
          "connections that may wait to be accepted"),
    COUNT("worker-connections", worker_connections, "COUNT", 1000, 1, MAX_CONNECTIONS, 0,
          "open connections; for more, slow ones make room"),
    COUNT("concurrency", concurrency, "COUNT", 0, 0, MAX_CONNECTIONS, 0,
          "requests in flight; 0: as many as connections"),
    COUNT("concurrency-backlog", concurrency_backlog, "COUNT", 1000, 1, MAX_CONNECTIONS, -1,
          "requests that may wait for one in flight to end; more get 503"),
    COUNT("retry-after", retry_after, "SECONDS", 1, 1, YEAR, -1,
          "the Retry-After field of that 503; 0: none"),
    /*      name, field, default, what 0 means */
    SECONDS("request-timeout", request_timeout, 60, HUGE_VAL,
            "for the application to answer, then 503; 0: no limit"),
    SECONDS("header-timeout", header_timeout, 10, HUGE_VAL,
            "for a request's head to arrive, then 408; 0: no limit"),
    SECONDS("handshake-timeout", handshake_timeout, 10, HUGE_VAL,
            "for a TLS handshake; 0: no limit"),
    SECONDS("body-timeout", body_timeout, 30, HUGE_VAL,
            "between two pieces of a request's body; 0: no limit"),
    SECONDS("write-timeout", write_timeout, 30, HUGE_VAL,
            "for a client that does not read; 0: no limit"),
    SECONDS("keep-alive", keep_alive, 2, -1,
            "an idle connection is kept; 0: one request a connection"),
    SECONDS("graceful-timeout", graceful_timeout, 30, -1,
            "for requests in flight after SIGTERM; 0: they are stopped at once"),
    SIZE("limit-request-line", limit_request_line, "BYTES", 8190, 16, MIB, 0,
         "a request line's length, beyond it 414"),
    SIZE("limit-request-fields", limit_request_fields, "COUNT", 100, 1, 32768, 0,
         "header fields in a request, beyond it 431"),
    SIZE("limit-request-field-size", limit_request_field_size, "BYTES", 8190, 16, MIB, 0,
         "one header field's size, beyond it 431"),
    SIZE("limit-request-head", limit_request_head, "BYTES", 64 * KIB, 64, 16 * MIB, 0,
         "the size of all fields together, beyond it 431"),
    NUMBER(OPTION_BYTES, "limit-request-body", limit_request_body, "BYTES", GIB, 1, 0x1p53,
           BYTES_UNLIMITED, "a body's size, beyond it 413; 0: no limit"),
    SIZE("stack-size", stack_size, "BYTES", 64 * KIB, 16 * KIB, 256 * MIB, 0,
         "a handler's stack"),
    SECONDS("max-blocking-time", max_blocking_time, 0.1, -1,
            "a handler may compute without waiting, then it is named in the log; 0: never"),
    TEXT(OPTION_TEXT, "certfile", certfile, "FILE", NULL,
         "serve HTTPS with this certificate, in PEM"),
    TEXT(OPTION_TEXT, "keyfile", keyfile, "FILE", NULL,
         "the certificate's key, if it is not in the same file"),
    TEXT(OPTION_TEXT, "ciphers", ciphers, "LIST", NULL,
         "the ciphers of TLS 1.2, as OpenSSL names them"),
    FLAG("allow-half-close", allow_half_close,
         "a client that has shut down its sending side still gets its answer"),
    TEXT(OPTION_LIST, "static", static_files, "PREFIX=DIR", NULL,
         "serve the files of a folder below a path; may be repeated"),
    TEXT(OPTION_TEXT, "access-logfile", access_logfile, "FILE", NULL,
         "log each request there; -: standard output"),
    TEXT(OPTION_CHOICE, "access-logformat", access_logformat, "FORMAT", "combined",
         "common or combined", .choices = "common|combined"),
    TEXT(OPTION_TEXT, "error-logfile", error_logfile, "FILE", "-",
         "log everything else there; -: standard error", .alias = "log-file"),
    TEXT(OPTION_CHOICE, "log-level", log_level, "LEVEL", "info",
         "debug, info, warning, error or critical",
         .choices = "debug|info|warning|error|critical"),
    TEXT(OPTION_TEXT, "pid", pidfile, "FILE", NULL,
         "write the process id there", .letter = 'p'),
    ACTION(OPTION_CHECK, "check-config", 0, "check options and module, and exit"),
    ACTION(OPTION_PRINT, "print-config", 0, "print all settings, and exit"),
    ACTION(OPTION_VERSION, "version", 'v', "print the version"),
    ACTION(OPTION_HELP, "help", 'h', "print this"),
};
/* clang-format on */

const size_t option_count = sizeof option_table / sizeof option_table[0];

static bool same_name(const char *name, const char *text, size_t len)
{
    if (!name || strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] != (text[i] == '_' ? '-' : text[i]))
            return false;
    return true;
}

const struct option *option_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];

        if (same_name(o->name, name, len) || same_name(o->alias, name, len))
            return o;
    }
    return NULL;
}

const struct option *option_by_letter(char letter)
{
    for (size_t i = 0; i < option_count; i++)
        if (letter && option_table[i].letter == letter)
            return &option_table[i];
    return NULL;
}

bool option_is_setting(const struct option *o)
{
    return o->kind <= OPTION_FLAG;
}

bool option_is_number(const struct option *o)
{
    return o->kind >= OPTION_COUNT && o->kind <= OPTION_BYTES;
}

bool option_is_text(const struct option *o)
{
    return o->kind <= OPTION_CHOICE;
}

static void *field(const struct option *o, const cress_config *config)
{
    return (char *)(uintptr_t)config + o->offset;
}

double option_number(const struct option *o, const cress_config *config)
{
    const void *at = field(o, config);

    switch (o->kind) {
    case OPTION_COUNT:
        return *(const int *)at;
    case OPTION_SECONDS:
        return *(const cress_seconds *)at;
    case OPTION_SIZE:
        return (double)*(const size_t *)at;
    case OPTION_BYTES:
        return (double)*(const uint64_t *)at;
    default:
        return *(const bool *)at;
    }
}

void option_set_number(const struct option *o, cress_config *config, double value)
{
    void *at = field(o, config);

    switch (o->kind) {
    case OPTION_COUNT:
        *(int *)at = (int)value;
        break;
    case OPTION_SECONDS:
        *(cress_seconds *)at = value;
        break;
    case OPTION_SIZE:
        *(size_t *)at = (size_t)value;
        break;
    case OPTION_BYTES:
        *(uint64_t *)at = value >= BYTES_UNLIMITED ? UINT64_MAX : (uint64_t)value;
        break;
    default:
        *(bool *)at = value != 0;
    }
}

const char *option_text(const struct option *o, const cress_config *config)
{
    return *(const char *const *)field(o, config);
}

void option_set_text(const struct option *o, cress_config *config, const char *text)
{
    *(const char **)field(o, config) = text;
}

/* ---- text to value ------------------------------------------------------------ */

/* Digits, with `fraction` also a part after a point. Not strtod: no signs, no
 * exponents, no "nan", and the same in every locale. The end, or NULL. */
static const char *read_decimal(const char *text, bool fraction, double *ret_value)
{
    double value = 0, unit = 0.1;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    if (at == text)
        return NULL;
    if (fraction && *at == '.') {
        at++;
        while (*at >= '0' && *at <= '9') {
            value += unit * (*at++ - '0');
            unit /= 10;
        }
    }
    *ret_value = value;
    return at;
}

static double suffix_factor(char suffix)
{
    switch (suffix) {
    case 'k':
    case 'K':
        return KIB;
    case 'm':
    case 'M':
        return MIB;
    case 'g':
    case 'G':
        return GIB;
    default:
        return 0;
    }
}

static int parse_number(const struct option *o, const char *text, double *ret_value)
{
    const char *end = read_decimal(text, o->kind == OPTION_SECONDS, ret_value);

    if (!end)
        return -1;
    if (*end && (o->kind == OPTION_SIZE || o->kind == OPTION_BYTES)) {
        double factor = suffix_factor(*end++);

        if (factor == 0)
            return -1;
        *ret_value *= factor;
    }
    return *end ? -1 : 0;
}

static const char *number_noun(const struct option *o)
{
    if (o->kind == OPTION_SECONDS)
        return "a number of seconds";
    if (strcmp(o->operand, "BYTES") == 0)
        return "a number of bytes (as 4096, 64k, 8m, 1g)";
    return "a whole number";
}

static void format_number(const struct option *o, double value, char *buf, size_t size)
{
    if (o->off != 0 && value == o->off)
        value = 0;
    snprintf(buf, size, o->kind == OPTION_SECONDS ? "%.15g" : "%.0f", value);
}

static int check_number(const struct option *o, double value)
{
    char shown[32], bound[32];

    if (value >= o->min && value <= o->max)
        return 0;
    format_number(o, value, shown, sizeof shown);
    format_number(o, value < o->min ? o->min : o->max, bound, sizeof bound);
    log_complain("--%s: %s is %s %s", o->name, shown,
                 value < o->min ? "less than the least possible," : "more than the most possible,",
                 bound);
    return -1;
}

static int read_number(const struct option *o, cress_config *config, const char *text)
{
    double value;

    if (parse_number(o, text, &value) < 0) {
        log_complain("--%s: \"%s\" is not %s", o->name, text, number_noun(o));
        return -1;
    }
    if (value == 0 && o->off != 0)
        value = o->off;
    else if (check_number(o, value) < 0)
        return -1;
    option_set_number(o, config, value);
    return 0;
}

static bool is_choice(const struct option *o, const char *text)
{
    size_t len = strlen(text);

    for (const char *at = o->choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strcspn(at, "|") == len && strncmp(at, text, len) == 0)
            return true;
    }
    return false;
}

static int check_choice(const struct option *o, const char *text)
{
    if (is_choice(o, text))
        return 0;
    log_complain("--%s: \"%s\" is not %s", o->name, text, o->help);
    return -1;
}

static int append_text(const struct option *o, cress_config *config, const char *text)
{
    static char *kept[sizeof option_table / sizeof option_table[0]]; /* until exit */
    char **mine = &kept[o - option_table];
    const char *before = option_text(o, config);
    char *joined;

    if (!before) {
        option_set_text(o, config, text);
        return 0;
    }
    if (asprintf(&joined, "%s,%s", before, text) < 0) {
        log_complain("--%s: out of memory", o->name);
        return -1;
    }
    option_set_text(o, config, joined);
    free(*mine);
    *mine = joined;
    return 0;
}

int option_read(const struct option *o, cress_config *config, const char *text)
{
    if (option_is_number(o))
        return read_number(o, config, text);
    if (!*text) {
        log_complain("--%s: its value is empty", o->name);
        return -1;
    }
    if (o->kind == OPTION_LIST)
        return append_text(o, config, text);
    if (o->kind == OPTION_CHOICE && check_choice(o, text) < 0)
        return -1;
    option_set_text(o, config, text);
    return 0;
}

int option_check(const struct option *o, const cress_config *config)
{
    if (option_is_number(o)) {
        double value = option_number(o, config);

        return o->off != 0 && value == o->off ? 0 : check_number(o, value);
    }
    if (o->kind == OPTION_CHOICE)
        return check_choice(o, option_text(o, config));
    return 0;
}

/* ---- value to text ------------------------------------------------------------ */

void option_format(const struct option *o, const cress_config *config, char *buf, size_t size)
{
    const char *text = option_is_text(o) ? option_text(o, config) : NULL;

    if (option_is_number(o))
        format_number(o, option_number(o, config), buf, size);
    else if (o->kind == OPTION_FLAG)
        snprintf(buf, size, "%s", option_number(o, config) != 0 ? "yes" : "no");
    else
        snprintf(buf, size, "%s", text ? text : "");
}

void option_format_default(const struct option *o, char *buf, size_t size)
{
    if (option_is_number(o))
        format_number(o, o->number, buf, size);
    else
        snprintf(buf, size, "%s", o->text ? o->text : "");
}
