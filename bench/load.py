"""HTTP loads by wrk: requests per second and CPU time per request of each server,
measured in turn, round by round."""

import os
import statistics
import subprocess
import time

import servers
import table
from process import on_core

WARM_UP = 1  # seconds, before each measurement

#       title, connections, arguments of wrk.lua
LOADS = {
    "A": ("keep-alive, 64 connections", 64, []),
    "B": ("keep-alive, 1,000 connections", 1000, []),
    "C": ("pipelined by 16, 64 connections", 64, ["pipeline", "16"]),
    "D": ("connection per request, 64 at a time", 64, ["close"]),
}


class LoadError(Exception):
    pass


def run_wrk(bench, server, load, seconds):
    """wrk's figures, by the names that wrk.lua prints."""
    _, connections, arguments = LOADS[load]
    command = on_core(bench.client_core, [
        bench.tool("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s",
        "-s", os.path.join(servers.HERE, "wrk.lua"), f"http://127.0.0.1:{server.port}/", "--",
        *arguments])
    # Killed, by subprocess, when it overstays or the driver is interrupted.
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=seconds + 30, start_new_session=True)
    lines = [line.partition("=") for line in run.stdout.splitlines()]
    figures = {name: float(value) for name, sign, value in lines if sign and name.islower()}
    if run.returncode != 0 or not figures.get("requests"):
        raise LoadError(f"wrk did nothing: {' '.join(command)}\n{run.stdout}{run.stderr}")
    return figures


def measure(bench, name, load, seconds):
    """One server under one load: started, warmed up, measured, stopped."""
    with servers.Server(bench, name, close=load == "D") as server:
        run_wrk(bench, server, load, WARM_UP)
        server.settle(quiet=0.1)
        before, idle_before = server.cpu_ns(), time.monotonic()
        figures = run_wrk(bench, server, load, seconds)
        cpu, span = server.cpu_ns() - before, time.monotonic() - idle_before
    errors = {n[len("error_"):]: int(v) for n, v in figures.items() if n.startswith("error_") and v}
    return {
        "requests_per_second": figures["requests"] / figures["microseconds"] * 1e6,
        "cpu_us_per_request": cpu / figures["requests"] / 1e3,
        "core_busy": cpu / span / 1e9,
        "latency_p50_us": figures["latency_p50"],
        "latency_p99_us": figures["latency_p99"],
        "errors": errors,
    }


def _show(load, name, result):
    errors = "".join(f"  {n} errors: {count}" for n, count in result["errors"].items())
    print(f"  {load} {name:6} {result['requests_per_second']:10,.0f} requests/s "
          f"{result['cpu_us_per_request']:7.2f} us/request  core {result['core_busy']:4.0%}{errors}",
          flush=True)


def run_rounds(bench, loads, names, rounds, seconds):
    """{load: {server: [result of round 1, ...]}}"""
    results = {load: {name: [] for name in names} for load in loads}
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", flush=True)
        for load in bench.random.sample(loads, len(loads)):
            # All servers of one load stand side by side: what else the machine does
            # at that time, it does to all of them.
            for name in bench.random.sample(names, len(names)):
                result = measure(bench, name, load, seconds)
                results[load][name].append(result)
                _show(load, name, result)
    return results


def _ratios(of, to):
    """CPU time per request, of one server to another, in the same rounds."""
    return [a["cpu_us_per_request"] / b["cpu_us_per_request"] for a, b in zip(of, to)]


def _ratio_cell(results, name, peer):
    if peer not in results or name == peer:
        return ""
    ratios = _ratios(results[name], results[peer])
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"


def _median(results, key):
    return statistics.median(result[key] for result in results)


def print_medians(results):
    """A table for each load: medians, and ratios of CPU per request with their spread."""
    for load, by_server in results.items():
        rows = [["", "requests/s", "CPU us/request", "p99 us", "CPU: of nginx's", "of limit's"]]
        for name, rounds in by_server.items():
            rows.append([name, f"{_median(rounds, 'requests_per_second'):,.0f}",
                         f"{_median(rounds, 'cpu_us_per_request'):.2f}",
                         f"{_median(rounds, 'latency_p99_us'):,.0f}",
                         _ratio_cell(by_server, name, "nginx"),
                         _ratio_cell(by_server, name, "limit")])
        print(f"\n{load}: {LOADS[load][0]}")
        table.show(rows)


def ratio_summary(results):
    """For the JSON file: the ratios round by round."""
    return {load: {f"{name}/{peer}": _ratios(by_server[name], by_server[peer])
                   for name in by_server for peer in ("nginx", "limit")
                   if peer in by_server and name != peer}
            for load, by_server in results.items()}


def count_errors(results):
    return sum(count for by_server in results.values() for rounds in by_server.values()
               for result in rounds for count in result["errors"].values())
