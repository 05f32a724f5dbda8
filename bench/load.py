"""Requests, as many as a client gets answered: by wrk, or by drive.c where wrk cannot do it."""

import os
import resource
import subprocess
import time

import client
from meter import Meter
from process import on_core
from setting import HERE

WARM_UP = 1  # seconds, before each measurement


class LoadError(Exception):
    pass


def _write_request(server, scenario):
    path = os.path.join(server.directory, "request")
    with open(path, "wb") as file:
        file.write(scenario.request(server.port) * scenario.pipelined)
    return path


def _result(scenario, figures, cpu, shares):
    """The figures of a row, by the names of the clients' `name=value` lines."""
    requests = figures["requests"]
    per_second = requests / figures["microseconds"] * 1e6
    result = {
        "requests_per_second": per_second,
        "cpu_us_per_request": cpu / requests / 1e3,
        **{name: value for name, value in figures.items() if name.startswith("latency_")},
        **shares,
        "errors": {name[len("error_"):]: int(value) for name, value in figures.items()
                   if name.startswith("error_") and value},
    }
    if scenario.size:
        result["mb_per_second"] = per_second * scenario.size / 1e6
        result["mb_per_cpu_second"] = requests * scenario.size / cpu * 1e3
    if scenario.ideal:
        result["of_ideal"] = per_second / scenario.ideal
    return result


def _parse(lines, command, errors=""):
    pairs = [line.partition("=") for line in lines]
    figures = {name: float(value) for name, sign, value in pairs if sign and name.islower()}
    if not figures.get("requests"):
        raise LoadError(f"no request was answered: {' '.join(command)}\n{''.join(lines)}{errors}")
    return figures


# ---- wrk -------------------------------------------------------------------------------

def _children_ns():
    """CPU time of the children that have ended and been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e9


def _run_wrk(bench, server, scenario, seconds):
    scheme = "https" if scenario.tls else "http"
    command = on_core(bench.client_core, [
        bench.tool("wrk", "wrk"), "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout",
        "5s", "-s", os.path.join(HERE, "wrk.lua"), f"{scheme}://127.0.0.1:{server.port}/", "--",
        _write_request(server, scenario)])
    # Killed, by subprocess, when it overstays or the driver is interrupted.
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=seconds + 30, start_new_session=True)
    return _parse(run.stdout.splitlines(), command, run.stderr)


def by_wrk(bench, server, scenario, seconds):
    _run_wrk(bench, server, scenario, WARM_UP)
    server.settle(quiet=0.1)
    meter, children = Meter(server), _children_ns()
    figures = _run_wrk(bench, server, scenario, seconds)
    return _result(scenario, figures, *meter.stop(_children_ns() - children))


# ---- drive.c ---------------------------------------------------------------------------

def _drive_until(drive, end):
    """Its lines before `end`."""
    lines = []
    for line in drive.stdout:
        if line.strip() == end:
            return lines
        lines.append(line)
    raise LoadError(drive.stderr.read().strip() or f"it ended early: {' '.join(drive.args)}")


def _drive(bench, server, scenario, seconds, connections):
    request = scenario.request(server.port)
    size = client.response_size(server.port, request, scenario.tls) * scenario.pipelined
    command = on_core(bench.client_core, [
        bench.file("bench/drive"), str(server.port), str(connections), str(seconds),
        _write_request(server, scenario), str(size), *(["close"] if scenario.close else []),
        *(["tls"] if scenario.tls else [])])
    drive = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
    with drive:
        try:
            _drive_until(drive, "ready")
            time.sleep(WARM_UP)
            meter = Meter(server)
            drive.stdin.write("count\n")
            drive.stdin.flush()
            figures = _parse(_drive_until(drive, "done"), command)
            figures["requests"] *= scenario.pipelined
            measured = meter.stop(figures["client_microseconds"] * 1e3)
            drive.stdin.close()  # and with it the connections
            drive.wait(30)
        finally:
            drive.kill()
    return _result(scenario, figures, *measured)


def by_drive(bench, server, scenario, seconds):
    return _drive(bench, server, scenario, seconds, scenario.connections)


def by_drive_and_at_64(bench, server, scenario, seconds):
    """Also the CPU time with 64 connections, of the same server by the same client."""
    few = _drive(bench, server, scenario, seconds, 64)
    server.settle(quiet=0.1)
    many = by_drive(bench, server, scenario, seconds)
    return {**many, "cpu_us_at_64": few["cpu_us_per_request"],
            "of_64": many["cpu_us_per_request"] / few["cpu_us_per_request"]}
