/* A crew of threads that takes jobs off a queue: the side of a thread pool that runs
 * beside the hub. See threadpool.c for the hub's.
 */
#ifndef CRESS_THREADS_H
#define CRESS_THREADS_H

#include "hub.h"

struct job {
    struct task task; /* first: posted to the hub when fn has returned */
    struct job *next;
    cress_fn *fn;
    void *arg, *value;
    int error;           /* of cress_fail */
    bool queued;         /* threads.c's, under its lock */
    bool ended;          /* from here on: the hub's own */
    cress_waitable over; /* its greenlet waits here */
};

struct threads;

/* NULL: ENOMEM. */
struct threads *threads_create(struct hub *hub, unsigned max, cress_seconds idle,
                               size_t stack_size);
/* Ends and joins them, and frees all. No job is left. */
void threads_destroy(struct threads *t);
/* The same in a forked child, where there are none. */
void threads_forget(struct threads *t);

/* Queues a job; 0, or an error number: there is not one thread, nor could one be had. */
int threads_put(struct threads *t, struct job *job);
/* Takes it back; false: it has begun. */
bool threads_take_back(struct threads *t, struct job *job);
/* Takes back all that have not begun, as a list. */
struct job *threads_take_back_all(struct threads *t);
/* Stands still until all jobs have run. */
void threads_settle(struct threads *t);
unsigned threads_count(struct threads *t);

/* cress_fail, on one of them. */
void *threads_fail(int error);

#endif
