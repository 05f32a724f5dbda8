/* From argv to a configuration that holds.
 *
 * Options may stand before or after the module, as `--name value` or `--name=value`;
 * everything that differs from one option to the next is in option.c's table.
 * What is wrong is told in one line that begins with the program's and the
 * option's name.
 */
#include "config.h"

#include "bind.h"
#include "https.h"
#include "log.h"
#include "mounts.h"
#include "option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Descriptors beside listeners and connections: the three standard ones, the event
 * loop's, two logs, a pid file while it is written, and what an application opens. */
#define SPARE_DESCRIPTORS 32

#define HELP_COLUMN 32

/* ---- --help --------------------------------------------------------------------- */

static void print_option(const struct option *o)
{
    char left[80], fallback[64];
    int used = snprintf(left, sizeof left, "  %c%c%s--%s", o->letter ? '-' : ' ',
                        o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name);

    if (o->operand)
        snprintf(left + used, sizeof left - (size_t)used, " %s", o->operand);
    option_format_default(o, fallback, sizeof fallback);
    if (strlen(left) > HELP_COLUMN) {
        puts(left);
        *left = '\0';
    }
    printf("%-*s %s", HELP_COLUMN, left, o->help);
    if (*fallback && strcmp(fallback, "0") != 0)
        printf(" [%s]", fallback);
    putchar('\n');
}

static void print_help(bool with_module)
{
    printf("Usage: %s [options]%s\n\n", log_program(), with_module ? " MODULE.so[:SYMBOL]" : "");
    if (with_module)
        printf("Serves the application in a shared object over HTTP. SYMBOL is a function of the\n"
               "type cress_app, by default application, then app; or with () behind it a\n"
               "cress_factory, which makes one.\n\n");
    printf("Options, with their defaults:\n");
    for (size_t i = 0; i < option_count; i++)
        print_option(&option_table[i]);
    printf("\nBYTES take a suffix k, m or g. SIGTERM: finish the requests in flight, then stop.\n"
           "SIGINT, SIGQUIT: stop at once.\n");
}

static void print_version(bool with_module)
{
    if (with_module)
        printf("%s %s\n", log_program(), CRESS_VERSION);
    else
        printf("%s (cress %s)\n", log_program(), CRESS_VERSION);
}

/* ---- the command line -------------------------------------------------------------- */

struct reader {
    char **next, **end;
    bool with_module;
    cress_config *config;
    config_command *command;
};

/* Those without a value: 0, or 1 when there is nothing left to do. */
static int take_flag(struct reader *r, const struct option *o)
{
    switch (o->kind) {
    case OPTION_FLAG:
        option_set_number(o, r->config, 1);
        return 0;
    case OPTION_CHECK:
        r->command->check = true;
        return 0;
    case OPTION_PRINT:
        r->command->print = true;
        return 0;
    case OPTION_VERSION:
        print_version(r->with_module);
        return 1;
    default:
        print_help(r->with_module);
        return 1;
    }
}

/* `value` is what stood in the same argument; NULL: nothing did. */
static int take_option(struct reader *r, const struct option *o, const char *value)
{
    if (!o->operand) {
        if (!value)
            return take_flag(r, o);
        log_complain("--%s: takes no value", o->name);
        return -1;
    }
    if (!value && r->next == r->end) {
        log_complain("--%s: its value is missing", o->name);
        return -1;
    }
    return option_read(o, r->config, value ? value : *r->next++);
}

static int unknown_option(const char *arg)
{
    log_complain("%.*s: no such option (see --help)", (int)strcspn(arg, "="), arg);
    return -1;
}

static int take_long(struct reader *r, const char *arg)
{
    size_t len = strcspn(arg + 2, "=");
    const struct option *o = option_by_name(arg + 2, len);

    if (!o)
        return unknown_option(arg);
    return take_option(r, o, arg[2 + len] ? arg + 3 + len : NULL);
}

static int take_short(struct reader *r, const char *arg)
{
    const struct option *o = option_by_letter(arg[1]);

    if (!o)
        return unknown_option(arg);
    return take_option(r, o, arg[2] ? arg + 2 : NULL);
}

static int take_operand(struct reader *r, const char *arg)
{
    if (!r->with_module) {
        log_complain("\"%s\": unexpected, only options are taken (see --help)", arg);
        return -1;
    }
    if (r->command->module) {
        log_complain("\"%s\": a second module, there can be one", arg);
        return -1;
    }
    r->command->module = arg;
    return 0;
}

