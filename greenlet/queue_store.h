/* Where a queue's items lie, and which of them is the first to go. */
#ifndef CRESS_QUEUE_STORE_H
#define CRESS_QUEUE_STORE_H

#include <cress/queue.h>

/* -1: ENOMEM. Never fails right after a store_take. */
int store_add(cress_queue *q, void *item);
/* What store_take would take out; there must be one, for both. */
void *store_first(const cress_queue *q);
void *store_take(cress_queue *q);
void store_finish(cress_queue *q);

#endif
