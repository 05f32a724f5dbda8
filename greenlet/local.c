/* Values per greenlet: a short list, searched by the key's address. */
#include <cress/local.h>

#include "hub.h"

#include <errno.h>
#include <stdlib.h>

static struct local_value *find(const cress_greenlet *g, const cress_local *key)
{
    struct local_value *local = g->extra ? g->extra->locals : NULL;

    while (local && local->key != key)
        local = local->next;
    return local;
}

void *cress_local_get(const cress_local *key)
{
    const cress_greenlet *g = cress_self();
    const struct local_value *local = g ? find(g, key) : NULL;

    if (local)
        return local->value;
    return g && g->hooks && g->hooks->local ? g->hooks->local(g->hooks_arg, key) : NULL;
}

int cress_local_set(const cress_local *key, void *value)
{
    cress_greenlet *g = cress_self();

    if (!g) {
        errno = EPERM;
        return -1;
    }

    struct local_value *local = find(g, key);

    if (!local) {
        struct greenlet_extra *extra = greenlet_extra(g);
        local = extra ? malloc(sizeof *local) : NULL;
        if (!local)
            return -1;
        *local = (struct local_value){ .next = extra->locals, .key = key };
        extra->locals = local;
    }
    local->value = value;
    return 0;
}

void local_finish_all(cress_greenlet *g)
{
    struct local_value *local;

    while ((local = g->extra->locals)) {
        const cress_local *key = local->key;
        void *value = local->value;

        g->extra->locals = local->next;
        free(local);
        if (value && key->finish)
            key->finish(value);
    }
}
