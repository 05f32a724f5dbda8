/* What a caller that breaks a contract gets. See misuse.h. */
#include "misuse.h"

#include "backtrace.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef CRESS_DEBUG
enum { DEBUG_BUILD = true };
#else
enum { DEBUG_BUILD = false };
#endif

static bool stops;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look(void)
{
    const char *wanted = getenv("CRESS_DEBUG");

    stops = wanted && *wanted ? *wanted != '0' : DEBUG_BUILD;
}

bool misuse_stops(void)
{
    pthread_once(&once, look);
    return stops;
}

void misuse_set_stops(bool stop)
{
    pthread_once(&once, look);
    stops = stop;
}

static void vreport(const void *site, const char *format, va_list args)
{
    char text[256], where[256], name[64] = "outside greenlets";
    const cress_greenlet *g = cress_self();
    struct symbols *symbols = symbols_open();
    struct backtrace trace;

    vsnprintf(text, sizeof text, format, args);
    if (g)
        cress_name(g, name, sizeof name);
    fprintf(stderr, "cress: %s%s: misuse: %s\n    called from %s\n", g ? "greenlet " : "", name,
            text, symbols_code(symbols, (const char *)site - 1, where, sizeof where));
    backtrace_here(&trace);
    backtrace_print(&trace, symbols, stderr, 4);
    symbols_close(symbols);
}

int misuse_at(const void *site, int error, const char *format, ...)
{
    va_list args;

    if (misuse_stops()) {
        va_start(args, format);
        vreport(site, format, args);
        va_end(args);
        abort();
    }
    errno = error;
    return -1;
}

static void report(const void *site, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void report(const void *site, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vreport(site, format, args);
    va_end(args);
}

cress_greenlet *misuse_outside(const void *site, const char *call)
{
    report(site, "%s: only greenlets may call it", call);
    abort();
}
