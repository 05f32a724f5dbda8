"""Resident memory: of a server for each connection that it holds, of a process for each greenlet
that waits; and the kernel's share.

The clients' sockets live in this process, so their memory is not the server's; what
the kernel holds for the server's sockets is not in Rss either, and is the same for every server.
"""

import re
import subprocess

import client
import kernel
import process
import servers
import setting
import table
from scenarios import SCENARIOS

WARM = 64  # connections that are made, used and closed before the first reading
COLUMNS = {"base": "KiB before", "idle": "idle", "idle_after_peak": "idle, after all asked at once",
           "tls": "idle, TLS 1.3", "parked": "parked long poll"}
IDLE, IDLE_TLS, PARKED = SCENARIOS["A"], SCENARIOS["G"], SCENARIOS["J"]
WAITS = ("event", "queue", "sleep")


class HoldError(Exception):
    pass


def _warm(server, scenario):
    connections = [client.connect(server.port, tls=scenario.tls) for _ in range(WARM)]
    for connection in connections:
        client.ask(connection, scenario.request(server.port))
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


def _ask_in_turn(server, scenario, count, connections):
    request = scenario.request(server.port)
    for _ in range(count):
        connections.append(client.connect(server.port, tls=scenario.tls))
        client.ask(connections[-1], request)


def _ask_at_once(server, scenario, connections):
    request = scenario.request(server.port)
    for connection in connections:
        connection.sendall(request)
    for connection in connections:
        client.read_greetings(connection)


def _measure_used(bench, name, scenario, count, at_once):
    """Bytes per idle keep-alive connection: each has been used once, one after the other; then, if
    at_once, again after all have asked at the same moment, which shows what a peak leaves behind."""
    connections = []
    try:
        with servers.Server(bench, name, scenario) as server:
            _warm(server, scenario)
            base = server.resident_bytes()
            _ask_in_turn(server, scenario, count, connections)
            result = {"base": base, "idle": _per_connection(server, base, connections)}
            if at_once:
                _ask_at_once(server, scenario, connections)
                result["idle_after_peak"] = _per_connection(server, base, connections)
            return result
    finally:
        client.close_all(connections)


def measure_idle(bench, name, count):
    return _measure_used(bench, name, IDLE, count, at_once=True)


def measure_tls(bench, name, count):
    """The same over TLS 1.3, each with a full handshake."""
    return {"tls": _measure_used(bench, name, IDLE_TLS, count, at_once=False)["idle"]}


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
    for what, measure in (("idle", measure_idle), ("TLS", measure_tls), ("parked", measure_parked)):
        try:
            result.update(measure(bench, name, count))
        except (setting.Absent, HoldError, servers.ServerError, client.ClientError) as error:
            print(f"left out: {name}, {what}: {error}", flush=True)
    return result


def _cell(result, key):
    if key not in result:
        return ""
    return f"{result[key] / (1024 if key == 'base' else 1):,.0f}"


def _show_servers(results):
    rows = [["", *COLUMNS.values()]]
    for name, result in results.items():
        if result:
            rows.append([name, *(_cell(result, key) for key in COLUMNS)])
    table.show(table.without_empty_columns(rows))


# ---- greenlets ------------------------------------------------------------------------------------


def _measure_wait(bench, wait, count):
    """{"resident": bytes of each, "page tables": the same}"""
    command = [bench.file("bench/sleepers"), "--on", wait, str(count)]
    done = subprocess.run(process.on_core(bench.server_core, command), text=True, check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=600)
    return {what: int(each) for what, each in
            re.findall(r"^(resident|page tables) +(\d+) bytes each", done.stdout, re.MULTILINE)}


def measure_waits(bench, count):
    """{what a greenlet waits on: its bytes}"""
    return {wait: _measure_wait(bench, wait, count) for wait in WAITS}


def _show_waits(waits):
    table.show([["a greenlet that waits on", "resident", "its page tables"],
                *([wait, f"{bytes['resident']:,}", f"{bytes['page tables']:,}"]
                  for wait, bytes in waits.items())])


# ---- the kernel -----------------------------------------------------------------------------------


def measure_kernel(bench, count):
    """{} where the kernel does not tell."""
    try:
        return kernel.measure(min(count, bench.descriptors // 2 - 100))
    except kernel.KernelError as error:
        print(f"left out: the kernel's share: {error}", flush=True)
        return {}


def _show_kernel(share):
    if share:
        table.show([["the kernel, for a connection", "bytes"],
                    ["its socket", f"{share['end']:,.0f}"],
                    ["its registration with epoll", f"{share['watch']:,.0f}"]])


def run(bench, names, count):
    print(f"\nresident bytes of the server per connection, {count:,} connections", flush=True)
    results = {"servers": {name: _measure(bench, name, count) for name in names}}
    _show_servers(results["servers"])
    print(f"\nbytes per greenlet, {count:,} greenlets", flush=True)
    results["waits"] = measure_waits(bench, count)
    _show_waits(results["waits"])
    print("\nbytes of the kernel per connection", flush=True)
    results["kernel"] = measure_kernel(bench, count)
    _show_kernel(results["kernel"])
    return results
