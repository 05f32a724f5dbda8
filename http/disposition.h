/* The header of a part of a form. */
#ifndef CRESS_HTTP_DISPOSITION_H
#define CRESS_HTTP_DISPOSITION_H

#include <cress/multipart.h>

/* What a part's header says: its lines, each with CRLF in front, without a line end behind
 * the last. The texts of *ret_part are in the request's memory. -1: EBADMSG, ENOMEM. */
int disposition_parse(cress_environ *env, cress_str head, cress_part *ret_part);

#endif
