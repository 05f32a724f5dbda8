/* The command line, defaults and checks of server/config.c and server/option.c. */
#include "../../server/config.h"
#include "capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#define MAX_ARGS 80

/* argv for a list of strings. */
struct args {
    int argc;
    char *argv[MAX_ARGS];
};

static struct args make_args(const char *const texts[])
{
    struct args a = { .argc = 1, .argv = { (char *)(uintptr_t) "/usr/bin/cress" } };

    for (size_t i = 0; texts[i]; i++) {
        assert_true(a.argc < MAX_ARGS - 1);
        a.argv[a.argc++] = (char *)(uintptr_t)texts[i];
    }
    return a;
}

#define ARGS(...) make_args((const char *const[]){ __VA_ARGS__, NULL })

static cress_config parse(struct args a)
{
    cress_config config = { 0 };
    config_command command;

    assert_int_equal(config_parse(a.argc, a.argv, true, &config, &command), 0);
    assert_string_equal(command.module, "hello.so");
    config_fill(&config);
    return config;
}

static void refuses(const char *message, struct args a)
{
    cress_config config = { 0 };
    config_command command;
    int result;
    char *said;

    capture_start(2);
    result = config_parse(a.argc, a.argv, true, &config, &command);
    said = capture_end();
    assert_string_equal(said, message);
    assert_int_equal(result, -1);
    free(said);
}

static int some_app(cress_environ *env, cress_response *res, void *self)
{
    (void)env, (void)self;
    return cress_respond(res, 204, NULL, NULL, 0);
}

static int some_factory(cress_application *ret_application)
{
    *ret_application = (cress_application){ .app = some_app };
    return 0;
}

/* ---- defaults -------------------------------------------------------------------- */

static void zeroed_is_the_default(void **state)
{
    cress_config c = { 0 };

    (void)state;
    config_fill(&c);
    assert_string_equal(c.bind, "127.0.0.1:8000");
    assert_int_equal(c.backlog, 2048);
    assert_int_equal(c.worker_connections, 1000);
    assert_int_equal(c.concurrency, 0);
    assert_int_equal(c.concurrency_backlog, 1000);
    assert_int_equal(c.retry_after, 1);
    assert_true(c.request_timeout == 60);
    assert_true(c.header_timeout == 10);
    assert_true(c.body_timeout == 30);
    assert_true(c.write_timeout == 30);
    assert_true(c.keep_alive == 2);
    assert_true(c.graceful_timeout == 30);
    assert_int_equal(c.limit_request_line, 8190);
    assert_int_equal(c.limit_request_fields, 100);
    assert_int_equal(c.limit_request_field_size, 8190);
    assert_int_equal(c.limit_request_head, 65536);
    assert_true(c.limit_request_body == (uint64_t)1 << 30);
    assert_int_equal(c.stack_size, 65536);
    assert_false(c.allow_half_close);
    assert_null(c.access_logfile);
    assert_string_equal(c.access_logformat, "combined");
    assert_string_equal(c.error_logfile, "-");
    assert_string_equal(c.log_level, "info");
    assert_null(c.pidfile);
    assert_string_equal(c.app_name, "application");
}

static void filling_keeps_what_is_set(void **state)
{
    cress_config c = { .bind = "unix:/x", .keep_alive = 7, .app_name = "a" }, before;

    (void)state;
    config_fill(&c);
    assert_string_equal(c.bind, "unix:/x");
    assert_true(c.keep_alive == 7);
    assert_string_equal(c.app_name, "a");
    before = c;
    config_fill(&c);
    assert_memory_equal(&c, &before, sizeof c);
}

static void negative_means_off(void **state)
{
    cress_config c = { .app = some_app,
                       .request_timeout = -5,
                       .body_timeout = -1,
                       .write_timeout = -1,
                       .keep_alive = -3,
                       .concurrency_backlog = -2 };

    (void)state;
    config_fill(&c);
    assert_true(c.request_timeout == CRESS_FOREVER);
    assert_true(c.body_timeout == CRESS_FOREVER);
    assert_true(c.write_timeout == CRESS_FOREVER);
    assert_true(c.keep_alive == -1);
    assert_int_equal(c.concurrency_backlog, -1);
    assert_int_equal(config_check(&c), 0);
}

/* ---- the command line ------------------------------------------------------------- */

