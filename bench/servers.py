"""A server that runs, for one scenario."""

import os
import random
import shutil
import socket
import tempfile
import time

import client
import peers
import process

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


class Server(process.Process):
    """Pinned to the server's core, accepts connections on .port. Raises setting.Absent when
    this server cannot do the scenario here."""

    def __init__(self, bench, name, scenario, wrapper=()):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix=f"{name}-", dir=bench.directory)
        self.port = free_port()
        command = peers.command(bench, name, peers.Place(self.port, self.directory), scenario)
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
