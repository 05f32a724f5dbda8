/* Primitives are not shared between threads: tests that try. */
#ifndef CRESS_TEST_OTHER_HUB_H
#define CRESS_TEST_OTHER_HUB_H

#include <cress/hub.h>

/* Runs fn(arg) as the first greenlet of a hub in another thread, to its end; the
 * caller's hub stands still meanwhile. */
void run_in_other_hub(cress_fn *fn, void *arg);

#endif
