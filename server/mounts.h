/* --static: folders that the server itself serves, in front of the application. */
#ifndef CRESS_MOUNTS_H
#define CRESS_MOUNTS_H

#include <cress/serve.h>

/* Opens what "PREFIX=DIR,..." names and puts it in front of *application, whose finish then also
 * gives it back. With no application, what is in no folder gets 404. NULL: nothing is done.
 * CRESS_EXIT_OK, or another exit status after a line on stderr. */
int mounts_open(const char *list, cress_application *application);
/* Could it be opened? */
int mounts_check(const char *list);

#endif
