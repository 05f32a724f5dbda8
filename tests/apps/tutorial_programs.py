"""The tutorial's programs that run to their end, and what they print.

stdout is what gevent printed for the same program (expected/NAME.out, where <id> stands
for any number); stderr is ours: the failures reported there, and the times at which things
happened.
"""

import os
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("CRESS_BUILD_DIR", HERE.parent.parent / "build" / "release"))

# NAME: stderr, line by line
PROGRAMS = {
    "async_result": ["cress_async_result_get: Connection refused"],
    "determinism": [],
    "event": [],
    "fetch": ["in turn 0.9 seconds, at once 0.1 seconds"],
    "group": [],
    "group_map": ["after 3.0 seconds", "after 3.0 seconds", "after 3.0 seconds",
                  "after 1.0 seconds", "after 2.0 seconds", "after 3.0 seconds"],
    "local": [],
    "pipes": [],
    "pool_map": [],
    "queue_bounded": [],
    "queue_unbounded": [],
    "select": [],
    "semaphore": ["one release too many: Value too large for defined data type"],
    "socket_pool": ["0 handlers left"],
    "spawning": ["the third's value is 3, done at 2.0 seconds"],
    "state": ["cress: greenlet loser failed: Numerical argument out of domain",
              "cress_get: Numerical argument out of domain"],
    "subclass": ["joined after 3.0 seconds"],
    "sync_async": [],
    "timeout_custom": [],
    "timeouts": ["at 1.0 seconds", "at 2.0 seconds", "at 3.0 seconds",
                 "thread 1 has rested", "thread 2 has rested"],
}


def program(name):
    return str(BUILD / "apps" / "tutorial" / name)


def environment(virtual_clock):
    env = {k: v for k, v in os.environ.items() if k != "CRESS_CLOCK"}
    env["LC_ALL"] = "C"
    env["CRESS_DEBUG"] = "0"  # misuse is shown as an error, in a debug build too
    if virtual_clock:
        env["CRESS_CLOCK"] = "virtual"
    return env


def start(name, *args, virtual_clock=False):
    return subprocess.Popen([program(name), *args], env=environment(virtual_clock), text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def expected(name):
    stdout = (HERE / "expected" / (name + ".out")).read_text()
    return stdout, "".join(line + "\n" for line in PROGRAMS[name])


def name_ids(stdout, pattern):
    """stdout with <id> for what stands where `pattern` has it, if that is a number."""
    lines = stdout.splitlines(keepends=True)
    for i, line in enumerate(pattern.splitlines(keepends=True)[:len(lines)]):
        if re.fullmatch(re.escape(line).replace("<id>", r"\d+"), lines[i]):
            lines[i] = line
    return "".join(lines)


SECONDS = re.compile(r"\d+\.\d(?= seconds)")


def split_times(text):
    """The text without its times, and the times."""
    return SECONDS.sub("T", text), [float(t) for t in SECONDS.findall(text)]
