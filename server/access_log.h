/* The access log: a line a request, in Common or Combined format.
 *
 * Lines are collected in memory and written by a greenlet of the log's own in the
 * same loop turn, many at a time: a slow disk costs the requests nothing but room,
 * and room is bounded (lines beyond are counted and the count is logged).
 */
#ifndef CRESS_ACCESS_LOG_H
#define CRESS_ACCESS_LOG_H

#include <cress/http1.h>

typedef struct access_log access_log;

/* Inside the hub. path "-": stdout; format "common" or "combined". NULL: errno. */
access_log *access_log_open(const char *path, const char *format);
void access_log_write(access_log *log, cress_str remote_addr, const cress_http1_log *entry);
/* [waits] Writes what is collected, closes. NULL is fine. */
void access_log_close(access_log *log);
/* Opens the file again (log rotation). -1: errno, and the old one stays. */
int access_log_reopen(access_log *log);

#endif
