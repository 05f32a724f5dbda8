"""The servers that are probed: how each is started, with the application that echoes.

Each listens on a port of 127.0.0.1 that was free a moment before, in a folder of its own,
and is stopped by its process id.
"""

import getpass
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"
BUILD = pathlib.Path(os.environ.get("CRESS_BUILD_DIR", HERE.parent.parent / "build" / "release"))
START_TIMEOUT = 30.0


class Absent(Exception):
    """A server that cannot be had here."""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def tool(name):
    """Debian puts some servers where only root looks."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Absent(f"there is no {name}")
    return path


def run(*command, **kwargs):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **kwargs)
    if done.returncode != 0:
        raise Absent(f"{command[0]}: {(done.stdout + done.stderr).strip()[-300:]}")
    return done.stdout + done.stderr


def version(pattern, *command):
    found = re.search(pattern, run(*command))
    return found.group(1) if found else "?"


def fill(name, folder, **values):
    text = (PEERS / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    path = folder / name.removesuffix(".in")
    path.write_text(text)
    return path


def cress(port, folder):
    program = BUILD / "cress"
    if not program.exists():
        raise Absent(f"there is no {program}")
    return [program, "--bind", f"127.0.0.1:{port}", "--keep-alive", "20",
            BUILD / "tests/server/modules/probe_echo.so"], version(r"(\d\S*)", program, "--version")


def node(port, folder):
    return [tool("node"), PEERS / "node.js", str(port)], version(r"v(\S+)", "node", "--version")


def go(port, folder):
    program = folder / "nethttp"
    environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off",
                   "GOFLAGS": ""}
    run(tool("go"), "build", "-o", str(program), str(PEERS / "nethttp.go"), env=environment)
    return [program, str(port)], version(r"go(\d\S*)", "go", "version")


def nginx(port, folder):
    program = tool("nginx")
    echo = pathlib.Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
    if not echo.exists():
        raise Absent("nginx lacks its echo module (libnginx-mod-http-echo)")
    path = fill("nginx.conf.in", folder, DIR=folder, PORT=port, MODULES=f"load_module {echo};")
    return ([program, "-p", folder, "-c", path, "-e", "stderr"],
            version(r"nginx/(\S+)", program, "-v"))


def h2o(port, folder):
    program = tool("h2o")
    user = f"user: {getpass.getuser()}" if os.geteuid() == 0 else ""
    path = fill("h2o.conf.in", folder, PORT=port, USER=user)
    return [program, "-c", path], version(r"h2o version (\S+)", program, "-v")


def gevent(port, folder):
    python = "/usr/bin/python3"  # Debian's, which has Debian's packages
    found = version(r"(\S+)", python, "-c", "import gevent; print(gevent.__version__)")
    return [python, PEERS / "pywsgi.py", str(port)], found


SERVERS = {"cress": cress, "node": node, "nginx": nginx, "h2o": h2o, "go": go, "gevent": gevent}


class Server:
    """Running, and accepting connections at .address."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"probes-{name}-"))
        port = free_port()
        self.address = ("127.0.0.1", port)
        self.process = None
        try:
            command, self.version = SERVERS[name](port, self.folder)
            with open(self.folder / "output", "wb") as output:
                self.process = subprocess.Popen([str(word) for word in command], stdout=output,
                                                stderr=output, stdin=subprocess.DEVNULL)
            self._await_listening()
        except BaseException:
            self.stop()
            raise

    def _await_listening(self):
        end = time.monotonic() + START_TIMEOUT
        while True:
            try:
                socket.create_connection(self.address, timeout=1).close()
                return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                output = (self.folder / "output").read_text(errors="replace")
                raise Absent(f"it does not start: {output.strip()[-300:]}")
            time.sleep(0.02)

    def is_running(self):
        return self.process.poll() is None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
