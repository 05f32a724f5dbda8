"""Probes servers side by side: ./dev probes [--verbose] [--only TEXT] [SERVER...]

Prints how many probes each server fails, in all and by category; with --verbose also
which, by what clause, and what came. --only takes the probes whose names contain TEXT.
"""

import argparse
import collections
import concurrent.futures
import sys

import servers
from probes import PROBES
from wire import talk

PATIENCE = 2.0  # seconds of silence after which a server waits for more
AT_ONCE = 16


def judge(probe, address, patience):
    """What is wrong, or None; and what came."""
    try:
        outcome = talk(address, probe.steps, probe.methods, patience)
    except OSError as error:
        return f"no conversation: {error}", None
    return probe.judge(outcome), outcome


def judge_all(probes, address, patience=PATIENCE, at_once=AT_ONCE):
    """Failures in the order of the probes: (probe, what is wrong, what came)."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        results = pool.map(lambda probe: (probe, *judge(probe, address, patience)), probes)
        return [result for result in results if result[1]]


def print_failures(failures):
    for probe, wrong, outcome in failures:
        print(f"  {probe.category}/{probe.name}  [{probe.clause}]\n"
              f"      {wrong}\n      came: {outcome}")


def print_table(rows, probes):
    total = collections.Counter(probe.category for probe in probes)
    categories = list(total)
    print(f"\n{'failed':24}" + "".join(f"{name:>10}" for name, _, _ in rows) + f"{'of':>8}")
    for category in categories:
        counts = [sum(probe.category == category for probe, _, _ in failures)
                  for _, _, failures in rows]
        print(f"{category:24}" + "".join(f"{count:10}" for count in counts)
              + f"{total[category]:8}")
    print(f"{'all':24}" + "".join(f"{len(failures):10}" for _, _, failures in rows)
          + f"{len(probes):8}")
    for name, version, _ in rows:
        print(f"  {name} {version}")


def probe_server(name, probes, verbose):
    with servers.Server(name) as server:
        failures = judge_all(probes, server.address)
        if not server.is_running():
            print(f"probes: {name} has ended", file=sys.stderr)
        print(f"{name} {server.version}: {len(failures)} of {len(probes)} failed", flush=True)
        if verbose:
            print_failures(failures)
        return name, server.version, failures


def main():
    parser = argparse.ArgumentParser(prog="./dev probes")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("server", nargs="*", metavar="SERVER", help=", ".join(servers.SERVERS))
    options = parser.parse_args()
    for name in options.server:
        if name not in servers.SERVERS:
            parser.error(f"{name} is none of {', '.join(servers.SERVERS)}")
    probes = [probe for probe in PROBES if options.only in f"{probe.category}/{probe.name}"]
    rows = []
    for name in options.server or servers.SERVERS:
        try:
            rows.append(probe_server(name, probes, options.verbose))
        except servers.Absent as absent:
            print(f"probes: {name} is left out: {absent}", file=sys.stderr)
    if rows:
        print_table(rows, probes)
    return 1 if any(name == "cress" and failures for name, _, failures in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
