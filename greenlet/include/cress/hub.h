/* <cress/hub.h>: the loop that greenlets of one thread live in.
 *
 * One hub per thread; a greenlet never leaves its thread. The hub keeps one FIFO
 * of what is ready to run: spawning, sleep(0) and every wake-up append to it, so
 * the same program prints the same lines every time. A greenlet that waits
 * switches straight to the next ready one; the hub's own context runs only when
 * nothing is ready, and often enough that I/O never starves.
 *
 * gevent: gevent.hub, gevent.get_hub().
 */
#ifndef CRESS_HUB_H
#define CRESS_HUB_H

#include <cress/api.h>

#include <stdio.h>

typedef void *cress_fn(void *arg);

struct cress_simulation_options;

/* How a hub is made. Zeroed: the defaults. */
typedef struct cress_hub_options {
    /* Time stands still while anything can run and jumps to the next deadline
     * when nothing can: programs that sleep for hours end at once. While a thread
     * works for a greenlet, or a child process lives, it passes as it does for them. For tests.
     * Also by the environment: CRESS_CLOCK=virtual. */
    bool virtual_clock;
    /* Bytes of stack for each greenlet, rounded up to pages; 0: 64 KiB. */
    size_t stack_size;
    /* Guard stacks by PROT_NONE pages even where the kernel offers
     * MADV_GUARD_INSTALL. For tests of that path, and for gdb's gcore, which leaves out a
     * mapping that it cannot read as a whole. Also by CRESS_GUARD=mprotect. */
    bool guard_by_mprotect;
    /* Run in an order chosen by a seed: see <cress/simulation.h>. NULL: only if
     * CRESS_SEED says so. */
    const struct cress_simulation_options *simulation;
    /* Seconds that a greenlet may run without letting the others; beyond, a thread beside
     * the hub reports its name and backtrace, once each time: see <cress/monitor.h>. 0: only if
     * CRESS_MAX_BLOCKING_TIME or CRESS_STALL says so; negative: never. */
    cress_seconds max_blocking_time;
    /* Takes such a report, some lines of text, in the monitor's thread; NULL: it goes to
     * stderr. */
    void (*on_stall)(const char *report, void *arg);
    void *on_stall_arg;
    /* And the program ends by abort() then: for tests; without a max_blocking_time, after 0.1 s.
     * Also by CRESS_STALL=abort. */
    bool stall_aborts;
} cress_hub_options;

/* Makes a hub in this thread, runs fn(arg) in its first greenlet, and tears the
 * hub down when fn returns: greenlets that are left are killed and get to clean
 * up. 0; -1 when fn ended by cress_fail (its errno), was killed (ECANCELED) or
 * the hub could not be made (ENOMEM, EMFILE; EBUSY: this thread has one).
 *
 * When nothing is ready and nothing could ever become so (no timer, descriptor
 * or signal is waited for), who waits on what is written to stderr and fn's
 * greenlet is woken: its wait, and every later one, fails with EDEADLK.
 * gevent: LoopExit, "This operation would block forever". */
CRESS_API int cress_run(cress_fn *fn, void *arg);
CRESS_API int cress_run_with(const cress_hub_options *options, cress_fn *fn, void *arg);

/* True inside a hub: where calls that wait may be used. */
CRESS_API bool cress_running(void);

/* The hub's clock: monotonic, read once per loop turn. gevent: loop.now(). */
CRESS_API cress_seconds cress_now(void);

/* [waits] 0 lets the others that are ready run once. gevent: gevent.sleep. */
CRESS_API int cress_sleep(cress_seconds span);

/* Writes some lines for each greenlet of this thread: its name, its state, what it waits on and
 * since when, where it was spawned, how much of its stack has been touched, and its backtrace
 * (x86-64; with libdw, of which Debian's package is libdw1, also of functions that are not
 * exported, with file and line). <cress/monitor.h> has the same for many greenlets and on a
 * signal. gevent: gevent.util.print_run_info. */
CRESS_API void cress_print_greenlets(FILE *out);

/* Counters of this thread's hub, for tests and benches. */
typedef struct cress_hub_stats {
    size_t greenlets;     /* not yet ended */
    size_t stacks;        /* mapped, in use or cached */
    size_t stacks_cached; /* of these, free for the next greenlet */
    uint64_t switches;    /* from one greenlet to another or to the hub */
    uint64_t polls;       /* turns of the event loop */
} cress_hub_stats;
CRESS_API void cress_get_hub_stats(cress_hub_stats *ret_stats);

#endif
