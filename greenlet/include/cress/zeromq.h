/* <cress/zeromq.h>: ZeroMQ sockets whose calls let other greenlets run. Optional: the
 * library cress_zmq, built where libzmq is.
 *
 * Sockets are libzmq's own, made, bound and set up by its own calls; those that would block
 * the thread have a namesake here that waits through the hub. What they return, and the
 * errno, is what libzmq says (zmq_send(3) ...), beside this library's ECANCELED and ETIMEDOUT.
 * EAGAIN: with ZMQ_DONTWAIT, or after the socket's own ZMQ_SNDTIMEO or ZMQ_RCVTIMEO. ETERM:
 * the context has been shut down. Never EINTR: what a signal interrupts is tried again.
 *
 * Several greenlets may use one socket (of one thread): one sends while another receives,
 * or many wait for messages and get them in turn. While any of them waits, the socket is
 * not to be touched by libzmq's own send, receive and getsockopt(ZMQ_EVENTS), which would
 * take the notice that the waiting one needs, nor by zmq_close. All parts of a message are sent, or
 * received, without letting others run in between.
 *
 * libzmq's own threads keep real time: under a virtual clock a limit may pass before
 * they have had a chance to deliver anything.
 *
 * gevent: zmq.green, of pyzmq.
 */
#ifndef CRESS_ZEROMQ_H
#define CRESS_ZEROMQ_H

#include <cress/api.h>

#include <zmq.h>

/* All of these: [waits], unless flags has ZMQ_DONTWAIT. */
CRESS_API int cress_zmq_send(void *socket, const void *data, size_t len, int flags);
CRESS_API int cress_zmq_recv(void *socket, void *buf, size_t len, int flags);
CRESS_API int cress_zmq_msg_send(zmq_msg_t *message, void *socket, int flags);
CRESS_API int cress_zmq_msg_recv(zmq_msg_t *message, void *socket, int flags);

/* [waits] zmq_poll for sockets, the timeout in seconds: how many of the items have something
 * in revents, 0 when none had in time. Takes nothing: with other greenlets on the same
 * sockets use ZMQ_DONTWAIT afterwards. Items without a socket: EINVAL; plain descriptors
 * are for cress_poll. ENOMEM, with more than 16 items. */
CRESS_API int cress_zmq_poll(zmq_pollitem_t items[], int count, cress_seconds timeout);

/* zmq_close, after waking who waits on the socket with ENOTSOCK. linger: how many seconds what
 * was not sent yet is kept for, in the background (ZMQ_LINGER); negative: as the socket was
 * set up. Does not wait. */
CRESS_API int cress_zmq_close(void *socket, cress_seconds linger);
/* [waits] zmq_ctx_term: calls on the context's sockets fail with ETERM, waiting ones at
 * once; returns when all are closed, and what lingers has left. It is made by another
 * thread; when the caller is killed, or its limit passes, it goes on there. */
CRESS_API int cress_zmq_ctx_term(void *context);

#endif
