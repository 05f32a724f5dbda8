#!/usr/bin/env python3
"""Clients that are slow on purpose, by slowhttptest, against cress at its defaults: does it go
on serving others meanwhile?

    bench/slow.py                                   every attack, by 1000 and 4000 connections
    bench/slow.py headers --connections 2000 --seconds 30

The attacks:

    headers     heads that never end
    body        bodies that hardly come, to an app that reads them
    unread      the same to an app that does not read them
    range       heads with a great many ranges
    read        downloads of a file, read a few bytes at a time
    read-app    the same of what an app writes

Available: slowhttptest's own probe got an answer within five seconds each time, and so did ours,
which asks on a new connection once a second. Ends with status 1 otherwise. Needs slowhttptest
(Debian: package slowhttptest).
"""

import argparse
import collections
import csv
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

import large
import process
import table

FILE_SIZE = 8 << 20
PATIENCE = 5.0  # seconds, slowhttptest's
READ = ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"]

# The app (None: files are served), what slowhttptest asks for and how, and what our probe asks for.
Attack = collections.namedtuple("Attack", "app path options probe")
ATTACKS = {
    "headers": Attack("apps/hello.so", "/", ["-H"], "/"),
    "body": Attack("apps/upload.so", "/", ["-B", "-s", "8192"], "/"),
    "unread": Attack("apps/hello.so", "/", ["-B", "-s", "8192"], "/"),
    "range": Attack(None, "/large", ["-R"], "/small"),
    "read": Attack(None, "/large", READ, "/small"),
    "read-app": Attack("tests/server/modules/handlers.so", "/flood?count=128", READ, "/"),
}


class Probe(threading.Thread):
    """Asks once a second, on a connection of its own each time, until told to end."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.server, self.path = server, path
        self.spans, self.failures = [], 0
        self.ended = threading.Event()

    def ask(self):
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(f"GET {self.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := sock.recv(65536):
                answer += data
        return answer.startswith(b"HTTP/1.1 ")

    def run(self):
        while not self.ended.is_set():
            start = time.monotonic()
            try:
                answered = self.ask()
            except OSError:
                answered = False
            span = time.monotonic() - start
            self.spans.append(span)
            self.failures += not answered or span > PATIENCE
            self.ended.wait(max(0, 1 - span))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def read_report(path):
    """(seconds without service, most connections at a time, how many the server closed)"""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return (sum(row["Service Available"] == "0" for row in rows),
            max(int(row["Connected"]) for row in rows), int(rows[-1]["Closed"]))


def attack(args, name, connections, folder):
    kind = ATTACKS[name]
    what = args.build / kind.app if kind.app else f"--static=/={folder}"
    server = large.Server(args.build, what)
    prefix = str(folder / "report")
    command = [args.slowhttptest, *kind.options, "-c", str(connections), "-r", str(args.rate),
               "-l", str(args.seconds), "-p", str(int(PATIENCE)), "-g", "-o", prefix,
               "-u", f"http://127.0.0.1:{server.port}{kind.path}"]
    with large.Watch(server) as watch, Probe(server, kind.probe) as probe:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=args.seconds + 120)
    server.stop()
    if not pathlib.Path(prefix + ".csv").exists():
        sys.exit(f"slowhttptest: {done.stdout.decode(errors='replace')}")
    without, most, closed = read_report(prefix + ".csv")
    available = without == 0 and probe.failures == 0
    return available, [name, f"{connections:,}", "yes" if available else f"not for {without} s",
                       f"{probe.failures} of {len(probe.spans)}", f"{max(probe.spans) * 1000:.0f}",
                       f"{most:,}", f"{closed:,}", f"{watch.growth():.1f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="all")
    parser.add_argument("--build", type=pathlib.Path, default=large.SOURCE / "build" / "release")
    parser.add_argument("--connections", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--rate", type=int, default=500, help="connections per second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--slowhttptest", default="slowhttptest", help="the program")
    args = parser.parse_args()
    unknown = set(args.attacks) - set(ATTACKS)
    if unknown:
        parser.error(f"no such attack: {' '.join(unknown)}")
    if not shutil.which(args.slowhttptest):
        sys.exit("there is no slowhttptest: see --help")
    process.raise_descriptor_limit()
    rows = [["attack", "connections", "available", "probes lost", "slowest, ms", "most connected",
             "closed", "memory, MiB"]]
    results = []
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root)
        with open(folder / "large", "wb") as file:
            file.truncate(FILE_SIZE)
        (folder / "small").write_text("small\n")
        for name in args.attacks or ATTACKS:
            for connections in args.connections:
                print(f"{name}, {connections} connections", file=sys.stderr, flush=True)
                available, row = attack(args, name, connections, folder)
                results.append(available)
                rows.append(row)
    table.show(rows)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
