"""The servers that stand side by side, each a row of PEERS: what it can be asked to be, and its
command for a scenario.

What they are asked to be (a scenario's `app`):

    hello   answers "hello, world\\n" at once
    pause   answers it after 10 ms
    poll    GET waits, until a POST answers all who wait
    count   answers how many bytes the body had
    files   serves the files of a folder
"""

import dataclasses
import getpass
import grp
import os
import re
import subprocess
from typing import Callable

from setting import PEERS as FOLDER
from setting import Absent, Missing

CONNECTIONS = 16000  # that each of them may hold open
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's packages
ECHO = "/usr/lib/nginx/modules/ngx_http_echo_module.so"

LACKS = {
    "pause": "no handler of it can wait",
    "poll": "no handler of it can wait for another request",
    "count": "no application of it reads a body",
    "files": "it serves no files",
}


@dataclasses.dataclass(frozen=True)
class Peer:
    apps: str
    package: str  # Debian's; "" for what is built here
    program: Callable  # (bench) -> path
    arguments: Callable  # (bench, program, place, scenario) -> the rest of the command
    version: tuple = ()  # arguments that make the program name it
    countable: bool = True  # valgrind can follow it


@dataclasses.dataclass(frozen=True)
class Place:
    port: int
    directory: str


def _tool(name, package):
    def find(bench):
        try:
            return bench.tool(name, package)
        except Missing as missing:
            raise Absent(str(missing))
    return find


