/* Descriptors in epoll, level-triggered. See loop.h.
 *
 * The difficulty is that the kernel knows open files and we know numbers. A number is closed
 * and means another file the next moment, while the first lives on in a copy of the descriptor or in
 * another process, still registered, and is reported under a number that is no longer its own. So
 * each registration has a generation, which comes back with its events; those of an
 * older one are dropped, and since nothing can take such a file out of the epoll
 * instance, a new instance takes its place (renew).
 *
 * Whether a registration still holds is known only of watchers whose owners stop them before they
 * close (steady ones). For others, and for the first start of any, the kernel is asked, by changing
 * it: ENOENT means that the number is another file's by now. One that holds may be of another time,
 * when something else was asked for, and the number may have meant a third file since: so what is
 * asked for is said again, with a new generation.
 */
#define _GNU_SOURCE
#include "loop.h"

#include "system.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

enum {
    LEAST_FDS = 64,
    WARM = 512, /* so many watchers and their owners' records stay in the cache by themselves */
    WANTED = LOOP_READ | LOOP_WRITE,
    FRESH = 4,   /* not started since it was initialised: the descriptor may be a new one */
    STEADY = 8,  /* stopped before its descriptor is closed */
    PENDING = 16 /* is to be told of the event that is being told */
};

#define NONE UINT32_MAX    /* ends a list */
#define COUNTER UINT32_MAX /* the generation of the counter's registration: no other has it */

static const double LONGEST = 1e8; /* seconds of one sleep */
static const double RENEW_PAUSE = 0.01;

struct loop_fd {
    struct loop_io *last; /* of the ring, whose first it names; NULL: nobody watches */
    uint32_t next_change; /* 0: in no list; else the next number and 1, or NONE */
    uint16_t generation;
    uint8_t known;  /* the events that it is registered with, as far as is known */
    uint8_t unsure; /* it may have been closed since */
};

_Static_assert(sizeof(struct loop_fd) == 16 || sizeof(void *) != 8, "four to a cache line");

/* ---- the table ------------------------------------------------------------------- */

static int reserve(struct loop *loop, int fd)
{
    size_t count = loop->fd_count ? loop->fd_count : LEAST_FDS;

    if ((size_t)fd < loop->fd_count)
        return 0;
    while (count <= (size_t)fd)
        count *= 2;
    struct loop_fd *fds = realloc(loop->fds, count * sizeof *fds);
    if (!fds)
        return -1;
    for (size_t i = loop->fd_count; i < count; i++)
        fds[i] = (struct loop_fd){ .unsure = true };
    loop->fds = fds;
    loop->fd_count = count;
    return 0;
}

/* A list goes through the table: that a change is noted cannot fail. */
static void note_in(struct loop *loop, uint32_t *list, int fd)
{
    struct loop_fd *entry = &loop->fds[fd];

    if (entry->next_change)
        return;
    entry->next_change = *list;
    *list = (uint32_t)fd + 1;
}

/* The number is `at - 1`; what follows it. */
static uint32_t take_out(struct loop *loop, uint32_t at)
{
    struct loop_fd *entry = &loop->fds[at - 1];
    uint32_t next = entry->next_change;

    entry->next_change = 0;
    return next;
}

static uint32_t take_list(uint32_t *list)
{
    uint32_t first = *list;

    *list = NONE;
    return first;
}

static int wanted_by_all(const struct loop_fd *entry)
{
    const struct loop_io *io = entry->last;
    int wanted = 0;

    if (!io)
        return 0;
    do {
        wanted |= io->flags & WANTED;
        io = io->next;
    } while (io != entry->last);
    return wanted;
}

/* ---- watchers --------------------------------------------------------------------- */

void loop_io_init(struct loop_io *io, uint8_t kind, int fd, int events, bool steady)
{
    *io = (struct loop_io){
        .fd = fd,
        .kind = kind,
        .flags = (uint8_t)(events | FRESH | (steady ? STEADY : 0)),
    };
}

static bool has_steady(const struct loop_fd *entry)
{
    const struct loop_io *io = entry->last;

    do {
        if (io->flags & STEADY)
            return true;
        io = io->next;
    } while (io != entry->last);
    return false;
}

/* It may be another file's number by now, unless somebody vouches for it: not for one who would do
 * so as well, since the number may be his, and the other one left behind. */
static void doubt(struct loop_fd *entry, struct loop_io *io)
{
    if ((io->flags & FRESH) && ((io->flags & STEADY) || !entry->last || !has_steady(entry)))
        entry->unsure = true;
    io->flags &= (uint8_t)~FRESH;
}

static void put_last(struct loop_fd *entry, struct loop_io *io)
{
    if (entry->last) {
        io->next = entry->last->next;
        entry->last->next = io;
    } else {
        io->next = io;
    }
    entry->last = io;
}

