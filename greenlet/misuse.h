/* Misuse: a call that breaks a primitive's contract, like joining oneself, releasing a
 * semaphore above its bound or waking another thread's greenlet.
 *
 * A debug build stops there, and names the greenlet, the call and where it was made;
 * a release build reports an errno and goes on. CRESS_DEBUG=1 and CRESS_DEBUG=0 in the
 * environment choose for either.
 */
#ifndef CRESS_MISUSE_H
#define CRESS_MISUSE_H

#include <cress/greenlet.h>

#include <stdbool.h>

/* Does misuse stop the program? */
bool misuse_stops(void);
/* For tests: from now on, whatever the build and the environment say. */
void misuse_set_stops(bool stop);

/* For `return misuse(EDEADLK, "cress_join: a greenlet cannot join itself");` right in a
 * public function, whose caller is the site: -1 with errno, if it returns. */
#define misuse(error, ...) misuse_at(__builtin_return_address(0), error, __VA_ARGS__)
int misuse_at(const void *site, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The running greenlet, for calls that mean nothing outside of one and have no way to say
 * so: there any build stops, with the call's name. */
#define misuse_self(call) (cress_self() ?: misuse_outside(__builtin_return_address(0), call))
_Noreturn struct cress_greenlet *misuse_outside(const void *site, const char *call);

#endif
