/* The names of addresses, for people: reports, dumps, messages of misuse.
 *
 * With libdw (elfutils), which is loaded when a name is first asked for: every function that the program's
 * symbol table or its debug information knows, inlined ones too, with file and line. Without
 * it, only what the dynamic linker knows: exported functions. Not async-signal-safe.
 */
#ifndef CRESS_SYMBOL_H
#define CRESS_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>

/* A look at the program and its libraries as they are loaded now. It holds their debug
 * information until it is closed, so it should not live longer than a report. */
struct symbols;

/* NULL: libdw is not there, or memory; the calls below then know less. */
struct symbols *symbols_open(void);
void symbols_close(struct symbols *symbols);
/* Is libdw there? */
bool symbols_complete(void);

/* "function (folder/file.c:12)", "function+0x1f (module)" or "module+0x1f": written into buf,
 * NUL-terminated; returns buf. */
const char *symbols_code(struct symbols *symbols, const void *address, char *buf, size_t size);
/* The same for each function that was inlined there, innermost first, and then for the one that
 * holds them. */
typedef void symbols_each(const char *text, void *arg);
void symbols_frames(struct symbols *symbols, const void *address, symbols_each *each, void *arg);
/* "name" or "name+0x8" of the global or static variable that holds address, or NULL. */
const char *symbols_data(struct symbols *symbols, const void *address, char *buf, size_t size);

/* symbols_code for one address. */
const char *symbol_name(const void *address, char *buf, size_t size);

#endif
