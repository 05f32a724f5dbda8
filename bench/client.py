"""A small blocking HTTP client over raw sockets, for loads whose exact number of
requests and packets matters."""

import select
import socket

GREETING = b"hello, world\n"


class ClientError(Exception):
    pass


def request_text(port, path="/"):
    """The bytes that wrk sends too."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def connect(port, timeout=10.0):
    connection = socket.create_connection(("127.0.0.1", port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _receive(connection, buffered):
    data = connection.recv(65536)
    if not data:
        raise ClientError(f"the server closed the connection after {buffered!r}")
    return buffered + data


def _body_size(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ClientError(f"a response without a Content-Length: {head!r}")


def read_responses(connection, count=1):
    """Reads `count` responses; all must be the greeting with status 200."""
    data = b""
    for _ in range(count):
        while b"\r\n\r\n" not in data:
            data = _receive(connection, data)
        head, _, data = data.partition(b"\r\n\r\n")
        size = _body_size(head)
        while len(data) < size:
            data = _receive(connection, data)
        if not head.startswith(b"HTTP/1.1 200 ") or data[:size] != GREETING:
            raise ClientError(f"not the greeting: {head + data[:size]!r}")
        data = data[size:]
    if data:
        raise ClientError(f"bytes after the last response: {data!r}")


def ask(connection, port, pipelined=1):
    """Sends requests in one packet and reads their responses."""
    connection.sendall(request_text(port) * pipelined)
    read_responses(connection, pipelined)


def count_readable(connections):
    """How many have something to read, or their end."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


def close_all(connections):
    for connection in connections:
        connection.close()