int loop_start_anew(struct loop *loop, struct loop_io *io)
{
    if (reserve(loop, io->fd) < 0)
        return -1;
    struct loop_fd *entry = &loop->fds[io->fd];
    if (io->flags & WANTED) {
        doubt(entry, io);
        loop->active++;
        note_in(loop, &loop->changed, io->fd);
    }
    put_last(entry, io);
    io->epoch = loop->epoch;
    return 0;
}

static void take_off(struct loop *loop, struct loop_fd *entry, struct loop_io *io)
{
    struct loop_io *before = entry->last;

    if (loop->told == io)
        loop->told = io == entry->last ? NULL : io->next;
    while (before->next != io)
        before = before->next;
    before->next = io->next;
    if (before == io)
        entry->last = NULL;
    else if (entry->last == io)
        entry->last = before;
}

void loop_stop(struct loop *loop, struct loop_io *io)
{
    if (!loop_is_started(loop, io))
        return;
    struct loop_fd *entry = &loop->fds[io->fd];
    take_off(loop, entry, io);
    io->epoch = 0;
    io->flags &= (uint8_t)~PENDING;
    if (!(io->flags & WANTED))
        return;
    loop->active--;
    if (!entry->last)
        note_in(loop, &loop->changed, io->fd);
}

void loop_forget(struct loop *loop, int fd)
{
    if (fd >= 0 && (size_t)fd < loop->fd_count)
        loop->fds[fd].known = 0;
}

struct loop_io *loop_find(struct loop *loop, int fd, uint8_t kind)
{
    if (fd < 0 || (size_t)fd >= loop->fd_count || !loop->fds[fd].last)
        return NULL;
    struct loop_io *last = loop->fds[fd].last, *io = last;
    do {
        io = io->next;
        if (io->kind == kind)
            return io;
    } while (io != last);
    return NULL;
}

/* ---- telling the watchers ------------------------------------------------------------ */

/* Those that stand there now, the oldest first, whatever a handler starts and stops. With an
 * error they are stopped before. */
static void tell_several(struct loop *loop, int fd, int found, int error)
{
    struct loop_io *io = loop->fds[fd].last;

    do {
        io = io->next;
        if (io->flags & found)
            io->flags |= PENDING;
    } while (io != loop->fds[fd].last);
    for (io = io->next; io; io = loop->told) {
        loop->told = io == loop->fds[fd].last ? NULL : io->next;
        if (!(io->flags & PENDING))
            continue;
        io->flags &= (uint8_t)~PENDING;
        if (error)
            loop_stop(loop, io);
        loop->handlers[io->kind](io, error ? -error : io->flags & found);
    }
}

static void tell_all(struct loop *loop, int fd, int found)
{
    if (loop->fds[fd].last)
        tell_several(loop, fd, found, 0);
}

/* ---- telling the kernel ------------------------------------------------------------- */

static int control(struct loop *loop, int operation, int fd, int wanted, uint16_t generation)
{
    struct epoll_event event = {
        .events = (wanted & LOOP_READ ? EPOLLIN : 0U) | (wanted & LOOP_WRITE ? EPOLLOUT : 0U),
        .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd,
    };

    return epoll_ctl(loop->epoll, operation, fd, &event);
}

static uint16_t next_generation(const struct loop_fd *entry)
{
    return (uint16_t)(entry->generation + 1);
}

/* 0, or -1: the kernel refuses it. */
static int tell(struct loop *loop, int fd, struct loop_fd *entry, int wanted)
{
    bool is_sure = entry->known && !entry->unsure;
    uint16_t generation = is_sure ? entry->generation : next_generation(entry);
    int operation = entry->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int result = control(loop, operation, fd, wanted, generation);

    if (result < 0 && (errno == ENOENT || errno == EEXIST)) {
        generation = next_generation(entry);
        operation = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        result = control(loop, operation, fd, wanted, generation);
    }
    if (result < 0)
        return -1;
    entry->generation = generation;
    entry->known = (uint8_t)wanted;
    entry->unsure = false;
    return 0;
}

/* All who ask for something there are stopped and told why. */
static void refuse(struct loop *loop, int fd, int error)
{
    if (loop->fds[fd].last)
        tell_several(loop, fd, WANTED, error);
}

/* False: somebody was refused. */
static bool apply(struct loop *loop, int fd)
{
    struct loop_fd *entry = &loop->fds[fd];
    int wanted = wanted_by_all(entry);

    if (!wanted || (!entry->unsure && entry->known == wanted))
        return true;
    if (tell(loop, fd, entry, wanted) == 0)
        return true;
    entry->known = 0;
    entry->unsure = true;
    if (errno == EPERM) { /* a file on disk: never waits, and epoll has no use for it */
        note_in(loop, &loop->files, fd);
        return true;
    }
    refuse(loop, fd, errno);
    return false;
}

