/* The machine's clocks, in seconds, whatever a hub's own clock says. */
#ifndef CRESS_CLOCK_H
#define CRESS_CLOCK_H

#include <cress/api.h>

#include <time.h>

/* Monotonic. */
static inline cress_seconds clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (cress_seconds)now.tv_sec + (cress_seconds)now.tv_nsec * 1e-9;
}

/* That clock's time in so many seconds: for the timed calls of threads. */
static inline struct timespec clock_after(clockid_t clock, cress_seconds span)
{
    time_t whole = (time_t)span;
    struct timespec at;

    clock_gettime(clock, &at);
    at.tv_sec += whole;
    at.tv_nsec += (long)((span - (cress_seconds)whole) * 1e9);
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

#endif
