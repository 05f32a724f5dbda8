/* The names of addresses in code, for people: reports, dumps, messages of misuse. */
#ifndef CRESS_SYMBOL_H
#define CRESS_SYMBOL_H

#include <stddef.h>

/* "function+0x1f (module)" for an address in code, or its number: written into buf,
 * NUL-terminated; returns buf. Not async-signal-safe. */
const char *symbol_name(const void *address, char *buf, size_t size);

#endif
