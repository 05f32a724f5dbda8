/* What response.c needs of hooks, and of error pages. */
#ifndef CRESS_HTTP_HOOK_H
#define CRESS_HTTP_HOOK_H

#include "exchange.h"

#include <cress/hook.h>

/* [waits] What the public functions of these names do when there are hooks. */
int hooks_respond(cress_response *res, cress_str type, const void *data, size_t len);
int hooks_write(cress_response *res, const void *data, size_t len);
int hooks_send_file(cress_response *res, int fd, off_t offset, size_t len);
int hooks_flush(cress_response *res);

/* [waits] The app is done: the last bytes into the output. */
int hooks_end(cress_response *res);
/* The handler is about to wait: what hooks hold back goes into the output, as far as there is
 * room. */
void hooks_push(cress_response *res);
/* The response was taken back; another one follows. */
void hooks_restart(cress_response *res);
/* Has a hook taken the length of a body away that is not going to be sent? */
bool hooks_hide_length(const cress_response *res);
void hooks_take_length(cress_response *res);
/* Is this called from a hook? */
bool hooks_are_running(const cress_response *res);
/* And because the handler is about to wait: nothing here may, or let others run. */
bool hooks_may_not_wait(const cress_response *res);
/* The one that was put on last; NULL: there is none. */
cress_hook *hooks_innermost(const cress_response *res);

/* [waits] The page of a status: an app's, as error_pages.c finds it, or else the plain one. The
 * response is started again; fields are put on it by hooks. */
int pages_respond(cress_response *res, int status);

#endif