static void each_option_sets_its_field(void **state)
{
    cress_config c = parse(
        ARGS("--bind", "[::1]:81", "--backlog", "3", "--worker-connections=4", "--concurrency", "5",
             "--concurrency-backlog", "6", "--retry-after=7", "--request-timeout", "8",
             "--header-timeout", "9.5", "--body-timeout=10", "--write-timeout=11", "hello.so",
             "--keep-alive", "12", "--graceful-timeout=0.25", "--limit-request-line", "1000",
             "--limit-request-fields", "14", "--limit-request-field-size", "15k",
             "--limit-request-head", "1M", "--limit-request-body=2g", "--stack-size", "128k",
             "--allow-half-close", "--access-logfile", "-", "--access-logformat", "common",
             "--error-logfile", "e.log", "--log-level", "debug", "--pid", "x.pid"));

    (void)state;
    assert_string_equal(c.bind, "[::1]:81");
    assert_int_equal(c.backlog, 3);
    assert_int_equal(c.worker_connections, 4);
    assert_int_equal(c.concurrency, 5);
    assert_int_equal(c.concurrency_backlog, 6);
    assert_int_equal(c.retry_after, 7);
    assert_true(c.request_timeout == 8);
    assert_true(c.header_timeout == 9.5);
    assert_true(c.body_timeout == 10);
    assert_true(c.write_timeout == 11);
    assert_true(c.keep_alive == 12);
    assert_true(c.graceful_timeout == 0.25);
    assert_int_equal(c.limit_request_line, 1000);
    assert_int_equal(c.limit_request_fields, 14);
    assert_int_equal(c.limit_request_field_size, 15 * 1024);
    assert_int_equal(c.limit_request_head, 1024 * 1024);
    assert_true(c.limit_request_body == (uint64_t)2 << 30);
    assert_int_equal(c.stack_size, 128 * 1024);
    assert_true(c.allow_half_close);
    assert_string_equal(c.access_logfile, "-");
    assert_string_equal(c.access_logformat, "common");
    assert_string_equal(c.error_logfile, "e.log");
    assert_string_equal(c.log_level, "debug");
    assert_string_equal(c.pidfile, "x.pid");
}

static void zero_on_the_command_line_is_none(void **state)
{
    cress_config c = parse(ARGS("hello.so", "--request-timeout", "0", "--header-timeout=0",
                                "--body-timeout=0", "--write-timeout=0", "--keep-alive=0",
                                "--graceful-timeout", "0", "--limit-request-body=0",
                                "--concurrency-backlog=0", "--retry-after=0", "--concurrency=0"));

    (void)state;
    assert_true(c.request_timeout == CRESS_FOREVER);
    assert_true(c.header_timeout == CRESS_FOREVER);
    assert_true(c.body_timeout == CRESS_FOREVER);
    assert_true(c.write_timeout == CRESS_FOREVER);
    assert_true(c.keep_alive == -1);
    assert_true(c.graceful_timeout == -1);
    assert_true(c.limit_request_body == UINT64_MAX);
    assert_int_equal(c.concurrency_backlog, -1);
    assert_int_equal(c.retry_after, -1);
    assert_int_equal(c.concurrency, 0);
}

static void binds_add_up(void **state)
{
    cress_config c = parse(ARGS("-b", ":80", "hello.so", "-b:81", "--bind=unix:/run/x"));

    (void)state;
    assert_string_equal(c.bind, ":80,:81,unix:/run/x");
}

static void gunicorns_spellings_are_taken(void **state)
{
    cress_config c = parse(ARGS("--limit-request-field_size=99", "--log-file", "x.log", "-pfile",
                                "hello.so", "--keep_alive=3"));

    (void)state;
    assert_int_equal(c.limit_request_field_size, 99);
    assert_string_equal(c.error_logfile, "x.log");
    assert_string_equal(c.pidfile, "file");
    assert_true(c.keep_alive == 3);
}

static void the_last_of_two_counts(void **state)
{
    cress_config c = parse(ARGS("--backlog=1", "--backlog=2", "--", "hello.so"));

    (void)state;
    assert_int_equal(c.backlog, 2);
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    refuses("cress: --frob: no such option (see --help)\n", ARGS("hello.so", "--frob=1"));
    refuses("cress: --keep: no such option (see --help)\n", ARGS("hello.so", "--keep", "1"));
    refuses("cress: -x: no such option (see --help)\n", ARGS("-x", "hello.so"));
    refuses("cress: --bind: its value is missing\n", ARGS("hello.so", "-b"));
    refuses("cress: --pid: its value is empty\n", ARGS("hello.so", "--pid="));
    refuses("cress: --allow-half-close: takes no value\n",
            ARGS("hello.so", "--allow-half-close=1"));
    refuses("cress: --help: takes no value\n", ARGS("hello.so", "--help=1"));
    refuses("cress: \"b.so\": a second module, there can be one\n", ARGS("hello.so", "b.so"));
    refuses("cress: no module given, as in: cress hello.so (see --help)\n", ARGS("--backlog", "3"));
    refuses("cress: --x\\x0ay: no such option (see --help)\n", ARGS("--x\ny"));
}

