"""Others' switches, for the micro benches: Go, state-threads. One that cannot be had is
left out, and that is said.
"""

import os
import shutil
import subprocess

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")


def _build_go(bench, program):
    environment = {**os.environ, "GOCACHE": os.path.join(bench.directory, "go"),
                   "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", program, os.path.join(SOURCES, "switch.go")],
                   env=environment, check=True)


def _build_st(bench, program):
    subprocess.run(["cc", "-O2", os.path.join(SOURCES, "switch_st.c"), "-o", program, "-lst"],
                   check=True)


PEERS = {
    "Go": ("golang-go", lambda: shutil.which("go"), _build_go),
    "state-threads": ("libst-dev", lambda: os.path.exists("/usr/include/st.h"), _build_st),
}


def programs(bench):
    """Our own micro benches, and those of the peers that are here."""
    found = [bench.file("bench/micro")]
    for name, (package, present, build) in PEERS.items():
        program = os.path.join(bench.directory, name)
        if present():
            build(bench, program)
            found.append(program)
        else:
            print(f"left out: {name} (install the package {package})")
    return found
