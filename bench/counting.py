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
import peers
import servers
import setting
import table
from scenarios import SCENARIOS

BATCH = 16
RECEIVE = {"read", "readv", "recvfrom", "recvmsg", "recvmmsg"}
SEND = {"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile"}
INSTRUCTIONS = ("A", "C", "E")  # the scenarios whose instructions are counted
CONNECTIONS, FEW, MANY = 64, 10, 50  # requests, or batches, on each connection


class CountError(Exception):
    pass


def _difference(more, less, by):
    """{name: count} of one of `by` requests."""
    names = set(more) | set(less)
    differences = {name: (more.get(name, 0) - less.get(name, 0)) / by for name in names}
    return {name: value for name, value in sorted(differences.items()) if value}


def _for_each(names, count):
    """{name: count(name)} of those that can be counted."""
    results = {}
    for name in names:
        try:
            results[name] = count(name)
        except (setting.Absent, CountError, servers.ServerError, client.ClientError) as error:
            print(f"left out: {name}: {error}", flush=True)
    return results


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
    with servers.Server(bench, name, SCENARIOS["A"], wrapper=strace) as server:
        request = SCENARIOS["A"].request(server.port)
        with client.connect(server.port) as connection:
            for _ in range(requests):
                client.ask(connection, request)
            for _ in range(batches):
                client.ask(connection, request, pipelined=BATCH)
        # The traced server is strace's child; strace ends with it and writes its table.
        server.stop(first=server.tree()[1])
    return _parse_strace(path)


def count_calls(bench, name, requests):
    """{"request": {call: count}, "batch": the same}"""
    base = _count_calls(bench, name, 10, 10)
    return {"request": _difference(_count_calls(bench, name, 10 + requests, 10), base, requests),
            "batch": _difference(_count_calls(bench, name, 10, 10 + requests), base, requests)}


def _sum(counts, names):
    return sum(count for name, count in counts.items() if name in names)


def _others(counts):
    return ", ".join(f"{name} {count:.2f}" for name, count in counts.items()
                     if name not in RECEIVE | SEND and count >= 0.05)


def run_syscalls(bench, names, requests):
    """Prints and returns system calls per request and per batch."""
    print(f"\nsystem calls, one connection, by strace -c -f over {requests:,} requests and as many "
          f"batches of {BATCH}", flush=True)
    results = _for_each(names, lambda name: count_calls(bench, name, requests))
    rows = [["", "receives", "sends", "others"]]
    for name, result in results.items():
        for what, counts in (("request", result["request"]), (f"batch of {BATCH}", result["batch"])):
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

def _count_all(bench, name, scenario, rounds):
    """User-space instructions of a server that answers `rounds` requests, or batches, on each of
    its connections; all of them ask at once, as wrk's do."""
    out = os.path.join(bench.directory, f"{name}.callgrind")
    for old in glob.glob(out + ".*"):
        os.unlink(old)
    valgrind = [bench.tool("valgrind", "valgrind"), "--tool=callgrind", "-q",
                f"--callgrind-out-file={out}.%p"]
    with servers.Server(bench, name, scenario, wrapper=valgrind) as server:
        sockets = [client.connect(server.port, timeout=60.0) for _ in range(CONNECTIONS)]
        for _ in range(rounds):
            _ask_stopped(server, sockets, scenario)
        client.close_all(sockets)
        server.stop(patience=60.0)
    return _sum_totals(glob.glob(out + ".*"))


def _ask_stopped(server, sockets, scenario):
    """The server is stopped while the requests go out, so that it meets all of them at once:
    how many it finds ready in one turn does not depend on who is faster."""
    pids = server.tree()
    server.send_signal(pids, signal.SIGSTOP)
    try:
        for s in sockets:
            s.sendall(scenario.request(server.port) * scenario.pipelined)
    finally:
        server.send_signal(pids, signal.SIGCONT)
    for s in sockets:
        client.read_greetings(s, scenario.pipelined)


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


def count_instructions(bench, name, letter):
    """Per request."""
    if not peers.PEERS[name].countable:
        raise setting.Absent("valgrind cannot follow what makes its own code or stacks")
    scenario = SCENARIOS[letter]
    less = _count_all(bench, name, scenario, FEW)
    more = _count_all(bench, name, scenario, MANY)
    return (more - less) / ((MANY - FEW) * CONNECTIONS * scenario.pipelined)


def run_instructions(bench, names):
    print(f"\nuser-space instructions per request, {CONNECTIONS} connections, by callgrind: "
          f"the difference of {MANY} and {FEW} rounds of requests", flush=True)
    results = _for_each(names, lambda name: {
        letter: count_instructions(bench, name, letter) for letter in INSTRUCTIONS})
    table.show([["", *(f"{letter}: {SCENARIOS[letter].title.partition(',')[0]}"
                       for letter in INSTRUCTIONS)],
                *([name, *(f"{count:,.0f}" for count in counts.values())]
                  for name, counts in results.items())])
    return results
