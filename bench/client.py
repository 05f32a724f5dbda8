"""A small blocking HTTP client over raw sockets, for loads whose exact number of
requests and packets matters."""

import functools
import select
import socket
import ssl

GREETING = b"hello, world\n"


class ClientError(Exception):
    pass


def request_text(port, path="/", fields="", method="GET"):
    """What all clients here send; `fields` are further header lines."""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{fields}\r\n".encode()


@functools.cache
def _tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def connect(port, timeout=10.0, tls=False):
    connection = socket.create_connection(("127.0.0.1", port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _tls_context().wrap_socket(connection) if tls else connection


def _receive(connection, buffered):
    data = connection.recv(65536)
    if not data:
        raise ClientError(f"the server closed the connection after {buffered!r}")
    return buffered + data


def field(head, name):
    """A header field's value, or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


def read_head(connection, data=b""):
    """(the head, with its status 2xx; what has come behind it)"""
    while b"\r\n\r\n" not in data:
        data = _receive(connection, data)
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 2"):
        raise ClientError(f"not a success: {head!r}")
    return head, rest


def read_response(connection, data=b""):
    """(head, body as it was sent, what has come behind it)"""
    head, data = read_head(connection, data)
    if (field(head, b"transfer-encoding") or b"").lower() == b"chunked":
        while b"0\r\n\r\n" not in data:
            data = _receive(connection, data)
        size = data.index(b"0\r\n\r\n") + 5
    else:
        size = int(field(head, b"content-length") or 0)
    while len(data) < size:
        data = _receive(connection, data)
    return head, data[:size], data[size:]


def read_greetings(connection, count=1):
    data = b""
    for _ in range(count):
        head, body, data = read_response(connection, data)
        if GREETING not in body:
            raise ClientError(f"not the greeting: {head + body!r}")
    if data:
        raise ClientError(f"bytes after the last response: {data!r}")


def ask(connection, request, pipelined=1):
    """Sends requests in one packet and reads their responses."""
    connection.sendall(request * pipelined)
    read_greetings(connection, pipelined)


def response_size(port, request, tls=False):
    """The bytes of the answer, all with its head."""
    with connect(port, tls=tls) as connection:
        connection.sendall(request)
        head, body, _ = read_response(connection)
        return len(head) + len(b"\r\n\r\n") + len(body)


def count_readable(connections):
    """How many have something to read, or their end."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


def close_all(connections):
    for connection in connections:
        connection.close()
