/* Simulation: every decision that the hub is free to make, made by a seed.
 *
 * Tests see one order of events out of very many, and the one they see is the one
 * in which the program was thought out. Here the order is drawn: before a task is
 * taken off the ready queue, one of the greenlets at its front is moved to the
 * head. A call in the queue (a link, a pool's bookkeeping) is a barrier: nothing
 * that was queued after it passes it, and it passes nothing.
 *
 * Drawing evenly at every step finds what needs one or two unusual choices; what
 * needs the same one many times over (somebody who never gets his turn) it hardly
 * ever finds. So each seed also draws a manner that holds for the whole run.
 *
 * There are two sources of numbers: one for what is decided here, one for the program's own,
 * so that the work that a program draws does not change with the rate of faults.
 * Each decision goes into the digest.
 */
#define _GNU_SOURCE
#include "simulation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum manner {
    EVEN,     /* each as likely as any other */
    IN_ORDER, /* mostly the oldest */
    REVERSED, /* mostly the newest */
    UNFAIR,   /* some hardly ever get a turn while others are ready */
    MANNERS,
};

enum { WINDOW = 1024 }; /* greenlets at the front of the queue of which one is chosen */
static const double POLLS = 1.0 / 8, TURNS = 1.0 / 8, CREEPS = 1.0 / 4, LATE = 1.0 / 4;
static const double HABIT = 7.0 / 8; /* how often a manner decides */
static const double DEFAULT_FAULT_RATE = 0.05, MOST_FAULTS = 0.9;
static const cress_seconds DEFAULT_LATENESS = 0.001;

static _Thread_local uint64_t last_digest;

/* ---- numbers ------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014): a counter, and this to make it random. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static uint64_t draw(uint64_t *state)
{
    return mix(*state += 0x9e3779b97f4a7c15);
}

uint64_t simulation_below(struct simulation *s, uint64_t limit)
{
    return draw(&s->world) % limit;
}

/* From 0 to less than 1. */
static double fraction(struct simulation *s)
{
    return (double)(draw(&s->world) >> 11) * 0x1p-53;
}

bool simulation_chance(struct simulation *s, double rate)
{
    return rate > 0 && fraction(s) < rate;
}

void simulation_note(struct simulation *s, uint64_t decision)
{
    s->digest = mix(s->digest ^ decision) + decision;
}

/* ---- who is next ------------------------------------------------------------------ */

static cress_greenlet *greenlet_of(struct task *task)
{
    return task && !task->run ? (cress_greenlet *)task : NULL;
}

static bool is_neglected(const struct simulation *s, const cress_greenlet *g)
{
    return mix(s->seed ^ g->id) % 4 == 0;
}

/* The place of the first who is not neglected. */
static size_t first_favoured(const struct simulation *s, struct task *task, size_t count)
{
    for (size_t i = 0; i < count; i++, task = task->next)
        if (!is_neglected(s, greenlet_of(task)))
            return i;
    return 0;
}

static size_t choose(struct simulation *s, struct task *first, size_t count)
{
    size_t place = simulation_below(s, count);

    if (s->manner == EVEN || !simulation_chance(s, HABIT))
        return place;
    if (s->manner == UNFAIR)
        return first_favoured(s, first, count);
    return s->manner == IN_ORDER ? 0 : count - 1;
}

static void bring_forward(struct hub *hub, size_t place)
{
    struct task **at = &hub->ready_first, *chosen;

    for (size_t i = 0; i < place; i++)
        at = &(*at)->next;
    chosen = *at;
    if (place == 0)
        return;
    *at = chosen->next;
    if (!*at)
        hub->ready_last = at;
    chosen->next = hub->ready_first;
    hub->ready_first = chosen;
}

bool simulation_step(struct hub *hub)
{
    struct simulation *s = hub->simulation;
    size_t count = 0;

    hub->budget = 0;
    for (struct task *task = hub->ready_first; greenlet_of(task) && count < WINDOW;
         task = task->next)
        count++;
    if (count > 1)
        bring_forward(hub, choose(s, hub->ready_first, count));
    simulation_note(s, count > 0 ? greenlet_of(hub->ready_first)->id : 0);
    return simulation_chance(s, POLLS);
}

bool simulation_takes_turn(struct hub *hub)
{
    return simulation_chance(hub->simulation, TURNS);
}