static int take_argument(struct reader *r, const char *arg, bool options_end)
{
    if (options_end || arg[0] != '-' || !arg[1])
        return take_operand(r, arg);
    return arg[1] == '-' ? take_long(r, arg) : take_short(r, arg);
}

int config_parse(int argc, char *argv[], bool with_module, cress_config *config,
                 config_command *ret_command)
{
    struct reader r = { .next = argv + (argc > 0),
                        .end = argv + argc,
                        .with_module = with_module,
                        .config = config,
                        .command = ret_command };
    bool options_end = false;

    *ret_command = (config_command){ 0 };
    if (argc > 0)
        log_set_program(argv[0]);
    while (r.next < r.end) {
        const char *arg = *r.next++;

        if (!options_end && strcmp(arg, "--") == 0) {
            options_end = true;
            continue;
        }
        int result = take_argument(&r, arg, options_end);
        if (result != 0)
            return result;
    }
    if (with_module && !ret_command->module && !config->static_files) {
        log_complain("no module given, as in: %s hello.so (see --help)", log_program());
        return -1;
    }
    return 0;
}

/* ---- defaults and checks --------------------------------------------------------- */

static void fill_number(const struct option *o, cress_config *config)
{
    double value = option_number(o, config);

    if (value == 0)
        option_set_number(o, config, o->number);
    else if (value < 0 && o->off != 0)
        option_set_number(o, config, o->off);
}

void config_fill(cress_config *config)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];

        if (option_is_number(o))
            fill_number(o, config);
        else if (option_is_text(o) && !option_text(o, config))
            option_set_text(o, config, o->text);
    }
    if (!config->app_name)
        config->app_name = "application";
}

int config_check(const cress_config *config)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_is_setting(&option_table[i]) && option_check(&option_table[i], config) < 0)
            return -1;
    if (config->app ? config->factory != NULL : !config->factory && !config->static_files) {
        log_complain(config->app ? "an application and a factory: there can be one"
                                 : "no application");
        return -1;
    }
    if (!config->certfile && (config->keyfile || config->ciphers)) {
        log_complain("--%s: there is no --certfile", config->keyfile ? "keyfile" : "ciphers");
        return -1;
    }
    return 0;
}

int config_check_descriptors(const cress_config *config, size_t listeners)
{
    rlim_t wanted = (rlim_t)config->worker_connections + (rlim_t)listeners + SPARE_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return CRESS_EXIT_OK;
    if (limit.rlim_max >= wanted) {
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
            return CRESS_EXIT_OK;
    }
    log_complain("%d connections need %llu file descriptors, and the limit is %llu "
                 "(--worker-connections, ulimit -n)",
                 config->worker_connections, (unsigned long long)wanted,
                 (unsigned long long)limit.rlim_max);
    return CRESS_EXIT_DESCRIPTORS;
}

static void print_setting(const struct option *o, const cress_config *config)
{
    const char *text = option_is_text(o) ? option_text(o, config) : NULL;
    char number[32];

    if (!option_is_text(o)) {
        option_format(o, config, number, sizeof number);
        text = number;
    }
    printf("%s =%s%s\n", o->name, text ? " " : "", text ? text : "");
}

void config_print(const cress_config *config)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_is_setting(&option_table[i]))
            print_setting(&option_table[i], config);
}

/* ---- what the command line asked for ---------------------------------------------- */

static int check_all(const cress_config *config)
{
    cress_address *addresses;
    cress_tls_context *tls;
    size_t count;
    int status;

    if (config_check(config) < 0)
        return CRESS_EXIT_USAGE;
    status = bind_parse_list(config->bind, &addresses, &count);
    if (status != CRESS_EXIT_OK)
        return status;
    free(addresses);
    status = https_load(config, &tls);
    cress_tls_context_release(tls);
    if (status == CRESS_EXIT_OK)
        status = mounts_check(config->static_files);
    return status != CRESS_EXIT_OK ? status : config_check_descriptors(config, count);
}

int config_run(cress_config *config, const config_command *command)
{
    int status;

    config_fill(config);
    if (!command->check && !command->print)
        return cress_serve(config);
    status = check_all(config);
    if (status == CRESS_EXIT_OK && command->print)
        config_print(config);
    else if (status == CRESS_EXIT_OK)
        puts("configuration ok");
    return status;
}
