"""What a request costs, counted exactly: system calls (strace) and user-space
instructions (callgrind).

Each count is the difference of two runs of the same server that differ in the
number of requests alone: start-up, the first request and the end cancel out.
"""

import glob
import os
import re
import signal

import client
import process
import servers
import table

BATCH = 16
RECEIVE = {"read", "readv", "recvfrom", "recvmsg", "recvmmsg"}
SEND = {"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile"}


class CountError(Exception):
    pass


def _difference(more, less, by):
    """{name: count} of one of `by` requests."""
    names = set(more) | set(less)
    differences = {name: (more.get(name, 0) - less.get(name, 0)) / by for name in names}
    return {name: value for name, value in sorted(differences.items()) if value}


# ---- system calls -------------------------------------------------------------------

def _parse_strace(path):
    """The table of strace -c: % time, seconds, usecs/call, calls, [errors], syscall."""
    counts = {}
    with open(path) as summary:
        for line in summary:
            fields = line.split()
            if len(fields) >= 5 and re.fullmatch(r"[0-9.]+", fields[0]) and fields[3].isdigit():
                counts[fields[-1]] = int(fields[3])
    counts.pop("total", None)
    if not counts:
        raise CountError(f"strace wrote no counts to {path}")
    return counts


def _count_calls(bench, name, requests, batches):
    """All calls of a server that answers so many requests on one connection, one after the
    other, and then so many batches."""
    path = os.path.join(bench.directory, f"{name}.strace")
    strace = [bench.tool("strace", "strace"), "-c", "-f", "-o", path]
    with servers.Server(bench, name, wrapper=strace) as server:
        with client.connect(server.port) as connection:
            for _ in range(requests):
                client.ask(connection, server.port)
            for _ in range(batches):
                client.ask(connection, server.port, pipelined=BATCH)
        # The traced server is strace's child; strace ends with it and writes its table.
        server.stop(first=server.tree()[1])
    return _parse_strace(path)


def _sum(counts, names):
    return sum(count for name, count in counts.items() if name in names)


def _others(counts):
    return ", ".join(f"{name} {count:.2f}" for name, count in counts.items()
                     if name not in RECEIVE | SEND)


def run_syscalls(bench, names, requests):
    """Prints and returns system calls per request and per batch."""
    print(f"\nsystem calls, one connection, by strace -c -f over {requests:,} requests and as many "
          f"batches of {BATCH}", flush=True)
    rows = [["", "receives", "sends", "others"]]
    results = {}
    for name in names:
        base = _count_calls(bench, name, 10, 10)
        single = _difference(_count_calls(bench, name, 10 + requests, 10), base, requests)
        batch = _difference(_count_calls(bench, name, 10, 10 + requests), base, requests)
        results[name] = {"request": single, "batch": batch}
        for what, counts in (("request", single), (f"batch of {BATCH}", batch)):
            rows.append([f"{name}, per {what}", f"{_sum(counts, RECEIVE):.2f}",
                         f"{_sum(counts, SEND):.2f}", _others(counts)])
    table.show(rows)
    return results


def one_receive_one_send(result):
    """Is a request one receive and one send, and a batch one send? A hundredth is left for what
    a clock or a signal does meanwhile."""
    return all(abs(_sum(counts, calls) - 1) < 0.01
               for counts in (result["request"], result["batch"]) for calls in (RECEIVE, SEND))


# ---- instructions --------------------------------------------------------------------

def _count_instructions(bench, name, connections, rounds):
    """User-space instructions of a server that answers `rounds` requests on each of so many
    connections; all of them ask at once, as wrk's do."""
    out = os.path.join(bench.directory, f"{name}.callgrind")
    for old in glob.glob(out + ".*"):
        os.unlink(old)
    valgrind = [bench.tool("valgrind", "valgrind"), "--tool=callgrind", "-q",
                f"--callgrind-out-file={out}.%p"]
    with servers.Server(bench, name, wrapper=valgrind) as server:
        sockets = [client.connect(server.port, timeout=60.0) for _ in range(connections)]
        for _ in range(rounds):
            _ask_stopped(server, sockets)
        client.close_all(sockets)
        server.stop(patience=60.0)
    return _sum_totals(glob.glob(out + ".*"))


def _ask_stopped(server, sockets):
    """The server is stopped while the requests go out, so that it meets all of them at once:
    how many it finds ready in one turn does not depend on who is faster."""
    pids = server.tree()
    server.send_signal(pids, signal.SIGSTOP)
    try:
        for s in sockets:
            s.sendall(client.request_text(server.port))
    finally:
        server.send_signal(pids, signal.SIGCONT)
    for s in sockets:
        client.read_responses(s)


def _sum_totals(paths):
    """One file for each process of the server."""
    total = 0
    for path in paths:
        with open(path) as out:
            found = re.search(r"^totals: (\d+)", out.read(), re.MULTILINE)
        if found:
            total += int(found.group(1))
    if not total:
        raise CountError(f"callgrind counted nothing in {paths}")
    return total


def run_instructions(bench, names, connections=64, few=10, many=50):
    print(f"\nuser-space instructions per keep-alive request, {connections} connections, by "
          f"callgrind: {many * connections:,} requests less {few * connections:,}", flush=True)
    rows = [["", "instructions"]]
    results = {}
    for name in names:
        less = _count_instructions(bench, name, connections, few)
        more = _count_instructions(bench, name, connections, many)
        results[name] = (more - less) / ((many - few) * connections)
        rows.append([name, f"{results[name]:,.0f}"])
    table.show(rows)
    return results
