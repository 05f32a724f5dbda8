/* <cress/cress.h>: green threads and WSGI-style HTTP for C, all of it.
 *
 * Each header says what it holds: start with <cress/greenlet.h> for greenlets,
 * <cress/response.h> for applications, <cress/serve.h> for serving them.
 */
#ifndef CRESS_CRESS_H
#define CRESS_CRESS_H

#include <cress/actor.h>
#include <cress/address.h>
#include <cress/async_result.h>
#include <cress/compress.h>
#include <cress/condition.h>
#include <cress/conditional.h>
#include <cress/cookie.h>
#include <cress/datagram_server.h>
#include <cress/dial.h>
#include <cress/dns.h>
#include <cress/environ.h>
#include <cress/escape.h>
#include <cress/event.h>
#include <cress/file.h>
#include <cress/fork.h>
#include <cress/greenlet.h>
#include <cress/hook.h>
#include <cress/hub.h>
#include <cress/imap.h>
#include <cress/io.h>
#include <cress/json.h>
#include <cress/local.h>
#include <cress/middleware.h>
#include <cress/monitor.h>
#include <cress/multipart.h>
#include <cress/negotiate.h>
#include <cress/pipe.h>
#include <cress/pool.h>
#include <cress/queue.h>
#include <cress/range.h>
#include <cress/response.h>
#include <cress/rlock.h>
#include <cress/router.h>
#include <cress/rwlock.h>
#include <cress/semaphore.h>
#include <cress/serve.h>
#include <cress/signal.h>
#include <cress/simulation.h>
#include <cress/static.h>
#include <cress/stream.h>
#include <cress/stream_server.h>
#include <cress/subprocess.h>
#include <cress/threadpool.h>
#include <cress/timeout.h>
#include <cress/tls.h>
#include <cress/upgrade.h>
#include <cress/waitable.h>

#endif
