"""The micro benches: ours, and others' switches beside them (Go, state-threads)."""

import subprocess

import setting
import table
from process import on_core

#       source, how it is built, the Debian package that it needs
OTHERS = (
    ("switch.go", ("go", "build", "-o", "PROGRAM", "SOURCE"), "golang-go"),
    ("switch_st.c", ("cc", "-O2", "SOURCE", "-o", "PROGRAM", "-lst"), "libst-dev"),
)


class MicroError(Exception):
    pass


def _programs(bench):
    yield bench.file("bench/micro")
    for source, command, package in OTHERS:
        try:
            yield bench.compile(source, *command)
        except setting.Absent as error:
            print(f"left out: {error} (is the package {package} there?)")


def run(bench):
    """Prints and returns nanoseconds of CPU time of one operation each."""
    lines = []
    for program in _programs(bench):
        done = subprocess.run(on_core(bench.server_core, [program]), text=True, timeout=300,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if done.returncode:
            raise MicroError(f"{program} ended with {done.returncode}")
        lines += [line.split(maxsplit=3) for line in done.stdout.splitlines()]
    print("\nnanoseconds of CPU time of one operation")
    table.show([["", "median", "least", "one operation"], *lines], left=(0, 3))
    return {name: {"median_ns": float(median), "least_ns": float(least)}
            for name, median, least, _ in lines}