static bool apply_changes(struct loop *loop)
{
    bool all = true;

    for (uint32_t at = take_list(&loop->changed); at != NONE;) {
        uint32_t next = take_out(loop, at);
        all &= apply(loop, (int)(at - 1));
        at = next;
    }
    return all;
}

/* It was reported, and nobody wants that. */
static void correct(struct loop *loop, int fd, int wanted)
{
    struct loop_fd *entry = &loop->fds[fd];
    int operation = wanted ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    int result = control(loop, operation, fd, wanted, entry->generation);

    entry->known = (uint8_t)wanted;
    if (result == 0)
        return;
    entry->known = 0;
    entry->unsure = true;
    if (wanted)
        note_in(loop, &loop->changed, fd);
    loop->stale = true; /* the number has been closed, and the file has not */
}

/* Edge-triggered: each write reports it once, and nobody has to read it. */
static int add_counter(int epoll, int counter)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLET,
        .data.u64 = (uint64_t)COUNTER << 32 | (uint32_t)counter,
    };

    return epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event);
}

/* A new epoll instance without what cannot be taken out of the old one. Without descriptors
 * or memory for it the old one serves on, until there are: see pause_until_renewed. */
static void renew(struct loop *loop)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0)
        return;
    if (loop->counter >= 0 && add_counter(epoll, loop->counter) < 0) {
        close(epoll);
        return;
    }
    close(loop->epoll);
    loop->epoll = epoll;
    loop->stale = false;
    for (size_t fd = 0; fd < loop->fd_count; fd++) {
        loop->fds[fd].known = 0;
        loop->fds[fd].unsure = true;
        if (loop->fds[fd].last)
            note_in(loop, &loop->changed, (int)fd);
    }
}

static inline int found_in(uint32_t events)
{
    const uint32_t both = EPOLLERR | EPOLLHUP;

    if (events == EPOLLIN)
        return LOOP_READ;
    return (events & (EPOLLIN | both) ? LOOP_READ : 0) |
           (events & (EPOLLOUT | both) ? LOOP_WRITE : 0);
}

static inline uint32_t number_of(const struct epoll_event *event)
{
    return (uint32_t)event->data.u64;
}

/* Several watch it, or not all that is reported is asked for. */
static __attribute__((noinline)) void dispatch_odd(struct loop *loop, int fd, int found)
{
    const struct loop_fd *entry = &loop->fds[fd];
    int wanted = wanted_by_all(entry);

    if (!wanted && entry->next_change)
        return; /* who did has just been told of something else, and has left */
    if (!(found & wanted) || (found & ~wanted & entry->known))
        correct(loop, fd, wanted);
    tell_all(loop, fd, found);
}

static inline void dispatch(struct loop *loop, const struct epoll_event *event)
{
    const struct loop_fd *entry = &loop->fds[number_of(event)];
    struct loop_io *io = entry->last;
    uint64_t generation = event->data.u64 >> 32;
    int found = found_in(event->events);

    if (generation != entry->generation)
        loop->stale |= generation != COUNTER;
    else if (io && io->next == io && !(found & ~io->flags))
        loop->handlers[io->kind](io, found);
    else
        dispatch_odd(loop, (int)number_of(event), found);
}

/* With many descriptors each one's place, watcher and greenlet have left the cache: they are
 * fetched in this order, some events ahead, each found through the one before. */
static void fetch_ahead(const struct loop *loop, const struct epoll_event *event,
                        const struct epoll_event *end)
{
    enum { PLACE = 12, WATCHER = 8, GREENLET = 4 };
    const struct loop_io *io;

    if (end - event > PLACE)
        __builtin_prefetch(&loop->fds[number_of(event + PLACE)]);
    if (end - event > WATCHER)
        __builtin_prefetch(loop->fds[number_of(event + WATCHER)].last);
    if (end - event > GREENLET && (io = loop->fds[number_of(event + GREENLET)].last))
        __builtin_prefetch(io->greenlet, 1);
}

static void dispatch_all(struct loop *loop, int count)
{
    const struct epoll_event *end = loop->batch + count;
    bool warm = loop->active <= WARM;

    for (const struct epoll_event *event = loop->batch; event < end; event++) {
        if (!warm)
            fetch_ahead(loop, event, end);
        dispatch(loop, event);
    }
}

/* Those that are always ready. Whether they still are what they were is asked again before the
 * next look. */
