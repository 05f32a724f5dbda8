/* <cress/monitor.h>: seeing what a hub's greenlets do, and that none keeps the others waiting.
 *
 * Greenlets run until they wait. One that computes for long, or makes a call that blocks the
 * thread, holds up all others. A hub with max_blocking_time set (<cress/hub.h>, or
 * CRESS_MAX_BLOCKING_TIME=0.1 in the environment) has a thread beside it that notices this and reports the
 * greenlet's name and backtrace, once for each time it does so. While the hub is idle that thread
 * sleeps.
 *
 * The backtrace is taken by a signal to the hub's thread: SIGURG, which programs seldom use and
 * which does nothing by default; other arrivals of it go to whoever handled it before. A system call of the greenlet's own
 * that is interrupted by it goes on (SA_RESTART); those that never do (poll, select, nanosleep: see
 * signal(7)) return EINTR.
 *
 * With CRESS_STALL=abort in the environment the program ends by abort() after the first
 * report: for tests. Without a CRESS_MAX_BLOCKING_TIME beside it that means 0.1 s.
 *
 * CRESS_MAX_BLOCKING_TIME is in seconds; 0: no thread. With anything that is no such number
 * cress_run fails with EINVAL.
 *
 * gevent: GEVENT_MONITOR_THREAD_ENABLE, GEVENT_MAX_BLOCKING_TIME, gevent.util.
 */
#ifndef CRESS_MONITOR_H
#define CRESS_MONITOR_H

#include <cress/greenlet.h>

/* Takes some lines of text; it may wait. -1: errno, and no more is written. */
typedef int cress_dump_write(const char *text, size_t len, void *arg);

/* [waits] What cress_print_greenlets writes, piece by piece, while the others run between: a
 * dump of many greenlets is no stall. Greenlets that end meanwhile may be left out. 0; -1: what
 * write reported, or ENOMEM. */
CRESS_API int cress_dump_greenlets(cress_dump_write *write, void *arg);

/* From now on that signal writes a dump to stderr. One at a time: however often the signal comes
 * during a dump, one more follows. 0, or -1 with errno, as cress_signal, and
 * cress_signal(signum, NULL, NULL) ends it. */
CRESS_API int cress_dump_on_signal(int signum);

/* A piece of code that must let the others run: between begin and end, on the same greenlet's
 * stack, nested ones innermost first. gevent: assert_switches. */
typedef struct cress_assert_switches {
    cress_seconds most;                /* seconds in a row; 0: once is enough */
    cress_seconds longest, resumed_at; /* the rest is the library's */
    uint64_t waits;
    const cress_greenlet_hooks *hooks;
    void *hooks_arg;
} cress_assert_switches;

/* With most > 0 it must not hold the thread for longer than that many seconds (of the
 * machine's clock) without waiting; with 0 it must wait at least once. */
CRESS_API void cress_assert_switches_begin(cress_assert_switches *block, cress_seconds most);
/* 0. Misuse, if the block did not keep to it: a debug build stops, naming the greenlet and the
 * caller; a release build returns -1 with EBUSY. */
CRESS_API int cress_assert_switches_end(cress_assert_switches *block);

#endif
