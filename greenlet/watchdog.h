/* The hub's side of its monitor thread. See monitor.c. */
#ifndef CRESS_WATCHDOG_H
#define CRESS_WATCHDOG_H

#include "hub.h"

/* Starts the thread, if options or the environment want one: 0, or -1 with errno. */
int monitor_start(struct hub *hub, const cress_hub_options *options);
void monitor_stop(struct hub *hub);
/* The hub is about to sleep; it has woken up. */
void monitor_hub_sleeps(struct monitor *monitor);
void monitor_hub_wakes(struct monitor *monitor);

#endif