def _fill(place, name, values):
    """A configuration file from a template with names in @."""
    with open(os.path.join(FOLDER, name + ".in")) as template:
        text = template.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    path = os.path.join(place.directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def _cress(bench, program, place, scenario):
    apps = {"hello": "apps/hello", "poll": "apps/longpoll", "pause": "bench/apps/pause",
            "count": "bench/apps/count"}
    certificate, key = bench.certificate if scenario.tls else (None, None)
    return ["--bind", f"127.0.0.1:{place.port}", "--keep-alive", "300", "--backlog", "4096",
            "--worker-connections", str(CONNECTIONS), "--log-level", "warning",
            *(["--certfile", certificate, "--keyfile", key] if scenario.tls else []),
            *(["--static", f"/={bench.files}"] if scenario.app == "files" else
              [bench.file(apps[scenario.app] + ".so")])]


def _limit(bench, program, place, scenario):
    """One program for each kind of floor; `program` is the plain one."""
    close = ["close"] if scenario.close else []
    own = {"poll": "_broadcast", "pause": "_pause"}
    if scenario.app in own:
        return [program + own[scenario.app], str(place.port)]
    if scenario.tls:
        return [program + "_tls", str(place.port), *bench.certificate, *close]
    return [program, str(place.port), str(len(scenario.request(place.port))), *close]


def _nginx(bench, program, place, scenario):
    if scenario.app == "pause" and not os.path.exists(ECHO):
        raise Absent("its echo module is not here (libnginx-mod-http-echo)")
    answer = {"hello": r'return 200 "hello, world\n";',
              "pause": 'echo_sleep 0.01; echo "hello, world";',
              "files": f"root {bench.files if scenario.app == 'files' else '/'};"}
    certificate, key = bench.certificate
    path = _fill(place, "nginx.conf", {
        "DIR": place.directory, "PORT": place.port, "DESCRIPTORS": bench.descriptors,
        "CONNECTIONS": CONNECTIONS, "ANSWER": answer[scenario.app],
        "MODULES": f"load_module {ECHO};" if scenario.app == "pause" else "",
        "TLS": " ssl" if scenario.tls else "", "CERTIFICATE": certificate, "KEY": key,
        # Its worker is the caller, not www-data, who could not write to the folders of this run.
        "USER": f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"})
    return ["-p", place.directory, "-c", path, "-e", "stderr"]


def _h2o(bench, program, place, scenario):
    greeting = os.path.join(place.directory, "greeting.txt")
    with open(greeting, "w") as file:
        file.write("hello, world\n")
    certificate, key = bench.certificate
    tls = f"  ssl:\n    certificate-file: {certificate}\n    key-file: {key}"
    return ["-c", _fill(place, "h2o.conf", {
        "PORT": place.port, "CONNECTIONS": CONNECTIONS, "TLS": tls if scenario.tls else "",
        "USER": f"user: {getpass.getuser()}" if os.geteuid() == 0 else "",
        "ANSWER": f"file.dir: {bench.files}" if scenario.app == "files" else
                  f"file.file: {greeting}"})]


def _haproxy(bench, program, place, scenario):
    if scenario.tls:
        both = os.path.join(place.directory, "both.pem")
        with open(both, "w") as out:
            for path in bench.certificate:
                with open(path) as pem:
                    out.write(pem.read())
    return ["-db", "-f", _fill(place, "haproxy.cfg", {
        "PORT": place.port, "CONNECTIONS": CONNECTIONS,
        "TLS": f" ssl crt {both}" if scenario.tls else ""})]


def _program(bench, program, place, scenario, script=""):
    """The peers that are programs of ours: PORT APP FOLDER [tls]."""
    if scenario.app == "files":
        bench.files  # made, in this folder
    if scenario.tls:
        bench.certificate
    return [*([os.path.join(FOLDER, script)] if script else []), str(place.port), scenario.app,
            bench.directory, *(["tls"] if scenario.tls else [])]


def _node(*how):
    return _program(*how, script="http.js")


def _gevent(*how):
    return _program(*how, script="pywsgi.py")


def _python_with_gevent(bench):
    try:
        subprocess.run([PYTHON, "-c", "import gevent"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise Absent("gevent is missing: install the package python3-gevent")
    return PYTHON


PEERS = {
    "cress": Peer("hello pause poll count files", "", lambda bench: bench.file("cress"), _cress,
                  ("--version",)),
    "limit": Peer("hello pause poll", "", lambda bench: bench.file("bench/limit"), _limit),
    "nginx": Peer("hello pause files", "nginx-light", _tool("nginx", "nginx-light"), _nginx,
                  ("-v",)),
    "h2o": Peer("hello files", "h2o", _tool("h2o", "h2o"), _h2o, ("-v",)),
    "haproxy": Peer("hello", "haproxy", _tool("haproxy", "haproxy"), _haproxy, ("-v",)),
    "microhttpd": Peer(
        "hello count files", "libmicrohttpd-dev",
        lambda bench: bench.compile("microhttpd.c", "cc", "-O2", "SOURCE", "-o", "PROGRAM",
                                    "-lmicrohttpd"),
        _program, ("--version",)),
    "go": Peer("hello pause poll count files", "golang-go",
               lambda bench: bench.compile("http.go", "go", "build", "-o", "PROGRAM", "SOURCE"),
               _program, ("--version",), countable=False),
    "node": Peer("hello pause poll count files", "nodejs", _tool("node", "nodejs"), _node,
                 ("--version",), countable=False),
    "gevent": Peer("hello pause poll count files", "python3-gevent", _python_with_gevent, _gevent,
                   (os.path.join(FOLDER, "pywsgi.py"), "--version"), countable=False),
}


def command(bench, name, place, scenario):
    """Raises Absent with the reason why there is none."""
    peer = PEERS[name]
    if scenario.app not in peer.apps.split():
        raise Absent(LACKS[scenario.app])
    try:
        program = peer.program(bench)
    except Absent as absent:
        named = not peer.package or peer.package in str(absent)
        raise Absent(f"{absent}" if named else f"{absent} (package {peer.package})")
    arguments = peer.arguments(bench, program, place, scenario)
    return arguments if name == "limit" else [program, *arguments]


def versions(bench, names):
    """{name: version} of those that are here and have one."""
    found = {}
    for name in names:
        peer = PEERS[name]
        try:
            if peer.version:
                done = subprocess.run([peer.program(bench), *peer.version], text=True, timeout=60,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
                match = re.search(r"\d+\.\d[\w.]*", done.stdout)
                found[name] = match.group() if match else "?"
        except Absent:
            pass
    return found
