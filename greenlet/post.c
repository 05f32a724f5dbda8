/* A list behind a lock, and the loop's sleep ended.
 *
 * The loop is woken while the lock is held: a hub that has taken its last post, under
 * that lock, knows the poster to be done with the loop, and may end.
 */
#include "post.h"

#include "hub.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct post_box {
    pthread_mutex_t lock;
    struct task *first, **last; /* under the lock */
};

static struct task *take_all(struct post_box *box)
{
    pthread_mutex_lock(&box->lock);
    struct task *first = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);
    return first;
}

void post_take_all(struct hub *hub)
{
    struct task *task = take_all(hub->posts), *next;

    for (; task; task = next) {
        next = task->next;
        hub_unexpect(hub);
        hub_call(hub, task);
    }
}

static struct post_box *create(struct hub *hub)
{
    struct post_box *box = calloc(1, sizeof *box);

    if (!box)
        return NULL;
    if (loop_allow_wake(&hub->loop) < 0) {
        int saved = errno;
        free(box);
        errno = saved;
        return NULL;
    }
    pthread_mutex_init(&box->lock, NULL);
    box->last = &box->first;
    return box;
}

int hub_expect(struct hub *hub)
{
    if (!hub->posts)
        hub->posts = create(hub);
    if (!hub->posts)
        return -1;
    hub->expected++;
    hub->armed++;
    return 0;
}

void hub_unexpect(struct hub *hub)
{
    assert(hub->expected);
    hub->expected--;
    hub->armed--;
}

void hub_post(struct hub *hub, struct task *task)
{
    struct post_box *box = hub->posts;

    assert(task->run);
    task->next = NULL;
    pthread_mutex_lock(&box->lock);
    *box->last = task;
    box->last = &task->next;
    loop_wake(&hub->loop);
    pthread_mutex_unlock(&box->lock);
}

void post_finish(struct hub *hub)
{
    struct post_box *box = hub->posts;

    if (!box)
        return;
    assert(hub->expected == 0);
    pthread_mutex_destroy(&box->lock);
    free(box);
    hub->posts = NULL;
}

void post_forget(struct hub *hub)
{
    free(hub->posts); /* its lock may be held by a thread that does not exist here */
    hub->posts = NULL;
    hub->expected = 0;
}
