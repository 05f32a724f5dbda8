/* All greenlets, one after the other: what each is doing, where it was spawned, how much of its
 * stack it has touched, and where it stands.
 *
 * A server has thousands that stand at the same place, so a backtrace is written once: whoever
 * stands there too refers to the first. That bounds the text; the memory for knowing them again
 * is bounded by KNOWN_MAX. The waiting form writes one greenlet at a time and lets the others
 * run between, so that it is no stall itself; who ends meanwhile is left out.
 */
#define _GNU_SOURCE
#include "backtrace.h"
#include "report.h"

#include <cress/monitor.h>
#include <cress/signal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    KNOWN_MAX = 256, /* backtraces that are told apart */
    KNOWN_SLOTS = 2 * KNOWN_MAX,
    BATCH = 16, /* greenlets between two turns of the others */
};

struct known {
    uint64_t greenlet; /* the first that stood there */
    unsigned count;
    void *pcs[];
};

struct dump {
    struct symbols *symbols;
    struct known *known[KNOWN_SLOTS];
    size_t known_count;
};

static void start(struct dump *dump)
{
    *dump = (struct dump){ .symbols = symbols_open() };
}

static void finish(struct dump *dump)
{
    int saved = errno;

    symbols_close(dump->symbols);
    for (size_t i = 0; i < KNOWN_SLOTS; i++)
        free(dump->known[i]);
    errno = saved;
}

/* ---- one greenlet ------------------------------------------------------------------ */

static size_t hash(const struct backtrace *trace)
{
    uint64_t value = trace->count;

    for (unsigned i = 0; i < trace->count; i++)
        value = (value ^ (uintptr_t)trace->pcs[i]) * 0x9e3779b97f4a7c15U;
    return (size_t)(value >> 32) % KNOWN_SLOTS;
}

static bool is_known(const struct known *known, const struct backtrace *trace)
{
    return known->count == trace->count &&
           memcmp(known->pcs, trace->pcs, trace->count * sizeof trace->pcs[0]) == 0;
}

/* Who stood there first; 0: nobody, and g is that from now on, if there is room. */
static uint64_t find_or_add(struct dump *dump, const cress_greenlet *g,
                            const struct backtrace *trace)
{
    size_t slot = hash(trace), bytes = trace->count * sizeof trace->pcs[0];

    for (; dump->known[slot]; slot = (slot + 1) % KNOWN_SLOTS)
        if (is_known(dump->known[slot], trace))
            return dump->known[slot]->greenlet;
    if (dump->known_count == KNOWN_MAX)
        return 0;
    struct known *known = malloc(sizeof *known + bytes);
    if (!known)
        return 0;
    known->greenlet = g->id;
    known->count = trace->count;
    memcpy(known->pcs, trace->pcs, bytes);
    dump->known[slot] = known;
    dump->known_count++;
    return 0;
}

/* Bytes from the top of its stack down to the lowest page that has ever been touched since
 * the stack was new, by whoever used it. */
static size_t touched(const struct context_stack *stack)
{
    enum { PAGES = 256 };
    unsigned char resident[PAGES];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t at = 0; at < stack->size; at += PAGES * page) {
        size_t len = stack->size - at < PAGES * page ? stack->size - at : PAGES * page;
        if (mincore(stack->bottom + at, len, resident) < 0)
            return 0;
        for (size_t i = 0; i * page < len; i++)
            if (resident[i] & 1)
                return stack->size - at - i * page;
    }
    return 0;
}

static void write_details(struct dump *dump, const cress_greenlet *g, FILE *out)
{
    char site[256];

    fprintf(out, "    greenlet %llu, spawned by %s", (unsigned long long)g->id,
            symbols_code(dump->symbols, (const char *)g->site - 1, site, sizeof site));
    if (g->stack)
        fprintf(out, "; %zu of %zu KiB of stack touched", touched(&g->stack->extent) / 1024,
                g->stack->extent.size / 1024);
    fputc('\n', out);
}

/* True: its backtrace had to be named, which takes time. */
static bool write_greenlet(struct dump *dump, const cress_greenlet *g, FILE *out)
{
    struct backtrace trace;

    report_greenlet(g, dump->symbols, out);
    write_details(dump, g, out);
    backtrace_of(g, &trace);
    if (trace.count == 0)
        return false;
    uint64_t first = find_or_add(dump, g, &trace);
    if (first) {
        fprintf(out, "    stands where greenlet %llu does\n", (unsigned long long)first);
        return false;
    }
    backtrace_print(&trace, dump->symbols, out, 4);
    return true;
}

