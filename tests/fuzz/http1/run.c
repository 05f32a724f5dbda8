/* See run.h. */
#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

void note(struct run *run, const char *format, ...)
{
    char text[500];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reply_append(&run->log, text, len < (int)sizeof text ? (size_t)len : sizeof text - 1);
}

void note_str(struct run *run, const char *what, cress_str text)
{
    check(!text.data || text.data[text.len] == '\0', "no C string");
    reply_append(&run->log, what, strlen(what));
    reply_append(&run->log, text.data ? text.data : "(absent)", text.data ? text.len : 8);
    reply_append(&run->log, "\n", 1);
}

bool is_1_0(const cress_environ *env)
{
    return cress_str_equal(cress_environ_get(env, "SERVER_PROTOCOL"), "HTTP/1.0");
}
