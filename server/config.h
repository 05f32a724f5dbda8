/* Options: one table for the command line, --print-config and the checks. */
#ifndef CRESS_CONFIG_H
#define CRESS_CONFIG_H

#include <cress/serve.h>

/* What the command line asked for beside the configuration. */
typedef struct config_command {
    bool check, print;
    const char *module; /* "hello.so:application"; NULL: none given */
} config_command;

/* Reads argv into config, whose zeroed fields it leaves to config_fill. `with_module`: one
 * operand, the module, is wanted. 0; -1: CRESS_EXIT_USAGE after a line on stderr; 1: --help or
 * --version was answered. Strings may point into argv or are kept until exit. */
int config_parse(int argc, char *argv[], bool with_module, cress_config *config,
                 config_command *ret_command);
/* Replaces zeroed fields by their defaults, and negative ones by the one value that means "off":
 * CRESS_FOREVER for the timeouts but keep_alive and graceful_timeout, -1 for the rest. */
void config_fill(cress_config *config);
/* Checks ranges and combinations of a filled one: 0, or -1 after a line on stderr. */
int config_check(const cress_config *config);
/* Makes sure that worker_connections descriptors, those of so many listeners, and a few of the
 * process's own fit under RLIMIT_NOFILE, raising the soft limit where the hard one lets it.
 * CRESS_EXIT_OK, or CRESS_EXIT_DESCRIPTORS after a line on stderr. */
int config_check_descriptors(const cress_config *config, size_t listeners);
/* "name = value" a line on stdout. */
void config_print(const cress_config *config);

/* What comes after parsing: checks, then what command asks for, or cress_serve. An exit status. */
int config_run(cress_config *config, const config_command *command);

#endif
