"""Resident memory of the server for each connection that it holds.

The clients' sockets live in this process, so their memory is not the server's; what
the kernel holds for the server's sockets is not in Rss either, and is about the
same for every server.
"""

import client
import servers
import setting
import table
from scenarios import SCENARIOS

WARM = 64  # connections that are made, used and closed before the first reading
KEYS = ("base", "idle", "idle_after_peak", "parked")
IDLE, PARKED = SCENARIOS["A"], SCENARIOS["J"]


class HoldError(Exception):
    pass


def _warm(server):
    connections = [client.connect(server.port) for _ in range(WARM)]
    for connection in connections:
        client.ask(connection, IDLE.request(server.port))
    client.close_all(connections)
    server.settle()


def _check_held(server, connections):
    """What was measured must be what is claimed: all open, and none with an answer."""
    held = server.sockets()
    if held < len(connections):
        raise HoldError(f"{server.name} holds {held} sockets, not {len(connections)}")
    readable = client.count_readable(connections)
    if readable:
        raise HoldError(f"{server.name} answered or closed {readable} connections meanwhile")


def _per_connection(server, base, connections):
    server.settle()
    _check_held(server, connections)
    return (server.resident_bytes() - base) / len(connections)


def measure_idle(bench, name, count):
    """Bytes per idle keep-alive connection: each has been used once, one after the other; then
    again after all have asked at the same moment, which shows what a peak leaves behind."""
    connections = []
    try:
        with servers.Server(bench, name, IDLE) as server:
            request = IDLE.request(server.port)
            _warm(server)
            base = server.resident_bytes()
            for _ in range(count):
                connections.append(client.connect(server.port))
                client.ask(connections[-1], request)
            idle = _per_connection(server, base, connections)
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                client.read_greetings(connection)
            return {"base": base, "idle": idle,
                    "idle_after_peak": _per_connection(server, base, connections)}
    finally:
        client.close_all(connections)


def measure_parked(bench, name, count):
    """Bytes per parked long poll: nothing happens, so all of them wait."""
    connections = []
    try:
        with servers.Server(bench, name, PARKED) as server:
            server.settle()
            base = server.resident_bytes()
            for _ in range(count):
                connections.append(client.connect(server.port, timeout=60.0))
                connections[-1].sendall(client.request_text(server.port, PARKED.path + "0"))
            return {"parked": _per_connection(server, base, connections)}
    finally:
        client.close_all(connections)


def _measure(bench, name, count):
    """What could be measured, with the reason why something could not."""
    result = {}
    for what, measure in (("idle", measure_idle), ("parked", measure_parked)):
        try:
            result.update(measure(bench, name, count))
        except (setting.Absent, HoldError, servers.ServerError, client.ClientError) as error:
            print(f"left out: {name}, {what}: {error}", flush=True)
    return result


def run(bench, names, count):
    print(f"\nresident bytes of the server per connection, {count:,} connections", flush=True)
    results = {name: _measure(bench, name, count) for name in names}
    rows = [["", "before", "idle", "idle, after all asked at once", "parked long poll"]]
    for name, result in results.items():
        if result:
            rows.append([name, *(f"{result[key]:,.0f}" if key in result else "" for key in KEYS)])
    table.show(rows)
    return results