static void wrong_values_are_named(void **state)
{
    const char *const not_seconds[] = { "abc", "-1",  "1e3", "",     " 1",
                                        "1s",  "nan", "inf", "0x10", "." };
    char message[100], arg[40];

    (void)state;
    for (size_t i = 0; i < sizeof not_seconds / sizeof not_seconds[0]; i++) {
        snprintf(arg, sizeof arg, "--keep-alive=%s", not_seconds[i]);
        snprintf(message, sizeof message,
                 "cress: --keep-alive: \"%s\" is not a number of seconds\n", not_seconds[i]);
        refuses(message, ARGS("hello.so", arg));
    }
    refuses("cress: --backlog: \"1.5\" is not a whole number\n", ARGS("--backlog=1.5", "hello.so"));
    refuses("cress: --backlog: \"1k\" is not a whole number\n", ARGS("--backlog=1k", "hello.so"));
    refuses("cress: --limit-request-body: \"1t\" is not a number of bytes (as 4096, 64k, 8m, 1g)\n",
            ARGS("--limit-request-body=1t", "hello.so"));
    refuses(
        "cress: --limit-request-body: \"1kb\" is not a number of bytes (as 4096, 64k, 8m, 1g)\n",
        ARGS("--limit-request-body=1kb", "hello.so"));
    refuses("cress: --log-level: \"loud\" is not debug, info, warning, error or critical\n",
            ARGS("--log-level=loud", "hello.so"));
    refuses("cress: --access-logformat: \"comm\" is not common or combined\n",
            ARGS("--access-logformat", "comm", "hello.so"));
}

static void ranges_are_checked(void **state)
{
    (void)state;
    refuses("cress: --backlog: 0 is less than the least possible, 1\n",
            ARGS("--backlog=0", "hello.so"));
    refuses("cress: --backlog: 9999999999 is more than the most possible, 1048576\n",
            ARGS("--backlog=9999999999", "hello.so"));
    refuses("cress: --keep-alive: 0.0001 is less than the least possible, 0.001\n",
            ARGS("--keep-alive=0.0001", "hello.so"));
    refuses("cress: --stack-size: 4096 is less than the least possible, 16384\n",
            ARGS("--stack-size=4k", "hello.so"));
    refuses("cress: --limit-request-fields: 32769 is more than the most possible, 32768\n",
            ARGS("--limit-request-fields=32769", "hello.so"));
}

static void without_a_module_an_operand_is_refused(void **state)
{
    struct args a = ARGS("hello.so");
    cress_config config = { .app = some_app };
    config_command command;
    char *said;

    (void)state;
    capture_start(2);
    assert_int_equal(config_parse(a.argc, a.argv, false, &config, &command), -1);
    said = capture_end();
    assert_string_equal(said,
                        "cress: \"hello.so\": unexpected, only options are taken (see --help)\n");
    free(said);
    assert_int_equal(config_parse(1, a.argv, false, &config, &command), 0);
    assert_null(command.module);
}

/* ---- checks ------------------------------------------------------------------------ */

static void checks(const cress_config *given, const char *message)
{
    cress_config config = *given;
    char *said;
    int result;

    config_fill(&config);
    capture_start(2);
    result = config_check(&config);
    said = capture_end();
    assert_string_equal(said, message);
    assert_int_equal(result, *message ? -1 : 0);
    free(said);
}

static void a_callers_fields_are_checked_too(void **state)
{
    (void)state;
    checks(&(cress_config){ .app = some_app }, "");
    checks(&(cress_config){ .factory = some_factory }, "");
    checks(&(cress_config){ 0 }, "cress: no application\n");
    checks(&(cress_config){ .app = some_app, .factory = some_factory },
           "cress: an application and a factory: there can be one\n");
    checks(&(cress_config){ .app = some_app, .backlog = -1 },
           "cress: --backlog: -1 is less than the least possible, 1\n");
    checks(&(cress_config){ .app = some_app, .stack_size = 100 },
           "cress: --stack-size: 100 is less than the least possible, 16384\n");
    checks(&(cress_config){ .app = some_app, .log_level = "chatty" },
           "cress: --log-level: \"chatty\" is not debug, info, warning, error or critical\n");
    checks(&(cress_config){ .app = some_app, .limit_request_body = UINT64_MAX }, "");
    checks(&(cress_config){ .app = some_app, .request_timeout = CRESS_FOREVER }, "");
    checks(&(cress_config){ .app = some_app, .keep_alive = CRESS_FOREVER },
           "cress: --keep-alive: inf is more than the most possible, 31536000\n");
}

