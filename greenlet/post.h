/* Posting to a hub from another thread.
 *
 * Whoever hands work to a thread announces in the hub that one post will come back;
 * until it has, the hub waits for it: it neither ends nor takes itself for stuck,
 * and a poster never finds it gone.
 */
#ifndef CRESS_POST_H
#define CRESS_POST_H

struct hub;
struct task;

/* In the hub's thread: one post will come. -1: ENOMEM; EMFILE, ENFILE. */
int hub_expect(struct hub *hub);
/* In the hub's thread: it will not come after all. */
void hub_unexpect(struct hub *hub);
/* From any thread: the announced post. The hub calls task->run(task) in its own context,
 * in its turn; the task is the poster's until then. Posts arrive in order. */
void hub_post(struct hub *hub, struct task *task);

void post_finish(struct hub *hub);
/* In a forked child, before the old loop goes: nobody is left to post. */
void post_forget(struct hub *hub);

#endif
