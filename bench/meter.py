"""Who was busy for how long: the server's process tree, and the client."""

import time


class Meter:
    """Running from its making on."""

    def __init__(self, server):
        self.server = server
        self.cpu, self.start = server.cpu_ns(), time.monotonic_ns()

    def stop(self, client_ns):
        """CPU nanoseconds of the server, and both shares of their cores."""
        cpu, span = self.server.cpu_ns() - self.cpu, time.monotonic_ns() - self.start
        return cpu, {"server_core": cpu / span, "client_core": client_ns / span}
