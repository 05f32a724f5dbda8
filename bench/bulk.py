"""Large bodies, one after the other on one connection: bytes per CPU second of the server.

The client costs next to nothing: it has the kernel drop what arrives (MSG_TRUNC), so the
server is what is busy.
"""

import socket
import time

import client
from meter import Meter

PIECE = 1 << 20


class BulkError(Exception):
    pass


def _download(connection, port, scenario):
    connection.sendall(scenario.request(port))
    head, rest = client.read_head(connection)
    chunked = client.field(head, b"content-length") is None
    if chunked or int(client.field(head, b"content-length")) != scenario.size:
        raise BulkError(f"not {scenario.size} bytes: {head!r}")
    left = scenario.size - len(rest)
    buffer = bytearray(4 * PIECE)
    while left > 0:
        got = connection.recv_into(buffer, min(left, len(buffer)), socket.MSG_TRUNC)
        if not got:
            raise BulkError(f"the server left with {left} bytes to come")
        left -= got


def _upload(connection, port, scenario):
    connection.sendall(scenario.request(port))
    piece = bytes(PIECE)
    for _ in range(scenario.size // PIECE):
        connection.sendall(piece)
    _, body, _ = client.read_response(connection)
    if body.strip() != str(scenario.size).encode():
        raise BulkError(f"the server counted {body!r}, not {scenario.size}")


def _measure(server, scenario, seconds, transfer):
    with client.connect(server.port, timeout=60.0) as connection:
        transfer(connection, server.port, scenario)  # what is needed once
        server.settle(quiet=0.1)
        meter, own = Meter(server), time.process_time_ns()
        start, count = time.monotonic(), 0
        while time.monotonic() < start + seconds or count == 0:
            transfer(connection, server.port, scenario)
            count += 1
        span = time.monotonic() - start
        cpu, shares = meter.stop(time.process_time_ns() - own)
    size = count * scenario.size
    return {"mb_per_second": size / span / 1e6, "mb_per_cpu_second": size / cpu * 1e3,
            "errors": {}, **shares}


def download(bench, server, scenario, seconds):
    return _measure(server, scenario, seconds, _download)


def upload(bench, server, scenario, seconds):
    return _measure(server, scenario, seconds, _upload)
