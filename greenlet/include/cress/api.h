/* <cress/api.h>: what every public header of cress shares.
 *
 * A call marked [waits] may let other greenlets run. It returns 0 (or a count),
 * or -1 with errno set:
 *   ECANCELED  this greenlet is being killed: clean up and return
 *   ETIMEDOUT  a limit passed: the call's own or that of an open cress_timeout
 *   others     what the operation itself reports, as in POSIX
 * A kill and an open timeout stay in force: every later [waits] call fails at
 * once, so code that only passes -1 upwards is correct.
 *
 * Value types work zeroed, need no destroy unless they have a _finish, and may
 * live on a greenlet's stack or inside your struct. Destructors accept NULL and
 * leave errno alone. Nothing here is shared between threads unless it says so.
 */
#ifndef CRESS_API_H
#define CRESS_API_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define CRESS_API extern "C" __attribute__((visibility("default")))
#else
#define CRESS_API __attribute__((visibility("default")))
#endif

#define CRESS_VERSION "0.1.0"

/* Every span and every point in time: seconds, as in gevent. */
typedef double cress_seconds;

/* A timeout that never passes. Zero and less: do not wait. */
#define CRESS_FOREVER ((cress_seconds)HUGE_VAL)

#endif
