/* Who has to go when another client wants in and the connections are as many as allowed. */
#ifndef CRESS_EVICTION_H
#define CRESS_EVICTION_H

#include "worker.h"

/* One connection is told to close, which it will have done soon. False: none has kept the
 * server waiting for long enough. */
bool eviction_make_room(struct worker *worker);

#endif
