"""The servers that are measured side by side: how each is started for one job."""

import grp
import os
import pwd
import random
import shutil
import socket
import tempfile
import time

import client
import process

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ["cress", "nginx", "limit"]
CONNECTIONS = 12000  # that each of them may hold open
START_TIMEOUT = 60.0


class ServerError(Exception):
    pass


def free_port():
    """Below the range of client ports, always five digits: all requests have one size."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def _cress(bench, port, directory, app="hello", options=(), close=False):
    return [bench.file("cress"), "--bind", f"127.0.0.1:{port}", "--keep-alive", "300",
            "--worker-connections", str(CONNECTIONS), "--log-level", "warning", *options,
            bench.file(f"apps/{app}.so")]


def _nginx(bench, port, directory, close=False):
    with open(os.path.join(HERE, "nginx.conf.in")) as template:
        text = template.read()
    # Its worker is the caller, not www-data, who could not write to the folders of this run.
    user = f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
    values = {"DIR": directory, "PORT": port, "DESCRIPTORS": bench.descriptors, "USER": user}
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w") as configuration:
        configuration.write(text)
    return [bench.tool("nginx", "nginx-light"), "-p", directory, "-c", path, "-e", "stderr"]


def _limit(bench, port, directory, close=False):
    size = len(client.request_text(port)) + (len("Connection: close\r\n") if close else 0)
    return [bench.file("bench/limit"), str(port), str(size)] + (["close"] if close else [])


COMMANDS = {"cress": _cress, "nginx": _nginx, "limit": _limit}


class Server(process.Process):
    """A running server, pinned to the server's core, that accepts connections on .port."""

    def __init__(self, bench, name, wrapper=(), **how):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix=f"{name}-", dir=bench.directory)
        self.port = free_port()
        command = COMMANDS[name](bench, self.port, self.directory, **how)
        super().__init__(process.on_core(bench.server_core, list(wrapper) + command),
                         os.path.join(self.directory, "output"))
        try:
            self._wait_until_listening()
        except BaseException:
            self.stop()
            raise

    def _wait_until_listening(self):
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            if not self.running():
                raise ServerError(f"{self.name} ended at once: {' '.join(self.command)}\n"
                                  f"{self.output()}")
            try:
                client.connect(self.port).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise ServerError(f"{self.name} does not listen after {START_TIMEOUT:.0f} s: "
                          f"{self.output()}")

    def stop(self, **how):
        super().stop(**how)
        shutil.rmtree(self.directory, ignore_errors=True)
