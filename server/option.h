/* One option: its name, its field, its default, its range, its text both ways. */
#ifndef CRESS_OPTION_H
#define CRESS_OPTION_H

#include <cress/serve.h>

enum option_kind {
    OPTION_TEXT,
    OPTION_LIST,   /* text; each further one is appended with a comma */
    OPTION_CHOICE, /* one of `choices` */
    OPTION_COUNT,  /* int */
    OPTION_SECONDS,
    OPTION_SIZE,  /* size_t */
    OPTION_BYTES, /* uint64_t */
    OPTION_FLAG,  /* bool, takes no value */
    OPTION_HELP,  /* the rest belong to the command line and have no field */
    OPTION_VERSION,
    OPTION_CHECK,
    OPTION_PRINT,
};

struct option {
    const char *name, *alias; /* without the dashes; '_' stands for '-' as well */
    char letter;
    enum option_kind kind;
    size_t offset;       /* in cress_config */
    const char *operand; /* as --help shows it */
    const char *text;    /* the default, of the kinds that are text */
    const char *choices; /* "common|combined" */
    double number, min, max;
    double off; /* what a 0 on the command line is stored as; 0: itself */
    const char *help;
};

extern const struct option option_table[];
extern const size_t option_count;

/* NULL: no such option. */
const struct option *option_by_name(const char *name, size_t len);
const struct option *option_by_letter(char letter);
/* Are these kinds stored in the configuration; as a number; as text? */
bool option_is_setting(const struct option *o);
bool option_is_number(const struct option *o);
bool option_is_text(const struct option *o);

double option_number(const struct option *o, const cress_config *config);
void option_set_number(const struct option *o, cress_config *config, double value);
const char *option_text(const struct option *o, const cress_config *config);
void option_set_text(const struct option *o, cress_config *config, const char *text);

/* Reads a value from the command line into its field: 0, or -1 after a line on stderr. */
int option_read(const struct option *o, cress_config *config, const char *text);
/* Is the field's value (the default filled in) allowed? 0, or -1 after a line on stderr. */
int option_check(const struct option *o, const cress_config *config);
/* The field's value, as option_read takes it. */
void option_format(const struct option *o, const cress_config *config, char *buf, size_t size);
/* The default in the same form; "" when there is none. */
void option_format_default(const struct option *o, char *buf, size_t size);

#endif
