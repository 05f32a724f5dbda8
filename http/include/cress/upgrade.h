/* <cress/upgrade.h>: the connection for another protocol (RFC 9110 7.8).
 *
 *     cress_stream *stream;
 *
 *     if (!cress_upgrade_offered(env, "websocket"))
 *         return cress_respond(res, 426, ...);
 *     if (cress_upgrade(res, "websocket", headers, &stream) < 0)
 *         return -1;
 *     ... cress_stream_read(stream, ...), cress_stream_writev(stream, ...)
 *     return 0;
 *
 * The connection ends when the handler returns. Until then the server's limit on a request
 * does not count; a client that does not read is cut off after the server's write_timeout
 * (ETIMEDOUT) as ever; limits on its silence are the app's to open. A client that leaves cancels
 * the handler's waits; after cress_response_ignore_gone it does not, and one that only sends no
 * more (a half-closed connection) can still be written to.
 *
 * When the server is to stop, a read that would have to wait returns 0, as if the client had ended
 * its side: the handler can still take its leave, and is cancelled after the server's
 * graceful_timeout.
 */
#ifndef CRESS_UPGRADE_H
#define CRESS_UPGRADE_H

#include <cress/response.h>
#include <cress/stream.h>

/* Does the client offer this protocol, in a way that it can be taken up: Upgrade names it,
 * Connection names Upgrade, and the request is not HTTP/1.0? In any case; a version is
 * part of the name ("foo/2"). */
CRESS_API bool cress_upgrade_offered(const cress_environ *env, const char *protocol);

/* [waits] Answers 101 with Upgrade, Connection and these fields (NULL: no others), and hands over
 * the connection. What the client has sent behind its request is read first. The stream is
 * valid until the handler returns; one greenlet may read while another writes. What is
 * left of the request's body is dropped first, as much as the server would drop itself.
 * EPROTONOSUPPORT: it was not offered; EALREADY: the response has begun; EMSGSIZE: too much
 * body; errors of start_response, of reading the body, and of writing. */
CRESS_API int cress_upgrade(cress_response *res, const char *protocol, const cress_header headers[],
                            cress_stream **ret_stream);

#endif