/* The kernel reports descriptors in an order of its own. */
void simulation_order(struct hub *hub, struct task **tail)
{
    struct task **begin = tail;

    while (*tail) {
        struct task *task = *tail, **at = begin;
        if (task->run) {
            begin = tail = &task->next; /* a call stays where it is */
            continue;
        }
        while (at != tail && greenlet_of(*at)->id < greenlet_of(task)->id)
            at = &(*at)->next;
        if (at == tail) {
            tail = &task->next;
            continue;
        }
        *tail = task->next;
        task->next = *at;
        *at = task;
    }
    hub->ready_last = tail;
}

/* ---- what time it is ------------------------------------------------------------------ */

static void pass_time(struct hub *hub, cress_seconds to)
{
    uint64_t bits;

    hub->now = to;
    memcpy(&bits, &to, sizeof bits);
    simulation_note(hub->simulation, bits);
}

void simulation_jump(struct hub *hub, cress_seconds deadline)
{
    struct simulation *s = hub->simulation;
    cress_seconds late = simulation_chance(s, LATE) ? s->lateness * fraction(s) : 0;

    pass_time(hub, deadline + late);
}

void simulation_creep(struct hub *hub)
{
    struct simulation *s = hub->simulation;

    if (s->lateness > 0 && simulation_chance(s, CREEPS))
        pass_time(hub, hub->now + s->lateness * fraction(s));
}

/* ---- its life ---------------------------------------------------------------------------- */

int simulation_read_seed(uint64_t *ret_seed)
{
    const char *text = getenv("CRESS_SEED");
    char *end;

    if (!text || !*text)
        return 0;
    errno = 0;
    unsigned long long seed = strtoull(text, &end, 0);
    if (errno || *end || *text == '-') {
        errno = EINVAL;
        return -1;
    }
    *ret_seed = seed;
    return 1;
}

/* The option, the environment's or the usual one. */
static int read_rate(double option, const char *name, double usual, double most, double *ret_rate)
{
    const char *text = getenv(name);
    char *end = "";
    double rate = option != 0 ? fmax(option, 0) : usual;

    if (option == 0 && text && *text)
        rate = strtod(text, &end);
    if (*end || !(rate >= 0 && rate <= most)) {
        errno = EINVAL;
        return -1;
    }
    *ret_rate = rate;
    return 0;
}

static int configure(struct simulation *s, const cress_simulation_options *options)
{
    if (read_rate(options->fault_rate, "CRESS_FAULTS", DEFAULT_FAULT_RATE, MOST_FAULTS,
                  &s->fault_rate) < 0)
        return -1;
    if (read_rate(options->reset_rate, "CRESS_RESETS", 0, 1, &s->reset_rate) < 0)
        return -1;
    s->lateness = options->lateness != 0 ? fmax(options->lateness, 0) : DEFAULT_LATENESS;
    s->seed = s->digest = options->seed;
    s->world = mix(options->seed);
    s->program = mix(~options->seed);
    s->manner = (unsigned)simulation_below(s, MANNERS);
    return 0;
}

unsigned simulation_count;

int simulation_start(struct hub *hub, const cress_simulation_options *options)
{
    cress_simulation_options from_outside = { 0 };

    if (!options) {
        int found = simulation_read_seed(&from_outside.seed);
        if (found <= 0)
            return found;
        options = &from_outside;
    }
    hub->simulation = calloc(1, sizeof *hub->simulation);
    if (!hub->simulation)
        return -1;
    __atomic_add_fetch(&simulation_count, 1, __ATOMIC_RELAXED);
    return configure(hub->simulation, options);
}

void simulation_finish(struct hub *hub)
{
    if (!hub->simulation)
        return;
    __atomic_sub_fetch(&simulation_count, 1, __ATOMIC_RELAXED);
    last_digest = hub->simulation->digest;
    free(hub->simulation);
    hub->simulation = NULL;
}

static struct simulation *current(void)
{
    return hub_current ? hub_current->simulation : NULL;
}

bool cress_simulating(void)
{
    return current() != NULL;
}

uint64_t cress_simulation_seed(void)
{
    return current() ? current()->seed : 0;
}

uint64_t cress_simulation_digest(void)
{
    return current() ? current()->digest : last_digest;
}

uint64_t cress_simulation_random(uint64_t limit)
{
    uint64_t number;

    if (current())
        return draw(&current()->program) % limit;
    while (getrandom(&number, sizeof number, 0) != sizeof number)
        continue;
    return number % limit;
}

int cress_simulate_with(const cress_simulation_options *options, cress_fn *fn, void *arg)
{
    return cress_run_with(&(cress_hub_options){ .simulation = options }, fn, arg);
}

int cress_simulate(uint64_t seed, cress_fn *fn, void *arg)
{
    return cress_simulate_with(&(cress_simulation_options){ .seed = seed }, fn, arg);
}
