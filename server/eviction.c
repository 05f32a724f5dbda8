/* Whoever opens connections and then sends, or reads, a byte now and then (Slowloris and its
 * kin) could hold every one that there is for as long as the time limits allow, and nobody else would
 * be served. So when a client waits to be accepted and there is no room, the connection goes that
 * has kept the server waiting longest, of the first kind that there is one of:
 *
 *     idle        between two requests: a client can expect that at any time (RFC 9112 9.6)
 *     heads       nothing, or half a head, has come: 408
 *     handshakes  the same in TLS
 *     stalled     a handler, or what comes behind it, waits for the client, which moves hardly
 *                 anything: as if it had left
 *
 * One that is found in a list of these though it is none of them is put right on the way.
 * Handlers that wait for anything else are never touched. Nobody goes within GRACE, whatever
 * arrives: a flood may make others wait, but not push out everybody whose line is long.
 *
 * nginx: ngx_drain_connections; Apache: mod_reqtimeout's least rates.
 */
#include "eviction.h"

static const cress_seconds GRACE = 1.0;
static const cress_seconds EPISODE = 10.0; /* said once in */

static bool evict_from(struct expiry *list)
{
    while (list->first && list->first->since + GRACE <= cress_now()) {
        if (connection_evict(list->first))
            return true;
    }
    return false;
}

static void tell(struct worker *worker)
{
    if (worker->evicted_at == 0 || cress_now() - worker->evicted_at > EPISODE)
        cress_log(CRESS_LOG_WARNING,
                  "%zu connections are open: those that keep the server waiting make room",
                  worker->open);
    worker->evicted_at = cress_now();
}

bool eviction_make_room(struct worker *worker)
{
    struct expiry *lists = worker->lists;

    if (!evict_from(&lists[LIST_IDLE]) && !evict_from(&lists[LIST_HEADS]) &&
        !evict_from(&lists[LIST_HANDSHAKES]) && !evict_from(&lists[LIST_STALLED]))
        return false;
    tell(worker);
    return true;
}
