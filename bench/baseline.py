"""What a request of cress cost when it was last agreed on: instructions and system calls,
in baseline.json. Counts have no clock in them: they say at once when the request path grew.

They depend on who compiled, and on the library functions that a processor gets: with others
than those of baseline.json nothing is compared.
"""

import glob
import json
import os
import platform
import re
import subprocess

import counting
import setting

PATH = os.path.join(setting.HERE, "baseline.json")
TOLERANCE = 0.03
REQUESTS = 200  # of the system calls
SKIPPED = 77  # for ctest


def _first(pattern, text):
    found = re.search(pattern, text)
    return found.group(1) if found else "?"


def _compiler(bench):
    """As CMake noted it for the build."""
    for path in glob.glob(os.path.join(bench.build, "CMakeFiles", "*", "CMakeCCompiler.cmake")):
        with open(path) as file:
            text = file.read()
        return " ".join(_first(rf'set\(CMAKE_C_COMPILER_{what} "([^"]+)"', text)
                        for what in ("ID", "VERSION"))
    return "?"


def _conditions(bench):
    """What the counts depend on, beside the source."""
    valgrind = subprocess.run([bench.tool("valgrind", "valgrind"), "--version"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True).stdout.strip()
    with open("/proc/cpuinfo") as info:
        avx2 = " avx2 " in info.read()
    return {"compiler": _compiler(bench), "libc": " ".join(platform.libc_ver()),
            "machine": platform.machine() + (" with AVX2" if avx2 else ""), "valgrind": valgrind}


def _count(bench):
    """{what: count per request}"""
    counts = {f"instructions, {letter}": round(counting.count_instructions(bench, "cress", letter))
              for letter in counting.INSTRUCTIONS}
    calls = counting.count_calls(bench, "cress", REQUESTS)
    for what, by_name in calls.items():
        # What a timer or another thread does meanwhile is less than a tenth of one.
        counts[f"system calls, {what}"] = sum(round(count, 1) for count in by_name.values())
    return counts


def write(bench):
    baseline = {"conditions": _conditions(bench), "counts": _count(bench)}
    with open(PATH, "w") as out:
        json.dump(baseline, out, indent=2)
        out.write("\n")
    for what, count in baseline["counts"].items():
        print(f"{what:24} {count:,}")


def _unlike(bench, baseline):
    """Why nothing can be compared here; "" when it can."""
    try:
        here = _conditions(bench)
        bench.tool("strace", "strace")
    except setting.Missing as missing:
        return str(missing)
    return "; ".join(f"{what} is {here[what]}, in baseline.json {agreed}"
                     for what, agreed in baseline["conditions"].items() if here[what] != agreed)


def _verdict(count, agreed):
    if count > agreed * (1 + TOLERANCE):
        return "WORSE"
    if count < agreed * (1 - TOLERANCE):
        return "better: agree on it by bench/run --baseline"
    return "ok"


def _read():
    with open(PATH) as file:
        try:
            baseline = json.load(file)
            return {what: dict(baseline[what]) for what in ("conditions", "counts")}
        except (ValueError, TypeError, KeyError):
            raise setting.Missing(f"{PATH} holds no baseline: write one by bench/run --baseline")


def check(bench):
    """The exit status: 1 when a request costs more."""
    bench.file("cress")  # or there is nothing to check
    baseline = _read()
    reason = _unlike(bench, baseline)
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    counts, worse = _count(bench), False
    for what, agreed in baseline["counts"].items():
        verdict = _verdict(counts[what], agreed)
        worse = worse or verdict == "WORSE"
        print(f"{what:24} {counts[what]:>8,} of {agreed:>8,}  {counts[what] / agreed - 1:+.1%}  "
              f"{verdict}")
    return 1 if worse else 0