static void soft_descriptor_limit_is_raised(void **state)
{
    cress_config config = { .app = some_app, .worker_connections = 200 };
    struct rlimit before, limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(before.rlim_max > 300);
    limit = (struct rlimit){ .rlim_cur = 64, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(config_check_descriptors(&config, 1), CRESS_EXIT_OK);
    getrlimit(RLIMIT_NOFILE, &limit);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(limit.rlim_cur >= 201);
}

static void too_few_descriptors_are_told(void **state)
{
    cress_config config = { .app = some_app };
    struct rlimit limit;
    char *said;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    assert_true(limit.rlim_max < 2000000);
    config.worker_connections = 2000000;
    capture_start(2);
    assert_int_equal(config_check_descriptors(&config, 1), CRESS_EXIT_DESCRIPTORS);
    said = capture_end();
    assert_non_null(strstr(said, "cress: 2000000 connections need 20000"));
    assert_non_null(strstr(said, " file descriptors, and the limit is "));
    free(said);
}

/* ---- what it prints ------------------------------------------------------------------ */

static char *print(const cress_config *config)
{
    capture_start(1);
    config_print(config);
    return capture_end();
}

/* Each "name = value" line as --name=value gives the same configuration again. */
static void printed_settings_can_be_read_again(void **state)
{
    cress_config config = parse(ARGS("hello.so", "-b", "unix:/x", "--keep-alive", "0", "--pid=p",
                                     "--limit-request-body=0", "--body-timeout=0", "--backlog=5",
                                     "--request-timeout=0.75", "--retry-after=0"));
    char *printed = print(&config), *again, *rest = strdup(printed), *line;
    char args[MAX_ARGS][80];
    const char *texts[MAX_ARGS] = { "hello.so" };
    size_t count = 1;

    (void)state;
    for (char *at = rest; (line = strsep(&at, "\n")) && *line;) {
        char *equals = strstr(line, " =");

        assert_non_null(equals);
        *equals = '\0';
        if (equals[2] && strcmp(line, "allow-half-close") != 0) {
            snprintf(args[count], sizeof args[count], "--%s=%s", line, equals + 3);
            texts[count] = args[count];
            count++;
        }
    }
    assert_true(count > 20);
    config = parse(make_args(texts));
    again = print(&config);
    assert_string_equal(again, printed);
    free(again);
    free(printed);
    free(rest);
}

static char *answer(bool with_module, const char *option)
{
    struct args a = ARGS(option);
    cress_config config = { 0 };
    config_command command;

    capture_start(1);
    assert_int_equal(config_parse(a.argc, a.argv, with_module, &config, &command), 1);
    return capture_end();
}

static void help_and_version_answer(void **state)
{
    char *help = answer(true, "--help"), *short_help = answer(true, "-h");
    char *version = answer(true, "--version"), *program = answer(false, "-v");

    (void)state;
    assert_string_equal(help, short_help);
    assert_memory_equal(help, "Usage: cress [options] MODULE.so[:SYMBOL]\n", 42);
    assert_non_null(strstr(help, "  -b, --bind ADDRESS "));
    assert_non_null(strstr(help, "[127.0.0.1:8000]"));
    assert_string_equal(version, "cress " CRESS_VERSION "\n");
    assert_string_equal(program, "cress (cress " CRESS_VERSION ")\n");
    free(help);
    free(short_help);
    free(version);
    free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_is_the_default),
        cmocka_unit_test(filling_keeps_what_is_set),
        cmocka_unit_test(negative_means_off),
        cmocka_unit_test(each_option_sets_its_field),
        cmocka_unit_test(zero_on_the_command_line_is_none),
        cmocka_unit_test(binds_add_up),
        cmocka_unit_test(gunicorns_spellings_are_taken),
        cmocka_unit_test(the_last_of_two_counts),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(without_a_module_an_operand_is_refused),
        cmocka_unit_test(a_callers_fields_are_checked_too),
        cmocka_unit_test(soft_descriptor_limit_is_raised),
        cmocka_unit_test(too_few_descriptors_are_told),
        cmocka_unit_test(printed_settings_can_be_read_again),
        cmocka_unit_test(help_and_version_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
