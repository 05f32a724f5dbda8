/* What a greenlet is doing, in one line. */
#ifndef CRESS_REPORT_H
#define CRESS_REPORT_H

#include "hub.h"
#include "symbol.h"

#include <stdio.h>

/* What a wait for a greenlet's end is called: its object is the greenlet's `done`. */
#define REPORT_JOIN "the end of"

/* "  name: state" and what it waits on. `symbols` may be NULL. */
void report_greenlet(const cress_greenlet *g, struct symbols *symbols, FILE *out);

#endif
