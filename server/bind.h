/* Where to listen: HOST:PORT, [V6]:PORT, :PORT, PORT, unix:PATH, as in <cress/address.h>. */
#ifndef CRESS_BIND_H
#define CRESS_BIND_H

#include <cress/address.h>

/* Parses several, with commas between. CRESS_EXIT_OK and a malloc'ed array, or CRESS_EXIT_BIND
 * (CRESS_EXIT_FAILURE: ENOMEM) after a line on stderr. */
int bind_parse_list(const char *texts, cress_address **ret_addresses, size_t *ret_count);
/* "http://127.0.0.1:8000" or "unix:/run/x.sock". */
void bind_format(const cress_address *a, const char *scheme, char *buf, size_t size);
/* cress_listen, with what suits HTTP over TCP: TCP_DEFER_ACCEPT and TCP_NOTSENT_LOWAT. */
int bind_listen(const cress_address *a, int backlog);

#endif
