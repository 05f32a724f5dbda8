/* A list behind a lock, and a libev async watcher that ends the loop's sleep.
 *
 * The watcher is told while the lock is held: a hub that has taken its last post, under
 * that lock, knows the poster to be done with the loop, and may end.
 */
#include "post.h"

#include "hub.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct post_box {
    ev_async async; /* first */
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

static void on_posts(struct ev_loop *loop, ev_async *async, int revents)
{
    struct hub *hub = hub_current;
    struct task *task = take_all((struct post_box *)async), *next;

    (void)loop, (void)revents;
    for (; task; task = next) {
        next = task->next;
        hub_unexpect(hub);
        hub_call(hub, task);
    }
}

int post_make_sure(struct hub *hub)
{
    if (hub->has_wakeup)
        return 0;
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0)
        return -1;
    close(fd);
    hub->has_wakeup = true;
    return 0;
}

static struct post_box *create(struct hub *hub)
{
    struct post_box *box = calloc(1, sizeof *box);

    if (!box)
        return NULL;
    if (post_make_sure(hub) < 0) {
        int saved = errno;
        free(box);
        errno = saved;
        return NULL;
    }
    pthread_mutex_init(&box->lock, NULL);
    box->last = &box->first;
    ev_async_init(&box->async, on_posts);
    ev_async_start(hub->loop, &box->async);
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
    ev_async_send(hub->loop, &box->async);
    pthread_mutex_unlock(&box->lock);
}

void post_finish(struct hub *hub)
{
    struct post_box *box = hub->posts;

    if (!box)
        return;
    assert(hub->expected == 0);
    ev_async_stop(hub->loop, &box->async);
    pthread_mutex_destroy(&box->lock);
    free(box);
    hub->posts = NULL;
}

void post_forget(struct hub *hub)
{
    free(hub->posts); /* its lock may be held by a thread that does not exist here */
    hub->posts = NULL;
    hub->has_wakeup = false;
    hub->expected = 0;
}
