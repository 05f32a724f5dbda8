/* The error log: one line an event, on stderr or in a file. */
#ifndef CRESS_LOG_H
#define CRESS_LOG_H

#include <cress/serve.h>

#include <fcntl.h>

/* How both logs open their files: not to wait for a reader of a FIFO, nor later for a slow one. */
#define LOG_OPEN_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* Opens path ("-" or NULL: stderr) and sets the least level. -1: errno. */
int log_open(const char *path, int level);
void log_close(void);
/* Opens the file again (log rotation). -1: errno, and the old one stays. */
int log_reopen(void);
/* -1: no such level. */
int log_level_by_name(const char *name);
bool log_enabled(int level);

/* As many whole lines of text as the log takes now, as they are, but with control bytes escaped:
 * how many bytes of text that were; 0: none, it does not keep up. By any thread. */
size_t log_lines(const char *text, size_t len);

/* "program: text" on stderr, for what keeps the server from starting. */
void log_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* How the program is called: argv[0] without its folders. Borrowed. */
void log_set_program(const char *argv0);
const char *log_program(void);

#endif
