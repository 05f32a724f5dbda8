/* A peer's address as text, when somebody asks. inet_ntop goes through sprintf, which is a
 * tenth of what a request costs; an access log asks for each. */
#include <cress/http1.h>

#include "text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

void cress_http1_peer_set(cress_http1_peer *peer, const struct sockaddr *address)
{
    *peer = (cress_http1_peer){ .family = CRESS_HTTP1_PEER_NONE };
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        peer->family = CRESS_HTTP1_PEER_IPV4;
        peer->port = ntohs(in->sin_port);
        memcpy(peer->address, &in->sin_addr, sizeof in->sin_addr);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        peer->family = CRESS_HTTP1_PEER_IPV6;
        peer->port = ntohs(in6->sin6_port);
        memcpy(peer->address, &in6->sin6_addr, sizeof in6->sin6_addr);
    }
}

static size_t put_ipv4(char *to, const uint8_t bytes[4])
{
    char *at = to;

    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        at = text_put_u64(at, bytes[i]);
    }
    *at = '\0';
    return (size_t)(at - to);
}

cress_str cress_http1_peer_text(const cress_http1_peer *peer, char buf[CRESS_HTTP1_PEER_TEXT])
{
    _Static_assert(CRESS_HTTP1_PEER_TEXT >= INET6_ADDRSTRLEN, "there is room for any address");
    size_t len = 0;

    buf[0] = '\0';
    if (peer->family == CRESS_HTTP1_PEER_IPV4)
        len = put_ipv4(buf, peer->address);
    else if (peer->family == CRESS_HTTP1_PEER_IPV6 &&
             inet_ntop(AF_INET6, peer->address, buf, CRESS_HTTP1_PEER_TEXT))
        len = strlen(buf);
    return (cress_str){ buf, len };
}
