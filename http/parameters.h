/* What stands behind the first word of Content-Type and Content-Disposition: "; name=value". */
#ifndef CRESS_HTTP_PARAMETERS_H
#define CRESS_HTTP_PARAMETERS_H

#include <cress/str.h>

struct parameters {
    const char *at, *end;
};

struct parameter {
    cress_str name;
    cress_str value; /* as it stands there; of a quoted-string what is between the quotes */
    bool is_quoted;
};

/* Begins with the field's value. False: it does not begin with a token (or two with a slash). */
bool parameters_begin(struct parameters *p, cress_str field, cress_str *ret_word);
/* 1; 0: there is no further one; -1: malformed (RFC 9110 5.6.6). */
int parameters_next(struct parameters *p, struct parameter *ret_parameter);

#endif
