"""A long-poll broadcast: many wait, one event, and how long until the last has its answer.

The client does not read while the clock runs: that its socket has become readable is the moment
when the server's kernel handed over the answer. It also never sleeps then, so that no
server pays for waking it up. All answers are read, and checked, afterwards.
"""

import select
import statistics
import time

import client

REPEATS = 5
PATIENCE = 30.0  # seconds
POST = b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 13\r\n\r\n" + client.GREETING


class BroadcastError(Exception):
    pass


def _park(server, connections, scenario, seen):
    """All ask, and the server has come to rest without an answer."""
    request = client.request_text(server.port, f"{scenario.path}{seen}")
    for connection in connections:
        connection.sendall(request)
    server.settle(limit=60.0)
    answered = client.count_readable(connections)
    if answered:
        raise BroadcastError(f"{server.name} answered {answered} requests that should wait")


def _broadcast(poster, epoll, descriptors):
    """Seconds until all have something to read."""
    waiting = set(descriptors)
    start = time.perf_counter()
    poster.sendall(POST)
    while waiting:
        waiting.difference_update(fd for fd, _ in epoll.poll(0, len(descriptors)))
        if time.perf_counter() > start + PATIENCE:
            raise BroadcastError(f"{len(waiting)} have no answer after {PATIENCE:.0f} s")
    return time.perf_counter() - start


def _repeat(server, scenario, poster, epoll, connections):
    seconds, cpu = [], []
    for seen in range(REPEATS):
        _park(server, connections, scenario, seen)
        before = server.cpu_ns()
        seconds.append(_broadcast(poster, epoll, [c.fileno() for c in connections]))
        client.read_response(poster)
        if any(client.GREETING not in client.read_response(c)[1] for c in connections):
            raise BroadcastError(f"{server.name} sent something else")
        server.settle()
        cpu.append((server.cpu_ns() - before) / len(connections) / 1e3)
    span = statistics.median(seconds)
    return {"milliseconds": span * 1e3, "all_milliseconds": [s * 1e3 for s in seconds],
            "us_per_client": span / len(connections) * 1e6,
            "cpu_us_per_client": statistics.median(cpu), "errors": {}}


def measure(bench, server, scenario, seconds):
    """The median of a few: `seconds` is not used."""
    connections = []
    try:
        with select.epoll(scenario.connections) as epoll, client.connect(server.port) as poster:
            for _ in range(scenario.connections):
                connections.append(client.connect(server.port, timeout=PATIENCE))
                epoll.register(connections[-1], select.EPOLLIN | select.EPOLLET)
            return _repeat(server, scenario, poster, epoll, connections)
    finally:
        client.close_all(connections)