/* ---- all, at once ------------------------------------------------------------------------ */

void hub_report(struct hub *hub, FILE *out)
{
    struct dump *dump = malloc(sizeof *dump);

    if (!dump) {
        for (const cress_greenlet *g = hub->greenlets; g; g = g->next)
            report_greenlet(g, NULL, out);
        return;
    }
    start(dump);
    for (const cress_greenlet *g = hub->greenlets; g; g = g->next)
        write_greenlet(dump, g, out);
    finish(dump);
    free(dump);
}

void cress_print_greenlets(FILE *out)
{
    if (hub_current)
        hub_report(hub_current, out);
}

/* ---- all, in turns ------------------------------------------------------------------------- */

/* Greenlets are listed in the order in which they were spawned. */
static cress_greenlet *first_after(const struct hub *hub, uint64_t id)
{
    cress_greenlet *g = hub->greenlets;

    while (g && g->id <= id)
        g = g->next;
    return g;
}

/* [waits] The others have a turn; the greenlet after `g`, or after its place. */
static int take_turns(cress_greenlet *g, cress_greenlet **ret_next)
{
    cress_retain(g);
    int result = hub_yield();
    *ret_next = g->state == GREENLET_ENDED ? first_after(hub_current, g->id) : g->next;
    cress_release(g);
    return result;
}

struct text {
    FILE *stream;
    char *bytes;
    size_t size;
};

/* Hands over what the stream has taken, and empties it. */
static int hand_over(struct text *text, cress_dump_write *write, void *arg)
{
    if (fflush(text->stream) != 0)
        return -1;
    int result = write(text->bytes, text->size, arg);
    rewind(text->stream);
    return result;
}

static int dump_in_turns(struct dump *dump, struct text *text, cress_dump_write *write, void *arg)
{
    struct hub *hub = hub_current;
    uint64_t last = hub->last_id;
    cress_greenlet *g = hub->greenlets, *next;
    unsigned batch = 0;

    for (; g && g->id <= last; g = next) {
        bool slow = write_greenlet(dump, g, text->stream);
        next = g->next;
        if (!slow && ++batch < BATCH && next)
            continue;
        batch = 0;
        cress_retain(g);
        int result = hand_over(text, write, arg);
        if (result == 0)
            result = take_turns(g, &next);
        cress_release(g);
        if (result < 0)
            return -1;
    }
    return 0;
}

int cress_dump_greenlets(cress_dump_write *write, void *arg)
{
    struct text text = { 0 };
    int result = -1;

    if (hub_check() < 0)
        return -1;
    struct dump *dump = malloc(sizeof *dump);
    text.stream = dump ? open_memstream(&text.bytes, &text.size) : NULL;
    if (text.stream) {
        start(dump);
        result = dump_in_turns(dump, &text, write, arg);
        finish(dump);
        int saved = errno;
        fclose(text.stream);
        free(text.bytes);
        errno = saved;
    }
    free(dump);
    return result;
}

/* ---- on a signal ------------------------------------------------------------------------------ */

static int write_to_stderr(const char *text, size_t len, void *arg)
{
    (void)arg;
    while (len > 0) {
        ssize_t count = write(STDERR_FILENO, text, len);
        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0) {
            text += count;
            len -= (size_t)count;
        }
    }
    return 0;
}

/* One at a time, for each hub: a session of libdw's takes a thread and megabytes. */
static _Thread_local struct {
    cress_greenlet *dumper; /* counted; in a forked child one of the parent's, which has ended */
    bool again;             /* the signal came meanwhile */
} on_signal;

static bool is_dumping(void)
{
    if (!on_signal.dumper)
        return false;
    if (!cress_ready(on_signal.dumper))
        return true;
    cress_release(on_signal.dumper);
    on_signal.dumper = NULL;
    return false;
}

static void *dump_to_stderr(void *arg)
{
    int result;

    if (is_dumping()) {
        on_signal.again = true;
        return arg;
    }
    cress_set_name(cress_self(), "dump");
    on_signal.dumper = cress_retain(cress_self());
    do {
        on_signal.again = false;
        result = cress_dump_greenlets(write_to_stderr, NULL);
    } while (result == 0 && on_signal.again);
    cress_release(on_signal.dumper);
    on_signal.dumper = NULL;
    return arg;
}

int cress_dump_on_signal(int signum)
{
    return cress_signal(signum, dump_to_stderr, NULL);
}