static void dispatch_files(struct loop *loop)
{
    for (uint32_t at = take_list(&loop->files); at != NONE;) {
        uint32_t next = take_out(loop, at);
        note_in(loop, &loop->changed, (int)(at - 1));
        tell_all(loop, (int)(at - 1), LOOP_READ | LOOP_WRITE);
        at = next;
    }
}

/* ---- looking -------------------------------------------------------------------------- */

static int wait_by_milliseconds(struct loop *loop, cress_seconds timeout)
{
    double ms = ceil(timeout * 1e3);

    return epoll_wait(loop->epoll, loop->batch, LOOP_BATCH,
                      timeout == CRESS_FOREVER ? -1 : (int)fmin(ms, INT_MAX));
}

static int wait_for_events(struct loop *loop, cress_seconds timeout)
{
    cress_seconds most = timeout < LONGEST ? timeout : LONGEST;
    struct system_span span = { .seconds = (int64_t)most };

    if (loop->coarse)
        return wait_by_milliseconds(loop, timeout);
    span.nanoseconds = (int64_t)((most - (double)span.seconds) * 1e9);
    int count =
        system_epoll(loop->epoll, loop->batch, LOOP_BATCH, timeout == CRESS_FOREVER ? NULL : &span);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM))
        return count;
    loop->coarse = true;
    return wait_by_milliseconds(loop, timeout);
}

/* A wake-up that comes before `asleep` is set is seen in `woken`, a later one sees it. */
static int sleep_unless_woken(struct loop *loop, cress_seconds timeout)
{
    __atomic_store_n(&loop->asleep, true, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&loop->woken, __ATOMIC_SEQ_CST))
        timeout = 0;
    int count = wait_for_events(loop, timeout);
    __atomic_store_n(&loop->asleep, false, __ATOMIC_RELAXED);
    return count;
}

/* The instance could not be renewed, and reports at once, each time, what nobody wants. Where the
 * loop would sleep in it, it looks after a pause that no event ends. */
static __attribute__((noinline, cold)) void pause_until_renewed(cress_seconds timeout)
{
    struct timespec span = { .tv_nsec = (long)(fmin(timeout, RENEW_PAUSE) * 1e9) };

    nanosleep(&span, NULL);
}

void loop_look(struct loop *loop, cress_seconds timeout)
{
    if (loop->changed != NONE && !apply_changes(loop))
        timeout = 0;
    if (loop->files != NONE || timeout < 0)
        timeout = 0;
    if (loop->stale && timeout > 0) {
        pause_until_renewed(timeout);
        timeout = 0;
    }
    int count = timeout > 0 && loop->counter >= 0 ? sleep_unless_woken(loop, timeout)
                                                  : wait_for_events(loop, timeout);
    loop->was_full = count == LOOP_BATCH;
    if (count > 0)
        dispatch_all(loop, count);
    if (loop->files != NONE)
        dispatch_files(loop);
    if (loop->stale)
        renew(loop);
    if (__atomic_load_n(&loop->woken, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&loop->woken, false, __ATOMIC_SEQ_CST)) /* and sees what wakers did */
        loop->on_wake(loop);
}

/* ---- waking from outside ---------------------------------------------------------------- */

int loop_allow_wake(struct loop *loop)
{
    if (loop->counter >= 0)
        return 0;
    int counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (counter < 0)
        return -1;
    if (reserve(loop, counter) < 0 || add_counter(loop->epoll, counter) < 0) {
        int saved = errno;
        close(counter);
        errno = saved;
        return -1;
    }
    loop->counter = counter;
    return 0;
}

void loop_wake(struct loop *loop)
{
    int saved = errno;

    if (__atomic_exchange_n(&loop->woken, true, __ATOMIC_SEQ_CST) ||
        !__atomic_load_n(&loop->asleep, __ATOMIC_SEQ_CST))
        return;
    eventfd_write(loop->counter, 1);
    errno = saved;
}

/* ---- its life ------------------------------------------------------------------------------ */

/* A watcher may outlive its loop, and be used in the next one, of this process or of a child. */
static uint16_t next_epoch(void)
{
    static unsigned epochs; /* atomic: hubs begin in any thread */

    return (uint16_t)(__atomic_fetch_add(&epochs, 1, __ATOMIC_RELAXED) % UINT16_MAX + 1);
}

int loop_open(struct loop *loop, loop_handler *const *handlers, void (*on_wake)(struct loop *))
{
    *loop = (struct loop){
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .counter = -1,
        .epoch = next_epoch(),
        .changed = NONE,
        .files = NONE,
        .handlers = handlers,
        .on_wake = on_wake,
    };
    return loop->epoll < 0 ? -1 : 0;
}

void loop_close(struct loop *loop)
{
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->counter >= 0)
        close(loop->counter);
    free(loop->fds);
    *loop = (struct loop){ .epoll = -1, .counter = -1 };
}
